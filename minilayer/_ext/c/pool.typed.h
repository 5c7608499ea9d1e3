/* The loops of the pool family in one float type (real.h). A row of outputs is worked on together. The image rows under
   it are first copied to lines of their own, padding written out and the columns dealt into `stride` phases:

       image     a b c d e f g         stride 2, padding 1, windows of 3:  (. a b) (b c d) (d e f) (f g .)
       phase 0   . b d f               column w stands in phase (w + padding) % stride, at (w + padding) / stride
       phase 1   a c e g
   so that place l of all windows is one run of neighbours, whatever the stride: l = 0 is phase 0, l = 1 phase 1, l = 2
   phase 0 from its second on. */

typedef struct {
    const real *x;                      /* forward x, backward dy */
    real *y;                            /* forward y, backward dx */
    int64_t *index;                     /* NULL where nobody asks */
    const real *samples;                /* fractional windows: where they begin */
    int64_t D, H, W, O, P, Q;           /* volume and output */
    const pool_settings *s;
    int failed;                         /* a status */
} ML_TYPED(pool_work);

/* What a task needs for a row of outputs; vectors may run RN - 1 places over Q. */
typedef struct {
    real *lines;                        /* image rows dealt out, `size` places each: `length` for each phase */
    const real **dealt;                 /* which row stands in each line */
    int64_t size, length;
    int64_t depths, heights;            /* powers of two: row (d, h) goes to line (d % depths) * heights + h % heights */
    int64_t *tap;                       /* where place l of the windows begins in a line, for each l */
    int64_t used;                       /* how many columns of the image some window sees */
    real *total;                        /* Q: the largest value or the sum so far */
    real *count;                        /* Q: averages: the columns that count in each window; max: free */
    ML_TYPED(pool_int) *where, *first;  /* Q: places relative to the window's first; the first column inside */
    real *flat;                         /* W: backward, the line put together again */
} ML_TYPED(pool_row);

/* Scratch memory for a task, its lines filled with what padding counts as: one for each row that windows of a row of
   outputs may see, so that rows shared with the next are dealt out once; only one where `keep` is 0 or there are many. */
static int ML_TYPED(pool_prepare)(ML_TYPED(pool_row) *r, const ML_TYPED(pool_work) *k, real padding, int keep)
{
    const pool_settings *s = k->s;
    int64_t sw = s->stride[2], pw = s->padding[2], reach = (s->kernel[2] - 1) * s->dilation[2];
    int64_t columns = (k->Q - 1) * sw + reach + 1, Q = k->Q + RN;
    r->length = ml_ceil_div(columns, sw) + RN;
    r->size = sw * r->length;
    r->used = ml_max(0, ml_min(k->W, columns - pw));
    r->depths = pool_power(ml_min(k->D, (s->kernel[0] - 1) * s->dilation[0] + 1));
    r->heights = pool_power(ml_min(k->H, (s->kernel[1] - 1) * s->dilation[1] + 1));
    if (!keep || r->depths * r->heights > POOL_LINES / r->size)
        r->depths = r->heights = 1;
    if (r->size >= POOL_LONGEST || s->kernel[2] >= POOL_LONGEST)    /* before bytes overflow */
        return 0;
    int64_t lines = r->depths * r->heights, total = lines * r->size + 4 * Q + k->W + RN;
    r->lines = ml_rt->scratch(0, (size_t)total * sizeof(real));
    r->tap = ml_rt->scratch(1, (size_t)s->kernel[2] * sizeof(int64_t));
    r->dealt = ml_rt->scratch(2, (size_t)lines * sizeof(real *));
    if (!r->lines || !r->tap || !r->dealt)
        return 0;
    for (int64_t l = 0; l < s->kernel[2]; l++) {
        int64_t w = l * s->dilation[2];
        r->tap[l] = w % sw * r->length + w / sw;
    }
    for (int64_t i = 0; i < lines * r->size; i++)
        r->lines[i] = padding;
    for (int64_t i = 0; i < lines; i++)
        r->dealt[i] = NULL;
    r->total = r->lines + lines * r->size;
    r->count = r->total + Q;
    r->where = (ML_TYPED(pool_int) *)(r->count + Q);        /* of real's size */
    r->first = r->where + Q;
    r->flat = (real *)(r->first + Q);
    for (int64_t q = 0; q < k->Q; q++) {
        int64_t w0 = q * sw - pw, l = w0 >= 0 ? 0 : ml_ceil_div(-w0, s->dilation[2]) * s->dilation[2];
        r->first[q] = (ML_TYPED(pool_int))(l <= reach && w0 + l < k->W ? l : -1);
        r->count[q] = (real)pool_count(s, 2, k->W, q);
    }
    for (int64_t q = k->Q; q < Q; q++) {
        r->first[q] = -1;
        r->count[q] = 1;
    }
    return 1;
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

/* An image row into a line. */
ML_INLINE void ML_TYPED(pool_deal)(const ML_TYPED(pool_row) *r, const pool_settings *s, const real *x, real *line)
{
    int64_t sw = s->stride[2], pw = s->padding[2];
    if (sw == 1) {
        memcpy(line + pw, x, (size_t)r->used * sizeof(real));
    } else if (sw == 2) {
        real *even = line + pw % 2 * r->length + pw / 2, *odd = line + (pw + 1) % 2 * r->length + (pw + 1) / 2;
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
            real *to = line + (pw + a) % sw * r->length + (pw + a) / sw;
            for (int64_t w = a; w < r->used; w += sw)
                *to++ = x[w];
        }
    }
}

