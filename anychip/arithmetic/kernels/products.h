// Matrix products whose every element is summed in the declared order: a chain of fused multiply-adds per
// element, vectors across columns, never across the sum. Blocking in K is free: a chain that is put down in
// memory between blocks keeps its bits.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "casts.h"
#include "core.h"

namespace ANYCHIP_PATH {

// A vector of the path: W floats, R rows and V vectors per micro tile, P rows per packed panel (a multiple of R).
#if defined(__AVX512F__)
constexpr int W = 16, R = 8, V = 3, P = 8;
typedef __m512 Vector;
static inline Vector load(const float *p) { return _mm512_loadu_ps(p); }
static inline void store(float *p, Vector x) { _mm512_storeu_ps(p, x); }
static inline Vector spread(float x) { return _mm512_set1_ps(x); }
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
static inline Vector plus(Vector a, Vector b) { return _mm512_add_ps(a, b); }
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int W = 8, R = 6, V = 2, P = 6;
typedef __m256 Vector;
static inline Vector load(const float *p) { return _mm256_loadu_ps(p); }
static inline void store(float *p, Vector x) { _mm256_storeu_ps(p, x); }
static inline Vector spread(float x) { return _mm256_set1_ps(x); }
static inline Vector fused(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vector plus(Vector a, Vector b) { return _mm256_add_ps(a, b); }
#elif defined(__aarch64__)
constexpr int W = 4, R = 8, V = 3, P = 8;
typedef float32x4_t Vector;
static inline Vector load(const float *p) { return vld1q_f32(p); }
static inline void store(float *p, Vector x) { vst1q_f32(p, x); }
static inline Vector spread(float x) { return vdupq_n_f32(x); }
static inline Vector fused(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
static inline Vector plus(Vector a, Vector b) { return vaddq_f32(a, b); }
#else
// Without a fused multiply-add: the product is exact in double, the sum is rounded to odd in double.
constexpr int W = 4, R = 4, V = 1, P = 4;
struct Vector { float lane[W]; };
static inline Vector load(const float *p) { Vector x; std::memcpy(x.lane, p, sizeof x.lane); return x; }
static inline void store(float *p, Vector x) { std::memcpy(p, x.lane, sizeof x.lane); }
static inline Vector spread(float x) { return {{x, x, x, x}}; }
static inline float fused_one(float a, float b, float c) {
    const double product = (double)a * (double)b, addend = c;
    const double sum = product + addend;
    const double part = sum - product;
    const double error = (product - (sum - part)) + (addend - part);
    uint64_t bits;
    std::memcpy(&bits, &sum, 8);
    if (error != 0 && std::isfinite(sum) && !(bits & 1)) {
        bits += ((error > 0) == (sum > 0)) ? 1 : -1;
        double odd;
        std::memcpy(&odd, &bits, 8);
        return (float)odd;
    }
    return (float)sum;
}
static inline Vector fused(Vector a, Vector b, Vector c) {
    for (int l = 0; l < W; ++l) c.lane[l] = fused_one(a.lane[l], b.lane[l], c.lane[l]);
    return c;
}
static inline Vector plus(Vector a, Vector b) {
    for (int l = 0; l < W; ++l) a.lane[l] += b.lane[l];
    return a;
}
#endif

constexpr int kColumns = W * V;   // of a micro tile
constexpr int64_t kDepth = 256;   // K block
constexpr int64_t kRows = 192;    // M block
constexpr int64_t kWidth = 1536;  // N block

struct Scratch {
    float *data = nullptr;
    size_t size = 0;
    float *get(size_t floats) {
        if (floats > size) {
            std::free(data);
            data = static_cast<float *>(std::aligned_alloc(64, (floats * 4 + 63) / 64 * 64));
            size = floats;
        }
        return data;
    }
    ~Scratch() { std::free(data); }
};

// One storage element as fp32, rounded to bf16 if the operands are.
template <int kind>
static inline float element(const Matrix &x, int64_t at) {
    if (kind == FP32) return static_cast<const float *>(x.data)[at];
    if (kind == BF16) return float_of((uint32_t) static_cast<const uint16_t *>(x.data)[at] << 16);
    if (kind == CODE8) return x.table[static_cast<const uint8_t *>(x.data)[at]];
#if defined(__F16C__)
    if (kind == FP16) return _cvtsh_ss(static_cast<const uint16_t *>(x.data)[at]);
#endif
    return x.table[static_cast<const uint16_t *>(x.data)[at]];
}

static inline float narrowed(float x) { return float_of((uint32_t)to_bf16(bits_of(x)) << 16); }

#if defined(__AVX512F__)
// in-lane 4 x 4 transposes of four registers, so that out[j] gets element j of every lane of t[0], t[1], t[2], t[3].
static inline void transpose_lanes(const __m512 *t, __m512 *out) {
    const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(t[0], t[1]));
    const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(t[2], t[3]));
    const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(t[0], t[1]));
    const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(t[2], t[3]));
    out[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
    out[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
    out[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
    out[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
}

// Four floats from each of four places; loads place them, so that no shuffle is needed.
static inline __m512 lanes_of(const float *x, const float *y, const float *z, const float *w) {
    __m512 r = _mm512_castps128_ps512(_mm_loadu_ps(x));
    r = _mm512_mask_broadcast_f32x4(r, 0x00F0, _mm_loadu_ps(y));
    r = _mm512_mask_broadcast_f32x4(r, 0x0F00, _mm_loadu_ps(z));
    return _mm512_mask_broadcast_f32x4(r, 0xF000, _mm_loadu_ps(w));
}

// The same with the two halves of each element exchanged, if so wanted.
template <bool turned>
static inline __m512 halves_turned(__m512 x) {
    return turned ? _mm512_castsi512_ps(_mm512_rol_epi32(_mm512_castps_si512(x), 16)) : x;
}

// out[j * out_stride + i] = in[i * stride + j] for i, j < 16.
template <bool turned = false>
static inline void transpose16(const float *in, int64_t stride, float *out, int64_t out_stride) {
    for (int j = 0; j < 16; j += 4) {
        __m512 t[4], o[4];
        for (int i = 0; i < 4; ++i) {
            const float *at = in + i * stride + j;
            t[i] = lanes_of(at, at + 4 * stride, at + 8 * stride, at + 12 * stride);
        }
        transpose_lanes(t, o);
        for (int i = 0; i < 4; ++i) _mm512_storeu_ps(out + (j + i) * out_stride, halves_turned<turned>(o[i]));
    }
}

// out[j * out_stride + i] = in[i * stride + j] for i < 8, j < 16.
template <bool turned = false>
static inline void transpose8(const float *in, int64_t stride, float *out, int64_t out_stride) {
    for (int j = 0; j < 16; j += 8) {
        __m512 t[4], o[4];
        for (int i = 0; i < 4; ++i) {
            const float *at = in + i * stride + j, *below = at + 4 * stride;
            t[i] = lanes_of(at, below, at + 4, below + 4);
        }
        transpose_lanes(t, o);
        for (int i = 0; i < 4; ++i) {
            const __m512 x = halves_turned<turned>(o[i]);
            _mm256_storeu_ps(out + (j + i) * out_stride, _mm512_castps512_ps256(x));
            _mm256_storeu_ps(out + (j + i + 4) * out_stride, _mm512_extractf32x8_ps(x, 1));
        }
    }
}
#endif

#if defined(__AVX512F__)
// 16 neighbours of a 16-bit storage as fp32; absent ones are 0.
template <int kind>
static inline __m512 sixteen(const uint16_t *at, __mmask16 lanes) {
    const __m256i codes = _mm256_maskz_loadu_epi16(lanes, at);
    if (kind == FP16) return _mm512_cvtph_ps(codes);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(codes), 16));
}
#endif

// packed[k * width + i] = x[base + i * across + k * along] for i < count (zeros beyond), k < depth.
template <int kind>
static void pack_kind(const Matrix &x, int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth,
                      int64_t width, bool narrow, float *packed) {
    if (count < width)
        for (int64_t k = 0; k < depth; ++k) std::fill(packed + k * width + count, packed + (k + 1) * width, 0.0f);
    if (across == 1) {
        if (kind == FP32 && count == width) {
            const float *in = static_cast<const float *>(x.data) + base;
            if (width == kColumns)
                for (int64_t k = 0; k < depth; ++k) std::memcpy(packed + k * kColumns, in + k * along, kColumns * 4);
            else
                for (int64_t k = 0; k < depth; ++k) std::memcpy(packed + k * P, in + k * along, P * 4);
        } else for (int64_t k = 0; k < depth; ++k) {
            float *row = packed + k * width;
            const int64_t at = base + k * along;
#pragma GCC ivdep
            for (int64_t i = 0; i < count; ++i) row[i] = element<kind>(x, at + i);
        }
    } else {
        int64_t i = 0;
#if defined(__AVX512F__)
        if ((kind == BF16 || kind == FP16) && along == 1) {
            alignas(64) float staged[16 * 16];
            const uint16_t *in = static_cast<const uint16_t *>(x.data) + base;
            for (; i + 8 <= count; i += i + 16 <= count ? 16 : 8) {
                const int step = i + 16 <= count ? 16 : 8;
                for (int64_t k = 0; k < depth; k += 16) {
                    const int64_t here = std::min<int64_t>(16, depth - k);
                    for (int l = 0; l < step; ++l)
                        _mm512_store_ps(staged + 16 * l,
                                        sixteen<kind>(in + (i + l) * across + k, (__mmask16)((1u << here) - 1)));
                    float *out = packed + k * width + i;
                    if (here == 16) {
                        (step == 16 ? transpose16<> : transpose8<>)(staged, 16, out, width);
                        continue;
                    }
                    for (int64_t j = 0; j < here; ++j)
                        for (int l = 0; l < step; ++l) out[j * width + l] = staged[16 * l + j];
                }
            }
        }
        if (kind == FP32 && along == 1)
            while (i + 8 <= count) {
                const int step = i + 16 <= count ? 16 : 8;
                const float *in = static_cast<const float *>(x.data) + base + i * across;
                int64_t k = 0;
                for (; k + 16 <= depth; k += 16)
                    (step == 16 ? transpose16<> : transpose8<>)(in + k, across, packed + k * width + i, width);
                for (; k < depth; ++k)
                    for (int l = 0; l < step; ++l) packed[k * width + i + l] = in[l * across + k];
                i += step;
            }
#endif
        for (; i + 4 <= count; i += 4) {
            const int64_t at = base + i * across;
            for (int64_t k = 0; k < depth; ++k)
                for (int l = 0; l < 4; ++l)
                    packed[k * width + i + l] = element<kind>(x, at + l * across + k * along);
        }
        for (; i < count; ++i)
            for (int64_t k = 0; k < depth; ++k)
                packed[k * width + i] = element<kind>(x, base + i * across + k * along);
    }
    if (narrow) {
#pragma GCC ivdep
        for (int64_t i = 0; i < depth * width; ++i) packed[i] = narrowed(packed[i]);
    }
}

static void pack(const Matrix &x, int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth,
                 int64_t width, bool narrow, float *packed) {
    narrow = narrow && x.kind == FP32;
    switch (x.kind) {
        case FP32: return pack_kind<FP32>(x, base, across, along, count, depth, width, narrow, packed);
        case BF16: return pack_kind<BF16>(x, base, across, along, count, depth, width, narrow, packed);
        case CODE8: return pack_kind<CODE8>(x, base, across, along, count, depth, width, narrow, packed);
        case FP16: return pack_kind<FP16>(x, base, across, along, count, depth, width, narrow, packed);
        default: return pack_kind<CODE16>(x, base, across, along, count, depth, width, narrow, packed);
    }
}

// Memory that is wanted soon: rows of `bytes` every `stride` bytes, brought into a cache a few lines at a time
// between multiplications, since a burst would fill the queue of misses and stall them.
struct Ahead {
    const char *at = nullptr;
    int64_t stride = 0, bytes = 0, rows = 0, place = 0;

    Ahead() = default;
    Ahead(const void *from, int64_t stride, int64_t bytes, int64_t rows)
        : at(static_cast<const char *>(from)), stride(stride), bytes(bytes), rows(rows) {
        if (((uintptr_t)at | (uintptr_t)stride) & 63) this->bytes += 60;  // a row may reach into one more line
    }
    // The source of a panel, as `pack` reads it.
    Ahead(const Matrix &x, int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth) {
        const int64_t size = x.kind == FP32 ? 4 : x.kind == CODE8 ? 1 : 2;
        const char *from = static_cast<const char *>(x.data) + base * size;
        if (across == 1)
            *this = Ahead(from, along * size, count * size, depth);
        else if (along == 1)
            *this = Ahead(from, across * size, depth * size, count);
    }
    int64_t lines() const { return (bytes + 63) / 64 * rows; }
    template <int written, int level>
    inline void touch() {
        if (rows <= 0) return;
        __builtin_prefetch(at + place, written, level);
        place += 64;
        if (place >= bytes) place = 0, at += stride, --rows;
    }
};

// What a micro tile fetches for those after it.
struct Soon {
    Ahead right, result;
    int64_t share = 0;  // lines of `right` every kStep steps
};

constexpr int64_t kStep = 4;

// How a micro tile meets the accumulators in memory: the chain continues from them, the sum of a tile is added
// to them, or they are still zero and need not be read: a chain starts there, a tile is added to +0 (which makes
// +0 of the -0 that a product too small for fp32 leaves).
enum Meeting { CONTINUES, ADDED, FIRST, FIRST_TILE };

// What one packed place adds to the sums.
struct SingleStep {
    template <int rows>
    static inline __attribute__((always_inline)) void step(const float *a, const float *b, Vector (&sum)[rows][V]) {
        Vector right[V];
#pragma GCC unroll 3
        for (int j = 0; j < V; ++j) right[j] = load(b + j * W);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            const Vector left = spread(a[i]);
#pragma GCC unroll 3
            for (int j = 0; j < V; ++j) sum[i][j] = fused(left, right[j], sum[i][j]);
        }
    }
};

