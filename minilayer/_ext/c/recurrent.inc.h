/* A whole sequence in one call: each step is a small matrix product, state times weights, and the gates made of it.

   What a step costs beside its multiplications is bringing the operands into order and waking the threads. So

   - the weights are packed once a sequence, into the panels that the micro-kernel of gemm.inc.h reads: for forward
     G_NR hidden units of every gate, for backward the same units as columns of w_hh;
   - the state is never packed: the loop that makes it writes it, beside its place in y, into the layout in which the
     next step reads it (two such buffers, by turns);
   - a task is a panel of units. It multiplies for all their gates, applies the gates while the sums are still in the
     nearest cache, and updates cell and state, so that a step is one parallel loop.

   Backward walks the steps the other way: dh' = dgates w_hh for a panel of units, then their gates' gradients, which
   are the next product's operand. dh0 and dc0 carry what flows from step to step and hold, in the end, the gradients of
   the initial states: a sequence's row is left alone before its last step, and after its first. A projection is a
   second product and a second loop.

   A unit's sum runs over the whole state in an order fixed by the shape, so results do not depend on the number of
   threads. Scratch: slot 0, the calling thread's. */

#ifndef G_T

#include "vec.h"
#include "vecmath.h"

#ifndef RECURRENT_ONCE
#define RECURRENT_ONCE

/* One step in the order they are taken: its rows, and those of the step taken before. */
typedef struct {
    int64_t row, n;                 /* first row; how many */
    int64_t last, before;           /* first row of the step before; how many rows go on from there */
} recurrent_step;

/* The steps' time, number s of them in the order taken. */
static inline int64_t recurrent_time(int64_t s, int64_t steps, int reverse) { return reverse ? steps - 1 - s : s; }

/* Do the batch sizes fall, from at most B to at least 1, and sum to N? */
static int recurrent_check_sizes(const ml_array *sizes, int64_t B, int64_t N)
{
    if (sizes->dtype != ML_I64)
        return ML_BAD_DTYPE;
    if (sizes->ndim != 1)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(sizes))
        return ML_NOT_CONTIGUOUS;
    const int64_t *n = (const int64_t *)sizes->data;
    int64_t sum = 0;
    for (int64_t t = 0; t < sizes->size; t++) {
        if (n[t] < 0 || n[t] > (t ? n[t - 1] : B))
            return ML_BAD_SHAPE;
        sum += n[t];
    }
    return sum == N && (sizes->size == 0 || n[0] == B) ? ML_OK : ML_BAD_SHAPE;
}

static inline int recurrent_is(const ml_array *a, int64_t rows, int64_t columns)
{
    return !a->data || (a->ndim == 2 && a->shape[0] == rows && a->shape[1] == columns);
}
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"     /* a step is made of gemm.inc.h's tiles, not of its products */
#define GEMM_USER "recurrent.inc.h"
#include "gemm.inc.h"
#undef GEMM_USER
#pragma GCC diagnostic pop

GEMM_ENTRY(previous, 2)
GEMM_ENTRY(rnn, 4)
GEMM_ENTRY(rnn_backward, 4)
GEMM_ENTRY(lstm, 9)
GEMM_ENTRY(lstm_backward, 8)
GEMM_ENTRY(gru, 6)
GEMM_ENTRY(gru_backward, 7)

static const recurrent_kernels ML_NAME(table) = {
    ML_NAME(previous), ML_NAME(rnn), ML_NAME(rnn_backward), ML_NAME(lstm), ML_NAME(lstm_backward), ML_NAME(gru),
    ML_NAME(gru_backward)};

#else /* one element type */

#ifdef G_DOUBLE
#define R_TANH vd_tanh
#define R_SIGMOID vd_sigmoid
#else
#define R_TANH vf_tanh
#define R_SIGMOID vf_sigmoid
#endif
#define R_S G_NAME(recurrence)

/* ---- operands ---- */

/* The left operand of a step's product: rows (B, groups, K), block by block of K as the micro-kernel reads them. */
typedef struct {
    G_T *p;
    int64_t rows, k, kc, blocks;    /* kc terms a block, blocks of them a group */
} G_NAME(left);

static void G_NAME(left_shape)(G_NAME(left) *a, int64_t rows, int64_t k)
{
    a->rows = rows;
    a->k = k;
    a->blocks = ml_max(1, ml_ceil_div(k, G_KC));
    a->kc = ml_max(1, ml_ceil_div(ml_ceil_div(k, a->blocks), G_VL)) * G_VL;     /* no vector lies in two blocks */
    a->blocks = ml_max(1, ml_ceil_div(k, a->kc));
}

static int64_t G_NAME(left_size)(const G_NAME(left) *a, int64_t groups)
{
    return groups * a->blocks * a->rows * G_PITCH + 64 / (int64_t)sizeof(G_T);
}

/* Where element j (a multiple of G_VL) of a group of row b stands. */
ML_INLINE G_T *G_NAME(left_at)(const G_NAME(left) *a, G_T *p, int64_t group, int64_t b, int64_t j)
{
    return p + ((group * a->blocks + j / a->kc) * a->rows + b) * G_PITCH + j % a->kc;
}

