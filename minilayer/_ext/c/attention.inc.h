/* Attention in tiles (Dao et al., "FlashAttention", 2022; the running softmax: Milakov and Gimelshein, 2018).

   A tile is ATT_ROWS queries by ATT_COLS keys. It lies in the second-level cache, and nothing larger than
   it is ever held of the (T, S) matrix of weights:

       forward, for the queries of a block            backward, for the keys of a block
         for each block of keys                         for each block of queries
           x = q k^T                    (gemm)            x = q k^T, z = dy v^T               (gemm)
           m' = max(m, max x), l = l e^(m-m') + sum       w = e^(x-m) / l, from what forward kept
           x = e^(x-m'), y = y e^(m-m')                   x = w keep, z = w (z keep - delta)
           y += x v                     (gemm)            dv += x^T dy, dk += z^T q, dq += z k (gemm)
         y /= l

   Backward makes a block's dk and dv in one task, and its part of dq beside the other blocks' parts: where
   there are too few batches and groups to keep threads busy, key blocks are cut into chunks, each with a dq
   of its own, and these are added up in order. Causal tiles above the diagonal are left out.

   Scratch: the gemm has slots 0 and 1; a task's tile is in slot 2, what a call's tasks share in the calling
   thread's slot 3. */

#ifndef G_T

#include "vec.h"
#include "philox_core.h"
#include "vecmath.h"
#include <math.h>

#define ATT_ROWS 64
#define ATT_COLS 128
#define ATT_PITCH (ATT_COLS + 16)   /* elements from row to row of a tile: not a power of two */
#define ATT_CHUNKS 8                /* tasks that backward wants at least */
#define ATT_SHARED 16777216         /* elements that its parts of dq may take */

#define att_mask ML_NAME(att_mask)
typedef struct { const char *p; int64_t s[4]; int is_bool; } att_mask;

#define GEMM_USER "attention.inc.h"
#include "gemm.inc.h"
#undef GEMM_USER

GEMM_ENTRY(attention, 0)
GEMM_ENTRY(attention_backward, 1)
GEMM_ENTRY(rotary, 0)

static const attention_kernels ML_NAME(table) = {ML_NAME(attention), ML_NAME(attention_backward), ML_NAME(rotary)};

#undef ATT_ROWS
#undef ATT_COLS
#undef ATT_PITCH
#undef ATT_CHUNKS
#undef ATT_SHARED
#undef att_mask
#undef philox_words
#undef ML_PHILOX_BLOCKS
#undef ML_PHILOX_WORDS

#else /* one element type */

#ifdef G_DOUBLE
#define ML_REAL 8
#else
#define ML_REAL 4
#endif
#include "real.h"

/* An array (B, H, rows, columns) with strides in elements. */
typedef struct { real *p; int64_t s[4]; } G_NAME(view);

typedef struct {
    int64_t B, H, G, T, S, D, E;
    G_NAME(view) q, k, v, y, dy, dq, dk, dv, dmask;
    att_mask mask;
    real *stats;                    /* (2, B, H, T): max and sum of a row */
    real scale, keep;               /* keep = 1 / (1 - p) */
    int causal, drops;
    int32_t least;                  /* dropout keeps where word >> 8 >= least */
    uint64_t seed, offset;
    int64_t chunks;
    real *delta;                    /* (B, H, T): sum_e dy y */
    real *parts;                    /* (chunks - 1, B, H, T, D): dq of the chunks behind the first */
    int failed;
} G_NAME(att);

/* What a task works in. */
typedef struct {
    real x[ATT_ROWS * ATT_PITCH], z[ATT_ROWS * ATT_PITCH];
    real bias[ATT_PITCH], keep[ATT_PITCH];
    real m[ATT_ROWS], l[ATT_ROWS];
} G_NAME(tile_memory);

ML_INLINE real *G_NAME(at)(const G_NAME(view) *x, int64_t b, int64_t h, int64_t row)
{
    return x->p + b * x->s[0] + h * x->s[1] + row * x->s[2];
}

