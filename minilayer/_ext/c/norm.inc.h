/* The norm family for one instruction set: the loops of norm.typed.h in both float types, and the entries. */
#include "vec.h"
#include "vecmath.h"

#ifndef ML_NORM_ONCE
#define ML_NORM_ONCE

#define NORM_PIECE 16384            /* elements a piece of a parallel loop touches, about */
#define NORM_BLOCK 2048             /* elements summed in vector lanes before they join a double */
#define NORM_JOIN (32 * RN)         /* the same for gradients of weights, whose terms may nearly cancel */
#define NORM_ROWS 32                /* rows of a layer norm whose gradients of weights are summed at most before that */
#define NORM_TOGETHER 8             /* rows of a layer norm that go through its stages together */
#define NORM_STRIPE 256             /* places of an image that a local response norm works on at a time */
#define NORM_SPLITS 16              /* pieces the sums of all channels are cut into when channels are few */

/* Count, mean and sum of squares around it, of a part of the data. */
typedef struct { double n, mean, m2; } norm_moments;

/* Those of two parts together (Chan, Golub and LeVeque 1979): no cancellation, however large the mean. */
static inline norm_moments norm_merge(norm_moments a, norm_moments b)
{
    if (a.n == 0)
        return b;
    if (b.n == 0)
        return a;
    norm_moments all = {a.n + b.n, 0, 0};
    double apart = b.mean - a.mean;
    all.mean = a.mean + apart * (b.n / all.n);
    all.m2 = a.m2 + b.m2 + apart * apart * (a.n * (b.n / all.n));
    return all;
}
#endif

#define ML_REAL 4
#include "real.h"
#include "norm.typed.h"
#define ML_REAL 8
#include "real.h"
#include "norm.typed.h"

/* An optional (n,) argument fits when it is None or has n elements. */
#define NORM_FITS(array, n) (!(array).data || (array).size == (n))

static int ML_NAME(layer_norm)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 6);
    if (status)
        return status;
    int64_t R = a[0].shape[0], D = a[0].shape[1];
    if (a[0].ndim != 2 || a[3].size != R * D || !NORM_FITS(a[1], D) || !NORM_FITS(a[2], D) || a[4].size != R ||
        a[5].size != R)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(layer_norm_f32)(a, settings) : ML_NAME(layer_norm_f64)(a, settings);
}

static int ML_NAME(layer_norm_backward)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 8);
    if (status)
        return status;
    int64_t R = a[1].shape[0], D = a[1].shape[1];
    if (a[1].ndim != 2 || a[0].size != R * D || !NORM_FITS(a[2], D) || a[3].size != R || a[4].size != R ||
        !NORM_FITS(a[5], R * D) || !NORM_FITS(a[6], D) || !NORM_FITS(a[7], D))
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(layer_norm_backward_f32)(a, settings)
                              : ML_NAME(layer_norm_backward_f64)(a, settings);
}

static int ML_NAME(batch_norm)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 8);
    if (status)
        return status;
    int64_t C = a[0].shape[1];
    if (a[8].dtype != ML_F64)
        return ML_BAD_DTYPE;
    if (a[0].ndim != 3 || a[3].size != a[0].size || !NORM_FITS(a[1], C) || !NORM_FITS(a[2], C) || a[4].size != C ||
        a[5].size != C || !NORM_FITS(a[6], C) || !NORM_FITS(a[7], C) || a[8].size < 1)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(batch_norm_f32)(a, settings) : ML_NAME(batch_norm_f64)(a, settings);
}

static int ML_NAME(batch_norm_eval)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 6);
    if (status)
        return status;
    int64_t C = a[0].shape[1];
    if (a[0].ndim != 3 || a[5].size != a[0].size || !NORM_FITS(a[1], C) || !NORM_FITS(a[2], C) || a[3].size != C ||
        a[4].size != C)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(batch_norm_eval_f32)(a, settings) : ML_NAME(batch_norm_eval_f64)(a, settings);
}

static int ML_NAME(batch_norm_any_backward)(const ml_array *a, const void *settings, int training)
{
    int status = ml_check_reals(a, 8);
    if (status)
        return status;
    int64_t C = a[1].shape[1];
    if (a[1].ndim != 3 || a[0].size != a[1].size || !NORM_FITS(a[2], C) || a[3].size != C || a[4].size != C ||
        !NORM_FITS(a[5], a[1].size) || !NORM_FITS(a[6], C) || !NORM_FITS(a[7], C))
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(batch_norm_backward_f32)(a, settings, training)
                              : ML_NAME(batch_norm_backward_f64)(a, settings, training);
}

