// The two busiest casts by hand for AVX-512: nearest-even and stochastic, for formats well inside fp32's range.
// Included by casts.h; operation by operation what cast_bits does, without the cases such formats do not have.
#pragma once
#if defined(__AVX512F__)

namespace ANYCHIP_PATH {

static inline __m512i spread32(uint32_t x) { return _mm512_set1_epi32((int)x); }

static inline void put(uint32_t *out, __m512i x, __mmask16 lanes) { _mm512_mask_storeu_epi32(out, lanes, x); }
static inline void put(uint16_t *out, __m512i x, __mmask16 lanes) {
    _mm512_mask_cvtepi32_storeu_epi16(out, lanes, x);
}
static inline void put(uint8_t *out, __m512i x, __mmask16 lanes) { _mm512_mask_cvtepi32_storeu_epi8(out, lanes, x); }

// As many vectors as fill one store of 64 bytes, in order; their elements fit the width.
static inline void put_all(uint32_t *out, const __m512i *x) { _mm512_storeu_si512(out, x[0]); }
static inline void put_all(uint16_t *out, const __m512i *x) {
    const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi64(order, _mm512_packus_epi32(x[0], x[1])));
}
static inline void put_all(uint8_t *out, const __m512i *x) {
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const __m512i low = _mm512_packus_epi32(x[0], x[1]), high = _mm512_packus_epi32(x[2], x[3]);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)));
}

// out[i] = one(bits of in[i], i), sixteen at a time; lanes beyond n are computed and not written.
template <typename Out, typename One>
static inline __attribute__((always_inline)) void each512(const float *in, Out *out, int64_t n, const One &one) {
    constexpr int64_t vectors = 4 / sizeof(Out);
    int64_t i = 0;
    for (; i + 16 * vectors <= n; i += 16 * vectors) {
        __m512i x[vectors];
#pragma GCC unroll 4
        for (int64_t v = 0; v < vectors; ++v) x[v] = one(_mm512_loadu_si512(in + i + 16 * v), i + 16 * v, 0xFFFF);
        put_all(out + i, x);
    }
    for (; i < n; i += 16) {
        const __mmask16 lanes = n - i >= 16 ? 0xFFFF : (__mmask16)((1u << (n - i)) - 1);
        put(out + i, one(_mm512_maskz_loadu_epi32(lanes, in + i), i, lanes), lanes);
    }
}

// What every element of one cast shares.
struct Spread {
    __m512i top, special, overflow, infinity, nan, flush, sign;
    int sign_shift;
    bool flushes;

    template <bool codes>
    static Spread of(const Cast &c, uint32_t max_value_bits) {
        Spread s;
        s.top = spread32(codes ? c.max_code : max_value_bits);
        s.special = spread32(0x7F800000);
        s.overflow = spread32(codes ? c.overflow_code : c.overflow_value);
        s.infinity = spread32(codes ? c.infinity_code : c.infinity_value);
        s.nan = spread32(codes ? c.nan_code : c.nan_value);
        s.flush = spread32(codes ? 1u << c.significand_bits : (uint32_t)(c.emin + 127) << 23);
        s.sign = spread32(0x80000000);
        s.sign_shift = codes ? 32 - c.bits : 0;
        s.flushes = c.flush_out;
        return s;
    }

    // Overflow, flushing, infinity, NaN and sign.
    template <bool signed_zero>
    __m512i finished(__m512i rounded, __m512i bits, __m512i magnitude) const {
        rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmpgt_epu32_mask(rounded, top), overflow);
        if (flushes) rounded = _mm512_maskz_mov_epi32(_mm512_cmpge_epu32_mask(rounded, flush), rounded);
        const __mmask16 not_finite = _mm512_cmpge_epu32_mask(magnitude, special);
        if (__builtin_expect(not_finite != 0, 0)) {
            rounded = _mm512_mask_mov_epi32(rounded, not_finite, infinity);
            rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmpgt_epu32_mask(magnitude, special), nan);
        }
        __m512i negative = _mm512_and_si512(bits, sign);
        if (!signed_zero) {
            const __mmask16 plain =
                _mm512_test_epi32_mask(rounded, rounded) & _mm512_cmpneq_epu32_mask(rounded, nan);
            negative = _mm512_maskz_mov_epi32(plain, negative);
        }
        return _mm512_or_si512(rounded, _mm512_srl_epi32(negative, _mm_cvtsi32_si128(sign_shift)));
    }
};

