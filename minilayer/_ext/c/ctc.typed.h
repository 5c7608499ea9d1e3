/* The loops of ctc in one float type (real.h). A sequence is one item of the parallel loop; within it vectors lie along the
   symbols, whose rows have two places of -inf at either end and whole vectors. */

typedef struct {
    const real *p, *dloss, *loss_in, *alpha_in;
    real *loss, *alpha, *dp;
    const int64_t *targets, *starts, *steps, *lengths;
    int64_t T, B, C, L, blank;                  /* L: symbols of a row of alpha */
    int zero_infinity, failed;
} ML_TYPED(ctc_work);

/* What a thread holds of the sequence it is at: rows of `width` places. */
typedef struct {
    int64_t *classes;
    real *skip, *back, *emit, *row, *next, *most, *sum;
    int64_t L, width;
} ML_TYPED(ctc_rows);

static void ML_TYPED(ctc_fill)(real *to, int64_t n, real value)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = value;
}

/* The symbols of sequence b. Values s of a row are at [2 + s]. */
static int ML_TYPED(ctc_begin)(const ML_TYPED(ctc_work) *k, int64_t b, ML_TYPED(ctc_rows) *r)
{
    int64_t S = k->lengths[b], L = 2 * S + 1;
    int64_t width = ml_ceil_div(L, RN) * RN + 4, classes = ml_ceil_div(k->C, RN) * RN;
    real *at;
    r->classes = ml_rt->scratch(1, (size_t)width * sizeof(int64_t));
    at = ml_rt->scratch(2, (size_t)(5 * width + 2 * classes) * sizeof(real));
    if (!r->classes || !at)
        return ML_NO_MEMORY;
    r->L = L;
    r->width = width;
    r->skip = at;
    r->back = at + width;
    r->emit = at + 2 * width;
    r->row = at + 3 * width;
    r->next = at + 4 * width;
    r->most = at + 5 * width;
    r->sum = r->most + classes;
    for (int64_t s = 0; s < L; s++)
        r->classes[s] = s % 2 ? k->targets[k->starts[b] + s / 2] : k->blank;
    ML_TYPED(ctc_fill)(at, 5 * width, -REAL_INFINITY);
    for (int64_t s = 2; s < L; s++)
        if (r->classes[s] != r->classes[s - 2])
            r->skip[s] = r->back[s - 2] = 0;
    return ML_OK;
}

static void ML_TYPED(ctc_emit)(ML_TYPED(ctc_rows) *r, const real *p)
{
    for (int64_t s = 0; s < r->L; s++)
        r->emit[s] = p[r->classes[s]];
}

ML_INLINE rv ML_TYPED(ctc_sum3)(rv a, rv b, rv c)
{
    rv m = rv_max(a, rv_max(b, c));
    m = rv_select(m == -REAL_INFINITY, (rv){0}, m);
    return rv_log(rv_exp(a - m) + rv_exp(b - m) + rv_exp(c - m)) + m;
}

/* One step of alpha (direction -1: from places before) or beta (+1: from places behind) from `row` into `next`; then
   they change places. */
static void ML_TYPED(ctc_step)(ML_TYPED(ctc_rows) *r, const real *skip, int direction)
{
    real *swap = r->next;
    const real *from = r->row + 2;
    for (int64_t s = 0; s < r->L; s += RN) {
        rv far = rv_load(from + s + 2 * direction) + rv_load(skip + s);
        rv v = ML_TYPED(ctc_sum3)(rv_load(from + s), rv_load(from + s + direction), far) + rv_load(r->emit + s);
        rv_store_upto(r->next + 2 + s, r->L - s, v);            /* what lies beyond stays -inf */
    }
    r->next = r->row;
    r->row = swap;
}

static void ML_TYPED(ctc_items)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(ctc_work) *k = context;
    for (int64_t b = begin; b < end; b++) {
        int64_t steps = k->steps[b];
        real *alpha = k->alpha + b * k->T * k->L;
        ML_TYPED(ctc_rows) r;
        if (ML_TYPED(ctc_begin)(k, b, &r)) {
            __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
            return;
        }
        ML_TYPED(ctc_fill)(alpha, k->T * k->L, -REAL_INFINITY);
        if (steps == 0) {
            k->loss[b] = r.L == 1 ? 0 : REAL_INFINITY;
            continue;
        }
        for (int64_t t = 0; t < steps; t++) {
            ML_TYPED(ctc_emit)(&r, k->p + (t * k->B + b) * k->C);
            if (t)
                ML_TYPED(ctc_step)(&r, r.skip, -1);
            else
                memcpy(r.row + 2, r.emit, (size_t)ml_min(2, r.L) * sizeof(real));
            memcpy(alpha + t * k->L, r.row + 2, (size_t)r.L * sizeof(real));
        }
        {
            const real *last = r.row + 2 + r.L - 1;             /* the place before the first symbol is -inf */
            double a = last[0], c = last[-1], m = a > c ? a : c;
            m = isinf(m) ? 0 : m;
            k->loss[b] = (real)-(log(exp(a - m) + exp(c - m)) + m);
        }
    }
}

