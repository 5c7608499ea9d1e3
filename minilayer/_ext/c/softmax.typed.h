/* The loops of the softmax family in one float type (real.h). Every kernel has two forms: over rows, where a row's D
   values are neighbours (inner = 1), and over columns, where a vector holds RN neighbouring columns and walks down D.
   A row or column is read again within a kernel while it lies in the cache; nothing but the result is written. */

typedef struct {
    softmax_plan p;                     /* for losses outer = B, D = C, inner = L */
    const real *x, *y, *dy, *weight, *probs, *dloss;
    real *out;                          /* y, dx, loss or dtarget */
    const int64_t *target;
    real *lse;                          /* (2, outer * inner): log(sum exp(x)) rounded, and what the rounding lost */
    double smoothing, weight_sum;
    int64_t ignore_index;
    int one_dloss;                      /* dloss is one value for all */
    int failed;                         /* a label was out of range */
} ML_TYPED(softmax_work);

/* total += the sum of `expression` over a row of n, where i is the place and left = n - i; lanes beyond must give 0. */
#define ROW_SUM(total, n, expression)                                                                                  \
    for (int64_t i0 = 0; i0 < (n); i0 += SOFTMAX_BLOCK) {                                                              \
        rv part = {0};                                                                                                 \
        for (int64_t i = i0; i < ml_min((n), i0 + SOFTMAX_BLOCK); i += RN) {                                           \
            int64_t left = (n) - i;                                                                                    \
            part += (expression);                                                                                      \
        }                                                                                                              \
        (total) += rv_sum(part);                                                                                       \
    }

/* total += the sum of `expression` down a column of n, d the place. */
#define COLUMN_SUM(total, n, expression)                                                                               \
    for (int64_t d0 = 0; d0 < (n); d0 += SOFTMAX_COLUMN_ROWS) {                                                        \
        rv part = {0};                                                                                                 \
        for (int64_t d = d0; d < ml_min((n), d0 + SOFTMAX_COLUMN_ROWS); d++)                                           \
            part += (expression);                                                                                      \
        (total) += part;                                                                                               \
    }

/* ---- what all of them are made of ---- */

/* A NaN may be passed over here: it comes back as the NaN of its own exp. */
ML_INLINE real ML_TYPED(row_max)(const real *x, int64_t n)
{
    rv m = rv_set(-REAL_INFINITY);
    for (int64_t i = 0; i < n; i += RN)
        m = rv_max(rv_load_upto(x + i, n - i, -REAL_INFINITY), m);
    return rv_largest(m);
}

ML_INLINE double ML_TYPED(row_exp_sum)(const real *x, int64_t n, real m)
{
    double total = 0;
    ROW_SUM(total, n, rv_exp(rv_load_upto(x + i, left, -REAL_INFINITY) - m))
    return total;
}

ML_INLINE rv ML_TYPED(column_max)(const real *x, int64_t n, int64_t step, int64_t lanes)
{
    rv m = rv_set(-REAL_INFINITY);
    for (int64_t d = 0; d < n; d++)
        m = rv_max(rv_load_upto(x + d * step, lanes, 0), m);
    return m;
}

ML_INLINE rv ML_TYPED(column_exp_sum)(const real *x, int64_t n, int64_t step, int64_t lanes, rv m)
{
    rv total = {0};
    COLUMN_SUM(total, n, rv_exp(rv_load_upto(x + d * step, lanes, 0) - m))
    return total;
}

/* Where column item `item` begins, and how many columns it has. */
ML_INLINE int64_t ML_TYPED(column_start)(const softmax_plan *p, int64_t item, int64_t *lanes)
{
    int64_t first = item % p->across * RN;
    *lanes = ml_min(RN, p->inner - first);
    return item / p->across * p->D * p->inner + first;
}

/* ---- softmax and log_softmax ---- */

