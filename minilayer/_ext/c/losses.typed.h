/* The losses in one float type (real.h): a value and its two slopes, as expressions in the vectors x, t (target), p
   (pos_weight) and a (the bend). RV(f) is f of vecmath.h for this type.

   The loop is cut into pieces by shape alone. Where the losses are summed, each piece keeps one double, made of sums of
   LOSS_RUN vectors, and the pieces are added in order. */

typedef struct {
    const real *x, *t, *p, *dy;
    real *to;
    double *sums;                               /* one a piece, or NULL: the losses themselves are written */
    int64_t n;
    real bend, scale;
    int one;                                    /* dy is one value */
} ML_TYPED(losses_work);

/* The first n lanes, zeros beyond. */
ML_INLINE rv ML_TYPED(losses_first)(rv v, int64_t n)
{
    real lanes[RN];
    rv_store(lanes, v);
    return rv_load_part(lanes, n, 0);
}

/* log(1 + e^-x) */
ML_INLINE rv ML_TYPED(losses_softplus)(rv x)
{
    return RV(log1p)(RV(exp)(-RV(abs)(x))) + rv_select(x < (real)0, -x, (rv){0});
}

ML_INLINE rv ML_TYPED(losses_sign)(rv d)
{
    return rv_select(d > (real)0, rv_set(1), rv_select(d < (real)0, rv_set(-1), (rv){0}));
}

#define LOSS_VECTORS(i, left)                                                                                          \
    rv x = rv_load_upto(k->x + i, left, (real)0.5), t = rv_load_upto(k->t + i, left, (real)0.5);                       \
    rv p = k->p ? rv_load_upto(k->p + i, left, 1) : rv_set(1);                                                         \
    (void)x; (void)t; (void)p;

#define LOSS_SLOPE(name, slope)                                                                                        \
    static void ML_TYPED(name)(void *context, int64_t begin, int64_t end)                                              \
    {                                                                                                                  \
        const ML_TYPED(losses_work) *k = context;                                                                      \
        const rv a = rv_set(k->bend), scale = rv_set(k->scale);                                                        \
        const rv all = k->one ? rv_set(k->dy[0]) * scale : scale;                                                      \
        int64_t stop = ml_min(k->n, end * LOSS_PIECE);                                                                 \
        (void)a;                                                                                                       \
        for (int64_t i = begin * LOSS_PIECE; i < stop; i += RN) {                                                      \
            int64_t left = stop - i;                                                                                   \
            LOSS_VECTORS(i, left)                                                                                      \
            rv g = k->one ? all : rv_load_upto(k->dy + i, left, 0) * scale;                                            \
            rv_store_upto(k->to + i, left, (slope) * g);                                                               \
        }                                                                                                              \
    }

