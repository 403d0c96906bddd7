// Philox4x32 for whole groups of 16 counters; layout in anychip/formats/randomness.py.
#pragma once
#include <cstdint>

namespace ANYCHIP_PATH {

constexpr uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;

#if defined(__AVX512F__)
// `count` groups side by side, 64 words each: one alone leaves the multipliers waiting for its chain of rounds.
template <int rounds, int count>
static inline void philox_groups(uint64_t first_block, uint32_t tensor, uint32_t step, uint32_t key0, uint32_t key1,
                                 uint32_t *words) {
    __m512i c0[2 * count], c1[2 * count], c2[2 * count], c3[2 * count];
    const __m512i iota = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i m0 = _mm512_set1_epi64(kMultiplier0), m1 = _mm512_set1_epi64(kMultiplier1);
#pragma GCC unroll 8
    for (int h = 0; h < 2 * count; ++h) {
        const uint64_t block = first_block + 8 * h;
        // The high halves of the 64-bit lanes may hold anything: multiplication ignores them.
        c0[h] = _mm512_add_epi64(_mm512_set1_epi64((int64_t)(block & 0xFFFFFFFFu)), iota);
        c1[h] = _mm512_set1_epi64((int64_t)(block >> 32));
        c2[h] = _mm512_set1_epi64(tensor);
        c3[h] = _mm512_set1_epi64(step);
    }
#pragma GCC unroll 10
    for (int r = 0; r < rounds; ++r) {
        const __m512i k0 = _mm512_set1_epi64(key0), k1 = _mm512_set1_epi64(key1);
#pragma GCC unroll 8
        for (int h = 0; h < 2 * count; ++h) {
            const __m512i p0 = _mm512_mul_epu32(c0[h], m0), p1 = _mm512_mul_epu32(c2[h], m1);
            c0[h] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1[h], k0, 0x96);
            c1[h] = p1;
            c2[h] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3[h], k1, 0x96);
            c3[h] = p0;
        }
        key0 += kWeyl0;
        key1 += kWeyl1;
    }
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
#pragma GCC unroll 8
    for (int g = 0; g < count; ++g) {
        const int h = 2 * g;
        _mm512_storeu_si512(words + 64 * g, _mm512_permutex2var_epi32(c0[h], even, c0[h + 1]));
        _mm512_storeu_si512(words + 64 * g + 16, _mm512_permutex2var_epi32(c1[h], even, c1[h + 1]));
        _mm512_storeu_si512(words + 64 * g + 32, _mm512_permutex2var_epi32(c2[h], even, c2[h + 1]));
        _mm512_storeu_si512(words + 64 * g + 48, _mm512_permutex2var_epi32(c3[h], even, c3[h + 1]));
    }
}
#endif

// words[16 w + l] = word w of block first_block + l, l = 0..15. first_block is a multiple of 16.
template <int rounds>
static inline void philox_group(uint64_t first_block, uint32_t tensor, uint32_t step, uint32_t key0, uint32_t key1,
                                uint32_t *words) {
#if defined(__AVX512F__)
    philox_groups<rounds, 1>(first_block, tensor, step, key0, key1, words);
#else
    uint64_t c0[16], c1[16], c2[16], c3[16];
    for (int l = 0; l < 16; ++l) {
        c0[l] = (first_block & 0xFFFFFFFFu) + l;
        c1[l] = first_block >> 32;
        c2[l] = tensor;
        c3[l] = step;
    }
    for (int r = 0; r < rounds; ++r) {
        for (int l = 0; l < 16; ++l) {
            const uint64_t p0 = (c0[l] & 0xFFFFFFFFu) * kMultiplier0, p1 = (c2[l] & 0xFFFFFFFFu) * kMultiplier1;
            c0[l] = (p1 >> 32) ^ c1[l] ^ key0;
            c1[l] = p1;
            c2[l] = (p0 >> 32) ^ c3[l] ^ key1;
            c3[l] = p0;
        }
        key0 += kWeyl0;
        key1 += kWeyl1;
    }
    for (int l = 0; l < 16; ++l) {
        words[l] = (uint32_t)c0[l];
        words[16 + l] = (uint32_t)c1[l];
        words[32 + l] = (uint32_t)c2[l];
        words[48 + l] = (uint32_t)c3[l];
    }
#endif
}

}  // namespace ANYCHIP_PATH
