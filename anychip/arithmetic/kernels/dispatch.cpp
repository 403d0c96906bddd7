// Choice of path, threads, and the entry points that Python calls. Work is cut into fixed chunks, so that a
// result never depends on how many threads share them.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <emmintrin.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

#include "core.h"

// ANYCHIP_ONE_PATH: only the baseline is linked, for tests and other processors.
#if defined(__x86_64__) && !defined(ANYCHIP_ONE_PATH)
extern "C" const Path anychip_path_baseline, anychip_path_avx2, anychip_path_avx512, anychip_path_avx512bf16;
#else
extern "C" const Path anychip_path_baseline;
#endif

namespace {

// Rounding to nearest and gradual underflow, whatever the caller's thread has set (torch can flush).
struct Environment {
#if defined(__x86_64__)
    unsigned saved = _mm_getcsr();
    Environment() { _mm_setcsr(0x1F80); }
    ~Environment() { _mm_setcsr(saved); }
#elif defined(__aarch64__)
    uint64_t saved;
    Environment() {
        asm volatile("mrs %0, fpcr" : "=r"(saved));
        asm volatile("msr fpcr, %0" ::"r"((uint64_t)0));
    }
    ~Environment() { asm volatile("msr fpcr, %0" ::"r"(saved)); }
#endif
};

class Pool {
  public:
    // Runs work on chunks 0..count-1 and returns when all are done.
    void run(int64_t count, Work work, void *context) {
        const int helpers = (int)std::min<int64_t>(wanted_, count) - 1;
        std::unique_lock<std::mutex> alone(entry_, std::try_to_lock);
        if (helpers <= 0 || !alone.owns_lock()) {
            for (int64_t i = 0; i < count; ++i) work(context, i, i + 1);
            return;
        }
        grow(helpers);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            work_ = work, context_ = context, count_ = count, next_ = 0;
            active_ = helpers, pending_ = helpers;
            ++turn_;
        }
        wake_.notify_all();
        drain();
        for (int spin = 0; spin < 4000 && left_.load(std::memory_order_acquire) != turn_; ++spin) pause();
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [&] { return pending_ == 0; });
    }

    void set_threads(int threads) { wanted_ = std::max(1, threads); }
    int threads() const { return wanted_; }

    // After a fork only the calling thread is left; what it held stays with the parent.
    static Pool *instance;

  private:
    static void pause() {
#if defined(__x86_64__)
        _mm_pause();
#endif
    }

    void drain() {
        for (;;) {
            const int64_t i = next_.fetch_add(1);
            if (i >= count_) return;
            work_(context_, i, i + 1);
        }
    }

    void grow(int helpers) {
        while ((int)started_ < helpers) {
            const int index = started_++;
            std::thread([this, index] { helper(index); }).detach();
        }
    }

    void helper(int index) {
        const Environment environment;
        uint64_t seen = 0;
        for (;;) {
            for (int spin = 0; spin < 2000 && turn_.load(std::memory_order_acquire) == seen; ++spin) pause();
            {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return turn_ != seen; });
                seen = turn_;
                if (index >= active_) continue;
            }
            drain();
            std::lock_guard<std::mutex> lock(mutex_);
            if (--pending_ == 0) {
                left_.store(turn_, std::memory_order_release);
                done_.notify_one();
            }
        }
    }

    std::mutex entry_, mutex_;
    std::condition_variable wake_, done_;
    std::atomic<int64_t> next_{0};
    std::atomic<uint64_t> turn_{0}, left_{0};
    Work work_ = nullptr;
    void *context_ = nullptr;
    int64_t count_ = 0;
    int started_ = 0, wanted_ = 1, active_ = 0, pending_ = 0;
};

// Never destroyed: helpers may still wait when the process exits.
Pool *Pool::instance = new Pool;

void after_fork() {
    const int threads = Pool::instance->threads();
    Pool::instance = new Pool;
    Pool::instance->set_threads(threads);
}

