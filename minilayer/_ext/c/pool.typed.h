/* The loops of the pool family in one float type (real.h). A row of outputs is worked on together: for each place
   (k, l) of the window, all outputs whose place lies inside the image are a plain strided loop. */

typedef struct {
    const real *x;                      /* forward x, backward dy */
    real *y;                            /* forward y, backward dx */
    int64_t *index;                     /* NULL where nobody asks */
    int64_t H, W, P, Q;                 /* image and output */
    const pool_settings *s;
    int failed;                         /* an index was out of range */
} ML_TYPED(pool_work);

/* `body` over j in [begin, end) with the stride a constant where it is 1 or 2: those loops become vector code. */
#define POOL_STRIDED(stride, body)                                                                                     \
    if ((stride) == 1) {                                                                                               \
        enum { step = 1 };                                                                                             \
        for (int64_t j = begin; j < end; j++)                                                                          \
            body                                                                                                       \
    } else if ((stride) == 2) {                                                                                        \
        enum { step = 2 };                                                                                             \
        for (int64_t j = begin; j < end; j++)                                                                          \
            body                                                                                                       \
    } else {                                                                                                           \
        const int64_t step = (stride);                                                                                 \
        for (int64_t j = begin; j < end; j++)                                                                          \
            body                                                                                                       \
    }

/* ---- max ---- */

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

ML_INLINE void ML_TYPED(max_pool_row)(const real *x, real *y, int64_t *index, int64_t p, const ML_TYPED(pool_work) *k)
{
    const pool_settings *s = k->s;
    int64_t H = k->H, W = k->W, Q = k->Q, sw = s->stride[1], h0 = p * s->stride[0] - s->padding[0];
    real best[POOL_BLOCK];
    ML_TYPED(pool_int) where[POOL_BLOCK];       /* place relative to the window's first, h0*W + w0 */
    for (int64_t q0 = 0; q0 < Q; q0 += POOL_BLOCK) {
        int64_t n = ml_min(POOL_BLOCK, Q - q0);
        for (int64_t j = 0; j < n; j++) {
            best[j] = -REAL_INFINITY;
            where[j] = -1;
        }
        for (int64_t i = 0; i < s->kernel[0]; i++) {
            int64_t h = h0 + i * s->dilation[0];
            if (h < 0 || h >= H)
                continue;
            for (int64_t l = 0; l < s->kernel[1]; l++) {
                int64_t offset = l * s->dilation[1] - s->padding[1] + q0 * sw, begin, end;
                pool_range(n, sw, offset, W, &begin, &end);
                const real *source = x + h * W + offset;
                ML_TYPED(pool_int) here = (ML_TYPED(pool_int))(i * s->dilation[0] * W + l * s->dilation[1]);
                POOL_STRIDED(sw, {
                    real v = source[j * step];
                    int take = (v > best[j]) | (v != v) | (where[j] < 0);
                    best[j] = take ? v : best[j];
                    where[j] = take ? here : where[j];
                })
            }
        }
        memcpy(y + q0, best, (size_t)n * sizeof(real));
        if (index)
            for (int64_t j = 0; j < n; j++)
                index[q0 + j] = where[j] < 0 ? -1 : h0 * W + (q0 + j) * sw - s->padding[1] + where[j];
    }
}

static void ML_TYPED(max_pool_rows)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int side_by_side = 1;               /* 2x2 windows, stride 2, all inside the image */
    for (int axis = 0; axis < 2; axis++)
        side_by_side &= s->kernel[axis] == 2 && s->stride[axis] == 2 && s->padding[axis] == 0 && s->dilation[axis] == 1;
    side_by_side &= 2 * k->P <= k->H && 2 * k->Q <= k->W && k->H * k->W < INT32_MAX / 2;
    for (int64_t r = begin; r < end; r++) {
        const real *x = k->x + r / k->P * k->H * k->W;
        real *y = k->y + r * k->Q;
        int64_t *index = k->index ? k->index + r * k->Q : NULL;
        if (side_by_side)
            ML_TYPED(max_pool_row_2x2)(x, y, index, r % k->P, k->W, k->Q);
        else
            ML_TYPED(max_pool_row)(x, y, index, r % k->P, k);
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
    return ML_OK;
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
                __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
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
    return k.failed ? ML_BAD_INDEX : ML_OK;
}

/* ---- average ---- */

