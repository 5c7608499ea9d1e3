/* The loops of the pool family in one float type (real.h). A row of outputs is worked on together. The image row under
   it is first copied to a line of its own, padding written out and the columns dealt into `stride` phases:

       image     a b c d e f g         stride 2, padding 1, windows of 3:  (. a b) (b c d) (d e f) (f g .)
       phase 0   . b d f               column w stands in phase (w + padding) % stride, at (w + padding) / stride
       phase 1   a c e g
   so that place l of all windows is one run of neighbours, whatever the stride: l = 0 is phase 0, l = 1 phase 1, l = 2
   phase 0 from its second on. */

typedef struct {
    const real *x;                      /* forward x, backward dy */
    real *y;                            /* forward y, backward dx */
    int64_t *index;                     /* NULL where nobody asks */
    int64_t H, W, P, Q;                 /* image and output */
    const pool_settings *s;
    int failed;                         /* a status */
} ML_TYPED(pool_work);

/* What a task needs for a row of outputs; vectors may run RN - 1 places over Q. */
typedef struct {
    real *line;                         /* the phases, `length` places each */
    int64_t length;
    int64_t used;                       /* how many columns of the image some window sees */
    real *total;                        /* Q: the largest value or the sum so far */
    real *count;                        /* Q: averages: the columns that count in each window; max: free */
    ML_TYPED(pool_int) *where, *first;  /* Q: places relative to the window's first, h0*W + w0; the first column inside */
    real *flat;                         /* W: backward, the line put together again */
} ML_TYPED(pool_row);

/* Scratch memory for a task, the line filled with what padding counts as. */
static int ML_TYPED(pool_prepare)(ML_TYPED(pool_row) *r, const ML_TYPED(pool_work) *k, real padding)
{
    const pool_settings *s = k->s;
    int64_t sw = s->stride[1], pw = s->padding[1], reach = (s->kernel[1] - 1) * s->dilation[1];
    int64_t columns = (k->Q - 1) * sw + reach + 1, Q = k->Q + RN;
    r->length = ml_ceil_div(columns, sw) + RN;
    r->used = ml_max(0, ml_min(k->W, columns - pw));
    int64_t total = sw * r->length + 4 * Q + k->W + RN;
    r->line = ml_rt->scratch(0, (size_t)total * sizeof(real));
    if (!r->line)
        return 0;
    for (int64_t i = 0; i < sw * r->length; i++)
        r->line[i] = padding;
    r->total = r->line + sw * r->length;
    r->count = r->total + Q;
    r->where = (ML_TYPED(pool_int) *)(r->count + Q);        /* of real's size */
    r->first = r->where + Q;
    r->flat = (real *)(r->first + Q);
    for (int64_t q = 0; q < k->Q; q++) {
        int64_t w0 = q * sw - pw, l = w0 >= 0 ? 0 : ml_ceil_div(-w0, s->dilation[1]) * s->dilation[1];
        r->first[q] = (ML_TYPED(pool_int))(l <= reach && w0 + l < k->W ? l : -1);
        r->count[q] = (real)pool_count(s, 1, k->W, q);
    }
    for (int64_t q = k->Q; q < Q; q++) {
        r->first[q] = -1;
        r->count[q] = 1;
    }
    return 1;
}

/* Where place l of the windows begins in the line. */
ML_INLINE real *ML_TYPED(pool_tap)(const ML_TYPED(pool_row) *r, const pool_settings *s, int64_t l)
{
    int64_t w = l * s->dilation[1];
    return r->line + w % s->stride[1] * r->length + w / s->stride[1];
}

#if POOL_N == 16
#define POOL_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define POOL_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define POOL_LANES 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#elif POOL_N == 8
#define POOL_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define POOL_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define POOL_LANES 0, 1, 2, 3, 4, 5, 6, 7
#elif POOL_N == 4
#define POOL_EVEN 0, 2, 4, 6
#define POOL_ODD 1, 3, 5, 7
#define POOL_LANES 0, 1, 2, 3
#else
#define POOL_EVEN 0, 2
#define POOL_ODD 1, 3
#define POOL_LANES 0, 1
#endif