static void ML_TYPED(ctc_backward_items)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(ctc_work) *k = context;
    for (int64_t b = begin; b < end; b++) {
        int64_t steps = k->steps[b];
        const real *alpha = k->alpha_in + b * k->T * k->L;
        rv loss = rv_set(k->loss_in[b]), g = rv_set(k->dloss[b]);
        ML_TYPED(ctc_rows) r;
        if (ML_TYPED(ctc_begin)(k, b, &r)) {
            __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
            return;
        }
        if (k->zero_infinity && isinf(k->loss_in[b]))
            steps = 0;
        for (int64_t t = steps; t < k->T; t++)
            memset(k->dp + (t * k->B + b) * k->C, 0, (size_t)k->C * sizeof(real));
        for (int64_t t = steps - 1; t >= 0; t--) {
            const real *p = k->p + (t * k->B + b) * k->C;
            real *dp = k->dp + (t * k->B + b) * k->C;
            ML_TYPED(ctc_emit)(&r, p);
            if (t < steps - 1)
                ML_TYPED(ctc_step)(&r, r.back, 1);
            else
                for (int64_t s = ml_max(0, r.L - 2); s < r.L; s++)
                    r.row[2 + s] = r.emit[s];
            /* q, a class at a time: its largest alpha + beta, and the sum of the others relative to it */
            ML_TYPED(ctc_fill)(r.most, k->C, -REAL_INFINITY);
            ML_TYPED(ctc_fill)(r.sum, k->C, 0);
            for (int64_t s = 0; s < r.L; s++) {
                real both = alpha[t * k->L + s] + r.row[2 + s];
                r.emit[s] = both;
                if (!(both <= r.most[r.classes[s]]))
                    r.most[r.classes[s]] = both;
            }
            for (int64_t s = 0; s < r.L; s++) {
                real most = r.most[r.classes[s]];
                r.emit[s] -= isinf(most) ? 0 : most;
            }
            for (int64_t s = 0; s < r.L; s += RN)
                rv_store_upto(r.emit + s, r.L - s, rv_exp(rv_load(r.emit + s)));
            for (int64_t s = 0; s < r.L; s++)
                r.sum[r.classes[s]] += r.emit[s];
            ML_TYPED(ctc_fill)(r.emit + r.L, r.width - r.L, -REAL_INFINITY);
            for (int64_t c = 0; c < k->C; c += RN) {
                int64_t n = k->C - c;
                rv x = rv_load_upto(p + c, n, 0), most = rv_load_upto(r.most + c, n, 0);
                rv q = rv_log(rv_load_upto(r.sum + c, n, 1)) + most;
                rv_store_upto(dp + c, n, g * (rv_exp(x) - rv_exp(q - x + loss)));
            }
        }
    }
}

static int ML_TYPED(ctc_run)(const ml_array *a, const ctc_settings *s)
{
    ML_TYPED(ctc_work) k = {
        .p = (const real *)a[0].data, .targets = (const int64_t *)a[1].data, .starts = (const int64_t *)a[2].data,
        .steps = (const int64_t *)a[3].data, .lengths = (const int64_t *)a[4].data, .loss = (real *)a[5].data,
        .alpha = (real *)a[6].data, .T = a[0].shape[0], .B = a[0].shape[1], .C = a[0].shape[2], .L = a[6].shape[2],
        .blank = s->blank};
    ml_rt->parallel_for(ML_TYPED(ctc_items), &k, k.B, 1);
    return k.failed ? ML_NO_MEMORY : ML_OK;
}

static int ML_TYPED(ctc_run_backward)(const ml_array *a, const ctc_settings *s)
{
    ML_TYPED(ctc_work) k = {
        .dloss = (const real *)a[0].data, .p = (const real *)a[1].data, .targets = (const int64_t *)a[2].data,
        .starts = (const int64_t *)a[3].data, .steps = (const int64_t *)a[4].data, .lengths = (const int64_t *)a[5].data,
        .loss_in = (const real *)a[6].data, .alpha_in = (const real *)a[7].data, .dp = (real *)a[8].data,
        .T = a[1].shape[0], .B = a[1].shape[1], .C = a[1].shape[2], .L = a[7].shape[2], .blank = s->blank,
        .zero_infinity = s->zero_infinity};
    ml_rt->parallel_for(ML_TYPED(ctc_backward_items), &k, k.B, 1);
    return k.failed ? ML_NO_MEMORY : ML_OK;
}
