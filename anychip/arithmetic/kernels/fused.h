// Recipes over grids and rows in one pass over memory: operands are read, every step rounds once to fp32 in a
// register of a few hundred elements, and results are rounded as they are stored. Built by arithmetic/fused.py.
#pragma once
#include "casts.h"
#include "core.h"
#include "curves.h"
#include "sums.h"

namespace ANYCHIP_PATH {

constexpr int64_t kGrain = 512;    // elements of a register
constexpr int64_t kAbreast = 128;  // sums side by side
constexpr int kGroup = 8;          // rows whose sums advance together
constexpr int kMostVectors = 64, kMostScalars = 96, kMostAccesses = 24;

// Cuts n positions of a nest of loops, from `at` on, into runs along the last loop: f(position, offset, stride, count).
template <typename F>
static inline void runs(const int64_t *extents, int32_t loops, const int64_t *strides, int64_t at, int64_t n, const F &f) {
    if (loops <= 1) return f((int64_t)0, loops ? at * strides[0] : 0, loops ? strides[0] : 0, n);
    const int64_t inner = extents[loops - 1];
    for (int64_t done = 0; done < n;) {
        int64_t rest = (at + done) / inner;
        const int64_t inside = at + done - rest * inner;
        int64_t offset = inside * strides[loops - 1];
        for (int d = loops - 2; d > 0; --d) {
            const int64_t up = rest / extents[d];
            offset += (rest - up * extents[d]) * strides[d];
            rest = up;
        }
        offset += rest * strides[0];
        const int64_t count = std::min(inner - inside, n - done);
        f(done, offset, strides[loops - 1], count);
        done += count;
    }
}

static inline int64_t place_of(const int64_t *extents, int32_t loops, const int64_t *strides, int64_t at) {
    int64_t offset = 0;
    for (int d = loops - 1; d > 0 && at; --d) {
        const int64_t up = at / extents[d];
        offset += (at - up * extents[d]) * strides[d];
        at = up;
    }
    return loops ? offset + at * strides[0] : 0;
}

INLINE float of_bf16(uint16_t code) { return float_of((uint32_t)code << 16); }

INLINE float of_fp16(uint16_t code) {
    // The fields shifted into place are a float 2^112 times too small, subnormals included.
    const uint32_t shifted = (uint32_t)(code & 0x7FFF) << 13;
    const uint32_t finite = bits_of(float_of(shifted) * 0x1p112f);
    const uint32_t special = shifted | 0x7F800000 | (shifted > 0x0F800000 ? 0x400000u : 0u);
    return float_of((shifted >= 0x0F800000 ? special : finite) | (uint32_t)(code & 0x8000) << 16);
}

template <typename T, typename F>
static inline void fetch(const T *from, int64_t stride, int64_t n, float *to, const F &value) {
    if (stride == 1) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) to[i] = value(from[i]);
    } else if (stride == 0) {
        std::fill(to, to + n, value(from[0]));
    } else {
        for (int64_t i = 0; i < n; ++i) to[i] = value(from[i * stride]);
    }
}

static void read_run(const Access &x, const void *data, int64_t offset, int64_t stride, int64_t n, float *to) {
    switch (x.kind) {
        case FP32: return fetch((const float *)data + offset, stride, n, to, [](float v) { return v; });
        case BF16: return fetch((const uint16_t *)data + offset, stride, n, to, of_bf16);
        case FP16: return fetch((const uint16_t *)data + offset, stride, n, to, of_fp16);
        case BOOL: return fetch((const uint8_t *)data + offset, stride, n, to, [](uint8_t v) { return v ? 1.0f : 0.0f; });
        case CODE8: return fetch((const uint8_t *)data + offset, stride, n, to, [&](uint8_t v) { return x.table[v]; });
        default: return fetch((const uint16_t *)data + offset, stride, n, to, [&](uint16_t v) { return x.table[v]; });
    }
}