static int ML_NAME(batch_norm_backward)(const ml_array *a, const void *settings)
{
    return ML_NAME(batch_norm_any_backward)(a, settings, 1);
}

static int ML_NAME(batch_norm_eval_backward)(const ml_array *a, const void *settings)
{
    return ML_NAME(batch_norm_any_backward)(a, settings, 0);
}

static int ML_NAME(rms_norm)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 4);
    if (status)
        return status;
    int64_t R = a[0].shape[0], D = a[0].shape[1];
    if (a[0].ndim != 2 || !NORM_FITS(a[1], D) || a[2].size != R * D || a[3].size != R)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(rms_norm_f32)(a, settings) : ML_NAME(rms_norm_f64)(a, settings);
}

static int ML_NAME(rms_norm_backward)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 6);
    if (status)
        return status;
    int64_t R = a[1].shape[0], D = a[1].shape[1];
    if (a[1].ndim != 2 || a[0].size != R * D || !NORM_FITS(a[2], D) || a[3].size != R || !NORM_FITS(a[4], R * D) ||
        !NORM_FITS(a[5], D))
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(rms_norm_backward_f32)(a, settings)
                              : ML_NAME(rms_norm_backward_f64)(a, settings);
}

static int ML_NAME(group_norm)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 7);
    if (status)
        return status;
    int64_t B = a[0].shape[0], C = a[0].shape[1], G = ((const norm_settings *)settings)->groups;
    if (a[0].ndim != 3 || G < 1 || C % G || !NORM_FITS(a[1], C) || !NORM_FITS(a[2], C) || a[3].size != a[0].size ||
        a[4].size != B * G || a[5].size != B * G || !NORM_FITS(a[6], B * G))
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(group_norm_f32)(a, settings) : ML_NAME(group_norm_f64)(a, settings);
}

static int ML_NAME(group_norm_backward)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 8);
    if (status)
        return status;
    int64_t B = a[1].shape[0], C = a[1].shape[1], G = ((const norm_settings *)settings)->groups;
    if (a[1].ndim != 3 || G < 1 || C % G || a[0].size != a[1].size || !NORM_FITS(a[2], C) || a[3].size != B * G ||
        a[4].size != B * G || !NORM_FITS(a[5], a[1].size) || !NORM_FITS(a[6], C) || !NORM_FITS(a[7], C))
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(group_norm_backward_f32)(a, settings)
                              : ML_NAME(group_norm_backward_f64)(a, settings);
}

static int ML_NAME(instance_statistics)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 4);
    if (status)
        return status;
    int64_t C = a[0].shape[1];
    if (a[4].dtype != ML_F64)
        return ML_BAD_DTYPE;
    if (a[0].ndim != 2 || a[1].size != a[0].size || !NORM_FITS(a[2], C) || !NORM_FITS(a[3], C) || a[4].size < 1)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(instance_statistics_f32)(a, settings)
                              : ML_NAME(instance_statistics_f64)(a, settings);
}

static int ML_NAME(local_response_norm)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 3);
    if (status)
        return status;
    if (a[0].ndim != 3 || a[1].size != a[0].size || a[2].size != a[0].size)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(response_norm_f32)(a, settings) : ML_NAME(response_norm_f64)(a, settings);
}

static int ML_NAME(local_response_norm_backward)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 4);
    if (status)
        return status;
    if (a[1].ndim != 3 || a[0].size != a[1].size || a[2].size != a[1].size || a[3].size != a[1].size)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(response_norm_backward_f32)(a, settings)
                              : ML_NAME(response_norm_backward_f64)(a, settings);
}

#undef NORM_FITS

static const norm_kernels ML_NAME(table) = {
    ML_NAME(layer_norm), ML_NAME(layer_norm_backward), ML_NAME(batch_norm),
    ML_NAME(batch_norm_eval), ML_NAME(batch_norm_backward), ML_NAME(batch_norm_eval_backward),
    ML_NAME(rms_norm), ML_NAME(rms_norm_backward), ML_NAME(group_norm), ML_NAME(group_norm_backward),
    ML_NAME(instance_statistics), ML_NAME(local_response_norm), ML_NAME(local_response_norm_backward),
};