static void ML_TYPED(softmax_items)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner;
    for (int64_t item = begin; item < end; item++) {
        if (inner == 1) {
            const real *x = k->x + item * D;
            real *y = k->out + item * D;
            real m = ML_TYPED(row_max)(x, D);
            if (D <= RN) {
                rv e = rv_exp(rv_load_upto(x, D, -REAL_INFINITY) - m);
                rv_store_upto(y, D, e * (1 / rv_sum(e)));
                continue;
            }
            double total = 0;
            for (int64_t i0 = 0; i0 < D; i0 += SOFTMAX_BLOCK) {
                rv part = {0};
                for (int64_t i = i0; i < ml_min(D, i0 + SOFTMAX_BLOCK); i += RN) {
                    rv e = rv_exp(rv_load_upto(x + i, D - i, -REAL_INFINITY) - m);
                    rv_store_upto(y + i, D - i, e);
                    part += e;
                }
                total += rv_sum(part);
            }
            real scale = (real)(1 / total);
            for (int64_t i = 0; i < D; i += RN)
                rv_store_upto(y + i, D - i, rv_load_upto(y + i, D - i, 0) * scale);
        } else {
            int64_t lanes, at = ML_TYPED(column_start)(&k->p, item, &lanes);
            const real *x = k->x + at;
            real *y = k->out + at;
            rv m = ML_TYPED(column_max)(x, D, inner, lanes), total = {0};
            for (int64_t d0 = 0; d0 < D; d0 += SOFTMAX_COLUMN_ROWS) {
                rv part = {0};
                for (int64_t d = d0; d < ml_min(D, d0 + SOFTMAX_COLUMN_ROWS); d++) {
                    rv e = rv_exp(rv_load_upto(x + d * inner, lanes, 0) - m);
                    rv_store_upto(y + d * inner, lanes, e);
                    part += e;
                }
                total += part;
            }
            rv scale = (real)1 / total;
            for (int64_t d = 0; d < D; d++)
                rv_store_upto(y + d * inner, lanes, rv_load_upto(y + d * inner, lanes, 0) * scale);
        }
    }
}

static void ML_TYPED(log_softmax_items)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner;
    for (int64_t item = begin; item < end; item++) {
        if (inner == 1) {
            const real *x = k->x + item * D;
            real *y = k->out + item * D;
            real m = ML_TYPED(row_max)(x, D), log_sum = (real)log(ML_TYPED(row_exp_sum)(x, D, m));
            for (int64_t i = 0; i < D; i += RN)
                rv_store_upto(y + i, D - i, rv_load_upto(x + i, D - i, 0) - m - log_sum);
        } else {
            int64_t lanes, at = ML_TYPED(column_start)(&k->p, item, &lanes);
            const real *x = k->x + at;
            rv m = ML_TYPED(column_max)(x, D, inner, lanes);
            rv log_sum = rv_log(ML_TYPED(column_exp_sum)(x, D, inner, lanes, m));
            for (int64_t d = 0; d < D; d++)
                rv_store_upto(k->out + at + d * inner, lanes, rv_load_upto(x + d * inner, lanes, 0) - m - log_sum);
        }
    }
}

static void ML_TYPED(softmax_backward_items)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner;
    for (int64_t item = begin; item < end; item++) {
        if (inner == 1) {
            const real *y = k->y + item * D, *dy = k->dy + item * D;
            double total = 0;
            ROW_SUM(total, D, rv_load_upto(y + i, left, 0) * rv_load_upto(dy + i, left, 0))
            real sum = (real)total;
            for (int64_t i = 0; i < D; i += RN)
                rv_store_upto(k->out + item * D + i, D - i,
                              rv_load_upto(y + i, D - i, 0) * (rv_load_upto(dy + i, D - i, 0) - sum));
        } else {
            int64_t lanes, at = ML_TYPED(column_start)(&k->p, item, &lanes);
            const real *y = k->y + at, *dy = k->dy + at;
            rv sum = {0};
            COLUMN_SUM(sum, D, rv_load_upto(y + d * inner, lanes, 0) * rv_load_upto(dy + d * inner, lanes, 0))
            for (int64_t d = 0; d < D; d++)
                rv_store_upto(k->out + at + d * inner, lanes, rv_load_upto(y + d * inner, lanes, 0) *
                                                                  (rv_load_upto(dy + d * inner, lanes, 0) - sum));
        }
    }
}

