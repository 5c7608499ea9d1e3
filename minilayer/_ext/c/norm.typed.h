/* The loops of the norm family in one float type (real.h). The NumPy sentence each one answers to is in
   norm_reference.py; what differs here: statistics are Chan's merge of blocks summed in vector lanes, so a row or
   channel is read from memory once for them, and sums over rows go through a fixed number of partial results. */

/* ---- sums of one block: `rows` rows of n values, `step` values apart, in vector lanes ---- */

ML_INLINE double ML_TYPED(norm_sum)(const real *x, int64_t rows, int64_t step, int64_t n)
{
    rv s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    for (int64_t r = 0; r < rows; r++, x += step) {
        int64_t i = 0;
        for (; i + 4 * RN <= n; i += 4 * RN) {
            s0 += rv_load(x + i);
            s1 += rv_load(x + i + RN);
            s2 += rv_load(x + i + 2 * RN);
            s3 += rv_load(x + i + 3 * RN);
        }
        for (; i + RN <= n; i += RN)
            s0 += rv_load(x + i);
        if (i < n)
            s1 += rv_load_part(x + i, n - i, 0);
    }
    return rv_sum((s0 + s1) + (s2 + s3));
}

/* lanes += v, in double */
ML_INLINE void ML_TYPED(norm_join)(double *lanes, rv v)
{
    real t[RN];
    rv_store(t, v);
    for (int j = 0; j < RN; j++)
        lanes[j] += t[j];
}

ML_INLINE double ML_TYPED(norm_joined)(const double *lanes)
{
    double total = 0;
    for (int j = 0; j < RN; j++)
        total += lanes[j];
    return total;
}

/* s = sum(x - m), q = sum((x - m)**2) */
ML_INLINE void ML_TYPED(norm_shifted_sums)(const real *x, int64_t rows, int64_t step, int64_t n, real m, double *s,
                                           double *q)
{
    rv s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0}, vm = rv_set(m);
    for (int64_t r = 0; r < rows; r++, x += step) {
        int64_t i = 0;
        for (; i + 4 * RN <= n; i += 4 * RN) {
            rv a = rv_load(x + i) - vm, b = rv_load(x + i + RN) - vm;
            rv c = rv_load(x + i + 2 * RN) - vm, d = rv_load(x + i + 3 * RN) - vm;
            s0 += a + b;
            s1 += c + d;
            q0 = rv_fma(a, a, q0);
            q1 = rv_fma(b, b, q1);
            q2 = rv_fma(c, c, q2);
            q3 = rv_fma(d, d, q3);
        }
        for (; i < n; i += RN) {
            rv a = rv_load_upto(x + i, n - i, m) - vm;
            s0 += a;
            q0 = rv_fma(a, a, q0);
        }
    }
    *s = rv_sum(s0 + s1);
    *q = rv_sum((q0 + q1) + (q2 + q3));
}

/* Two passes over a block that lies in the first cache. The mean m is rounded to `real`; what it misses, s/n, is
   put back, so that a mean far larger than the deviation costs no digits. */
ML_INLINE norm_moments ML_TYPED(norm_block)(const real *x, int64_t rows, int64_t step, int64_t n)
{
    double count = (double)(rows * n), each = 1 / count, s, q;
    real m = (real)(ML_TYPED(norm_sum)(x, rows, step, n) * each);
    ML_TYPED(norm_shifted_sums)(x, rows, step, n, m, &s, &q);
    double m2 = q - s * (s * each);
    return (norm_moments){count, m + s * each, m2 < 0 ? 0 : m2};
}

static norm_moments ML_TYPED(norm_measure)(const real *x, int64_t rows, int64_t step, int64_t n)
{
    norm_moments all = {0, 0, 0};
    if (n > NORM_BLOCK) {
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < n; i += NORM_BLOCK)
                all = norm_merge(all, ML_TYPED(norm_block)(x + r * step + i, 1, step, ml_min(NORM_BLOCK, n - i)));
        return all;
    }
    if (n == 0)
        return all;
    int64_t at_once = NORM_BLOCK / n;
    for (int64_t r = 0; r < rows; r += at_once)
        all = norm_merge(all, ML_TYPED(norm_block)(x + r * step, ml_min(at_once, rows - r), step, n));
    return all;
}

/* ---- layer norm ---- */

typedef struct {
    const real *x, *w, *b, *dy;
    real *y, *mean, *rstd, *dx, *dw, *db, *partial;     /* partial: (chunks, 2, D), sums for dw and db */
    int64_t R, D, rows;
    double eps;
    int64_t chunks;
    int accumulate, centred;                    /* centred: 0 for RMS norm, whose mean counts as 0 */
} ML_TYPED(layer_norm_work);

/* sum(x**2) of one row */
ML_INLINE double ML_TYPED(norm_squares)(const real *x, int64_t n)
{
    double all = 0, s, q;
    for (int64_t i = 0; i < n; i += NORM_BLOCK) {
        ML_TYPED(norm_shifted_sums)(x + i, 1, n, ml_min(NORM_BLOCK, n - i), 0, &s, &q);
        all += q;
    }
    return all;
}

/* y = (x - mean) * rstd * w + b over one row, the mean in two pieces as it has more digits than `real`. */
ML_INLINE void ML_TYPED(norm_write_row)(const real *x, real *y, int64_t D, double mean, real rstd, const real *w,
                                        const real *b)
{
    real m = (real)mean;
    rv high = rv_set(m), low = rv_set((real)(mean - m)), scale = rv_set(rstd);
    int64_t i = 0;
    for (; i + RN <= D; i += RN) {
        rv xhat = (rv_load(x + i) - high - low) * scale;
        rv_store(y + i, rv_fma(xhat, rv_load(w + i), rv_load(b + i)));
    }
    if (i < D) {
        int64_t n = D - i;
        rv xhat = (rv_load_part(x + i, n, 0) - high - low) * scale;
        rv_store_part(y + i, n, rv_fma(xhat, rv_load_part(w + i, n, 0), rv_load_part(b + i, n, 0)));
    }
}

/* NORM_TOGETHER rows go through each stage together: a row's sums are a chain of waiting, and others fill the wait. */
static void ML_TYPED(layer_norm_rows)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(layer_norm_work) *k = context;
    int64_t D = k->D;
    double each = 1 / (double)D;
    for (int64_t first = begin; first < end; first += NORM_TOGETHER) {
        int rows = (int)ml_min(NORM_TOGETHER, end - first);
        const real *x = k->x + first * D;
        double mean[NORM_TOGETHER], variance[NORM_TOGETHER];
        if (!k->centred) {
            for (int j = 0; j < rows; j++) {
                mean[j] = 0;
                variance[j] = ML_TYPED(norm_squares)(x + j * D, D) * each;
            }
        } else if (D <= NORM_BLOCK) {
            double s, q;
            for (int j = 0; j < rows; j++)
                mean[j] = ML_TYPED(norm_sum)(x + j * D, 1, D, D) * each;
            for (int j = 0; j < rows; j++) {            /* as in norm_block */
                real m = (real)mean[j];
                ML_TYPED(norm_shifted_sums)(x + j * D, 1, D, D, m, &s, &q);
                mean[j] = m + s * each;
                variance[j] = (q - s * (s * each)) * each;
                variance[j] = variance[j] < 0 ? 0 : variance[j];
            }
        } else {
            for (int j = 0; j < rows; j++) {
                norm_moments m = ML_TYPED(norm_measure)(x + j * D, 1, D, D);
                mean[j] = m.mean;
                variance[j] = m.m2 / m.n;
            }
        }
        for (int j = 0; j < rows; j++) {
            if (k->mean)
                k->mean[first + j] = (real)mean[j];
            k->rstd[first + j] = (real)(1 / sqrt(variance[j] + k->eps));
        }
        for (int j = 0; j < rows; j++)
            ML_TYPED(norm_write_row)(x + j * D, k->y + (first + j) * D, D, mean[j], k->rstd[first + j], k->w, k->b);
    }
}