static int G_NAME(view_of)(G_NAME(view) *x, const ml_array *a, int64_t b, int64_t h, int64_t rows, int64_t columns)
{
    const int64_t shape[4] = {b, h, rows, columns};
    x->p = (real *)a->data;
    if (!a->data)
        return ML_OK;
    if (a->ndim != 4 || a->dtype != REAL_DTYPE)
        return a->ndim != 4 ? ML_BAD_SHAPE : ML_BAD_DTYPE;
    for (int d = 0; d < 4; d++) {
        if (a->shape[d] != shape[d])
            return ML_BAD_SHAPE;
        x->s[d] = a->strides[d] / (int64_t)sizeof(real);
    }
    return ML_OK;
}

/* The same for what is written: its columns must be neighbours. */
static int G_NAME(out_of)(G_NAME(view) *x, const ml_array *a, int64_t b, int64_t h, int64_t rows, int64_t columns)
{
    const int status = G_NAME(view_of)(x, a, b, h, rows, columns);
    if (!status && a->data && a->size && columns > 1 && x->s[3] != 1)
        return ML_NOT_CONTIGUOUS;
    return status;
}

/* q k v mask position ... from a; y and stats from z */
static int G_NAME(att_read)(G_NAME(att) *s, const ml_array *a, const ml_array *z, const attention_settings *settings)
{
    int status;
    if (a[0].ndim != 4 || a[1].ndim != 4 || a[2].ndim != 4 || z[0].ndim != 4)
        return ML_BAD_SHAPE;
    s->B = a[0].shape[0], s->H = a[0].shape[1], s->T = a[0].shape[2], s->D = a[0].shape[3];
    s->G = a[1].shape[1], s->S = a[1].shape[2], s->E = a[2].shape[3];
    if (s->G < 1 ? s->H > 0 : s->H % s->G != 0)
        return ML_BAD_SHAPE;
    if ((status = G_NAME(view_of)(&s->q, &a[0], s->B, s->H, s->T, s->D)) ||
        (status = G_NAME(view_of)(&s->k, &a[1], s->B, s->G, s->S, s->D)) ||
        (status = G_NAME(view_of)(&s->v, &a[2], s->B, s->G, s->S, s->E)) ||
        (status = G_NAME(view_of)(&s->y, &z[0], s->B, s->H, s->T, s->E)))
        return status;
    if (a[3].data) {
        if (a[3].dtype != ML_BOOL && a[3].dtype != REAL_DTYPE)
            return ML_BAD_DTYPE;
        const int64_t shape[4] = {s->B, s->H, s->T, s->S};
        for (int d = 0; d < 4; d++) {
            if (a[3].ndim != 4 || a[3].shape[d] != shape[d])
                return ML_BAD_SHAPE;
            s->mask.s[d] = a[3].strides[d];
        }
        s->mask.p = a[3].data;
        s->mask.is_bool = a[3].dtype == ML_BOOL;
    }
    if (z[1].dtype != REAL_DTYPE || z[1].size != 2 * s->B * s->H * s->T)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(&z[1]))
        return ML_NOT_CONTIGUOUS;
    s->stats = (real *)z[1].data;
    s->scale = (real)settings->scale;
    s->causal = settings->causal;
    s->drops = settings->p > 0;
    if (s->drops) {
        if (a[4].dtype != ML_I64)
            return ML_BAD_DTYPE;
        if (a[4].size != 2 || !ml_contiguous(&a[4]))
            return ML_BAD_SHAPE;
        s->seed = (uint64_t)((const int64_t *)a[4].data)[0];
        s->offset = (uint64_t)((const int64_t *)a[4].data)[1];
        s->least = (int32_t)ceil(settings->p * 0x1p24);
        s->keep = (real)(settings->p < 1 ? 1 / (1 - settings->p) : 0);
    }
    return ML_OK;
}

/* c (+)= a b, operands and strides in elements */
static int G_NAME(att_gemm)(int64_t m, int64_t n, int64_t k, const real *a, int64_t rsa, int64_t csa, const real *b,
                            int64_t rsb, int64_t csb, real *c, int64_t rsc, int accumulate)
{
    G_NAME(gemm) g = {.m = m, .n = n, .k = k, .a = a, .rsa = rsa, .csa = csa, .b = b, .rsb = rsb, .csb = csb, .c = c,
                      .rsc = rsc, .csc = 1, .accumulate = accumulate};
    return G_NAME(gemm_run)(&g);
}

