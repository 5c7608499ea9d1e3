/* The losses for one instruction set: the loops of losses.typed.h in both float types, and the entries. */
#include "vec.h"
#include "vecmath.h"

#define LOSS_PIECE 8192             /* elements of a piece of a parallel loop */
#define LOSS_RUN 32                 /* vectors that are added up in their own type */

#define ML_REAL 4
#include "real.h"
#define RV(f) vf_##f
#include "losses.typed.h"
#undef RV
#define ML_REAL 8
#include "real.h"
#define RV(f) vd_##f
#include "losses.typed.h"
#undef RV

/* n arrays of x's size, the one numbered `free` of one value instead if it likes */
static int ML_NAME(losses_check)(const ml_array *a, int n, int free)
{
    int status = ml_check_reals(a, n);
    for (int i = 1; i < n && !status; i++)
        if (a[i].data && a[i].size != a[0].size && !(i == free && a[i].size == 1))
            status = ML_BAD_SHAPE;
    return status;
}

#define ENTRY(name, check)                                                                                             \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                                  \
    {                                                                                                                  \
        int status = ML_NAME(losses_check)(a, 4, 3);                                                                   \
        if (status)                                                                                                    \
            return status;                                                                                             \
        for (int i = 0; check && i < 2; i++)                                                                           \
            if (!(a->dtype == ML_F32 ? ML_NAME(losses_inside_f32)(a + i) : ML_NAME(losses_inside_f64)(a + i)))         \
                return ML_BAD_INDEX;                                                                                   \
        return a->dtype == ML_F32 ? ML_NAME(losses_run_f32)(ML_NAME(name##_pieces_f32), a, settings)                   \
                                  : ML_NAME(losses_run_f64)(ML_NAME(name##_pieces_f64), a, settings);                  \
    }                                                                                                                  \
    static int ML_NAME(name##_backward)(const ml_array *a, const void *settings)                                       \
    {                                                                                                                  \
        int status = ML_NAME(losses_check)(a, 6, 3);                                                                   \
        if (status)                                                                                                    \
            return status;                                                                                             \
        return a->dtype == ML_F32                                                                                      \
            ? ML_NAME(losses_run_backward_f32)(ML_NAME(name##_slope_x_f32), ML_NAME(name##_slope_t_f32), a, settings)  \
            : ML_NAME(losses_run_backward_f64)(ML_NAME(name##_slope_x_f64), ML_NAME(name##_slope_t_f64), a, settings); \
    }

ENTRY(l1_loss, 0)
ENTRY(mse_loss, 0)
ENTRY(smooth_l1_loss, 0)
ENTRY(huber_loss, 0)
ENTRY(binary_cross_entropy, 1)
ENTRY(binary_cross_entropy_with_logits, 0)
ENTRY(kl_div, 0)
ENTRY(kl_div_log, 0)

static const losses_kernels ML_NAME(table) = {
    ML_NAME(l1_loss), ML_NAME(l1_loss_backward),
    ML_NAME(mse_loss), ML_NAME(mse_loss_backward),
    ML_NAME(smooth_l1_loss), ML_NAME(smooth_l1_loss_backward),
    ML_NAME(huber_loss), ML_NAME(huber_loss_backward),
    ML_NAME(binary_cross_entropy), ML_NAME(binary_cross_entropy_backward),
    ML_NAME(binary_cross_entropy_with_logits), ML_NAME(binary_cross_entropy_with_logits_backward),
    ML_NAME(kl_div), ML_NAME(kl_div_backward),
    ML_NAME(kl_div_log), ML_NAME(kl_div_log_backward),
};

#undef ENTRY
#undef LOSS_PIECE
#undef LOSS_RUN