const Path *chosen = &anychip_path_baseline;

struct Registration {
    Registration() {
#if !defined(_WIN32)
        pthread_atfork(nullptr, nullptr, after_fork);
#endif
    }
} registration;

constexpr int kPaths = 4;  // at most

int candidates(const Path **out) {
    int count = 0;
#if defined(__x86_64__) && !defined(ANYCHIP_ONE_PATH)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    {
        if (__builtin_cpu_supports("avx512bf16")) out[count++] = &anychip_path_avx512bf16;
        out[count++] = &anychip_path_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) out[count++] = &anychip_path_avx2;
#endif
    out[count++] = &anychip_path_baseline;
    return count;
}

// Elements of one chunk of a pass over memory; a multiple of every group of random numbers.
constexpr int64_t kChunk = 1 << 16;

template <typename F>
void parallel(int64_t count, const F &f) {
    const Environment environment;
    Pool::instance->run(
        count, [](void *context, int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) (*static_cast<const F *>(context))(i);
        },
        const_cast<F *>(&f));
}

template <typename F>
void chunked(int64_t n, int64_t chunk, const F &f) {
    parallel((n + chunk - 1) / chunk, [&](int64_t i) { f(i * chunk, std::min(n, (i + 1) * chunk)); });
}

// Results larger than this are written past the caches: they would push out everything else, and a store into a
// line that is not cached first reads it.
constexpr int64_t kStreamBytes = 8 << 20;
constexpr int64_t kPiece = 512;    // elements put together before they are streamed
constexpr int64_t kAhead = 16384;  // bytes by which reading runs ahead; the hardware stops at every page

// Runs a cast chunk by chunk; `work(out, first, last)` writes out[first..last).
template <typename Out, typename F>
void written(int64_t n, Out *out, const void *in, int64_t in_size, const F &work) {
    const bool streams = n * (int64_t)sizeof(Out) >= kStreamBytes && static_cast<const void *>(out) != in;
    chunked(n, kChunk, [&](int64_t first, int64_t last) {
        if (!streams) return work(out, first, last);
        alignas(64) Out piece[kPiece];
        for (int64_t i = first; i < last; i += kPiece) {
            const int64_t end = std::min(i + kPiece, last);
            const char *next = static_cast<const char *>(in) + i * in_size + kAhead;
            if (end + kAhead / in_size <= n)
                for (int64_t byte = 0; byte < (end - i) * in_size; byte += 64) __builtin_prefetch(next + byte, 0, 2);
            work(reinterpret_cast<Out *>(reinterpret_cast<uintptr_t>(piece) - (uintptr_t)i * sizeof(Out)), i, end);
            chosen->stream(out + i, piece, (end - i) * (int64_t)sizeof(Out));
        }
#if defined(__SSE2__)
        _mm_sfence();
#endif
    });
}

struct Parts {
    int64_t rows, columns;
};

// How one result is cut into regions, in both directions and never along the sum: the largest region is as small
// as it gets, with the operands that several regions read and pack counted in; where regions stay wide enough for
// that not to matter there are more of them than threads, so that a thread that is held up can leave some to others.
Parts parts_of(const Product *p) {
    const int64_t threads = Pool::instance->threads();
    const auto largest = [](int64_t extent, int64_t grain, int64_t parts) {
        const int64_t units = (extent + grain - 1) / grain;
        return (units + parts - 1) / parts * grain;
    };
    constexpr int64_t kPacking = 8;  // rows or columns of products that packing one costs
    constexpr int64_t kWide = 768;
    Parts best{1, 1};
    if (threads == 1 || p->rows < 1 || p->columns < 1) return best;
    int64_t least = INT64_MAX;
    for (int64_t rows = 1; rows <= threads; ++rows) {
        const int64_t columns = threads / rows;
        const int64_t high = largest(p->rows, chosen->row_grain, rows);
        const int64_t wide = largest(p->columns, chosen->column_grain, columns);
        const int64_t cost = (high + kPacking) * (wide + kPacking);
        if (cost < least) least = cost, best = {rows, columns};
    }
    int64_t &longer = p->columns / best.columns >= p->rows / best.rows ? best.columns : best.rows;
    const int64_t extent = &longer == &best.columns ? p->columns : p->rows;
    longer *= std::max<int64_t>(1, std::min<int64_t>(8, extent / longer / kWide));
    best.rows = std::min(best.rows, (p->rows + chosen->row_grain - 1) / chosen->row_grain);
    best.columns = std::min(best.columns, (p->columns + chosen->column_grain - 1) / chosen->column_grain);
    return best;
}

