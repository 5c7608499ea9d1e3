/* The softmax family for one instruction set: the loops of softmax.typed.h in both float types, and the entries. */
#include "vec.h"
#include "vecmath.h"

#ifndef ML_SOFTMAX_ONCE
#define ML_SOFTMAX_ONCE

#define SOFTMAX_PIECE 4096              /* elements a piece of a parallel loop touches, about: exp is work */
#define SOFTMAX_BLOCK 2048              /* elements summed in vector lanes before they join a double */
#define SOFTMAX_COLUMN_ROWS 64          /* rows of a column summed before they join the total */

/* How an array (outer, D, inner) is cut into items: rows where inner = 1, else columns of one vector's width. */
typedef struct { int64_t outer, D, inner, across, items, grain; } softmax_plan;

static inline softmax_plan softmax_cut(const ml_array *x, int lanes)
{
    softmax_plan p = {.outer = x->shape[0], .D = x->shape[1], .inner = x->shape[2]};
    p.across = p.inner == 1 ? 1 : ml_ceil_div(p.inner, lanes);
    p.items = p.outer * p.across;
    p.grain = ml_max(1, SOFTMAX_PIECE / ml_max(1, p.D * (p.inner == 1 ? 1 : lanes)));
    return p;
}
#endif

#define ML_REAL 4
#include "real.h"
#include "softmax.typed.h"
#define ML_REAL 8
#include "real.h"
#include "softmax.typed.h"

/* n arrays of x's shape and type, from the first on. */
static int ML_NAME(softmax_check)(const ml_array *a, int n)
{
    int status = ml_check_reals(a, n);
    if (status)
        return status;
    if (a->ndim != 3)
        return ML_BAD_SHAPE;
    for (int i = 1; i < n; i++)
        if (a[i].size != a->size)
            return ML_BAD_SHAPE;
    return ML_OK;
}

#define SOFTMAX_ENTRY(name, arrays)                                                                                    \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                                  \
    {                                                                                                                  \
        int status = ML_NAME(softmax_check)(a, arrays);                                                                \
        if (status)                                                                                                    \
            return status;                                                                                             \
        return a->dtype == ML_F32 ? ML_NAME(ML_JOIN(name, f32))(a) : ML_NAME(ML_JOIN(name, f64))(a);                   \
    }
SOFTMAX_ENTRY(softmax, 2)
SOFTMAX_ENTRY(log_softmax, 2)
SOFTMAX_ENTRY(softmax_backward, 3)
SOFTMAX_ENTRY(log_softmax_backward, 3)
#undef SOFTMAX_ENTRY

/* The parts of a loss as its loops want them, each checked against x (B,C,L); NULL where a kernel has no such part. */
static int ML_NAME(loss_check)(const ml_array *x, const ml_array *labels, const ml_array *probs, const ml_array *weight,
                               const ml_array *loss, const ml_array *lse, const ml_array *other)
{
    if (x->ndim != 3)
        return ML_BAD_SHAPE;
    int64_t n = x->shape[0] * x->shape[2];
    const ml_array *reals[] = {x, probs, weight, loss, lse, other};
    for (int i = 0; i < 6; i++) {
        if (!reals[i] || !reals[i]->data)
            continue;
        if ((x->dtype != ML_F32 && x->dtype != ML_F64) || reals[i]->dtype != x->dtype)
            return ML_BAD_DTYPE;
        if (!ml_contiguous(reals[i]))
            return ML_NOT_CONTIGUOUS;
    }
    if (labels) {
        if (labels->dtype != ML_I64)
            return ML_BAD_DTYPE;
        if (!ml_contiguous(labels))
            return ML_NOT_CONTIGUOUS;
        if (labels->size != n)
            return ML_BAD_SHAPE;
    }
    if ((lse && lse->size != 2 * n) || (probs && probs->size != x->size) || (other && other->size != x->size) ||
        (weight && weight->data && weight->size != x->shape[1]) || (loss->size != n && loss->size != 1))
        return ML_BAD_SHAPE;
    return ML_OK;
}

#define LOSS_ENTRY(name, x, labels, probs, weight, loss, lse, other)                                                   \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                                  \
    {                                                                                                                  \
        int status = ML_NAME(loss_check)(x, labels, probs, weight, loss, lse, other);                                  \
        if (status)                                                                                                    \
            return status;                                                                                             \
        return (x)->dtype == ML_F32 ? ML_NAME(ML_JOIN(name, f32))(a, settings)                                         \
                                    : ML_NAME(ML_JOIN(name, f64))(a, settings);                                        \
    }
/* the loss written must be whole: one value for all is for gradients */
#define LOSS_WHOLE(x, loss) ((loss)->size == (x)->shape[0] * (x)->shape[2])

LOSS_ENTRY(cross_entropy_backward, &a[0], &a[1], NULL, &a[2], &a[4], &a[3], &a[5])
LOSS_ENTRY(cross_entropy_probs_backward, &a[0], NULL, &a[1], &a[2], &a[4], &a[3], &a[5])
LOSS_ENTRY(cross_entropy_probs_backward_target, &a[0], NULL, NULL, &a[1], &a[3], &a[2], &a[4])
LOSS_ENTRY(nll_loss_backward, &a[3], &a[0], NULL, &a[1], &a[2], NULL, NULL)
#undef LOSS_ENTRY

static int ML_NAME(cross_entropy)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(loss_check)(&a[0], &a[1], NULL, &a[2], &a[3], &a[4], NULL);
    if (status || !LOSS_WHOLE(&a[0], &a[3]))
        return status ? status : ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(cross_entropy_f32)(a, settings) : ML_NAME(cross_entropy_f64)(a, settings);
}

static int ML_NAME(cross_entropy_probs)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(loss_check)(&a[0], NULL, &a[1], &a[2], &a[3], &a[4], NULL);
    if (status || !LOSS_WHOLE(&a[0], &a[3]))
        return status ? status : ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(cross_entropy_probs_f32)(a, settings)
                              : ML_NAME(cross_entropy_probs_f64)(a, settings);
}

static int ML_NAME(nll_loss)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(loss_check)(&a[0], &a[1], NULL, &a[2], &a[3], NULL, NULL);
    if (status || !LOSS_WHOLE(&a[0], &a[3]))
        return status ? status : ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(nll_loss_f32)(a, settings) : ML_NAME(nll_loss_f64)(a, settings);
}
#undef LOSS_WHOLE

static int ML_NAME(reduce_loss)(const ml_array *a, const void *settings)
{
    ml_array reals[4] = {a[0], a[2], a[3], a[4]};
    int status = ml_check_reals(reals, 4);
    if (status)
        return status;
    if (a[1].data && a[1].dtype != ML_I64)
        return ML_BAD_DTYPE;
    if (a[1].data && !ml_contiguous(&a[1]))
        return ML_NOT_CONTIGUOUS;
    if ((a[1].data && a[1].size != a[0].size) || a[3].size != 1 || a[4].size != 1)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(reduce_loss_f32)(a, settings) : ML_NAME(reduce_loss_f64)(a, settings);
}

static const softmax_kernels ML_NAME(table) = {
    ML_NAME(softmax), ML_NAME(log_softmax), ML_NAME(softmax_backward), ML_NAME(log_softmax_backward),
    ML_NAME(cross_entropy), ML_NAME(cross_entropy_backward), ML_NAME(cross_entropy_probs),
    ML_NAME(cross_entropy_probs_backward), ML_NAME(cross_entropy_probs_backward_target),
    ML_NAME(nll_loss), ML_NAME(nll_loss_backward), ML_NAME(reduce_loss),
};