static void ML_TYPED(log_softmax_backward_items)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner;
    for (int64_t item = begin; item < end; item++) {
        if (inner == 1) {
            const real *y = k->y + item * D, *dy = k->dy + item * D;
            double total = 0;
            ROW_SUM(total, D, rv_load_upto(dy + i, left, 0))
            real sum = (real)total;
            for (int64_t i = 0; i < D; i += RN)
                rv_store_upto(k->out + item * D + i, D - i,
                              rv_load_upto(dy + i, D - i, 0) - rv_exp(rv_load_upto(y + i, D - i, 0)) * sum);
        } else {
            int64_t lanes, at = ML_TYPED(column_start)(&k->p, item, &lanes);
            const real *y = k->y + at, *dy = k->dy + at;
            rv sum = {0};
            COLUMN_SUM(sum, D, rv_load_upto(dy + d * inner, lanes, 0))
            for (int64_t d = 0; d < D; d++)
                rv_store_upto(k->out + at + d * inner, lanes,
                              rv_load_upto(dy + d * inner, lanes, 0) - rv_exp(rv_load_upto(y + d * inner, lanes, 0)) * sum);
        }
    }
}

ML_INLINE int ML_TYPED(softmax_run)(ml_task task, ML_TYPED(softmax_work) *k, const ml_array *x)
{
    if (!x->size)
        return ML_OK;
    k->p = softmax_cut(x, RN);
    ml_rt->parallel_for(task, k, k->p.items, k->p.grain);
    return ML_OK;
}

static int ML_TYPED(softmax)(const ml_array *a)
{
    ML_TYPED(softmax_work) k = {.x = (const real *)a[0].data, .out = (real *)a[1].data};
    return ML_TYPED(softmax_run)(ML_TYPED(softmax_items), &k, a);
}

static int ML_TYPED(log_softmax)(const ml_array *a)
{
    ML_TYPED(softmax_work) k = {.x = (const real *)a[0].data, .out = (real *)a[1].data};
    return ML_TYPED(softmax_run)(ML_TYPED(log_softmax_items), &k, a);
}

static int ML_TYPED(softmax_backward)(const ml_array *a)
{
    ML_TYPED(softmax_work) k = {
        .y = (const real *)a[0].data, .dy = (const real *)a[1].data, .out = (real *)a[2].data};
    return ML_TYPED(softmax_run)(ML_TYPED(softmax_backward_items), &k, a);
}

static int ML_TYPED(log_softmax_backward)(const ml_array *a)
{
    ML_TYPED(softmax_work) k = {
        .y = (const real *)a[0].data, .dy = (const real *)a[1].data, .out = (real *)a[2].data};
    return ML_TYPED(softmax_run)(ML_TYPED(log_softmax_backward_items), &k, a);
}

/* ---- losses ----

   log(sum exp(x)) is kept as `high` + `low`, so that high - x + low has its digits also where large logits cancel. */

/* Does this label count? One out of range is noted, and then does not. */
ML_INLINE int ML_TYPED(label_counts)(ML_TYPED(softmax_work) *k, int64_t t)
{
    if ((uint64_t)t < (uint64_t)k->p.D && t != k->ignore_index)
        return 1;
    if (t != k->ignore_index)
        __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
    return 0;
}

ML_INLINE real ML_TYPED(class_weight)(const ML_TYPED(softmax_work) *k, int64_t c) { return k->weight ? k->weight[c] : 1; }

ML_INLINE real ML_TYPED(gradient_of)(const ML_TYPED(softmax_work) *k, int64_t item)
{
    return k->dloss[k->one_dloss ? 0 : item];
}

