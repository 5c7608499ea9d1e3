/* The rows of the activations in one float type (real.h): y, or dx, as an expression in the vectors x, dy and the
   settings a, b, c. RV(f) is f of vecmath.h for this type. */

#define ROW_BEGIN(name, array)                                                                                         \
    static int ML_TYPED(name##_row)(char *const *p, const int64_t *step, int64_t n, const void *settings)              \
    {                                                                                                                  \
        const activation_settings *s = settings;                                                                       \
        const real *px = (const real *)p[0];                                                                           \
        real *to = (real *)p[array];                                                                                   \
        const rv a = rv_set((real)s->a), b = rv_set((real)s->b), c = rv_set((real)s->c), zero = {0}, one = rv_set(1);  \
        rv rest;                                                                                                       \
        int64_t i = 0;                                                                                                 \
        (void)step; (void)a; (void)b; (void)c; (void)zero; (void)one; (void)rest;

#define ROW(name, expression)                                                                                          \
    ROW_BEGIN(name, 1)                                                                                                 \
        for (; i + RN <= n; i += RN) { rv x = rv_load(px + i); rv_store(to + i, expression); }                         \
        if (i < n) { rv x = rv_load_part(px + i, n - i, 0); rv_store_part(to + i, n - i, expression); }                \
        return ML_OK;                                                                                                  \
    }

#define ROW_BACKWARD(name, expression)                                                                                 \
    ROW_BEGIN(name, 2)                                                                                                 \
        const real *pdy = (const real *)p[1];                                                                          \
        for (; i + RN <= n; i += RN) {                                                                                 \
            rv x = rv_load(px + i), dy = rv_load(pdy + i);                                                             \
            rv_store(to + i, expression);                                                                              \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            rv x = rv_load_part(px + i, n - i, 0), dy = rv_load_part(pdy + i, n - i, 0);                               \
            rv_store_part(to + i, n - i, expression);                                                                  \
        }                                                                                                              \
        return ML_OK;                                                                                                  \
    }

ML_INLINE rv ML_TYPED(square)(rv x) { return x * x; }

ML_INLINE rv ML_TYPED(silu_slope)(rv x)
{
    rv s = RV(sigmoid)(x);
    return s * ((real)1 + x * ((real)1 - s));
}

/* t = tanh(log(1 + e^x)) and rest = 1 - t, both with all their digits; activation_reference.py has the algebra. */
ML_INLINE rv ML_TYPED(tanh_softplus)(rv x, rv *rest)
{
    rv e = RV(exp)(-RV(abs)(x));
    ri left = x < (real)0;
    rv above = rv_select(left, e * (e + (real)2), (real)1 + (real)2 * e);
    rv below = rv_select(left, rv_set(2), (real)2 * e * e), all = above + below;
    *rest = below / all;
    return above / all;
}

ML_INLINE rv ML_TYPED(mish_slope)(rv x)
{
    rv rest, t = ML_TYPED(tanh_softplus)(x, &rest);
    return t + x * RV(sigmoid)(x) * rest * ((real)1 + t);
}

ML_INLINE rv ML_TYPED(softplus_of)(rv x)
{
    return rv_select(x < (real)0, (rv){0}, x) + RV(log1p)(RV(exp)(-RV(abs)(x)));
}

ML_INLINE rv ML_TYPED(softsign_slope)(rv x)
{
    rv r = (real)1 / ((real)1 + RV(abs)(x));
    return r * r + (real)0 * (x * r);
}

ROW(hardtanh, rv_select(x < a, a, rv_select(x > b, b, x)))
ROW(leaky_relu, rv_select(x > zero, x, x * a))
ROW(elu, rv_select(x > zero, x * b, RV(expm1)(x * c) * a))
ROW(silu, x * RV(sigmoid)(x))
ROW(mish, x * ML_TYPED(tanh_softplus)(x, &rest))
ROW(log_sigmoid, rv_select(x > zero, zero, x) - RV(log1p)(RV(exp)(-RV(abs)(x))))
ROW(tanhshrink, x - RV(tanh)(x))
ROW(softplus, rv_select(x * a > b, x, ML_TYPED(softplus_of)(x * a) / a))
ROW(softsign, x / (one + RV(abs)(x)))
ROW(softshrink, rv_select(x > a, x - a, rv_select(x < -a, x + a, rv_select(x == x, zero, x))))
ROW(hardshrink, rv_select((x >= -a) & (x <= a), zero, x))
ROW(hardsigmoid, RV(at_most)(RV(at_least)(x + (real)3, zero), rv_set(6)) / (real)6)
ROW(hardswish, x * RV(at_most)(RV(at_least)(x + (real)3, zero), rv_set(6)) / (real)6)
ROW(threshold, rv_select(x <= a, b, x))
ROW_BACKWARD(hardtanh_backward, rv_select((x > a) & (x < b), dy, zero))
ROW_BACKWARD(leaky_relu_backward, rv_select(x > zero, dy, dy * a))
ROW_BACKWARD(elu_backward, rv_select(x > zero, dy * b, dy * (c * a * RV(exp)(x * c))))
ROW_BACKWARD(silu_backward, dy * ML_TYPED(silu_slope)(x))
ROW_BACKWARD(mish_backward, dy * ML_TYPED(mish_slope)(x))
ROW_BACKWARD(log_sigmoid_backward, dy * RV(sigmoid)(-x))
ROW_BACKWARD(tanhshrink_backward, dy * ML_TYPED(square)(RV(tanh)(x)))
ROW_BACKWARD(softplus_backward, rv_select(x * a > b, dy, dy * RV(sigmoid)(x * a)))
ROW_BACKWARD(softsign_backward, dy * ML_TYPED(softsign_slope)(x))
ROW_BACKWARD(softshrink_backward, rv_select((x > a) | (x < -a), dy, zero))
ROW_BACKWARD(hardshrink_backward, rv_select((x > a) | (x < -a), dy, zero))
ROW_BACKWARD(hardsigmoid_backward, rv_select((x > (real)-3) & (x < (real)3), dy * (real)SIXTH, zero))
ROW_BACKWARD(hardswish_backward,
             rv_select(x <= (real)-3, zero, dy * rv_select(x >= (real)3, one, x / (real)3 + (real)0.5)))