/* Rows [first, stop) of group 0 from a matrix (.., k) in C order, or zeros. */
static void G_NAME(left_fill)(const G_NAME(left) *a, G_T *p, const G_T *source, int64_t first, int64_t stop)
{
    for (int64_t block = 0; block < a->blocks; block++) {
        const int64_t j = block * a->kc, k = ml_min(a->kc, a->k - j);
        for (int64_t b = first; b < stop; b++) {
            G_T *d = G_NAME(left_at)(a, p, 0, b, j);
            if (source)
                memcpy(d, source + b * a->k + j, (size_t)k * sizeof(G_T));
            else
                memset(d, 0, (size_t)k * sizeof(G_T));
        }
    }
}

/* The right operand, the weights: `groups` matrices (k, n) side by side, packed into panels (k, G_NR). A group's panel
   for the first columns is followed by the next group's for the same: they are multiplied by one task. */
typedef struct {
    const G_T *b;
    int64_t rs, cs;                 /* element (p, j) of group g is b[p rs + (g n + j) cs] */
    int64_t k, n, groups;
    G_T *p;
} G_NAME(right);

static void G_NAME(pack_panels)(void *context, int64_t begin, int64_t end)
{
    const G_NAME(right) *r = context;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j = q / r->groups * G_NR, group = q % r->groups;
        G_NAME(pack_b)(r->p + q * r->k * G_NR, G_NR, r->b + (group * r->n + j) * r->cs, r->rs, r->cs, r->k,
                       (int)ml_min(G_NR, r->n - j));
    }
}

static int64_t G_NAME(right_size)(const G_NAME(right) *r)
{
    return ml_ceil_div(r->n, G_NR) * r->groups * r->k * G_NR + 2 * G_NR;
}

static void G_NAME(right_pack)(G_NAME(right) *r)
{
    ml_rt->parallel_for(G_NAME(pack_panels), r, ml_ceil_div(r->n, G_NR) * r->groups,
                        ml_max(1, 32768 / (r->k * G_NR + 1)));
}

/* c[i, j] = (accumulate ? c : 0) + sum over groups and terms of a[i, p] b[p, j] (+ bias[j]) for i < m, j < n <= G_NR */
static void G_NAME(multiply)(const G_NAME(left) *a, const G_T *pa, int64_t groups, const G_T *panel, G_T *c,
                             int64_t ldc, int64_t m, int n, int accumulate, const G_T *bias)
{
    const int64_t strips = ml_ceil_div(m, G_MR), blocks = groups * a->blocks;
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t j = block % a->blocks * a->kc, k = ml_min(a->kc, a->k - j);
        const G_T *b = panel + (block / a->blocks * a->k + j) * G_NR;
        G_NAME(epilogue) e = {0};
        if (block == blocks - 1 && bias) {
            e.col_bias = bias;
            e.bias_step = 1;
        }
        for (int64_t strip = 0; strip < strips; strip++) {
            const int64_t i = strip * m / strips, next = (strip + 1) * m / strips;
            G_NAME(tile)(k, pa + (block * a->rows + i) * G_PITCH, b, G_NR, c + i * ldc, ldc, 1, (int)(next - i), n,
                         accumulate || block, &e);
        }
    }
}

/* ---- what all three share ---- */

typedef struct {
    int64_t B, N, H, P, gates, steps;   /* P features of the state, = H without a projection */
    const int64_t *sizes;
    int reverse, relu;
    const G_T *h0, *c0, *b_hh;
    G_T *x, *cells, *m, *u, *y, *hn, *cn;           /* forward; x: products with the input, then gates */
    const G_T *dy, *saved, *saved_cells, *saved_u, *saved_y;    /* backward */
    G_T *dx, *du, *dh, *dh0, *dc0, *dm;
    G_NAME(left) state, units;      /* (B, P); (gates or 1, B, H) */
    G_NAME(right) w, w_hr;
    G_T *now, *next, *pm;           /* packed state (forward) or dgates (backward), by turns; packed m, or dh */
    recurrent_step s;
    int64_t flow;                   /* backward: rows into which dgates of the step after flow back */
} R_S;

/* Step number s in the order taken; called with s = 0, 1, ... or s = steps - 1, steps - 2, ... */
static void G_NAME(begin_walk)(R_S *r, int back)
{
    const int64_t t = recurrent_time(back ? r->steps - 1 : 0, r->steps, r->reverse);
    r->s.row = t ? r->N - r->sizes[t] : 0;
    r->s.n = r->steps ? r->sizes[t] : 0;
}

/* Fill in what a step goes on from, s.row and s.n being known. */
static void G_NAME(look_back)(R_S *r, int64_t s)
{
    if (s == 0) {
        r->s.last = r->s.before = 0;
        return;
    }
    const int64_t t = recurrent_time(s, r->steps, r->reverse), n = r->sizes[r->reverse ? t + 1 : t - 1];
    r->s.last = r->reverse ? r->s.row + r->s.n : r->s.row - n;
    r->s.before = ml_min(n, r->s.n);
}