template <typename T>
static inline void scatter(const T *from, T *to, int64_t stride, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i * stride] = from[i];
}

// `cast` has its random numbers placed at element 0 of the whole result.
static void write_run(const Access &x, const Cast *cast, void *data, int64_t offset, int64_t stride, int64_t n,
                      const float *from) {
    if (x.kind == FP32) {
        float *to = (float *)data + offset;
        if (stride == 1)
            std::memcpy(to, from, (size_t)n * sizeof(float));
        else
            scatter(from, to, stride, n);
        return;
    }
    if (x.kind == BOOL) {
        uint8_t *to = (uint8_t *)data + offset;
        for (int64_t i = 0; i < n; ++i) to[i * stride] = from[i] != 0.0f;
        return;
    }
    Cast placed;
    if (cast->direction == STOCHASTIC) {
        placed = *cast;
        placed.element += (uint64_t)offset;
        cast = &placed;
    }
    if (x.kind == CODE8) {
        uint8_t *to = (uint8_t *)data + offset, codes[kGrain];
        if (stride == 1) return cast_array<true>(cast, from, to, 0, n);
        cast_array<true>(cast, from, codes, 0, n);
        return scatter(codes, to, stride, n);
    }
    uint16_t *to = (uint16_t *)data + offset, codes[kGrain];
    if (stride == 1) return cast_array<true>(cast, from, to, 0, n);
    cast_array<true>(cast, from, codes, 0, n);
    scatter(codes, to, stride, n);
}

// ---- steps ----

template <typename F>
INLINE void one(float *to, const float *a, int64_t n, const F &f) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) to[i] = f(a[i]);
}

template <typename F>
INLINE void two(float *to, const float *a, bool a_alone, const float *b, bool b_alone, int64_t n, const F &f) {
    if (!a_alone && !b_alone) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) to[i] = f(a[i], b[i]);
    } else if (!a_alone) {
        const float y = *b;
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) to[i] = f(a[i], y);
    } else if (!b_alone) {
        const float x = *a;
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) to[i] = f(x, b[i]);
    } else {
        std::fill(to, to + n, f(*a, *b));
    }
}

static inline float larger(float x, float y) { return x != x || y != y ? x + y : (x > y ? x : y); }
static inline float smaller(float x, float y) { return x != x || y != y ? x + y : (x < y ? x : y); }