/* The line of row (d, h) of the volume at x. */
ML_INLINE const real *ML_TYPED(pool_line)(const ML_TYPED(pool_row) *r, const ML_TYPED(pool_work) *k, const real *x,
                                          int64_t d, int64_t h)
{
    int64_t i = (d & (r->depths - 1)) * r->heights + (h & (r->heights - 1));
    real *line = r->lines + i * r->size;
    x += (d * k->H + h) * k->W;
    if (r->dealt[i] != x) {
        r->dealt[i] = x;
        ML_TYPED(pool_deal)(r, k->s, x, line);
    }
    return line;
}

/* All lines of a row of outputs, where they are kept: a line that was just written is slow to read. */
ML_INLINE void ML_TYPED(pool_lines)(const ML_TYPED(pool_row) *r, const ML_TYPED(pool_work) *k, const real *x,
                                    const int64_t *from, const int64_t *to)
{
    const pool_settings *s = k->s;
    if (r->depths * r->heights > 1)
        for (int64_t d = from[0]; d < to[0]; d += s->dilation[0])
            for (int64_t h = from[1]; h < to[1]; h += s->dilation[1])
                ML_TYPED(pool_line)(r, k, x, d, h);
}

/* One row of the windows: its first place counts as `place`, the next as place + step. */
ML_INLINE void ML_TYPED(max_pool_taps)(const ML_TYPED(pool_row) *r, const real *line, int64_t Q, int64_t taps,
                                       int64_t place, int64_t step)
{
    const int64_t *tap = r->tap;
    real *total = r->total;
    ML_TYPED(pool_int) *places = r->where;
    for (int64_t q = 0; q < Q; q += RN) {
        rv best = rv_load(total + q);
        ri where;
        memcpy(&where, places + q, sizeof where);
        for (int64_t l = 0; l < taps; l++) {
            rv v = rv_load(line + tap[l] + q);
            ri here = (ri){0} + (ML_TYPED(pool_int))(place + l * step);
            ri take = (ri)(v > best) | (ri)(v != v);
            best = rv_select(take, v, best);
            where = (take & here) | (~take & where);
        }
        rv_store(total + q, best);
        memcpy(places + q, &where, sizeof where);
    }
}