/* The first n of RN places, as int64. */
ML_INLINE void ML_TYPED(pool_store_index)(int64_t *p, int64_t n, ri v)
{
    if (sizeof(real) == 8) {
        ML_NAME(ml_rv_store_upto_f64)((double *)p, n, (vd)v);
        return;
    }
    ML_NAME(pool_half) low, high;
    memcpy(&low, &v, sizeof low);
    memcpy(&high, (char *)&v + sizeof low, sizeof high);
    ML_NAME(ml_rv_store_upto_f64)((double *)p, n, (vd)__builtin_convertvector(low, vl));
    if (n > RN / 2)
        ML_NAME(ml_rv_store_upto_f64)((double *)p + RN / 2, n - RN / 2, (vd)__builtin_convertvector(high, vl));
}

/* 2n values from p, apart: those in even places and those in odd ones. */
ML_INLINE void ML_TYPED(pool_pairs)(const real *p, int64_t n, rv *even, rv *odd)
{
    rv low = rv_load_upto(p, 2 * n, 0), high = {0};
    if (2 * n > RN)
        high = rv_load_upto(p + RN, 2 * n - RN, 0);
    *even = POOL_SHUFFLE(low, high, POOL_EVEN);
    *odd = POOL_SHUFFLE(low, high, POOL_ODD);
}

/* A row of outputs with 2x2 windows side by side:
       a b   at rows 2p and 2p+1; a wins unless b, c or d is larger or NaN, in this order
       c d */
ML_INLINE void ML_TYPED(max_pool_row_2x2)(const real *x, real *y, int64_t *index, int64_t p, int64_t W, int64_t Q)
{
    const real *upper = x + 2 * p * W, *lower = upper + W;
    ri first = (ri){POOL_LANES} * 2 + (ri){0} + (int32_t)(2 * p * W);
    for (int64_t q = 0; q < Q; q += RN) {
        int64_t n = ml_min(RN, Q - q);
        rv best, b, c, d;
        ri where = {0};
        ML_TYPED(pool_pairs)(upper + 2 * q, n, &best, &b);
        ML_TYPED(pool_pairs)(lower + 2 * q, n, &c, &d);
        ri take = (ri)(b > best) | (ri)(b != b);
        best = rv_select(take, b, best);
        where = take & 1;
        take = (ri)(c > best) | (ri)(c != c);
        best = rv_select(take, c, best);
        where = (take & (int32_t)W) | (~take & where);
        take = (ri)(d > best) | (ri)(d != d);
        best = rv_select(take, d, best);
        where = (take & (int32_t)(W + 1)) | (~take & where);
        rv_store_upto(y + q, n, best);
        if (index)
            ML_TYPED(pool_store_index)(index + q, n, first + (int32_t)(2 * q) + where);
    }
}

/* An image row into the line. */
ML_INLINE void ML_TYPED(pool_deal)(const ML_TYPED(pool_row) *r, const pool_settings *s, const real *x)
{
    int64_t sw = s->stride[1], pw = s->padding[1];
    if (sw == 1) {
        memcpy(r->line + pw, x, (size_t)r->used * sizeof(real));
    } else if (sw == 2) {
        real *even = r->line + pw % 2 * r->length + pw / 2, *odd = r->line + (pw + 1) % 2 * r->length + (pw + 1) / 2;
        int64_t pairs = r->used / 2;
        for (int64_t i = 0; i < pairs; i += RN) {
            rv a, b;
            ML_TYPED(pool_pairs)(x + 2 * i, ml_min(RN, pairs - i), &a, &b);
            rv_store_upto(even + i, pairs - i, a);
            rv_store_upto(odd + i, pairs - i, b);
        }
        if (r->used % 2)
            even[pairs] = x[r->used - 1];
    } else {
        for (int64_t a = 0; a < ml_min(sw, r->used); a++) {
            real *to = r->line + (pw + a) % sw * r->length + (pw + a) / sw;
            for (int64_t w = a; w < r->used; w += sw)
                *to++ = x[w];
        }
    }
}