/* What lse's rounding lost. */
ML_INLINE const real *ML_TYPED(lse_low)(const ML_TYPED(softmax_work) *k) { return k->lse + k->p.outer * k->p.inner; }

/* high and low of n columns from `first` on. */
ML_INLINE void ML_TYPED(load_lse)(const ML_TYPED(softmax_work) *k, int64_t first, int64_t n, rv *high, rv *low)
{
    *high = rv_load_upto(k->lse + first, n, 0);
    *low = rv_load_upto(ML_TYPED(lse_low)(k) + first, n, 0);
}

/* An item of the losses: RN rows, or up to RN columns of one batch entry. Writes lse from `first` on, n of them. */
ML_INLINE void ML_TYPED(log_sum_exp)(const ML_TYPED(softmax_work) *k, int64_t item, int64_t *first, int64_t *n)
{
    int64_t D = k->p.D, inner = k->p.inner;
    real m[RN], sum[RN];
    if (inner == 1) {
        *first = item * RN;
        *n = ml_min(RN, k->p.outer - *first);
        for (int64_t i = 0; i < RN; i++)
            m[i] = sum[i] = 1;
        for (int64_t i = 0; i < *n; i++)        /* stage by stage: a row's own stages wait for each other */
            m[i] = ML_TYPED(row_max)(k->x + (*first + i) * D, D);
        for (int64_t i = 0; i < *n; i++)
            sum[i] = (real)ML_TYPED(row_exp_sum)(k->x + (*first + i) * D, D, m[i]);
    } else {
        const real *x = k->x + ML_TYPED(column_start)(&k->p, item, n);
        *first = item / k->p.across * inner + item % k->p.across * RN;
        rv largest = ML_TYPED(column_max)(x, D, inner, *n);
        rv_store(m, largest);
        rv_store(sum, ML_TYPED(column_exp_sum)(x, D, inner, *n, largest));
    }
    /* high = m + log(sum) rounded; low is what that lost, exactly (Knuth's two-sum) */
    rv a = rv_load(m), b = rv_log(rv_load(sum)), high = a + b, part = high - a;
    rv low = (a - (high - part)) + (b - part);
    rv_store_upto(k->lse + *first, *n, high);
    rv_store_upto(k->lse + k->p.outer * inner + *first, *n, low);
}

/* sum over c of weights * (lse - x), for one item of columns; `weights` may read d, the class. */
#define COLUMN_SURPRISE(total, weights)                                                                                \
    COLUMN_SUM(total, D, (weights) * (vhigh - rv_load_upto(x + d * inner, n, 0) + vlow))

static void ML_TYPED(cross_entropy_items)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner, first, n;
    double keep = 1 - k->smoothing, spread = D ? k->smoothing / (double)D : 0;
    for (int64_t item = begin; item < end; item++) {
        ML_TYPED(log_sum_exp)(k, item, &first, &n);
        const real *high = k->lse + first, *low = ML_TYPED(lse_low)(k) + first;
        const real *x = k->x + (inner == 1 ? first * D : item / k->p.across * D * inner + item % k->p.across * RN);
        real all[RN];                                       /* sum over c of w * (lse - x), for smoothing */
        if (k->smoothing != 0 && inner != 1) {
            rv total = {0}, vhigh, vlow;
            ML_TYPED(load_lse)(k, first, n, &vhigh, &vlow);
            COLUMN_SURPRISE(total, k->weight[d])
            rv_store(all, total);
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t t = k->target[first + i];
            double loss = 0;
            if (ML_TYPED(label_counts)(k, t)) {
                const real *row = x + i * D;
                real xt = inner == 1 ? row[t] : x[t * inner + i];
                loss = keep * (double)ML_TYPED(class_weight)(k, t) * ((double)high[i] - (double)xt + (double)low[i]);
                if (k->smoothing != 0 && inner == 1) {
                    real h = high[i], l = low[i];
                    double total = 0;
                    ROW_SUM(total, D, rv_load_upto(k->weight + i, left, 0) * (h - rv_load_upto(row + i, left, 0) + l))
                    loss += spread * total;
                } else if (k->smoothing != 0) {
                    loss += spread * (double)all[i];
                }
            }
            k->out[first + i] = (real)loss;
        }
    }
}

