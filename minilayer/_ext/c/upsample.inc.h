/* Resizing for one instruction set: the loops of upsample.typed.h in both float types, and the entries. */
#include "vec.h"

#ifndef UPSAMPLE_ONCE
#define UPSAMPLE_ONCE
#define UPSAMPLE_PIECE 16384            /* elements a piece of a parallel loop touches, about */

typedef struct {
    const char *from;                   /* forward x, backward dy */
    char *to;                           /* forward y, backward dx */
    int64_t H, W, P, Q, K, L;           /* input, output, places a row and a column is made of */
    const int64_t *rows, *columns;      /* NULL: that axis stays as it is */
    const char *row_weights, *column_weights;   /* NULL: 1 */
    int holes;                          /* some place of the columns is -1, nothing */
    int failed;                         /* a status */
} upsample_work;
#endif

#define ML_REAL 4
#include "real.h"
#include "upsample.typed.h"
#define ML_REAL 8
#include "real.h"
#include "upsample.typed.h"

/* One axis's table: `out` rows of places in [-1, in). `holes` tells whether there is a -1. */
static int ML_NAME(upsample_table)(const ml_array *index, const ml_array *weights, int dtype, int64_t in, int64_t out,
                                   int *holes)
{
    if (!index->data)
        return in == out && !weights->data ? ML_OK : ML_BAD_SHAPE;
    if (index->dtype != ML_I64 || (weights->data && weights->dtype != dtype))
        return ML_BAD_DTYPE;
    if (index->ndim != 2 || index->shape[0] != out || (weights->data && weights->size != index->size))
        return ML_BAD_SHAPE;
    if (!ml_contiguous(index) || (weights->data && !ml_contiguous(weights)))
        return ML_NOT_CONTIGUOUS;
    int bad = 0;
    for (int64_t i = 0; i < index->size; i++) {
        int64_t place = ((const int64_t *)index->data)[i];
        bad |= place < -1 || place >= in;
        *holes |= place == -1;
    }
    return bad ? ML_BAD_INDEX : ML_OK;
}

/* x (or dx) and y (or dy) are the two first of a. */
static int ML_NAME(upsample_fill)(const ml_array *a, const ml_array *x, const ml_array *y, upsample_work *k)
{
    int status = ml_check_reals(a, 2);
    if (status)
        return status;
    if (x->ndim != 3 || y->ndim != 3 || x->shape[0] != y->shape[0])
        return ML_BAD_SHAPE;
    k->from = a[0].data;
    k->to = a[1].data;
    k->H = x->shape[1];
    k->W = x->shape[2];
    k->P = y->shape[1];
    k->Q = y->shape[2];
    k->rows = (const int64_t *)a[2].data;
    k->row_weights = a[3].data;
    k->columns = (const int64_t *)a[4].data;
    k->column_weights = a[5].data;
    k->K = k->rows ? a[2].shape[a[2].ndim - 1] : 1;
    k->L = k->columns ? a[4].shape[a[4].ndim - 1] : 1;
    k->failed = ML_OK;
    status = ML_NAME(upsample_table)(&a[2], &a[3], a->dtype, k->H, k->P, &k->holes);
    k->holes = 0;
    return status ? status : ML_NAME(upsample_table)(&a[4], &a[5], a->dtype, k->W, k->Q, &k->holes);
}

static int ML_NAME(resize)(const ml_array *a, const void *settings)
{
    upsample_work k;
    int status = ML_NAME(upsample_fill)(a, &a[0], &a[1], &k);
    (void)settings;
    if (status || !a[1].size)
        return status;
    ml_rt->parallel_for(a->dtype == ML_F32 ? ML_NAME(resize_planes_f32) : ML_NAME(resize_planes_f64), &k, a[1].shape[0],
                        ml_grain(UPSAMPLE_PIECE, k.H * k.Q * (k.columns ? k.L : 0) + k.P * k.Q * k.K));
    return k.failed;
}

static int ML_NAME(resize_backward)(const ml_array *a, const void *settings)
{
    upsample_work k;
    int status = ML_NAME(upsample_fill)(a, &a[1], &a[0], &k);
    (void)settings;
    if (status || !a[1].size)
        return status;
    ml_rt->parallel_for(a->dtype == ML_F32 ? ML_NAME(resize_backward_planes_f32) : ML_NAME(resize_backward_planes_f64),
                        &k, a[1].shape[0],
                        ml_grain(UPSAMPLE_PIECE, k.H * k.Q * (k.columns ? k.L : 0) + k.P * k.Q * k.K));
    return k.failed;
}

static const upsample_kernels ML_NAME(table) = {
    .resize = ML_NAME(resize),
    .resize_backward = ML_NAME(resize_backward),
};