static void perform(int32_t operation, float *to, const float *a, bool a_alone, const float *b, bool b_alone,
                    const float *c, bool c_alone, int64_t n) {
#define BINARY(expression) return two(to, a, a_alone, b, b_alone, n, [](float x, float y) -> float { return expression; })
#define UNARY(expression) return one(to, a, n, [](float x) -> float { return expression; })
    switch (operation) {
        case ADD: BINARY(x + y);
        case SUB: BINARY(x - y);
        case MUL: BINARY(x * y);
        case DIV: BINARY(x / y);
        case MAXIMUM: BINARY(larger(x, y));
        case MINIMUM: BINARY(smaller(x, y));
        case EQ: BINARY(x == y ? 1.0f : 0.0f);
        case NE: BINARY(x != y ? 1.0f : 0.0f);
        case LT: BINARY(x < y ? 1.0f : 0.0f);
        case LE: BINARY(x <= y ? 1.0f : 0.0f);
        case GT: BINARY(x > y ? 1.0f : 0.0f);
        case GE: BINARY(x >= y ? 1.0f : 0.0f);
        case AND: BINARY((x != 0.0f) & (y != 0.0f) ? 1.0f : 0.0f);
        case OR: BINARY((x != 0.0f) | (y != 0.0f) ? 1.0f : 0.0f);
        case XOR: BINARY((x != 0.0f) != (y != 0.0f) ? 1.0f : 0.0f);
        default: break;
    }
    if (a_alone) {  // a constant under a step of one argument, or a choice by one condition
        static thread_local float held[3][kGrain];
        std::fill(held[0], held[0] + n, *a);
        a = held[0];
    }
    switch (operation) {
        case NEG: UNARY(-x);
        case ABS: UNARY(std::fabs(x));
        case NOT: UNARY(x == 0.0f ? 1.0f : 0.0f);
        case FLOOR: UNARY(std::floor(x));
        case CEIL: UNARY(std::ceil(x));
        case ROUND: UNARY(std::nearbyint(x));
        case TRUNC: UNARY(std::trunc(x));
        case SIGN_BIT: UNARY(bits_of(x) >> 31 ? 1.0f : 0.0f);
        case ISNAN: UNARY(x != x ? 1.0f : 0.0f);
        case COPY: UNARY(x);
        case SQRT: UNARY(std::sqrt(x));
        case SELECT: {
            // Every condition at once, so that a chosen register may be the target.
            if (!b_alone && !c_alone) {
#pragma GCC ivdep
                for (int64_t i = 0; i < n; ++i) to[i] = a[i] != 0.0f ? b[i] : c[i];
            } else if (!b_alone) {
                const float y = *c;
#pragma GCC ivdep
                for (int64_t i = 0; i < n; ++i) to[i] = a[i] != 0.0f ? b[i] : y;
            } else if (!c_alone) {
                const float x = *b;
#pragma GCC ivdep
                for (int64_t i = 0; i < n; ++i) to[i] = a[i] != 0.0f ? x : c[i];
            } else {
                const float x = *b, y = *c;
#pragma GCC ivdep
                for (int64_t i = 0; i < n; ++i) to[i] = a[i] != 0.0f ? x : y;
            }
            return;
        }
        default: curve(operation - CURVE, a, to, 0, n);
    }
#undef BINARY
#undef UNARY
}

// ---- running a program ----

struct Storage {
    std::unique_ptr<float[]> data;
    size_t size = 0;
    float *get(size_t n) {
        if (n > size) data.reset(new float[n]), size = n;
        return data.get();
    }
};

// One thread's state while it runs a program.
struct Frame {
    const Fused &f;
    void *const *data;
    Cast casts[kMostAccesses];
    const Cast *cast[kMostAccesses];
    float *own[kMostVectors];     // memory of each vector register
    float *vector[kMostVectors];  // where its value lies: there, or in an operand
    int64_t *base = nullptr;      // of each access at the current outer position
    float *scalar;

    Frame(const Fused &fused, void *const *addresses, const Place *places) : f(fused), data(addresses) {
        for (int i = 0; i < f.accesses; ++i) {
            cast[i] = f.access[i].cast;
            if (cast[i] && places && cast[i]->direction == STOCHASTIC) {
                casts[i] = *cast[i];
                casts[i].step = places[i].step, casts[i].tensor = places[i].tensor, casts[i].element = 0;
                cast[i] = &casts[i];
            }
        }
    }

    void move_to(int64_t outer, int64_t *places) {
        base = places;
        for (int i = 0; i < f.accesses; ++i) {
            const Access &x = f.access[i];
            base[i] = x.offset + (x.collapsed & 2 ? outer * x.outer[f.outer_loops - 1]
                                                  : place_of(f.outer_extents, f.outer_loops, x.outer, outer));
        }
    }

