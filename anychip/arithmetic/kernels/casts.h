// Casts of fp32 to narrower formats, in the integer fields of fp32; bits as anychip/formats/casting.py.
#pragma once
#include <algorithm>
#include <cstring>

#include "core.h"
#include "philox.h"
#include "casts512.h"

namespace ANYCHIP_PATH {

constexpr int64_t kBlock = 256;     // elements for which random numbers are drawn at once
constexpr int64_t kLane = 1024;     // elements of a lane of a serial generator
constexpr uint32_t kTaps = 0x80200003;

static inline uint32_t bits_of(float x) { uint32_t u; std::memcpy(&u, &x, 4); return u; }
static inline float float_of(uint32_t u) { float x; std::memcpy(&x, &u, 4); return x; }

// ---- random integers, one per element, for elements [at, at + count) of one block of kBlock ----

static inline void philox_block(const Cast &c, uint64_t block, uint32_t out[4]) {
    uint32_t words[64];
    philox_group<10>(block & ~15ull, c.tensor, c.step, c.seed_low, c.seed_high, words);
    for (int w = 0; w < 4; ++w) out[w] = words[16 * w + (block & 15)];
}

static void serial_lane(const Cast &c, uint64_t lane, uint32_t *out) {
    uint32_t seed[8];
    if (c.generator == LFSR) {
        philox_block(c, lane, seed);
        uint32_t state = seed[0] ? seed[0] : 1;
        for (int64_t i = 0; i < kLane; ++i) {
            for (int shift = 0; shift < 32; ++shift) state = (state >> 1) ^ (-(state & 1) & kTaps);
            out[i] = state;
        }
        return;
    }
    philox_block(c, 2 * lane, seed);
    philox_block(c, 2 * lane + 1, seed + 4);
    uint32_t x = seed[0] | 1, y = seed[1], z = seed[2], w = seed[3], v = seed[4], d = seed[5];
    for (int64_t i = 0; i < kLane; ++i) {
        const uint32_t t = x ^ (x >> 2);
        x = y, y = z, z = w, w = v;
        v = (v ^ (v << 4)) ^ (t ^ (t << 1));
        d += 362437;
        out[i] = d + v;
    }
}

// Fills words for elements [block kBlock, (block + 1) kBlock), `word_bits` bits each.
struct Randomness {
    const Cast &c;
    uint64_t lane = ~0ull;
    uint32_t lane_words[kLane];

    explicit Randomness(const Cast &cast) : c(cast) {}

    template <int rounds>
    void counted(uint64_t first, uint32_t *out) {
        alignas(64) uint32_t words[64];
        if (c.word_bits == 32) {
#if defined(__AVX512F__)
            for (int g = 0; g < kBlock / 64; g += 2)
                philox_groups<rounds, 2>((first / 64 + g) * 16, c.tensor, c.step, c.seed_low, c.seed_high,
                                         out + 64 * g);
            return;
#endif
            for (int g = 0; g < kBlock / 64; ++g)
                philox_group<rounds>((first / 64 + g) * 16, c.tensor, c.step, c.seed_low, c.seed_high, out + 64 * g);
            return;
        }
        for (int g = 0; g < kBlock / 128; ++g) {
            philox_group<rounds>((first / 128 + g) * 16, c.tensor, c.step, c.seed_low, c.seed_high, words);
            for (int w = 0; w < 4; ++w)
                for (int l = 0; l < 16; ++l) {
                    out[128 * g + 32 * w + l] = words[16 * w + l] & 0xFFFF;
                    out[128 * g + 32 * w + 16 + l] = words[16 * w + l] >> 16;
                }
        }
    }

