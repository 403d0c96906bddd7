// One region of the result of a product: blocked in rows, columns and K, with what comes next fetched ahead.
#pragma once
#include "pairs.h"
#include "products.h"

namespace ANYCHIP_PATH {

template <typename Packed>
static void product_chain(const Product *p, int64_t batch, int64_t r0, int64_t r1, int64_t c0, int64_t c1, float *c,
                          int64_t stride, bool zero) {
    static thread_local Scratch left_scratch, right_scratch;
    const int64_t tile = p->order == TILES ? p->length : 0;
    constexpr int64_t per = Packed::kPer, kMost = per * kDepth;
    const int64_t blocks = (p->depth + kMost - 1) / kMost;
    const int64_t even = blocks > 0 ? ((p->depth + blocks - 1) / blocks + per - 1) / per * per : per;
    const int64_t block = !tile ? even : tile >= kMost ? tile : kMost / tile * tile;
    const int64_t places = (std::min(block, p->depth) + per - 1) / per;
    // Row blocks of one size; a right panel that meets only one of them need not outlive it.
    const int64_t cuts = std::max<int64_t>(1, (r1 - r0 + kRows - 1) / kRows);
    const int64_t row_block = ((r1 - r0 + cuts - 1) / cuts + P - 1) / P * P;
    const bool once = r1 - r0 <= row_block;
    const int64_t panels = once ? 1 : (std::min(kWidth, c1 - c0) + kColumns - 1) / kColumns;
    float *left = left_scratch.get((size_t)((row_block + P) * places));
    float *right = right_scratch.get((size_t)(panels * kColumns * places));
    const int64_t across = (std::min(kWidth, c1 - c0) + kColumns - 1) / kColumns;
    Packed packed(p);
    alignas(64) float edge[R * kColumns];
    const auto left_source = [&](int64_t i, int64_t k, int64_t rows) {
        return Ahead(p->left, offset(p->left, batch, i, k), p->left.row_stride, p->left.column_stride, rows,
                     std::min(block, p->depth - k));
    };
    const auto right_source = [&](int64_t k, int64_t j) {
        return Ahead(p->right, offset(p->right, batch, k, j), p->right.column_stride, p->right.row_stride,
                     std::min<int64_t>(kColumns, c1 - j), std::min(block, p->depth - k));
    };
    for (int64_t jc = c0; jc < c1; jc += kWidth) {
        const int64_t width = std::min(kWidth, c1 - jc);
        packed.begin(r1 - r0, row_block / P, panels, across);
        for (int64_t k = 0; k < p->depth; k += block) {
            const int64_t depth = std::min(block, p->depth - k), steps = (depth + per - 1) / per;
            const bool first = zero && k == 0;
            for (int64_t ic = r0; ic < r1; ic += row_block) {
                const int64_t rows = std::min(row_block, r1 - ic);
                for (int64_t i = 0; i < rows; i += P)
                    packed.pack_left(offset(p->left, batch, ic + i, k), p->left.row_stride, p->left.column_stride,
                                     std::min<int64_t>(P, rows - i), depth, left + i * steps, i / P);
                const int64_t tiles = (rows + R - 1) / R;
                Ahead next_left;
                if (ic + row_block < r1)
                    next_left = left_source(ic + row_block, k, std::min(row_block, r1 - ic - row_block));
                else if (k + block < p->depth)
                    next_left = left_source(r0, k + block, std::min(row_block, r1 - r0));
                const int64_t blocks_here = tiles * ((width + kColumns - 1) / kColumns);
                const int64_t left_share = (next_left.lines() + blocks_here - 1) / blocks_here;
                for (int64_t j = 0; j < width; j += kColumns) {
                    const int64_t columns = std::min<int64_t>(kColumns, width - j);
                    const int64_t which = once ? 0 : j / kColumns;
                    float *panel = right + which * kColumns * steps;
                    Soon soon;
                    if (ic == r0) {
                        packed.pack_right(offset(p->right, batch, k, jc + j), p->right.column_stride,
                                          p->right.row_stride, columns, depth, panel, which);
                        if (j + kColumns < width)
                            soon.right = right_source(k, jc + j + kColumns);
                        else if (once && k + block < p->depth)
                            soon.right = right_source(k + block, jc);
                        else if (once && jc + kWidth < c1)
                            soon.right = right_source(0, jc + kWidth);
                        const int64_t stops = std::max<int64_t>(1, steps / kStep) * tiles;
                        soon.share = (soon.right.lines() + stops - 1) / stops;
                    }
                    for (int64_t i = 0; i < rows; i += R) {
                        const int64_t high = std::min<int64_t>(R, rows - i);
                        const float *rows_at = left + i / P * P * steps + i % P;
                        float *out = c + (ic - r0 + i) * stride + (jc - c0 + j);
                        for (int64_t line = 0; line < left_share; ++line) next_left.touch<0, 2>();
                        const int64_t row = (ic - r0 + i) / R, column = j / kColumns;
                        if (!zero && k == 0) packed.start(row, column, out, high, columns, stride);
                        if (columns == kColumns) {
                            if (i + R < rows)
                                soon.result = Ahead(out + R * stride, stride * 4, kColumns * 4,
                                                    std::min<int64_t>(R, rows - i - R));
                            else if (j + 2 * kColumns <= width)
                                soon.result = Ahead(out - i * stride + kColumns, stride * 4, kColumns * 4,
                                                    std::min<int64_t>(R, rows));
                            packed.block(i / P, which, row, column, tile, first, high, steps, rows_at, panel, out, stride, soon);
                            continue;
                        }
                        for (int64_t y = 0; y < high; ++y) {
                            std::memcpy(edge + y * kColumns, out + y * stride, (size_t)columns * 4);
                            std::fill(edge + y * kColumns + columns, edge + (y + 1) * kColumns, 0.0f);
                        }
                        packed.block(i / P, which, row, column, tile, first, high, steps, rows_at, panel, edge, kColumns,
                                     soon);
                        for (int64_t y = 0; y < high; ++y)
                            std::memcpy(out + y * stride, edge + y * kColumns, (size_t)columns * 4);
                    }
                }
            }
        }
    }
}

static void product(const Product *p, int64_t batch, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    if (r0 >= r1 || c0 >= c1) return;
    static thread_local Scratch scratch;
    const bool direct = p->result.kind == FP32 && p->result.column_stride == 1;
    const int64_t width = c1 - c0;
    float *c = direct ? static_cast<float *>(p->result.data) + offset(p->result, batch, r0, c0)
                      : scratch.get((size_t)((r1 - r0) * width));
    const int64_t stride = direct ? p->result.row_stride : width;
    const bool chain = p->order == SEQUENTIAL || p->order == TILES;
    for (int64_t i = r0; i < r1; ++i) {
        float *row = c + (i - r0) * stride;
        if (!p->start.data) {
            if (!chain || p->depth == 0) std::fill(row, row + width, 0.0f);
        } else {
            const float *from = static_cast<const float *>(p->start.data) + offset(p->start, batch, i, c0);
            if (from == row && p->start.column_stride == 1) continue;
            for (int64_t j = 0; j < width; ++j) row[j] = from[j * p->start.column_stride];
        }
    }
#if defined(__AVX512BF16__)
    const bool paired = Pairs::serves(p);
#else
    constexpr bool paired = false;
#endif
    if (chain && !paired)
        product_chain<Singles>(p, batch, r0, r1, c0, c1, c, stride, !p->start.data);
#if defined(__AVX512BF16__)
    else if (chain)
        product_chain<Pairs>(p, batch, r0, r1, c0, c1, c, stride, !p->start.data);
#endif
    else
        product_other(p, batch, r0, r1, c0, c1, c, stride);
    for (int64_t i = r0; i < r1; ++i) {
        float *row = c + (i - r0) * stride;
        if (p->bias) {
#pragma GCC ivdep
            for (int64_t j = 0; j < width; ++j) row[j] += p->bias[c0 + j];
        }
        if (direct) continue;
        const int64_t at = offset(p->result, batch, i, c0);
        if (p->result.kind == BF16) {
            uint16_t *out = static_cast<uint16_t *>(p->result.data) + at;
            for (int64_t j = 0; j < width; ++j) out[j * p->result.column_stride] = to_bf16(bits_of(row[j]));
        } else {
            float *out = static_cast<float *>(p->result.data) + at;
            for (int64_t j = 0; j < width; ++j) out[j * p->result.column_stride] = row[j];
        }
    }
}

}  // namespace ANYCHIP_PATH
