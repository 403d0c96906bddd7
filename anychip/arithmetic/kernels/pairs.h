// Products of operands that hold bf16 values, two steps of the chain an instruction. `vdpbf16ps` adds the product
// of the high halves first and that of the low halves second, each as a fused multiply-add, but flushes what is
// subnormal; so the earlier step goes into the high half, and panels in which a subnormal could arise take
// ordinary multiply-adds instead.
#pragma once
#include <vector>

#include "products.h"
#if defined(__AVX512BF16__)

namespace ANYCHIP_PATH {

// How an operand becomes bf16: it is stored so, it is fp32 that holds it, it is fp32 to be rounded, it is a code.
enum Source { HELD, CUT, ROUNDED, LOOKED };

static inline __m512i rounded_to_bf16(__m512i bits) {
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFF));
    const __m512i rounded = _mm512_srli_epi32(sum, 16);
    const __mmask16 nan = _mm512_cmpgt_epu32_mask(_mm512_and_si512(bits, _mm512_set1_epi32(0x7FFFFFFF)),
                                                  _mm512_set1_epi32(0x7F800000));
    const __m512i sign = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x8000));
    return _mm512_mask_or_epi32(rounded, nan, sign, _mm512_set1_epi32(0x7FC0));
}

template <int source>
constexpr int64_t kSourceBytes = source == LOOKED ? 1 : source == HELD ? 2 : 4;

// 16 neighbours, one in the low half of each 32-bit lane; absent ones are 0.
template <int source>
static inline __m512i halves(const Codes *codes, const char *at, __mmask16 lanes) {
    if (source == HELD) return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, at));
    if (source == CUT) return _mm512_srli_epi32(_mm512_maskz_loadu_epi32(lanes, at), 16);
    if (source == ROUNDED) return rounded_to_bf16(_mm512_maskz_loadu_epi32(lanes, at));
    const __m512i code = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, at));
    return _mm512_and_si512((*codes)(code), _mm512_maskz_set1_epi32(lanes, 0xFFFF));
}

// 32 neighbours as 16 pairs, the earlier one in the high half; absent ones are 0.
template <int source>
static inline __m512i pairs(const Codes *codes, const char *at, __mmask32 lanes) {
    __m512i both;
    if (source == HELD) {
        both = _mm512_maskz_loadu_epi16(lanes, at);
    } else if (source == LOOKED) {
        both = _mm512_maskz_mov_epi16(lanes, (*codes)(_mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(lanes, at))));
    } else {
        const __m512i low = halves<source>(codes, at, (__mmask16)lanes);
        const __m512i high = halves<source>(codes, at + 64, (__mmask16)(lanes >> 16));
        both = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)), _mm512_cvtepi32_epi16(high), 1);
    }
    return _mm512_rol_epi32(both, 16);
}

// packed[s * width + i] = elements 2 s (high) and 2 s + 1 (low) of x[base + i * across + k * along], i < count,
// zeros beyond; an element beyond an odd depth is `pad`, which makes a zero product that changes no sum.
template <int source>
static void pack_pairs(const Matrix &x, const Codes *codes, int64_t base, int64_t across, int64_t along,
                       int64_t count, int64_t depth, int64_t width, uint32_t pad, float *packed) {
    constexpr int64_t size = kSourceBytes<source>;
    const char *from = static_cast<const char *>(x.data) + base * size;
    const int64_t steps = (depth + 1) / 2;
    if (across == 1) {
        for (int64_t i = 0; i < width; i += 16) {
            const int64_t here = std::min<int64_t>(16, std::max<int64_t>(0, count - i));
            const __mmask16 lanes = (__mmask16)((1u << here) - 1);
            const __mmask16 all = width - i >= 16 ? 0xFFFF : (__mmask16)((1u << (width - i)) - 1);
            const char *at = from + i * size;
            for (int64_t s = 0; s < steps; ++s) {
                const char *early = at + 2 * s * along * size;
                const __m512i high = _mm512_slli_epi32(halves<source>(codes, early, lanes), 16);
                const __m512i low = 2 * s + 1 < depth ? halves<source>(codes, early + along * size, lanes)
                                                      : _mm512_setzero_si512();
                _mm512_mask_storeu_epi32(packed + s * width + i, all, _mm512_or_si512(high, low));
            }
        }
    } else if (along == 1) {
        alignas(64) float staged[16 * 16];
        for (int64_t i = 0; i < width; i += 16) {
            const int64_t wide = std::min<int64_t>(16, width - i);  // 16 or P
            const int64_t here = std::min(wide, std::max<int64_t>(0, count - i));
            for (int64_t k = 0; k < depth; k += 32) {
                const int64_t left = depth - k;
                const char *at = from + (i * across + k) * size;
                float *out = packed + k / 2 * width + i;
                if (source == HELD && here == wide && left >= 32 && !(across & 1)) {
                    const float *in = reinterpret_cast<const float *>(at);
                    (wide == 16 ? transpose16<true> : transpose8<true>)(in, across / 2, out, width);
                    continue;
                }
                const __mmask32 lanes = left >= 32 ? 0xFFFFFFFF : (__mmask32)((1u << left) - 1);
                for (int64_t row = 0; row < here; ++row)
                    _mm512_store_si512(staged + 16 * row, pairs<source>(codes, at + row * across * size, lanes));
                for (int64_t row = here; row < wide; ++row)
                    _mm512_store_si512(staged + 16 * row, _mm512_setzero_si512());
                if (left >= 31) {
                    (wide == 16 ? transpose16<> : transpose8<>)(staged, 16, out, width);
                } else {
                    for (int64_t s = 0; s < (left + 1) / 2; ++s)
                        for (int64_t row = 0; row < wide; ++row) out[s * width + row] = staged[16 * row + s];
                }
            }
        }
    } else {
        const auto one = [&](int64_t i, int64_t k) -> uint32_t {
            const char *at = from + (i * across + k * along) * size;
            return (uint32_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(halves<source>(codes, at, 1)));
        };
        uint32_t *out = reinterpret_cast<uint32_t *>(packed);
        for (int64_t s = 0; s < steps; ++s)
            for (int64_t i = 0; i < width; ++i) {
                uint32_t pair = 0;
                if (i < count) pair = one(i, 2 * s) << 16 | (2 * s + 1 < depth ? one(i, 2 * s + 1) : 0);
                out[s * width + i] = pair;
            }
    }
    if (pad && depth % 2) {
        uint32_t *last = reinterpret_cast<uint32_t *>(packed) + (steps - 1) * width;
        for (int64_t i = 0; i < width; ++i) last[i] |= pad;
    }
}