    void fill(uint64_t first, uint32_t *out) {
        if (c.generator == PHILOX10) {
            counted<10>(first, out);
        } else if (c.generator == PHILOX7) {
            counted<7>(first, out);
        } else {
            if (first / kLane != lane) {
                lane = first / kLane;
                serial_lane(c, lane, lane_words);
            }
            for (int64_t i = 0; i < kBlock; ++i)
                out[i] = lane_words[first % kLane + i] >> (32 - c.word_bits);
        }
        const int drop = c.word_bits - c.random_bits;
        if (drop)
            for (int64_t i = 0; i < kBlock; ++i) out[i] >>= drop;
    }
};

// ---- the cast of one element ----

struct Rounded {
    uint32_t code;   // without sign
    float value;     // magnitude, before overflow
};

// The magnitude code and value of a finite |x| given as bits; exact for every format within fp32.
template <int direction>
static inline Rounded round_finite(const Cast &c, uint32_t magnitude, uint32_t negative, uint32_t random) {
    const int32_t m = c.significand_bits;
    const int32_t field = (int32_t)(magnitude >> 23);
    const uint32_t hidden = field > 0 ? 0x800000u : 0u;
    const uint32_t significand = (magnitude & 0x7FFFFF) | hidden;
    const int32_t exponent = (field > 1 ? field : 1) - 127;
    const int32_t kept_exponent = exponent > c.emin ? exponent : c.emin;
    const int32_t shift = kept_exponent - exponent + 23 - m;  // >= 0
    const int32_t near = shift < 25 ? shift : 25;
    const uint32_t kept = significand >> near;
    const uint32_t rest = significand - (kept << near);
    const uint32_t half = (1u << near) >> 1;
    const uint32_t parity = m > 0 ? kept & 1 : (kept & (uint32_t)(kept_exponent - c.emin + 1) & 1);
    uint32_t up = 0;
    if (direction == NEAREST_EVEN) {
        up = (rest > half) | ((rest == half) & parity & (uint32_t)(near > 0));
    } else if (direction == NEAREST_AWAY) {
        up = (rest >= half) & (rest > 0);
    } else if (direction == UP) {
        up = (rest > 0) & (negative ^ 1);
    } else if (direction == DOWN) {
        up = (rest > 0) & negative;
    } else if (direction == TO_ODD) {
        up = (rest > 0) & (parity ^ 1);
    } else if (direction == STOCHASTIC) {
        // floor(fraction * 2^n) + random >= 2^n, the fraction as 32 bits first.
        const uint32_t low = shift < 25 ? rest : significand;
        const int32_t left = shift < 32 ? 31 - shift : 0;
        const int32_t right = shift < 32 ? 0 : (shift - 32 < 31 ? shift - 32 : 31);
        const uint32_t fraction32 = shift < 32 ? (low << 1) << left : low >> right;
        const uint32_t fraction = fraction32 >> (32 - c.random_bits);
        const uint32_t limit = c.random_bits == 32 ? 0xFFFFFFFFu : (1u << c.random_bits) - 1;
        up = fraction > limit - random;
    }
    const uint32_t rounded = kept + up;
    Rounded result;
    result.code = ((uint32_t)(kept_exponent - c.emin) << m) + rounded;
    // Two exact factors, since 2^quantum alone may be subnormal in fp32.
    const int32_t quantum = kept_exponent - m;
    result.value = ((float)(int32_t)rounded * float_of((uint32_t)(quantum / 2 + 127) << 23)) *
                   float_of((uint32_t)(quantum - quantum / 2 + 127) << 23);
    return result;
}

template <int direction, bool codes>
static inline uint32_t cast_bits(const Cast &c, uint32_t bits, uint32_t random) {
    const uint32_t negative = bits >> 31;
    uint32_t magnitude = bits & 0x7FFFFFFF;
    magnitude = (c.flush_in && magnitude < 0x800000) ? 0 : magnitude;
    const Rounded r = round_finite<direction>(c, magnitude, negative, random);
    uint32_t code = r.code;
    uint32_t value = bits_of(r.value);
    const bool beyond = code > c.max_code;
    const bool stays = direction == TOWARD_ZERO || direction == TO_ODD || (direction == UP && negative) ||
                       (direction == DOWN && !negative);
    code = beyond ? (stays ? c.stay_code : c.overflow_code) : code;
    value = beyond ? (stays ? c.stay_value : c.overflow_value) : value;
    const bool tiny = c.flush_out && code < (1u << c.significand_bits);
    code = tiny ? 0 : code;
    value = tiny ? 0 : value;
    const bool infinite = magnitude == 0x7F800000, nan = magnitude > 0x7F800000;
    code = infinite ? c.infinity_code : code;
    value = infinite ? c.infinity_value : value;
    const int drop = 23 - c.significand_bits;
    const uint32_t payload_value = (magnitude >> drop << drop) | 0x400000;
    const uint32_t payload_code = c.nan_code | ((magnitude & 0x7FFFFF) >> drop);
    code = nan ? (c.nan_payload ? payload_code : c.nan_code) : code;
    value = nan ? (c.nan_payload ? payload_value : c.nan_value) : value;
    const bool is_nan_value = (value & 0x7FFFFFFF) > 0x7F800000;
    const uint32_t keeps_sign = c.negative_zero | (uint32_t)(value != 0 && !is_nan_value);
    const uint32_t sign = negative & keeps_sign;
    return codes ? code | sign << (c.bits - 1) : value | sign << 31;
}

// ---- whole arrays ----

// Nearest-even by fp32's own adder: |x| + 2^(e + 23 - m) has its last place where the format has.
struct Magic {
    uint32_t floor_bits, add_bits, clamp_bits, base;
};

// Whether rounding keeps well clear of both ends of fp32's range, and no rule looks at more than magnitudes.
static inline bool is_inside(const Cast &c) {
    const int32_t emax = (int32_t)(c.max_code >> c.significand_bits) + c.emin - 1;
    return c.significand_bits > 0 && c.significand_bits < 23 && (c.max_code >> c.significand_bits) >= 1 &&
           c.emin > -100 && emax + 3 + 23 - c.significand_bits <= 127 && !c.flush_in && !c.nan_payload;
}

static inline bool has_magic(const Cast &c) { return c.direction == NEAREST_EVEN && is_inside(c); }

static inline Magic magic_of(const Cast &c) {
    const int32_t emax = (int32_t)(c.max_code >> c.significand_bits) + c.emin - 1;
    Magic g;
    g.floor_bits = (uint32_t)(c.emin + 127) << 23;
    g.add_bits = (uint32_t)(23 - c.significand_bits) << 23;
    g.clamp_bits = (uint32_t)(emax + 2 + 127) << 23;
    g.base = (uint32_t)(c.emin + 127) << c.significand_bits;
    return g;
}

// The largest finite value as fp32 bits; for formats in which it is normal.
static inline uint32_t max_value_bits(const Cast &c) {
    const int m = c.significand_bits;
    return ((c.max_code >> m) + (uint32_t)(c.emin - 1 + 127)) << 23 | (c.max_code & ((1u << m) - 1)) << (23 - m);
}

template <bool codes, typename Out>
static void nearest_by_adder(const Cast &cast, const float *in, Out *out, int64_t n) {
    const Cast c = cast;
    const Magic g = magic_of(c);
#if defined(__AVX512F__)
    const auto by_hand = c.negative_zero ? nearest512<codes, true, Out> : nearest512<codes, false, Out>;
    return by_hand(c, g.floor_bits, g.add_bits, g.clamp_bits, g.base, max_value_bits(c), in, out, n);
#endif
    const uint32_t flush_below = c.flush_out ? 1u << c.significand_bits : 0;
    const uint32_t flush_value = c.flush_out ? g.floor_bits : 0;
    const int m = c.significand_bits, top = c.bits - 1;
    const uint32_t max_code = c.max_code;
    const uint32_t max_bits = max_value_bits(c);
    const uint32_t always = c.negative_zero ? 0x80000000u : 0u;
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) {
        const uint32_t bits = bits_of(in[i]);
        const uint32_t magnitude = bits & 0x7FFFFFFF;
        const uint32_t held = magnitude < g.clamp_bits ? magnitude : g.clamp_bits;
        uint32_t step = held & 0x7F800000;
        step = step > g.floor_bits ? step : g.floor_bits;
        const float magic = float_of(step + g.add_bits);
        const float raised = float_of(held) + magic;
        if (codes) {
            uint32_t code = (bits_of(raised) - bits_of(magic)) + ((step >> (23 - m)) - g.base);
            code = code > max_code ? c.overflow_code : code;
            code = code < flush_below ? 0 : code;
            code = magnitude >= 0x7F800000 ? c.infinity_code : code;
            code = magnitude > 0x7F800000 ? c.nan_code : code;
            const uint32_t keep = always | (code != 0 && code != c.nan_code ? 0x80000000u : 0u);
            out[i] = (Out)(code | (bits & keep) >> (31 - top));
        } else {
            uint32_t value = bits_of(raised - magic);
            value = value > max_bits ? c.overflow_value : value;
            value = value < flush_value ? 0 : value;
            value = magnitude >= 0x7F800000 ? c.infinity_value : value;
            value = magnitude > 0x7F800000 ? c.nan_value : value;
            const uint32_t keep = always | (value - 1 < 0x7F800000u ? 0x80000000u : 0u);
            out[i] = (Out)(value | (bits & keep));
        }
    }
}