/* Row p of output slice o; x is the volume's first place. */
ML_INLINE void ML_TYPED(max_pool_row)(const ML_TYPED(pool_row) *r, const real *x, real *y, int64_t *index, int64_t o,
                                      int64_t p, const ML_TYPED(pool_work) *k)
{
    const pool_settings *s = k->s;
    int64_t H = k->H, W = k->W, Q = k->Q, start[2], from[2], to[2];
    pool_reach(s, 0, o, k->D, &start[0], &from[0], &to[0]);
    pool_reach(s, 1, p, H, &start[1], &from[1], &to[1]);
    int inside = from[0] < to[0] && from[1] < to[1];
    int64_t first = ((from[0] - start[0]) * H + from[1] - start[1]) * W;
    for (int64_t q = 0; q < Q + RN; q++) {
        r->total[q] = -REAL_INFINITY;
        r->where[q] = inside && r->first[q] >= 0 ? (ML_TYPED(pool_int))first + r->first[q] : -1;
    }
    ML_TYPED(pool_lines)(r, k, x, from, to);
    for (int64_t d = from[0]; d < to[0]; d += s->dilation[0])
        for (int64_t h = from[1]; h < to[1]; h += s->dilation[1]) {
            const real *line = ML_TYPED(pool_line)(r, k, x, d, h);
            int64_t place = ((d - start[0]) * H + h - start[1]) * W;
            if (s->kernel[2] == 3)              /* (a constant number of steps is unrolled) */
                ML_TYPED(max_pool_taps)(r, line, Q, 3, place, s->dilation[2]);
            else if (s->kernel[2] == 2)
                ML_TYPED(max_pool_taps)(r, line, Q, 2, place, s->dilation[2]);
            else
                ML_TYPED(max_pool_taps)(r, line, Q, s->kernel[2], place, s->dilation[2]);
        }
    memcpy(y, r->total, (size_t)Q * sizeof(real));
    if (index)
        for (int64_t q = 0; q < Q; q++)
            index[q] = r->where[q] < 0 ? -1 : (start[0] * H + start[1]) * W + q * s->stride[2] - s->padding[2] + r->where[q];
}

static void ML_TYPED(max_pool_rows)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int side_by_side = k->D == 1 && k->O == 1 && s->kernel[0] == 1; /* 2x2 windows, stride 2, all inside the image */
    for (int axis = 1; axis < 3; axis++)
        side_by_side &= s->kernel[axis] == 2 && s->stride[axis] == 2 && s->padding[axis] == 0 && s->dilation[axis] == 1;
    side_by_side &= 2 * k->P <= k->H && 2 * k->Q <= k->W && k->H * k->W < INT32_MAX / 2;
    ML_TYPED(pool_row) row;
    if (!side_by_side && !ML_TYPED(pool_prepare)(&row, k, -REAL_INFINITY, 1)) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    pool_at at = pool_begin(begin, k->O, k->P);
    for (int64_t r = begin; r < end; r++, pool_next(&at, k->O, k->P)) {
        const real *x = k->x + at.n * k->D * k->H * k->W;
        real *y = k->y + r * k->Q;
        int64_t *index = k->index ? k->index + r * k->Q : NULL;
        if (side_by_side)
            ML_TYPED(max_pool_row_2x2)(x, y, index, at.p, k->W, k->Q);
        else
            ML_TYPED(max_pool_row)(&row, x, y, index, at.o, at.p, k);
    }
}

static int ML_TYPED(max_pool)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .index = (int64_t *)a[2].data, .s = settings,
        .D = a[0].shape[1], .H = a[0].shape[2], .W = a[0].shape[3],
        .O = a[1].shape[1], .P = a[1].shape[2], .Q = a[1].shape[3]};
    if (a[1].size)
        ml_rt->parallel_for(ML_TYPED(max_pool_rows), &k, a[1].size / k.Q,
                            ml_grain(POOL_PIECE, ml_max(k.Q * k.s->kernel[0] * k.s->kernel[1] * k.s->kernel[2], 1)));
    return k.failed;
}

static void ML_TYPED(max_pool_backward_planes)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    int64_t places = k->D * k->H * k->W, outputs = k->O * k->P * k->Q;
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

static int ML_TYPED(max_pool_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .index = (int64_t *)a[1].data, .y = (real *)a[2].data, .s = settings,
        .D = a[2].shape[1], .H = a[2].shape[2], .W = a[2].shape[3],
        .O = a[0].shape[1], .P = a[0].shape[2], .Q = a[0].shape[3]};
    ml_rt->parallel_for(ML_TYPED(max_pool_backward_planes), &k, a[2].shape[0],
                        ml_grain(POOL_PIECE, k.D * k.H * k.W));
    return k.failed;
}