template <bool codes, bool signed_zero, typename Out>
static void nearest512(const Cast &c, uint32_t floor_bits, uint32_t add_bits, uint32_t clamp_bits, uint32_t base,
                       uint32_t max_value_bits, const float *in, Out *out, int64_t n) {
    const Spread s = Spread::of<codes>(c, max_value_bits);
    const __m512i floor = spread32(floor_bits), add = spread32(add_bits), clamp = spread32(clamp_bits);
    const __m512i start = spread32(base), exponent_mask = spread32(0x7F800000), size = spread32(0x7FFFFFFF);
    const __m128i drop = _mm_cvtsi32_si128(23 - c.significand_bits);
    each512(in, out, n, [&](__m512i bits, int64_t, __mmask16) __attribute__((always_inline)) {
        const __m512i magnitude = _mm512_and_si512(bits, size);
        const __m512i held = _mm512_min_epu32(magnitude, clamp);
        const __m512i step = _mm512_max_epu32(_mm512_and_si512(held, exponent_mask), floor);
        const __m512 magic = _mm512_castsi512_ps(_mm512_add_epi32(step, add));
        const __m512 raised = _mm512_add_ps(_mm512_castsi512_ps(held), magic);
        __m512i rounded;
        if (codes)
            rounded = _mm512_add_epi32(
                _mm512_sub_epi32(_mm512_castps_si512(raised), _mm512_castps_si512(magic)),
                _mm512_sub_epi32(_mm512_srl_epi32(step, drop), start));
        else
            rounded = _mm512_castps_si512(_mm512_sub_ps(raised, magic));
        return s.finished<signed_zero>(rounded, bits, magnitude);
    });
}

// random[i] holds c.random_bits bits for element i.
template <bool codes, bool signed_zero, typename Out>
static void stochastic512(const Cast &c, uint32_t max_value_bits, const float *in, Out *out, int64_t n,
                          const uint32_t *random) {
    const Spread s = Spread::of<codes>(c, max_value_bits);
    const __m512i size = spread32(0x7FFFFFFF), one = spread32(1), zero = _mm512_setzero_si512();
    const __m512i fraction = spread32(0x7FFFFF), hidden = spread32(0x800000);
    const __m512i floor = spread32((uint32_t)(c.emin + 127)), usual = spread32((uint32_t)(23 - c.significand_bits));
    const __m512i width = spread32(32), m = spread32((uint32_t)c.significand_bits);
    const __m512i limit = spread32(c.random_bits == 32 ? 0xFFFFFFFFu : (1u << c.random_bits) - 1);
    const __m128i unused = _mm_cvtsi32_si128(32 - c.random_bits);
    each512(in, out, n, [&](__m512i bits, int64_t i, __mmask16 lanes) __attribute__((always_inline)) {
        const __m512i r = _mm512_maskz_loadu_epi32(lanes, random + i);
        const __m512i magnitude = _mm512_and_si512(bits, size);
        const __m512i field = _mm512_srli_epi32(magnitude, 23);
        const __mmask16 normal = _mm512_test_epi32_mask(field, field);
        __m512i significand = _mm512_and_si512(magnitude, fraction);
        significand = _mm512_mask_or_epi32(significand, normal, significand, hidden);
        const __m512i own = _mm512_max_epu32(field, one);
        const __m512i kept_field = _mm512_max_epu32(own, floor);
        const __m512i shift = _mm512_add_epi32(usual, _mm512_sub_epi32(kept_field, own));
        // Counts outside 0..31 shift everything out.
        const __m512i kept = _mm512_srlv_epi32(significand, shift);
        const __m512i below = _mm512_or_si512(_mm512_sllv_epi32(significand, _mm512_sub_epi32(width, shift)),
                                              _mm512_srlv_epi32(significand, _mm512_sub_epi32(shift, width)));
        const __m512i part = _mm512_srl_epi32(below, unused);
        const __mmask16 up = _mm512_cmpgt_epu32_mask(part, _mm512_sub_epi32(limit, r));
        const __m512i whole = _mm512_mask_add_epi32(kept, up, kept, one);
        __m512i rounded;
        if (codes) {
            const __m512i binades = _mm512_sub_epi32(kept_field, floor);
            rounded = _mm512_add_epi32(_mm512_sllv_epi32(binades, m), whole);
        } else {
            const __m512i scale = _mm512_slli_epi32(_mm512_sub_epi32(kept_field, m), 23);
            rounded = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(whole), _mm512_castsi512_ps(scale)));
            rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmpgt_epu32_mask(magnitude, s.special), zero);
        }
        return s.finished<signed_zero>(rounded, bits, magnitude);
    });
}

// bf16 with IEEE overflow: the upper halves of what adding the rounding makes of fp32's bits.
static inline __m512i bf16_of(__m512i bits, __m512i sum) {
    const __m512i size = spread32(0x7FFFFFFF), special = spread32(0x7F800000);
    const __m512i magnitude = _mm512_and_si512(bits, size);
    const __m512i nan = _mm512_or_si512(_mm512_andnot_si512(size, bits), spread32(0x7FC00000));
    sum = _mm512_mask_mov_epi32(sum, _mm512_cmpeq_epu32_mask(magnitude, special), bits);
    return _mm512_mask_mov_epi32(sum, _mm512_cmpgt_epu32_mask(magnitude, special), nan);
}

