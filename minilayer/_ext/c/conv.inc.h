/* Convolution as matrix multiplication, without ever writing the im2col matrix (implicit GEMM).

   Forward, for one image and group: Y = W X, where row (c,k,l) of X holds x shifted by tap (k,l), one column a pixel:

        y[o, (p,q)] = sum_(c,k,l) w[o, (c,k,l)] X[(c,k,l), (p,q)]
        X[(c,k,l), (p,q)] = x[c, p s + k d - pad, q s + l d - pad]

   X is packed panel by panel straight from a `field`: a copy of the image with its zero border, and with the pixels of
   a stride sorted by their remainder, so that whatever the stride, the taps of neighbouring outputs are neighbours:

        stride 2, one row    x: a b c d e f g   ->   field, remainder 0: a c e g    remainder 1: b d f
        tap 0: a c e         tap 1: b d f         tap 2: c e g       each a contiguous run of the field

   Then a row of a panel is a few vector copies at a distance `offset[(c,k,l)]` that does not depend on the pixel.

   The gradient for x is the same sweep over dy: with stride s, the pixels of dx with one remainder r = (h + pad) mod s
   get the taps with (k d) mod s = r and no others, at p = (h + pad - k d) / s. So dx is s*s dense sweeps, one a
   remainder, with no multiplication by inserted zeros.

   A volume is swept a depth at a time: the planes of x that the kernel's depths meet there stand in the field beside
   each other, as if they were channels (c, kernel depth), and the rest is an image's. An image is a volume of depth 1.

   The gradient for w is a product over pixels, dw^T[(c,k,l), o] = sum_(b,p,q) X[(c,k,l), (p,q)] dy[o, (p,q)]: rows
   of X, which are runs of the field, are the rows of A; dy, transposed while packing, is B. Images are shared out in
   a number of chunks that the shape fixes; each sums its own, and the sums are added in order.

   Scratch slots: 0 (the calling thread's) packed weights, offsets, partial sums; a worker's own: 1 panel, 2 field,
   3 packed dy. */

#ifndef G_T

#include "vec.h"

#ifndef CONV_ONCE
#define CONV_ONCE

typedef struct {
    int64_t b, c, e, h, w;          /* x; depth e is 1 of images */
    int64_t o, ke, kh, kw;          /* weight (o, c/g, ke, kh, kw) */
    int64_t r, p, q;                /* y (b, o, r, p, q) */
    int64_t groups, cg, og;         /* channels of a group: in, out */
    int64_t se, sh, sw, pe, ph, pw, de, dh, dw;     /* stride, padding, dilation */
} conv_shape;

static int conv_read_shape(conv_shape *s, const ml_array *x, const ml_array *w, const ml_array *y,
                           const conv_settings *settings)
{
    const int h = x->ndim - 2, deep = x->ndim == 5;
    if ((x->ndim != 4 && !deep) || w->ndim != x->ndim || y->ndim != x->ndim || settings->groups < 1)
        return ML_BAD_SHAPE;
    if (x->dtype != y->dtype || w->dtype != y->dtype)
        return ML_BAD_DTYPE;
    if (!ml_contiguous(x) || !ml_contiguous(w) || !ml_contiguous(y))
        return ML_NOT_CONTIGUOUS;
    const int64_t *stride = settings->stride, *padding = settings->padding, *dilation = settings->dilation;
    *s = (conv_shape){x->shape[0], x->shape[1], deep ? x->shape[2] : 1, x->shape[h], x->shape[h + 1],
                      w->shape[0], deep ? w->shape[2] : 1, w->shape[h], w->shape[h + 1],
                      deep ? y->shape[2] : 1, y->shape[h], y->shape[h + 1],
                      settings->groups, w->shape[1], w->shape[0] / settings->groups,
                      stride[0], stride[1], stride[2], padding[0], padding[1], padding[2],
                      dilation[0], dilation[1], dilation[2]};
    if (s->cg * s->groups != s->c || s->og * s->groups != s->o || y->shape[0] != s->b || y->shape[1] != s->o ||
        s->se < 1 || s->sh < 1 || s->sw < 1 || s->de < 1 || s->dh < 1 || s->dw < 1)
        return ML_BAD_SHAPE;
    return ML_OK;
}

/* floor(a / n) for a of any sign, n > 0 */
static inline int64_t conv_div(int64_t a, int64_t n) { return a >= 0 ? a / n : -((-a + n - 1) / n); }

#endif

#define GEMM_USER "conv.inc.h"
#include "gemm.inc.h"
#undef GEMM_USER

GEMM_ENTRY(conv, 3)
GEMM_ENTRY(conv_transpose, 3)
GEMM_ENTRY(conv_backward_input, 2)
GEMM_ENTRY(conv_backward_weight, 2)

static const conv_kernels ML_NAME(table) = {ML_NAME(conv), ML_NAME(conv_transpose),
                                            ML_NAME(conv_backward_input), ML_NAME(conv_backward_weight)};

#else /* one element type */

/* ---- the field ---- */

/* Planes of an image as the taps read them: field[plane][i][j][u][v] = source[plane][row0 + i + u sh][col0 + j + v sw],
   zero outside the source; i < ih, j < jw are the remainders in use. A task's part starts at row0 + (first row) sh.
   Of a volume, plane c taps + k is the source's channel c at depth (a task's own) + k tap_step. */
typedef struct {
    int64_t planes, depth, h, w;    /* the source: planes / taps channels of depth x h x w */
    int64_t taps, tap_step;
    int64_t row0, col0, sh, sw, ih, jw;
    int64_t rows, width;            /* u < rows, v < width */
} G_NAME(field);

