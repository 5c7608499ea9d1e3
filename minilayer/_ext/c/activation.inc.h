/* The activations for one instruction set: the rows of activation.typed.h in both float types, and the entries. */
#include "nest.h"
#include "vec.h"
#include "philox_core.h"
#include "vecmath.h"

#define ACTIVATION_PIECE 16384      /* elements of a piece of a parallel loop: a multiple of ML_PHILOX_WORDS */

#define SIXTH (1.0f / 6.0f)           /* in hardsigmoid's gradient PyTorch has it as a float, for doubles too */

#define ML_REAL 4
#include "real.h"
#define RV(f) vf_##f
#include "activation.typed.h"
#undef RV
#define ML_REAL 8
#include "real.h"
#define RV(f) vd_##f
#include "activation.typed.h"
#undef RV

/* y = f(x), or dx = f(x, dy), all of one float type */
#define ENTRY(name, ins)                                                                                               \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                                  \
    {                                                                                                                  \
        static const ml_row rows[ML_DTYPES] = {[ML_F32] = ML_NAME(name##_row_f32), [ML_F64] = ML_NAME(name##_row_f64)}; \
        for (int k = 1; k <= ins; k++)                                                                                 \
            if (a[k].dtype != a[0].dtype)                                                                              \
                return ML_BAD_DTYPE;                                                                                   \
        return ml_nest_run(rows[a[0].dtype], settings, a, ins, 1, NEST_EXPAND);                                        \
    }
#define BOTH(name) ENTRY(name, 1) ENTRY(name##_backward, 2)

BOTH(hardtanh)
BOTH(leaky_relu)
BOTH(elu)
BOTH(silu)
BOTH(mish)
BOTH(log_sigmoid)
BOTH(tanhshrink)
BOTH(softplus)
BOTH(softsign)
BOTH(softshrink)
BOTH(hardshrink)
BOTH(hardsigmoid)
BOTH(hardswish)
BOTH(threshold)

static int ML_NAME(glu)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 2);
    (void)settings;
    if (status)
        return status;
    if (a[0].ndim != 3 || a[0].shape[1] != 2 || 2 * a[1].size != a[0].size)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(glu_run_f32)(&a[0], NULL, &a[1]) : ML_NAME(glu_run_f64)(&a[0], NULL, &a[1]);
}

static int ML_NAME(glu_backward)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 3);
    (void)settings;
    if (status)
        return status;
    if (a[0].ndim != 3 || a[0].shape[1] != 2 || 2 * a[1].size != a[0].size || a[2].size != a[0].size)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(glu_run_f32)(&a[0], &a[1], &a[2]) : ML_NAME(glu_run_f64)(&a[0], &a[1], &a[2]);
}

static int ML_NAME(prelu)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 3);
    (void)settings;
    if (status)
        return status;
    if (a[0].ndim != 3 || a[1].size != a[0].shape[1] || a[2].size != a[0].size)
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(prelu_run_f32)(&a[0], &a[1], NULL, &a[2], NULL, 0)
                              : ML_NAME(prelu_run_f64)(&a[0], &a[1], NULL, &a[2], NULL, 0);
}

static int ML_NAME(prelu_backward)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 5), accumulate = ((const gradient_settings *)settings)->accumulate;
    if (status)
        return status;
    if (a[0].ndim != 3 || a[1].size != a[0].shape[1] || a[2].size != a[0].size || (a[3].data && a[3].size != a[0].size) ||
        (a[4].data && a[4].size != a[1].size))
        return ML_BAD_SHAPE;
    return a->dtype == ML_F32 ? ML_NAME(prelu_run_f32)(&a[0], &a[1], &a[2], &a[3], &a[4], accumulate)
                              : ML_NAME(prelu_run_f64)(&a[0], &a[1], &a[2], &a[3], &a[4], accumulate);
}

static int ML_NAME(rrelu)(const ml_array *a, const void *settings)
{
    int status = ml_check_reals(a, 2);
    if (status)
        return status;
    if (a[2].dtype != ML_I64 || a[3].dtype != a[0].dtype)
        return ML_BAD_DTYPE;
    if (a[1].size != a[0].size || a[2].size != 2 || a[3].size != a[0].size)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(&a[2]) || !ml_contiguous(&a[3]))
        return ML_NOT_CONTIGUOUS;
    return a->dtype == ML_F32 ? ML_NAME(rrelu_run_f32)(a, settings) : ML_NAME(rrelu_run_f64)(a, settings);
}

static const activation_kernels ML_NAME(table) = {
    ML_NAME(hardtanh), ML_NAME(hardtanh_backward),
    ML_NAME(leaky_relu), ML_NAME(leaky_relu_backward),
    ML_NAME(elu), ML_NAME(elu_backward),
    ML_NAME(silu), ML_NAME(silu_backward),
    ML_NAME(mish), ML_NAME(mish_backward),
    ML_NAME(log_sigmoid), ML_NAME(log_sigmoid_backward),
    ML_NAME(tanhshrink), ML_NAME(tanhshrink_backward),
    ML_NAME(softplus), ML_NAME(softplus_backward),
    ML_NAME(softsign), ML_NAME(softsign_backward),
    ML_NAME(softshrink), ML_NAME(softshrink_backward),
    ML_NAME(hardshrink), ML_NAME(hardshrink_backward),
    ML_NAME(hardsigmoid), ML_NAME(hardsigmoid_backward),
    ML_NAME(hardswish), ML_NAME(hardswish_backward),
    ML_NAME(threshold), ML_NAME(threshold_backward),
    ML_NAME(glu), ML_NAME(glu_backward), ML_NAME(prelu), ML_NAME(prelu_backward), ML_NAME(rrelu),
};

#undef ENTRY
#undef BOTH
#undef ACTIVATION_PIECE
#undef SIXTH
#undef philox_words
#undef ML_PHILOX_BLOCKS
#undef ML_PHILOX_WORDS