    // Steps on a register each of `n` elements of the inner loops from `at` on.
    void vectors(int32_t first, int32_t count, int64_t at, int64_t n) {
        for (const Step *s = f.step + first; s < f.step + first + count; ++s) {
            if (s->operation == LOAD) {
                const Access &x = f.access[s->a];
                const int32_t loops = (x.collapsed & 1) && f.inner_loops ? 1 : f.inner_loops;
                const int64_t *strides = x.inner + (f.inner_loops - loops);
                if (loops == 1 && *strides == 1 && x.kind == FP32 && !s->b) {
                    vector[s->target] = (float *)data[x.port] + base[s->a] + at;
                    continue;
                }
                float *to = vector[s->target] = own[s->target];
                runs(f.inner_extents, loops, strides, at, n, [&](int64_t i, int64_t offset, int64_t stride, int64_t many) {
                    read_run(x, data[x.port], base[s->a] + offset, stride, many, to + i);
                });
            } else if (s->operation == STORE) {
                const Access &x = f.access[s->b];
                const int32_t loops = (x.collapsed & 1) && f.inner_loops ? 1 : f.inner_loops;
                const int64_t *strides = x.inner + (f.inner_loops - loops);
                float held[kGrain];
                const float *from = held;
                if (s->a >= 0)
                    from = vector[s->a];
                else
                    std::fill(held, held + n, scalar[~s->a]);
                runs(f.inner_extents, loops, strides, at, n, [&](int64_t i, int64_t offset, int64_t stride, int64_t many) {
                    write_run(x, cast[s->b], data[x.port], base[s->b] + offset, stride, many, from + i);
                });
            } else {
                const auto argument = [&](int32_t code) { return code >= 0 ? vector[code] : &scalar[~code]; };
                float *to = own[s->target];
                perform(s->operation, to, argument(s->a), s->a < 0, argument(s->b), s->b < 0,
                        argument(s->c), s->c < 0, n);
                vector[s->target] = to;
            }
        }
    }

    // The same on values that a whole row shares.
    void scalars(int32_t first, int32_t count) {
        for (const Step *s = f.step + first; s < f.step + first + count; ++s) {
            if (s->operation == LOAD) {
                const Access &x = f.access[s->a];
                read_run(x, data[x.port], base[s->a], 1, 1, &scalar[~s->target]);
            } else if (s->operation == STORE) {
                const Access &x = f.access[s->b];
                write_run(x, cast[s->b], data[x.port], base[s->b], 1, 1, &scalar[~s->a]);
            } else {
                perform(s->operation, &scalar[~s->target], &scalar[~s->a], false, &scalar[~s->b], false,
                        &scalar[~s->c], false, 1);
            }
        }
    }
};

static float joined(int32_t join, const float *x, int64_t n) {
    constexpr int kLanes = 32;
    float held[kLanes];
    const int64_t first = std::min<int64_t>(kLanes, n);
    std::copy(x, x + first, held);
    int64_t i = first;
    if (join == JOIN_MAXIMUM) {
        for (; i + kLanes <= n; i += kLanes)
            for (int l = 0; l < kLanes; ++l) held[l] = x[i + l] > held[l] || x[i + l] != x[i + l] ? x[i + l] : held[l];
        for (int l = 0; i + l < n; ++l) held[l] = larger(held[l], x[i + l]);
        for (int64_t l = 1; l < first; ++l) held[0] = larger(held[0], held[l]);
    } else {
        for (; i + kLanes <= n; i += kLanes)
            for (int l = 0; l < kLanes; ++l) held[l] = x[i + l] < held[l] || x[i + l] != x[i + l] ? x[i + l] : held[l];
        for (int l = 0; i + l < n; ++l) held[l] = smaller(held[l], x[i + l]);
        for (int64_t l = 1; l < first; ++l) held[0] = smaller(held[0], held[l]);
    }
    return held[0];
}

// Sequential or tiled sums of `rows` rows `stride` apart, one chain a row, all chains at once.
template <int rows>
static void chains(const float *x, int64_t stride, int64_t n, int64_t tile, float *out) {
    float total[rows] = {};
    for (int64_t t = 0; t < n; t += tile) {
        const int64_t end = std::min(n, t + tile);
        float part[rows];
        for (int r = 0; r < rows; ++r) part[r] = tile < n ? 0.0f : total[r];
        for (int64_t k = t; k < end; ++k)
            for (int r = 0; r < rows; ++r) part[r] += x[r * stride + k];
        for (int r = 0; r < rows; ++r) total[r] = tile < n ? total[r] + part[r] : part[r];
    }
    std::copy(total, total + rows, out);
}