// Whether every element of an operand stored in fp32 is a value of bf16; rows and columns as its strides say.
bool holds_bf16(const Matrix &x, int64_t batch, int64_t rows, int64_t columns) {
    if (x.kind != FP32) return true;
    if (x.batch_stride == 0) batch = 1;
    int64_t outer = x.row_stride, inner = x.column_stride;
    if (outer == 1 && inner != 1) std::swap(outer, inner), std::swap(rows, columns);
    const int64_t group = std::max<int64_t>(1, kChunk / std::max<int64_t>(1, columns));
    const int64_t groups = (rows + group - 1) / group;
    std::atomic<bool> holds{true};
    parallel(batch * groups, [&](int64_t i) {
        if (!holds.load(std::memory_order_relaxed)) return;
        const int64_t first = i % groups * group;
        for (int64_t row = first; row < std::min(rows, first + group); ++row) {
            const uint32_t *at = static_cast<const uint32_t *>(x.data) + i / groups * x.batch_stride + row * outer;
            uint32_t rest = 0;
            if (inner == 1)
                for (int64_t j = 0; j < columns; ++j) rest |= at[j];
            else
                for (int64_t j = 0; j < columns; ++j) rest |= at[j * inner];
            if (rest & 0xFFFF) return holds.store(false, std::memory_order_relaxed);
        }
    });
    return holds;
}

}  // namespace