/* w or ones, and zeros for a missing b, so that the loops above know one form. */
static const real *ML_TYPED(norm_constant)(int slot, real value, int64_t n)
{
    real *p = ml_rt->scratch(slot, (size_t)ml_max(1, n) * sizeof(real));
    for (int64_t i = 0; p && i < n; i++)
        p[i] = value;
    return p;
}

static int ML_TYPED(layer_norm_run)(ML_TYPED(layer_norm_work) *k)
{
    if (!k->w)
        k->w = ML_TYPED(norm_constant)(0, 1, k->D);
    if (!k->b)
        k->b = ML_TYPED(norm_constant)(1, 0, k->D);
    if (!k->w || !k->b)
        return ML_NO_MEMORY;
    ml_rt->parallel_for(ML_TYPED(layer_norm_rows), k, k->R, ml_grain(NORM_PIECE, k->D));
    return ML_OK;
}

static int ML_TYPED(layer_norm)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    ML_TYPED(layer_norm_work) k = {
        .x = (const real *)a[0].data, .w = (const real *)a[1].data, .b = (const real *)a[2].data,
        .y = (real *)a[3].data, .mean = (real *)a[4].data, .rstd = (real *)a[5].data,
        .R = a[0].shape[0], .D = a[0].shape[1], .eps = s->eps, .centred = 1};
    return ML_TYPED(layer_norm_run)(&k);
}

static int ML_TYPED(rms_norm)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    ML_TYPED(layer_norm_work) k = {
        .x = (const real *)a[0].data, .w = (const real *)a[1].data, .y = (real *)a[2].data, .rstd = (real *)a[3].data,
        .R = a[0].shape[0], .D = a[0].shape[1], .eps = s->eps};
    return ML_TYPED(layer_norm_run)(&k);
}

/* c1 = mean over d of g = dy*w, and c2 = mean of g*xhat, for one row */
ML_INLINE void ML_TYPED(layer_norm_backward_means)(const ML_TYPED(layer_norm_work) *k, int64_t r, real *c1, real *c2)
{
    int64_t D = k->D;
    const real *x = k->x + r * D, *dy = k->dy + r * D;
    rv mean = rv_set(k->mean[r]);
    double sum = 0, product = 0;
    for (int64_t i0 = 0; i0 < D; i0 += NORM_BLOCK) {
        int64_t i = i0, stop = ml_min(D, i0 + NORM_BLOCK);
        rv s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0};
        for (; i + 2 * RN <= stop; i += 2 * RN) {
            rv g = rv_load(dy + i) * rv_load(k->w + i), h = rv_load(dy + i + RN) * rv_load(k->w + i + RN);
            s0 += g;
            s1 += h;
            q0 = rv_fma(g, rv_load(x + i) - mean, q0);
            q1 = rv_fma(h, rv_load(x + i + RN) - mean, q1);
        }
        for (; i < stop; i += RN) {
            int64_t n = stop - i;
            rv g = rv_load_upto(dy + i, n, 0) * rv_load_upto(k->w + i, n, 0);
            s0 += g;
            q0 = rv_fma(g, rv_load_upto(x + i, n, k->mean[r]) - mean, q0);
        }
        sum += rv_sum(s0 + s1);
        product += rv_sum(q0 + q1);
    }
    *c1 = k->centred ? (real)(sum / (double)D) : 0;
    *c2 = (real)(product * k->rstd[r] / (double)D);
}

/* One row: dx from its means, and the row's share added to the sums pw and pb. Either may be left out. */
ML_INLINE void ML_TYPED(layer_norm_backward_row)(const ML_TYPED(layer_norm_work) *k, int64_t r, real c1, real c2, real *pw,
                                                 real *pb, int want_dx, int want_sums)
{
    int64_t D = k->D;
    const real *x = k->x + r * D, *dy = k->dy + r * D;
    real *dx = k->dx + (want_dx ? r * D : 0);
    rv mean = rv_set(k->mean[r]), rstd = rv_set(k->rstd[r]), v1 = rv_set(c1), v2 = rv_set(c2);
    for (int64_t i = 0; i < D; i += RN) {
        int64_t n = D - i;
        rv g = rv_load_upto(dy + i, n, 0), xhat = (rv_load_upto(x + i, n, 0) - mean) * rstd;
        if (want_sums) {
            rv_store_upto(pw + i, n, rv_fma(g, xhat, rv_load_upto(pw + i, n, 0)));
            rv_store_upto(pb + i, n, rv_load_upto(pb + i, n, 0) + g);
        }
        if (want_dx)
            rv_store_upto(dx + i, n, (g * rv_load_upto(k->w + i, n, 0) - v1 - xhat * v2) * rstd);
    }
}

/* One chunk of rows: dx row by row, dw and db summed into the chunk's own partial results. */
static void ML_TYPED(layer_norm_backward_chunk)(const ML_TYPED(layer_norm_work) *k, int64_t chunk)
{
    int64_t D = k->D, end = ml_min(k->R, (chunk + 1) * k->rows);
    real *pw = k->partial ? k->partial + chunk * 2 * D : NULL, *pb = k->partial ? pw + D : NULL;
    if (pw)
        memset(pw, 0, (size_t)(2 * D) * sizeof(real));
    for (int64_t first = chunk * k->rows; first < end; first += NORM_TOGETHER) {
        int rows = (int)ml_min(NORM_TOGETHER, end - first);
        real c1[NORM_TOGETHER] = {0}, c2[NORM_TOGETHER] = {0};
        for (int j = 0; k->dx && j < rows; j++)
            ML_TYPED(layer_norm_backward_means)(k, first + j, &c1[j], &c2[j]);
        for (int j = 0; j < rows; j++) {
            if (k->dx && pw)
                ML_TYPED(layer_norm_backward_row)(k, first + j, c1[j], c2[j], pw, pb, 1, 1);
            else if (k->dx)
                ML_TYPED(layer_norm_backward_row)(k, first + j, c1[j], c2[j], NULL, NULL, 1, 0);
            else
                ML_TYPED(layer_norm_backward_row)(k, first + j, 0, 0, pw, pb, 0, 1);
        }
    }
}

static void ML_TYPED(layer_norm_backward_rows)(void *context, int64_t begin, int64_t end)
{
    for (int64_t chunk = begin; chunk < end; chunk++)
        ML_TYPED(layer_norm_backward_chunk)(context, chunk);
}