/* ---- average ---- */

/* What the columns' counts are multiplied by to give what outputs (o, p, q ..) are divided by. */
ML_INLINE real ML_TYPED(pool_rows)(const ML_TYPED(pool_work) *k, int64_t o, int64_t p)
{
    return (real)(pool_count(k->s, 0, k->D, o) * pool_count(k->s, 1, k->H, p));
}

/* One row of the windows is added. */
ML_INLINE void ML_TYPED(avg_pool_taps)(const ML_TYPED(pool_row) *r, const real *line, int64_t Q, int64_t taps)
{
    const int64_t *tap = r->tap;
    real *total = r->total;
    for (int64_t q = 0; q < Q; q += RN) {
        rv sum = {0};
        for (int64_t l = 0; l < taps; l++)
            sum += rv_load(line + tap[l] + q);
        rv_store(total + q, rv_load(total + q) + sum);
    }
}

static void ML_TYPED(avg_pool_rows)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int64_t Q = k->Q;
    ML_TYPED(pool_row) row;
    if (!ML_TYPED(pool_prepare)(&row, k, 0, 1)) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    int64_t taps = s->kernel[2];
    real divisor = (real)s->divisor;
    pool_at at = pool_begin(begin, k->O, k->P);
    for (int64_t r = begin; r < end; r++, pool_next(&at, k->O, k->P)) {
        const real *x = k->x + at.n * k->D * k->H * k->W;
        real rows = ML_TYPED(pool_rows)(k, at.o, at.p);
        int64_t start, from[2], to[2];
        pool_reach(s, 0, at.o, k->D, &start, &from[0], &to[0]);
        pool_reach(s, 1, at.p, k->H, &start, &from[1], &to[1]);
        for (int64_t q = 0; q < Q + RN; q++)
            row.total[q] = 0;
        ML_TYPED(pool_lines)(&row, k, x, from, to);
        for (int64_t d = from[0]; d < to[0]; d++)
            for (int64_t h = from[1]; h < to[1]; h++) {
                const real *line = ML_TYPED(pool_line)(&row, k, x, d, h);
                if (taps == 3)
                    ML_TYPED(avg_pool_taps)(&row, line, Q, 3);
                else if (taps == 2)
                    ML_TYPED(avg_pool_taps)(&row, line, Q, 2);
                else
                    ML_TYPED(avg_pool_taps)(&row, line, Q, taps);
            }
        for (int64_t q = 0; q < Q; q += RN)
            rv_store_upto(k->y + r * Q + q, Q - q,
                          rv_load(row.total + q) / (divisor != 0 ? rv_set(divisor) : rv_load(row.count + q) * rows));
    }
}

static int ML_TYPED(avg_pool)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .D = a[0].shape[1], .H = a[0].shape[2], .W = a[0].shape[3],
        .O = a[1].shape[1], .P = a[1].shape[2], .Q = a[1].shape[3]};
    if (a[1].size)
        ml_rt->parallel_for(ML_TYPED(avg_pool_rows), &k, a[1].size / k.Q,
                            ml_grain(POOL_PIECE, ml_max(k.Q * k.s->kernel[0] * k.s->kernel[1] * k.s->kernel[2], 1)));
    return k.failed;
}

