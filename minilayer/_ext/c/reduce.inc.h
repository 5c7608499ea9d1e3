/* Reductions with any strides: y has size 1 on the axes that are reduced.

   Two loops do all of them. Where x runs fastest along a reduced axis, a *line* kernel folds a line
   of x into one accumulator. Where it runs fastest along a kept axis (the gradient of a bias: sum
   over the batch), a *rows* kernel folds row after row into a row of accumulators.

   Float sums: at most 16 additions in a row in each vector lane in x's type, then float32 goes on in
   float64, and float64 as a tree; long reductions are cut into chunks whose results are added as a
   tree. Chunks depend on the shape alone, so the bits do not depend on the number of threads. Elements are taken in the
   order of memory, not of the axes. */
#include "vec.h"

#ifndef REDUCE_ONCE                         /* what does not depend on the instruction set */
#define REDUCE_ONCE

#define REDUCE_CHUNK 32768                  /* elements that one piece of work folds */
#define REDUCE_COLUMNS 512                  /* accumulators of a rows kernel: 4 KiB */

/* Axes walked together in up to four arrays, slowest first in the first array's memory. */
typedef struct {
    int ndim;
    int64_t n[ML_MAX_DIMS], s[4][ML_MAX_DIMS];
} axes;

static int64_t axes_size(const axes *p)
{
    int64_t size = 1;
    for (int d = 0; d < p->ndim; d++)
        size *= p->n[d];
    return size;
}

static int64_t distance(int64_t v) { return v < 0 ? -v : v; }

static void axes_add(axes *p, int64_t n, int64_t s0, int64_t s1, int64_t s2, int64_t s3)
{
    if (n == 1)
        return;
    int i = p->ndim++;
    for (; i > 0 && distance(s0) > distance(p->s[0][i - 1]); i--) {
        p->n[i] = p->n[i - 1];
        for (int k = 0; k < 4; k++)
            p->s[k][i] = p->s[k][i - 1];
    }
    p->n[i] = n;
    p->s[0][i] = s0; p->s[1][i] = s1; p->s[2][i] = s2; p->s[3][i] = s3;
}

/* Merge neighbours that all arrays step through without a jump. */
static void axes_merge(axes *p)
{
    int last = 0;
    for (int i = 1; i < p->ndim; i++) {
        int joined = 1;
        for (int k = 0; k < 4; k++)
            joined &= p->s[k][last] == p->n[i] * p->s[k][i];
        if (joined)
            p->n[last] *= p->n[i];
        else
            p->n[++last] = p->n[i];
        for (int k = 0; k < 4; k++)
            p->s[k][last] = p->s[k][i];
    }
    if (p->ndim)
        p->ndim = last + 1;
}

/* Offset in array k of the index-th item over the first ndim axes. */
static inline int64_t axes_offset(const axes *p, int ndim, int k, int64_t index)
{
    int64_t offset = 0;
    for (int d = ndim - 1; d > 0; d--) {
        int64_t q = index / p->n[d];
        offset += (index - q * p->n[d]) * p->s[k][d];
        index = q;
    }
    return ndim > 0 ? offset + index * p->s[k][0] : 0;
}

typedef union { double real; int64_t integer; } accumulator;

typedef void (*reduce_line)(const char *x, int64_t sx, int64_t n, accumulator *total);
typedef void (*reduce_rows)(const char *x, int64_t srow, int64_t rows, int64_t scol, int64_t columns,
                            accumulator *totals);
typedef void (*reduce_merge)(accumulator *into, const accumulator *from, int64_t n);

typedef struct {                            /* one reduction of one dtype */
    reduce_line line;
    reduce_rows rows;
    reduce_merge merge;
    int real;                               /* which member of the accumulator */
    accumulator start;
} reduction;

static void reduce_store(accumulator v, int real, char *y, int dtype, const ml_reduce_settings *s)
{
    if (real && s->divisor != 1)
        v.real /= s->divisor;
#define STORE(T)                                                                                           \
    {                                                                                                      \
        T t = real ? (T)v.real : (T)v.integer;                                                             \
        *(T *)y = s->accumulate ? (T)(*(T *)y + t) : t;                                                    \
        break;                                                                                             \
    }
    switch (dtype) {
    case ML_F32: STORE(float)
    case ML_F64: STORE(double)
    case ML_I64:
        *(int64_t *)y = (int64_t)((s->accumulate ? *(uint64_t *)y : 0) +
                                  (uint64_t)(real ? (int64_t)v.real : v.integer));
        break;
    case ML_I32: STORE(int32_t)
    default: STORE(uint8_t)
    }
#undef STORE
}

typedef struct {
    const reduction *r;
    const ml_reduce_settings *settings;
    const char *x;
    char *y;
    int ydtype;
    axes kept, reduced;                     /* arrays: x, y */
    int64_t outputs, lines, n, sx;          /* outputs; lines a reduction has, their length and stride */
    int64_t segments, units, per_chunk, chunks;
    int64_t columns, scol, column_segments; /* rows kernel: length and stride of the innermost kept axis */
    int64_t fold;                           /* short rows without gaps: so many go as one long row */
    accumulator *partial;                   /* [chunk][output], NULL where one chunk does */
} reduce_work;

static void reduce_store_all(const reduce_work *w, int64_t first, int64_t count, const accumulator *totals)
{
    int nd = w->kept.ndim;
    for (int64_t i = 0; i < count; i++)
        reduce_store(totals[i], w->r->real, w->y + axes_offset(&w->kept, nd, 1, first + i), w->ydtype, w->settings);
}

static void reduce_lines_task(void *context, int64_t begin, int64_t end)
{
    const reduce_work *w = context;
    const reduction *r = w->r;
    for (int64_t item = begin; item < end; item++) {
        int64_t k = w->chunks == 1 ? item : item / w->chunks, c = item - k * w->chunks;
        const char *x = w->x + axes_offset(&w->kept, w->kept.ndim, 0, k);
        accumulator total = r->start;
        if (w->units == 1)
            r->line(x, w->sx, w->n, &total);
        else
            for (int64_t u = c * w->per_chunk; u < ml_min((c + 1) * w->per_chunk, w->units); u++) {
                int64_t line = w->segments == 1 ? u : u / w->segments, start = (u - line * w->segments) * REDUCE_CHUNK;
                r->line(x + axes_offset(&w->reduced, w->reduced.ndim - 1, 0, line) + start * w->sx, w->sx,
                        w->segments == 1 ? w->n : ml_min(REDUCE_CHUNK, w->n - start), &total);
            }
        if (w->partial)
            w->partial[c * w->outputs + k] = total;
        else
            reduce_store_all(w, k, 1, &total);
    }
}