/* One row of dx = g * (total * exp(x - lse) - spread * w), before the label's own share is taken off. */
ML_INLINE void ML_TYPED(cross_entropy_row)(const ML_TYPED(softmax_work) *k, int64_t r, double g)
{
    int64_t D = k->p.D, t = k->target[r];
    const real *x = k->x + r * D;
    real *dx = k->out + r * D;
    if (!D)
        return;
    double own = (1 - k->smoothing) * (double)ML_TYPED(class_weight)(k, t), spread = k->smoothing / (double)D;
    rv high = rv_set(k->lse[r]), low = rv_set(ML_TYPED(lse_low)(k)[r]);
    rv total = rv_set((real)(g * (own + spread * k->weight_sum))), share = rv_set((real)(g * spread));
    for (int64_t i = 0; i < D; i += RN) {
        int64_t left = D - i;
        rv v = rv_exp(rv_load_upto(x + i, left, 0) - high - low) * total;
        if (k->smoothing != 0)
            v -= share * rv_load_upto(k->weight + i, left, 0);
        rv_store_upto(dx + i, left, v);
    }
    dx[t] -= (real)(g * own);
}

static void ML_TYPED(cross_entropy_backward_items)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner;
    for (int64_t item = begin; item < end; item++) {
        if (inner == 1) {
            if (ML_TYPED(label_counts)(k, k->target[item]))
                ML_TYPED(cross_entropy_row)(k, item, ML_TYPED(gradient_of)(k, item));
            else
                memset(k->out + item * D, 0, (size_t)D * sizeof(real));
            continue;
        }
        int64_t n, at = ML_TYPED(column_start)(&k->p, item, &n);
        int64_t first = item / k->p.across * inner + item % k->p.across * RN;
        const real *x = k->x + at;
        real *dx = k->out + at;
        real total[RN] = {0}, own[RN] = {0}, share[RN] = {0}, counts[RN] = {0};
        for (int64_t i = 0; i < n; i++) {
            int64_t t = k->target[first + i];
            if (!ML_TYPED(label_counts)(k, t))
                continue;
            double g = ML_TYPED(gradient_of)(k, first + i), spread = k->smoothing / (double)D;
            double w = (1 - k->smoothing) * (double)ML_TYPED(class_weight)(k, t);
            counts[i] = 1;
            own[i] = (real)(g * w);
            total[i] = (real)(g * (w + spread * k->weight_sum));
            share[i] = (real)(g * spread);
        }
        rv high, low, zero = {0}, vt = rv_load(total), vs = rv_load(share);
        ri counted = (ri)(rv_load(counts) != zero);
        ML_TYPED(load_lse)(k, first, n, &high, &low);
        for (int64_t d = 0; d < D; d++) {
            rv v = rv_exp(rv_load_upto(x + d * inner, n, 0) - high - low) * vt;
            if (k->smoothing != 0)
                v -= vs * k->weight[d];
            rv_store_upto(dx + d * inner, n, rv_select(counted, v, zero));
        }
        for (int64_t i = 0; i < n; i++)
            if (counts[i] != 0)
                dx[k->target[first + i] * inner + i] -= own[i];
    }
}

/* a = w * ((1 - s) * target + s/C), what each class is to have; p points at the targets */
#define WANTED(p, n, weights) ((weights) * (rv_load_upto(p, n, 0) * keep + spread))