ML_INLINE void ML_TYPED(max_pool_row)(const ML_TYPED(pool_row) *r, const real *x, real *y, int64_t *index, int64_t p,
                                      const ML_TYPED(pool_work) *k)
{
    const pool_settings *s = k->s;
    int64_t W = k->W, Q = k->Q, dh = s->dilation[0], h0 = p * s->stride[0] - s->padding[0];
    int64_t top = h0 >= 0 ? 0 : ml_ceil_div(-h0, dh), inside = top < s->kernel[0] && h0 + top * dh < k->H;
    for (int64_t q = 0; q < Q + RN; q++) {
        r->total[q] = -REAL_INFINITY;
        r->where[q] = inside && r->first[q] >= 0 ? (ML_TYPED(pool_int))(top * dh * W) + r->first[q] : -1;
    }
    for (int64_t i = top; i < s->kernel[0] && h0 + i * dh < k->H; i++) {
        ML_TYPED(pool_deal)(r, s, x + (h0 + i * dh) * W);
        for (int64_t q = 0; q < Q; q += RN) {
            rv best = rv_load(r->total + q);
            ri where;
            memcpy(&where, r->where + q, sizeof where);
            for (int64_t l = 0; l < s->kernel[1]; l++) {
                rv v = rv_load(ML_TYPED(pool_tap)(r, s, l) + q);
                ri here = (ri){0} + (ML_TYPED(pool_int))(i * dh * W + l * s->dilation[1]);
                ri take = (ri)(v > best) | (ri)(v != v);
                best = rv_select(take, v, best);
                where = (take & here) | (~take & where);
            }
            rv_store(r->total + q, best);
            memcpy(r->where + q, &where, sizeof where);
        }
    }
    memcpy(y, r->total, (size_t)Q * sizeof(real));
    if (index)
        for (int64_t q = 0; q < Q; q++)
            index[q] = r->where[q] < 0 ? -1 : h0 * W + q * s->stride[1] - s->padding[1] + r->where[q];
}

static void ML_TYPED(max_pool_rows)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int side_by_side = 1;               /* 2x2 windows, stride 2, all inside the image */
    for (int axis = 0; axis < 2; axis++)
        side_by_side &= s->kernel[axis] == 2 && s->stride[axis] == 2 && s->padding[axis] == 0 && s->dilation[axis] == 1;
    side_by_side &= 2 * k->P <= k->H && 2 * k->Q <= k->W && k->H * k->W < INT32_MAX / 2;
    ML_TYPED(pool_row) row;
    if (!side_by_side && !ML_TYPED(pool_prepare)(&row, k, -REAL_INFINITY)) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t r = begin; r < end; r++) {
        const real *x = k->x + r / k->P * k->H * k->W;
        real *y = k->y + r * k->Q;
        int64_t *index = k->index ? k->index + r * k->Q : NULL;
        if (side_by_side)
            ML_TYPED(max_pool_row_2x2)(x, y, index, r % k->P, k->W, k->Q);
        else
            ML_TYPED(max_pool_row)(&row, x, y, index, r % k->P, k);
    }
}

static int ML_TYPED(max_pool2d)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .index = (int64_t *)a[2].data, .s = settings,
        .H = a[0].shape[2], .W = a[0].shape[3], .P = a[1].shape[2], .Q = a[1].shape[3]};
    if (a[1].size)
        ml_rt->parallel_for(ML_TYPED(max_pool_rows), &k, a[1].size / k.Q,
                            ml_grain(POOL_PIECE, ml_max(k.Q * k.s->kernel[0] * k.s->kernel[1], 1)));
    return k.failed;
}

static void ML_TYPED(max_pool_backward_planes)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    int64_t places = k->H * k->W, outputs = k->P * k->Q;
    for (int64_t plane = begin; plane < end; plane++) {
        real *dx = k->y + plane * places;
        const real *dy = k->x + plane * outputs;
        const int64_t *index = k->index + plane * outputs;
        memset(dx, 0, (size_t)places * sizeof(real));
        for (int64_t i = 0; i < outputs; i++) {
            if ((uint64_t)index[i] < (uint64_t)places)
                dx[index[i]] += dy[i];
            else if (index[i] != -1)
                __atomic_store_n(&k->failed, ML_BAD_INDEX, __ATOMIC_RELAXED);
        }
    }
}

static int ML_TYPED(max_pool2d_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .index = (int64_t *)a[1].data, .y = (real *)a[2].data, .s = settings,
        .H = a[2].shape[2], .W = a[2].shape[3], .P = a[0].shape[2], .Q = a[0].shape[3]};
    ml_rt->parallel_for(ML_TYPED(max_pool_backward_planes), &k, a[2].shape[0] * a[2].shape[1],
                        ml_grain(POOL_PIECE, k.H * k.W));
    return k.failed;
}