constexpr int kAnything = 1000;  // lowest exponent of a panel of zeros
constexpr int kUnfit = -1000;    // of a panel with a subnormal, an infinity or NaN

// The lowest exponent field of a packed panel. Products of two panels, and all their sums, are multiples of
// 2^(the two fields - 254 - 14); where that is 2^-126 or more, nothing on the way is subnormal or tiny.
static int lowest_exponent(const float *packed, int64_t count) {
    const __m512i size = _mm512_set1_epi16(0x7FFF), one = _mm512_set1_epi16(1);
    __m512i least = _mm512_set1_epi16(-1), most = _mm512_setzero_si512();
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 lanes = count - i >= 16 ? 0xFFFF : (__mmask16)((1u << (count - i)) - 1);
        const __m512i magnitude = _mm512_and_si512(_mm512_maskz_loadu_epi32(lanes, packed + i), size);
        most = _mm512_max_epu16(most, magnitude);
        least = _mm512_min_epu16(least, _mm512_sub_epi16(magnitude, one));  // a zero becomes the largest
    }
    alignas(64) uint16_t low[32], high[32];
    _mm512_store_si512(low, least);
    _mm512_store_si512(high, most);
    const int smallest = *std::min_element(low, low + 32), largest = *std::max_element(high, high + 32);
    if (largest == 0) return kAnything;
    return largest >= 0x7F80 || smallest + 1 < 0x80 ? kUnfit : (smallest + 1) >> 7;
}

constexpr int kFitting = 254 + 14 - 126;  // two fields that add up to this are fit for the instruction

// Whether accumulators so far are 0 or finite multiples of 2^-126.
static bool fits_start(const float *c, int64_t rows, int64_t columns, int64_t stride) {
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; j += 16) {
            const __mmask16 lanes = columns - j >= 16 ? 0xFFFF : (__mmask16)((1u << (columns - j)) - 1);
            const __m512i magnitude = _mm512_and_si512(_mm512_maskz_loadu_epi32(lanes, c + i * stride + j),
                                                       _mm512_set1_epi32(0x7FFFFFFF));
            const __m512i above = _mm512_sub_epi32(magnitude, _mm512_set1_epi32(24 << 23));
            if (_mm512_mask_cmpge_epu32_mask(_mm512_test_epi32_mask(magnitude, magnitude), above,
                                             _mm512_set1_epi32((255 - 24) << 23)))
                return false;
        }
    return true;
}

struct PairStep {
    template <int rows>
    static inline __attribute__((always_inline)) void step(const float *a, const float *b, Vector (&sum)[rows][V]) {
        __m512bh right[V];
#pragma GCC unroll 3
        for (int j = 0; j < V; ++j) right[j] = (__m512bh)load(b + j * W);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            const __m512bh left = (__m512bh)spread(a[i]);
#pragma GCC unroll 3
            for (int j = 0; j < V; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], left, right[j]);
        }
    }
};