static int64_t G_NAME(field_plane)(const G_NAME(field) *f) { return f->ih * f->jw * f->rows * f->width; }

/* Vectors are copied whole, so runs may be read, and rows written, up to a vector past their end. */
static size_t G_NAME(field_bytes)(const G_NAME(field) *f, int64_t planes)
{
    if ((double)planes * (double)f->ih * (double)f->jw * (double)f->rows * (double)f->width > 0x1p48)
        return (size_t)1 << 62;         /* more than there is: the product below would not even fit */
    return (size_t)(planes * G_NAME(field_plane)(f) + G_VL) * sizeof(G_T);
}

/* Lanes low <= i < high from p[i], the others 0; nothing else is read. */
ML_INLINE G_V G_NAME(load_between)(const G_T *p, int low, int high)
{
    if (low == 0 && high == G_VL)
        return G_LOAD(p);
#if ML_VECTOR_BYTES == 64 && !defined(G_DOUBLE)
    return (G_V)_mm512_maskz_loadu_ps((__mmask16)((1u << high) - (1u << low)), p);
#elif ML_VECTOR_BYTES == 64
    return (G_V)_mm512_maskz_loadu_pd((__mmask8)((1u << high) - (1u << low)), p);
#else
    G_T t[G_VL] = {0};
    for (int i = low; i < high; i++)
        t[i] = p[i];
    return G_LOAD(t);
#endif
}

static void G_NAME(field_fill)(const G_NAME(field) *f, G_T *restrict d, const G_T *channels, int64_t plane0,
                               int64_t planes, int64_t first, int64_t depth0)
{
    for (int64_t plane = plane0; plane < plane0 + planes; plane++) {
        const int64_t c = f->taps == 1 ? plane : plane / f->taps, depth = depth0 + (plane - c * f->taps) * f->tap_step;
        const G_T *source = channels + (c * f->depth + depth) * f->h * f->w;
        if (depth < 0 || depth >= f->depth) {
            memset(d, 0, (size_t)G_NAME(field_plane)(f) * sizeof(G_T));
            d += G_NAME(field_plane)(f);
            continue;
        }
        for (int64_t i = 0; i < f->ih; i++)
            for (int64_t j = 0; j < f->jw; j++) {
                const int64_t col = f->col0 + j;
                /* v with 0 <= col + v sw < w */
                int64_t v0 = ml_min(f->width, ml_max(0, -conv_div(col, f->sw)));
                int64_t v1 = ml_max(v0, ml_min(f->width, conv_div(f->w - 1 - col, f->sw) + 1));
                for (int64_t u = 0; u < f->rows; u++, d += f->width) {
                    int64_t row = f->row0 + i + (first + u) * f->sh;
                    if (row < 0 || row >= f->h || v1 == v0) {
                        memset(d, 0, (size_t)f->width * sizeof(G_T));
                        continue;
                    }
                    const G_T *s = source + row * f->w + col;
                    if (f->sw == 1) {               /* past its end a row spills onto the next, which comes later */
                        for (int64_t v = 0; v < f->width; v += G_VL) {
                            const int low = (int)ml_min(ml_max(v0 - v, 0), G_VL);
                            const int high = (int)ml_min(ml_max(v1 - v, 0), G_VL);
                            G_STORE(d + v, G_NAME(load_between)(s + v, low, high));
                        }
                        continue;
                    }
                    for (int64_t v = 0; v < v0; v++)
                        d[v] = 0;
                    if (f->sw == 2)                 /* a constant the compiler can make shuffles of */
                        for (int64_t v = v0; v < v1; v++)
                            d[v] = s[v * 2];
                    else
                        for (int64_t v = v0; v < v1; v++)
                            d[v] = s[v * f->sw];
                    for (int64_t v = v1; v < f->width; v++)
                        d[v] = 0;
                }
            }
    }
}

/* Pixels [n0, n0 + n) of a grid `width` wide lie in runs of the field, one a row of the grid; here cut into vectors to
   copy: element `to` of a panel is pixel n0 + to. A vector may spill past the end of its run: the next one is
   copied over that. */
typedef struct { int32_t from, to; } G_NAME(piece);

/* Fills the pieces, at most n of them, and returns how many. */
static int G_NAME(find_pieces)(G_NAME(piece) *pieces, int64_t n0, int64_t n, int64_t grid_width, int64_t field_width)
{
    int count = 0;
    int64_t row = n0 / grid_width, col = n0 % grid_width, to = 0;
    while (to < n) {
        const int64_t length = ml_min(grid_width - col, n - to);
        for (int64_t i = 0; i < length; i += G_VL)
            pieces[count++] = (G_NAME(piece)){(int32_t)(row * field_width + col + i), (int32_t)(to + i)};
        to += length;
        row++;
        col = 0;
    }
    return count;
}

/* ---- the sweep: Y = W X for forward, and for each remainder of dx ---- */

typedef struct {
    const conv_shape *shape;
    G_NAME(field) field;
    const G_T *source;              /* (b, groups * planes / taps, depth, h, w) */
    const G_T *a;                   /* packed weights: [group][K block][row][G_PITCH] */
    const int64_t *offset;          /* of term p in the field, for output pixel (0, 0) */
    int64_t m, k, kc, steps;        /* rows a group; terms of a sum; their blocks */
    int64_t depths, u, v, block;    /* the grid of outputs; rows of it a task */
    int64_t blocks;
    int64_t depth0, depth_step;     /* of the field's first tap at the grid's depth 0, and from one depth to the next */
    G_T *out;                       /* (b, groups * m, out_d, out_h, out_w) */
    int64_t out_d, out_h, out_w;
    int64_t out_depth, out_row, out_col, out_sd, out_sh, out_sw;    /* grid (u, v) is its (row + u sh, col + v sw) */
    G_NAME(epilogue) end;
    int accumulate, failed;
} G_NAME(sweep);

