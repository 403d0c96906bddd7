// Curves in double precision, operation by operation as anychip/arithmetic/specified.py, rounded once to fp32.
#pragma once
#include <cmath>
#include <cstring>

#include "casts.h"
#include "core.h"

namespace ANYCHIP_PATH {

// Inlined always: a loop with a call in it is not vectorised.
#define INLINE static inline __attribute__((always_inline))

constexpr double kLog2E = 0x1.71547652b82fep+0, kLog10E = 0x1.bcb7b1526e50ep-2, kLn2 = 0x1.62e42fefa39efp-1;
constexpr double kTwoPi = 0x1.45f306dc9c883p-1, kHalfPi = 0x1.921fb54442d18p+0, kSqrtHalf = 0x1.6a09e667f3bcdp-1;
constexpr double kSqrt8OverPi = 0x1.9884533d43651p+0, kMagic = 6755399441055744.0, kInfinity = HUGE_VAL;
constexpr double kLn2High = 0x1.62e42fef00000p-1, kLn2Low = 0x1.473de6af278edp-34;
// pi / 2 in three parts, the first two of 33 bits.
constexpr double kPi2[] = {
    0x1.921fb54400000p+0, 0x1.0b4611a600000p-34, 0x1.3198a2e037073p-69
};
// 2 / pi, binary point in front, 320 bits.
constexpr uint64_t kTwoOverPi[] = {0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0};
// exp(r) - 1 - r, from r**2 on: 1 / n!.
constexpr double kExp[] = {
    0x1.0000000000000p-1, 0x1.5555555555555p-3, 0x1.5555555555555p-5, 0x1.1111111111111p-7, 0x1.6c16c16c16c17p-10,
    0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-16, 0x1.71de3a556c734p-19, 0x1.27e4fb7789f5cp-22,
    0x1.ae64567f544e4p-26, 0x1.1eed8eff8d898p-29, 0x1.6124613a86d09p-33
};
// log((1 + s) / (1 - s)) - 2 s, from s**3 on: 2 / (2 k + 1).
constexpr double kLog[] = {
    0x1.5555555555555p-1, 0x1.999999999999ap-2, 0x1.2492492492492p-2, 0x1.c71c71c71c71cp-3, 0x1.745d1745d1746p-3,
    0x1.3b13b13b13b14p-3, 0x1.1111111111111p-3, 0x1.e1e1e1e1e1e1ep-4, 0x1.af286bca1af28p-4, 0x1.8618618618618p-4,
    0x1.642c8590b2164p-4
};
// sin(r) - r, from r**3 on.
constexpr double kSin[] = {
    -0x1.5555555555555p-3, 0x1.1111111111111p-7, -0x1.a01a01a01a01ap-13, 0x1.71de3a556c734p-19,
    -0x1.ae64567f544e4p-26, 0x1.6124613a86d09p-33, -0x1.ae7f3e733b81fp-41, 0x1.952c77030ad4ap-49,
    -0x1.2f49b46814157p-57
};
// cos(r) - 1, from r**2 on.
constexpr double kCos[] = {
    -0x1.0000000000000p-1, 0x1.5555555555555p-5, -0x1.6c16c16c16c17p-10, 0x1.a01a01a01a01ap-16,
    -0x1.27e4fb7789f5cp-22, 0x1.1eed8eff8d898p-29, -0x1.93974a8c07c9dp-37, 0x1.ae7f3e733b81fp-45,
    -0x1.6827863b97d97p-53
};
// erf(x) from x on, odd powers (Abramowitz and Stegun 7.1.5).
constexpr double kErf[] = {
    0x1.20dd750429b6dp+0, -0x1.812746b0379e7p-2, 0x1.ce2f21a042be2p-4, -0x1.b82ce31288b51p-6,
    0x1.565bcd0e6a53fp-8, -0x1.c02db40040b86p-11, 0x1.f9a326f9b89b7p-14, -0x1.f4d25c3e0c2ebp-17,
    0x1.b9e6c9dc651a3p-20, -0x1.5f742ec43e71ap-23, 0x1.fcc5720624c1cp-27, -0x1.51d7181c5d36dp-30,
    0x1.9e6ad5e55a730p-34, -0x1.d8453cb0c46eap-38, 0x1.f683ae4a97007p-42, -0x1.f56f071a885cfp-46,
    0x1.d70b3537f4765p-50, -0x1.a2007af3447f6p-54, 0x1.5f7919bc67b8cp-58, -0x1.18cc8a061c479p-62
};
// Chebyshev coefficients of exp(x**2) erfc(x) (1 + 2 x) in t = (x - 4) / (x + 4).
constexpr double kErfcx[] = {
    0x1.2d6f89fde5d31p+0, -0x1.dbd7f406f0499p-8, -0x1.4cdca869ad5c3p-4, 0x1.ec465395e4195p-5,
    -0x1.d71abf3cb584ep-6, 0x1.5b32ddd011bcbp-7, -0x1.9b29d047b35d8p-9, 0x1.86ef5f940a354p-11,
    -0x1.1f3f05651159ap-13, 0x1.204c1fa3be6c7p-16, -0x1.804fd072268f5p-21, -0x1.04813a1b8a43fp-22,
    0x1.df061781becebp-25, -0x1.216acaa8bc356p-29, -0x1.421950d8f4eb9p-30, 0x1.a3fa2e79e6f6fp-33,
    0x1.efb3e31573494p-37, -0x1.e59f50c0d2d6dp-38, 0x1.9ce35d0f40046p-44, 0x1.e31cd1e32d8e2p-43,
    -0x1.091c3928bfbe5p-46, -0x1.e08757d939697p-48, 0x1.b09c53bcfd659p-51, 0x1.ffeb29a8dc86ap-53,
    -0x1.246d10c2d12fap-55
};

static inline int64_t word_of(double x) { int64_t u; std::memcpy(&u, &x, 8); return u; }
INLINE double double_of(int64_t u) { double x; std::memcpy(&x, &u, 8); return x; }

// By masks: a conditional invites the compiler to branch, and a loop with a branch is not vectorised.
INLINE double choose(bool condition, double a, double b) {
    const int64_t mask = -(int64_t)condition;
    return double_of((word_of(a) & mask) | (word_of(b) & ~mask));
}

template <int n>
INLINE double horner(double x, const double (&c)[n]) {
    double total = c[n - 1];
#pragma GCC unroll 32
    for (int i = n - 2; i >= 0; --i) total = total * x + c[i];
    return total;
}

INLINE double whole_of(double x, int64_t *n) {
    const double raised = x + kMagic;
    *n = word_of(raised) - word_of(kMagic);
    return raised - kMagic;
}

INLINE double exp_reduced(double r, int64_t n) {
    return (1.0 + (r + r * r * horner(r, kExp))) * double_of((int64_t)((uint64_t)(n + 1023) << 52));
}

INLINE double exp_(double x) {
    x = choose(x < -690.0, -690.0, x);
    x = choose(x > 690.0, 690.0, x);
    int64_t n;
    const double whole = whole_of(x * kLog2E, &n);
    return exp_reduced((x - whole * kLn2High) - whole * kLn2Low, n);
}

INLINE double exp2_(double x) {
    x = choose(x < -990.0, -990.0, x);
    x = choose(x > 990.0, 990.0, x);
    int64_t n;
    const double whole = whole_of(x, &n);
    return exp_reduced((x - whole) * kLn2, n);
}

INLINE double expm1_(double x) {
    const double near = x + x * x * horner(x, kExp);
    const double far = exp_(x) - 1.0;
    return choose((x > -0.35) & (x < 0.35), near, far);
}

INLINE double log_ratio(double s) {
    const double square = s * s;
    return s * square * horner(square, kLog);
}

INLINE double log_(double x) {
    const int64_t bits = word_of(x);
    const int64_t mantissa_bits = (bits & 0xFFFFFFFFFFFFFll) | (1023ll << 52);
    double mantissa = double_of(mantissa_bits);
    const bool high = mantissa > kSqrtHalf * 2.0;
    mantissa = choose(high, mantissa * 0.5, mantissa);
    // The exponent as a double without a conversion that AVX2 lacks.
    const int64_t exponent = (int64_t)((uint64_t)bits >> 52 & 0x7FF) - 1023 + (high ? 1 : 0);
    const double e = double_of(exponent + word_of(kMagic)) - kMagic;
    const double s = (mantissa - 1.0) / (mantissa + 1.0);
    double result = e * kLn2High + (2.0 * s + (log_ratio(s) + e * kLn2Low));
    result = choose(x == 0.0, -kInfinity, result);
    result = choose(x < 0.0, double_of(0x7FF8000000000000ll), result);
    return choose((x == kInfinity) | (x != x), x, result);
}

INLINE double log1p_(double x) {
    const double s = x / (2.0 + x);
    const double near = 2.0 * s + log_ratio(s);
    const double far = log_(1.0 + x);
    return choose((x > -0.25) & (x < 0.4), near, far);
}

INLINE double log2_(double x) { return log_(x) * kLog2E; }
INLINE double log10_(double x) { return log_(x) * kLog10E; }

INLINE double tanh_(double x) {
    double size = std::fabs(x);
    size = choose(size > 20.0, 20.0, size);
    const double e = expm1_(2.0 * size);
    return std::copysign(e / (e + 2.0), x);
}

INLINE double sigmoid_(double x) {
    const double e = exp_(-std::fabs(x));
    const double top = choose(x >= 0.0, 1.0, e);
    return top / (1.0 + e);
}

INLINE double softplus_(double x) {
    const double base = choose(x > 0.0, x, 0.0 * x);
    return base + log1p_(exp_(-std::fabs(x)));
}

INLINE double log_sigmoid_(double x) { return -softplus_(-x); }

INLINE double erfcx_(double x) {
    const double t = (x - 4.0) / (x + 4.0);
    const double twice = 2.0 * t;
    double last = 0.0, before = 0.0;
#pragma GCC unroll 32
    for (int i = (int)(sizeof kErfcx / sizeof *kErfcx) - 1; i > 0; --i) {
        const double next = (twice * last - before) + kErfcx[i];
        before = last;
        last = next;
    }
    return ((t * last - before) + kErfcx[0]) / (1.0 + 2.0 * x);
}

INLINE double erfc_(double x) {
    double size = std::fabs(x);
    size = choose(size > 25.0, 25.0, size);
    const double tail = exp_(-(size * size)) * erfcx_(size);
    return choose(x < 0.0, 2.0 - tail, tail);
}

INLINE double erf_(double x) {
    const double square = x * x;
    const double near = x * horner(choose(square > 1.0, 1.0, square), kErf);
    double size = std::fabs(x);
    size = choose(size > 25.0, 25.0, size);
    const double far = std::copysign(1.0 - exp_(-(size * size)) * erfcx_(size), x);
    return choose(square < 1.0, near, far);
}

INLINE double normal_cdf_(double x) {
    double size = std::fabs(x);
    size = choose(size > 36.0, 36.0, size);
    const double tail = 0.5 * (exp_(-0.5 * (size * size)) * erfcx_(size * kSqrtHalf));
    return choose(x > 0.0, 1.0 - tail, tail);
}

INLINE double bounded_product(double x, double factor) {
    factor = factor + choose(std::fabs(x) < 0x1p-60, std::copysign(0x1p-53, x), 0.0);
    const double product = x * factor;
    return choose(x == -kInfinity, -0.0, product);
}

INLINE double gelu_(double x) { return bounded_product(x, normal_cdf_(x)); }
INLINE double gelu_tanh_(double x) {
    return bounded_product(x, sigmoid_(kSqrt8OverPi * (x + 0.044715 * (x * x * x))));
}
INLINE double silu_(double x) { return bounded_product(x, sigmoid_(x)); }
INLINE double mish_(double x) { return bounded_product(x, tanh_(softplus_(x))); }
INLINE double rsqrt_(double x) { return 1.0 / std::sqrt(x); }
INLINE double reciprocal_(double x) { return 1.0 / x; }
INLINE double sqrt_(double x) { return std::sqrt(x); }

INLINE double small_turns(double x, int64_t *n) {
    const double held = std::fabs(x) < 1048576.0 ? x : 0.0;
    const double whole = whole_of(held * kTwoPi, n);
    return ((held - whole * kPi2[0]) - whole * kPi2[1]) - whole * kPi2[2];
}

INLINE double sin_of(double r, int64_t n) {
    const double square = r * r;
    const double s = r + r * square * horner(square, kSin), c = 1.0 + square * horner(square, kCos);
    const double value = (n & 1) ? c : s;
    return (n & 2) ? -value : value;
}

INLINE double sin_(double x) {
    int64_t n;
    const double r = small_turns(x, &n);
    return sin_of(r, n);
}

INLINE double cos_(double x) {
    int64_t n;
    const double r = small_turns(x, &n);
    const double square = r * r;
    const double s = r + r * square * horner(square, kSin), c = 1.0 + square * horner(square, kCos);
    const double value = (n & 1) ? s : c;
    return ((n + 1) & 2) ? -value : value;
}

// Large arguments, one at a time, by integers (Payne and Hanek 1983).
static double large_turns(float x, int64_t *n) {
    const uint32_t bits = bits_of(x) & 0x7FFFFFFF;
    *n = 0;
    if (bits >= 0x7F800000) return double_of(0x7FF8000000000000ll);
    const int exponent = (int)(bits >> 23) - 150;
    const uint64_t significand = (bits & 0x7FFFFF) | 0x800000;
    const int first = exponent > 2 ? exponent - 2 : 0;
    const auto word = [&](int at) -> uint64_t {  // 64 bits of 2 / pi from bit `at` on
        const int index = at / 64, drop = at % 64;
        return drop ? kTwoOverPi[index] << drop | kTwoOverPi[index + 1] >> (64 - drop) : kTwoOverPi[index];
    };
    const int scale = 128 - (exponent - first);  // 126 to 130 and more for exponents below 2
    // product = significand * window, 152 bits in three words.
    const unsigned __int128 low = (unsigned __int128)significand * word(first + 64);
    const unsigned __int128 middle = (unsigned __int128)significand * word(first) + (uint64_t)(low >> 64);
    const unsigned __int128 modulus_part = middle << 64 | (uint64_t)low;  // modulo 2^128
    const uint64_t top = (uint64_t)(middle >> 64);
    // turns = product / 2^scale rounded to nearest (ties up), modulo 4; rest = product - turns 2^scale.
    unsigned __int128 fraction;
    uint64_t turns;
    if (scale >= 128) {
        const int extra = scale - 128;
        turns = top >> extra;
        const uint64_t high = extra ? top & ((1ull << extra) - 1) : 0;
        // At most 24 + 128 - 128 bits lie above; keep 128 bits of the fraction, the lowest `extra` are nil
        // in weight and dropped on both sides of the comparison below by working with `high`.
        fraction = extra ? ((unsigned __int128)high << (128 - extra)) | (modulus_part >> extra) : modulus_part;
    } else {
        const int shift = 128 - scale;
        turns = (top << shift) | (uint64_t)(modulus_part >> scale);
        fraction = modulus_part << shift;
    }
    const bool up = (fraction >> 127) & 1;
    turns += up;
    unsigned __int128 rest = up ? (unsigned __int128)0 - fraction : fraction;
    int leading = 0;
    if (rest == 0) {
        *n = (int64_t)(bits_of(x) >> 31 ? -turns & 3 : turns & 3);
        return up ? kHalfPi * 0.0 : 0.0;
    }
    while (!((rest << leading) >> 127)) ++leading;
    const uint64_t kept = (uint64_t)((rest << leading) >> 64);
    double r = std::ldexp((double)kept, -64 - leading) * kHalfPi;
    r = up ? -r : r;
    const bool negative = bits_of(x) >> 31;
    *n = (int64_t)(negative ? -turns & 3 : turns & 3);
    return negative ? -r : r;
}

template <double (*f)(double)>
static void each(const float *in, float *out, int64_t first, int64_t last) {
#pragma GCC ivdep
    for (int64_t i = first; i < last; ++i) out[i] = (float)f((double)in[i]);
}

static void turn(bool sine, const float *in, float *out, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i += 256) {
        const int64_t end = std::min(last, i + 256);
        float held[256];
        std::copy(in + i, in + end, held);
        if (sine)
            each<sin_>(held, out + i, 0, end - i);
        else
            each<cos_>(held, out + i, 0, end - i);
        for (int64_t l = 0; l < end - i; ++l)
            if (!(std::fabs(held[l]) < 1048576.0f)) {
                int64_t n;
                const double r = large_turns(held[l], &n);
                out[i + l] = (float)sin_of(r, sine ? n : n + 1);
            }
    }
}

// In the order of SPECIFIED in specified.py.
static int curve(int32_t which, const float *in, float *out, int64_t first, int64_t last) {
    static void (*const table[])(const float *, float *, int64_t, int64_t) = {
        each<exp_>, each<exp2_>, each<expm1_>, each<log_>, each<log1p_>, each<log2_>, each<log10_>, each<tanh_>,
        each<sigmoid_>, each<log_sigmoid_>, each<softplus_>, each<silu_>, each<mish_>, each<gelu_>,
        each<gelu_tanh_>, each<erf_>, each<erfc_>, each<normal_cdf_>, each<rsqrt_>, each<reciprocal_>, nullptr,
        nullptr, each<sqrt_>,
    };
    if (which < 0 || which >= (int32_t)(sizeof table / sizeof *table)) return 0;
    if (which == 20 || which == 21)
        turn(which == 20, in, out, first, last);
    else
        table[which](in, out, first, last);
    return 1;
}

}  // namespace ANYCHIP_PATH