// One micro tile: `rows` rows by kColumns columns over `steps` packed places.
template <typename Step, Meeting meeting, int rows>
static void micro(int64_t steps, const float *a, const float *b, float *c, int64_t stride, Soon &soon) {
    Vector sum[rows][V];
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 3
        for (int j = 0; j < V; ++j) sum[i][j] = meeting == CONTINUES ? load(c + i * stride + j * W) : spread(0.0f);
    const auto step = [&]() __attribute__((always_inline)) {
        Step::template step<rows>(a, b, sum);
        a += P;
        b += kColumns;
    };
    Ahead next = soon.right, result = soon.result;
    const int64_t share = soon.share;
    int64_t k = 0;
    for (; k + kStep <= steps; k += kStep) {
#pragma GCC unroll 4
        for (int i = 0; i < kStep; ++i) step();
        for (int64_t i = 0; i < share; ++i) next.touch<0, 2>();
        result.touch<1, 3>();
    }
    for (; k < steps; ++k) step();
    soon.right = next, soon.result = result;
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 3
        for (int j = 0; j < V; ++j)
            store(c + i * stride + j * W,
                  meeting == ADDED        ? plus(load(c + i * stride + j * W), sum[i][j])
                  : meeting == FIRST_TILE ? plus(spread(0.0f), sum[i][j])
                                          : sum[i][j]);
}