/* dst[p * ld + to] = field[offset[p] + from] for p < k and all pieces */
ML_INLINE void G_NAME(copy_terms)(G_T *restrict dst, int ld, const G_T *restrict field, const int64_t *offset,
                                  int64_t k, const G_NAME(piece) *pieces, const int count)
{
    for (int64_t p = 0; p < k; p++, dst += ld) {
        const G_T *s = field + offset[p];
        for (int i = 0; i < count; i++)
            G_STORE(dst + pieces[i].to, G_LOAD(s + pieces[i].from));
    }
}

static void G_NAME(pack_terms)(G_T *dst, int ld, const G_T *field, const int64_t *offset, int64_t k,
                               const G_NAME(piece) *pieces, int count)
{
    switch (count) {                /* the number known to the compiler, for the commonest */
    case 1: G_NAME(copy_terms)(dst, ld, field, offset, k, pieces, 1); break;
    case 2: G_NAME(copy_terms)(dst, ld, field, offset, k, pieces, 2); break;
    case 3: G_NAME(copy_terms)(dst, ld, field, offset, k, pieces, 3); break;
    case 4: G_NAME(copy_terms)(dst, ld, field, offset, k, pieces, 4); break;
    default: G_NAME(copy_terms)(dst, ld, field, offset, k, pieces, count);
    }
}

/* One row of W alone (a channel of its own, as in depthwise convolution): terms are multiplied where they lie in the
   field, without a panel. t[j] = sum_p a[p] * field[offset[p] + j] for j < vectors * G_VL. */
ML_INLINE void G_NAME(lone_run)(G_T *t, const G_T *a, const G_T *field, const int64_t *offset, int64_t k, int64_t kc,
                                const int vectors)
{
    G_V r[4];
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++)
        r[i] = G_SET(0);
    for (int64_t k0 = 0; k0 < k; k0 += kc, a += G_PITCH)
        for (int64_t p = 0; p < ml_min(kc, k - k0); p++) {
            const G_V w = G_SET(a[p]);
            const G_T *s = field + offset[k0 + p];
#pragma GCC unroll 4
            for (int i = 0; i < vectors; i++)
                r[i] = G_FMA(w, G_LOAD(s + i * G_VL), r[i]);
        }
#pragma GCC unroll 4
    for (int i = 0; i < vectors; i++)
        G_STORE(t + i * G_VL, r[i]);
}

static void G_NAME(lone_row)(const G_NAME(sweep) *s, const G_T *field, int64_t group, int64_t rows, int64_t first,
                             G_T *out)
{
    const G_T *a = s->a + group * s->steps * G_PITCH;
    G_NAME(epilogue) e = s->end;
    if (e.row_bias)
        e.row_bias += group * e.bias_step;
    for (int64_t u = 0; u < rows; u++) {
        G_T *y = out + (s->out_row + (first + u) * s->out_sh) * s->out_w + s->out_col;
        for (int64_t v = 0; v < s->v; v += 4 * G_VL) {
            const int n = (int)ml_min(4 * G_VL, s->v - v);
            const G_T *f = field + u * s->field.width + v;
            G_T t[4 * G_VL] __attribute__((aligned(64)));
            switch ((n + G_VL - 1) / G_VL) {
            case 1: G_NAME(lone_run)(t, a, f, s->offset, s->k, s->kc, 1); break;
            case 2: G_NAME(lone_run)(t, a, f, s->offset, s->k, s->kc, 2); break;
            case 3: G_NAME(lone_run)(t, a, f, s->offset, s->k, s->kc, 3); break;
            default: G_NAME(lone_run)(t, a, f, s->offset, s->k, s->kc, 4);
            }
            if (s->out_sw == 1)
                G_NAME(finish)(t, 0, y + v, 0, 1, n, s->accumulate, &e);
            else
                G_NAME(finish_row)(t, y + v * s->out_sw, s->out_sw, 0, n, s->accumulate, &e);
        }
    }
}