/* Columns begin..end of dw and db: the chunks' partial results, added in their order. */
static void ML_TYPED(layer_norm_backward_columns)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(layer_norm_work) *k = context;
    for (int which = 0; which < 2; which++) {
        real *out = which ? k->db : k->dw;
        if (!out)
            continue;
        for (int64_t i = begin; i < end; i += 64) {
            int64_t n = ml_min(64, end - i);
            double total[64] = {0};
            for (int64_t c = 0; c < k->chunks; c++) {
                const real *p = k->partial + (2 * c + which) * k->D + i;
                for (int64_t j = 0; j < n; j++)
                    total[j] += p[j];
            }
            for (int64_t j = 0; j < n; j++)
                out[i + j] = (real)(k->accumulate ? out[i + j] + total[j] : total[j]);
        }
    }
}

static int ML_TYPED(layer_norm_backward_run)(ML_TYPED(layer_norm_work) *k)
{
    if (!k->w && !(k->w = ML_TYPED(norm_constant)(0, 1, k->D)))
        return ML_NO_MEMORY;
    /* chunks of 8 to NORM_ROWS rows: the partial results stay small beside x, and their sums keep their digits */
    k->chunks = ml_max(1, ml_min(k->R / 8, k->R * k->D / NORM_PIECE));
    k->rows = ml_max(1, ml_min(NORM_ROWS, ml_ceil_div(k->R, k->chunks)));
    k->chunks = ml_max(1, ml_ceil_div(k->R, k->rows));
    if (k->dw || k->db) {
        k->partial = ml_rt->scratch(1, (size_t)ml_max(1, k->chunks * 2 * k->D) * sizeof(real));
        if (!k->partial)
            return ML_NO_MEMORY;
    }
    if (k->dx || k->partial)
        ml_rt->parallel_for(ML_TYPED(layer_norm_backward_rows), k, k->chunks, ml_grain(NORM_PIECE, k->rows * k->D));
    if (k->partial)
        ml_rt->parallel_for(ML_TYPED(layer_norm_backward_columns), k, k->D, ml_max(64, NORM_PIECE / k->chunks));
    return ML_OK;
}

static int ML_TYPED(layer_norm_backward)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    ML_TYPED(layer_norm_work) k = {
        .dy = (const real *)a[0].data, .x = (const real *)a[1].data, .w = (const real *)a[2].data,
        .mean = (real *)a[3].data, .rstd = (real *)a[4].data,
        .dx = (real *)a[5].data, .dw = (real *)a[6].data, .db = (real *)a[7].data,
        .R = a[1].shape[0], .D = a[1].shape[1], .accumulate = s->accumulate, .centred = 1};
    return ML_TYPED(layer_norm_backward_run)(&k);
}

static int ML_TYPED(rms_norm_backward)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    ML_TYPED(layer_norm_work) k = {
        .dy = (const real *)a[0].data, .x = (const real *)a[1].data, .w = (const real *)a[2].data,
        .rstd = (real *)a[3].data, .dx = (real *)a[4].data, .dw = (real *)a[5].data,
        .R = a[1].shape[0], .D = a[1].shape[1], .accumulate = s->accumulate};
    k.mean = (real *)ML_TYPED(norm_constant)(2, 0, k.R);
    return k.mean ? ML_TYPED(layer_norm_backward_run)(&k) : ML_NO_MEMORY;
}

/* ---- batch norm ----

   x is (B,C,L): channel c is B rows of L values, C*L apart. With many channels a piece of the loop is a few channels,
   measured and written while they lie in the cache. With few, each channel's rows are cut into `splits` parts: one
   loop measures the parts, they are merged in order, and a second loop over all rows writes. With L = 1 neighbouring
   channels are neighbours in memory and a vector holds RN of them. */

typedef struct {
    const real *x, *dy, *w, *b;
    real *y;                                    /* y, or dx in backward; NULL where dx is not wanted */
    real *mean, *rstd, *running_mean, *running_var, *dw, *db;
    double eps, momentum;
    int64_t B, C, L, splits, rows;              /* rows of a part */
    int training;
    norm_moments *parts;                        /* C*splits: forward, the moments; backward, sums in .mean and .m2 */
} ML_TYPED(batch_norm_work);

/* y = (x - mean) * scale + shift, the mean in two pieces as it has more digits than `real`. */
typedef struct { real high, low, scale, shift; } ML_TYPED(batch_norm_line);

/* Channel c has been measured: save its statistics, move the running ones, and say how to write it. */
ML_INLINE ML_TYPED(batch_norm_line) ML_TYPED(batch_norm_settle)(const ML_TYPED(batch_norm_work) *k, int64_t c,
                                                               norm_moments m)
{
    double variance = m.m2 / m.n, rstd = 1 / sqrt(variance + k->eps);
    k->mean[c] = (real)m.mean;
    k->rstd[c] = (real)rstd;
    if (k->running_mean)
        k->running_mean[c] = (real)((1 - k->momentum) * k->running_mean[c] + k->momentum * m.mean);
    if (k->running_var)
        k->running_var[c] = (real)((1 - k->momentum) * k->running_var[c] +
                                   k->momentum * (m.m2 / (m.n > 1 ? m.n - 1 : 1)));
    return (ML_TYPED(batch_norm_line)){(real)m.mean, (real)(m.mean - (real)m.mean),
                                       (real)(k->w ? rstd * k->w[c] : rstd), k->b ? k->b[c] : 0};
}

ML_INLINE void ML_TYPED(batch_norm_write)(const real *x, real *y, int64_t n, ML_TYPED(batch_norm_line) line)
{
    rv high = rv_set(line.high), low = rv_set(line.low), scale = rv_set(line.scale), shift = rv_set(line.shift);
    int64_t i = 0;
    for (; i + RN <= n; i += RN)
        rv_store(y + i, rv_fma(rv_load(x + i) - high - low, scale, shift));
    if (i < n)
        rv_store_part(y + i, n - i, rv_fma(rv_load_part(x + i, n - i, 0) - high - low, scale, shift));
}

static void ML_TYPED(batch_norm_channels)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_work) *k = context;
    int64_t step = k->C * k->L;
    for (int64_t c = begin; c < end; c++) {
        const real *x = k->x + c * k->L;
        real *y = k->y + c * k->L;
        ML_TYPED(batch_norm_line) line =
            ML_TYPED(batch_norm_settle)(k, c, ML_TYPED(norm_measure)(x, k->B, step, k->L));
        for (int64_t r = 0; r < k->B; r++)
            ML_TYPED(batch_norm_write)(x + r * step, y + r * step, k->L, line);
    }
}

static void ML_TYPED(batch_norm_measure_parts)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_work) *k = context;
    int64_t step = k->C * k->L;
    for (int64_t i = begin; i < end; i++) {
        int64_t c = i / k->splits, r = i % k->splits * k->rows;
        k->parts[i] = ML_TYPED(norm_measure)(k->x + r * step + c * k->L, ml_min(k->rows, k->B - r), step, k->L);
    }
}

typedef struct {
    const real *x;
    real *y;
    const ML_TYPED(batch_norm_line) *lines;
    int64_t C, L;
} ML_TYPED(batch_norm_write_work);

/* Rows b*C + c, each by its channel's line. */
static void ML_TYPED(batch_norm_write_rows)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_write_work) *k = context;
    for (int64_t r = begin; r < end; r++)
        ML_TYPED(batch_norm_write)(k->x + r * k->L, k->y + r * k->L, k->L, k->lines[r % k->C]);
}