template <typename Step, Meeting meeting>
static void micro_rows(int64_t rows, int64_t steps, const float *a, const float *b, float *c, int64_t stride,
                       Soon &soon) {
    switch (rows) {
        case 1: return micro<Step, meeting, 1>(steps, a, b, c, stride, soon);
        case 2: return micro<Step, meeting, 2>(steps, a, b, c, stride, soon);
        case 3: return micro<Step, meeting, R < 3 ? R : 3>(steps, a, b, c, stride, soon);
        case 4: return micro<Step, meeting, R < 4 ? R : 4>(steps, a, b, c, stride, soon);
        case 5: return micro<Step, meeting, R < 5 ? R : 5>(steps, a, b, c, stride, soon);
        case 6: return micro<Step, meeting, R < 6 ? R : 6>(steps, a, b, c, stride, soon);
        case 7: return micro<Step, meeting, R < 7 ? R : 7>(steps, a, b, c, stride, soon);
        default: return micro<Step, meeting, R>(steps, a, b, c, stride, soon);
    }
}

// The sums of a block of R x kColumns over one K block, tile by tile where the order has tiles.
template <typename Step>
static void micro_block(int64_t tile, bool first, int64_t rows, int64_t steps, const float *a, const float *b,
                        float *c, int64_t stride, Soon &soon) {
    if (!tile)
        return first ? micro_rows<Step, FIRST>(rows, steps, a, b, c, stride, soon)
                     : micro_rows<Step, CONTINUES>(rows, steps, a, b, c, stride, soon);
    int64_t k = 0;
    if (first) {
        micro_rows<Step, FIRST_TILE>(rows, std::min(tile, steps), a, b, c, stride, soon);
        k = tile;
    }
    for (; k < steps; k += tile)
        micro_rows<Step, ADDED>(rows, std::min(tile, steps - k), a + k * P, b + k * kColumns, c, stride, soon);
}

