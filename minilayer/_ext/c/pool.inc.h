/* The pool family for one instruction set: the loops of pool.typed.h in both float types, and the entries. */
#include "vec.h"

#ifndef ML_POOL_ONCE
#define ML_POOL_ONCE

#define POOL_PIECE 16384                /* elements a piece of a parallel loop touches, about */

/* Constant shuffles of two vectors: GCC and clang spell them differently. */
#if defined(__clang__)
#define POOL_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define POOL_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ri){__VA_ARGS__})
#endif

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

/* x and y (or dx and dy) of four dimensions, the first two equal. */
static int ML_NAME(pool_check)(const ml_array *x, const ml_array *y, const ml_array *all, int n)
{
    int status = ml_check_reals(all, n);
    if (status)
        return status;
    if (x->ndim != 4 || y->ndim != 4 || x->shape[0] != y->shape[0] || x->shape[1] != y->shape[1])
        return ML_BAD_SHAPE;
    /* an image without places has nothing that an output could be made of */
    if (y->size && !(x->shape[2] && x->shape[3]))
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

static int ML_NAME(max_pool2d)(const ml_array *a, const void *settings)
{
    const pool_settings *s = settings;
    int status = ML_NAME(pool_check)(&a[0], &a[1], a, 2);
    if (!status)
        status = ML_NAME(pool_check_index)(&a[2], &a[1]);
    /* places inside a window are counted in 32 bits */
    if (!status && ((s->kernel[0] - 1) * s->dilation[0] + 1) * a[0].shape[3] + s->kernel[1] * s->dilation[1] > INT32_MAX)
        status = ML_BAD_SHAPE;
    if (status)
        return status;
    return a->dtype == ML_F32 ? ML_NAME(max_pool2d_f32)(a, settings) : ML_NAME(max_pool2d_f64)(a, settings);
}

static int ML_NAME(max_pool2d_backward)(const ml_array *a, const void *settings)
{
    ml_array reals[2] = {a[0], a[2]};
    int status = ML_NAME(pool_check)(&a[2], &a[0], reals, 2);
    if (!status)
        status = ML_NAME(pool_check_index)(&a[1], &a[0]);
    if (!status && !a[1].data)
        status = ML_BAD_SHAPE;
    if (status)
        return status;
    return a->dtype == ML_F32 ? ML_NAME(max_pool2d_backward_f32)(a, settings)
                              : ML_NAME(max_pool2d_backward_f64)(a, settings);
}

static int ML_NAME(avg_pool2d)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[0], &a[1], a, 2);
    if (status)
        return status;
    return a->dtype == ML_F32 ? ML_NAME(avg_pool2d_f32)(a, settings) : ML_NAME(avg_pool2d_f64)(a, settings);
}

static int ML_NAME(avg_pool2d_backward)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[1], &a[0], a, 2);
    if (status)
        return status;
    return a->dtype == ML_F32 ? ML_NAME(avg_pool2d_backward_f32)(a, settings)
                              : ML_NAME(avg_pool2d_backward_f64)(a, settings);
}

static int ML_NAME(adaptive_avg_pool2d)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[0], &a[1], a, 2);
    if (status)
        return status;
    return a->dtype == ML_F32 ? ML_NAME(adaptive_avg_pool2d_f32)(a, settings)
                              : ML_NAME(adaptive_avg_pool2d_f64)(a, settings);
}

static int ML_NAME(adaptive_avg_pool2d_backward)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(pool_check)(&a[1], &a[0], a, 2);
    if (status)
        return status;
    return a->dtype == ML_F32 ? ML_NAME(adaptive_avg_pool2d_backward_f32)(a, settings)
                              : ML_NAME(adaptive_avg_pool2d_backward_f64)(a, settings);
}

static const pool_kernels ML_NAME(table) = {
    ML_NAME(max_pool2d), ML_NAME(max_pool2d_backward), ML_NAME(avg_pool2d), ML_NAME(avg_pool2d_backward),
    ML_NAME(adaptive_avg_pool2d), ML_NAME(adaptive_avg_pool2d_backward),
};
