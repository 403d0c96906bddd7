// What the compiled core and Python agree on. Every struct has a mirror in anychip/formats/compiled.py.
#pragma once
#include <cstdint>

extern "C" {

// How the elements of an array are stored.
enum Kind : int32_t { FP32 = 0, BF16 = 1, FP16 = 2, CODE8 = 3, CODE16 = 4, BOOL = 5 };

enum Direction : int32_t { NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO, UP, DOWN, TO_ODD, STOCHASTIC };

enum Generator : int32_t { PHILOX10, PHILOX7, LFSR, XORWOW };

// A cast of fp32 values to a format of at most 24 significant bits within fp32's range.
struct Cast {
    int32_t significand_bits, emin, exponent_bits, bits;
    int32_t direction, flush_out, flush_in, negative_zero;
    uint32_t max_code;        // code of the largest finite value, without sign
    uint32_t overflow_code;   // what an overflow becomes
    uint32_t stay_code;       // what an overflow becomes where the direction points back
    uint32_t infinity_code;   // what an infinite input becomes
    uint32_t nan_code;        // what NaN becomes, without sign
    int32_t nan_payload, reserved;
    uint32_t overflow_value, stay_value, infinity_value, nan_value;  // the same as fp32 bits
    int32_t generator, random_bits, word_bits;
    uint32_t seed_low, seed_high, tensor, step;
    uint64_t element;
};

// One operand or result of a product: address, storage and strides in elements.
struct Matrix {
    void *data;
    int32_t kind;
    int32_t reserved;
    int64_t batch_stride, row_stride, column_stride;
    const float *table;  // values of the codes of kind CODE8 and CODE16
};

enum OrderKind : int32_t { SEQUENTIAL, TILES, TREE, PAIRWISE, LANES };

// What is done to operands stored in fp32: nothing, rounding to bf16, or nothing since they hold bf16 values.
enum Narrowing : int32_t { AS_STORED = 0, TO_BF16 = 1, HOLDS_BF16 = 2 };

// result[b] = start[b] + left[b] right[b], accumulated in fp32 in the declared order.
struct Product {
    Matrix left, right, start, result;  // start.data may be null
    int64_t batch, rows, columns, depth;
    int32_t order;            // OrderKind
    int32_t narrow_operands;  // Narrowing
    int64_t length;           // of a tile, tree group or lane set
    const float *bias;        // added to every row after the sum, with one rounding; may be null
};

// result[o] = start[o] + sum over i of values[o * outer_stride + i * inner_stride].
struct Sum {
    const float *values;
    const float *start;
    float *result;
    int64_t outer, inner, outer_stride, inner_stride;
    int32_t order, reserved;
    int64_t length;
};

// ---- recipes in one pass over memory (fused.h) ----

// What a step does; from CURVE on, the curves of curves.h in their order.
enum Operation : int32_t {
    LOAD, STORE, ADD, SUB, MUL, DIV, NEG, ABS, MAXIMUM, MINIMUM, EQ, NE, LT, LE, GT, GE, SELECT, AND, OR, XOR, NOT,
    FLOOR, CEIL, ROUND, TRUNC, SIGN_BIT, COPY, ISNAN, SQRT, CURVE = 64
};

enum Join : int32_t { JOIN_NONE, JOIN_SUM, JOIN_MAXIMUM, JOIN_MINIMUM };

// A value is a vector register from 0 on, or ~s for scalar s. LOAD reads access `a` into `target` (`b`: a copy is
// needed); STORE writes value `a` to access `b`.
struct Step {
    int32_t operation, target, a, b, c;
};

// Scalar steps before (for each outer position), vector steps over the inner loops, the join of `term` into `result`,
// and steps after it: on scalars along rows, on vectors across them.
struct Phase {
    int32_t before, befores, step, steps, join, term, result, after, afters;
};

// An operand or result as the loops see it.
struct Access {
    int32_t port;       // index of its address
    int32_t kind;
    int64_t offset;     // elements
    int64_t outer[6], inner[6];
    int32_t collapsed;  // 1: the inner loops are one, of the last one's stride; 2: the outer loops are
    int32_t reserved;
    const float *table;
    const Cast *cast;   // of a result narrower than fp32
};

struct Fused {
    int32_t across, accesses, phases, vectors, row_vectors, constants, outer_loops, inner_loops, order, reserved;
    int64_t length, outer_count, inner_count;
    int64_t outer_extents[6], inner_extents[6];
    const Access *access;
    const Phase *phase;
    const Step *step;
    const float *constant;  // the first scalars
};

// Where a result's random numbers begin, by access.
struct Place {
    uint32_t tensor, step;
};

typedef void (*Work)(void *context, int64_t first, int64_t last);

// What one instruction set path offers.
struct Path {
    const char *name;
    void (*to_values)(const Cast *, const float *, float *, int64_t first, int64_t last);
    void (*to_codes8)(const Cast *, const float *, uint8_t *, int64_t first, int64_t last);
    void (*to_codes16)(const Cast *, const float *, uint16_t *, int64_t first, int64_t last);
    void (*decode8)(const float *table, const uint8_t *, float *, int64_t first, int64_t last);
    void (*decode16)(const float *table, const uint16_t *, float *, int64_t first, int64_t last);
    void (*stream)(void *to, const void *from, int64_t bytes);  // past the caches, where the processor can
    void (*product)(const Product *, int64_t batch, int64_t row0, int64_t row1, int64_t col0, int64_t col1);
    int64_t row_grain, column_grain;
    void (*sum)(const Sum *, int64_t first, int64_t last);
    int (*curve)(int32_t which, const float *, float *, int64_t first, int64_t last);
    void (*fused)(const Fused *, void *const *data, const Place *, int64_t o0, int64_t o1, int64_t i0, int64_t i1);
    int (*probe)(void);  // 1 if the instructions behave as specified
    int pairs;           // 1 if products of bf16 have an instruction, so that it is worth knowing what holds bf16
};
}