/* On to the step after (forward) or before (back) in the order taken. */
static void G_NAME(go)(R_S *r, int64_t s, int back)
{
    const int later = r->reverse == (back != 0);        /* in time */
    const int64_t t = recurrent_time(s, r->steps, r->reverse);
    const int64_t next = later ? t + 1 : t - 1;
    if (next < 0 || next >= r->steps)
        return;
    r->s.row += later ? r->sizes[t] : -r->sizes[next];
    r->s.n = r->sizes[next];
}

ML_INLINE G_V G_NAME(get)(const G_T *p, int lanes)
{
    return lanes == G_VL ? G_LOAD(p) : G_NAME(load_part)(p, lanes);
}

ML_INLINE void G_NAME(put)(G_T *p, G_V v, int lanes)
{
    if (lanes == G_VL)
        G_STORE(p, v);
    else
        G_NAME(store_part)(p, v, lanes);
}

/* Row b's state before the step in hand, from a matrix (N, width) of states or from the initial ones (NULL: zeros). */
ML_INLINE const G_T *G_NAME(before)(const R_S *r, const G_T *states, const G_T *initial, int64_t b, int64_t width)
{
    return b < r->s.before ? states + (r->s.last + b) * width : initial ? initial + b * width : NULL;
}

ML_INLINE G_V G_NAME(get_or_zero)(const G_T *p, int64_t j, int lanes)
{
    return p ? G_NAME(get)(p + j, lanes) : G_SET(0);
}

/* One step's loop over the panels of its units, `terms` products a sum, for the n texts that are not over. */
static void G_NAME(step_loop)(ml_task task, R_S *r, int64_t panels, int64_t n, int64_t terms)
{
    ml_rt->parallel_for(task, r, panels, gemm_grain(2.0 * n * terms * G_NR + 2000 * n, panels));
}

/* final[b] = the state after row b's last step */
static void G_NAME(copy_last)(const R_S *r, const G_T *states, G_T *final, int64_t width)
{
    if (r->reverse) {
        memcpy(final, states, (size_t)(r->B * width) * sizeof(G_T));
        return;
    }
    int64_t row = r->N, done = 0;
    for (int64_t t = r->steps - 1; t >= 0; t--) {
        row -= r->sizes[t];
        if (r->sizes[t] > done) {
            memcpy(final + done * width, states + (row + done) * width,
                   (size_t)((r->sizes[t] - done) * width) * sizeof(G_T));
            done = r->sizes[t];
        }
    }
}

/* The lanes of a panel's vector: for (int64_t j = j0; j < stop; j += G_VL) */
#define R_EACH_VECTOR(j, lanes)                                                             \
    for (int64_t j = j0, lanes = ml_min(G_VL, stop - j0); j < stop;                         \
         j += G_VL, lanes = ml_min(G_VL, stop - j))

/* ---- forward: a task is a panel of units ---- */

static void G_NAME(rnn_step)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    const int64_t H = r->H, n = r->s.n;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, H);
        G_T *y = r->y + r->s.row * H;
        G_NAME(multiply)(&r->state, r->now, 1, r->w.p + q * r->w.k * G_NR, y + j0, H, n, (int)(stop - j0), 1,
                         r->b_hh ? r->b_hh + j0 : NULL);
        for (int64_t b = 0; b < n; b++)
            R_EACH_VECTOR(j, lanes) {
                G_V z = G_NAME(get)(y + b * H + j, (int)lanes);
                G_V h = r->relu ? G_NAME(activate)(z, GEMM_RELU) : R_TANH(z);
                G_NAME(put)(y + b * H + j, h, (int)lanes);
                G_STORE(G_NAME(left_at)(&r->state, r->next, 0, b, j), h);
            }
    }
}

static void G_NAME(lstm_step)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    const int64_t H = r->H, n = r->s.n;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, H);
        G_T *x = r->x + r->s.row * 4 * H, *cells = r->cells + r->s.row * H;
        for (int gate = 0; gate < 4; gate++)
            G_NAME(multiply)(&r->state, r->now, 1, r->w.p + (q * 4 + gate) * r->w.k * G_NR, x + gate * H + j0, 4 * H, n,
                             (int)(stop - j0), 1, r->b_hh ? r->b_hh + gate * H + j0 : NULL);
        G_T *out = r->m ? r->m : r->y;
        for (int64_t b = 0; b < n; b++) {
            const G_T *last = G_NAME(before)(r, r->cells, r->c0, b, H);
            G_T *g0 = x + b * 4 * H;
            R_EACH_VECTOR(j, lanes) {
                const int l = (int)lanes;
                G_V i = R_SIGMOID(G_NAME(get)(g0 + j, l)), f = R_SIGMOID(G_NAME(get)(g0 + H + j, l));
                G_V g = R_TANH(G_NAME(get)(g0 + 2 * H + j, l)), o = R_SIGMOID(G_NAME(get)(g0 + 3 * H + j, l));
                G_V c = f * G_NAME(get_or_zero)(last, j, l) + i * g;
                G_V h = o * R_TANH(c);
                G_NAME(put)(g0 + j, i, l);
                G_NAME(put)(g0 + H + j, f, l);
                G_NAME(put)(g0 + 2 * H + j, g, l);
                G_NAME(put)(g0 + 3 * H + j, o, l);
                G_NAME(put)(cells + b * H + j, c, l);
                G_NAME(put)(out + (r->s.row + b) * H + j, h, l);
                if (r->m)
                    G_STORE(G_NAME(left_at)(&r->units, r->pm, 0, b, j), h);
                else
                    G_STORE(G_NAME(left_at)(&r->state, r->next, 0, b, j), h);
            }
        }
    }
}