static void ML_TYPED(cross_entropy_probs_items)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner, first, n;
    real keep = (real)(1 - k->smoothing), spread = (real)(D ? k->smoothing / (double)D : 0);
    for (int64_t item = begin; item < end; item++) {
        ML_TYPED(log_sum_exp)(k, item, &first, &n);
        if (inner == 1) {
            for (int64_t r = first; r < first + n; r++) {
                const real *x = k->x + r * D, *target = k->probs + r * D;
                real high = k->lse[r], low = ML_TYPED(lse_low)(k)[r];
                double total = 0;
                ROW_SUM(total, D, WANTED(target + i, left, rv_load_upto(k->weight + i, left, 0)) *
                                      (high - rv_load_upto(x + i, left, 0) + low))
                k->out[r] = (real)total;
            }
        } else {
            int64_t at = ML_TYPED(column_start)(&k->p, item, &n);
            const real *x = k->x + at, *target = k->probs + at;
            rv total = {0}, vhigh, vlow;
            ML_TYPED(load_lse)(k, first, n, &vhigh, &vlow);
            COLUMN_SURPRISE(total, WANTED(target + d * inner, n, k->weight[d]))
            rv_store_upto(k->out + first, n, total);
        }
    }
}

static void ML_TYPED(cross_entropy_probs_backward_items)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner;
    real keep = (real)(1 - k->smoothing), spread = (real)(D ? k->smoothing / (double)D : 0);
    for (int64_t item = begin; item < end; item++) {
        if (inner == 1) {
            const real *x = k->x + item * D, *target = k->probs + item * D;
            real high = k->lse[item], low = ML_TYPED(lse_low)(k)[item], g = ML_TYPED(gradient_of)(k, item);
            double sum = 0;
            ROW_SUM(sum, D, WANTED(target + i, left, rv_load_upto(k->weight + i, left, 0)))
            real total = (real)sum;
            for (int64_t i = 0; i < D; i += RN) {
                int64_t left = D - i;
                rv a = WANTED(target + i, left, rv_load_upto(k->weight + i, left, 0));
                rv p = rv_exp(rv_load_upto(x + i, left, 0) - high - low);
                rv_store_upto(k->out + item * D + i, left, g * (p * total - a));
            }
        } else {
            int64_t n, at = ML_TYPED(column_start)(&k->p, item, &n);
            int64_t first = item / k->p.across * inner + item % k->p.across * RN;
            const real *x = k->x + at, *target = k->probs + at;
            rv high, low, total = {0}, g = rv_set(k->dloss[0]);
            if (!k->one_dloss)
                g = rv_load_upto(k->dloss + first, n, 0);
            ML_TYPED(load_lse)(k, first, n, &high, &low);
            COLUMN_SUM(total, D, WANTED(target + d * inner, n, k->weight[d]))
            for (int64_t d = 0; d < D; d++) {
                rv a = WANTED(target + d * inner, n, k->weight[d]);
                rv p = rv_exp(rv_load_upto(x + d * inner, n, 0) - high - low);
                rv_store_upto(k->out + at + d * inner, n, g * (p * total - a));
            }
        }
    }
}
#undef WANTED

static void ML_TYPED(cross_entropy_probs_target_items)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(softmax_work) *k = context;
    int64_t D = k->p.D, inner = k->p.inner;
    real keep = (real)(1 - k->smoothing);
    for (int64_t item = begin; item < end; item++) {
        if (inner == 1) {
            const real *x = k->x + item * D;
            real high = k->lse[item], low = ML_TYPED(lse_low)(k)[item], g = ML_TYPED(gradient_of)(k, item);
            for (int64_t i = 0; i < D; i += RN) {
                rv w = rv_load_upto(k->weight + i, D - i, 0);
                rv surprise = high - rv_load_upto(x + i, D - i, 0) + low;
                rv_store_upto(k->out + item * D + i, D - i, g * (keep * w * surprise));
            }
        } else {
            int64_t n, at = ML_TYPED(column_start)(&k->p, item, &n);
            int64_t first = item / k->p.across * inner + item % k->p.across * RN;
            const real *x = k->x + at;
            rv high, low, g = rv_set(k->dloss[0]);
            if (!k->one_dloss)
                g = rv_load_upto(k->dloss + first, n, 0);
            ML_TYPED(load_lse)(k, first, n, &high, &low);
            for (int64_t d = 0; d < D; d++) {
                rv surprise = high - rv_load_upto(x + d * inner, n, 0) + low;
                rv_store_upto(k->out + at + d * inner, n, g * ((keep * k->weight[d]) * surprise));
            }
        }
    }
}

