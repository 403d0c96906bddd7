// Sums along one axis in the declared order, fp32 accumulator; vectors across independent sums.
#pragma once
#include "products.h"

namespace ANYCHIP_PATH {

static inline float tree_of(float *lanes, int64_t count) {
    // Adjacent pairs, level by level; an odd one goes up unchanged.
    while (count > 1) {
        const int64_t half = count / 2;
        for (int64_t l = 0; l < half; ++l) lanes[l] = lanes[2 * l] + lanes[2 * l + 1];
        if (count & 1) lanes[half] = lanes[count - 1];
        count = half + (count & 1);
    }
    return lanes[0];
}

template <int width>
static float lanes_sum(const float *x, int64_t n, float start) {
    float lanes[width];
    for (int l = 0; l < width; ++l) lanes[l] = 0.0f;
    int64_t i = 0;
    for (; i + width <= n; i += width)
        for (int l = 0; l < width; ++l) lanes[l] += x[i + l];
    for (int l = 0; i + l < n; ++l) lanes[l] += x[i + l];
    return n ? start + tree_of(lanes, n < width ? n : width) : start;
}

constexpr int kTogether = 64;  // sums advanced together

// Sequential or tiled sums whose neighbours lie side by side.
static void across(const Sum *s, int64_t first, int64_t last) {
    const int64_t tile = s->order == TILES ? s->length : s->inner;
    for (int64_t o = first; o < last; o += kTogether) {
        const int64_t count = std::min<int64_t>(kTogether, last - o);
        float total[kTogether], part[kTogether];
        for (int64_t l = 0; l < count; ++l) total[l] = s->start ? s->start[o + l] : 0.0f;
        for (int64_t t = 0; t < s->inner; t += tile) {
            const int64_t end = std::min(t + tile, s->inner);
            float *sum = s->order == TILES ? part : total;
            if (s->order == TILES) std::fill(part, part + count, 0.0f);
            for (int64_t i = t; i < end; ++i) {
                const float *row = s->values + i * s->inner_stride + o * s->outer_stride;
                if (count == kTogether && s->outer_stride == 1) {
                    for (int l = 0; l < kTogether; ++l) sum[l] += row[l];
                } else {
                    for (int64_t l = 0; l < count; ++l) sum[l] += row[l * s->outer_stride];
                }
            }
            if (s->order == TILES)
                for (int64_t l = 0; l < count; ++l) total[l] += part[l];
        }
        std::copy(total, total + count, s->result + o);
    }
}

static void sum(const Sum *s, int64_t first, int64_t last) {
    if (s->order == SEQUENTIAL || s->order == TILES) return across(s, first, last);
    static thread_local Scratch scratch;
    const int64_t width = s->order == LANES ? s->length : 1;
    double *lanes = reinterpret_cast<double *>(scratch.get((size_t)(2 * width) + 64));
    for (int64_t o = first; o < last; ++o) {
        const float *x = s->values + o * s->outer_stride;
        const float start = s->start ? s->start[o] : 0.0f;
        if (s->order == LANES && s->inner_stride == 1 && s->length == 16) {
            s->result[o] = lanes_sum<16>(x, s->inner, start);
        } else if (s->order == LANES && s->inner_stride == 1 && s->length == 32) {
            s->result[o] = lanes_sum<32>(x, s->inner, start);
        } else {
            const auto term = [&](int64_t k) { return (double)x[k * s->inner_stride]; };
            s->result[o] = ordered(term, s->inner, start, s->order, s->length, lanes);
        }
    }
}

}  // namespace ANYCHIP_PATH
