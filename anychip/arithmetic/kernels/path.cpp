// One instruction set path; compiled once per path with ANYCHIP_PATH naming it.
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "casts.h"
#include "core.h"
#include "curves.h"
#include "fused.h"
#include "products.h"
#include "regions.h"
#include "sums.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

namespace ANYCHIP_PATH {

// The vector fused multiply-add and conversions against their definitions, on operands that tell them apart.
static int probe() {
    float a[W], b[W], c[W], got[W];
    uint32_t state = 12345;
    const auto next = [&] { return state = state * 1664525u + 1013904223u; };
    for (int round = 0; round < 512; ++round) {
        for (int l = 0; l < W; ++l) {
            // Exponents near each other, so that cancellation and the last bit matter; now and then tiny ones.
            const uint32_t centre = round % 8 == 7 ? 64u : 127u;
            a[l] = float_of((next() & 0x807FFFFF) | (centre - 4 + (next() >> 29)) << 23);
            b[l] = float_of((next() & 0x807FFFFF) | (centre - 4 + (next() >> 29)) << 23);
            const float product = a[l] * b[l];
            c[l] = round % 2 ? -product : float_of((next() & 0x807FFFFF) | (centre - 4 + (next() >> 29)) << 23);
        }
        store(got, fused(load(a), load(b), load(c)));
        for (int l = 0; l < W; ++l) {
            const double exact = odd_sum((double)a[l] * (double)b[l], (double)c[l]);
            if (bits_of((float)exact) != bits_of(got[l])) return 0;
        }
    }
    return 1;
}

#if defined(__AVX512BF16__)
constexpr int kPairs = 1;

// The pair instruction against the chain it stands for, within the range in which `Pairs` uses it: products and
// accumulators are multiples of 2^-126; overflow on the way, infinite and NaN accumulators, zeros of both signs.
static int probe_pairs() {
    uint32_t a[W], b[W], c[W], got[W];
    uint32_t state = 54321;
    const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
    const auto half = [&](uint32_t low, uint32_t high) {
        return next() % 16 == 0 ? (next() & 1) << 15 : (next() & 1) << 15 | (low + next() % (high - low + 1)) << 7 | (next() & 0x7F);
    };
    const uint32_t special[] = {0, 0x80000000, 0x7F800000, 0xFF800000, 0xFFC00000, 24u << 23, 0x7F7FFFFF, 0xFF7FFFFF};
    for (int round = 0; round < 2048; ++round) {
        const uint32_t low = round % 4 == 0 ? 71 : round % 4 == 1 ? 124 : round % 4 == 2 ? 185 : 240;
        const uint32_t high = low + (round % 4 == 3 ? 14 : 6);
        for (int l = 0; l < W; ++l) {
            a[l] = half(low, high) << 16 | half(low, high);
            b[l] = half(low, high) << 16 | half(low, high);
            const float product = float_of(a[l] & 0xFFFF0000) * float_of(b[l] & 0xFFFF0000);
            c[l] = next() % 8 == 0   ? special[next() % 8]
                   : next() % 2 == 0 ? bits_of(-product)
                                     : (next() & 1) << 31 | (24 + next() % 231) << 23 | next() % (1u << 23);
            if ((c[l] & 0x7FFFFFFF) > 0x7F800000) c[l] = 0xFFC00000;
        }
        const __m512bh left = (__m512bh)_mm512_loadu_si512(a), right = (__m512bh)_mm512_loadu_si512(b);
        _mm512_storeu_si512(got, _mm512_castps_si512(_mm512_dpbf16_ps(_mm512_castsi512_ps(_mm512_loadu_si512(c)), left, right)));
        for (int l = 0; l < W; ++l) {
            float sum = float_of(c[l]);
            for (const uint32_t mask : {0xFFFF0000u, 0x0000FFFFu}) {
                const int up = mask & 1 ? 16 : 0;
                sum = (float)odd_sum((double)float_of((a[l] & mask) << up) * (double)float_of((b[l] & mask) << up), sum);
            }
            if (bits_of(sum) != got[l] && !(sum != sum && got[l] == 0xFFC00000)) return 0;
        }
    }
    return 1;
}
#else
constexpr int kPairs = 0;
static int probe_pairs() { return 1; }
#endif

}  // namespace ANYCHIP_PATH

extern "C" const Path JOIN(anychip_path_, ANYCHIP_PATH) = {
    TEXT(ANYCHIP_PATH),
    ANYCHIP_PATH::to_values,
    ANYCHIP_PATH::to_codes8,
    ANYCHIP_PATH::to_codes16,
    ANYCHIP_PATH::decode8,
    ANYCHIP_PATH::decode16,
    ANYCHIP_PATH::stream,
    ANYCHIP_PATH::product,
    ANYCHIP_PATH::R,
    ANYCHIP_PATH::kColumns,
    ANYCHIP_PATH::sum,
    ANYCHIP_PATH::curve,
    ANYCHIP_PATH::fused_run,
    [] { return (int)(ANYCHIP_PATH::probe() && ANYCHIP_PATH::probe_pairs()); },
    ANYCHIP_PATH::kPairs,
};