ROW_BACKWARD(threshold_backward, rv_select(x <= a, zero, dy))

/* ---- glu: x is R times (L values, L gates) ---- */

typedef struct {
    const real *x, *dy;
    real *to;
    int64_t L, pieces;                          /* pieces of a row */
} ML_TYPED(glu_work);

static void ML_TYPED(glu_pieces)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(glu_work) *k = context;
    for (int64_t piece = begin; piece < end; piece++) {
        int64_t r = piece / k->pieces, i = piece % k->pieces * ACTIVATION_PIECE, stop = ml_min(k->L, i + ACTIVATION_PIECE);
        const real *x = k->x + 2 * r * k->L, *gate = x + k->L;
        for (; i < stop; i += RN) {
            int64_t n = stop - i;
            rv s = RV(sigmoid)(rv_load_upto(gate + i, n, 0)), v = rv_load_upto(x + i, n, 0);
            if (!k->dy) {
                rv_store_upto(k->to + r * k->L + i, n, v * s);
                continue;
            }
            rv dy = rv_load_upto(k->dy + r * k->L + i, n, 0);
            rv_store_upto(k->to + 2 * r * k->L + i, n, dy * s);
            rv_store_upto(k->to + (2 * r + 1) * k->L + i, n, dy * v * s * ((real)1 - s));
        }
    }
}

static int ML_TYPED(glu_run)(const ml_array *x, const ml_array *dy, const ml_array *to)
{
    int64_t L = x->shape[2];
    ML_TYPED(glu_work) k = {.x = (const real *)x->data, .dy = dy ? (const real *)dy->data : NULL, .to = (real *)to->data,
                            .L = L, .pieces = ml_ceil_div(L, ACTIVATION_PIECE)};
    ml_rt->parallel_for(ML_TYPED(glu_pieces), &k, x->shape[0] * k.pieces,
                        ml_grain(ACTIVATION_PIECE, ml_min(L, ACTIVATION_PIECE)));
    return ML_OK;
}

/* ---- prelu ----

   x is (B,C,L). The loop is cut into `chunks` of rows b, and where L is long each into `pieces` of it; every part keeps
   its own C sums for dw, which are added in order at the end. With L = 1 vectors lie along the channels. */

typedef struct {
    const real *x, *w, *dy;
    real *to;                                   /* y or dx; NULL where dx is not wanted */
    double *sums;                               /* (chunks*pieces, C); NULL forward */
    int64_t B, C, L, rows, pieces;
} ML_TYPED(prelu_work);

/* sum + x v where not x > 0, with one rounding */
ML_INLINE rv ML_TYPED(prelu_add)(rv x, rv v, rv sum)
{
    ri right = x > (real)0;
    return rv_fma(rv_select(right, (rv){0}, x), rv_select(right, (rv){0}, v), sum);
}

static void ML_TYPED(prelu_columns)(const ML_TYPED(prelu_work) *k, int64_t first, int64_t stop, double *sums)
{
    for (int64_t b = first; !sums && b < stop; b++)
        for (int64_t c = 0; c < k->C; c += RN) {
            int64_t n = k->C - c, at = b * k->C + c;
            rv x = rv_load_upto(k->x + at, n, 0), v = k->dy ? rv_load_upto(k->dy + at, n, 0) : x;
            rv_store_upto(k->to + at, n, rv_select(x > (real)0, v, rv_load_upto(k->w + c, n, 0) * v));
        }
    for (int64_t c = 0; sums && c < k->C; c += RN) {
        int64_t n = k->C - c;
        rv w = rv_load_upto(k->w + c, n, 0);
        for (int64_t b0 = first; b0 < stop; b0 += 64) {        /* sums of 64 rows at most join a double */
            rv sum = {0};
            for (int64_t b = b0; b < ml_min(stop, b0 + 64); b++) {
                rv x = rv_load_upto(k->x + b * k->C + c, n, 0);
                rv v = k->dy ? rv_load_upto(k->dy + b * k->C + c, n, 0) : x;
                if (k->to)
                    rv_store_upto(k->to + b * k->C + c, n, rv_select(x > (real)0, v, w * v));
                sum = ML_TYPED(prelu_add)(x, v, sum);
            }
            for (int j = 0; j < ml_min(RN, n); j++)
                sums[c + j] += sum[j];
        }
    }
}