/* What is added to the scores of query t for keys s0 .. s0 + n - 1: neighbours in memory. NULL for nothing. */
ML_INLINE const real *G_NAME(bias_of)(const G_NAME(att) *s, int64_t b, int64_t h, int64_t t, int64_t s0, int64_t n,
                                      real *room)
{
    if (!s->mask.p)
        return NULL;
    const int64_t step = s->mask.s[3];
    const char *p = s->mask.p + b * s->mask.s[0] + h * s->mask.s[1] + t * s->mask.s[2] + s0 * step;
    if (s->mask.is_bool) {
        for (int64_t j = 0; j < n; j++)
            room[j] = p[j * step] ? 0 : -REAL_INFINITY;
        return room;
    }
    if (step == (int64_t)sizeof(real))
        return (const real *)p;
    for (int64_t j = 0; j < n; j++)
        room[j] = *(const real *)(p + j * step);
    return room;
}

/* Dropout's factors of query t for keys s0 .. s0 + n - 1, s0 a multiple of 4. Writes up to a multiple of 4. */
ML_INLINE void G_NAME(keep_of)(const G_NAME(att) *s, int64_t b, int64_t h, int64_t t, int64_t s0, int64_t n, real *keep)
{
    const uint64_t row = (uint64_t)((b * s->H + h) * s->T + t), blocks = (uint64_t)ml_ceil_div(s->S, 4);
    const uint64_t first = s->offset + row * blocks + (uint64_t)s0 / 4;
    uint32_t w[ML_PHILOX_WORDS];
    for (int64_t j = 0; j < n; j += ML_PHILOX_WORDS) {
        philox_words(s->seed, first + (uint64_t)j / 4, w);
        for (int i = 0; i < ml_min(ML_PHILOX_WORDS, n - j); i++)
            keep[j + i] = (int32_t)(w[i] >> 8) >= s->least ? s->keep : 0;
    }
}