/* Ones for missing weights where the loops read them as vectors, and their sum. */
static int ML_TYPED(loss_weights)(ML_TYPED(softmax_work) *k, const ml_array *x, const softmax_settings *s, int always)
{
    int64_t C = x->shape[1];
    k->smoothing = s->label_smoothing;
    k->ignore_index = s->ignore_index;
    k->weight_sum = (double)C;
    if (k->weight && k->smoothing != 0) {
        k->weight_sum = 0;
        for (int64_t c = 0; c < C; c++)
            k->weight_sum += k->weight[c];
    }
    if (!k->weight && (always || k->smoothing != 0)) {
        real *ones = ml_rt->scratch(0, (size_t)ml_max(1, C) * sizeof(real));
        if (!ones)
            return ML_NO_MEMORY;
        for (int64_t c = 0; c < C; c++)
            ones[c] = 1;
        k->weight = ones;
    }
    return ML_OK;
}

/* Run over items; with `grouped`, an item of rows is RN of them (their logarithms are taken together). */
ML_INLINE int ML_TYPED(loss_run)(ml_task task, ML_TYPED(softmax_work) *k, const ml_array *x, int grouped)
{
    k->p = softmax_cut(x, RN);
    if (grouped && k->p.inner == 1) {
        k->p.items = ml_ceil_div(k->p.outer, RN);
        k->p.grain = ml_max(1, k->p.grain / RN);
    }
    ml_rt->parallel_for(task, k, k->p.items, k->p.grain);
    return k->failed ? ML_BAD_INDEX : ML_OK;
}

static int ML_TYPED(cross_entropy)(const ml_array *a, const void *settings)
{
    ML_TYPED(softmax_work) k = {
        .x = (const real *)a[0].data, .target = (const int64_t *)a[1].data, .weight = (const real *)a[2].data,
        .out = (real *)a[3].data, .lse = (real *)a[4].data};
    int status = ML_TYPED(loss_weights)(&k, a, settings, 0);
    return status ? status : ML_TYPED(loss_run)(ML_TYPED(cross_entropy_items), &k, a, 1);
}

static int ML_TYPED(cross_entropy_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(softmax_work) k = {
        .x = (const real *)a[0].data, .target = (const int64_t *)a[1].data, .weight = (const real *)a[2].data,
        .lse = (real *)a[3].data, .dloss = (const real *)a[4].data, .one_dloss = a[4].size == 1,
        .out = (real *)a[5].data};
    int status = ML_TYPED(loss_weights)(&k, a, settings, 0);
    return status ? status : ML_TYPED(loss_run)(ML_TYPED(cross_entropy_backward_items), &k, a, 0);
}

static int ML_TYPED(cross_entropy_probs)(const ml_array *a, const void *settings)
{
    ML_TYPED(softmax_work) k = {
        .x = (const real *)a[0].data, .probs = (const real *)a[1].data, .weight = (const real *)a[2].data,
        .out = (real *)a[3].data, .lse = (real *)a[4].data};
    int status = ML_TYPED(loss_weights)(&k, a, settings, 1);
    return status ? status : ML_TYPED(loss_run)(ML_TYPED(cross_entropy_probs_items), &k, a, 1);
}

static int ML_TYPED(cross_entropy_probs_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(softmax_work) k = {
        .x = (const real *)a[0].data, .probs = (const real *)a[1].data, .weight = (const real *)a[2].data,
        .lse = (real *)a[3].data, .dloss = (const real *)a[4].data, .one_dloss = a[4].size == 1,
        .out = (real *)a[5].data};
    int status = ML_TYPED(loss_weights)(&k, a, settings, 1);
    return status ? status : ML_TYPED(loss_run)(ML_TYPED(cross_entropy_probs_backward_items), &k, a, 0);
}