// 32 elements from their bits and the sums; `any` tells whether some are infinite or NaN.
static inline void put_bf16(uint16_t *out, __m512i bits0, __m512i bits1, __m512i sum0, __m512i sum1, bool any) {
    if (__builtin_expect(any, 0)) sum0 = bf16_of(bits0, sum0), sum1 = bf16_of(bits1, sum1);
    const __m512i upper = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                                           25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi16(sum0, upper, sum1));
}
static inline void put_bf16(uint32_t *out, __m512i bits0, __m512i bits1, __m512i sum0, __m512i sum1, bool any) {
    if (__builtin_expect(any, 0)) sum0 = bf16_of(bits0, sum0), sum1 = bf16_of(bits1, sum1);
    const __m512i upper = spread32(0xFFFF0000);
    _mm512_storeu_si512(out, _mm512_and_si512(sum0, upper));
    _mm512_storeu_si512(out + 16, _mm512_and_si512(sum1, upper));
}
static inline void put_bf16(uint8_t *, __m512i, __m512i, __m512i, __m512i, bool) {}  // bf16 has no such codes

// Elements [0, n), n a multiple of 32, to nearest-even.
template <typename Out>
static void bf16_nearest512(const float *in, Out *out, int64_t n) {
    const __m512i below = spread32(0x7FFF), one = spread32(1);
    const auto sum = [&](__m512i bits) {
        return _mm512_add_epi32(_mm512_add_epi32(bits, below), _mm512_and_si512(_mm512_srli_epi32(bits, 16), one));
    };
    for (int64_t i = 0; i < n; i += 32) {
        const __m512i x = _mm512_loadu_si512(in + i), y = _mm512_loadu_si512(in + i + 16);
        // Infinities come out right by the addition; a comparison finds NaN in either.
        const bool any = _mm512_cmp_ps_mask(_mm512_castsi512_ps(x), _mm512_castsi512_ps(y), _CMP_UNORD_Q);
        put_bf16(out + i, x, y, sum(x), sum(y), any);
    }
}

// Groups of 128 elements, 16 random bits each, added below the kept bits.
template <int rounds, int count, typename Out>
static inline void bf16_stochastic512(const Cast &c, const float *in, Out *out, uint64_t element) {
    alignas(64) uint32_t words[64 * count];
    philox_groups<rounds, count>(element / 128 * 16, c.tensor, c.step, c.seed_low, c.seed_high, words);
    const __m512i low = spread32(0xFFFF), special = spread32(0x7F800000);
#pragma GCC unroll 4
    for (int w = 0; w < 4 * count; ++w) {
        const __m512i x = _mm512_loadu_si512(in + 32 * w), y = _mm512_loadu_si512(in + 32 * w + 16);
        const __m512i r = _mm512_load_si512(words + 16 * w);
        const __mmask16 any = _mm512_cmpeq_epi32_mask(_mm512_and_si512(x, special), special) |
                              _mm512_cmpeq_epi32_mask(_mm512_and_si512(y, special), special);
        put_bf16(out + 32 * w, x, y, _mm512_add_epi32(x, _mm512_and_si512(r, low)),
                 _mm512_add_epi32(y, _mm512_srli_epi32(r, 16)), any);
    }
}

// The values of 256 codes as bf16.
struct Codes {
    __m512i part[8];
    bool fits;  // whether every value is one of bf16

    explicit Codes(const float *values) {
        __m512i lost = _mm512_setzero_si512();
        for (int i = 0; i < 8; ++i) {
            const __m512i low = _mm512_loadu_si512(values + 32 * i), high = _mm512_loadu_si512(values + 32 * i + 16);
            lost = _mm512_or_si512(lost, _mm512_or_si512(low, high));
            part[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(_mm512_srli_epi32(low, 16))),
                                         _mm512_cvtepi32_epi16(_mm512_srli_epi32(high, 16)), 1);
        }
        fits = !_mm512_test_epi32_mask(lost, _mm512_set1_epi32(0xFFFF));
    }

    // One value for each 16-bit lane, which holds a code.
    __m512i operator()(__m512i code) const {
        const __mmask32 second = _mm512_test_epi16_mask(code, _mm512_set1_epi16(64));
        const __mmask32 upper = _mm512_test_epi16_mask(code, _mm512_set1_epi16(128));
        const __m512i low = _mm512_mask_mov_epi16(_mm512_permutex2var_epi16(part[0], code, part[1]), second,
                                                  _mm512_permutex2var_epi16(part[2], code, part[3]));
        const __m512i high = _mm512_mask_mov_epi16(_mm512_permutex2var_epi16(part[4], code, part[5]), second,
                                                   _mm512_permutex2var_epi16(part[6], code, part[7]));
        return _mm512_mask_mov_epi16(low, upper, high);
    }
};

}  // namespace ANYCHIP_PATH
#endif