/* h = m w_hr^T, a panel of h */
static void G_NAME(project_step)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    const int64_t P = r->P, n = r->s.n;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, P);
        G_T *y = r->y + r->s.row * P;
        G_NAME(multiply)(&r->units, r->pm, 1, r->w_hr.p + q * r->w_hr.k * G_NR, y + j0, P, n,
                         (int)(stop - j0), 0, NULL);
        for (int64_t b = 0; b < n; b++)
            R_EACH_VECTOR(j, lanes)
                G_STORE(G_NAME(left_at)(&r->state, r->next, 0, b, j), G_NAME(get)(y + b * P + j, (int)lanes));
    }
}

static void G_NAME(gru_step)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    const int64_t H = r->H, n = r->s.n;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, H);
        G_T *x = r->x + r->s.row * 3 * H, *u = r->u + r->s.row * H, *y = r->y + r->s.row * H;
        for (int gate = 0; gate < 3; gate++)
            G_NAME(multiply)(&r->state, r->now, 1, r->w.p + (q * 3 + gate) * r->w.k * G_NR,
                             gate < 2 ? x + gate * H + j0 : u + j0, gate < 2 ? 3 * H : H, n, (int)(stop - j0), gate < 2,
                             r->b_hh ? r->b_hh + gate * H + j0 : NULL);
        for (int64_t b = 0; b < n; b++) {
            const G_T *last = G_NAME(before)(r, r->y, r->h0, b, H);
            G_T *g0 = x + b * 3 * H;
            R_EACH_VECTOR(j, lanes) {
                const int l = (int)lanes;
                G_V reset = R_SIGMOID(G_NAME(get)(g0 + j, l)), z = R_SIGMOID(G_NAME(get)(g0 + H + j, l));
                G_V fresh = R_TANH(G_NAME(get)(g0 + 2 * H + j, l) + reset * G_NAME(get)(u + b * H + j, l));
                G_V h = fresh + z * (G_NAME(get_or_zero)(last, j, l) - fresh);
                G_NAME(put)(g0 + j, reset, l);
                G_NAME(put)(g0 + H + j, z, l);
                G_NAME(put)(g0 + 2 * H + j, fresh, l);
                G_NAME(put)(y + b * H + j, h, l);
                G_STORE(G_NAME(left_at)(&r->state, r->next, 0, b, j), h);
            }
        }
    }
}

/* ---- backward: a task is a panel of the state ---- */

/* dh0[b, j] = (accumulate ? dh0 : 0) + dgates w_hh, for the rows of the step after */
static void G_NAME(flow_back)(const R_S *r, int64_t q, int accumulate)
{
    const int64_t j0 = q * G_NR;
    if (r->flow)
        G_NAME(multiply)(&r->units, r->now, r->gates, r->w.p + q * r->w.k * G_NR, r->dh0 + j0, r->P, r->flow,
                         (int)ml_min(G_NR, r->P - j0), accumulate, NULL);
}

static void G_NAME(flow_step)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    for (int64_t q = begin; q < end; q++)
        G_NAME(flow_back)(r, q, r->du != NULL);
}

static void G_NAME(rnn_back)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    const int64_t H = r->H, n = r->s.n;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, H);
        G_NAME(flow_back)(r, q, 0);
        for (int64_t b = 0; b < n; b++) {
            const int64_t row = (r->s.row + b) * H;
            R_EACH_VECTOR(j, lanes) {
                const int l = (int)lanes;
                G_V dh = G_NAME(get)(r->dh0 + b * H + j, l), y = G_NAME(get)(r->saved_y + row + j, l);
                if (r->dy)
                    dh += G_NAME(get)(r->dy + row + j, l);
                G_V dx = r->relu ? G_SELECT((G_MASK)(y <= G_SET(0)), G_SET(0), dh) : dh * (G_SET(1) - y * y);
                G_NAME(put)(r->dx + row + j, dx, l);
                G_STORE(G_NAME(left_at)(&r->units, r->next, 0, b, j), dx);
            }
        }
    }
}