static int ML_TYPED(cross_entropy_probs_backward_target)(const ml_array *a, const void *settings)
{
    ML_TYPED(softmax_work) k = {
        .x = (const real *)a[0].data, .weight = (const real *)a[1].data, .lse = (real *)a[2].data,
        .dloss = (const real *)a[3].data, .one_dloss = a[3].size == 1, .out = (real *)a[4].data};
    int status = ML_TYPED(loss_weights)(&k, a, settings, 1);
    return status ? status : ML_TYPED(loss_run)(ML_TYPED(cross_entropy_probs_target_items), &k, a, 0);
}

/* ---- the loss of given log-probabilities: one value an item is read or written ---- */

static int ML_TYPED(nll_loss)(const ml_array *a, const void *settings)
{
    const softmax_settings *s = settings;
    ML_TYPED(softmax_work) k = {
        .p = {.D = a[0].shape[1]}, .weight = (const real *)a[2].data, .ignore_index = s->ignore_index};
    const real *x = (const real *)a[0].data;
    const int64_t *target = (const int64_t *)a[1].data;
    real *loss = (real *)a[3].data;
    int64_t B = a[0].shape[0], C = a[0].shape[1], L = a[0].shape[2];
    for (int64_t b = 0; b < B; b++)
        for (int64_t l = 0; l < L; l++) {
            int64_t t = target[b * L + l];
            loss[b * L + l] =
                ML_TYPED(label_counts)(&k, t) ? -x[(b * C + t) * L + l] * ML_TYPED(class_weight)(&k, t) : 0;
        }
    return k.failed ? ML_BAD_INDEX : ML_OK;
}

static int ML_TYPED(nll_loss_backward)(const ml_array *a, const void *settings)
{
    const softmax_settings *s = settings;
    ML_TYPED(softmax_work) k = {
        .p = {.D = a[3].shape[1]}, .weight = (const real *)a[1].data, .ignore_index = s->ignore_index,
        .dloss = (const real *)a[2].data, .one_dloss = a[2].size == 1};
    const int64_t *target = (const int64_t *)a[0].data;
    real *dx = (real *)a[3].data;
    int64_t B = a[3].shape[0], C = a[3].shape[1], L = a[3].shape[2];
    memset(dx, 0, (size_t)(B * C * L) * sizeof(real));
    for (int64_t b = 0; b < B; b++)
        for (int64_t l = 0; l < L; l++) {
            int64_t t = target[b * L + l];
            if (ML_TYPED(label_counts)(&k, t))
                dx[(b * C + t) * L + l] = -ML_TYPED(class_weight)(&k, t) * ML_TYPED(gradient_of)(&k, b * L + l);
        }
    return k.failed ? ML_BAD_INDEX : ML_OK;
}

static int ML_TYPED(reduce_loss)(const ml_array *a, const void *settings)
{
    const softmax_settings *s = settings;
    const real *loss = (const real *)a[0].data, *weight = (const real *)a[2].data;
    const int64_t *target = (const int64_t *)a[1].data;
    int64_t n = a[0].size;
    double total = 0, divisor = 1;
    ROW_SUM(total, n, rv_load_upto(loss + i, left, 0))
    if (s->mean && target) {
        divisor = 0;
        for (int64_t i = 0; i < n; i++) {
            if (target[i] == s->ignore_index)
                continue;
            if (weight && (uint64_t)target[i] >= (uint64_t)a[2].size)
                return ML_BAD_INDEX;
            divisor += weight ? weight[target[i]] : 1;
        }
    } else if (s->mean) {
        divisor = (double)n;
    }
    *(real *)a[3].data = (real)(total / divisor);
    *(real *)a[4].data = (real)divisor;
    return ML_OK;
}

#undef ROW_SUM
#undef COLUMN_SUM
#undef COLUMN_SURPRISE