// The two operands of a product as packed fp32.
struct Singles {
    static constexpr int64_t kPer = 1;  // steps of the chain in one packed place
    const Product *p;

    explicit Singles(const Product *product) : p(product) {}

    bool narrow() const { return p->narrow_operands == TO_BF16; }
    void begin(int64_t, int64_t, int64_t, int64_t) {}
    void pack_left(int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth, float *packed,
                   int64_t) {
        pack(p->left, base, across, along, count, depth, P, narrow(), packed);
    }
    void pack_right(int64_t base, int64_t across, int64_t along, int64_t count, int64_t depth, float *packed,
                    int64_t) {
        pack(p->right, base, across, along, count, depth, kColumns, narrow(), packed);
    }
    void start(int64_t, int64_t, const float *, int64_t, int64_t, int64_t) {}
    void block(int64_t, int64_t, int64_t, int64_t, int64_t tile, bool first, int64_t rows, int64_t steps,
               const float *a, const float *b, float *c, int64_t stride, Soon &soon) {
        micro_block<SingleStep>(tile, first, rows, steps, a, b, c, stride, soon);
    }
};

static inline int64_t offset(const Matrix &x, int64_t batch, int64_t row, int64_t column) {
    return batch * x.batch_stride + row * x.row_stride + column * x.column_stride;
}