/* With L = 1 a piece of the loop is NORM_STRIP neighbouring channels. It walks down the rows, all its channels at once:
   one channel alone would touch a cache line a row, and a power of two of them apart all in the same few places. Sums
   are taken 64 rows at a time, so that long ones keep their digits. */
#define NORM_STRIP (16 * RN)
#define NORM_STRIP_ROWS 64

/* a += first(r, i), b += second(r, i) over all rows r, for the vectors at channels i of the strip */
#define NORM_STRIP_SUMS(a, b, first, second)                                                                           \
    for (int64_t r0 = 0; r0 < k->B; r0 += NORM_STRIP_ROWS) {                                                           \
        real parts[2][NORM_STRIP];                                                                                     \
        memset(parts, 0, sizeof parts);                                                                                \
        for (int64_t r = r0; r < ml_min(k->B, r0 + NORM_STRIP_ROWS); r++)                                              \
            for (int64_t i = 0; i < n; i += RN) {                                                                      \
                rv_store(parts[0] + i, rv_load(parts[0] + i) + (first));                                               \
                rv_store(parts[1] + i, rv_load(parts[1] + i) + (second));                                              \
            }                                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            a[i] += parts[0][i];                                                                                       \
            b[i] += parts[1][i];                                                                                       \
        }                                                                                                              \
    }

static void ML_TYPED(batch_norm_columns)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_work) *k = context;
    int64_t C = k->C;
    double count = (double)k->B;
    for (int64_t c = begin * NORM_STRIP; c < ml_min(C, end * NORM_STRIP); c += NORM_STRIP) {
        const real *x = k->x + c;
        real *y = k->y + c;
        int64_t n = ml_min(NORM_STRIP, C - c);
        double sum[NORM_STRIP] = {0}, ignored[NORM_STRIP], s[NORM_STRIP] = {0}, q[NORM_STRIP] = {0};
        real m[NORM_STRIP] = {0}, high[NORM_STRIP], low[NORM_STRIP], scale[NORM_STRIP], shift[NORM_STRIP];
        memset(ignored, 0, sizeof ignored);
#define X (rv_load_upto(x + r * C + i, n - i, 0))
        NORM_STRIP_SUMS(sum, ignored, X, (rv){0})
        for (int64_t i = 0; i < n; i++)
            m[i] = (real)(sum[i] / count);
        NORM_STRIP_SUMS(s, q, X - rv_load(m + i), (X - rv_load(m + i)) * (X - rv_load(m + i)))
        for (int64_t i = 0; i < n; i++) {
            double m2 = q[i] - s[i] * (s[i] / count);
            ML_TYPED(batch_norm_line) line =
                ML_TYPED(batch_norm_settle)(k, c + i, (norm_moments){count, m[i] + s[i] / count, m2 < 0 ? 0 : m2});
            high[i] = line.high;
            low[i] = line.low;
            scale[i] = line.scale;
            shift[i] = line.shift;
        }
        for (int64_t r = 0; r < k->B; r++)
            for (int64_t i = 0; i < n; i += RN)
                rv_store_upto(y + r * C + i, n - i,
                              rv_fma(X - rv_load(high + i) - rv_load(low + i), rv_load(scale + i), rv_load(shift + i)));
#undef X
    }
}

/* In how many parts the sums of a channel are taken, by shape alone. */
static inline void ML_TYPED(batch_norm_plan)(ML_TYPED(batch_norm_work) *k)
{
    k->splits = 1;
    if (k->C < NORM_SPLITS / 2 && k->B * k->C * k->L > 2 * NORM_PIECE)
        k->splits = ml_min(k->B, ml_ceil_div(NORM_SPLITS, k->C));
    k->rows = ml_max(1, ml_ceil_div(k->B, k->splits));
    k->splits = ml_max(1, ml_ceil_div(k->B, k->rows));
}

static int ML_TYPED(batch_norm)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    ML_TYPED(batch_norm_work) k = {
        .x = (const real *)a[0].data, .w = (const real *)a[1].data, .b = (const real *)a[2].data,
        .y = (real *)a[3].data, .mean = (real *)a[4].data, .rstd = (real *)a[5].data,
        .running_mean = (real *)a[6].data, .running_var = (real *)a[7].data,
        .eps = s->eps, .momentum = *(const double *)a[8].data,
        .B = a[0].shape[0], .C = a[0].shape[1], .L = a[0].shape[2]};
    if (k.B * k.L == 0) {
        for (int64_t c = 0; c < k.C; c++)
            k.mean[c] = k.rstd[c] = (real)NAN;
        return ML_OK;
    }
    ML_TYPED(batch_norm_plan)(&k);
    if (k.L == 1) {
        ml_rt->parallel_for(ML_TYPED(batch_norm_columns), &k, ml_ceil_div(k.C, NORM_STRIP),
                            ml_grain(NORM_PIECE, k.B * NORM_STRIP));
        return ML_OK;
    }
    if (k.splits == 1) {
        ml_rt->parallel_for(ML_TYPED(batch_norm_channels), &k, k.C, ml_grain(NORM_PIECE, k.B * k.L));
        return ML_OK;
    }
    k.parts = ml_rt->scratch(0, (size_t)(k.C * k.splits) * sizeof *k.parts);
    ML_TYPED(batch_norm_line) *lines = ml_rt->scratch(1, (size_t)k.C * sizeof *lines);
    if (!k.parts || !lines)
        return ML_NO_MEMORY;
    ml_rt->parallel_for(ML_TYPED(batch_norm_measure_parts), &k, k.C * k.splits, 1);
    for (int64_t c = 0; c < k.C; c++) {
        norm_moments m = {0, 0, 0};
        for (int64_t i = 0; i < k.splits; i++)
            m = norm_merge(m, k.parts[c * k.splits + i]);
        lines[c] = ML_TYPED(batch_norm_settle)(&k, c, m);
    }
    ML_TYPED(batch_norm_write_work) write = {k.x, k.y, lines, k.C, k.L};
    ml_rt->parallel_for(ML_TYPED(batch_norm_write_rows), &write, k.B * k.C, ml_grain(NORM_PIECE, k.L));
    return ML_OK;
}

/* Rows of C channels (L = 1), the lines as three arrays of C. */
typedef struct {
    const real *x, *mean, *scale, *shift;
    real *y;
    int64_t C;
} ML_TYPED(batch_norm_flat_work);

static void ML_TYPED(batch_norm_flat_rows)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_flat_work) *k = context;
    for (int64_t r = begin; r < end; r++) {
        const real *x = k->x + r * k->C;
        real *y = k->y + r * k->C;
        for (int64_t i = 0; i < k->C; i += RN) {
            int64_t n = k->C - i;
            rv centred = rv_load_upto(x + i, n, 0) - rv_load_upto(k->mean + i, n, 0);
            rv_store_upto(y + i, n, rv_fma(centred, rv_load_upto(k->scale + i, n, 0), rv_load_upto(k->shift + i, n, 0)));
        }
    }
}