static void G_NAME(sweep_tasks)(void *context, int64_t begin, int64_t end)
{
    G_NAME(sweep) *s = context;
    const int dense = s->out_sh == 1 && s->out_sw == 1;     /* the grid is all of a plane of out, in its order */
    const int64_t panel = s->kc * G_NR + G_NR + G_VL;
    G_T *pb = ml_rt->scratch(1, (size_t)(panel + (dense ? 0 : s->m * G_NR)) * sizeof(G_T));
    G_T *field = ml_rt->scratch(2, G_NAME(field_bytes)(&s->field, s->field.planes));
    if (!pb || !field) {
        s->failed = 1;
        return;
    }
    const int64_t groups = s->shape->groups, plane = s->out_h * s->out_w, strips = ml_ceil_div(s->m, G_MR);
    const int64_t row = s->out_d * plane;                   /* from one channel of out to the next */
    const int64_t source = s->field.planes / s->field.taps * s->field.depth * s->field.h * s->field.w;
    for (int64_t t = begin; t < end; t++) {
        const int64_t first = t % s->blocks * s->block, unit = t / s->blocks;
        const int64_t depth = unit % s->depths, image = unit / s->depths, group = image % groups;
        const int64_t pixels = (ml_min(first + s->block, s->u) - first) * s->v;
        G_T *out = s->out + image * s->m * row + (s->out_depth + depth * s->out_sd) * plane;
        G_NAME(field_fill)(&s->field, field, s->source + image * source, 0, s->field.planes, first,
                           s->depth0 + depth * s->depth_step);
        if (s->m == 1) {
            G_NAME(lone_row)(s, field, group, pixels / s->v, first, out);
            continue;
        }
        for (int64_t n0 = 0; n0 < pixels; n0 += G_NR) {
            const int n = (int)ml_min(G_NR, pixels - n0), ld = n > G_VL ? G_NR : G_VL;
            G_NAME(piece) pieces[G_NR];
            const int count = G_NAME(find_pieces)(pieces, n0, n, s->v, s->field.width);
            G_T *c = dense ? out + first * s->v + n0 : pb + panel;
            const int64_t ldc = dense ? row : G_NR;
            for (int64_t step = 0; step < s->steps; step++) {
                const int64_t k0 = step * s->kc, kb = ml_min(s->kc, s->k - k0);
                const int last = step == s->steps - 1;
                const G_T *a = s->a + (group * s->steps + step) * s->m * G_PITCH;
                G_NAME(pack_terms)(pb, ld, field, s->offset + k0, kb, pieces, count);
                for (int64_t strip = 0; strip < strips; strip++) {
                    const int64_t i = strip * s->m / strips, next = (strip + 1) * s->m / strips;
                    G_NAME(epilogue) e = {0};
                    if (last) {
                        e = s->end;
                        if (e.row_bias)
                            e.row_bias += (group * s->m + i) * e.bias_step;
                    }
                    G_NAME(tile)(kb, a + i * G_PITCH, pb, ld, c + i * ldc, ldc, 1, (int)(next - i), n,
                                 step > 0 || (dense && s->accumulate), &e);
                }
            }
            if (dense)
                continue;
            for (int64_t to = 0, length; to < n; to += length) {    /* spread the panel over dx, a row at a time */
                const int64_t u = first + (n0 + to) / s->v, v = (n0 + to) % s->v, gap = s->out_sw;
                G_T *y = out + (s->out_row + u * s->out_sh) * s->out_w + s->out_col + v * gap;
                const G_T *from = c + to;
                length = ml_min(s->v - v, n - to);
                for (int64_t i = 0; i < s->m; i++, y += row, from += G_NR)
                    if (s->accumulate)
                        for (int64_t j = 0; j < length; j++)
                            y[j * gap] += from[j];
                    else
                        for (int64_t j = 0; j < length; j++)
                            y[j * gap] = from[j];
            }
        }
    }
}

/* Rows a task takes, of `units` images of `rows` rows each: all, unless the images are few and large. */
static int64_t G_NAME(task_rows)(int64_t units, int64_t rows, double flops)
{
    int64_t blocks = 1;
    while (units * blocks < 32 && flops / (double)blocks > 4 * GEMM_TASK_FLOPS && 2 * blocks <= rows)
        blocks *= 2;
    return ml_ceil_div(rows, blocks);
}

/* Fewer rows, where the planes of a volume's field would not stay in the second-level cache. */
static int64_t G_NAME(fit_rows)(int64_t rows, const G_NAME(field) *f, int64_t reach)
{
    if (f->taps == 1)
        return rows;
    const int64_t fit = (1 << 20) / (int64_t)sizeof(G_T) / ml_max(1, f->planes * f->ih * f->jw * f->width) - reach;
    return ml_min(rows, ml_max(fit, 2 * reach + 2));
}

/* Settles tasks and with them the field's size; `reach` is how many rows of the field a tap lies off at most. */
static void G_NAME(sweep_plan)(G_NAME(sweep) *s, int64_t reach)
{
    const double flops = 2.0 * s->m * (double)(s->k + 1) * s->u * s->v;
    s->block = G_NAME(task_rows)(s->shape->b * s->shape->groups * s->depths, s->u, flops);
    s->block = G_NAME(fit_rows)(s->block, &s->field, reach);
    s->blocks = ml_ceil_div(s->u, s->block);
    s->field.rows = s->block + reach;
    s->steps = ml_max(1, ml_ceil_div(s->k, G_KC));
    s->kc = ml_ceil_div(s->k, s->steps);
}

static int G_NAME(sweep_run)(G_NAME(sweep) *s)
{
    const double flops = 2.0 * s->m * (double)(s->k + 1) * s->block * s->v;
    const int64_t tasks = s->shape->b * s->shape->groups * s->depths * s->blocks;
    ml_rt->parallel_for(G_NAME(sweep_tasks), s, tasks, gemm_grain(flops, tasks));
    return s->failed ? ML_NO_MEMORY : ML_OK;
}

/* The field's offsets of terms (c, k, l) of x, c a plane of the field, relative to output pixel (0, 0). */
static void G_NAME(offsets)(int64_t *offset, const conv_shape *s, const G_NAME(field) *f, int64_t planes)
{
    for (int64_t c = 0; c < planes; c++)
        for (int64_t k = 0; k < s->kh; k++)
            for (int64_t l = 0; l < s->kw; l++) {
                const int64_t row = k * s->dh, col = l * s->dw;
                const int64_t plane = (c * f->ih + row % s->sh) * f->jw + col % s->sw;
                *offset++ = (plane * f->rows + row / s->sh) * f->width + col / s->sw;
            }
}

/* The field of x; `rows` is left to the caller. Remainders other than 0 serve only taps off the stride's grid. */
static G_NAME(field) G_NAME(field_of_x)(const conv_shape *s)
{
    G_NAME(field) f = {s->cg * s->ke, s->e, s->h, s->w, ml_max(s->ke, 1), s->de, -s->ph, -s->pw, s->sh, s->sw, 1, 1, 0,
                       s->q + (s->kw - 1) * s->dw / s->sw};
    if (s->kh > 1 && s->dh % s->sh)
        f.ih = s->sh;
    if (s->kw > 1 && s->dw % s->sw)
        f.jw = s->sw;
    return f;
}