/* From dm (n rows at a distance of H) to the gates' gradients, for units [j0, stop). */
ML_INLINE void G_NAME(lstm_gates_back)(const R_S *r, const G_T *dm, const G_T *dy, int64_t j0, int64_t stop)
{
    const int64_t H = r->H;
    for (int64_t b = 0; b < r->s.n; b++) {
        const G_T *last = G_NAME(before)(r, r->saved_cells, r->c0, b, H);
        const G_T *g0 = r->saved + (r->s.row + b) * 4 * H, *cells = r->saved_cells + (r->s.row + b) * H;
        G_T *d0 = r->dx + (r->s.row + b) * 4 * H;
        R_EACH_VECTOR(j, lanes) {
            const int l = (int)lanes;
            const G_V one = G_SET(1);
            G_V i = G_NAME(get)(g0 + j, l), f = G_NAME(get)(g0 + H + j, l);
            G_V g = G_NAME(get)(g0 + 2 * H + j, l), o = G_NAME(get)(g0 + 3 * H + j, l);
            G_V t = R_TANH(G_NAME(get)(cells + j, l)), dh = G_NAME(get)(dm + b * H + j, l);
            if (dy)
                dh += G_NAME(get)(dy + b * H + j, l);
            G_V dc = G_NAME(get)(r->dc0 + b * H + j, l) + dh * o * (one - t * t);
            G_V di = dc * g * i * (one - i), df = dc * G_NAME(get_or_zero)(last, j, l) * f * (one - f);
            G_V dg = dc * i * (one - g * g), dout = dh * t * o * (one - o);
            G_NAME(put)(r->dc0 + b * H + j, dc * f, l);
            G_NAME(put)(d0 + j, di, l);
            G_NAME(put)(d0 + H + j, df, l);
            G_NAME(put)(d0 + 2 * H + j, dg, l);
            G_NAME(put)(d0 + 3 * H + j, dout, l);
            G_STORE(G_NAME(left_at)(&r->units, r->next, 0, b, j), di);
            G_STORE(G_NAME(left_at)(&r->units, r->next, 1, b, j), df);
            G_STORE(G_NAME(left_at)(&r->units, r->next, 2, b, j), dg);
            G_STORE(G_NAME(left_at)(&r->units, r->next, 3, b, j), dout);
        }
    }
}

static void G_NAME(lstm_back)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    for (int64_t q = begin; q < end; q++) {
        G_NAME(flow_back)(r, q, 0);
        G_NAME(lstm_gates_back)(r, r->dh0, r->dy ? r->dy + r->s.row * r->H : NULL, q * G_NR,
                                ml_min((q + 1) * G_NR, r->H));
    }
}

/* With a projection first dh, a panel of P, ... */
static void G_NAME(project_back)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    const int64_t P = r->P;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, P);
        G_NAME(flow_back)(r, q, 0);
        for (int64_t b = 0; b < r->s.n; b++)
            R_EACH_VECTOR(j, lanes) {
                const int64_t row = (r->s.row + b) * P;
                G_V dh = G_NAME(get)(r->dh0 + b * P + j, (int)lanes);
                if (r->dy)
                    dh += G_NAME(get)(r->dy + row + j, (int)lanes);
                G_NAME(put)(r->dh + row + j, dh, (int)lanes);
                G_STORE(G_NAME(left_at)(&r->state, r->pm, 0, b, j), dh);
            }
    }
}

/* ... then dm = dh w_hr and the gates, a panel of H. */
static void G_NAME(projected_back)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, r->H);
        G_NAME(multiply)(&r->state, r->pm, 1, r->w_hr.p + q * r->w_hr.k * G_NR, r->dm + j0, r->H, r->s.n,
                         (int)(stop - j0), 0, NULL);
        G_NAME(lstm_gates_back)(r, r->dm, NULL, j0, stop);
    }
}

static void G_NAME(gru_back)(void *context, int64_t begin, int64_t end)
{
    const R_S *r = context;
    const int64_t H = r->H;
    for (int64_t q = begin; q < end; q++) {
        const int64_t j0 = q * G_NR, stop = ml_min(j0 + G_NR, H);
        G_NAME(flow_back)(r, q, 1);
        for (int64_t b = 0; b < r->s.n; b++) {
            const int64_t row = r->s.row + b;
            const G_T *last = G_NAME(before)(r, r->saved_y, r->h0, b, H), *g0 = r->saved + row * 3 * H;
            G_T *d0 = r->dx + row * 3 * H;
            R_EACH_VECTOR(j, lanes) {
                const int l = (int)lanes;
                const G_V one = G_SET(1);
                G_V reset = G_NAME(get)(g0 + j, l), z = G_NAME(get)(g0 + H + j, l);
                G_V fresh = G_NAME(get)(g0 + 2 * H + j, l);
                G_V dh = G_NAME(get)(r->dh0 + b * H + j, l);
                if (r->dy)
                    dh += G_NAME(get)(r->dy + row * H + j, l);
                G_V dn = dh * (one - z) * (one - fresh * fresh);
                G_V dz = dh * (G_NAME(get_or_zero)(last, j, l) - fresh) * z * (one - z);
                G_V dr = dn * G_NAME(get)(r->saved_u + row * H + j, l) * reset * (one - reset), du = dn * reset;
                G_NAME(put)(r->dh0 + b * H + j, dh * z, l);
                G_NAME(put)(d0 + j, dr, l);
                G_NAME(put)(d0 + H + j, dz, l);
                G_NAME(put)(d0 + 2 * H + j, dn, l);
                G_NAME(put)(r->du + row * H + j, du, l);
                G_STORE(G_NAME(left_at)(&r->units, r->next, 0, b, j), dr);
                G_STORE(G_NAME(left_at)(&r->units, r->next, 1, b, j), dz);
                G_STORE(G_NAME(left_at)(&r->units, r->next, 2, b, j), du);
            }
        }
    }
}