/* All rows of a window get the same: dy / divisor is dealt into a line, put together, and added to each of them. */
static void ML_TYPED(avg_pool_backward_planes)(void *context, int64_t first, int64_t last)
{
    ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int64_t D = k->D, H = k->H, W = k->W, P = k->P, Q = k->Q, sw = s->stride[2], pw = s->padding[2];
    ML_TYPED(pool_row) row;
    if (!ML_TYPED(pool_prepare)(&row, k, 0, 0)) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    int64_t taps = s->kernel[2];
    real divisor = (real)s->divisor;
    for (int64_t plane = first; plane < last; plane++) {
        real *dx = k->y + plane * D * H * W;
        memset(dx, 0, (size_t)(D * H * W) * sizeof(real));
        pool_at at = pool_begin(0, k->O, P);
        for (int64_t r = 0; r < k->O * P; r++, pool_next(&at, k->O, P)) {
            const real *dy = k->x + (plane * k->O * P + r) * Q;
            int64_t d0 = at.o * s->stride[0] - s->padding[0], h0 = at.p * s->stride[1] - s->padding[1];
            real rows = ML_TYPED(pool_rows)(k, at.o, at.p);
            memset(row.lines, 0, (size_t)row.size * sizeof(real));
            for (int64_t q = 0; q < Q; q += RN) {
                rv g = rv_load_upto(dy + q, Q - q, 0) / (divisor != 0 ? rv_set(divisor) : rv_load(row.count + q) * rows);
                for (int64_t l = 0; l < taps; l++) {
                    real *to = row.lines + row.tap[l] + q;
                    rv_store(to, rv_load(to) + g);
                }
            }
            for (int64_t a = 0; a < ml_min(sw, row.used); a++) {
                const real *from = row.lines + (pw + a) % sw * row.length + (pw + a) / sw;
                for (int64_t w = a; w < row.used; w += sw)
                    row.flat[w] = *from++;
            }
            for (int64_t d = ml_max(d0, 0); d < ml_min(D, d0 + s->kernel[0]); d++)
                for (int64_t h = ml_max(h0, 0); h < ml_min(H, h0 + s->kernel[1]); h++)
                    for (int64_t w = 0; w < row.used; w++)
                        dx[(d * H + h) * W + w] += row.flat[w];
        }
    }
}

static int ML_TYPED(avg_pool_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .D = a[1].shape[1], .H = a[1].shape[2], .W = a[1].shape[3],
        .O = a[0].shape[1], .P = a[0].shape[2], .Q = a[0].shape[3]};
    ml_rt->parallel_for(ML_TYPED(avg_pool_backward_planes), &k, a[1].shape[0],
                        ml_grain(POOL_PIECE, k.D * k.H * k.W));
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
    int64_t D = k->D, H = k->H, W = k->W, O = k->O, P = k->P, Q = k->Q;
    real *line = ml_rt->scratch(0, (size_t)W * sizeof(real));
    int64_t *bins = pool_bins(W, Q);
    if (!line || !bins) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    pool_at at = pool_begin(first, O, P);
    int64_t front = at.o * D / O, back = ml_ceil_div((at.o + 1) * D, O), depth = at.o;
    for (int64_t r = first; r < last; r++, pool_next(&at, O, P)) {
        const real *x = k->x + at.n * D * H * W, *sums = line;
        int64_t top = at.p * H / P, bottom = ml_ceil_div((at.p + 1) * H, P);
        if (at.o != depth) {
            depth = at.o;
            front = depth * D / O;
            back = ml_ceil_div((depth + 1) * D, O);
        }
        int64_t rows = (back - front) * (bottom - top);
        if (rows == 1) {
            sums = x + (front * H + top) * W;
        } else {
            memcpy(line, x + (front * H + top) * W, (size_t)W * sizeof(real));
            for (int64_t d = front; d < back; d++)
                for (int64_t h = d == front ? top + 1 : top; h < bottom; h++)
                    for (int64_t w = 0; w < W; w++)
                        line[w] += x[(d * H + h) * W + w];
        }
        for (int64_t q = 0; q < Q; q++) {
            int64_t left = bins[2 * q], right = bins[2 * q + 1];
            k->y[r * Q + q] = ML_TYPED(pool_sum)(sums + left, right - left) / (real)(rows * (right - left));
        }
    }
}

static int ML_TYPED(adaptive_avg_pool)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .D = a[0].shape[1], .H = a[0].shape[2], .W = a[0].shape[3],
        .O = a[1].shape[1], .P = a[1].shape[2], .Q = a[1].shape[3]};
    if (!a[1].size)
        return ML_OK;
    if (k.O == 1 && k.P == 1 && k.Q == 1) {     /* the whole volume is one row */
        k.W *= k.D * k.H;
        k.D = k.H = 1;
    }
    ml_rt->parallel_for(ML_TYPED(adaptive_rows), &k, a[1].size / k.Q, ml_grain(POOL_PIECE, k.D * k.H * k.W / (k.O * k.P)));
    return k.failed;
}