static void reduce_rows_task(void *context, int64_t begin, int64_t end)
{
    const reduce_work *w = context;
    const reduction *r = w->r;
    accumulator own[REDUCE_COLUMNS];
    for (int64_t item = begin; item < end; item++) {
        int64_t c = item % w->chunks, rest = item / w->chunks;
        int64_t segment = rest % w->column_segments, outer = rest / w->column_segments;
        int64_t column = segment * REDUCE_COLUMNS, columns = ml_min(REDUCE_COLUMNS, w->columns - column);
        int64_t k = outer * w->columns + column;
        accumulator *totals = w->partial ? w->partial + c * w->outputs + k : own;
        const char *x = w->x + axes_offset(&w->kept, w->kept.ndim, 0, k);
        for (int64_t j = 0; j < columns; j++)
            totals[j] = r->start;
        int64_t row = c * w->per_chunk, stop = ml_min(row + w->per_chunk, w->lines * w->n);
        while (row < stop) {
            int64_t line = row / w->n, first = row - line * w->n, rows = ml_min(w->n - first, stop - row);
            const char *p = x + axes_offset(&w->reduced, w->reduced.ndim - 1, 0, line) + first * w->sx;
            row += rows;
            if (w->fold > 1 && rows >= 2 * w->fold) {
                accumulator wide[REDUCE_COLUMNS];
                int64_t folded = rows / w->fold;
                for (int64_t j = 0; j < columns * w->fold; j++)
                    wide[j] = r->start;
                r->rows(p, w->fold * w->sx, folded, w->scol, columns * w->fold, wide);
                for (int64_t g = 0; g < w->fold; g++)
                    r->merge(totals, wide + g * columns, columns);
                p += folded * w->fold * w->sx;
                rows -= folded * w->fold;
            }
            if (rows)
                r->rows(p, w->sx, rows, w->scol, columns, totals);
        }
        if (!w->partial)
            reduce_store_all(w, k, columns, totals);
    }
}

static int reduce_run(const ml_array *x, const ml_array *y, const reduction *r, const ml_reduce_settings *settings)
{
    reduce_work w = {.r = r, .settings = settings, .x = x->data, .y = y->data, .ydtype = y->dtype, .outputs = 1};
    int64_t grain;
    if (x->ndim != y->ndim)
        return ML_BAD_SHAPE;
    w.kept.ndim = w.reduced.ndim = 0;
    for (int d = 0; d < x->ndim; d++) {
        if (y->shape[d] == x->shape[d])
            axes_add(&w.kept, x->shape[d], x->strides[d], y->strides[d], 0, 0);
        else if (y->shape[d] == 1)
            axes_add(&w.reduced, x->shape[d], x->strides[d], 0, 0, 0);
        else
            return ML_BAD_SHAPE;
    }
    axes_merge(&w.kept);
    axes_merge(&w.reduced);
    w.outputs = axes_size(&w.kept);
    if (w.outputs == 0)
        return ML_OK;
    int nr = w.reduced.ndim, nk = w.kept.ndim;
    w.n = nr ? w.reduced.n[nr - 1] : 1;
    w.sx = nr ? w.reduced.s[0][nr - 1] : 0;
    w.lines = 1;
    for (int d = 0; d < nr - 1; d++)
        w.lines *= w.reduced.n[d];
    if (w.lines * w.n == 0)
        w.lines = w.n = 0;                  /* an empty reduction stores its starting value */
    w.chunks = 1;

    int by_rows = nk && w.n && w.kept.n[nk - 1] >= 2 && (!nr || distance(w.kept.s[0][nk - 1]) < distance(w.sx));
    if (by_rows) {
        int64_t rows = w.lines * w.n;
        w.columns = w.kept.n[nk - 1];
        w.scol = w.kept.s[0][nk - 1];
        w.column_segments = ml_ceil_div(w.columns, REDUCE_COLUMNS);
        w.fold = w.scol == ml_itemsizes[x->dtype] && w.sx == w.columns * w.scol ? REDUCE_COLUMNS / 2 / w.columns : 1;
        int64_t items = w.outputs / w.columns * w.column_segments, width = ml_min(w.columns, REDUCE_COLUMNS);
        w.per_chunk = rows;
        if (items < 8 && w.outputs * rows >= 2 * REDUCE_CHUNK) {
            /* at most 64 chunks of whole blocks of 16 rows */
            w.per_chunk = ml_max(ml_ceil_div(REDUCE_CHUNK, width), ml_ceil_div(rows, 64));
            w.per_chunk = ml_ceil_div(w.per_chunk, 16) * 16;
            w.chunks = ml_ceil_div(rows, w.per_chunk);
        }
        grain = ml_max(1, REDUCE_CHUNK / (ml_min(w.per_chunk, rows) * width));
        if (w.chunks > 1) {
            w.partial = ml_rt->scratch(0, w.chunks * w.outputs * sizeof(accumulator));
            if (!w.partial)
                return ML_NO_MEMORY;
        }
        ml_rt->parallel_for(reduce_rows_task, &w, items * w.chunks, ml_shared(x->size, items * w.chunks, grain));
    } else {
        w.segments = w.n > REDUCE_CHUNK ? ml_ceil_div(w.n, REDUCE_CHUNK) : 1;
        w.units = w.lines * w.segments;
        w.per_chunk = ml_max(1, REDUCE_CHUNK / ml_max(1, ml_min(w.n, REDUCE_CHUNK)));
        w.chunks = ml_max(1, ml_ceil_div(w.units, w.per_chunk));
        grain = ml_max(1, REDUCE_CHUNK / ml_max(1, ml_min(w.lines * w.n, REDUCE_CHUNK)));
        if (w.chunks > 1) {
            w.partial = ml_rt->scratch(0, w.chunks * w.outputs * sizeof(accumulator));
            if (!w.partial)
                return ML_NO_MEMORY;
        }
        ml_rt->parallel_for(reduce_lines_task, &w, w.outputs * w.chunks,
                            ml_shared(x->size, w.outputs * w.chunks, ml_min(grain, 4096)));
    }
    if (w.partial) {
        for (int64_t step = 1; step < w.chunks; step *= 2)
            for (int64_t c = 0; c + step < w.chunks; c += 2 * step)
                r->merge(w.partial + c * w.outputs, w.partial + (c + step) * w.outputs, w.outputs);
        reduce_store_all(&w, 0, w.outputs, w.partial);
    }
    return ML_OK;
}

static const ml_reduce_settings reduce_plain = {0, 1.0};
#endif

/* ---- merging accumulators ---- */

#define ADD_REAL(a, b) ((a) + (b))
#define ADD_INTEGER(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))        /* wraps, without undefined behaviour */
#define MULTIPLY_REAL(a, b) ((a) * (b))
#define MULTIPLY_INTEGER(a, b) ((int64_t)((uint64_t)(a) * (uint64_t)(b)))
#define MAX_REAL(a, b) ((b) > (a) || (b) != (b) ? (b) : (a))                /* a NaN, once met, stays */
#define MIN_REAL(a, b) ((b) < (a) || (b) != (b) ? (b) : (a))
#define MAX_INTEGER(a, b) ((b) > (a) ? (b) : (a))
#define MIN_INTEGER(a, b) ((b) < (a) ? (b) : (a))
#define ANY_INTEGER(a, b) ((a) | ((b) != 0))
#define ALL_INTEGER(a, b) ((a) & ((b) != 0))

#define MERGE(NAME, MEMBER, OP)                                                                            \
    static void ML_NAME(NAME)(accumulator *into, const accumulator *from, int64_t n)                       \
    {                                                                                                      \
        for (int64_t i = 0; i < n; i++)                                                                    \
            into[i].MEMBER = OP(into[i].MEMBER, from[i].MEMBER);                                           \
    }