static int ML_TYPED(batch_norm_eval)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    const real *x = (const real *)a[0].data, *w = (const real *)a[1].data, *b = (const real *)a[2].data;
    const real *mean = (const real *)a[3].data, *var = (const real *)a[4].data;
    real *y = (real *)a[5].data;
    int64_t B = a[0].shape[0], C = a[0].shape[1], L = a[0].shape[2];
    if (a[0].size == 0)
        return ML_OK;
    if (L == 1) {
        real *scale = ml_rt->scratch(0, (size_t)C * sizeof(real)), *shift = ml_rt->scratch(1, (size_t)C * sizeof(real));
        if (!scale || !shift)
            return ML_NO_MEMORY;
        for (int64_t c = 0; c < C; c++) {
            scale[c] = (real)((w ? (double)w[c] : 1.0) / sqrt(var[c] + s->eps));
            shift[c] = b ? b[c] : 0;
        }
        ML_TYPED(batch_norm_flat_work) work = {x, mean, scale, shift, y, C};
        ml_rt->parallel_for(ML_TYPED(batch_norm_flat_rows), &work, B, ml_grain(NORM_PIECE, C));
        return ML_OK;
    }
    ML_TYPED(batch_norm_line) *lines = ml_rt->scratch(0, (size_t)C * sizeof *lines);
    if (!lines)
        return ML_NO_MEMORY;
    for (int64_t c = 0; c < C; c++)
        lines[c] = (ML_TYPED(batch_norm_line)){
            mean[c], 0, (real)((w ? (double)w[c] : 1.0) / sqrt(var[c] + s->eps)), b ? b[c] : 0};
    ML_TYPED(batch_norm_write_work) work = {x, y, lines, C, L};
    ml_rt->parallel_for(ML_TYPED(batch_norm_write_rows), &work, B * C, ml_grain(NORM_PIECE, L));
    return ML_OK;
}

/* dx = a*dy + p*(x - mean) + q; in eval mode p = q = 0 and x is not read. */
typedef struct { real mean, a, p, q; } ML_TYPED(batch_norm_slope);

/* Channel c's sums are known, of dy and of dy*(x - mean): write dw and db, and say how to write dx. */
ML_INLINE ML_TYPED(batch_norm_slope) ML_TYPED(batch_norm_settle_backward)(const ML_TYPED(batch_norm_work) *k, int64_t c,
                                                                         double sum_dy, double sum_dyx)
{
    double n = (double)(k->B * k->L);
    double rstd = k->training ? k->rstd[c] : 1 / sqrt(k->running_var[c] + k->eps);
    double scale = k->w ? rstd * k->w[c] : rstd;
    if (k->dw)
        k->dw[c] = (real)(n > 0 ? sum_dyx * rstd : 0);   /* rstd of nothing is NaN */
    if (k->db)
        k->db[c] = (real)sum_dy;
    if (!k->training)
        return (ML_TYPED(batch_norm_slope)){k->mean[c], (real)scale, 0, 0};
    return (ML_TYPED(batch_norm_slope)){k->mean[c], (real)scale, (real)(-scale * rstd * rstd * sum_dyx / n),
                                        (real)(-scale * sum_dy / n)};
}

/* .mean = sum(dy), .m2 = sum(dy * (x - mean)) over rows of L values */
static norm_moments ML_TYPED(batch_norm_sums)(const ML_TYPED(batch_norm_work) *k, int64_t c, int64_t first, int64_t rows)
{
    int64_t step = k->C * k->L, L = k->L;
    norm_moments sums = {0, 0, 0};
    rv mean = rv_set(k->mean[c]);
    rv s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0};
    double s[RN] = {0}, q[RN] = {0};
    int64_t since = 0;                          /* values in the lanes since they last joined the doubles */
    for (int64_t r = first; r < first + rows; r++) {
        const real *x = k->x + r * step + c * L, *dy = k->dy + r * step + c * L;
        for (int64_t i0 = 0; i0 < L; i0 += NORM_JOIN) {
            int64_t i = i0, stop = ml_min(L, i0 + NORM_JOIN);
            for (; i + 2 * RN <= stop; i += 2 * RN) {
                rv g = rv_load(dy + i), h = rv_load(dy + i + RN);
                s0 += g;
                s1 += h;
                q0 = rv_fma(g, rv_load(x + i) - mean, q0);
                q1 = rv_fma(h, rv_load(x + i + RN) - mean, q1);
            }
            for (; i < stop; i += RN) {
                int64_t n = stop - i;
                rv g = rv_load_upto(dy + i, n, 0);
                s0 += g;
                q0 = rv_fma(g, rv_load_upto(x + i, n, k->mean[c]) - mean, q0);
            }
            since += ml_max(RN, stop - i0);
            if (since >= NORM_JOIN) {
                ML_TYPED(norm_join)(s, s0 + s1);
                ML_TYPED(norm_join)(q, q0 + q1);
                s0 = s1 = q0 = q1 = (rv){0};
                since = 0;
            }
        }
    }
    ML_TYPED(norm_join)(s, s0 + s1);
    ML_TYPED(norm_join)(q, q0 + q1);
    sums.mean = ML_TYPED(norm_joined)(s);
    sums.m2 = ML_TYPED(norm_joined)(q);
    return sums;
}

ML_INLINE void ML_TYPED(batch_norm_write_backward)(const real *x, const real *dy, real *dx, int64_t L,
                                                   ML_TYPED(batch_norm_slope) line, int training)
{
    rv mean = rv_set(line.mean), a = rv_set(line.a), p = rv_set(line.p), q = rv_set(line.q);
    if (!training) {
        for (int64_t i = 0; i < L; i += RN)
            rv_store_upto(dx + i, L - i, a * rv_load_upto(dy + i, L - i, 0));
        return;
    }
    int64_t i = 0;
    for (; i + RN <= L; i += RN)
        rv_store(dx + i, rv_fma(a, rv_load(dy + i), rv_fma(p, rv_load(x + i) - mean, q)));
    if (i < L)
        rv_store_part(dx + i, L - i, rv_fma(a, rv_load_part(dy + i, L - i, 0),
                                            rv_fma(p, rv_load_part(x + i, L - i, 0) - mean, q)));
}

static void ML_TYPED(batch_norm_backward_channels)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_work) *k = context;
    for (int64_t c = begin; c < end; c++) {
        norm_moments sums = ML_TYPED(batch_norm_sums)(k, c, 0, k->B);
        ML_TYPED(batch_norm_slope) line = ML_TYPED(batch_norm_settle_backward)(k, c, sums.mean, sums.m2);
        for (int64_t r = c; k->y && r < k->B * k->C; r += k->C)
            ML_TYPED(batch_norm_write_backward)(k->x + r * k->L, k->dy + r * k->L, k->y + r * k->L, k->L, line,
                                                k->training);
    }
}

static void ML_TYPED(batch_norm_backward_parts)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_work) *k = context;
    for (int64_t i = begin; i < end; i++) {
        int64_t first = i % k->splits * k->rows;
        k->parts[i] = ML_TYPED(batch_norm_sums)(k, i / k->splits, first, ml_min(k->rows, k->B - first));
    }
}

typedef struct {
    const ML_TYPED(batch_norm_work) *k;
    const ML_TYPED(batch_norm_slope) *lines;
} ML_TYPED(batch_norm_backward_write_work);