#define LOSS(name, value, slope_x, slope_t)                                                                            \
    static void ML_TYPED(name##_pieces)(void *context, int64_t begin, int64_t end)                                     \
    {                                                                                                                  \
        const ML_TYPED(losses_work) *k = context;                                                                      \
        const rv a = rv_set(k->bend), scale = rv_set(k->scale);                                                        \
        (void)a;                                                                                                       \
        for (int64_t piece = begin; piece < end; piece++) {                                                            \
            int64_t i = piece * LOSS_PIECE, stop = ml_min(k->n, i + LOSS_PIECE);                                       \
            double total = 0;                                                                                          \
            while (i < stop) {                                                                                         \
                int64_t pause = ml_min(stop, i + LOSS_RUN * RN);                                                       \
                rv sum = {0};                                                                                          \
                for (; i < pause; i += RN) {                                                                           \
                    int64_t left = pause - i;                                                                          \
                    LOSS_VECTORS(i, left)                                                                              \
                    rv loss = value;                                                                                   \
                    if (k->sums)                                                                                       \
                        sum += left >= RN ? loss : ML_TYPED(losses_first)(loss, left);                                 \
                    else                                                                                               \
                        rv_store_upto(k->to + i, left, loss * scale);                                                  \
                }                                                                                                      \
                total += rv_sum(sum);                                                                                  \
            }                                                                                                          \
            if (k->sums)                                                                                               \
                k->sums[piece] = total;                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    LOSS_SLOPE(name##_slope_x, slope_x)                                                                                \
    LOSS_SLOPE(name##_slope_t, slope_t)

LOSS(l1_loss, RV(abs)(x - t), ML_TYPED(losses_sign)(x - t), -ML_TYPED(losses_sign)(x - t))
LOSS(mse_loss, (x - t) * (x - t), (real)2 * (x - t), (real)-2 * (x - t))
#define SMOOTH_SLOPE rv_select(RV(abs)(x - t) >= a, ML_TYPED(losses_sign)(x - t), (x - t) / a)
LOSS(smooth_l1_loss,
     rv_select(RV(abs)(x - t) < a, (x - t) * (x - t) / a / (real)2, RV(abs)(x - t) - a / (real)2),
     SMOOTH_SLOPE, -SMOOTH_SLOPE)
#undef SMOOTH_SLOPE
#define HUBER_SLOPE rv_select(RV(abs)(x - t) >= a, a * ML_TYPED(losses_sign)(x - t), x - t)
LOSS(huber_loss,
     rv_select(RV(abs)(x - t) <= a, (x - t) * (x - t) / (real)2, a * (RV(abs)(x - t) - a / (real)2)),
     HUBER_SLOPE, -HUBER_SLOPE)
#undef HUBER_SLOPE
LOSS(binary_cross_entropy,
     (t - (real)1) * RV(at_least)(RV(log1p)(-x), rv_set(-100)) - t * RV(at_least)(RV(log)(x), rv_set(-100)),
     (x - t) / RV(at_least)(((real)1 - x) * x, rv_set((real)1e-12f)), RV(log1p)(-x) - RV(log)(x))
LOSS(binary_cross_entropy_with_logits,
     ((real)1 - t) * x + ((real)1 + (p - (real)1) * t) * ML_TYPED(losses_softplus)(x),
     (p * t + ((real)1 - t)) * RV(sigmoid)(x) - p * t, (p - (real)1) * ML_TYPED(losses_softplus)(x) - x)
LOSS(kl_div, rv_select(t == (real)0, (rv){0}, t * RV(log)(t)) - t * x, -t, RV(log)(t) + (real)1 - x)
LOSS(kl_div_log, RV(exp)(t) * (t - x), -RV(exp)(t), RV(exp)(t) * (t - x) + RV(exp)(t))

static int ML_TYPED(losses_run)(ml_task pieces, const ml_array *a, const losses_settings *s)
{
    ML_TYPED(losses_work) k = {.x = (const real *)a[0].data, .t = (const real *)a[1].data, .p = (const real *)a[2].data,
                               .to = (real *)a[3].data, .n = a[0].size, .bend = (real)s->bend, .scale = (real)s->scale};
    int64_t count = ml_ceil_div(k.n, LOSS_PIECE);
    if (a[3].size != k.n) {
        k.sums = ml_rt->scratch(0, (size_t)ml_max(1, count) * sizeof(double));
        if (!k.sums)
            return ML_NO_MEMORY;
    }
    ml_rt->parallel_for(pieces, &k, count, 1);
    if (k.sums) {
        double total = 0;
        for (int64_t i = 0; i < count; i++)
            total += k.sums[i];
        k.to[0] = (real)(total * s->scale);
    }
    return ML_OK;
}

static int ML_TYPED(losses_run_backward)(ml_task slope_x, ml_task slope_t, const ml_array *a, const losses_settings *s)
{
    ML_TYPED(losses_work) k = {.x = (const real *)a[0].data, .t = (const real *)a[1].data, .p = (const real *)a[2].data,
                               .dy = (const real *)a[3].data, .one = a[3].size == 1, .n = a[0].size,
                               .bend = (real)s->bend, .scale = (real)s->scale};
    int64_t count = ml_ceil_div(k.n, LOSS_PIECE);
    if (a[4].data) {
        k.to = (real *)a[4].data;
        ml_rt->parallel_for(slope_x, &k, count, 1);
    }
    if (a[5].data) {
        k.to = (real *)a[5].data;
        ml_rt->parallel_for(slope_t, &k, count, 1);
    }
    return ML_OK;
}

/* Is every value a probability? */
static int ML_TYPED(losses_inside)(const ml_array *x)
{
    const real *p = (const real *)x->data;
    int outside = 0;
    for (int64_t i = 0; i < x->size; i++)
        outside |= !(p[i] >= 0 && p[i] <= 1);
    return !outside;
}

#undef LOSS
#undef LOSS_SLOPE
#undef LOSS_VECTORS
