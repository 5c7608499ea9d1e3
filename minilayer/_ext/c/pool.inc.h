/* The pool family for one instruction set: the loops of pool.typed.h in both float types, and the entries. */
#include "vec.h"

#ifndef ML_POOL_ONCE
#define ML_POOL_ONCE

#define POOL_PIECE 16384                /* elements a piece of a parallel loop touches, about */

#define POOL_LINES 32768                /* elements of image rows that a task keeps dealt out, at most */

#define POOL_LONGEST ((int64_t)1 << 40) /* elements of a dealt out image row: no machine has memory for so many */

/* Constant shuffles of two vectors: GCC and clang spell them differently. */
#if defined(__clang__)
#define POOL_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define POOL_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ri){__VA_ARGS__})
#endif

/* The power of two that is at least n. */
static inline int64_t pool_power(int64_t n)
{
    int64_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

/* Along an axis of `size`: where output p's window starts, and its places inside, [from, to) in steps of the dilation. */
static inline void pool_reach(const pool_settings *s, int axis, int64_t p, int64_t size, int64_t *start, int64_t *from,
                              int64_t *to)
{
    int64_t d = s->dilation[axis], first = p * s->stride[axis] - s->padding[axis];
    *start = first;
    *from = first >= 0 ? first : d == 1 ? 0 : first + ml_ceil_div(-first, d) * d;
    *to = ml_min(size, first + (s->kernel[axis] - 1) * d + 1);
}

/* Row (o, p) of volume n of the outputs, told along without dividing. */
typedef struct {
    int64_t n, o, p;
} pool_at;

static inline pool_at pool_begin(int64_t row, int64_t O, int64_t P)
{
    return (pool_at){row / (O * P), row / P % O, row % P};
}

static inline void pool_next(pool_at *at, int64_t O, int64_t P)
{
    if (++at->p < P)
        return;
    at->p = 0;
    if (++at->o < O)
        return;
    at->o = 0;
    at->n++;
}

/* The first column of each of Q bins over W columns, and the one behind its last. */
static inline int64_t *pool_bins(int64_t W, int64_t Q)
{
    int64_t *bins = ml_rt->scratch(1, (size_t)ml_max(1, 2 * Q) * sizeof(int64_t));
    for (int64_t q = 0; bins && q < Q; q++) {
        bins[2 * q] = q * W / Q;
        bins[2 * q + 1] = ml_ceil_div((q + 1) * W, Q);
    }
    return bins;
}

/* How many places of one axis output p's window counts. */
static inline int64_t pool_count(const pool_settings *s, int axis, int64_t size, int64_t p)
{
    int64_t first = p * s->stride[axis] - s->padding[axis], last = first + s->kernel[axis];
    int64_t pad = s->count_include_pad ? s->padding[axis] : 0;
    return ml_min(last, size + pad) - ml_max(first, -pad);
}
#endif

/* Integers of a float's width, and half a vector of them. double goes first: float stores its places through it. */
typedef int64_t ML_NAME(pool_int_f64);
typedef int32_t ML_NAME(pool_int_f32);
typedef int32_t ML_NAME(pool_half) __attribute__((vector_size(ML_VECTOR_BYTES / 2)));

#define ML_REAL 8
#include "real.h"
#define POOL_N (ML_VECTOR_BYTES / 8)
#include "pool.typed.h"
#undef POOL_N
#define ML_REAL 4
#include "real.h"
#define POOL_N (ML_VECTOR_BYTES / 4)
#include "pool.typed.h"
#undef POOL_N

/* x and y (or dx and dy) of four dimensions, the first equal. */
static int ML_NAME(pool_check)(const ml_array *x, const ml_array *y, const ml_array *all, int n)
{
    int status = ml_check_reals(all, n);
    if (status)
        return status;
    if (x->ndim != 4 || y->ndim != 4 || x->shape[0] != y->shape[0])
        return ML_BAD_SHAPE;
    /* a volume without places has nothing that an output could be made of */
    if (y->size && !(x->shape[1] && x->shape[2] && x->shape[3]))
        return ML_BAD_SHAPE;
    return ML_OK;
}

static int ML_NAME(pool_check_index)(const ml_array *index, const ml_array *y)
{
    if (!index->data)
        return ML_OK;
    if (index->dtype != ML_I64)
        return ML_BAD_DTYPE;
    if (!ml_contiguous(index))
        return ML_NOT_CONTIGUOUS;
    return index->size == y->size ? ML_OK : ML_BAD_SHAPE;
}

/* A volume and what is made of it, with the places of a[of] in a[index]. */
static int ML_NAME(pool_check_places)(const ml_array *a, int x, int y, int index, int of)
{
    ml_array reals[2] = {a[x], a[y]};
    int status = ML_NAME(pool_check)(&a[x], &a[y], reals, 2);
    return status ? status : ML_NAME(pool_check_index)(&a[index], &a[of]);
}

#define POOL_RUN(f) (a->dtype == ML_F32 ? ML_NAME(ML_JOIN(f, f32))(a, settings) : ML_NAME(ML_JOIN(f, f64))(a, settings))

static int ML_NAME(max_pool)(const ml_array *a, const void *settings)
{
    const pool_settings *s = settings;
    int status = ML_NAME(pool_check_places)(a, 0, 1, 2, 1);
    if (status)
        return status;
    /* places inside a window are counted in 32 bits, all steps in 64 */
    double H = (double)a->shape[2], W = (double)a->shape[3];
    if ((((double)s->kernel[0] * (double)s->dilation[0] * H + (double)s->kernel[1] * (double)s->dilation[1]) * W +
         (double)s->kernel[2] * (double)s->dilation[2]) > INT32_MAX)
        return ML_BAD_SHAPE;
    return POOL_RUN(max_pool);
}

static int ML_NAME(max_pool_backward)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check_places)(a, 2, 0, 1, 0);
    if (!status && !a[1].data)
        status = ML_BAD_SHAPE;
    return status ? status : POOL_RUN(max_pool_backward);
}