// bf16 with IEEE overflow, nearest-even.
static inline uint16_t to_bf16(uint32_t bits) {
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    const uint32_t nan = (bits >> 16 & 0x8000) | 0x7FC0;
    return (uint16_t)((bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded);
}

static inline bool is_plain_bf16(const Cast &c) {
    return c.significand_bits == 7 && c.emin == -126 && c.exponent_bits == 8 && !c.flush_in && !c.flush_out &&
           !c.nan_payload && c.overflow_code == 0x7F80 && c.infinity_code == 0x7F80;
}

// fp32's own exponents with fewer significand bits (tf32): rounding is an addition below the kept bits.
static inline bool is_wide(const Cast &c) {
    return c.significand_bits > 0 && c.significand_bits < 23 && c.emin == -126 && c.exponent_bits == 8 &&
           !c.flush_in && !c.flush_out && !c.nan_payload && c.overflow_value == 0x7F800000 &&
           c.infinity_value == 0x7F800000;
}

template <bool codes, typename Out>
static void bf16_stochastic(const Cast &c, const float *in, Out *out, uint64_t first, int64_t n) {
    // Whole groups of 128 elements; 16 random bits each, added below the kept bits.
    int64_t done = 0;
#if defined(__AVX512F__)
    const bool ten = c.generator == PHILOX10;
    for (; done + 256 <= n; done += 256)
        (ten ? bf16_stochastic512<10, 2, Out> : bf16_stochastic512<7, 2, Out>)(c, in + done, out + done, first + done);
#endif
    alignas(64) uint32_t words[64];
    for (int64_t g = done; g < n; g += 128) {
        const uint64_t block = (first + g) / 128 * 16;
        if (c.generator == PHILOX10)
            philox_group<10>(block, c.tensor, c.step, c.seed_low, c.seed_high, words);
        else
            philox_group<7>(block, c.tensor, c.step, c.seed_low, c.seed_high, words);
        for (int w = 0; w < 4; ++w)
            for (int h = 0; h < 2; ++h) {
                const float *x = in + g + 32 * w + 16 * h;
                Out *y = out + g + 32 * w + 16 * h;
                const uint32_t *r = words + 16 * w;
#pragma GCC ivdep
                for (int l = 0; l < 16; ++l) {
                    const uint32_t bits = bits_of(x[l]);
                    const uint32_t sum = bits + (r[l] >> 16 * h & 0xFFFF);
                    const uint32_t nan = (bits & 0x80000000) | 0x7FC00000;
                    const uint32_t special = (bits & 0x7FFFFFFF) > 0x7F800000 ? nan : bits;
                    const uint32_t rounded = (bits & 0x7F800000) == 0x7F800000 ? special : sum;
                    y[l] = (Out)(codes ? rounded >> 16 : rounded & 0xFFFF0000);
                }
            }
    }
}

template <int direction, bool codes, typename Out>
static void cast_general(const Cast &cast, const float *in, Out *out, int64_t n, const uint32_t *random) {
    const Cast c = cast;  // a local copy, so that the compiler knows it does not change
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i)
        out[i] = (Out)cast_bits<direction, codes>(c, bits_of(in[i]), direction == STOCHASTIC ? random[i] : 0);
}