/* ---- the walks ---- */

static void G_NAME(turn)(R_S *r)
{
    G_T *t = r->now;
    r->now = r->next;
    r->next = t;
}

/* step(s) over panels of H, and project, where there is a projection, over panels of P */
static int G_NAME(walk)(R_S *r, const G_T *w_hh, const G_T *w_hr, ml_task step)
{
    const int64_t H = r->H, P = r->P;
    G_NAME(left_shape)(&r->state, r->B, P);
    G_NAME(left_shape)(&r->units, r->B, H);
    r->w = (G_NAME(right)){.b = w_hh, .rs = 1, .cs = P, .k = P, .n = H, .groups = r->gates};
    r->w_hr = (G_NAME(right)){.b = w_hr, .rs = 1, .cs = H, .k = H, .n = P, .groups = 1};
    const int64_t state = G_NAME(left_size)(&r->state, 1), units = w_hr ? G_NAME(left_size)(&r->units, 1) : 0;
    const int64_t w = G_NAME(right_size)(&r->w), hr = w_hr ? G_NAME(right_size)(&r->w_hr) : 0;
    G_T *p = ml_rt->scratch(0, (size_t)(w + hr + 2 * state + units) * sizeof(G_T));
    if (!p)
        return ML_NO_MEMORY;
    r->w.p = p;
    r->w_hr.p = p + w;
    r->now = p + w + hr;
    r->next = r->now + state;
    r->pm = r->next + state;
    G_NAME(right_pack)(&r->w);
    if (w_hr)
        G_NAME(right_pack)(&r->w_hr);
    G_NAME(begin_walk)(r, 0);
    for (int64_t s = 0; s < r->steps; s++) {
        G_NAME(look_back)(r, s);
        if (r->s.before < r->s.n)
            G_NAME(left_fill)(&r->state, r->now, r->h0, r->s.before, r->s.n);
        G_NAME(step_loop)(step, r, ml_ceil_div(H, G_NR), r->s.n, P * r->gates);
        if (w_hr)
            G_NAME(step_loop)(G_NAME(project_step), r, ml_ceil_div(P, G_NR), r->s.n, H);
        G_NAME(turn)(r);
        G_NAME(go)(r, s, 0);
    }
    G_NAME(copy_last)(r, r->y, r->hn, P);
    if (r->cn)
        G_NAME(copy_last)(r, r->cells, r->cn, H);
    return ML_OK;
}

static int G_NAME(walk_back)(R_S *r, const G_T *w_hh, const G_T *w_hr, const ml_array *dhn, const ml_array *dcn,
                             ml_task step)
{
    const int64_t H = r->H, P = r->P;
    G_NAME(left_shape)(&r->state, r->B, P);
    G_NAME(left_shape)(&r->units, r->B, H);
    r->w = (G_NAME(right)){.b = w_hh, .rs = P, .cs = 1, .k = r->gates * H, .n = P, .groups = 1};
    r->w_hr = (G_NAME(right)){.b = w_hr, .rs = H, .cs = 1, .k = P, .n = H, .groups = 1};
    const int64_t units = G_NAME(left_size)(&r->units, r->gates), state = w_hr ? G_NAME(left_size)(&r->state, 1) : 0;
    const int64_t w = G_NAME(right_size)(&r->w), hr = w_hr ? G_NAME(right_size)(&r->w_hr) : 0;
    G_T *p = ml_rt->scratch(0, (size_t)(w + hr + 2 * units + state + (w_hr ? r->B * H : 0)) * sizeof(G_T));
    if (!p)
        return ML_NO_MEMORY;
    r->w.p = p;
    r->w_hr.p = p + w;
    r->now = p + w + hr;
    r->next = r->now + units;
    r->pm = r->next + units;
    r->dm = r->pm + state;
    G_NAME(right_pack)(&r->w);
    if (w_hr)
        G_NAME(right_pack)(&r->w_hr);
    if (dhn->data)
        memcpy(r->dh0, dhn->data, (size_t)(r->B * P) * sizeof(G_T));
    else
        memset(r->dh0, 0, (size_t)(r->B * P) * sizeof(G_T));
    if (dcn && dcn->data)
        memcpy(r->dc0, dcn->data, (size_t)(r->B * H) * sizeof(G_T));
    else if (dcn)
        memset(r->dc0, 0, (size_t)(r->B * H) * sizeof(G_T));
    const int64_t terms = r->gates * H, panels = ml_ceil_div(P, G_NR);
    r->flow = 0;
    G_NAME(begin_walk)(r, 1);
    for (int64_t s = r->steps - 1; s >= 0; s--) {
        G_NAME(look_back)(r, s);
        if (w_hr) {
            G_NAME(step_loop)(G_NAME(project_back), r, panels, r->s.n, terms);
            G_NAME(step_loop)(step, r, ml_ceil_div(H, G_NR), r->s.n, P);
        } else {
            G_NAME(step_loop)(step, r, panels, r->s.n, terms);
        }
        r->flow = r->s.n;
        G_NAME(turn)(r);
        G_NAME(go)(r, s, 1);
    }
    G_NAME(step_loop)(G_NAME(flow_step), r, panels, r->flow, terms);
    return ML_OK;
}