/* ---- average ---- */

/* What outputs (p, q ..) are divided by. */
ML_INLINE rv ML_TYPED(pool_divisor)(const ML_TYPED(pool_row) *r, const ML_TYPED(pool_work) *k, int64_t p, int64_t q)
{
    if (k->s->divisor != 0)
        return rv_set((real)k->s->divisor);
    return rv_load(r->count + q) * (real)pool_count(k->s, 0, k->H, p);
}

static void ML_TYPED(avg_pool_rows)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int64_t W = k->W, Q = k->Q;
    ML_TYPED(pool_row) row;
    if (!ML_TYPED(pool_prepare)(&row, k, 0)) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t r = begin; r < end; r++) {
        const real *x = k->x + r / k->P * k->H * W;
        int64_t p = r % k->P, h0 = p * s->stride[0] - s->padding[0];
        for (int64_t q = 0; q < Q + RN; q++)
            row.total[q] = 0;
        for (int64_t h = ml_max(h0, 0); h < ml_min(k->H, h0 + s->kernel[0]); h++) {
            ML_TYPED(pool_deal)(&row, s, x + h * W);
            for (int64_t q = 0; q < Q; q += RN) {
                rv sum = {0};
                for (int64_t l = 0; l < s->kernel[1]; l++)
                    sum += rv_load(ML_TYPED(pool_tap)(&row, s, l) + q);
                rv_store(row.total + q, rv_load(row.total + q) + sum);
            }
        }
        for (int64_t q = 0; q < Q; q += RN)
            rv_store_upto(k->y + r * Q + q, Q - q,
                          rv_load(row.total + q) / ML_TYPED(pool_divisor)(&row, k, p, q));
    }
}

static int ML_TYPED(avg_pool2d)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .H = a[0].shape[2], .W = a[0].shape[3], .P = a[1].shape[2], .Q = a[1].shape[3]};
    if (a[1].size)
        ml_rt->parallel_for(ML_TYPED(avg_pool_rows), &k, a[1].size / k.Q,
                            ml_grain(POOL_PIECE, ml_max(k.Q * k.s->kernel[0] * k.s->kernel[1], 1)));
    return k.failed;
}

/* All rows of a window get the same: dy / divisor is dealt into a line, put together, and added to each of them. */
static void ML_TYPED(avg_pool_backward_planes)(void *context, int64_t first, int64_t last)
{
    ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int64_t H = k->H, W = k->W, Q = k->Q, sw = s->stride[1], pw = s->padding[1];
    ML_TYPED(pool_row) row;
    if (!ML_TYPED(pool_prepare)(&row, k, 0)) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t plane = first; plane < last; plane++) {
        real *dx = k->y + plane * H * W;
        memset(dx, 0, (size_t)(H * W) * sizeof(real));
        for (int64_t p = 0; p < k->P; p++) {
            const real *dy = k->x + (plane * k->P + p) * Q;
            int64_t h0 = p * s->stride[0] - s->padding[0];
            memset(row.line, 0, (size_t)(sw * row.length) * sizeof(real));
            for (int64_t q = 0; q < Q; q += RN) {
                rv g = rv_load_upto(dy + q, Q - q, 0) / ML_TYPED(pool_divisor)(&row, k, p, q);
                for (int64_t l = 0; l < s->kernel[1]; l++) {
                    real *to = ML_TYPED(pool_tap)(&row, s, l) + q;
                    rv_store(to, rv_load(to) + g);
                }
            }
            for (int64_t a = 0; a < ml_min(sw, row.used); a++) {
                const real *from = row.line + (pw + a) % sw * row.length + (pw + a) / sw;
                for (int64_t w = a; w < row.used; w += sw)
                    row.flat[w] = *from++;
            }
            for (int64_t h = ml_max(h0, 0); h < ml_min(H, h0 + s->kernel[0]); h++)
                for (int64_t w = 0; w < row.used; w++)
                    dx[h * W + w] += row.flat[w];
        }
    }
}

static int ML_TYPED(avg_pool2d_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .H = a[1].shape[2], .W = a[1].shape[3], .P = a[0].shape[2], .Q = a[0].shape[3]};
    ml_rt->parallel_for(ML_TYPED(avg_pool_backward_planes), &k, a[1].shape[0] * a[1].shape[1],
                        ml_grain(POOL_PIECE, k.H * k.W));
    return k.failed;
}

