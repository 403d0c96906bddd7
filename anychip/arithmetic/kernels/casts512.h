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
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = n - i >= 16 ? 0xFFFF : (__mmask16)((1u << (n - i)) - 1);
        const __m512i bits = _mm512_maskz_loadu_epi32(lanes, in + i);
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
        put(out + i, s.finished<signed_zero>(rounded, bits, magnitude), lanes);
    }
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
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 lanes = n - i >= 16 ? 0xFFFF : (__mmask16)((1u << (n - i)) - 1);
        const __m512i bits = _mm512_maskz_loadu_epi32(lanes, in + i);
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
        put(out + i, s.finished<signed_zero>(rounded, bits, magnitude), lanes);
    }
}

}  // namespace ANYCHIP_PATH
#endif