MERGE(merge_add_real, real, ADD_REAL)
MERGE(merge_add_integer, integer, ADD_INTEGER)
MERGE(merge_multiply_real, real, MULTIPLY_REAL)
MERGE(merge_multiply_integer, integer, MULTIPLY_INTEGER)
MERGE(merge_max_real, real, MAX_REAL)
MERGE(merge_min_real, real, MIN_REAL)
MERGE(merge_max_integer, integer, MAX_INTEGER)
MERGE(merge_min_integer, integer, MIN_INTEGER)
MERGE(merge_any, integer, ANY_INTEGER)
MERGE(merge_all, integer, ALL_INTEGER)

/* ---- the plain form: A is the accumulator's type; compilers vectorise the integer ones ---- */

#define LINE(NAME, T, A, MEMBER, OP)                                                                       \
    static void ML_NAME(NAME)(const char *x, int64_t sx, int64_t n, accumulator *total)                    \
    {                                                                                                      \
        A t = total->MEMBER;                                                                               \
        if (sx == (int64_t)sizeof(T)) {                                                                    \
            const T *p = (const T *)x;                                                                     \
            for (int64_t i = 0; i < n; i++)                                                                \
                t = OP(t, (A)p[i]);                                                                        \
        } else                                                                                             \
            for (int64_t i = 0; i < n; i++, x += sx)                                                       \
                t = OP(t, (A)*(const T *)x);                                                               \
        total->MEMBER = t;                                                                                 \
    }
#define ROWS(NAME, T, A, MEMBER, OP)                                                                       \
    static void ML_NAME(NAME)(const char *x, int64_t srow, int64_t rows, int64_t scol, int64_t columns,    \
                              accumulator *totals)                                                         \
    {                                                                                                      \
        for (int64_t i = 0; i < rows; i++, x += srow) {                                                    \
            if (scol == (int64_t)sizeof(T)) {                                                              \
                const T *restrict p = (const T *)x;                                                        \
                accumulator *restrict t = totals;                                                          \
                for (int64_t j = 0; j < columns; j++)                                                      \
                    t[j].MEMBER = OP(t[j].MEMBER, (A)p[j]);                                                \
            } else                                                                                         \
                for (int64_t j = 0; j < columns; j++)                                                      \
                    totals[j].MEMBER = OP(totals[j].MEMBER, (A)*(const T *)(x + j * scol));                \
        }                                                                                                  \
    }
#define BOTH(NAME, T, A, MEMBER, OP) LINE(NAME##_line, T, A, MEMBER, OP) ROWS(NAME##_rows, T, A, MEMBER, OP)

