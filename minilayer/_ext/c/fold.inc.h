/* Each tap (k, l) of a window sees the image shifted: unfold copies these shifted images row by row, fold adds them up,
   each plane by one thread, tap after tap, so that the sums do not depend on how many threads there are. */
#include <string.h>
#include "vec.h"

#ifndef FOLD_ONCE
#define FOLD_ONCE
#define FOLD_PIECE 16384                /* elements a piece of a parallel loop touches, about */

typedef struct {
    const char *from;
    char *to;
    int64_t H, W, K, L, P, Q;
    const fold_settings *s;
} fold_work;

/* The outputs begin <= p < end of an axis whose tap at `offset` lies inside it. */
static inline void fold_range(int64_t n, int64_t count, int64_t offset, int64_t stride, int64_t *begin, int64_t *end)
{
    *begin = ml_min(count, offset < 0 ? ml_ceil_div(-offset, stride) : 0);
    *end = ml_max(*begin, offset >= n ? 0 : ml_min(count, ml_ceil_div(n - offset, stride)));
}

static int fold_fill(fold_work *k, const ml_array *from, const ml_array *to, const ml_array *x, const ml_array *y,
                     const void *settings)
{
    const fold_settings *s = settings;
    if (x->dtype != y->dtype)
        return ML_BAD_DTYPE;
    if (!ml_contiguous(x) || !ml_contiguous(y))
        return ML_NOT_CONTIGUOUS;
    if (x->ndim != 4 || y->ndim != 6 || x->shape[0] != y->shape[0] || x->shape[1] != y->shape[1] || s->stride[0] < 1 ||
        s->stride[1] < 1)
        return ML_BAD_SHAPE;
    *k = (fold_work){from->data, to->data, x->shape[2], x->shape[3], y->shape[2], y->shape[3], y->shape[4], y->shape[5], s};
    return ML_OK;
}
#endif

/* Items: (b, c, k, l) */
#define FOLD_UNFOLD(task, real) \
    static void task(void *context, int64_t begin, int64_t end) \
    { \
        const fold_work *w = context; \
        const int64_t *stride = w->s->stride, Q = w->Q; \
        for (int64_t t = begin; t < end; t++) { \
            int64_t plane = t / (w->K * w->L), row = t / w->L % w->K * w->s->dilation[0] - w->s->padding[0]; \
            int64_t col = t % w->L * w->s->dilation[1] - w->s->padding[1], q0, q1; \
            const real *x = (const real *)w->from + plane * w->H * w->W; \
            real *y = (real *)w->to + t * w->P * Q; \
            fold_range(w->W, Q, col, stride[1], &q0, &q1); \
            for (int64_t p = 0; p < w->P; p++, y += Q) { \
                int64_t h = row + p * stride[0]; \
                if (h < 0 || h >= w->H || q0 == q1) { \
                    memset(y, 0, (size_t)Q * sizeof(real)); \
                    continue; \
                } \
                const real *from = x + h * w->W + col; \
                memset(y, 0, (size_t)q0 * sizeof(real)); \
                if (stride[1] == 1) \
                    memcpy(y + q0, from + q0, (size_t)(q1 - q0) * sizeof(real)); \
                else \
                    for (int64_t q = q0; q < q1; q++) \
                        y[q] = from[q * stride[1]]; \
                memset(y + q1, 0, (size_t)(Q - q1) * sizeof(real)); \
            } \
        } \
    }
FOLD_UNFOLD(ML_NAME(unfold_f32), float)
FOLD_UNFOLD(ML_NAME(unfold_f64), double)
#undef FOLD_UNFOLD

/* Items: (b, c) */
#define FOLD_FOLD(task, real) \
    static void task(void *context, int64_t begin, int64_t end) \
    { \
        const fold_work *w = context; \
        const int64_t *stride = w->s->stride, Q = w->Q; \
        for (int64_t plane = begin; plane < end; plane++) { \
            real *x = (real *)w->to + plane * w->H * w->W; \
            const real *y = (const real *)w->from + plane * w->K * w->L * w->P * Q; \
            memset(x, 0, (size_t)(w->H * w->W) * sizeof(real)); \
            for (int64_t t = 0; t < w->K * w->L; t++, y += w->P * Q) { \
                int64_t row = t / w->L * w->s->dilation[0] - w->s->padding[0]; \
                int64_t col = t % w->L * w->s->dilation[1] - w->s->padding[1], p0, p1, q0, q1; \
                fold_range(w->H, w->P, row, stride[0], &p0, &p1); \
                fold_range(w->W, Q, col, stride[1], &q0, &q1); \
                for (int64_t p = p0; p < p1 && q0 < q1; p++) { \
                    const real *restrict from = y + p * Q; \
                    real *restrict to = x + (row + p * stride[0]) * w->W + col; \
                    if (stride[1] == 1) \
                        for (int64_t q = q0; q < q1; q++) \
                            to[q] += from[q]; \
                    else \
                        for (int64_t q = q0; q < q1; q++) \
                            to[q * stride[1]] += from[q]; \
                } \
            } \
        } \
    }
FOLD_FOLD(ML_NAME(fold_f32), float)
FOLD_FOLD(ML_NAME(fold_f64), double)
#undef FOLD_FOLD

static int ML_NAME(unfold)(const ml_array *a, const void *settings)
{
    fold_work k;
    int status = fold_fill(&k, &a[0], &a[1], &a[0], &a[1], settings);
    if (status == ML_OK && a->dtype != ML_F32 && a->dtype != ML_F64)
        status = ML_BAD_DTYPE;
    if (status == ML_OK && a[1].size)
        ml_rt->parallel_for(a->dtype == ML_F32 ? ML_NAME(unfold_f32) : ML_NAME(unfold_f64), &k, a[1].size / (k.P * k.Q),
                            ml_max(1, FOLD_PIECE / (k.P * k.Q)));
    return status;
}

static int ML_NAME(fold)(const ml_array *a, const void *settings)
{
    fold_work k;
    int status = fold_fill(&k, &a[0], &a[1], &a[1], &a[0], settings);
    if (status == ML_OK && a->dtype != ML_F32 && a->dtype != ML_F64)
        status = ML_BAD_DTYPE;
    if (status == ML_OK && a[1].size)
        ml_rt->parallel_for(a->dtype == ML_F32 ? ML_NAME(fold_f32) : ML_NAME(fold_f64), &k, a[1].size / (k.H * k.W),
                            ml_max(1, FOLD_PIECE / ml_max(1, k.K * k.L * k.P * k.Q)));
    return status;
}

static const fold_kernels ML_NAME(table) = {
    .unfold = ML_NAME(unfold),
    .fold = ML_NAME(fold),
};