static void ML_TYPED(batch_norm_backward_write_rows)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_backward_write_work) *work = context;
    const ML_TYPED(batch_norm_work) *k = work->k;
    for (int64_t r = begin; r < end; r++)
        ML_TYPED(batch_norm_write_backward)(k->x + r * k->L, k->dy + r * k->L, k->y + r * k->L, k->L,
                                            work->lines[r % k->C], k->training);
}

static void ML_TYPED(batch_norm_backward_columns)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(batch_norm_work) *k = context;
    int64_t C = k->C;
    for (int64_t c = begin * NORM_STRIP; c < ml_min(C, end * NORM_STRIP); c += NORM_STRIP) {
        const real *x = k->x + c, *dy = k->dy + c;
        int64_t n = ml_min(NORM_STRIP, C - c);
        double s[NORM_STRIP] = {0}, q[NORM_STRIP] = {0};
        real mean[NORM_STRIP] = {0}, a[NORM_STRIP] = {0}, p[NORM_STRIP] = {0}, shift[NORM_STRIP] = {0};
        memcpy(mean, k->mean + c, (size_t)n * sizeof(real));
#define CENTRED (rv_load_upto(x + r * C + i, n - i, 0) - rv_load(mean + i))
#define DY (rv_load_upto(dy + r * C + i, n - i, 0))
        NORM_STRIP_SUMS(s, q, DY, DY * CENTRED)
        for (int64_t i = 0; i < n; i++) {
            ML_TYPED(batch_norm_slope) line = ML_TYPED(batch_norm_settle_backward)(k, c + i, s[i], q[i]);
            a[i] = line.a;
            p[i] = line.p;
            shift[i] = line.q;
        }
        for (int64_t r = 0; k->y && r < k->B; r++)
            for (int64_t i = 0; i < n; i += RN) {
                rv g = rv_load(a + i) * DY;
                if (k->training)
                    g += rv_fma(rv_load(p + i), CENTRED, rv_load(shift + i));
                rv_store_upto(k->y + c + r * C + i, n - i, g);
            }
#undef CENTRED
#undef DY
    }
}
#undef NORM_STRIP_SUMS

/* dy x w mean rstd dx dw db; in eval mode the fourth and fifth are running_mean and running_var. */
static int ML_TYPED(batch_norm_backward)(const ml_array *a, const void *settings, int training)
{
    const norm_settings *s = settings;
    ML_TYPED(batch_norm_work) k = {
        .dy = (const real *)a[0].data, .x = (const real *)a[1].data, .w = (const real *)a[2].data,
        .mean = (real *)a[3].data, .rstd = (real *)a[4].data, .running_var = (real *)a[4].data,
        .y = (real *)a[5].data, .dw = (real *)a[6].data, .db = (real *)a[7].data,
        .eps = training ? 0 : s->eps, .training = training,
        .B = a[1].shape[0], .C = a[1].shape[1], .L = a[1].shape[2]};
    ML_TYPED(batch_norm_plan)(&k);
    if (k.L == 1) {
        ml_rt->parallel_for(ML_TYPED(batch_norm_backward_columns), &k, ml_ceil_div(k.C, NORM_STRIP),
                            ml_grain(NORM_PIECE, k.B * NORM_STRIP));
        return ML_OK;
    }
    if (k.splits == 1) {
        ml_rt->parallel_for(ML_TYPED(batch_norm_backward_channels), &k, k.C, ml_grain(NORM_PIECE, k.B * k.L));
        return ML_OK;
    }
    k.parts = ml_rt->scratch(0, (size_t)(k.C * k.splits) * sizeof *k.parts);
    ML_TYPED(batch_norm_slope) *lines = ml_rt->scratch(1, (size_t)k.C * sizeof *lines);
    if (!k.parts || !lines)
        return ML_NO_MEMORY;
    ml_rt->parallel_for(ML_TYPED(batch_norm_backward_parts), &k, k.C * k.splits, 1);
    for (int64_t c = 0; c < k.C; c++) {
        norm_moments sums = {0, 0, 0};
        for (int64_t i = 0; i < k.splits; i++) {
            sums.mean += k.parts[c * k.splits + i].mean;
            sums.m2 += k.parts[c * k.splits + i].m2;
        }
        lines[c] = ML_TYPED(batch_norm_settle_backward)(&k, c, sums.mean, sums.m2);
    }
    ML_TYPED(batch_norm_backward_write_work) work = {&k, lines};
    if (k.y)
        ml_rt->parallel_for(ML_TYPED(batch_norm_backward_write_rows), &work, k.B * k.C, ml_grain(NORM_PIECE, k.L));
    return ML_OK;
}
#undef NORM_STRIP
#undef NORM_STRIP_ROWS

/* ---- group norm ----

   A row is one group of one item: `each` channels of L values, side by side. Where L is shorter than a vector the
   weights are repeated L times first, and a row is written as in layer norm. */

typedef struct {
    const real *x, *dy, *w, *b, *wide_w, *wide_b;   /* wide: (C*L), NULL where L is long */
    real *y, *mean, *rstd, *variance, *dx, *dw, *db;
    double *sums;                                   /* (B*C, 2): sum of dy and of dy*xhat over L */
    real *partial;                                  /* (chunks, 2, C*L), where L is short */
    double eps;
    int64_t B, C, L, G, each, chunks, rows;         /* rows: items of a chunk */
} ML_TYPED(group_norm_work);

/* p or `missing`, each value L times, in scratch */
static const real *ML_TYPED(group_norm_repeat)(int slot, const real *p, real missing, int64_t C, int64_t L)
{
    real *wide = ml_rt->scratch(slot, (size_t)ml_max(1, C * L) * sizeof(real));
    for (int64_t i = 0; wide && i < C * L; i++)
        wide[i] = p ? p[i / L] : missing;
    return wide;
}

static void ML_TYPED(group_norm_rows)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(group_norm_work) *k = context;
    int64_t D = k->each * k->L;
    for (int64_t r = begin; r < end; r++) {
        const real *x = k->x + r * D;
        real *y = k->y + r * D;
        norm_moments m = ML_TYPED(norm_measure)(x, 1, D, D);
        double variance = m.n > 0 ? m.m2 / m.n : NAN, rstd = 1 / sqrt(variance + k->eps);
        int64_t first = r % k->G * k->each;
        k->mean[r] = (real)(m.n > 0 ? m.mean : NAN);
        k->rstd[r] = (real)rstd;
        if (k->variance)
            k->variance[r] = (real)variance;
        if (k->wide_w) {
            ML_TYPED(norm_write_row)(x, y, D, m.mean, (real)rstd, k->wide_w + first * k->L, k->wide_b + first * k->L);
            continue;
        }
        for (int64_t c = first; c < first + k->each; c++, x += k->L, y += k->L) {
            ML_TYPED(batch_norm_line) line = {(real)m.mean, (real)(m.mean - (real)m.mean),
                                              (real)(k->w ? rstd * k->w[c] : rstd), k->b ? k->b[c] : 0};
            ML_TYPED(batch_norm_write)(x, y, k->L, line);
        }
    }
}