static void ML_TYPED(adaptive_backward_planes)(void *context, int64_t first, int64_t last)
{
    ML_TYPED(pool_work) *k = context;
    int64_t D = k->D, H = k->H, W = k->W, O = k->O, P = k->P, Q = k->Q;
    real *line = ml_rt->scratch(0, (size_t)ml_max(1, W) * sizeof(real));
    int64_t *bins = pool_bins(W, Q);
    if (!line || !bins) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t plane = first; plane < last; plane++) {
        real *dx = k->y + plane * D * H * W;
        memset(dx, 0, (size_t)(D * H * W) * sizeof(real));
        for (int64_t r = 0; r < O * P; r++) {
            int64_t front = r / P * D / O, back = ml_ceil_div((r / P + 1) * D, O);
            int64_t p = r % P, top = p * H / P, bottom = ml_ceil_div((p + 1) * H, P);
            memset(line, 0, (size_t)W * sizeof(real));
            for (int64_t q = 0; q < Q; q++) {
                int64_t left = bins[2 * q], right = bins[2 * q + 1];
                real g = k->x[(plane * O * P + r) * Q + q] /
                         (real)((back - front) * (bottom - top) * (right - left));
                for (int64_t w = left; w < right; w++)
                    line[w] += g;
            }
            for (int64_t d = front; d < back; d++)
                for (int64_t h = top; h < bottom; h++)
                    for (int64_t w = 0; w < W; w++)
                        dx[(d * H + h) * W + w] += line[w];
        }
    }
}

static int ML_TYPED(adaptive_avg_pool_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .s = settings,
        .D = a[1].shape[1], .H = a[1].shape[2], .W = a[1].shape[3],
        .O = a[0].shape[1], .P = a[0].shape[2], .Q = a[0].shape[3]};
    if (k.O == 1 && k.P == 1 && k.Q == 1) {
        k.W *= k.D * k.H;
        k.D = k.H = 1;
    }
    ml_rt->parallel_for(ML_TYPED(adaptive_backward_planes), &k, a[1].shape[0],
                        ml_grain(POOL_PIECE, k.D * k.H * k.W));
    return k.failed;
}

/* ---- the largest value of windows that differ in size or place ---- */

/* Of the box [from, to) of one volume, a row of it at a time. */
ML_INLINE real ML_TYPED(pool_largest)(const ML_TYPED(pool_work) *k, const real *x, const int64_t *from,
                                      const int64_t *to, int64_t *index)
{
    int64_t H = k->H, W = k->W;
    real best = -REAL_INFINITY;
    int64_t where = (from[0] * H + from[1]) * W + from[2];
    for (int64_t d = from[0]; d < to[0]; d++)
        for (int64_t h = from[1]; h < to[1]; h++)
            for (int64_t w = from[2]; w < to[2]; w++) {
                int64_t place = (d * H + h) * W + w;
                if (x[place] > best || x[place] != x[place]) {
                    best = x[place];
                    where = place;
                }
            }
    *index = where;
    return best;
}

/* Of n neighbours: first how large, then where. */
static real ML_TYPED(pool_largest_of)(const real *x, int64_t n, int64_t *index)
{
    rv best = rv_set(-REAL_INFINITY);
    ri nan = {0};
    for (int64_t i = 0; i < n; i += RN) {
        rv v = rv_load_upto(x + i, n - i, -REAL_INFINITY);
        nan |= (ri)(v != v);
        best = rv_select((ri)(v > best), v, best);
    }
    int any_nan = 0;
    for (int lane = 0; lane < RN; lane++)
        any_nan |= nan[lane] != 0;
    if (any_nan) {
        while (x[n - 1] == x[n - 1])
            n--;
        *index = n - 1;
        return x[n - 1];
    }
    real largest = rv_largest(best);
    int64_t i = 0;
    while (x[i] != largest)
        i++;
    *index = i;
    return x[i];
}