/* ---- 1x1 kernels: each image is a matrix already ---- */

typedef struct {
    G_NAME(gemm) g;                 /* of image 0, group 0 */
    int64_t groups, a_step, b_step, c_step;
    int failed;
} G_NAME(pointwise);

static int G_NAME(is_pointwise)(const conv_shape *s)
{
    return s->ke == 1 && s->kh == 1 && s->kw == 1 && s->se == 1 && s->sh == 1 && s->sw == 1 && s->pe == 0 &&
           s->ph == 0 && s->pw == 0 && s->r == s->e && s->p == s->h && s->q == s->w;
}

static void G_NAME(pointwise_tasks)(void *context, int64_t begin, int64_t end)
{
    G_NAME(pointwise) *s = context;
    for (int64_t t = begin; t < end; t++) {
        G_NAME(gemm) g = s->g;
        g.a += t % s->groups * s->a_step;
        g.b += t * s->b_step;
        g.c += t * s->c_step;
        if (g.end.row_bias)
            g.end.row_bias += t % s->groups * g.m * g.end.bias_step;
        if (G_NAME(gemm_run)(&g))
            s->failed = 1;
    }
}

/* Runs out[b, g] = A[g] in[b, g] for all images and groups; s.g holds the first product. */
static int G_NAME(pointwise_run)(G_NAME(pointwise) *s, int64_t images)
{
    const double flops = 2.0 * s->g.m * s->g.n * (double)s->g.k;
    if (images < 8 && flops > 32e6)         /* few and large: one after the other, each on all threads */
        G_NAME(pointwise_tasks)(s, 0, images);
    else
        ml_rt->parallel_for(G_NAME(pointwise_tasks), s, images, gemm_grain(flops, images));
    return s->failed ? ML_NO_MEMORY : ML_OK;
}

/* The bias of a kernel's last array but one, if any. */
static int G_NAME(read_bias)(G_NAME(epilogue) *end, const ml_array *b, int dtype, int64_t n)
{
    if (!b->data)
        return ML_OK;
    if (b->dtype != dtype || b->ndim != 1 || b->shape[0] != n)
        return ML_BAD_SHAPE;
    end->row_bias = (const G_T *)b->data;
    end->bias_step = b->strides[0] / (int64_t)sizeof(G_T);
    return ML_OK;
}

/* y[b,o,p,q] = act(sum_(c,k,l) x[b, c, p sh + k dh - ph, q sw + l dw - pw] w[o,c,k,l] + bias[o]) */
static int G_NAME(conv)(const ml_array *a, const conv_settings *settings)
{
    conv_shape shape;
    int status = conv_read_shape(&shape, &a[0], &a[1], &a[3], settings);
    if (status)
        return status;
    G_NAME(sweep) s = {.shape = &shape, .field = G_NAME(field_of_x)(&shape), .source = (const G_T *)a[0].data,
                       .m = shape.og, .k = shape.cg * shape.ke * shape.kh * shape.kw, .depths = shape.r, .u = shape.p,
                       .v = shape.q, .depth0 = -shape.pe, .depth_step = shape.se, .out = (G_T *)a[3].data,
                       .out_d = shape.r, .out_h = shape.p, .out_w = shape.q, .out_sd = 1, .out_sh = 1, .out_sw = 1};
    status = G_NAME(read_bias)(&s.end, &a[2], a[3].dtype, shape.o);
    if (status || a[3].size == 0)
        return status;
    s.end.activation = settings->activation == ML_CONV_RELU ? GEMM_RELU : GEMM_NONE;
    if (G_NAME(is_pointwise)(&shape)) {
        const int64_t hw = shape.e * shape.h * shape.w;
        G_NAME(pointwise) t = {.groups = shape.groups, .a_step = s.m * s.k, .b_step = s.k * hw, .c_step = s.m * hw};
        t.g = (G_NAME(gemm)){.m = s.m, .n = hw, .k = s.k, .a = (const G_T *)a[1].data, .rsa = s.k, .csa = 1,
                             .b = s.source, .rsb = hw, .csb = 1, .c = s.out, .rsc = hw, .csc = 1, .end = s.end};
        return G_NAME(pointwise_run)(&t, shape.b * shape.groups);
    }
    G_NAME(sweep_plan)(&s, (shape.kh - 1) * shape.dh / shape.sh);
    const size_t weights = (size_t)(shape.o * s.steps * G_PITCH) * sizeof(G_T);
    char *shared = ml_rt->scratch(0, weights + (size_t)s.k * sizeof(int64_t));
    if (!shared)
        return ML_NO_MEMORY;
    s.a = (const G_T *)shared;
    s.offset = (const int64_t *)(shared + weights);
    G_NAME(offsets)((int64_t *)(shared + weights), &shape, &s.field, s.field.planes);
    for (int64_t g = 0; g < shape.groups; g++)
        for (int64_t step = 0; step < s.steps; step++) {
            const int64_t k0 = step * s.kc;
            G_NAME(pack_a)((G_T *)shared + (g * s.steps + step) * s.m * G_PITCH,
                           (const G_T *)a[1].data + g * s.m * s.k + k0, s.k, 1, s.m, ml_min(s.kc, s.k - k0));
        }
    return G_NAME(sweep_run)(&s);
}

/* The taps k < count with (k d) mod s = r; *reach is the largest (k d) / s among them. */
static int64_t G_NAME(taps_of)(int64_t *taps, int64_t count, int64_t d, int64_t s, int64_t r, int64_t *reach)
{
    int64_t found = 0;
    *reach = 0;
    for (int64_t k = 0; k < count; k++)
        if (k * d % s == r) {
            taps[found++] = k;
            *reach = k * d / s;
        }
    return found;
}