struct ExactPairStep {
    static inline Vector high(Vector x) {
        return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32((int)0xFFFF0000)));
    }
    static inline Vector low(Vector x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 16)); }

    template <int rows>
    static inline __attribute__((always_inline)) void step(const float *a, const float *b, Vector (&sum)[rows][V]) {
        Vector early[V], late[V];
#pragma GCC unroll 3
        for (int j = 0; j < V; ++j) early[j] = high(load(b + j * W)), late[j] = low(load(b + j * W));
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            const Vector left = spread(a[i]);
#pragma GCC unroll 3
            for (int j = 0; j < V; ++j) sum[i][j] = fused(low(left), late[j], fused(high(left), early[j], sum[i][j]));
        }
    }
};

struct PairOperand {
    const Matrix &x;
    int source;
    Codes codes;

    PairOperand(const Matrix &matrix, int narrow)
        : x(matrix),
          source(matrix.kind == BF16 ? HELD : matrix.kind == CODE8 ? LOOKED : narrow == HOLDS_BF16 ? CUT : ROUNDED),
          codes(matrix.kind == CODE8 ? matrix.table : kZeros) {}

    static constexpr float kZeros[256] = {};

    void pack(int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth, int64_t width, uint32_t pad,
              float *packed) const {
        switch (source) {
            case HELD: return pack_pairs<HELD>(x, &codes, base, across, along, count, depth, width, pad, packed);
            case CUT: return pack_pairs<CUT>(x, &codes, base, across, along, count, depth, width, pad, packed);
            case LOOKED: return pack_pairs<LOOKED>(x, &codes, base, across, along, count, depth, width, pad, packed);
            default: return pack_pairs<ROUNDED>(x, &codes, base, across, along, count, depth, width, pad, packed);
        }
    }
};

// The two operands of a product as packed pairs, and which step serves each pair of panels.
struct Pairs {
    static constexpr int64_t kPer = 2;  // steps of the chain in one packed place
    PairOperand left, right;
    bool chained;  // whether accumulators enter the chain
    std::vector<int> &left_low, &right_low;  // lowest exponents of the panels
    std::vector<char> &ordinary;             // tiles whose accumulators may hold anything
    int64_t tiles_across = 0;

    explicit Pairs(const Product *p)
        : left(p->left, p->narrow_operands), right(p->right, p->narrow_operands), chained(p->order == SEQUENTIAL),
          left_low(kept().left_low), right_low(kept().right_low), ordinary(kept().ordinary) {}

    // What stays allocated from one product to the next.
    struct Kept {
        std::vector<int> left_low, right_low;
        std::vector<char> ordinary;
    };
    static Kept &kept() {
        static thread_local Kept vectors;
        return vectors;
    }

    static bool serves(const Product *p) {
        const auto narrow = [&](const Matrix &x) {
            if (x.kind == CODE8) return Codes(x.table).fits;
            return x.kind == BF16 || (x.kind == FP32 && p->narrow_operands != AS_STORED);
        };
        return (p->order == SEQUENTIAL || (p->order == TILES && p->length % 2 == 0)) && narrow(p->left) &&
               narrow(p->right);
    }

    void begin(int64_t rows, int64_t left_panels, int64_t right_panels, int64_t columns_across) {
        left_low.resize((size_t)left_panels);
        right_low.resize((size_t)right_panels);
        tiles_across = columns_across;
        ordinary.assign((size_t)(chained ? (rows + R - 1) / R * tiles_across : 0), 0);
    }
    void pack_left(int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth, float *packed,
                   int64_t panel) {
        left.pack(base, across, along, count, depth, P, 0x8000, packed);
        left_low[(size_t)panel] = lowest_exponent(packed, (depth + 1) / 2 * P);
    }
    void pack_right(int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth, float *packed,
                    int64_t panel) {
        right.pack(base, across, along, count, depth, kColumns, 0, packed);
        right_low[(size_t)panel] = lowest_exponent(packed, (depth + 1) / 2 * kColumns);
    }
    void start(int64_t row, int64_t column, const float *c, int64_t rows, int64_t columns, int64_t stride) {
        if (chained && !fits_start(c, rows, columns, stride)) ordinary[(size_t)(row * tiles_across + column)] = 1;
    }
    void block(int64_t left_panel, int64_t right_panel, int64_t row, int64_t column, int64_t tile, bool first,
               int64_t rows, int64_t steps, const float *a, const float *b, float *c, int64_t stride, Soon &soon) {
        char untold = 0;
        char &anything = chained ? ordinary[(size_t)(row * tiles_across + column)] : untold;
        if (left_low[(size_t)left_panel] + right_low[(size_t)right_panel] < kFitting) anything = 1;
        const auto work = anything ? micro_block<ExactPairStep> : micro_block<PairStep>;
        work(tile / 2, first, rows, steps, a, b, c, stride, soon);
    }
};

}  // namespace ANYCHIP_PATH
#endif