/* ---- entries ---- */

/* The sizes that all arrays must fit: y (N, P) and w_hh (gates H, P) give them. */
static int G_NAME(read)(R_S *r, const ml_array *sizes, const ml_array *w_hh, const ml_array *y, const ml_array *initial,
                        int64_t gates, const recurrent_settings *settings)
{
    if (y->ndim != 2 || w_hh->ndim != 2 || initial->ndim != 2 || w_hh->shape[0] % gates ||
        w_hh->shape[1] != y->shape[1] || initial->shape[1] != y->shape[1])
        return ML_BAD_SHAPE;
    *r = (R_S){.B = initial->shape[0], .N = y->shape[0], .H = w_hh->shape[0] / gates, .P = y->shape[1], .gates = gates,
               .steps = sizes->size, .sizes = (const int64_t *)sizes->data, .reverse = settings->reverse,
               .relu = settings->relu};
    return recurrent_check_sizes(sizes, r->B, r->N);
}

#define R_CHECK(condition, status) \
    if (!(condition))              \
        return status;
#define R_IN(number) (const G_T *)a[number].data
#define R_OUT(number) (G_T *)a[number].data

/* The status for n arrays from a[first]: of this type and contiguous, or NULL; `skip` is batch_sizes. */
static int G_NAME(check_types)(const ml_array *a, int n, int skip)
{
    for (int i = 0; i < n; i++) {
        if (i == skip || !a[i].data)
            continue;
        if (a[i].dtype != (sizeof(G_T) == 4 ? ML_F32 : ML_F64))
            return ML_BAD_DTYPE;
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    }
    return ML_OK;
}

/* before[row] = y's row of the step before, or h0's */
static int G_NAME(previous)(const ml_array *a, const recurrent_settings *settings)
{
    int status = G_NAME(check_types)(a, 4, 0);
    if (status)
        return status;
    R_CHECK(a[2].ndim == 2 && recurrent_is(&a[3], a[2].shape[0], a[2].shape[1]), ML_BAD_SHAPE)
    const int64_t H = a[2].shape[1], B = a[0].size ? ((const int64_t *)a[0].data)[0] : 0;
    R_CHECK(recurrent_is(&a[1], B, H), ML_BAD_SHAPE)
    R_S r = {.B = B, .N = a[2].shape[0], .steps = a[0].size, .sizes = (const int64_t *)a[0].data,
             .reverse = settings->reverse};
    status = recurrent_check_sizes(&a[0], r.B, r.N);
    if (status)
        return status;
    const size_t row = (size_t)H * sizeof(G_T);
    G_T *out = R_OUT(3);
    G_NAME(begin_walk)(&r, 0);
    for (int64_t s = 0; s < r.steps; s++) {
        G_NAME(look_back)(&r, s);
        const int64_t rest = r.s.n - r.s.before;
        memcpy(out + r.s.row * H, R_IN(2) + r.s.last * H, (size_t)r.s.before * row);
        if (a[1].data)
            memcpy(out + (r.s.row + r.s.before) * H, R_IN(1) + r.s.before * H, (size_t)rest * row);
        else
            memset(out + (r.s.row + r.s.before) * H, 0, (size_t)rest * row);
        G_NAME(go)(&r, s, 0);
    }
    return ML_OK;
}

static int G_NAME(rnn)(const ml_array *a, const recurrent_settings *settings)
{
    R_S r;
    int status = G_NAME(check_types)(a, 6, 0);
    if (!status)
        status = G_NAME(read)(&r, &a[0], &a[2], &a[4], &a[5], 1, settings);
    if (status)
        return status;
    R_CHECK(r.H == r.P && recurrent_is(&a[1], r.B, r.P) && (!a[3].data || a[3].size == r.H), ML_BAD_SHAPE)
    r.h0 = R_IN(1), r.b_hh = R_IN(3), r.y = R_OUT(4), r.hn = R_OUT(5);
    return G_NAME(walk)(&r, R_IN(2), NULL, G_NAME(rnn_step));
}

static int G_NAME(rnn_backward)(const ml_array *a, const recurrent_settings *settings)
{
    R_S r;
    int status = G_NAME(check_types)(a, 7, 2);
    if (!status)
        status = G_NAME(read)(&r, &a[2], &a[3], &a[4], &a[6], 1, settings);
    if (status)
        return status;
    R_CHECK(r.H == r.P && recurrent_is(&a[0], r.N, r.P) && recurrent_is(&a[1], r.B, r.P) &&
            recurrent_is(&a[5], r.N, r.H), ML_BAD_SHAPE)
    r.dy = R_IN(0), r.saved_y = R_IN(4), r.dx = R_OUT(5), r.dh0 = R_OUT(6);
    return G_NAME(walk_back)(&r, R_IN(3), NULL, &a[1], NULL, G_NAME(rnn_back));
}