static const real G_NAME(lane)[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* v in the first n lanes, `other` beyond. A tile's rows have room for whole vectors, so only this tells them apart. */
ML_INLINE rv G_NAME(first)(rv v, int64_t n, real other)
{
    return n >= RN ? v : rv_select(rv_load(G_NAME(lane)) < rv_set((real)n), v, rv_set(other));
}

/* Lanes 0 .. n-1 of scale * x + bias, -inf beyond. */
ML_INLINE rv G_NAME(score)(const real *x, const real *bias, int64_t n, rv scale)
{
    rv v = rv_load(x) * scale;
    if (bias)
        v += rv_load_upto(bias, n, 0);
    return G_NAME(first)(v, n, -REAL_INFINITY);
}

/* How many of the keys s0 .. s0 + n - 1 query t sees. */
ML_INLINE int64_t G_NAME(seen)(const G_NAME(att) *s, int64_t t, int64_t s0, int64_t n)
{
    return s->causal ? ml_max(0, ml_min(n, t + 1 - s0)) : n;
}

/* ---- forward ---- */

static void G_NAME(att_forward)(void *context, int64_t begin, int64_t end)
{
    G_NAME(att) *s = context;
    G_NAME(tile_memory) *w = ml_rt->scratch(2, sizeof *w);
    if (!w) {
        s->failed = 1;
        return;
    }
    const int64_t blocks = ml_ceil_div(s->T, ATT_ROWS);
    const rv scale = rv_set(s->scale);
    for (int64_t item = begin; item < end; item++) {
        const int64_t b = item / blocks / s->H, h = item / blocks % s->H, g = h / (s->H / s->G);
        const int64_t t0 = item % blocks * ATT_ROWS, rows = ml_min(ATT_ROWS, s->T - t0);
        const int64_t last = s->causal ? ml_min(s->S, t0 + rows) : s->S;        /* keys that anyone here sees */
        real *y = G_NAME(at)(&s->y, b, h, t0);
        for (int64_t r = 0; r < rows; r++)
            w->m[r] = -REAL_INFINITY, w->l[r] = 0;
        for (int64_t s0 = 0; s0 < last; s0 += ATT_COLS) {
            const int64_t n = ml_min(ATT_COLS, last - s0);
            if (G_NAME(att_gemm)(rows, n, s->D, G_NAME(at)(&s->q, b, h, t0), s->q.s[2], s->q.s[3],
                                 G_NAME(at)(&s->k, b, g, s0), s->k.s[3], s->k.s[2], w->x, ATT_PITCH, 0))
                s->failed = 1;
            for (int64_t r = 0; r < rows; r++) {
                real *x = w->x + r * ATT_PITCH;
                const int64_t see = G_NAME(seen)(s, t0 + r, s0, n);
                const real *bias = G_NAME(bias_of)(s, b, h, t0 + r, s0, see, w->bias);
                rv top = rv_set(-REAL_INFINITY), sum = rv_set(0);
                for (int64_t j = 0; j < see; j += RN)
                    top = rv_max(G_NAME(score)(x + j, bias ? bias + j : NULL, see - j, scale), top);
                const real before = w->m[r], found = rv_largest(top), m = before > found ? before : found;
                const rv from = rv_set(m == -REAL_INFINITY ? 0 : m);    /* nothing seen yet: e^-inf = 0 */
                int64_t j = 0;
                for (; j < see; j += RN) {
                    rv e = rv_exp(G_NAME(score)(x + j, bias ? bias + j : NULL, see - j, scale) - from);
                    rv_store(x + j, e);
                    sum += e;
                }
                for (; j < n; j += RN)
                    rv_store(x + j, rv_set(0));
                real l = rv_sum(sum);
                if (s0 && m != before) {
                    const real fall = rv_exp(rv_set(before) - from)[0];
                    real *out = y + r * s->y.s[2];
                    for (int64_t e = 0; e < s->E; e++)
                        out[e] *= fall;
                    l += w->l[r] * fall;
                } else {
                    l += w->l[r];
                }
                w->m[r] = m;
                w->l[r] = l;
                if (s->drops) {
                    G_NAME(keep_of)(s, b, h, t0 + r, s0, see, w->keep);
                    for (int64_t i = 0; i < see; i++)
                        x[i] *= w->keep[i];
                }
            }
            if (G_NAME(att_gemm)(rows, s->E, n, w->x, ATT_PITCH, 1, G_NAME(at)(&s->v, b, g, s0), s->v.s[2], s->v.s[3], y,
                                 s->y.s[2], s0 > 0))
                s->failed = 1;
        }
        real *m = s->stats + (b * s->H + h) * s->T + t0, *l = m + s->B * s->H * s->T;
        for (int64_t r = 0; r < rows; r++) {
            const real scaled = last == 0 || w->l[r] == 0 ? 0 : 1 / w->l[r];
            real *out = y + r * s->y.s[2];
            m[r] = w->m[r] == -REAL_INFINITY ? 0 : w->m[r];
            l[r] = w->l[r];
            if (last == 0)
                memset(out, 0, (size_t)s->E * sizeof(real));
            else
                for (int64_t e = 0; e < s->E; e++)
                    out[e] *= scaled;
        }
    }
}

static int G_NAME(attention)(const ml_array *a, const attention_settings *settings)
{
    G_NAME(att) s = {0};
    int status = G_NAME(att_read)(&s, a, a + 5, settings);
    if (!status)
        status = G_NAME(out_of)(&s.y, &a[5], s.B, s.H, s.T, s.E);
    if (status)
        return status;
    const double flops = 2.0 * ATT_ROWS * (double)(s.S + 1) * (double)(s.D + s.E + 20);
    const int64_t tasks = s.B * s.H * ml_ceil_div(s.T, ATT_ROWS);
    ml_rt->parallel_for(G_NAME(att_forward), &s, tasks, gemm_grain(flops, tasks));
    return s.failed ? ML_NO_MEMORY : ML_OK;
}

/* ---- backward ---- */

/* delta[b,h,t] = sum_e dy[b,h,t,e] y[b,h,t,e], which is sum_s w dw */
static void G_NAME(att_delta)(void *context, int64_t begin, int64_t end)
{
    const G_NAME(att) *s = context;
    for (int64_t i = begin; i < end; i++) {
        const int64_t t = i % s->T, h = i / s->T % s->H, b = i / s->T / s->H;
        const real *dy = G_NAME(at)(&s->dy, b, h, t), *y = G_NAME(at)(&s->y, b, h, t);
        const int64_t p = s->dy.s[3], q = s->y.s[3];
        double sum = 0;
        if (p == 1 && q == 1) {
            rv part = rv_set(0);
            for (int64_t e = 0; e < s->E; e += RN)
                part += rv_load_upto(dy + e, s->E - e, 0) * rv_load_upto(y + e, s->E - e, 0);
            sum = rv_sum(part);
        } else {
            for (int64_t e = 0; e < s->E; e++)
                sum += (double)dy[e * p] * (double)y[e * q];
        }
        s->delta[i] = (real)sum;
    }
}

static void G_NAME(att_zero)(const G_NAME(view) *x, int64_t b, int64_t h, int64_t first, int64_t rows, int64_t columns)
{
    for (int64_t r = first; x->p && r < first + rows; r++)
        memset(G_NAME(at)(x, b, h, r), 0, (size_t)columns * sizeof(real));
}

/* One tile: x becomes w keep and z scale ds, for rows t0 .. and keys s0 .. */
static void G_NAME(att_weights)(const G_NAME(att) *s, G_NAME(tile_memory) *w, int64_t b, int64_t h, int64_t t0,
                                int64_t rows, int64_t s0, int64_t n)
{
    const rv scale = rv_set(s->scale);
    const int64_t row0 = (b * s->H + h) * s->T + t0;
    const real *m = s->stats + row0, *l = m + s->B * s->H * s->T, *delta = s->delta + row0;
    for (int64_t r = 0; r < rows; r++) {
        real *x = w->x + r * ATT_PITCH, *z = w->z + r * ATT_PITCH;
        const int64_t see = G_NAME(seen)(s, t0 + r, s0, n);
        const real *bias = G_NAME(bias_of)(s, b, h, t0 + r, s0, see, w->bias);
        const rv from = rv_set(m[r]), over = rv_set(l[r] == 0 ? 0 : 1 / l[r]), less = rv_set(delta[r]);
        real *dmask = s->dmask.p ? G_NAME(at)(&s->dmask, b, h, t0 + r) + s0 : NULL;
        if (s->drops)
            G_NAME(keep_of)(s, b, h, t0 + r, s0, see, w->keep);
        int64_t j = 0;
        for (; j < see; j += RN) {
            rv p = rv_exp(G_NAME(score)(x + j, bias ? bias + j : NULL, see - j, scale) - from) * over;
            rv dw = rv_load(z + j), kept = p;
            if (s->drops) {
                rv keep = rv_load(w->keep + j);
                kept = G_NAME(first)(p * keep, see - j, 0);
                dw = dw * keep;
            }
            rv ds = G_NAME(first)(p * (dw - less), see - j, 0);
            rv_store(x + j, kept);
            rv_store(z + j, ds * scale);
            if (dmask)
                rv_store_upto(dmask + j, n - j, ds);
        }
        for (; j < n; j += RN) {
            rv_store(x + j, rv_set(0));
            rv_store(z + j, rv_set(0));
            if (dmask)
                rv_store_upto(dmask + j, n - j, rv_set(0));
        }
    }
}

static void G_NAME(att_backward)(void *context, int64_t begin, int64_t end)
{
    G_NAME(att) *s = context;
    G_NAME(tile_memory) *w = ml_rt->scratch(2, sizeof *w);
    if (!w) {
        s->failed = 1;
        return;
    }
    const int64_t blocks = ml_ceil_div(s->S, ATT_COLS), shared = s->H / s->G;
    int failed = 0;
    for (int64_t item = begin; item < end; item++) {
        const int64_t chunk = item % s->chunks, g = item / s->chunks % s->G, b = item / s->chunks / s->G;
        const int64_t h0 = g * shared;
        G_NAME(view) dq = s->dq;
        if (s->dq.p && chunk) {
            dq = (G_NAME(view)){s->parts + (chunk - 1) * s->B * s->H * s->T * s->D,
                                {s->H * s->T * s->D, s->T * s->D, s->D, 1}};
            for (int64_t h = h0; h < h0 + shared; h++)
                G_NAME(att_zero)(&dq, b, h, 0, s->T, s->D);
        }
        for (int64_t block = chunk * blocks / s->chunks; block < (chunk + 1) * blocks / s->chunks; block++) {
            const int64_t s0 = block * ATT_COLS, n = ml_min(ATT_COLS, s->S - s0);
            const int64_t first = s->causal ? s0 / ATT_ROWS * ATT_ROWS : 0;     /* of the queries that see a key here */
            real *dk = s->dk.p ? G_NAME(at)(&s->dk, b, g, s0) : NULL, *dv = s->dv.p ? G_NAME(at)(&s->dv, b, g, s0) : NULL;
            const real *k = G_NAME(at)(&s->k, b, g, s0), *v = G_NAME(at)(&s->v, b, g, s0);
            if (first >= s->T) {
                G_NAME(att_zero)(&s->dk, b, g, s0, n, s->D);
                G_NAME(att_zero)(&s->dv, b, g, s0, n, s->E);
                continue;
            }
            for (int64_t h = h0; h < h0 + shared; h++)
                for (int64_t t0 = first; t0 < s->T; t0 += ATT_ROWS) {
                    const int64_t rows = ml_min(ATT_ROWS, s->T - t0);
                    const real *q = G_NAME(at)(&s->q, b, h, t0), *dy = G_NAME(at)(&s->dy, b, h, t0);
                    const int more = h > h0 || t0 > first;
                    failed |= G_NAME(att_gemm)(rows, n, s->D, q, s->q.s[2], s->q.s[3], k, s->k.s[3], s->k.s[2], w->x,
                                               ATT_PITCH, 0);
                    failed |= G_NAME(att_gemm)(rows, n, s->E, dy, s->dy.s[2], s->dy.s[3], v, s->v.s[3], s->v.s[2], w->z,
                                               ATT_PITCH, 0);
                    G_NAME(att_weights)(s, w, b, h, t0, rows, s0, n);
                    if (dv)
                        failed |= G_NAME(att_gemm)(n, s->E, rows, w->x, 1, ATT_PITCH, dy, s->dy.s[2], s->dy.s[3], dv,
                                                   s->dv.s[2], more);
                    if (dk)
                        failed |= G_NAME(att_gemm)(n, s->D, rows, w->z, 1, ATT_PITCH, q, s->q.s[2], s->q.s[3], dk,
                                                   s->dk.s[2], more);
                    if (dq.p)
                        failed |= G_NAME(att_gemm)(rows, s->D, n, w->z, ATT_PITCH, 1, k, s->k.s[2], s->k.s[3],
                                                   G_NAME(at)(&dq, b, h, t0), dq.s[2], chunk || block);
                }
        }
    }
    if (failed)
        s->failed = 1;
}

/* dq += the other chunks' parts, in order. */
static void G_NAME(att_gather)(void *context, int64_t begin, int64_t end)
{
    const G_NAME(att) *s = context;
    for (int64_t i = begin; i < end; i++) {
        const int64_t t = i % s->T, h = i / s->T % s->H, b = i / s->T / s->H;
        real *dq = G_NAME(at)(&s->dq, b, h, t);
        for (int64_t c = 0; c < s->chunks - 1; c++) {
            const real *part = s->parts + (c * s->B * s->H * s->T + i) * s->D;
            for (int64_t d = 0; d < s->D; d++)
                dq[d] += part[d];
        }
    }
}

/* dy q k v mask position y stats dq dk dv dmask */
static int G_NAME(attention_backward)(const ml_array *a, const attention_settings *settings)
{
    G_NAME(att) s = {0};
    int status = a[0].ndim == 4 ? G_NAME(att_read)(&s, a + 1, a + 6, settings) : ML_BAD_SHAPE;
    if (status || (status = G_NAME(view_of)(&s.dy, &a[0], s.B, s.H, s.T, s.E)) ||
        (status = G_NAME(out_of)(&s.dq, &a[8], s.B, s.H, s.T, s.D)) ||
        (status = G_NAME(out_of)(&s.dk, &a[9], s.B, s.G, s.S, s.D)) ||
        (status = G_NAME(out_of)(&s.dv, &a[10], s.B, s.G, s.S, s.E)) ||
        (status = G_NAME(out_of)(&s.dmask, &a[11], s.B, s.H, s.T, s.S)))
        return status;
    const int64_t rows = s.B * s.H * s.T, blocks = ml_ceil_div(s.S, ATT_COLS);
    if (rows == 0 || blocks == 0) {                 /* nobody asks, or there is nothing to see */
        for (int64_t b = 0; b < s.B; b++) {
            for (int64_t h = 0; h < s.H; h++)
                G_NAME(att_zero)(&s.dq, b, h, 0, s.T, s.D);
            for (int64_t g = 0; g < s.G; g++) {
                G_NAME(att_zero)(&s.dk, b, g, 0, s.S, s.D);
                G_NAME(att_zero)(&s.dv, b, g, 0, s.S, s.E);
            }
        }
        return ML_OK;
    }
    s.chunks = ml_min(blocks, ml_ceil_div(ATT_CHUNKS, s.B * s.G));
    if (s.dq.p && s.D)
        s.chunks = ml_min(s.chunks, 1 + ATT_SHARED / (rows * s.D));
    s.delta = ml_rt->scratch(3, (size_t)(rows + (s.chunks - 1) * rows * s.D) * sizeof(real));
    if (!s.delta)
        return ML_NO_MEMORY;
    s.parts = s.delta + rows;
    ml_rt->parallel_for(G_NAME(att_delta), &s, rows, ml_grain(32768, s.E));
    if (s.dmask.p && s.causal)                      /* tiles above the diagonal are never visited */
        for (int64_t i = 0; i < s.B * s.H; i++)
            G_NAME(att_zero)(&s.dmask, i / s.H, i % s.H, 0, s.T, s.S);
    const double flops = 2.0 * (double)(rows / s.B / s.G + 1) * (double)(s.S / s.chunks + 1) * (double)(3 * s.D + 2 * s.E + 20);
    ml_rt->parallel_for(G_NAME(att_backward), &s, s.B * s.G * s.chunks, gemm_grain(flops, s.B * s.G * s.chunks));
    if (s.chunks > 1 && s.dq.p)
        ml_rt->parallel_for(G_NAME(att_gather), &s, rows, ml_grain(32768, s.D * s.chunks));
    return s.failed ? ML_NO_MEMORY : ML_OK;
}

/* ---- rotary positions ---- */

typedef struct {
    int64_t H, T, half;
    G_NAME(view) x, y;
    const real *cosine, *sine;
    real sign;
    int interleaved;
} G_NAME(turn);

static void G_NAME(rotary_rows)(void *context, int64_t begin, int64_t end)
{
    const G_NAME(turn) *k = context;
    const int64_t half = k->half, step = k->x.s[3];
    const rv sign = rv_set(k->sign);
    for (int64_t row = begin; row < end; row++) {
        const int64_t t = row % k->T, h = row / k->T % k->H, b = row / k->T / k->H;
        const real *x = G_NAME(at)(&k->x, b, h, t), *cosine = k->cosine + t * half, *sine = k->sine + t * half;
        real *y = G_NAME(at)(&k->y, b, h, t);
        if (k->interleaved || step != 1) {
            const int64_t apart = k->interleaved ? 1 : half, next = k->interleaved ? 2 : 1;
            for (int64_t i = 0; i < half; i++) {
                const real p = x[i * next * step], q = x[(i * next + apart) * step], s = k->sign * sine[i];
                y[i * next] = p * cosine[i] - q * s;
                y[i * next + apart] = q * cosine[i] + p * s;
            }
            continue;
        }
        for (int64_t i = 0; i < half; i += RN) {
            const int64_t n = half - i;
            const rv p = rv_load_upto(x + i, n, 0), q = rv_load_upto(x + half + i, n, 0);
            const rv c = rv_load_upto(cosine + i, n, 0), s = sign * rv_load_upto(sine + i, n, 0);
            rv_store_upto(y + i, n, p * c - q * s);
            rv_store_upto(y + half + i, n, q * c + p * s);
        }
    }
}

/* x cosine sine y */
static int G_NAME(rotary)(const ml_array *a, const rotary_settings *settings)
{
    G_NAME(turn) k = {.interleaved = settings->interleaved, .sign = settings->inverse ? -1 : 1};
    if (a[0].ndim != 4 || a[0].shape[3] % 2)
        return ML_BAD_SHAPE;
    const int64_t B = a[0].shape[0], D = a[0].shape[3];
    k.H = a[0].shape[1], k.T = a[0].shape[2], k.half = D / 2;
    int status = G_NAME(view_of)(&k.x, &a[0], B, k.H, k.T, D);
    if (status || (status = G_NAME(out_of)(&k.y, &a[3], B, k.H, k.T, D)))
        return status;
    for (int i = 1; i < 3; i++) {
        if (a[i].dtype != REAL_DTYPE)
            return ML_BAD_DTYPE;
        if (a[i].ndim != 2 || a[i].shape[0] != k.T || a[i].shape[1] != k.half)
            return ML_BAD_SHAPE;
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    }
    k.cosine = (const real *)a[1].data, k.sine = (const real *)a[2].data;
    ml_rt->parallel_for(G_NAME(rotary_rows), &k, B * k.H * k.T, ml_grain(16384, D));
    return ML_OK;
}

#endif