/* dx[b,c,h,w] (+)= sum of dy[b,o,p,q] w[o,c,k,l] over o, k, l, p, q with p sh + k dh - ph = h, q sw + l dw - pw = w,
   and bias[c], where there is one, which is transposed convolution */
static int G_NAME(spread)(const ml_array *dy, const ml_array *weight, const ml_array *bias, const ml_array *dx,
                          const conv_settings *settings)
{
    conv_shape z;
    int status = conv_read_shape(&z, dx, weight, dy, settings);
    if (status)
        return status;
    G_NAME(epilogue) end = {0};
    if (bias)
        status = G_NAME(read_bias)(&end, bias, dx->dtype, z.c);
    if (status || dx->size == 0)
        return status;
    if (G_NAME(is_pointwise)(&z)) {
        const int64_t hw = z.e * z.h * z.w;
        G_NAME(pointwise) t = {.groups = z.groups, .a_step = z.og * z.cg, .b_step = z.og * hw, .c_step = z.cg * hw};
        t.g = (G_NAME(gemm)){.m = z.cg, .n = hw, .k = z.og, .a = (const G_T *)weight->data, .rsa = 1, .csa = z.cg,
                             .b = (const G_T *)dy->data, .rsb = hw, .csb = 1, .c = (G_T *)dx->data, .rsc = hw,
                             .csc = 1, .end = end, .accumulate = settings->accumulate};
        return G_NAME(pointwise_run)(&t, z.b * z.groups);
    }
    /* where no tap falls on some remainder, its pixels are not swept */
    const int strided = z.se > 1 || z.sh > 1 || z.sw > 1;
    const int64_t volume = z.e * z.h * z.w;
    if (strided && !settings->accumulate && (z.ke < z.se || z.kh < z.sh || z.kw < z.sw || z.de > 1 || z.dh > 1 ||
                                             z.dw > 1 || z.og == 0)) {
        if (!end.row_bias)
            memset(dx->data, 0, (size_t)dx->size * sizeof(G_T));
        else
            for (int64_t i = 0; i < z.b * z.c; i++)
                for (int64_t j = 0; j < volume; j++)
                    ((G_T *)dx->data)[i * volume + j] = end.row_bias[i % z.c * end.bias_step];
    }
    for (int64_t remainder = 0; remainder < z.se * z.sh * z.sw; remainder++) {
        const int64_t re = remainder / (z.sh * z.sw), rh = remainder / z.sw % z.sh, rw = remainder % z.sw;
        /* pixels h = sh u + rh - ph inside dx: u0 <= u < u0 + (grid rows) */
        const int64_t e0 = -conv_div(re - z.pe, z.se), e1 = conv_div(z.e - 1 + z.pe - re, z.se);
        const int64_t u0 = -conv_div(rh - z.ph, z.sh), u1 = conv_div(z.h - 1 + z.ph - rh, z.sh);
        const int64_t v0 = -conv_div(rw - z.pw, z.sw), v1 = conv_div(z.w - 1 + z.pw - rw, z.sw);
        if (e1 < e0 || u1 < u0 || v1 < v0)
            continue;
        int64_t *taps = ml_rt->scratch(3, (size_t)(z.ke + z.kh + z.kw + 1) * sizeof(int64_t));
        int64_t reach_e, reach_h, reach_w;
        if (!taps)
            return ML_NO_MEMORY;
        int64_t *taps_h = taps + z.ke, *taps_w = taps_h + z.kh;
        const int64_t ne = G_NAME(taps_of)(taps, z.ke, z.de, z.se, re, &reach_e);
        const int64_t nk = G_NAME(taps_of)(taps_h, z.kh, z.dh, z.sh, rh, &reach_h);
        const int64_t nl = G_NAME(taps_of)(taps_w, z.kw, z.dw, z.sw, rw, &reach_w);
        if (strided && z.og * ne * nk * nl == 0)
            continue;
        G_NAME(sweep) s = {.shape = &z, .source = (const G_T *)dy->data, .m = z.cg, .k = z.og * ne * nk * nl,
                           .depths = e1 - e0 + 1, .u = u1 - u0 + 1, .v = v1 - v0 + 1, .depth0 = e0, .depth_step = 1,
                           .out = (G_T *)dx->data, .out_d = z.e, .out_h = z.h, .out_w = z.w,
                           .out_depth = z.se * e0 + re - z.pe, .out_row = z.sh * u0 + rh - z.ph,
                           .out_col = z.sw * v0 + rw - z.pw, .out_sd = z.se, .out_sh = z.sh, .out_sw = z.sw,
                           .end = end, .accumulate = settings->accumulate};
        s.field = (G_NAME(field)){z.og * ne, z.r, z.p, z.q, ml_max(ne, 1), 0, u0 - reach_h, v0 - reach_w, 1, 1, 1, 1, 0,
                                  s.v + reach_w};
        if (ne) {                                   /* the depths of taps lie evenly apart, too */
            s.depth0 -= taps[0] * z.de / z.se;
            s.field.tap_step = ne > 1 ? (taps[0] - taps[1]) * z.de / z.se : 0;
        }
        G_NAME(sweep_plan)(&s, reach_h);
        const size_t weights = (size_t)(z.c * s.steps * G_PITCH) * sizeof(G_T);
        char *shared = ml_rt->scratch(0, weights + (size_t)s.k * sizeof(int64_t));
        if (!shared)
            return ML_NO_MEMORY;
        int64_t *offset = (int64_t *)(shared + weights), p = 0;
        for (int64_t plane = 0; plane < z.og * ne; plane++)
            for (int64_t i = 0; i < nk; i++)
                for (int64_t j = 0; j < nl; j++, p++) {
                    const int64_t o = plane / ne, k = taps_h[i], l = taps_w[j], block = p / s.kc;
                    offset[p] = (plane * s.field.rows + reach_h - k * z.dh / z.sh) * s.field.width +
                                reach_w - l * z.dw / z.sw;
                    for (int64_t g = 0; g < z.groups; g++) {
                        const G_T *w = (const G_T *)weight->data +
                                       (((g * z.og + o) * z.cg * z.ke + taps[plane % ne]) * z.kh + k) * z.kw + l;
                        G_T *d = (G_T *)shared + (g * s.steps + block) * z.cg * G_PITCH + p % s.kc;
                        for (int64_t c = 0; c < z.cg; c++)
                            d[c * G_PITCH] = w[c * z.ke * z.kh * z.kw];
                    }
                }
        s.a = (const G_T *)shared;
        s.offset = offset;
        status = G_NAME(sweep_run)(&s);
        if (status)
            return status;
    }
    return ML_OK;
}