/* Rows (o, p) of the outputs: the largest of each column of the bins' rows, then of the columns of each bin. */
static void ML_TYPED(adaptive_max_rows)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    int64_t D = k->D, H = k->H, W = k->W, O = k->O, P = k->P, Q = k->Q;
    real *line = ml_rt->scratch(0, 2 * (size_t)(W + RN) * sizeof(real));
    ML_TYPED(pool_int) *places = (ML_TYPED(pool_int) *)(line + W + RN);       /* of real's size */
    int64_t *bins = pool_bins(W, Q);
    if (!line || !bins) {
        __atomic_store_n(&k->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    pool_at at = pool_begin(begin, O, P);
    for (int64_t r = begin; r < end; r++, pool_next(&at, O, P)) {
        int64_t front = at.o * D / O, back = ml_ceil_div((at.o + 1) * D, O);
        int64_t top = at.p * H / P, bottom = ml_ceil_div((at.p + 1) * H, P);
        int64_t first = (front * H + top) * W, alone = (back - front) * (bottom - top) == 1;
        const real *x = k->x + at.n * D * H * W + first;
        for (int64_t w = 0; !alone && w < W; w += RN) {
            rv best = rv_set(-REAL_INFINITY);
            ri where = {0};
            for (int64_t d = 0; d < back - front; d++)
                for (int64_t h = 0; h < bottom - top; h++) {
                    rv v = rv_load_upto(x + (d * H + h) * W + w, W - w, -REAL_INFINITY);
                    ri here = (ri){0} + (ML_TYPED(pool_int))((d * H + h) * W);
                    ri take = (ri)(v > best) | (ri)(v != v);
                    best = rv_select(take, v, best);
                    where = (take & here) | (~take & where);
                }
            rv_store(line + w, best);
            memcpy(places + w, &where, sizeof where);
        }
        for (int64_t q = 0; q < Q; q++) {
            int64_t left = bins[2 * q], right = bins[2 * q + 1], place;
            real best;
            if (alone) {
                best = ML_TYPED(pool_largest_of)(x + left, right - left, &place);
                place += left;
            } else {                    /* of equals the one whose place comes first, of NaN the last */
                best = line[left];
                place = places[left] + left;
                for (int64_t w = left + 1; w < right; w++) {
                    real v = line[w];
                    int64_t here = places[w] + w;
                    if (v > best || (v == best && here < place) || (v != v && (best == best || here > place))) {
                        best = v;
                        place = here;
                    }
                }
            }
            k->y[r * Q + q] = best;
            if (k->index)
                k->index[r * Q + q] = first + place;
        }
    }
}

static int ML_TYPED(adaptive_max_pool)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .index = (int64_t *)a[2].data, .s = settings,
        .D = a[0].shape[1], .H = a[0].shape[2], .W = a[0].shape[3],
        .O = a[1].shape[1], .P = a[1].shape[2], .Q = a[1].shape[3]};
    if (!a[1].size)
        return ML_OK;
    if (k.O == 1 && k.P == 1 && k.Q == 1) {     /* the whole volume is one row */
        k.W *= k.D * k.H;
        k.D = k.H = 1;
    }
    ml_rt->parallel_for(ML_TYPED(adaptive_max_rows), &k, a[1].size / k.Q,
                        ml_grain(POOL_PIECE, k.D * k.H * k.W / (k.O * k.P)));
    return k.failed;
}

/* Where window i of n begins along an axis of `size`: in steps of (size - kernel) / (n - 1) on average, rounded down
   from a random start; the last lies at the end. */
ML_INLINE int64_t ML_TYPED(pool_fraction)(real sample, int64_t i, int64_t n, int64_t size, int64_t kernel)
{
    if (i == n - 1)
        return size - kernel;
    real step = (real)(size - kernel) / (real)(n - 1);
    return (int64_t)(((real)i + sample) * step) - (int64_t)(sample * step);
}

