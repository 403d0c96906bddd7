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
#include "products.h"
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

}  // namespace ANYCHIP_PATH

extern "C" const Path JOIN(anychip_path_, ANYCHIP_PATH) = {
    TEXT(ANYCHIP_PATH),
    ANYCHIP_PATH::to_values,
    ANYCHIP_PATH::to_codes8,
    ANYCHIP_PATH::to_codes16,
    ANYCHIP_PATH::decode8,
    ANYCHIP_PATH::decode16,
    ANYCHIP_PATH::product,
    ANYCHIP_PATH::R,
    ANYCHIP_PATH::kColumns,
    ANYCHIP_PATH::sum,
    ANYCHIP_PATH::curve,
    ANYCHIP_PATH::probe,
};