/* What output (p, q0 + j) is divided by, for n outputs. */
ML_INLINE void ML_TYPED(pool_divisors)(const ML_TYPED(pool_work) *k, int64_t p, int64_t q0, int64_t n, real *divisor)
{
    const pool_settings *s = k->s;
    real rows = (real)pool_count(s, 0, k->H, p);
    for (int64_t j = 0; j < n; j++)
        divisor[j] = s->divisor != 0 ? (real)s->divisor : rows * (real)pool_count(s, 1, k->W, q0 + j);
}

static void ML_TYPED(avg_pool_rows)(void *context, int64_t first, int64_t last)
{
    const ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int64_t H = k->H, W = k->W, Q = k->Q, sw = s->stride[1];
    real total[POOL_BLOCK], line[POOL_BLOCK], divisor[POOL_BLOCK];
    for (int64_t r = first; r < last; r++) {
        const real *x = k->x + r / k->P * H * W;
        real *y = k->y + r * Q;
        int64_t p = r % k->P, h0 = p * s->stride[0] - s->padding[0];
        for (int64_t q0 = 0; q0 < Q; q0 += POOL_BLOCK) {
            int64_t n = ml_min(POOL_BLOCK, Q - q0);
            for (int64_t j = 0; j < n; j++)
                total[j] = 0;
            for (int64_t h = ml_max(h0, 0); h < ml_min(H, h0 + s->kernel[0]); h++) {
                for (int64_t j = 0; j < n; j++)
                    line[j] = 0;
                for (int64_t l = 0; l < s->kernel[1]; l++) {
                    int64_t offset = l - s->padding[1] + q0 * sw, begin, end;
                    pool_range(n, sw, offset, W, &begin, &end);
                    const real *source = x + h * W + offset;
                    POOL_STRIDED(sw, line[j] += source[j * step];)
                }
                for (int64_t j = 0; j < n; j++)
                    total[j] += line[j];
            }
            ML_TYPED(pool_divisors)(k, p, q0, n, divisor);
            for (int64_t j = 0; j < n; j++)
                y[q0 + j] = total[j] / divisor[j];
        }
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
    return ML_OK;
}

static void ML_TYPED(avg_pool_backward_planes)(void *context, int64_t first, int64_t last)
{
    const ML_TYPED(pool_work) *k = context;
    const pool_settings *s = k->s;
    int64_t H = k->H, W = k->W, Q = k->Q, sw = s->stride[1];
    real g[POOL_BLOCK], divisor[POOL_BLOCK];
    for (int64_t plane = first; plane < last; plane++) {
        real *dx = k->y + plane * H * W;
        memset(dx, 0, (size_t)(H * W) * sizeof(real));
        for (int64_t p = 0; p < k->P; p++) {
            const real *dy = k->x + (plane * k->P + p) * Q;
            int64_t h0 = p * s->stride[0] - s->padding[0];
            for (int64_t q0 = 0; q0 < Q; q0 += POOL_BLOCK) {
                int64_t n = ml_min(POOL_BLOCK, Q - q0);
                ML_TYPED(pool_divisors)(k, p, q0, n, divisor);
                for (int64_t j = 0; j < n; j++)
                    g[j] = dy[q0 + j] / divisor[j];
                for (int64_t h = ml_max(h0, 0); h < ml_min(H, h0 + s->kernel[0]); h++)
                    for (int64_t l = 0; l < s->kernel[1]; l++) {
                        int64_t offset = l - s->padding[1] + q0 * sw, begin, end;
                        pool_range(n, sw, offset, W, &begin, &end);
                        real *target = dx + h * W + offset;
                        POOL_STRIDED(sw, target[j * step] += g[j];)
                    }
            }
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
    return ML_OK;
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
        __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
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
    return k.failed ? ML_NO_MEMORY : ML_OK;
}

static void ML_TYPED(adaptive_backward_planes)(void *context, int64_t first, int64_t last)
{
    ML_TYPED(pool_work) *k = context;
    int64_t H = k->H, W = k->W, P = k->P, Q = k->Q;
    real *line = ml_rt->scratch(0, (size_t)ml_max(1, W) * sizeof(real));
    if (!line) {
        __atomic_store_n(&k->failed, 1, __ATOMIC_RELAXED);
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
    return k.failed ? ML_NO_MEMORY : ML_OK;
}

#undef POOL_EVEN
#undef POOL_ODD
#undef POOL_LANES
#undef POOL_STRIDED
