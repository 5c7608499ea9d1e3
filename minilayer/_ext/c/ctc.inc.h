/* Connectionist temporal classification for one instruction set: ctc.typed.h in both float types, and the entries. */
#include "vec.h"
#include "vecmath.h"

#define ML_REAL 4
#include "real.h"
#include "ctc.typed.h"
#define ML_REAL 8
#include "real.h"
#include "ctc.typed.h"

/* What is asked for exists: labels are classes, lengths fit. */
static int ML_NAME(ctc_check)(const ml_array *p, const ml_array *targets, const ml_array *starts, const ml_array *steps,
                              const ml_array *lengths, const ml_array *loss, const ml_array *alpha, int64_t blank)
{
    const ml_array *integers[] = {targets, starts, steps, lengths}, *reals[] = {p, loss, alpha};
    int64_t T = p->shape[0], B = p->shape[1], C = p->shape[2];
    if (p->ndim != 3 || alpha->ndim != 3 || starts->size != B || steps->size != B || lengths->size != B || loss->size != B ||
        alpha->shape[0] != B || alpha->shape[1] != T)
        return ML_BAD_SHAPE;
    for (int i = 0; i < 4; i++) {
        if (integers[i]->dtype != ML_I64)
            return ML_BAD_DTYPE;
        if (!ml_contiguous(integers[i]))
            return ML_NOT_CONTIGUOUS;
    }
    for (int i = 0; i < 3; i++) {
        if (reals[i]->dtype != p->dtype || (p->dtype != ML_F32 && p->dtype != ML_F64))
            return ML_BAD_DTYPE;
        if (!ml_contiguous(reals[i]))
            return ML_NOT_CONTIGUOUS;
    }
    if (blank < 0 || blank >= C)
        return ML_BAD_INDEX;
    for (int64_t b = 0; b < B; b++) {
        int64_t start = ((const int64_t *)starts->data)[b], n = ((const int64_t *)lengths->data)[b];
        int64_t t = ((const int64_t *)steps->data)[b];
        if (t < 0 || t > T || start < 0 || n < 0 || n > targets->size || start > targets->size - n)
            return ML_BAD_INDEX;
        if (2 * n + 1 > alpha->shape[2])
            return ML_BAD_SHAPE;
        for (int64_t i = start; i < start + n; i++)
            if ((uint64_t)((const int64_t *)targets->data)[i] >= (uint64_t)C)
                return ML_BAD_INDEX;
    }
    return ML_OK;
}

static int ML_NAME(ctc_loss)(const ml_array *a, const void *settings)
{
    const ctc_settings *s = settings;
    int status = ML_NAME(ctc_check)(&a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &a[6], s->blank);
    if (status)
        return status;
    return a->dtype == ML_F32 ? ML_NAME(ctc_run_f32)(a, s) : ML_NAME(ctc_run_f64)(a, s);
}

static int ML_NAME(ctc_loss_backward)(const ml_array *a, const void *settings)
{
    const ctc_settings *s = settings;
    int status = ML_NAME(ctc_check)(&a[1], &a[2], &a[3], &a[4], &a[5], &a[6], &a[7], s->blank);
    if (status)
        return status;
    if (a[0].dtype != a[1].dtype || a[8].dtype != a[1].dtype)
        return ML_BAD_DTYPE;
    if (a[0].size != a[1].shape[1] || a[8].size != a[1].size)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(&a[0]) || !ml_contiguous(&a[8]))
        return ML_NOT_CONTIGUOUS;
    return a->dtype == ML_F32 ? ML_NAME(ctc_run_backward_f32)(a, s) : ML_NAME(ctc_run_backward_f64)(a, s);
}

static const ctc_kernels ML_NAME(table) = {ML_NAME(ctc_loss), ML_NAME(ctc_loss_backward)};