static int G_NAME(conv_backward_input)(const ml_array *a, const conv_settings *settings)
{
    return G_NAME(spread)(&a[0], &a[1], NULL, &a[2], settings);
}

/* y[b, c, p s + k d - t, ...] = sum of x[b,o,p,q] w[o,c,k,l] over all that meet there, + bias[c] */
static int G_NAME(conv_transpose)(const ml_array *a, const conv_settings *settings)
{
    return G_NAME(spread)(&a[0], &a[1], &a[2], &a[3], settings);
}

/* ---- the gradient for w ---- */

typedef struct {
    const conv_shape *shape;
    G_NAME(field) field;            /* planes: what one task's terms touch, at most */
    const G_T *x, *dy;
    const int64_t *offset;
    int64_t k;                      /* terms (c,k,l) */
    int64_t block, blocks;          /* rows of y a unit; units a depth of an image */
    int64_t units, chunk, chunks;   /* units in all; units a chunk */
    int64_t terms, term_blocks;     /* terms a task */
    G_T *sums;                      /* (chunks, groups, k, og) */
    G_T *dw;
    int accumulate, failed;
} G_NAME(weights);

static void G_NAME(weight_tasks)(void *context, int64_t begin, int64_t end)
{
    G_NAME(weights) *s = context;
    const conv_shape *z = s->shape;
    const int64_t panels = ml_ceil_div(z->og, G_NR), taps = z->kh * z->kw;
    G_T *pa = ml_rt->scratch(GEMM_SLOT_A, (size_t)(G_MC * G_PITCH) * sizeof(G_T));
    G_T *field = ml_rt->scratch(2, G_NAME(field_bytes)(&s->field, s->field.planes));
    G_T *pb = ml_rt->scratch(3, (size_t)(panels * G_NR * G_KC) * sizeof(G_T) + sizeof(G_NAME(piece)) * G_KC);
    if (!pa || !field || !pb) {
        s->failed = 1;
        return;
    }
    G_NAME(piece) *pieces = (G_NAME(piece) *)(pb + panels * G_NR * G_KC);
    const G_NAME(epilogue) none = {0};
    for (int64_t t = begin; t < end; t++) {
        const int64_t term0 = t % s->term_blocks * s->terms, term1 = ml_min(term0 + s->terms, s->k);
        const int64_t group = t / s->term_blocks % z->groups, chunk = t / s->term_blocks / z->groups;
        const int64_t plane0 = term0 / taps, planes = ml_ceil_div(term1, taps) - plane0;
        const int64_t base = plane0 * G_NAME(field_plane)(&s->field), dy_plane = z->r * z->p * z->q;
        G_T *sums = s->sums + (chunk * z->groups + group) * s->k * z->og;
        int accumulate = 0;
        for (int64_t unit = chunk * s->chunk; unit < ml_min((chunk + 1) * s->chunk, s->units); unit++) {
            const int64_t image = unit / s->blocks / z->r, depth = unit / s->blocks % z->r;
            const int64_t row0 = unit % s->blocks * s->block;
            const int64_t pixels = (ml_min(row0 + s->block, z->p) - row0) * z->q;
            const int64_t steps = ml_ceil_div(pixels, G_KC), size = ml_ceil_div(pixels, steps);
            const G_T *dy = s->dy + (image * z->groups + group) * z->og * dy_plane + (depth * z->p + row0) * z->q;
            G_NAME(field_fill)(&s->field, field, s->x + (image * z->groups + group) * z->cg * z->e * z->h * z->w,
                               plane0, planes, row0, depth * z->se - z->pe);
            for (int64_t n0 = 0; n0 < pixels; n0 += size) {
                const int64_t n = ml_min(size, pixels - n0);
                const int count = G_NAME(find_pieces)(pieces, n0, n, z->q, s->field.width);
                for (int64_t j = 0; j < z->og; j += G_NR) {
                    const int cols = (int)ml_min(G_NR, z->og - j);
                    G_NAME(pack_b)(pb + j * n, cols > G_VL ? G_NR : G_VL, dy + j * dy_plane + n0, 1, dy_plane, n, cols);
                }
                for (int64_t i0 = term0; i0 < term1; i0 += G_MC) {
                    const int64_t m = ml_min(G_MC, term1 - i0), strips = ml_ceil_div(m, G_MR);
                    G_NAME(pack_terms)(pa, G_PITCH, field - base, s->offset + i0, m, pieces, count);
                    for (int64_t j = 0; j < z->og; j += G_NR) {
                        const int cols = (int)ml_min(G_NR, z->og - j), ld = cols > G_VL ? G_NR : G_VL;
                        for (int64_t strip = 0; strip < strips; strip++) {
                            const int64_t i = strip * m / strips, next = (strip + 1) * m / strips;
                            G_NAME(tile)(n, pa + i * G_PITCH, pb + j * n, ld, sums + (i0 + i) * z->og + j, z->og, 1,
                                         (int)(next - i), cols, accumulate, &none);
                        }
                    }
                }
                accumulate = 1;
            }
        }
    }
}