static int ML_TYPED(group_norm)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    ML_TYPED(group_norm_work) k = {
        .x = (const real *)a[0].data, .w = (const real *)a[1].data, .b = (const real *)a[2].data,
        .y = (real *)a[3].data, .mean = (real *)a[4].data, .rstd = (real *)a[5].data, .variance = (real *)a[6].data,
        .eps = s->eps, .B = a[0].shape[0], .C = a[0].shape[1], .L = a[0].shape[2], .G = s->groups,
        .each = a[0].shape[1] / s->groups};
    if (k.L < RN) {
        k.wide_w = ML_TYPED(group_norm_repeat)(0, k.w, 1, k.C, k.L);
        k.wide_b = ML_TYPED(group_norm_repeat)(1, k.b, 0, k.C, k.L);
        if (!k.wide_w || !k.wide_b)
            return ML_NO_MEMORY;
    }
    ml_rt->parallel_for(ML_TYPED(group_norm_rows), &k, k.B * k.G, ml_grain(NORM_PIECE, k.each * k.L));
    return ML_OK;
}

/* Where L is short: items begin..end in chunks, each with partial results (2, C*L) of dw and db, as layer norm has them. */
static void ML_TYPED(group_norm_backward_short)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(group_norm_work) *k = context;
    int64_t D = k->each * k->L, width = k->C * k->L;
    ML_TYPED(layer_norm_work) row = {.x = k->x, .dy = k->dy, .mean = k->mean, .rstd = k->rstd, .dx = k->dx, .D = D,
                                     .centred = 1};
    for (int64_t chunk = begin; chunk < end; chunk++) {
        real *pw = k->partial ? k->partial + chunk * 2 * width : NULL, *pb = pw ? pw + width : NULL;
        if (pw)
            memset(pw, 0, (size_t)(2 * width) * sizeof(real));
        for (int64_t r = chunk * k->rows * k->G; r < ml_min(k->B, (chunk + 1) * k->rows) * k->G; r++) {
            int64_t at = r % k->G * D;
            real c1 = 0, c2 = 0;
            row.w = k->wide_w + at;
            if (k->dx)
                ML_TYPED(layer_norm_backward_means)(&row, r, &c1, &c2);
            if (k->dx && pw)
                ML_TYPED(layer_norm_backward_row)(&row, r, c1, c2, pw + at, pb + at, 1, 1);
            else if (k->dx)
                ML_TYPED(layer_norm_backward_row)(&row, r, c1, c2, NULL, NULL, 1, 0);
            else if (pw)
                ML_TYPED(layer_norm_backward_row)(&row, r, 0, 0, pw + at, pb + at, 0, 1);
        }
    }
}

/* s = sum(dy), q = sum(dy * (x - mean)) of n values */
ML_INLINE void ML_TYPED(group_norm_sums)(const real *dy, const real *x, real mean, int64_t n, double *s, double *q)
{
    *s = *q = 0;
    rv m = rv_set(mean);
    for (int64_t i0 = 0; i0 < n; i0 += NORM_JOIN) {
        int64_t i = i0, stop = ml_min(n, i0 + NORM_JOIN);
        rv s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0};
        for (; i + 2 * RN <= stop; i += 2 * RN) {
            rv g = rv_load(dy + i), h = rv_load(dy + i + RN);
            s0 += g;
            s1 += h;
            q0 = rv_fma(g, rv_load(x + i) - m, q0);
            q1 = rv_fma(h, rv_load(x + i + RN) - m, q1);
        }
        for (; i < stop; i += RN) {
            rv g = rv_load_upto(dy + i, stop - i, 0);
            s0 += g;
            q0 = rv_fma(g, rv_load_upto(x + i, stop - i, mean) - m, q0);
        }
        *s += rv_sum(s0 + s1);
        *q += rv_sum(q0 + q1);
    }
}

static void ML_TYPED(group_norm_backward_rows)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(group_norm_work) *k = context;
    int64_t L = k->L, D = k->each * L;
    for (int64_t r = begin; r < end; r++) {
        const real *x = k->x + r * D, *dy = k->dy + r * D;
        real mean = k->mean[r];
        double rstd = k->rstd[r], all_s = 0, all_q = 0;
        int64_t first = r % k->G * k->each;
        for (int64_t j = 0; j < k->each; j++) {
            double s, q;
            ML_TYPED(group_norm_sums)(dy + j * L, x + j * L, mean, L, &s, &q);
            if (k->sums) {
                k->sums[2 * (r * k->each + j)] = s;
                k->sums[2 * (r * k->each + j) + 1] = q * rstd;
            }
            double w = k->w ? k->w[first + j] : 1;
            all_s += w * s;
            all_q += w * q;
        }
        if (!k->dx)
            continue;
        /* dx = rstd*w*dy + p*(x - mean) + shift */
        real p = (real)(-rstd * rstd * rstd * all_q / (double)D), shift = (real)(-rstd * all_s / (double)D);
        real *dx = k->dx + r * D;
        for (int64_t j = 0; j < k->each; j++) {
            ML_TYPED(batch_norm_slope) line = {mean, (real)(k->w ? rstd * k->w[first + j] : rstd), p, shift};
            ML_TYPED(batch_norm_write_backward)(x + j * L, dy + j * L, dx + j * L, L, line, 1);
        }
    }
}

/* dw and db of channels begin..end: the items' or the chunks' sums, in their order */
static void ML_TYPED(group_norm_backward_channels)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(group_norm_work) *k = context;
    for (int64_t c = begin; c < end; c++) {
        double db = 0, dw = 0;
        for (int64_t i = 0; k->partial && i < k->chunks * k->L; i++) {
            const real *pw = k->partial + i / k->L * 2 * k->C * k->L + c * k->L + i % k->L;
            dw += *pw;
            db += pw[k->C * k->L];
        }
        for (int64_t b = 0; k->sums && b < k->B; b++) {
            db += k->sums[2 * (b * k->C + c)];
            dw += k->sums[2 * (b * k->C + c) + 1];
        }
        if (k->dw)
            k->dw[c] = (real)dw;
        if (k->db)
            k->db[c] = (real)db;
    }
}

static int ML_TYPED(group_norm_backward)(const ml_array *a, const void *settings)
{
    const norm_settings *s = settings;
    ML_TYPED(group_norm_work) k = {
        .dy = (const real *)a[0].data, .x = (const real *)a[1].data, .w = (const real *)a[2].data,
        .mean = (real *)a[3].data, .rstd = (real *)a[4].data,
        .dx = (real *)a[5].data, .dw = (real *)a[6].data, .db = (real *)a[7].data,
        .B = a[1].shape[0], .C = a[1].shape[1], .L = a[1].shape[2], .G = s->groups, .each = a[1].shape[1] / s->groups};
    if (k.L < RN) {
        if (!(k.wide_w = ML_TYPED(group_norm_repeat)(0, k.w, 1, k.C, k.L)))
            return ML_NO_MEMORY;
        k.chunks = ml_max(1, ml_min(ml_min(64, k.B / 8), k.B * k.C * k.L / NORM_PIECE));
        k.rows = ml_max(1, ml_ceil_div(k.B, k.chunks));
        k.chunks = ml_ceil_div(k.B, k.rows);
        if ((k.dw || k.db) &&
            !(k.partial = ml_rt->scratch(1, (size_t)ml_max(1, k.chunks * 2 * k.C * k.L) * sizeof(real))))
            return ML_NO_MEMORY;
        ml_rt->parallel_for(ML_TYPED(group_norm_backward_short), &k, k.chunks, 1);
        if (k.partial)
            ml_rt->parallel_for(ML_TYPED(group_norm_backward_channels), &k, k.C,
                                ml_grain(NORM_PIECE, k.chunks * k.L));
        return ML_OK;
    }
    if ((k.dw || k.db) && !(k.sums = ml_rt->scratch(1, (size_t)ml_max(1, 2 * k.B * k.C) * sizeof(double))))
        return ML_NO_MEMORY;
    ml_rt->parallel_for(ML_TYPED(group_norm_backward_rows), &k, k.B * k.G, ml_grain(NORM_PIECE, k.each * k.L));
    if (k.sums)
        ml_rt->parallel_for(ML_TYPED(group_norm_backward_channels), &k, k.C, ml_grain(NORM_PIECE, k.B));
    return ML_OK;
}