template <bool codes, typename Out>
static void stochastic(const Cast &c, const float *in, Out *out, int64_t first, int64_t last) {
    Randomness random(c);
    alignas(64) uint32_t words[kBlock];
    const bool fast = is_plain_bf16(c) && c.random_bits == 16 && c.word_bits == 16 &&
                      (c.generator == PHILOX10 || c.generator == PHILOX7);
#if defined(__AVX512F__)
    const bool by_hand = is_inside(c);
#endif
    int64_t i = first;
    while (i < last) {
        const uint64_t element = c.element + (uint64_t)i;
        const int64_t inside = (int64_t)(element % kBlock);
        if (fast && inside % 128 == 0 && last - i >= 128) {
            const int64_t n = (last - i) / 128 * 128;
            bf16_stochastic<codes>(c, in + i, out + i, element, n);
            i += n;
            continue;
        }
        const int64_t n = std::min(kBlock - inside, last - i);
        random.fill(element - (uint64_t)inside, words);
#if defined(__AVX512F__)
        if (by_hand) {
            const auto work = c.negative_zero ? stochastic512<codes, true, Out> : stochastic512<codes, false, Out>;
            work(c, max_value_bits(c), in + i, out + i, n, words + inside);
            i += n;
            continue;
        }
#endif
        cast_general<STOCHASTIC, codes>(c, in + i, out + i, n, words + inside);
        i += n;
    }
}