BOTH(plain_sum_f32, float, double, real, ADD_REAL)
ROWS(plain_sum_f64_rows, double, double, real, ADD_REAL)
BOTH(plain_max_f32, float, double, real, MAX_REAL)
BOTH(plain_max_f64, double, double, real, MAX_REAL)
BOTH(plain_min_f32, float, double, real, MIN_REAL)
BOTH(plain_min_f64, double, double, real, MIN_REAL)
BOTH(prod_f32, float, double, real, MULTIPLY_REAL)
BOTH(prod_f64, double, double, real, MULTIPLY_REAL)
#define INTEGERS(T, t)                                                                                     \
    BOTH(sum_##t, T, int64_t, integer, ADD_INTEGER)                                                        \
    BOTH(prod_##t, T, int64_t, integer, MULTIPLY_INTEGER)                                                  \
    BOTH(max_##t, T, int64_t, integer, MAX_INTEGER)                                                        \
    BOTH(min_##t, T, int64_t, integer, MIN_INTEGER)
INTEGERS(int64_t, i64)
INTEGERS(int32_t, i32)
INTEGERS(uint8_t, u8)
#define TRUTHS(T, t)                                                                                       \
    BOTH(any_##t, T, T, integer, ANY_INTEGER)                                                              \
    BOTH(all_##t, T, T, integer, ALL_INTEGER)
/* the accumulator keeps 0 or 1; x is compared with 0 in its own type, so that 0.5 and NaN are true */
#undef LINE
#undef ROWS
#define LINE(NAME, T, A, MEMBER, OP)                                                                       \
    static void ML_NAME(NAME)(const char *x, int64_t sx, int64_t n, accumulator *total)                    \
    {                                                                                                      \
        int64_t t = total->integer;                                                                        \
        for (int64_t i = 0; i < n; i++, x += sx)                                                           \
            t = OP(t, *(const T *)x);                                                                      \
        total->integer = t;                                                                                \
    }
#define ROWS(NAME, T, A, MEMBER, OP)                                                                       \
    static void ML_NAME(NAME)(const char *x, int64_t srow, int64_t rows, int64_t scol, int64_t columns,    \
                              accumulator *totals)                                                         \
    {                                                                                                      \
        for (int64_t i = 0; i < rows; i++, x += srow)                                                      \
            for (int64_t j = 0; j < columns; j++)                                                          \
                totals[j].integer = OP(totals[j].integer, *(const T *)(x + j * scol));                     \
    }
TRUTHS(float, f32)
TRUTHS(double, f64)
TRUTHS(int64_t, i64)
TRUTHS(int32_t, i32)
TRUTHS(uint8_t, u8)
#undef LINE
#undef ROWS
#undef BOTH
#undef INTEGERS
#undef TRUTHS

/* ---- sums of floats ---- */

typedef float ML_NAME(half_f) __attribute__((vector_size(ML_VECTOR_BYTES / 2)));

/* low and high half of v, as doubles */
ML_INLINE void ML_NAME(widen)(vf v, vd *low, vd *high)
{
    ML_NAME(half_f) l, h;
    memcpy(&l, &v, sizeof l);
    memcpy(&h, (const char *)&v + sizeof l, sizeof h);
    *low = __builtin_convertvector(l, vd);
    *high = __builtin_convertvector(h, vd);
}

ML_INLINE double ML_NAME(add_lanes)(vd v)
{
    double t[ML_VD];
    memcpy(t, &v, sizeof t);
    for (int w = ML_VD / 2; w; w /= 2)
        for (int i = 0; i < w; i++)
            t[i] += t[i + w];
    return t[0];
}

/* the elements of a strided line: at most 16 additions in a row, then a tree */
static double ML_NAME(sum_strided_f64)(const char *x, int64_t sx, int64_t n)
{
    if (n > 64) {
        int64_t half = n / 8 * 4;
        return ML_NAME(sum_strided_f64)(x, sx, half) + ML_NAME(sum_strided_f64)(x + half * sx, sx, n - half);
    }
    double a = 0, b = 0, c = 0, d = 0;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4, x += 4 * sx) {
        a += *(const double *)x; b += *(const double *)(x + sx);
        c += *(const double *)(x + 2 * sx); d += *(const double *)(x + 3 * sx);
    }
    for (; i < n; i++, x += sx)
        a += *(const double *)x;
    return (a + b) + (c + d);
}

#define SUM_BLOCK(NAME, T, V, N, LOAD, COLLECT)                                                            \
    static double ML_NAME(NAME)(const T *p, int64_t n)                                                     \
    {                                                                                                      \
        vd low = {0}, high = {0};                                                                          \
        int64_t i = 0;                                                                                     \
        while (n - i >= 8 * N) {                                                                           \
            int64_t stop = i + ml_min(16, (n - i) / (8 * N)) * (8 * N);                                    \
            V a = LOAD(p + i), b = LOAD(p + i + N), c = LOAD(p + i + 2 * N), d = LOAD(p + i + 3 * N);      \
            V e = LOAD(p + i + 4 * N), f = LOAD(p + i + 5 * N), g = LOAD(p + i + 6 * N), h = LOAD(p + i + 7 * N); \
            for (i += 8 * N; i < stop; i += 8 * N) {                                                       \
                a += LOAD(p + i); b += LOAD(p + i + N); c += LOAD(p + i + 2 * N); d += LOAD(p + i + 3 * N);\
                e += LOAD(p + i + 4 * N); f += LOAD(p + i + 5 * N);                                        \
                g += LOAD(p + i + 6 * N); h += LOAD(p + i + 7 * N);                                        \
            }                                                                                              \
            V s = ((a + b) + (c + d)) + ((e + f) + (g + h));                                               \
            COLLECT(s)                                                                                     \
        }                                                                                                  \
        if (n - i >= N) {                                                                                  \
            V s = LOAD(p + i);                                                                             \
            for (i += N; n - i >= N; i += N)                                                               \
                s += LOAD(p + i);                                                                          \
            COLLECT(s)                                                                                     \
        }                                                                                                  \
        double t = ML_NAME(add_lanes)(low + high);                                                         \
        for (; i < n; i++)                                                                                 \
            t += p[i];                                                                                     \
        return t;                                                                                          \
    }
#define COLLECT_F(s) { vd l, h; ML_NAME(widen)(s, &l, &h); low += l; high += h; }
#define COLLECT_D(s) { low += s; }
SUM_BLOCK(sum_block_f32, float, vf, ML_VF, vf_load, COLLECT_F)
SUM_BLOCK(sum_block_f64, double, vd, ML_VD, vd_load, COLLECT_D)
#undef SUM_BLOCK

static double ML_NAME(sum_tree_f64)(const double *p, int64_t n)
{
    if (n <= 512 * ML_VD)                   /* four blocks */
        return ML_NAME(sum_block_f64)(p, n);
    int64_t half = n / (256 * ML_VD) * (128 * ML_VD);
    return ML_NAME(sum_tree_f64)(p, half) + ML_NAME(sum_tree_f64)(p + half, n - half);
}

static void ML_NAME(sum_f32_line)(const char *x, int64_t sx, int64_t n, accumulator *total)
{
    if (sx != 4 || n < ML_VF)
        ML_NAME(plain_sum_f32_line)(x, sx, n, total);
    else
        total->real += ML_NAME(sum_block_f32)((const float *)x, n);
}

static void ML_NAME(sum_f64_line)(const char *x, int64_t sx, int64_t n, accumulator *total)
{
    total->real += sx == 8 ? ML_NAME(sum_tree_f64)((const double *)x, n) : ML_NAME(sum_strided_f64)(x, sx, n);
}

/* Blocks of 16 rows: a strip of four vectors goes down the block in registers, then joins the float64 totals. */
#define SUM_ROWS(NAME, T, V, N, LOAD, JOIN, PLAIN)                                                         \
    static void ML_NAME(NAME)(const char *x, int64_t srow, int64_t rows, int64_t scol, int64_t columns,    \
                              accumulator *totals)                                                         \
    {                                                                                                      \
        if (scol != (int64_t)sizeof(T)) {                                                                  \
            ML_NAME(PLAIN)(x, srow, rows, scol, columns, totals);                                          \
            return;                                                                                        \
        }                                                                                                  \
        for (int64_t first = 0; first < rows; first += 16, x += 16 * srow) {                               \
            int64_t m = ml_min(16, rows - first), j = 0;                                                   \
            for (; j + 4 * N <= columns; j += 4 * N) {                                                     \
                const char *p = x + j * (int64_t)sizeof(T);                                                \
                const T *q = (const T *)p;                                                                 \
                V a = LOAD(q), b = LOAD(q + N), c = LOAD(q + 2 * N), d = LOAD(q + 3 * N);                  \
                for (int64_t i = 1; i < m; i++) {                                                          \
                    q = (const T *)(p + i * srow);                                                         \
                    a += LOAD(q); b += LOAD(q + N); c += LOAD(q + 2 * N); d += LOAD(q + 3 * N);            \
                }                                                                                          \
                JOIN(a, totals + j) JOIN(b, totals + j + N) JOIN(c, totals + j + 2 * N) JOIN(d, totals + j + 3 * N) \
            }                                                                                              \
            for (; j + N <= columns; j += N) {                                                             \
                const char *p = x + j * (int64_t)sizeof(T);                                                \
                V a = LOAD((const T *)p);                                                                  \
                for (int64_t i = 1; i < m; i++)                                                            \
                    a += LOAD((const T *)(p + i * srow));                                                  \
                JOIN(a, totals + j)                                                                        \
            }                                                                                              \
            for (; j < columns; j++) {                                                                     \
                const char *p = x + j * (int64_t)sizeof(T);                                                \
                T a = *(const T *)p;                                                                       \
                for (int64_t i = 1; i < m; i++)                                                            \
                    a += *(const T *)(p + i * srow);                                                       \
                totals[j].real += a;                                                                       \
            }                                                                                              \
        }                                                                                                  \
    }
#define JOIN_F(v, t) { vd l, h; double *o = (double *)(t); ML_NAME(widen)(v, &l, &h);                      \
                       vd_store(o, vd_load(o) + l); vd_store(o + ML_VD, vd_load(o + ML_VD) + h); }
#define JOIN_D(v, t) { double *o = (double *)(t); vd_store(o, vd_load(o) + v); }
SUM_ROWS(sum_f32_rows, float, vf, ML_VF, vf_load, JOIN_F, plain_sum_f32_rows)
SUM_ROWS(sum_f64_rows, double, vd, ML_VD, vd_load, JOIN_D, plain_sum_f64_rows)
#undef SUM_ROWS

/* ---- extremes of floats: a lane takes the new value where it is beyond its own, or NaN ---- */

#define EXTREME_LINE(NAME, T, V, N, LOAD, SELECT, SIGN, OP, PLAIN)                                         \
    static void ML_NAME(NAME)(const char *x, int64_t sx, int64_t n, accumulator *total)                    \
    {                                                                                                      \
        if (sx != (int64_t)sizeof(T) || n < 4 * N) {                                                       \
            ML_NAME(PLAIN)(x, sx, n, total);                                                               \
            return;                                                                                        \
        }                                                                                                  \
        const T *p = (const T *)x;                                                                         \
        V a = LOAD(p), b = LOAD(p + N), c = LOAD(p + 2 * N), d = LOAD(p + 3 * N);                          \
        int64_t i = 4 * N;                                                                                 \
        for (; i + 4 * N <= n; i += 4 * N) {                                                               \
            V u = LOAD(p + i), v = LOAD(p + i + N), s = LOAD(p + i + 2 * N), t = LOAD(p + i + 3 * N);      \
            a = SELECT((u SIGN a) | (u != u), u, a); b = SELECT((v SIGN b) | (v != v), v, b);              \
            c = SELECT((s SIGN c) | (s != s), s, c); d = SELECT((t SIGN d) | (t != t), t, d);              \
        }                                                                                                  \
        a = SELECT((b SIGN a) | (b != b), b, a); c = SELECT((d SIGN c) | (d != d), d, c);                  \
        a = SELECT((c SIGN a) | (c != c), c, a);                                                           \
        T lanes[N];                                                                                        \
        memcpy(lanes, &a, sizeof lanes);                                                                   \
        T best = lanes[0];                                                                                 \
        for (int k = 1; k < N; k++)                                                                        \
            best = OP(best, lanes[k]);                                                                     \
        for (; i < n; i++)                                                                                 \
            best = OP(best, p[i]);                                                                         \
        total->real = OP(total->real, (double)best);                                                       \
    }
EXTREME_LINE(max_f32_line, float, vf, ML_VF, vf_load, vf_select, >, MAX_REAL, plain_max_f32_line)
EXTREME_LINE(min_f32_line, float, vf, ML_VF, vf_load, vf_select, <, MIN_REAL, plain_min_f32_line)
EXTREME_LINE(max_f64_line, double, vd, ML_VD, vd_load, vd_select, >, MAX_REAL, plain_max_f64_line)
EXTREME_LINE(min_f64_line, double, vd, ML_VD, vd_load, vd_select, <, MIN_REAL, plain_min_f64_line)
#undef EXTREME_LINE

/* as SUM_ROWS: a vector goes down a block of rows in a register, then joins the accumulators */
#define EXTREME_ROWS(NAME, T, V, N, LOAD, STORE, SELECT, SIGN, OP, PLAIN)                                  \
    static void ML_NAME(NAME)(const char *x, int64_t srow, int64_t rows, int64_t scol, int64_t columns,    \
                              accumulator *totals)                                                         \
    {                                                                                                      \
        if (scol != (int64_t)sizeof(T) || columns < N) {                                                   \
            ML_NAME(PLAIN)(x, srow, rows, scol, columns, totals);                                          \
            return;                                                                                        \
        }                                                                                                  \
        for (int64_t first = 0; first < rows; first += 64, x += 64 * srow) {                               \
            int64_t m = ml_min(64, rows - first), j = 0;                                                   \
            for (; j + N <= columns; j += N) {                                                             \
                const char *p = x + j * (int64_t)sizeof(T);                                                \
                V a = LOAD((const T *)p);                                                                  \
                for (int64_t i = 1; i < m; i++) {                                                          \
                    V v = LOAD((const T *)(p + i * srow));                                                 \
                    a = SELECT((v SIGN a) | (v != v), v, a);                                               \
                }                                                                                          \
                T lanes[N];                                                                                \
                STORE(lanes, a);                                                                           \
                for (int k = 0; k < N; k++)                                                                \
                    totals[j + k].real = OP(totals[j + k].real, (double)lanes[k]);                         \
            }                                                                                              \
            if (j < columns)                                                                               \
                ML_NAME(PLAIN)(x + j * (int64_t)sizeof(T), srow, m, scol, columns - j, totals + j);        \
        }                                                                                                  \
    }
EXTREME_ROWS(max_f32_rows, float, vf, ML_VF, vf_load, vf_store, vf_select, >, MAX_REAL, plain_max_f32_rows)
EXTREME_ROWS(min_f32_rows, float, vf, ML_VF, vf_load, vf_store, vf_select, <, MIN_REAL, plain_min_f32_rows)
EXTREME_ROWS(max_f64_rows, double, vd, ML_VD, vd_load, vd_store, vd_select, >, MAX_REAL, plain_max_f64_rows)
EXTREME_ROWS(min_f64_rows, double, vd, ML_VD, vd_load, vd_store, vd_select, <, MIN_REAL, plain_min_f64_rows)
#undef EXTREME_ROWS

/* ---- which loops a reduction of a dtype takes ---- */

#define REAL(line, rows, merge, v) {ML_NAME(line), ML_NAME(rows), ML_NAME(merge), 1, {.real = v}}
#define WHOLE(line, rows, merge, v) {ML_NAME(line), ML_NAME(rows), ML_NAME(merge), 0, {.integer = v}}
#define WHOLES(op, merge, v) WHOLE(op##_i64_line, op##_i64_rows, merge, v), \
                             WHOLE(op##_i32_line, op##_i32_rows, merge, v), \
                             WHOLE(op##_u8_line, op##_u8_rows, merge, v), WHOLE(op##_u8_line, op##_u8_rows, merge, v)
static const reduction ML_NAME(sums)[ML_DTYPES] = {
    REAL(sum_f32_line, sum_f32_rows, merge_add_real, 0), REAL(sum_f64_line, sum_f64_rows, merge_add_real, 0),
    WHOLES(sum, merge_add_integer, 0)};
static const reduction ML_NAME(prods)[ML_DTYPES] = {
    REAL(prod_f32_line, prod_f32_rows, merge_multiply_real, 1),
    REAL(prod_f64_line, prod_f64_rows, merge_multiply_real, 1),
    WHOLES(prod, merge_multiply_integer, 1)};
static const reduction ML_NAME(maxima)[ML_DTYPES] = {
    REAL(max_f32_line, max_f32_rows, merge_max_real, -__builtin_inf()),
    REAL(max_f64_line, max_f64_rows, merge_max_real, -__builtin_inf()),
    WHOLES(max, merge_max_integer, INT64_MIN)};
static const reduction ML_NAME(minima)[ML_DTYPES] = {
    REAL(min_f32_line, min_f32_rows, merge_min_real, __builtin_inf()),
    REAL(min_f64_line, min_f64_rows, merge_min_real, __builtin_inf()),
    WHOLES(min, merge_min_integer, INT64_MAX)};
static const reduction ML_NAME(anys)[ML_DTYPES] = {
    WHOLE(any_f32_line, any_f32_rows, merge_any, 0), WHOLE(any_f64_line, any_f64_rows, merge_any, 0),
    WHOLES(any, merge_any, 0)};
static const reduction ML_NAME(alls)[ML_DTYPES] = {
    WHOLE(all_f32_line, all_f32_rows, merge_all, 1), WHOLE(all_f64_line, all_f64_rows, merge_all, 1),
    WHOLES(all, merge_all, 1)};
#undef REAL
#undef WHOLE
#undef WHOLES

#define ENTRY(name, table, nonempty)                                                                       \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                      \
    {                                                                                                      \
        if (!a[0].data || !a[1].data || (nonempty && a[0].size == 0 && a[1].size != 0))                    \
            return ML_BAD_SHAPE;                                                                           \
        return reduce_run(&a[0], &a[1], &ML_NAME(table)[a[0].dtype], settings ? settings : &reduce_plain); \
    }
ENTRY(sum, sums, 0)
ENTRY(prod, prods, 0)
ENTRY(max, maxima, 1)
ENTRY(min, minima, 1)
ENTRY(any, anys, 0)
ENTRY(all, alls, 0)
#undef ENTRY

/* ---- along one axis ---- */

typedef struct {
    const char *x;
    char *y, *index, *other;                /* what each is: see the entry */
    axes kept;                              /* without its innermost axis where that is walked as columns */
    int64_t n, s[4];                        /* the axis, and its stride in each array */
    int64_t columns, c[4], segments;        /* columns walked side by side, and their strides */
    int dtype, reverse, bad;
} ML_NAME(axis_work);

#define AXIS_COLUMNS 256

typedef void (*ML_NAME(axis_block))(ML_NAME(axis_work) *w, const int64_t *offset, int64_t columns);

typedef struct { ML_NAME(axis_work) w; ML_NAME(axis_block) block; } ML_NAME(axis_job);

static void ML_NAME(axis_task)(void *context, int64_t begin, int64_t end)
{
    ML_NAME(axis_job) *job = context;
    ML_NAME(axis_work) *w = &job->w;
    for (int64_t item = begin; item < end; item++) {
        int64_t outer = item / w->segments, column = (item - outer * w->segments) * AXIS_COLUMNS, offset[4];
        for (int k = 0; k < 4; k++)
            offset[k] = axes_offset(&w->kept, w->kept.ndim, k, outer) + column * w->c[k];
        job->block(w, offset, ml_min(AXIS_COLUMNS, w->columns - column));
    }
}

/* Set up arrays a[0..count-1], alike but on `axis`, and run the block over all kept elements. */
static int ML_NAME(axis_run)(ML_NAME(axis_job) *job, const ml_array *const *a, int count, int axis)
{
    ML_NAME(axis_work) *w = &job->w;
    if (axis < 0 || axis >= a[0]->ndim)
        return ML_BAD_SHAPE;
    w->kept.ndim = 0;
    for (int k = 0; k < count; k++)
        if (a[k]->ndim != a[0]->ndim || !a[k]->data)
            return ML_BAD_SHAPE;
    for (int d = 0; d < a[0]->ndim; d++) {
        int64_t s[4] = {0, 0, 0, 0};
        for (int k = 0; k < count; k++) {
            if (d != axis && a[k]->shape[d] != a[0]->shape[d])
                return ML_BAD_SHAPE;
            s[k] = a[k]->strides[d];
        }
        if (d == axis) {
            w->n = a[0]->shape[d];
            memcpy(w->s, s, sizeof s);
        } else
            axes_add(&w->kept, a[0]->shape[d], s[0], s[1], s[2], s[3]);
    }
    axes_merge(&w->kept);
    if (axes_size(&w->kept) == 0)
        return ML_OK;
    int last = w->kept.ndim - 1;
    w->columns = 1;
    memset(w->c, 0, sizeof w->c);
    if (last >= 0 && w->kept.n[last] >= 4 && distance(w->kept.s[0][last]) < distance(w->s[0])) {
        w->columns = w->kept.n[last];
        for (int k = 0; k < 4; k++)
            w->c[k] = w->kept.s[k][last];
        w->kept.ndim--;
    }
    w->segments = ml_ceil_div(w->columns, AXIS_COLUMNS);
    w->bad = 0;
    ml_rt->parallel_for(ML_NAME(axis_task), job, axes_size(&w->kept) * w->segments,
                        ml_max(1, REDUCE_CHUNK / ml_max(1, w->n * ml_min(w->columns, AXIS_COLUMNS))));
    return w->bad ? ML_BAD_INDEX : ML_OK;
}

/* Arrays: x, index, y (or none). First the extreme, then the first place that has it; side by side,
   the best so far of every column and its row. */
#define IS_NAN(v) ((v) != (v))
#define ARG_BLOCK(NAME, T, SIGN, REDUCTION, MEMBER)                                                        \
    static void ML_NAME(NAME)(ML_NAME(axis_work) *w, const int64_t *offset, int64_t columns)               \
    {                                                                                                      \
        const char *x = w->x + offset[0];                                                                  \
        if (columns == 1) {                                                                                \
            const reduction *r = &ML_NAME(REDUCTION)[w->dtype];                                            \
            accumulator total = r->start;                                                                  \
            r->line(x, w->s[0], w->n, &total);                                                             \
            T best = (T)total.MEMBER;                                                                      \
            int64_t i = 0;                                                                                 \
            if (w->s[0] == (int64_t)sizeof(T) && !IS_NAN(best))                                            \
                for (int found = 0; i + 64 <= w->n; i += 64) {      /* vectors tell which 64 have it */    \
                    for (int k = 0; k < 64; k++)                                                           \
                        found |= ((const T *)x)[i + k] == best;                                            \
                    if (found)                                                                             \
                        break;                                                                             \
                }                                                                                          \
            if (IS_NAN(best))                                                                              \
                while (i < w->n - 1 && !IS_NAN(*(const T *)(x + i * w->s[0])))                             \
                    i++;                                                                                   \
            else                                                                                           \
                while (i < w->n - 1 && *(const T *)(x + i * w->s[0]) != best)                              \
                    i++;                                                                                   \
            *(int64_t *)(w->index + offset[1]) = i;                                                        \
            if (w->y)                                                                                      \
                *(T *)(w->y + offset[2]) = *(const T *)(x + i * w->s[0]);                                  \
            return;                                                                                        \
        }                                                                                                  \
        T best[AXIS_COLUMNS];                                                                              \
        int64_t at[AXIS_COLUMNS];                                                                          \
        for (int64_t j = 0; j < columns; j++) {                                                            \
            best[j] = *(const T *)(x + j * w->c[0]);                                                       \
            at[j] = 0;                                                                                     \
        }                                                                                                  \
        for (int64_t i = 1; i < w->n; i++)                                                                 \
            for (int64_t j = 0; j < columns; j++) {                                                        \
                T v = *(const T *)(x + i * w->s[0] + j * w->c[0]);                                         \
                int better = (v SIGN best[j]) | (IS_NAN(v) & !IS_NAN(best[j]));                            \
                best[j] = better ? v : best[j];                                                            \
                at[j] = better ? i : at[j];                                                                \
            }                                                                                              \
        for (int64_t j = 0; j < columns; j++) {                                                            \
            *(int64_t *)(w->index + offset[1] + j * w->c[1]) = at[j];                                      \
            if (w->y)                                                                                      \
                *(T *)(w->y + offset[2] + j * w->c[2]) = best[j];                                          \
        }                                                                                                  \
    }
#define ARG_BLOCKS(T, t, MEMBER)                                                                           \
    ARG_BLOCK(argmax_##t, T, >, maxima, MEMBER)                                                            \
    ARG_BLOCK(argmin_##t, T, <, minima, MEMBER)
ARG_BLOCKS(float, f32, real)
ARG_BLOCKS(double, f64, real)
ARG_BLOCKS(int64_t, i64, integer)
ARG_BLOCKS(int32_t, i32, integer)
ARG_BLOCKS(uint8_t, u8, integer)
#undef ARG_BLOCK
#undef ARG_BLOCKS
static const ML_NAME(axis_block) ML_NAME(argmaxima)[ML_DTYPES] = {
    ML_NAME(argmax_f32), ML_NAME(argmax_f64), ML_NAME(argmax_i64),
    ML_NAME(argmax_i32), ML_NAME(argmax_u8), ML_NAME(argmax_u8)};
static const ML_NAME(axis_block) ML_NAME(argminima)[ML_DTYPES] = {
    ML_NAME(argmin_f32), ML_NAME(argmin_f64), ML_NAME(argmin_i64),
    ML_NAME(argmin_i32), ML_NAME(argmin_u8), ML_NAME(argmin_u8)};

static int ML_NAME(arg_run)(const ml_array *x, const ml_array *y, const ml_array *index, int axis,
                            const ML_NAME(axis_block) *blocks)
{
    ML_NAME(axis_job) job = {.block = blocks[x->dtype]};
    if (!x->data || index->dtype != ML_I64 || (y && y->dtype != x->dtype))
        return ML_BAD_DTYPE;
    if (index->size && x->size == 0)
        return ML_BAD_SHAPE;
    job.w.x = x->data;
    job.w.index = index->data;
    job.w.y = y ? y->data : NULL;
    job.w.dtype = x->dtype;
    const ml_array *arrays[3] = {x, index, y};
    return ML_NAME(axis_run)(&job, arrays, y ? 3 : 2, axis);
}

#define AXIS(settings) (((const ml_axis_settings *)(settings))->axis)
#define ENTRY(name, y, index, blocks)                                                                      \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                      \
    {                                                                                                      \
        return ML_NAME(arg_run)(&a[0], y, index, AXIS(settings), ML_NAME(blocks));                         \
    }
ENTRY(argmax, NULL, &a[1], argmaxima)
ENTRY(argmin, NULL, &a[1], argminima)
ENTRY(max_with_index, &a[1], &a[2], argmaxima)
ENTRY(min_with_index, &a[1], &a[2], argminima)
#undef ENTRY

/* Arrays: dx, index, dy. dx = 0 but for dx[index] = dy. */
#define SCATTER_BLOCK(NAME, T)                                                                             \
    static void ML_NAME(NAME)(ML_NAME(axis_work) *w, const int64_t *offset, int64_t columns)               \
    {                                                                                                      \
        char *dx = w->other + offset[0];                                                                   \
        for (int64_t i = 0; i < w->n; i++)                                                                 \
            for (int64_t j = 0; j < columns; j++)                                                          \
                *(T *)(dx + i * w->s[0] + j * w->c[0]) = 0;                                                \
        for (int64_t j = 0; j < columns; j++) {                                                            \
            int64_t i = *(const int64_t *)(w->index + offset[1] + j * w->c[1]);                            \
            if (i < 0 || i >= w->n)                                                                        \
                __atomic_store_n(&w->bad, 1, __ATOMIC_RELAXED);                                            \
            else                                                                                           \
                *(T *)(dx + i * w->s[0] + j * w->c[0]) = *(const T *)(w->x + offset[2] + j * w->c[2]);     \
        }                                                                                                  \
    }
SCATTER_BLOCK(scatter4, uint32_t)
SCATTER_BLOCK(scatter8, uint64_t)
#undef SCATTER_BLOCK

static int ML_NAME(scatter_axis)(const ml_array *a, const void *settings)
{
    const ml_array *dy = &a[0], *index = &a[1], *dx = &a[2];
    ML_NAME(axis_job) job = {.block = ml_itemsizes[dx->dtype] == 4 ? ML_NAME(scatter4) : ML_NAME(scatter8)};
    if (!dx->data || !dy->data || dx->dtype != dy->dtype || index->dtype != ML_I64 || ml_itemsizes[dx->dtype] < 4)
        return ML_BAD_DTYPE;
    job.w.x = dy->data;
    job.w.index = index->data;
    job.w.other = dx->data;
    const ml_array *arrays[3] = {dx, index, dy};
    int axis = AXIS(settings);
    if (axis < 0 || axis >= dx->ndim || index->ndim != dx->ndim || dy->ndim != dx->ndim ||
        index->shape[axis] != 1 || dy->shape[axis] != 1)
        return ML_BAD_SHAPE;
    return ML_NAME(axis_run)(&job, arrays, 3, axis);
}

/* Arrays: x, y. Running totals in float64 or int64. */
#define CUMSUM_BLOCK(NAME, T, U, A, ADD)                                                                   \
    static void ML_NAME(NAME)(ML_NAME(axis_work) *w, const int64_t *offset, int64_t columns)               \
    {                                                                                                      \
        const char *x = w->x + offset[0];                                                                  \
        char *y = w->y + offset[1];                                                                        \
        int64_t sx = w->s[0], sy = w->s[1];                                                                \
        if (w->reverse) {                                                                                  \
            x += (w->n - 1) * sx; y += (w->n - 1) * sy;                                                    \
            sx = -sx; sy = -sy;                                                                            \
        }                                                                                                  \
        if (columns == 1) {                                                                                \
            A t = 0;                                                                                       \
            for (int64_t i = 0; i < w->n; i++, x += sx, y += sy) {                                         \
                t = ADD(t, (A)*(const T *)x);                                                              \
                *(U *)y = (U)t;                                                                            \
            }                                                                                              \
            return;                                                                                        \
        }                                                                                                  \
        A t[AXIS_COLUMNS] = {0};                                                                           \
        for (int64_t i = 0; i < w->n; i++, x += sx, y += sy)                                               \
            for (int64_t j = 0; j < columns; j++) {                                                        \
                t[j] = ADD(t[j], (A)*(const T *)(x + j * w->c[0]));                                        \
                *(U *)(y + j * w->c[1]) = (U)t[j];                                                         \
            }                                                                                              \
    }
CUMSUM_BLOCK(cumsum_f32, float, float, double, ADD_REAL)
CUMSUM_BLOCK(cumsum_f64, double, double, double, ADD_REAL)
CUMSUM_BLOCK(cumsum_i64, int64_t, int64_t, int64_t, ADD_INTEGER)
CUMSUM_BLOCK(cumsum_i32, int32_t, int64_t, int64_t, ADD_INTEGER)
CUMSUM_BLOCK(cumsum_u8, uint8_t, int64_t, int64_t, ADD_INTEGER)
#undef CUMSUM_BLOCK
static const ML_NAME(axis_block) ML_NAME(cumsums)[ML_DTYPES] = {
    ML_NAME(cumsum_f32), ML_NAME(cumsum_f64), ML_NAME(cumsum_i64),
    ML_NAME(cumsum_i32), ML_NAME(cumsum_u8), ML_NAME(cumsum_u8)};

static int ML_NAME(cumsum)(const ml_array *a, const void *settings)
{
    const ml_array *x = &a[0], *y = &a[1];
    const ml_axis_settings *s = settings;
    ML_NAME(axis_job) job = {.block = ML_NAME(cumsums)[x->dtype]};
    if (!x->data || !y->data || y->dtype != (x->dtype == ML_F32 || x->dtype == ML_F64 ? x->dtype : ML_I64))
        return ML_BAD_DTYPE;
    if (s->axis < 0 || s->axis >= x->ndim || y->ndim != x->ndim || x->shape[s->axis] != y->shape[s->axis])
        return ML_BAD_SHAPE;
    job.w.x = x->data;
    job.w.y = y->data;
    job.w.reverse = s->reverse;
    const ml_array *arrays[2] = {x, y};
    return ML_NAME(axis_run)(&job, arrays, 2, s->axis);
}

/* ---- backward of reductions over several axes ---- */

typedef struct {
    const char *x, *y, *dy;
    char *dx;
    axes kept, reduced;                     /* kept: x, dx, y, dy; reduced: x, dx */
    int64_t lines;
    int nan_to_all;
} ML_NAME(backward_work);

static int ML_NAME(backward_setup)(const ml_array *x, const ml_array *y, const ml_array *dy, const ml_array *dx,
                                   ML_NAME(backward_work) *w)
{
    w->kept.ndim = w->reduced.ndim = 0;
    if (!x->data || !dy->data || !dx->data || (y && (!y->data || y->dtype != x->dtype)) || dy->dtype != x->dtype ||
        dx->dtype != x->dtype || (x->dtype != ML_F32 && x->dtype != ML_F64))
        return ML_BAD_DTYPE;
    if ((y && y->ndim != x->ndim) || dy->ndim != x->ndim || dx->ndim != x->ndim)
        return ML_BAD_SHAPE;
    w->x = x->data; w->y = y ? y->data : NULL; w->dy = dy->data; w->dx = dx->data;
    for (int d = 0; d < x->ndim; d++) {
        if (dx->shape[d] != x->shape[d] || (y && y->shape[d] != dy->shape[d]))
            return ML_BAD_SHAPE;
        if (dy->shape[d] == x->shape[d])
            axes_add(&w->kept, x->shape[d], x->strides[d], dx->strides[d], y ? y->strides[d] : 0, dy->strides[d]);
        else if (dy->shape[d] == 1)
            axes_add(&w->reduced, x->shape[d], x->strides[d], dx->strides[d], 0, 0);
        else
            return ML_BAD_SHAPE;
    }
    axes_merge(&w->kept);
    /* prod_backward multiplies in one order; merging keeps it */
    axes_merge(&w->reduced);
    return ML_OK;
}

/* For every element of y: how many of its x equal it, then dy / count to each of those. */
#define MAX_BACKWARD(NAME, T)                                                                              \
    static void ML_NAME(NAME)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        const ML_NAME(backward_work) *w = context;                                                         \
        const axes *r = &w->reduced;                                                                       \
        int last = r->ndim - 1;                                                                            \
        int64_t n = last >= 0 ? r->n[last] : 1;                                                            \
        int64_t sx = last >= 0 ? r->s[0][last] : 0, sdx = last >= 0 ? r->s[1][last] : 0;                   \
        for (int64_t k = begin; k < end; k++) {                                                            \
            const char *x = w->x + axes_offset(&w->kept, w->kept.ndim, 0, k);                              \
            char *dx = w->dx + axes_offset(&w->kept, w->kept.ndim, 1, k);                                  \
            T y = *(const T *)(w->y + axes_offset(&w->kept, w->kept.ndim, 2, k));                          \
            T dy = *(const T *)(w->dy + axes_offset(&w->kept, w->kept.ndim, 3, k));                        \
            int64_t count = 0;                                                                             \
            for (int64_t line = 0; line < w->lines; line++) {                                              \
                const char *p = x + axes_offset(r, last, 0, line);                                         \
                for (int64_t i = 0; i < n; i++) {                                                          \
                    T v = *(const T *)(p + i * sx);                                                        \
                    count += (v == y) | (IS_NAN(y) & IS_NAN(v));                                           \
                }                                                                                          \
            }                                                                                              \
            T share = dy / (T)count, rest = 0;                                                             \
            if (w->nan_to_all && IS_NAN(y))                                                                \
                share = rest = y;                                                                          \
            for (int64_t line = 0; line < w->lines; line++) {                                              \
                const char *p = x + axes_offset(r, last, 0, line);                                         \
                char *q = dx + axes_offset(r, last, 1, line);                                              \
                for (int64_t i = 0; i < n; i++) {                                                          \
                    T v = *(const T *)(p + i * sx);                                                        \
                    *(T *)(q + i * sdx) = (v == y) | (IS_NAN(y) & IS_NAN(v)) ? share : rest;               \
                }                                                                                          \
            }                                                                                              \
        }                                                                                                  \
    }
MAX_BACKWARD(max_backward_f32, float)
MAX_BACKWARD(max_backward_f64, double)
#undef MAX_BACKWARD

/* dx_i = dy * (product of the x before i) * (product of those after i): right where some x are 0 */
#define PROD_BACKWARD(NAME, T)                                                                             \
    static void ML_NAME(NAME)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        const ML_NAME(backward_work) *w = context;                                                         \
        const axes *r = &w->reduced;                                                                       \
        int64_t n = axes_size(r);                                                                          \
        for (int64_t k = begin; k < end; k++) {                                                            \
            const char *x = w->x + axes_offset(&w->kept, w->kept.ndim, 0, k);                              \
            char *dx = w->dx + axes_offset(&w->kept, w->kept.ndim, 1, k);                                  \
            double before = *(const T *)(w->dy + axes_offset(&w->kept, w->kept.ndim, 3, k)), after = 1;    \
            for (int64_t i = 0; i < n; i++) {                                                              \
                *(T *)(dx + axes_offset(r, r->ndim, 1, i)) = (T)before;                                    \
                before *= *(const T *)(x + axes_offset(r, r->ndim, 0, i));                                 \
            }                                                                                              \
            for (int64_t i = n - 1; i >= 0; i--) {                                                         \
                T *q = (T *)(dx + axes_offset(r, r->ndim, 1, i));                                          \
                *q = (T)(*q * after);                                                                      \
                after *= *(const T *)(x + axes_offset(r, r->ndim, 0, i));                                  \
            }                                                                                              \
        }                                                                                                  \
    }
PROD_BACKWARD(prod_backward_f32, float)
PROD_BACKWARD(prod_backward_f64, double)
#undef PROD_BACKWARD

static int ML_NAME(backward_run)(ML_NAME(backward_work) *w, ml_task task)
{
    int64_t per_output = axes_size(&w->reduced), outputs = axes_size(&w->kept);
    if (outputs == 0 || per_output == 0)
        return ML_OK;
    w->lines = w->reduced.ndim ? per_output / w->reduced.n[w->reduced.ndim - 1] : 1;
    ml_rt->parallel_for(task, w, outputs, ml_max(1, REDUCE_CHUNK / per_output));
    return ML_OK;
}

static int ML_NAME(max_backward)(const ml_array *a, const void *settings)
{
    ML_NAME(backward_work) w = {.nan_to_all = *(const int *)settings};
    int status = ML_NAME(backward_setup)(&a[0], &a[1], &a[2], &a[3], &w);
    ml_task task = a[0].dtype == ML_F32 ? ML_NAME(max_backward_f32) : ML_NAME(max_backward_f64);
    return status ? status : ML_NAME(backward_run)(&w, task);
}

static int ML_NAME(prod_backward)(const ml_array *a, const void *settings)
{
    ML_NAME(backward_work) w;
    (void)settings;
    int status = ML_NAME(backward_setup)(&a[0], NULL, &a[1], &a[2], &w);
    ml_task task = a[0].dtype == ML_F32 ? ML_NAME(prod_backward_f32) : ML_NAME(prod_backward_f64);
    return status ? status : ML_NAME(backward_run)(&w, task);
}
#undef AXIS
#undef AXIS_COLUMNS
#undef IS_NAN

static const reduce_kernels ML_NAME(table) = {
    ML_NAME(sum), ML_NAME(prod), ML_NAME(max), ML_NAME(min), ML_NAME(any), ML_NAME(all),
    ML_NAME(argmax), ML_NAME(argmin), ML_NAME(max_with_index), ML_NAME(min_with_index),
    ML_NAME(max_backward), ML_NAME(scatter_axis), ML_NAME(prod_backward), ML_NAME(cumsum)};