extern "C" {

// Bumped when core.h changes; Python refuses a library whose structs are others.
int32_t anychip_version() { return 2; }

// SHA-256 of the sources at build time; Python compares it with the sources beside the library.
const char *anychip_sources() {
#ifdef ANYCHIP_SOURCES
    return ANYCHIP_SOURCES;
#else
    return "";
#endif
}

// Names of the paths that this processor can run and that behave as specified, best first, one a line.
int32_t anychip_paths(char *out, int32_t size) {
    const Environment environment;
    const Path *paths[kPaths];
    const int count = candidates(paths);
    int32_t used = 0;
    for (int i = 0; i < count; ++i) {
        if (!paths[i]->probe()) continue;
        const int32_t length = (int32_t)std::strlen(paths[i]->name);
        if (used + length + 2 > size) break;
        std::memcpy(out + used, paths[i]->name, (size_t)length);
        used += length;
        out[used++] = '\n';
    }
    out[used] = 0;
    return used;
}

int32_t anychip_choose(const char *name) {
    const Path *paths[kPaths];
    const int count = candidates(paths);
    for (int i = 0; i < count; ++i)
        if (!std::strcmp(paths[i]->name, name)) {
            chosen = paths[i];
            return 1;
        }
    return 0;
}

void anychip_threads(int32_t threads) { Pool::instance->set_threads(threads); }

void anychip_to_values(const Cast *c, const float *in, float *out, int64_t n) {
    written(n, out, in, 4, [&](float *at, int64_t a, int64_t b) { chosen->to_values(c, in, at, a, b); });
}

void anychip_to_codes8(const Cast *c, const float *in, uint8_t *out, int64_t n) {
    written(n, out, in, 4, [&](uint8_t *at, int64_t a, int64_t b) { chosen->to_codes8(c, in, at, a, b); });
}

void anychip_to_codes16(const Cast *c, const float *in, uint16_t *out, int64_t n) {
    written(n, out, in, 4, [&](uint16_t *at, int64_t a, int64_t b) { chosen->to_codes16(c, in, at, a, b); });
}

void anychip_decode8(const float *table, const uint8_t *in, float *out, int64_t n) {
    written(n, out, in, 1, [&](float *at, int64_t a, int64_t b) { chosen->decode8(table, in, at, a, b); });
}

void anychip_decode16(const float *table, const uint16_t *in, float *out, int64_t n) {
    written(n, out, in, 2, [&](float *at, int64_t a, int64_t b) { chosen->decode16(table, in, at, a, b); });
}

void anychip_product(const Product *given) {
    Product product = *given;
    const Product *p = &product;
    // What the caller expects is checked, since the instruction would cut off what does not fit.
    if (product.narrow_operands == HOLDS_BF16 &&
        !(chosen->pairs && std::min(p->rows, p->columns) >= 4 &&
          holds_bf16(p->left, p->batch, p->rows, p->depth) && holds_bf16(p->right, p->batch, p->depth, p->columns)))
        product.narrow_operands = AS_STORED;
    const int64_t work = p->rows * p->columns * (p->depth > 0 ? p->depth : 1);
    const Parts parts = p->batch < 2 * Pool::instance->threads() && work > 65536 ? parts_of(p) : Parts{1, 1};
    const int64_t row_parts = parts.rows, column_parts = parts.columns;
    const auto cut = [](int64_t extent, int64_t parts, int64_t grain, int64_t i) {
        const int64_t units = (extent + grain - 1) / grain;
        return std::min(extent, units * i / parts * grain);
    };
    const auto region = [&](int64_t i) {
        const int64_t column = i % column_parts, row = i / column_parts % row_parts;
        chosen->product(p, i / (column_parts * row_parts), cut(p->rows, row_parts, chosen->row_grain, row),
                        cut(p->rows, row_parts, chosen->row_grain, row + 1),
                        cut(p->columns, column_parts, chosen->column_grain, column),
                        cut(p->columns, column_parts, chosen->column_grain, column + 1));
    };
    const int64_t regions = p->batch * row_parts * column_parts;
    if (work * p->batch < 16384) {
        const Environment environment;
        for (int64_t i = 0; i < regions; ++i) region(i);
        return;
    }
    parallel(regions, region);
}

void anychip_sum(const Sum *s) {
    const int64_t chunk = std::max<int64_t>(64, kChunk / std::max<int64_t>(1, s->inner) / 64 * 64);
    chunked(s->outer, chunk, [&](int64_t a, int64_t b) { chosen->sum(s, a, b); });
}

int32_t anychip_curve(int32_t which, const float *in, float *out, int64_t n) {
    std::atomic<int> known{1};
    chunked(n, kChunk / 4, [&](int64_t a, int64_t b) {
        if (!chosen->curve(which, in, out, a, b)) known = 0;
    });
    return known;
}

// One pass of a fused recipe; `places` may be null where nothing is rounded stochastically.
void anychip_fused(const Fused *f, void *const *data, const Place *places) {
    const int64_t n = std::max<int64_t>(1, f->inner_count);
    if (f->across) {
        const int64_t chunk = f->outer_count * n < kChunk / 4 ? n : 128;
        chunked(n, chunk, [&](int64_t a, int64_t b) { chosen->fused(f, data, places, 0, f->outer_count, a, b); });
    } else if (f->row_vectors || f->outer_count > 1) {
        const int64_t rows = std::max<int64_t>(8, kChunk / 4 / n / 8 * 8);
        chunked(f->outer_count, rows, [&](int64_t a, int64_t b) { chosen->fused(f, data, places, a, b, 0, n); });
    } else {
        chunked(n, kChunk / 4, [&](int64_t a, int64_t b) { chosen->fused(f, data, places, 0, 1, a, b); });
    }
}
}