template <bool codes, typename Out>
static void cast_array(const Cast *c, const float *in, Out *out, int64_t first, int64_t last) {
    const int64_t n = last - first;
    if (c->direction == STOCHASTIC) return stochastic<codes>(*c, in, out, first, last);
    in += first;
    out += first;
    if (c->direction == NEAREST_EVEN && is_plain_bf16(*c)) {
        int64_t done = 0;
#if defined(__AVX512F__)
        if (codes == (sizeof(Out) == 2)) bf16_nearest512(in, out, done = n / 32 * 32);
#endif
#pragma GCC ivdep
        for (int64_t i = done; i < n; ++i) {
            const uint32_t code = to_bf16(bits_of(in[i]));
            out[i] = (Out)(codes ? code : code << 16);
        }
        return;
    }
    if (!codes && c->direction == NEAREST_EVEN && is_wide(*c)) {
        const int drop = 23 - c->significand_bits;
        const uint32_t half = (1u << drop) / 2 - 1, mask = ~0u << drop;
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) {
            const uint32_t bits = bits_of(in[i]);
            const uint32_t rounded = (bits + half + (bits >> drop & 1)) & mask;
            out[i] = (Out)((bits & 0x7FFFFFFF) > 0x7F800000 ? (bits & 0x80000000) | 0x7FC00000 : rounded);
        }
        return;
    }
    if (has_magic(*c)) return nearest_by_adder<codes>(*c, in, out, n);
    switch (c->direction) {
        case NEAREST_EVEN: return cast_general<NEAREST_EVEN, codes>(*c, in, out, n, nullptr);
        case NEAREST_AWAY: return cast_general<NEAREST_AWAY, codes>(*c, in, out, n, nullptr);
        case TOWARD_ZERO: return cast_general<TOWARD_ZERO, codes>(*c, in, out, n, nullptr);
        case UP: return cast_general<UP, codes>(*c, in, out, n, nullptr);
        case DOWN: return cast_general<DOWN, codes>(*c, in, out, n, nullptr);
        default: return cast_general<TO_ODD, codes>(*c, in, out, n, nullptr);
    }
}

static void to_values(const Cast *c, const float *in, float *out, int64_t first, int64_t last) {
    cast_array<false>(c, in, reinterpret_cast<uint32_t *>(out), first, last);
}
static void to_codes8(const Cast *c, const float *in, uint8_t *out, int64_t first, int64_t last) {
    cast_array<true>(c, in, out, first, last);
}
static void to_codes16(const Cast *c, const float *in, uint16_t *out, int64_t first, int64_t last) {
    cast_array<true>(c, in, out, first, last);
}

static void decode8(const float *table, const uint8_t *in, float *out, int64_t first, int64_t last) {
#if defined(__AVX512F__)
    const Codes codes(table);
    if (codes.fits) {
        for (; first + 32 <= last; first += 32) {
            const __m256i in32 = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(in + first));
            const __m512i values = codes(_mm512_cvtepu8_epi16(in32));
            for (int h = 0; h < 2; ++h) {
                const __m256i half = h ? _mm512_extracti64x4_epi64(values, 1) : _mm512_castsi512_si256(values);
                _mm512_storeu_si512(out + first + 16 * h, _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
            }
        }
    }
#endif
    for (int64_t i = first; i < last; ++i) out[i] = table[in[i]];
}

// table null: bf16.
static void decode16(const float *table, const uint16_t *in, float *out, int64_t first, int64_t last) {
    if (table) {
        for (int64_t i = first; i < last; ++i) out[i] = table[in[i]];
        return;
    }
#pragma GCC ivdep
    for (int64_t i = first; i < last; ++i) out[i] = float_of((uint32_t)in[i] << 16);
}

// Copies past the caches; a store fence is the caller's.
static void stream(void *to, const void *from, int64_t bytes) {
#if defined(__x86_64__)
#if defined(__AVX512F__)
    constexpr int64_t kWide = 64;
    const auto wide = [](char *out, const char *in) {
        _mm512_stream_si512(reinterpret_cast<__m512i *>(out), _mm512_loadu_si512(in));
    };
#elif defined(__AVX2__)
    constexpr int64_t kWide = 32;
    const auto wide = [](char *out, const char *in) {
        _mm256_stream_si256(reinterpret_cast<__m256i *>(out), _mm256_loadu_si256(reinterpret_cast<const __m256i *>(in)));
    };
#else
    constexpr int64_t kWide = 16;
    const auto wide = [](char *out, const char *in) {
        _mm_stream_si128(reinterpret_cast<__m128i *>(out), _mm_loadu_si128(reinterpret_cast<const __m128i *>(in)));
    };
#endif
    char *out = static_cast<char *>(to);
    const char *in = static_cast<const char *>(from);
    int64_t i = std::min<int64_t>((int64_t)(-(uintptr_t)out & (kWide - 1)), bytes);
    std::memcpy(out, in, (size_t)i);
    for (; i + kWide <= bytes; i += kWide) wide(out + i, in + i);
    std::memcpy(out + i, in + i, (size_t)(bytes - i));
#else
    std::memcpy(to, from, (size_t)bytes);
#endif
}

}  // namespace ANYCHIP_PATH