static void row_sums(const Fused &f, const float *x, int64_t stride, int64_t rows, int64_t n, float *out) {
    if (f.order == SEQUENTIAL || f.order == TILES) {
        // A tile that holds the whole row is a chain from zero all the same: zero is added to it at the end.
        const int64_t tile = f.order == TILES ? f.length : n;
        if (rows == kGroup) {
            chains<kGroup>(x, stride, n, tile, out);
        } else {
            for (int64_t r = 0; r < rows; ++r) chains<1>(x + r * stride, stride, n, tile, out + r);
        }
        return;
    }
    static thread_local Scratch scratch;
    const int64_t width = f.order == LANES ? f.length : 1;
    double *lanes = reinterpret_cast<double *>(scratch.get((size_t)(2 * width) + 64));
    for (int64_t r = 0; r < rows; ++r) {
        const float *row = x + r * stride;
        if (f.order == LANES && width == 16)
            out[r] = lanes_sum<16>(row, n, 0.0f);
        else if (f.order == LANES && width == 32)
            out[r] = lanes_sum<32>(row, n, 0.0f);
        else
            out[r] = ordered([&](int64_t k) { return (double)row[k]; }, n, 0.0f, f.order, f.length, lanes);
    }
}

// Vectors along a row (the inner loops); outer positions are rows. Without joins, part of the inner loops will do.
static void along(const Fused &f, void *const *data, const Place *places, int64_t o0, int64_t o1, int64_t i0, int64_t i1) {
    static thread_local Storage storage;
    const int64_t n = f.inner_count;
    const int64_t padded = (n + 15) / 16 * 16;
    const int64_t group = f.row_vectors ? std::max<int64_t>(1, std::min<int64_t>(kGroup, 65536 / std::max<int64_t>(1, padded))) : 1;
    float *blocks = storage.get((size_t)(f.vectors * kGrain + f.row_vectors * group * padded + group * kMostScalars));
    float *rows = blocks + f.vectors * kGrain;
    float *scalars = rows + f.row_vectors * group * padded;
    for (int64_t g = 0; g < group; ++g) std::copy(f.constant, f.constant + f.constants, scalars + g * kMostScalars);
    Frame frame(f, data, places);
    for (int v = 0; v < f.vectors; ++v) frame.own[v] = frame.vector[v] = blocks + v * kGrain;
    int64_t bases[kGroup][kMostAccesses];
    for (int64_t o = o0; o < o1; o += group) {
        const int64_t many = std::min(group, o1 - o);
        for (const Phase *p = f.phase; p < f.phase + f.phases; ++p) {
            for (int64_t r = 0; r < many; ++r) {
                frame.scalar = scalars + r * kMostScalars;
                if (p == f.phase)
                    frame.move_to(o + r, bases[r]);
                else
                    frame.base = bases[r];
                frame.scalars(p->before, p->befores);
                for (int64_t at = i0; at < i1; at += kGrain) {
                    const int64_t count = std::min(kGrain, i1 - at);
                    for (int v = 0; v < f.row_vectors; ++v)
                        frame.own[f.vectors + v] = frame.vector[f.vectors + v] = rows + (v * group + r) * padded + at;
                    frame.vectors(p->step, p->steps, at, count);
                }
            }
            if (p->join == JOIN_NONE) continue;
            const float *term = rows + (p->term - f.vectors) * group * padded;
            float sums[kGroup];
            if (p->join == JOIN_SUM)
                row_sums(f, term, padded, many, n, sums);
            else
                for (int64_t r = 0; r < many; ++r) sums[r] = joined(p->join, term + r * padded, n);
            for (int64_t r = 0; r < many; ++r) {
                frame.scalar = scalars + r * kMostScalars;
                frame.scalar[~p->result] = sums[r];
                frame.base = bases[r];
                frame.scalars(p->after, p->afters);
            }
        }
    }
}