/* ---- adaptive average: bin p of P over H rows is [floor(p*H/P), ceil((p+1)*H/P)) ---- */

ML_INLINE real ML_TYPED(pool_sum)(const real *x, int64_t n)
{
    rv s0 = {0}, s1 = {0};
    int64_t i = 0;
    for (; i + 2 * RN <= n; i += 2 * RN) {
        s0 += rv_load(x + i);
        s1 += rv_load(x + i + RN);
    }
    for (; i < n; i += RN)
        s0 += rv_load_upto(x + i, n - i, 0);
    return rv_sum(s0 + s1);
}

/* Rows p of the outputs: the bin's rows are added up first, column by column, then the columns of each bin. */
static void ML_TYPED(adaptive_rows)(void *context, int64_t first, int64_t last)
{
    ML_TYPED(pool_work) *k = context;
    int64_t H = k->H, W = k->W, P = k->P, Q = k->Q;
    real *line = ml_rt->scratch(0, (size_t)W * sizeof(real));
    if (!line) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t r = first; r < last; r++) {
        const real *x = k->x + r / P * H * W, *sums = line;
        int64_t p = r % P, top = p * H / P, bottom = ml_ceil_div((p + 1) * H, P);
        if (bottom - top == 1) {
            sums = x + top * W;
        } else {
            memcpy(line, x + top * W, (size_t)W * sizeof(real));
            for (int64_t h = top + 1; h < bottom; h++)
                for (int64_t w = 0; w < W; w++)
                    line[w] += x[h * W + w];
        }
        for (int64_t q = 0; q < Q; q++) {
            int64_t left = q * W / Q, right = ml_ceil_div((q + 1) * W, Q);
            k->y[r * Q + q] = ML_TYPED(pool_sum)(sums + left, right - left) / (real)((bottom - top) * (right - left));
        }
    }
}

static int ML_TYPED(adaptive_avg_pool2d)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .H = a[0].shape[2], .W = a[0].shape[3], .P = a[1].shape[2], .Q = a[1].shape[3]};
    if (!a[1].size)
        return ML_OK;
    if (k.P == 1 && k.Q == 1) {         /* the whole image is one row */
        k.W *= k.H;
        k.H = 1;
    }
    ml_rt->parallel_for(ML_TYPED(adaptive_rows), &k, a[1].size / k.Q, ml_grain(POOL_PIECE, k.H * k.W / k.P));
    return k.failed;
}

static void ML_TYPED(adaptive_backward_planes)(void *context, int64_t first, int64_t last)
{
    ML_TYPED(pool_work) *k = context;
    int64_t H = k->H, W = k->W, P = k->P, Q = k->Q;
    real *line = ml_rt->scratch(0, (size_t)ml_max(1, W) * sizeof(real));
    if (!line) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t plane = first; plane < last; plane++) {
        real *dx = k->y + plane * H * W;
        memset(dx, 0, (size_t)(H * W) * sizeof(real));
        for (int64_t p = 0; p < P; p++) {
            int64_t top = p * H / P, bottom = ml_ceil_div((p + 1) * H, P);
            memset(line, 0, (size_t)W * sizeof(real));
            for (int64_t q = 0; q < Q; q++) {
                int64_t left = q * W / Q, right = ml_ceil_div((q + 1) * W, Q);
                real g = k->x[(plane * P + p) * Q + q] / (real)((bottom - top) * (right - left));
                for (int64_t w = left; w < right; w++)
                    line[w] += g;
            }
            for (int64_t h = top; h < bottom; h++)
                for (int64_t w = 0; w < W; w++)
                    dx[h * W + w] += line[w];
        }
    }
}

static int ML_TYPED(adaptive_avg_pool2d_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .H = a[1].shape[2], .W = a[1].shape[3], .P = a[0].shape[2], .Q = a[0].shape[3]};
    if (k.P == 1 && k.Q == 1) {
        k.W *= k.H;
        k.H = 1;
    }
    ml_rt->parallel_for(ML_TYPED(adaptive_backward_planes), &k, a[1].shape[0] * a[1].shape[1],
                        ml_grain(POOL_PIECE, k.H * k.W));
    return k.failed;
}

#undef POOL_EVEN
#undef POOL_ODD
#undef POOL_LANES