static int G_NAME(lstm)(const ml_array *a, const recurrent_settings *settings)
{
    R_S r;
    int status = G_NAME(check_types)(a, 12, 0);
    if (!status)
        status = G_NAME(read)(&r, &a[0], &a[3], &a[9], &a[10], 4, settings);
    if (status)
        return status;
    R_CHECK(recurrent_is(&a[1], r.B, r.P) && recurrent_is(&a[2], r.B, r.H) && (!a[4].data || a[4].size == 4 * r.H) &&
            (a[5].data ? a[8].data && recurrent_is(&a[5], r.P, r.H) : r.P == r.H && !a[8].data) &&
            recurrent_is(&a[6], r.N, 4 * r.H) && recurrent_is(&a[7], r.N, r.H) && recurrent_is(&a[8], r.N, r.H) &&
            recurrent_is(&a[11], r.B, r.H), ML_BAD_SHAPE)
    r.h0 = R_IN(1), r.c0 = R_IN(2), r.b_hh = R_IN(4), r.x = R_OUT(6), r.cells = R_OUT(7), r.m = R_OUT(8);
    r.y = R_OUT(9), r.hn = R_OUT(10), r.cn = R_OUT(11);
    return G_NAME(walk)(&r, R_IN(3), R_IN(5), G_NAME(lstm_step));
}

static int G_NAME(lstm_backward)(const ml_array *a, const recurrent_settings *settings)
{
    R_S r;
    int status = G_NAME(check_types)(a, 13, 3);
    if (status)
        return status;
    ml_array y = a[11];             /* (N, P), of which only the shape is needed: dh0's features, cells' rows */
    y.shape[0] = a[8].shape[0];
    status = G_NAME(read)(&r, &a[3], &a[5], &y, &a[11], 4, settings);
    if (status)
        return status;
    R_CHECK(recurrent_is(&a[0], r.N, r.P) && recurrent_is(&a[1], r.B, r.P) && recurrent_is(&a[2], r.B, r.H) &&
            recurrent_is(&a[4], r.B, r.H) &&
            (a[6].data ? a[10].data && recurrent_is(&a[6], r.P, r.H) : r.P == r.H && !a[10].data) &&
            recurrent_is(&a[7], r.N, 4 * r.H) && recurrent_is(&a[8], r.N, r.H) && recurrent_is(&a[9], r.N, 4 * r.H) &&
            recurrent_is(&a[10], r.N, r.P) && recurrent_is(&a[12], r.B, r.H), ML_BAD_SHAPE)
    r.dy = R_IN(0), r.c0 = R_IN(4), r.saved = R_IN(7), r.saved_cells = R_IN(8), r.dx = R_OUT(9), r.dh = R_OUT(10);
    r.dh0 = R_OUT(11), r.dc0 = R_OUT(12);
    return G_NAME(walk_back)(&r, R_IN(5), R_IN(6), &a[1], &a[2],
                             a[6].data ? G_NAME(projected_back) : G_NAME(lstm_back));
}

static int G_NAME(gru)(const ml_array *a, const recurrent_settings *settings)
{
    R_S r;
    int status = G_NAME(check_types)(a, 8, 0);
    if (!status)
        status = G_NAME(read)(&r, &a[0], &a[2], &a[6], &a[7], 3, settings);
    if (status)
        return status;
    R_CHECK(r.H == r.P && recurrent_is(&a[1], r.B, r.P) && (!a[3].data || a[3].size == 3 * r.H) &&
            recurrent_is(&a[4], r.N, 3 * r.H) && recurrent_is(&a[5], r.N, r.H), ML_BAD_SHAPE)
    r.h0 = R_IN(1), r.b_hh = R_IN(3), r.x = R_OUT(4), r.u = R_OUT(5), r.y = R_OUT(6), r.hn = R_OUT(7);
    return G_NAME(walk)(&r, R_IN(2), NULL, G_NAME(gru_step));
}

static int G_NAME(gru_backward)(const ml_array *a, const recurrent_settings *settings)
{
    R_S r;
    int status = G_NAME(check_types)(a, 11, 2);
    if (!status)
        status = G_NAME(read)(&r, &a[2], &a[4], &a[7], &a[10], 3, settings);
    if (status)
        return status;
    R_CHECK(r.H == r.P && recurrent_is(&a[0], r.N, r.P) && recurrent_is(&a[1], r.B, r.P) &&
            recurrent_is(&a[3], r.B, r.P) && recurrent_is(&a[5], r.N, 3 * r.H) && recurrent_is(&a[6], r.N, r.H) &&
            recurrent_is(&a[8], r.N, 3 * r.H) && recurrent_is(&a[9], r.N, r.H), ML_BAD_SHAPE)
    r.dy = R_IN(0), r.h0 = R_IN(3), r.saved = R_IN(5), r.saved_u = R_IN(6), r.saved_y = R_IN(7);
    r.dx = R_OUT(8), r.du = R_OUT(9), r.dh0 = R_OUT(10);
    return G_NAME(walk_back)(&r, R_IN(4), NULL, &a[1], NULL, G_NAME(gru_back));
}

#undef R_CHECK
#undef R_IN
#undef R_OUT
#undef R_EACH_VECTOR
#undef R_S
#undef R_TANH
#undef R_SIGMOID

#endif