static void ML_TYPED(prelu_parts)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(prelu_work) *k = context;
    for (int64_t part = begin; part < end; part++) {
        int64_t first = part / k->pieces * k->rows, stop = ml_min(k->B, first + k->rows);
        int64_t from = part % k->pieces * ACTIVATION_PIECE, to = ml_min(k->L, from + ACTIVATION_PIECE);
        double *sums = k->sums ? k->sums + part * k->C : NULL;
        for (int64_t c = 0; sums && c < k->C; c++)
            sums[c] = 0;
        if (k->L == 1) {
            ML_TYPED(prelu_columns)(k, first, stop, sums);
            continue;
        }
        for (int64_t row = first * k->C; row < stop * k->C; row++) {
            const real *x = k->x + row * k->L, *v = k->dy ? k->dy + row * k->L : x;
            rv w = rv_set(k->w[row % k->C]);
            for (int64_t i0 = from; i0 < to; i0 += 1024) {
                rv sum = {0};
                for (int64_t i = i0; i < ml_min(to, i0 + 1024); i += RN) {
                    int64_t n = to - i;
                    rv a = rv_load_upto(x + i, n, 0), b = rv_load_upto(v + i, n, 0);
                    if (k->to)
                        rv_store_upto(k->to + row * k->L + i, n, rv_select(a > (real)0, b, w * b));
                    if (sums)
                        sum = ML_TYPED(prelu_add)(a, b, sum);
                }
                if (sums)
                    sums[row % k->C] += rv_sum(sum);
            }
        }
    }
}

static int ML_TYPED(prelu_run)(const ml_array *x, const ml_array *w, const ml_array *dy, const ml_array *to,
                               const ml_array *dw, int accumulate)
{
    ML_TYPED(prelu_work) k = {
        .x = (const real *)x->data, .w = (const real *)w->data, .dy = dy ? (const real *)dy->data : NULL,
        .to = (real *)to->data, .B = x->shape[0], .C = x->shape[1], .L = x->shape[2]};
    k.pieces = ml_max(1, ml_ceil_div(k.L, ACTIVATION_PIECE));
    k.rows = ml_grain(ACTIVATION_PIECE, k.C * ml_min(k.L, ACTIVATION_PIECE));
    if (dw && dw->data)
        k.rows = ml_max(k.rows, ml_ceil_div(k.B, 64));          /* at most 64 chunks: the sums stay small beside x */
    int64_t parts = ml_ceil_div(k.B, k.rows) * k.pieces;
    if (dw && dw->data && !(k.sums = ml_rt->scratch(0, (size_t)ml_max(1, parts * k.C) * sizeof(double))))
        return ML_NO_MEMORY;
    if (!k.to && !k.sums)
        return ML_OK;
    ml_rt->parallel_for(ML_TYPED(prelu_parts), &k, parts, 1);
    for (int64_t c = 0; k.sums && c < k.C; c++) {
        double total = 0;
        for (int64_t part = 0; part < parts; part++)
            total += k.sums[part * k.C + c];
        real *at = (real *)dw->data + c;
        *at = (real)(accumulate ? *at + total : total);
    }
    return ML_OK;
}

/* ---- rrelu ---- */

typedef struct {
    const real *x, *v;
    real *y;
    uint64_t seed, offset;
    double lower, width;
} ML_TYPED(rrelu_work);

static void ML_TYPED(rrelu_piece)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(rrelu_work) *k = context;
    uint32_t words[ML_PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += ML_PHILOX_WORDS) {
        philox_words(k->seed, k->offset + (uint64_t)i / 4, words);
        for (int64_t j = 0; j < ml_min(ML_PHILOX_WORDS, end - i); j++) {
            real v = k->v[i + j], r = (real)(v * (k->lower + k->width * ((double)(words[j] >> 8) * 0x1p-24)));
            k->y[i + j] = k->x[i + j] <= 0 ? r : v;
        }
    }
}

static int ML_TYPED(rrelu_run)(const ml_array *a, const activation_settings *s)
{
    const int64_t *place = (const int64_t *)a[2].data;
    ML_TYPED(rrelu_work) k = {(const real *)a[0].data, (const real *)a[1].data, (real *)a[3].data, (uint64_t)place[0],
                              (uint64_t)place[1], s->a, s->b - s->a};
    ml_rt->parallel_for(ML_TYPED(rrelu_piece), &k, a[0].size, ACTIVATION_PIECE);
    return ML_OK;
}

#undef ROW_BEGIN
#undef ROW
#undef ROW_BACKWARD