static int ML_TYPED(instance_statistics)(const ml_array *a, const void *settings)
{
    int64_t B = a[0].shape[0], C = a[0].shape[1], n = ((const norm_settings *)settings)->n;
    const double momentum = *(const double *)a[4].data, unbiased = (double)n / (double)ml_max(1, n - 1);
    for (int which = 0; which < 2 && B; which++) {
        const real *measured = (const real *)a[which].data;
        real *running = (real *)a[2 + which].data;
        for (int64_t c = 0; running && c < C; c++) {
            double total = 0;
            for (int64_t b = 0; b < B; b++)
                total += measured[b * C + c];
            running[c] = (real)((1 - momentum) * running[c] + momentum * (total / (double)B * (which ? unbiased : 1)));
        }
    }
    return ML_OK;
}

/* ---- local response norm ----

   A piece is a stripe of at most NORM_STRIPE places of one item: all its channels at these places, so that a window
   over the channels stays in the cache. */

typedef struct {
    const real *x, *dy, *scale_in;
    real *y, *scale;
    int64_t C, L, stripes, before, after;
    real k, each, beta;                         /* each = alpha / size, backward 2 alpha beta / size */
    int status;
} ML_TYPED(response_work);

ML_INLINE rv ML_TYPED(response_power)(rv s, real beta) { return rv_exp(rv_log(s) * -beta); }

static void ML_TYPED(response_norm_stripes)(void *context, int64_t begin, int64_t end)
{
    const ML_TYPED(response_work) *k = context;
    for (int64_t piece = begin; piece < end; piece++) {
        int64_t first = piece % k->stripes * NORM_STRIPE, stop = ml_min(k->L, first + NORM_STRIPE);
        int64_t item = piece / k->stripes * k->C * k->L;
        for (int64_t c = 0; c < k->C; c++) {
            int64_t low = ml_max(0, c - k->before), high = ml_min(k->C - 1, c + k->after);
            for (int64_t i = first; i < stop; i += RN) {
                int64_t n = stop - i, at = item + c * k->L + i;
                rv sum = {0};
                for (int64_t j = low; j <= high; j++) {
                    rv v = rv_load_upto(k->x + item + j * k->L + i, n, 0);
                    sum = rv_fma(v, v, sum);
                }
                rv s = rv_fma(sum, rv_set(k->each), rv_set(k->k));
                rv_store_upto(k->scale + at, n, s);
                rv_store_upto(k->y + at, n, rv_load_upto(k->x + at, n, 0) * ML_TYPED(response_power)(s, k->beta));
            }
        }
    }
}

static void ML_TYPED(response_norm_backward_stripes)(void *context, int64_t begin, int64_t end)
{
    ML_TYPED(response_work) *k = context;
    real *t = ml_rt->scratch(3, (size_t)(2 * k->C * NORM_STRIPE) * sizeof(real));
    if (!t) {
        __atomic_store_n(&k->status, ML_NO_MEMORY, __ATOMIC_RELAXED);
        return;
    }
    real *p = t + k->C * NORM_STRIPE;
    for (int64_t piece = begin; piece < end; piece++) {
        int64_t first = piece % k->stripes * NORM_STRIPE, stop = ml_min(k->L, first + NORM_STRIPE);
        int64_t item = piece / k->stripes * k->C * k->L;
        for (int64_t c = 0; c < k->C; c++)              /* p = scale^-beta, t = dy x scale^(-beta-1) */
            for (int64_t i = first; i < stop; i += RN) {
                int64_t n = stop - i, at = item + c * k->L + i, to = c * NORM_STRIPE + i - first;
                rv s = rv_load_upto(k->scale_in + at, n, 1), power = ML_TYPED(response_power)(s, k->beta);
                rv_store(p + to, power);
                rv_store(t + to, rv_load_upto(k->dy + at, n, 0) * rv_load_upto(k->x + at, n, 0) * power / s);
            }
        for (int64_t c = 0; c < k->C; c++) {
            int64_t low = ml_max(0, c - k->after), high = ml_min(k->C - 1, c + k->before);
            for (int64_t i = first; i < stop; i += RN) {
                int64_t n = stop - i, at = item + c * k->L + i;
                rv sum = {0};
                for (int64_t j = low; j <= high; j++)
                    sum += rv_load(t + j * NORM_STRIPE + i - first);
                rv g = rv_load_upto(k->dy + at, n, 0) * rv_load(p + c * NORM_STRIPE + i - first);
                rv_store_upto(k->y + at, n, g - rv_set(k->each) * rv_load_upto(k->x + at, n, 0) * sum);
            }
        }
    }
}

static int ML_TYPED(response_norm)(const ml_array *a, const void *settings)
{
    const response_settings *s = settings;
    ML_TYPED(response_work) k = {
        .x = (const real *)a[0].data, .y = (real *)a[1].data, .scale = (real *)a[2].data, .C = a[0].shape[1],
        .L = a[0].shape[2], .stripes = ml_ceil_div(a[0].shape[2], NORM_STRIPE), .before = s->size / 2,
        .after = (s->size - 1) / 2, .k = (real)s->k, .each = (real)(s->alpha / (double)s->size), .beta = (real)s->beta};
    ml_rt->parallel_for(ML_TYPED(response_norm_stripes), &k, a[0].shape[0] * k.stripes,
                        ml_grain(NORM_PIECE, k.C * ml_min(k.L, NORM_STRIPE)));
    return ML_OK;
}

static int ML_TYPED(response_norm_backward)(const ml_array *a, const void *settings)
{
    const response_settings *s = settings;
    ML_TYPED(response_work) k = {
        .dy = (const real *)a[0].data, .x = (const real *)a[1].data, .scale_in = (const real *)a[2].data,
        .y = (real *)a[3].data, .C = a[1].shape[1], .L = a[1].shape[2],
        .stripes = ml_ceil_div(a[1].shape[2], NORM_STRIPE), .before = s->size / 2, .after = (s->size - 1) / 2,
        .each = (real)(2 * s->alpha * s->beta / (double)s->size), .beta = (real)s->beta};
    ml_rt->parallel_for(ML_TYPED(response_norm_backward_stripes), &k, a[1].shape[0] * k.stripes,
                        ml_grain(NORM_PIECE, k.C * ml_min(k.L, NORM_STRIPE)));
    return k.status;
}