/* dw[o, term] (+)= sums of all chunks, in order; item: a group's run of 16 terms */
static void G_NAME(weight_sums)(void *context, int64_t begin, int64_t end)
{
    enum { RUN = 16 };
    G_NAME(weights) *s = context;
    const conv_shape *z = s->shape;
    const int64_t per_group = ml_ceil_div(s->k, RUN);
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item / per_group, i0 = item % per_group * RUN, n = ml_min(RUN, s->k - i0);
        for (int64_t o0 = 0; o0 < z->og; o0 += G_VL) {
            const int lanes = (int)ml_min(G_VL, z->og - o0);
            G_T t[RUN][G_VL];
            for (int64_t i = 0; i < n; i++) {
                const G_T *p = s->sums + (group * s->k + i0 + i) * z->og + o0;
                G_V v = lanes < G_VL ? G_NAME(load_part)(p, lanes) : G_LOAD(p);
                for (int64_t chunk = 1; chunk < s->chunks; chunk++) {
                    p += z->groups * s->k * z->og;
                    v += lanes < G_VL ? G_NAME(load_part)(p, lanes) : G_LOAD(p);
                }
                G_STORE(t[i], v);
            }
            for (int o = 0; o < lanes; o++) {
                G_T *dw = s->dw + (group * z->og + o0 + o) * s->k + i0;
                for (int64_t i = 0; i < n; i++)
                    dw[i] = s->accumulate ? dw[i] + t[i][o] : t[i][o];
            }
        }
    }
}

/* dw[o,c,k,l] (+)= sum_(b,p,q) dy[b,o,p,q] x[b, c, p sh + k dh - ph, q sw + l dw - pw] */
static int G_NAME(conv_backward_weight)(const ml_array *a, const conv_settings *settings)
{
    conv_shape z;
    int status = conv_read_shape(&z, &a[1], &a[2], &a[0], settings);
    if (status)
        return status;
    G_NAME(weights) s = {.shape = &z, .field = G_NAME(field_of_x)(&z), .x = (const G_T *)a[1].data,
                         .dy = (const G_T *)a[0].data, .k = z.cg * z.ke * z.kh * z.kw, .dw = (G_T *)a[2].data,
                         .accumulate = settings->accumulate};
    if (a[2].size == 0)
        return ML_OK;
    if (a[0].size == 0) {
        if (!s.accumulate)
            memset(a[2].data, 0, (size_t)a[2].size * sizeof(G_T));
        return ML_OK;
    }
    /* Tasks, by shape: chunks of images (or of parts of them) while their sums stay small, then blocks of terms. */
    const double flops = 2.0 * a[2].size * (double)(z.p * z.q);
    const double total = flops * (double)(z.b * z.r);
    const int64_t reach = (z.kh - 1) * z.dh / z.sh;
    s.block = G_NAME(fit_rows)(G_NAME(task_rows)(z.b * z.r, z.p, flops), &s.field, reach);
    s.blocks = ml_ceil_div(z.p, s.block);
    s.units = z.b * z.r * s.blocks;
    s.chunks = ml_min(s.units, 16);
    s.chunks = ml_min(s.chunks, (int64_t)(total / GEMM_TASK_FLOPS) + 1);
    s.chunks = ml_max(1, ml_min(s.chunks, (2 << 20) / a[2].size));
    s.chunk = ml_ceil_div(s.units, s.chunks);
    s.chunks = ml_ceil_div(s.units, s.chunk);
    s.term_blocks = 1;
    while (s.chunks * z.groups * s.term_blocks < 16 && s.k / s.term_blocks >= 4 * G_MR &&
           total / (double)(s.chunks * z.groups * s.term_blocks) > 4 * GEMM_TASK_FLOPS)
        s.term_blocks *= 2;
    s.terms = ml_ceil_div(s.k, s.term_blocks);
    s.term_blocks = ml_ceil_div(s.k, s.terms);
    s.field.rows = s.block + reach;
    s.field.planes = ml_min(z.cg * z.ke, ml_ceil_div(s.terms, z.kh * z.kw) + 1);
    const size_t sums = (size_t)(s.chunks * a[2].size) * sizeof(G_T);
    const size_t padded = (sums + 63) / 64 * 64;
    char *shared = ml_rt->scratch(0, padded + (size_t)s.k * sizeof(int64_t));
    if (!shared)
        return ML_NO_MEMORY;
    s.sums = (G_T *)shared;
    s.offset = (const int64_t *)(shared + padded);
    G_NAME(offsets)((int64_t *)(shared + padded), &z, &s.field, z.cg * z.ke);
    const int64_t tasks = s.chunks * z.groups * s.term_blocks;
    ml_rt->parallel_for(G_NAME(weight_tasks), &s, tasks, gemm_grain(total / (double)tasks, tasks));
    if (s.failed)
        return ML_NO_MEMORY;
    const int64_t items = z.groups * ml_ceil_div(s.k, 16);
    ml_rt->parallel_for(G_NAME(weight_sums), &s, items, ml_max(1, 65536 / (16 * z.og * s.chunks)));
    return ML_OK;
}

#endif