static void ML_TYPED(fractional_volumes)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int64_t in[3] = {k->D, k->H, k->W}, out[3] = {k->O, k->P, k->Q}, outputs = k->O * k->P * k->Q;
    for (int64_t i = begin * outputs; i < end * outputs; i++) {
        int64_t at[3] = {i / (k->P * k->Q) % k->O, i / k->Q % k->P, i % k->Q}, from[3], to[3], where;
        const real *samples = k->samples + i / outputs * 3;
        for (int d = 0; d < 3; d++) {
            if (!(samples[d] >= 0 && samples[d] < 1)) {
                __atomic_store_n(&k->failed, ML_BAD_INDEX, __ATOMIC_RELAXED);
                return;
            }
            from[d] = ML_TYPED(pool_fraction)(samples[d], at[d], out[d], in[d], s->kernel[d]);
            to[d] = from[d] + s->kernel[d];
        }
        k->y[i] = ML_TYPED(pool_largest)(k, k->x + i / outputs * k->D * k->H * k->W, from, to, &where);
        if (k->index)
            k->index[i] = where;
    }
}

static int ML_TYPED(fractional_max_pool)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .samples = (const real *)a[1].data, .y = (real *)a[2].data,
        .index = (int64_t *)a[3].data, .s = settings,
        .D = a[0].shape[1], .H = a[0].shape[2], .W = a[0].shape[3],
        .O = a[2].shape[1], .P = a[2].shape[2], .Q = a[2].shape[3]};
    if (a[2].size)
        ml_rt->parallel_for(ML_TYPED(fractional_volumes), &k, a[2].shape[0],
                            ml_grain(POOL_PIECE, k.D * k.H * k.W + k.O * k.P * k.Q));
    return k.failed;
}

/* ---- back to where the largest values were ---- */

/* y = 0 but y[index] = x; of two values for one place the last wins. */
static void ML_TYPED(max_unpool_volumes)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    int64_t places = k->O * k->P * k->Q, values = k->D * k->H * k->W;
    for (int64_t n = begin; n < end; n++) {
        const int64_t *index = k->index + n * values;
        real *y = k->y + n * places;
        memset(y, 0, (size_t)places * sizeof(real));
        for (int64_t i = 0; i < values; i++) {
            if ((uint64_t)index[i] < (uint64_t)places)
                y[index[i]] = k->x[n * values + i];
            else
                __atomic_store_n(&k->failed, ML_BAD_INDEX, __ATOMIC_RELAXED);
        }
    }
}

static int ML_TYPED(max_unpool)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .index = (int64_t *)a[1].data, .y = (real *)a[2].data, .s = settings,
        .D = a[0].shape[1], .H = a[0].shape[2], .W = a[0].shape[3],
        .O = a[2].shape[1], .P = a[2].shape[2], .Q = a[2].shape[3]};
    ml_rt->parallel_for(ML_TYPED(max_unpool_volumes), &k, a[2].shape[0], ml_grain(POOL_PIECE, k.O * k.P * k.Q));
    return k.failed;
}

static void ML_TYPED(max_unpool_backward_volumes)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(pool_work) *k = context;
    int64_t places = k->O * k->P * k->Q, values = k->D * k->H * k->W;
    for (int64_t i = begin * values; i < end * values; i++) {
        int64_t at = k->index[i];
        k->y[i] = at == -1 ? 0 : k->x[i / values * places + at];
    }
}

static int ML_TYPED(max_unpool_backward)(const ml_array *a, const void *settings)
{
    ML_TYPED(pool_work) k = {
        .x = (const real *)a[0].data, .index = (int64_t *)a[1].data, .y = (real *)a[2].data, .s = settings,
        .D = a[2].shape[1], .H = a[2].shape[2], .W = a[2].shape[3],
        .O = a[0].shape[1], .P = a[0].shape[2], .Q = a[0].shape[3]};
    int64_t places = k.O * k.P * k.Q;
    for (int64_t i = 0; i < a[1].size; i++)
        if (k.index[i] < -1 || k.index[i] >= places)
            return ML_BAD_INDEX;
    if (a[2].size)
        ml_rt->parallel_for(ML_TYPED(max_unpool_backward_volumes), &k, a[2].shape[0],
                            ml_grain(POOL_PIECE, k.D * k.H * k.W));
    return ML_OK;
}

#undef POOL_EVEN
#undef POOL_ODD
#undef POOL_LANES