// Vectors across rows (the inner loops); the outer loops walk along all of them.
static void across(const Fused &f, void *const *data, const Place *places, int64_t i0, int64_t i1) {
    static thread_local Storage storage;
    const int64_t lanes = f.order == LANES ? f.length : 1;
    float *blocks = storage.get((size_t)(f.vectors * kGrain + (lanes + 1) * kAbreast + kMostScalars));
    float *total = blocks + f.vectors * kGrain, *part = total + lanes * kAbreast;
    Frame frame(f, data, places);
    frame.scalar = part + kAbreast;
    std::copy(f.constant, f.constant + f.constants, frame.scalar);
    for (int v = 0; v < f.vectors; ++v) frame.own[v] = frame.vector[v] = blocks + v * kGrain;
    int64_t base[kMostAccesses];
    const bool tiled = f.order == TILES && f.length < f.outer_count;
    for (int64_t at = i0; at < i1; at += kAbreast) {
        const int64_t n = std::min(kAbreast, i1 - at);
        for (const Phase *p = f.phase; p < f.phase + f.phases; ++p) {
            const bool adds = p->join == JOIN_SUM;
            if (adds) std::fill(total, total + lanes * kAbreast, 0.0f);
            for (int64_t o = 0; p->steps && o < f.outer_count; ++o) {
                frame.move_to(o, base);
                frame.scalars(p->before, p->befores);
                frame.vectors(p->step, p->steps, at, n);
                if (p->join == JOIN_NONE) continue;
                const float *term = frame.vector[p->term];
                float *sum = adds ? total + (f.order == LANES ? o % lanes * kAbreast : 0) : total;
                if (adds && tiled) {
                    if (o % f.length == 0) std::fill(part, part + n, 0.0f);
                    sum = part;
                }
                if (adds) {
#pragma GCC ivdep
                    for (int64_t l = 0; l < n; ++l) sum[l] += term[l];
                } else if (o == 0) {
                    std::copy(term, term + n, sum);
                } else {
                    for (int64_t l = 0; l < n; ++l)
                        sum[l] = p->join == JOIN_MAXIMUM ? larger(sum[l], term[l]) : smaller(sum[l], term[l]);
                }
                if (adds && tiled && ((o + 1) % f.length == 0 || o + 1 == f.outer_count))
                    for (int64_t l = 0; l < n; ++l) total[l] += part[l];
            }
            frame.move_to(0, base);
            if (p->join != JOIN_NONE) {
                float *result = frame.vector[p->result];
                if (adds && f.order == LANES) {
                    // The tree of adjacent pairs, an odd one unchanged, on all sums at once.
                    int64_t count = std::min(lanes, f.outer_count);
                    while (count > 1) {
                        const int64_t half = count / 2;
                        for (int64_t w = 0; w < half; ++w)
                            for (int64_t l = 0; l < n; ++l)
                                total[w * kAbreast + l] = total[2 * w * kAbreast + l] + total[(2 * w + 1) * kAbreast + l];
                        if (count & 1) std::copy(total + (count - 1) * kAbreast, total + (count - 1) * kAbreast + n, total + half * kAbreast);
                        count = half + (count & 1);
                    }
                    for (int64_t l = 0; l < n; ++l) result[l] = 0.0f + total[l];
                } else {
                    std::copy(total, total + n, result);
                }
            }
            frame.vectors(p->after, p->afters, at, n);
        }
    }
}

static void fused_run(const Fused *f, void *const *data, const Place *places, int64_t o0, int64_t o1, int64_t i0,
                      int64_t i1) {
    if (f->across) return across(*f, data, places, i0, i1);
    along(*f, data, places, o0, o1, i0, i1);
}

}  // namespace ANYCHIP_PATH