static int ML_NAME(adaptive_max_pool)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check_places)(a, 0, 1, 2, 1);
    if (!status && a[1].size && a->size / a->shape[0] > INT32_MAX)      /* as for max_pool */
        status = ML_BAD_SHAPE;
    return status ? status : POOL_RUN(adaptive_max_pool);
}

static int ML_NAME(fractional_max_pool)(const ml_array *a, const void *settings)
{
    const pool_settings *s = settings;
    ml_array reals[3] = {a[0], a[1], a[2]};
    int status = ML_NAME(pool_check)(&a[0], &a[2], reals, 3);
    if (!status)
        status = ML_NAME(pool_check_index)(&a[3], &a[2]);
    if (!status && a[1].size != 3 * a->shape[0])
        status = ML_BAD_SHAPE;
    for (int d = 0; d < 3; d++)
        if (!status && a[2].size && a[2].shape[d + 1] > a->shape[d + 1] - s->kernel[d] + 1)
            status = ML_BAD_SHAPE;
    return status ? status : POOL_RUN(fractional_max_pool);
}

static int ML_NAME(max_unpool)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check_places)(a, 2, 0, 1, 0);
    if (!status && !a[1].data)
        status = ML_BAD_SHAPE;
    return status ? status : POOL_RUN(max_unpool);
}

static int ML_NAME(max_unpool_backward)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check_places)(a, 0, 2, 1, 2);
    if (!status && !a[1].data)
        status = ML_BAD_SHAPE;
    return status ? status : POOL_RUN(max_unpool_backward);
}

static int ML_NAME(avg_pool)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[0], &a[1], a, 2);
    return status ? status : POOL_RUN(avg_pool);
}

static int ML_NAME(avg_pool_backward)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[1], &a[0], a, 2);
    return status ? status : POOL_RUN(avg_pool_backward);
}

static int ML_NAME(adaptive_avg_pool)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[0], &a[1], a, 2);
    return status ? status : POOL_RUN(adaptive_avg_pool);
}

static int ML_NAME(adaptive_avg_pool_backward)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[1], &a[0], a, 2);
    return status ? status : POOL_RUN(adaptive_avg_pool_backward);
}

static const pool_kernels ML_NAME(table) = {
    .max_pool = ML_NAME(max_pool),
    .max_pool_backward = ML_NAME(max_pool_backward),
    .adaptive_max_pool = ML_NAME(adaptive_max_pool),
    .fractional_max_pool = ML_NAME(fractional_max_pool),
    .max_unpool = ML_NAME(max_unpool),
    .max_unpool_backward = ML_NAME(max_unpool_backward),
    .avg_pool = ML_NAME(avg_pool),
    .avg_pool_backward = ML_NAME(avg_pool_backward),
    .adaptive_avg_pool = ML_NAME(adaptive_avg_pool),
    .adaptive_avg_pool_backward = ML_NAME(adaptive_avg_pool_backward),
};

#undef POOL_RUN