// ---- other orders: doubles rounded to odd, any length ----

static inline double odd_sum(double a, double b) {
    const double sum = a + b;
    const double part = sum - a;
    const double error = (a - (sum - part)) + (b - part);
    uint64_t bits;
    std::memcpy(&bits, &sum, 8);
    if (error != 0 && std::isfinite(sum) && !(bits & 1)) {
        bits += ((error > 0) == (sum > 0)) ? 1 : -1;
        double odd;
        std::memcpy(&odd, &bits, 8);
        return odd;
    }
    return sum;
}

static inline double add_rounded(double a, double b) { return (double)(float)odd_sum(a, b); }

template <typename Term>
static double tree(const Term &term, int64_t first, int64_t end) {
    const int64_t count = end - first;
    if (count == 1) return term(first);
    int64_t half = 1;
    while (half * 2 < count) half *= 2;
    return add_rounded(tree(term, first, first + half), tree(term, first + half, end));
}

template <typename Term>
static float ordered(const Term &term, int64_t count, float start, int32_t order, int64_t length, double *lanes) {
    double total = start;
    switch (order) {
        case SEQUENTIAL:
            for (int64_t k = 0; k < count; ++k) total = add_rounded(total, term(k));
            break;
        case TILES:
            for (int64_t first = 0; first < count; first += length) {
                double part = 0;
                for (int64_t k = first; k < std::min(first + length, count); ++k) part = add_rounded(part, term(k));
                total = add_rounded(total, part);
            }
            break;
        case TREE:
            for (int64_t first = 0; first < count; first += length)
                total = add_rounded(total, tree(term, first, std::min(first + length, count)));
            break;
        case PAIRWISE:
            if (count) total = add_rounded(total, tree(term, 0, count));
            break;
        default: {
            const int64_t width = std::min(length, count);
            for (int64_t l = 0; l < width; ++l) lanes[l] = 0;
            for (int64_t k = 0; k < count; ++k) lanes[k % length] = add_rounded(lanes[k % length], term(k));
            const auto lane = [&](int64_t l) { return lanes[l]; };
            if (count) total = add_rounded(total, tree(lane, 0, width));
        }
    }
    return (float)total;
}

static float operand_at(const Matrix &x, int64_t at, bool narrow) {
    switch (x.kind) {
        case FP32: return narrow ? narrowed(element<FP32>(x, at)) : element<FP32>(x, at);
        case BF16: return element<BF16>(x, at);
        case CODE8: return element<CODE8>(x, at);
        case FP16: return element<FP16>(x, at);
        default: return element<CODE16>(x, at);
    }
}

static void product_other(const Product *p, int64_t batch, int64_t r0, int64_t r1, int64_t c0, int64_t c1, float *c,
                          int64_t stride) {
    static thread_local Scratch scratch;
    const int64_t depth = p->depth;
    double *lanes = reinterpret_cast<double *>(scratch.get((size_t)(2 * (p->order == LANES ? p->length : 1)) + 64));
    for (int64_t i = r0; i < r1; ++i)
        for (int64_t j = c0; j < c1; ++j) {
            const auto term = [&](int64_t k) {
                return (double)operand_at(p->left, offset(p->left, batch, i, k), p->narrow_operands == TO_BF16) *
                       (double)operand_at(p->right, offset(p->right, batch, k, j), p->narrow_operands == TO_BF16);
            };
            float &at = c[(i - r0) * stride + (j - c0)];
            at = ordered(term, depth, at, p->order, p->length, lanes);
        }
}


}  // namespace ANYCHIP_PATH
