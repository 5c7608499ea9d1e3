/* Copies with any strides and dtypes, fills, and rows by index.

   A copy walks y in its own memory order: axes are sorted by y's stride and merged where both
   arrays step through them without a jump, so most copies end as one or two loops. Where x runs
   fastest along another axis than y (a transposition), the two axes go in square tiles, so that a
   cache line read is used whole before it is lost. */
#include "vec.h"

#ifndef INDEXING_ONCE                       /* what does not depend on the instruction set */
#define INDEXING_ONCE
#include <stdlib.h>

#define COPY_SEGMENT 16384                  /* elements of one line that one piece of work takes */
#define COPY_TILE 16                        /* side of a transposing tile: one cache line of float32 */

typedef void (*copy_line)(const char *x, int64_t sx, char *y, int64_t sy, int64_t n);

typedef struct {
    int ndim;                               /* axes left after merging; the last is walked innermost */
    int64_t n[ML_MAX_DIMS], sx[ML_MAX_DIMS], sy[ML_MAX_DIMS];
} copy_axes;

static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

static void copy_swap(copy_axes *p, int i, int j)
{
    int64_t n = p->n[i], sx = p->sx[i], sy = p->sy[i];
    p->n[i] = p->n[j]; p->sx[i] = p->sx[j]; p->sy[i] = p->sy[j];
    p->n[j] = n; p->sx[j] = sx; p->sy[j] = sy;
}

/* Align x to y's axes from the right, drop axes of size 1, sort by y's stride, merge. */
static int copy_plan(const ml_array *x, const ml_array *y, copy_axes *p)
{
    int shift = y->ndim - (x ? x->ndim : 0);
    p->ndim = 0;
    if (x && shift < 0)
        return ML_BAD_SHAPE;
    for (int d = 0; d < y->ndim; d++) {
        int64_t n = y->shape[d], sx = 0;
        if (x && d >= shift && x->shape[d - shift] != 1) {
            if (x->shape[d - shift] != n)
                return ML_BAD_SHAPE;
            sx = x->strides[d - shift];
        }
        if (n == 1)
            continue;
        int i = p->ndim++;
        p->n[i] = n; p->sx[i] = sx; p->sy[i] = y->strides[d];
        for (; i > 0 && magnitude(p->sy[i]) > magnitude(p->sy[i - 1]); i--)
            copy_swap(p, i, i - 1);
    }
    int last = 0;                           /* merge axis i into `last` where neither array jumps between them */
    for (int i = 1; i < p->ndim; i++) {
        if (p->sx[last] == p->n[i] * p->sx[i] && p->sy[last] == p->n[i] * p->sy[i]) {
            p->n[last] *= p->n[i]; p->sx[last] = p->sx[i]; p->sy[last] = p->sy[i];
        } else {
            last++;
            p->n[last] = p->n[i]; p->sx[last] = p->sx[i]; p->sy[last] = p->sy[i];
        }
    }
    if (p->ndim)
        p->ndim = last + 1;
    else {
        p->ndim = 1;
        p->n[0] = 1; p->sx[0] = p->sy[0] = 0;
    }
    return ML_OK;
}

/* Lowest and one past the highest address that an array touches. */
static void extent(const ml_array *a, const char **low, const char **high)
{
    const char *lo = a->data, *hi = a->data + ml_itemsizes[a->dtype];
    for (int d = 0; d < a->ndim; d++) {
        int64_t reach = (a->shape[d] - 1) * a->strides[d];
        if (reach < 0) lo += reach; else hi += reach;
    }
    *low = lo;
    *high = hi;
}

/* Does writing y in any order possibly change what is still to be read of x? */
static int overlapping(const ml_array *x, const ml_array *y)
{
    const char *xl, *xh, *yl, *yh;
    extent(x, &xl, &xh);
    extent(y, &yl, &yh);
    return xl < yh && yl < xh;
}

typedef struct {
    const char *x;
    char *y;
    int64_t n, segments;                    /* length of a line, and pieces it is cut into */
    int64_t tiles0, tiles1;                 /* transposing: tiles along the last two axes */
    copy_axes axes;                         /* without the walked ones: those are in n.. or the last two */
    int64_t n0, sx0, sy0, n1, sx1, sy1;
    copy_line line;
    int itemsize;
} copy_work;

static void copy_offsets(const copy_axes *p, int ndim, int64_t index, int64_t *ox, int64_t *oy)
{
    int64_t x = 0, y = 0;
    for (int d = ndim - 1; d >= 0; d--) {
        int64_t q = d ? index / p->n[d] : 0, r = index - q * p->n[d];
        x += r * p->sx[d];
        y += r * p->sy[d];
        index = q;
    }
    *ox = x;
    *oy = y;
}

/* y = one value, for fill: the value's bytes by y's dtype. */
static void fill_bytes(int dtype, double real, int64_t integer, char *out)
{
    float f = (float)real;
    int32_t i = (int32_t)integer;
    switch (dtype) {
    case ML_F32: memcpy(out, &f, 4); break;
    case ML_F64: memcpy(out, &real, 8); break;
    case ML_I64: memcpy(out, &integer, 8); break;
    case ML_I32: memcpy(out, &i, 4); break;
    case ML_U8: *(uint8_t *)out = (uint8_t)integer; break;
    default: *(uint8_t *)out = integer != 0;
    }
}

/* Offsets of consecutive elements of one array in C order. */
typedef struct { const ml_array *a; int64_t at[ML_MAX_DIMS]; const char *p; } walker;

static void walk_start(walker *w, const ml_array *a)
{
    w->a = a;
    w->p = a->data;
    for (int d = 0; d < a->ndim; d++)
        w->at[d] = 0;
}

static void walk_next(walker *w)
{
    for (int d = w->a->ndim - 1; d >= 0; d--) {
        w->p += w->a->strides[d];
        if (++w->at[d] < w->a->shape[d])
            return;
        w->p -= w->a->shape[d] * w->a->strides[d];
        w->at[d] = 0;
    }
}
#endif

/* ---- lines: y[i] = (U) x[i] ---- */

#define AS_IS(v) (v)
#define AS_BOOL(v) ((v) != 0)
#define AS_BYTE(v) ((int32_t)(v))           /* float -> uint8 goes through int32: -1.0 is 255 on every processor */

#define COPY_LINE(NAME, T, U, CAST)                                                                        \
    static void ML_NAME(NAME)(const char *x, int64_t sx, char *y, int64_t sy, int64_t n)                   \
    {                                                                                                      \
        if (sy == (int64_t)sizeof(U) && sx == (int64_t)sizeof(T)) {                                        \
            const T *restrict p = (const T *)x;                                                            \
            U *restrict q = (U *)y;                                                                        \
            for (int64_t i = 0; i < n; i++)                                                                \
                q[i] = (U)CAST(p[i]);                                                                      \
        } else if (sy == (int64_t)sizeof(U) && sx == 0) {                                                  \
            U v = (U)CAST(*(const T *)x);                                                                  \
            U *restrict q = (U *)y;                                                                        \
            for (int64_t i = 0; i < n; i++)                                                                \
                q[i] = v;                                                                                  \
        } else {                                                                                           \
            for (int64_t i = 0; i < n; i++, x += sx, y += sy)                                              \
                *(U *)y = (U)CAST(*(const T *)x);                                                          \
        }                                                                                                  \
    }

/* the same dtype: bytes move, whatever they mean */
#define MOVE_LINE(NAME, T)                                                                                 \
    COPY_LINE(NAME##_any, T, T, AS_IS)                                                                     \
    static void ML_NAME(NAME)(const char *x, int64_t sx, char *y, int64_t sy, int64_t n)                   \
    {                                                                                                      \
        if (sx == (int64_t)sizeof(T) && sy == (int64_t)sizeof(T) && n >= 64 / (int64_t)sizeof(T))          \
            memcpy(y, x, n * sizeof(T));                                                                   \
        else                                                                                               \
            ML_NAME(NAME##_any)(x, sx, y, sy, n);                                                          \
    }

MOVE_LINE(move1, uint8_t)
MOVE_LINE(move4, uint32_t)
MOVE_LINE(move8, uint64_t)

COPY_LINE(f32_f64, float, double, AS_IS)
COPY_LINE(f32_i64, float, int64_t, AS_IS)
COPY_LINE(f32_i32, float, int32_t, AS_IS)
COPY_LINE(f32_u8, float, uint8_t, AS_BYTE)
COPY_LINE(f32_bool, float, uint8_t, AS_BOOL)
COPY_LINE(f64_f32, double, float, AS_IS)
COPY_LINE(f64_i64, double, int64_t, AS_IS)
COPY_LINE(f64_i32, double, int32_t, AS_IS)
COPY_LINE(f64_u8, double, uint8_t, AS_BYTE)
COPY_LINE(f64_bool, double, uint8_t, AS_BOOL)
COPY_LINE(i64_f32, int64_t, float, AS_IS)
COPY_LINE(i64_f64, int64_t, double, AS_IS)
COPY_LINE(i64_i32, int64_t, int32_t, AS_IS)
COPY_LINE(i64_u8, int64_t, uint8_t, AS_IS)
COPY_LINE(i64_bool, int64_t, uint8_t, AS_BOOL)
COPY_LINE(i32_f32, int32_t, float, AS_IS)
COPY_LINE(i32_f64, int32_t, double, AS_IS)
COPY_LINE(i32_i64, int32_t, int64_t, AS_IS)
COPY_LINE(i32_u8, int32_t, uint8_t, AS_IS)
COPY_LINE(i32_bool, int32_t, uint8_t, AS_BOOL)
COPY_LINE(u8_f32, uint8_t, float, AS_IS)
COPY_LINE(u8_f64, uint8_t, double, AS_IS)
COPY_LINE(u8_i64, uint8_t, int64_t, AS_IS)
COPY_LINE(u8_i32, uint8_t, int32_t, AS_IS)
COPY_LINE(u8_bool, uint8_t, uint8_t, AS_BOOL)
COPY_LINE(bool_f32, uint8_t, float, AS_BOOL)
COPY_LINE(bool_f64, uint8_t, double, AS_BOOL)
COPY_LINE(bool_i64, uint8_t, int64_t, AS_BOOL)
COPY_LINE(bool_i32, uint8_t, int32_t, AS_BOOL)

#define L(name) ML_NAME(name)
/* [x's dtype][y's dtype], in the order of ml_dtype */
static const copy_line ML_NAME(lines)[ML_DTYPES][ML_DTYPES] = {
    {L(move4), L(f32_f64), L(f32_i64), L(f32_i32), L(f32_u8), L(f32_bool)},
    {L(f64_f32), L(move8), L(f64_i64), L(f64_i32), L(f64_u8), L(f64_bool)},
    {L(i64_f32), L(i64_f64), L(move8), L(i64_i32), L(i64_u8), L(i64_bool)},
    {L(i32_f32), L(i32_f64), L(i32_i64), L(move4), L(i32_u8), L(i32_bool)},
    {L(u8_f32), L(u8_f64), L(u8_i64), L(u8_i32), L(move1), L(u8_bool)},
    {L(bool_f32), L(bool_f64), L(bool_i64), L(bool_i32), L(u8_bool), L(move1)},
};
#undef L

/* ---- tiles: y[i][j] = x[j][i] for 4-byte elements, x contiguous along i, y along j ---- */

typedef int32_t ML_NAME(quad) __attribute__((vector_size(16)));

ML_INLINE void ML_NAME(transpose4)(const char *x, int64_t sx, char *y, int64_t sy)
{
    typedef ML_NAME(quad) quad;
    quad a, b, c, d, t0, t1, t2, t3;
    memcpy(&a, x, 16); memcpy(&b, x + sx, 16); memcpy(&c, x + 2 * sx, 16); memcpy(&d, x + 3 * sx, 16);
#if defined(__clang__)
#define PICK(u, v, i, j, k, l) __builtin_shufflevector(u, v, i, j, k, l)
#else
#define PICK(u, v, i, j, k, l) __builtin_shuffle(u, v, (quad){i, j, k, l})
#endif
    t0 = PICK(a, b, 0, 4, 1, 5); t1 = PICK(c, d, 0, 4, 1, 5);
    t2 = PICK(a, b, 2, 6, 3, 7); t3 = PICK(c, d, 2, 6, 3, 7);
    a = PICK(t0, t1, 0, 1, 4, 5); b = PICK(t0, t1, 2, 3, 6, 7);
    c = PICK(t2, t3, 0, 1, 4, 5); d = PICK(t2, t3, 2, 3, 6, 7);
#undef PICK
    memcpy(y, &a, 16); memcpy(y + sy, &b, 16); memcpy(y + 2 * sy, &c, 16); memcpy(y + 3 * sy, &d, 16);
}

static void ML_NAME(copy_tiles)(void *context, int64_t begin, int64_t end)
{
    const copy_work *w = context;
    for (int64_t item = begin; item < end; item++) {
        int64_t ox, oy, t1 = item % w->tiles1, rest = item / w->tiles1, t0 = rest % w->tiles0;
        copy_offsets(&w->axes, w->axes.ndim, rest / w->tiles0, &ox, &oy);
        int64_t i0 = t0 * COPY_TILE, i1 = t1 * COPY_TILE;
        int64_t n0 = ml_min(COPY_TILE, w->n0 - i0), n1 = ml_min(COPY_TILE, w->n1 - i1), i = 0;
        const char *x = w->x + ox + i0 * w->sx0 + i1 * w->sx1;
        char *y = w->y + oy + i0 * w->sy0 + i1 * w->sy1;
        if (w->itemsize == 4 && w->sx0 == 4 && w->sy1 == 4 && n0 == COPY_TILE && n1 == COPY_TILE) {
            /* through a tile of our own: lines of x that lie a power of two apart share a place in the cache,
               so each is read whole, once */
            uint32_t tile[COPY_TILE][COPY_TILE];
            for (int j = 0; j < COPY_TILE; j++)
                memcpy(tile[j], x + j * w->sx1, sizeof tile[j]);
            for (; i < COPY_TILE; i += 4)
                for (int j = 0; j < COPY_TILE; j += 4)
                    ML_NAME(transpose4)((const char *)&tile[j][i], sizeof tile[j], y + i * w->sy0 + j * 4, w->sy0);
        }
        for (; i < n0; i++)
            w->line(x + i * w->sx0, w->sx1, y + i * w->sy0, w->sy1, n1);
    }
}

static void ML_NAME(copy_lines)(void *context, int64_t begin, int64_t end)
{
    const copy_work *w = context;
    if (w->segments == 1 && w->axes.ndim) {             /* whole lines: the last axis goes without a division each */
        int last = w->axes.ndim - 1;
        int64_t lines = w->axes.n[last], sx = w->axes.sx[last], sy = w->axes.sy[last];
        int bytes = w->itemsize && w->sx1 == w->itemsize && w->sy1 == w->itemsize ? (int)(w->n * w->itemsize) : 0;
        for (int64_t item = begin; item < end;) {
            int64_t ox, oy, outer = item / lines, line = item - outer * lines, run = ml_min(lines - line, end - item);
            copy_offsets(&w->axes, last, outer, &ox, &oy);
            const char *x = w->x + ox + line * sx;
            char *y = w->y + oy + line * sy;
            item += run;
            if (bytes)
                for (; run; run--, x += sx, y += sy)
                    memcpy(y, x, bytes);
            else
                for (; run; run--, x += sx, y += sy)
                    w->line(x, w->sx1, y, w->sy1, w->n);
        }
        return;
    }
    for (int64_t item = begin; item < end; item++) {
        int64_t ox = 0, oy = 0, segment = item % w->segments, start = segment * COPY_SEGMENT;
        if (w->axes.ndim)
            copy_offsets(&w->axes, w->axes.ndim, item / w->segments, &ox, &oy);
        w->line(w->x + ox + start * w->sx1, w->sx1, w->y + oy + start * w->sy1, w->sy1,
                w->segments == 1 ? w->n : ml_min(COPY_SEGMENT, w->n - start));
    }
}

static int ML_NAME(copy_run)(const ml_array *x, const ml_array *y, const char *source, copy_line line)
{
    copy_work w;
    int status = copy_plan(x, y, &w.axes);
    if (status || y->size == 0)
        return status;
    copy_axes *p = &w.axes;
    int last = p->ndim - 1;
    int64_t outer = 1;
    w.x = source;
    w.y = y->data;
    w.line = line;
    w.itemsize = x && x->dtype == y->dtype ? (int)ml_itemsizes[y->dtype] : 0;
    /* is there an axis along which x runs faster than along y's fastest one? */
    int fast = last;
    if (p->n[last] >= 4)
        for (int d = 0; d < last; d++)
            if (p->sx[d] != 0 && p->n[d] >= 4 && magnitude(p->sx[d]) < magnitude(p->sx[fast]))
                fast = d;
    w.n = w.n1 = p->n[last]; w.sx1 = p->sx[last]; w.sy1 = p->sy[last];
    if (fast != last) {
        w.n0 = p->n[fast]; w.sx0 = p->sx[fast]; w.sy0 = p->sy[fast];
        for (int d = fast; d < last; d++) {
            p->n[d] = p->n[d + 1]; p->sx[d] = p->sx[d + 1]; p->sy[d] = p->sy[d + 1];
        }
        p->ndim -= 2;
        for (int d = 0; d < p->ndim; d++)
            outer *= p->n[d];
        w.tiles0 = ml_ceil_div(w.n0, COPY_TILE);
        w.tiles1 = ml_ceil_div(w.n1, COPY_TILE);
        int64_t tile = ml_min(w.n0, COPY_TILE) * ml_min(w.n1, COPY_TILE);
        const int64_t tiles = outer * w.tiles0 * w.tiles1;
        ml_rt->parallel_for(ML_NAME(copy_tiles), &w, tiles, ml_shared(tiles * tile, tiles, ml_max(1, COPY_SEGMENT / tile)));
        return ML_OK;
    }
    p->ndim -= 1;
    if (p->ndim == 0 && w.n < ML_SHARED_FROM) {
        line(w.x, w.sx1, w.y, w.sy1, w.n);
        return ML_OK;
    }
    for (int d = 0; d < p->ndim; d++)
        outer *= p->n[d];
    w.segments = w.n > COPY_SEGMENT + COPY_SEGMENT / 2 ? ml_ceil_div(w.n, COPY_SEGMENT) : 1;
    ml_rt->parallel_for(ML_NAME(copy_lines), &w, outer * w.segments, ml_shared(outer * w.n, outer * w.segments,
                        ml_max(1, COPY_SEGMENT / ml_min(w.n, COPY_SEGMENT))));
    return ML_OK;
}

/* y = x, broadcast and cast. */
static int ML_NAME(copy)(const ml_array *a, const void *settings)
{
    const ml_array *x = &a[0], *y = &a[1];
    (void)settings;
    if (!x->data || !y->data)
        return ML_BAD_SHAPE;
    copy_line line = ML_NAME(lines)[x->dtype][y->dtype];
    if (x->size && y->size && overlapping(x, y)) {
        int same = x->data == y->data && x->dtype == y->dtype && x->ndim == y->ndim;
        for (int d = 0; same && d < x->ndim; d++)
            same = x->shape[d] == y->shape[d] && (x->strides[d] == y->strides[d] || x->shape[d] == 1);
        if (same)
            return ML_OK;
        ml_array t = *x;                    /* through a private copy of x in C order */
        int64_t step = ml_itemsizes[x->dtype];
        for (int d = x->ndim - 1; d >= 0; d--) {
            t.strides[d] = step;
            step *= x->shape[d];
        }
        t.data = malloc(step);
        if (!t.data)
            return ML_NO_MEMORY;
        int status = ML_NAME(copy_run)(x, &t, x->data, ML_NAME(lines)[x->dtype][x->dtype]);
        if (!status)
            status = ML_NAME(copy_run)(&t, y, t.data, line);
        free(t.data);
        return status;
    }
    return ML_NAME(copy_run)(x, y, x->data, line);
}

/* y = value everywhere: a copy of one element with zero strides. */
static int ML_NAME(fill)(const ml_array *a, const void *settings)
{
    const ml_fill_settings *s = settings;
    char value[8];
    if (!a[0].data)
        return ML_BAD_SHAPE;
    fill_bytes(a[0].dtype, s->real, s->integer, value);
    return ML_NAME(copy_run)(NULL, &a[0], value, ML_NAME(lines)[a[0].dtype][a[0].dtype]);
}

/* ---- indices ---- */

typedef struct {
    const ml_array *a;
    const ml_flatten_settings *s;
    int64_t strides[ML_MAX_DIMS][ML_MAX_DIMS];          /* of each index along each axis of flat */
    int bad;
} ML_NAME(flatten_work);

static void ML_NAME(flatten_piece)(void *context, int64_t begin, int64_t end)
{
    ML_NAME(flatten_work) *w = context;
    const ml_flatten_settings *s = w->s;
    const ml_array *flat = &w->a[s->count];
    int ndim = flat->ndim, count = s->count, bad = 0;
    int64_t at[ML_MAX_DIMS], inner = ndim ? flat->shape[ndim - 1] : 1;
    int64_t inner_stride = ndim ? flat->strides[ndim - 1] : 0;
    for (int64_t i = begin; i < end;) {
        int64_t rest = i, to = 0;
        for (int d = ndim - 1; d >= 0; d--) {
            at[d] = rest % flat->shape[d];
            rest /= flat->shape[d];
            to += at[d] * flat->strides[d];
        }
        int64_t run = ml_min(end - i, ndim ? inner - at[ndim - 1] : 1);
        char *out = flat->data + to;
        for (int k = 0; k < count; k++) {
            int64_t size = s->sizes[k], stride = s->strides[k];
            if (s->axis[k] >= 0) {
                int64_t v = at[s->axis[k]], step = s->axis[k] == ndim - 1;
                bad |= v + (run - 1) * step >= size;
                for (int64_t j = 0; j < run; j++) {
                    int64_t *o = (int64_t *)(out + j * inner_stride);
                    *o = (k ? *o : 0) + (v + j * step) * stride;
                }
                continue;
            }
            const char *p = w->a[k].data;
            for (int d = 0; d < ndim; d++)
                p += at[d] * w->strides[k][d];
            int64_t step = ndim ? w->strides[k][ndim - 1] : 0;
            for (int64_t j = 0; j < run; j++, p += step) {
                int64_t v = *(const int64_t *)p, *o = (int64_t *)(out + j * inner_stride);
                v += v < 0 ? size : 0;
                bad |= v < 0 || v >= size;
                *o = (k ? *o : 0) + v * stride;
            }
        }
        i += run;
    }
    if (bad)
        __atomic_store_n(&w->bad, 1, __ATOMIC_RELAXED);
}

/* flat = sum over k of wrapped(index_k) * stride_k */
static int ML_NAME(flatten_index)(const ml_array *a, const void *settings)
{
    const ml_flatten_settings *s = settings;
    const ml_array *flat = &a[s->count];
    ML_NAME(flatten_work) w = {.a = a, .s = s, .bad = 0};
    if (flat->dtype != ML_I64 || s->count == 0)
        return ML_BAD_DTYPE;
    for (int k = 0; k < s->count; k++) {
        if (s->axis[k] >= 0) {
            if (s->axis[k] >= flat->ndim)
                return ML_BAD_SHAPE;
            continue;
        }
        int shift = flat->ndim - a[k].ndim;
        if (a[k].dtype != ML_I64 || !a[k].data)
            return ML_BAD_DTYPE;
        if (shift < 0)
            return ML_BAD_SHAPE;
        for (int d = 0; d < flat->ndim; d++) {
            int64_t n = d < shift ? 1 : a[k].shape[d - shift];
            if (n != 1 && n != flat->shape[d])
                return ML_BAD_SHAPE;
            w.strides[k][d] = n == 1 ? 0 : a[k].strides[d - shift];
        }
    }
    ml_rt->parallel_for(ML_NAME(flatten_piece), &w, flat->size, 16384);
    return w.bad ? ML_BAD_INDEX : ML_OK;
}

/* ---- rows ---- */

typedef struct {
    char *x, *v;
    const char *flat;
    int64_t rows, n, sflat, sx, sv, sv1;    /* rows of x, count of indices, strides in bytes */
    int64_t length;                         /* elements in a row */
    int dtype, itemsize, by_column, add, bad;
} ML_NAME(rows_work);

static int ML_NAME(rows_setup)(const ml_array *x, const ml_array *flat, const ml_array *v, ML_NAME(rows_work) *w,
                               int check)
{
    if (flat->dtype != ML_I64 || x->dtype != v->dtype || !x->data || !v->data)
        return ML_BAD_DTYPE;
    if (x->ndim != 2 || v->ndim != 2 || flat->ndim != 1 || v->shape[0] != flat->shape[0] || v->shape[1] != x->shape[1])
        return ML_BAD_SHAPE;
    if (!ml_contiguous(x))
        return ML_NOT_CONTIGUOUS;
    w->dtype = x->dtype;
    w->itemsize = (int)ml_itemsizes[x->dtype];
    w->x = x->data; w->v = v->data; w->flat = flat->data;
    w->rows = x->shape[0]; w->n = flat->shape[0]; w->length = x->shape[1];
    w->sflat = flat->strides[0]; w->sx = w->length * w->itemsize; w->sv = v->strides[0]; w->sv1 = v->strides[1];
    for (int64_t i = 0; check && i < w->n; i++) {       /* before anything is written */
        int64_t r = *(const int64_t *)(w->flat + i * w->sflat);
        if (r < 0 || r >= w->rows)
            return ML_BAD_INDEX;
    }
    return ML_OK;
}

static void ML_NAME(take_piece)(void *context, int64_t begin, int64_t end)
{
    ML_NAME(rows_work) *w = context;
    copy_line line = ML_NAME(lines)[w->dtype][w->dtype];
    int single = w->length == 1 && w->itemsize == 4;    /* no call an element */
    for (int64_t i = begin; i < end; i++) {
        int64_t r = *(const int64_t *)(w->flat + i * w->sflat);
        if (r < 0 || r >= w->rows)
            __atomic_store_n(&w->bad, 1, __ATOMIC_RELAXED);
        else if (single)
            *(uint32_t *)(w->v + i * w->sv) = ((const uint32_t *)w->x)[r];
        else
            line(w->x + r * w->sx, w->itemsize, w->v + i * w->sv, w->sv1, w->length);
    }
}

/* y[i] = x[flat[i]] */
static int ML_NAME(take_rows)(const ml_array *a, const void *settings)
{
    ML_NAME(rows_work) w;
    (void)settings;
    int status = ML_NAME(rows_setup)(&a[0], &a[1], &a[2], &w, a[0].shape[1] == 0);
    if (status || w.length == 0)
        return status;
    w.bad = 0;
    ml_rt->parallel_for(ML_NAME(take_piece), &w, w.n, ml_max(1, COPY_SEGMENT / w.length));
    return w.bad ? ML_BAD_INDEX : ML_OK;
}

#define ADD_LINE(NAME, T)                                                                                  \
    static void ML_NAME(NAME)(const char *x, int64_t sx, char *y, int64_t sy, int64_t n)                   \
    {                                                                                                      \
        T *restrict q = (T *)y;                                                                            \
        (void)sy;                                                                                          \
        if (sx == (int64_t)sizeof(T)) {                                                                    \
            const T *restrict p = (const T *)x;                                                            \
            for (int64_t i = 0; i < n; i++)                                                                \
                q[i] = (T)(q[i] + p[i]);                                                                   \
        } else                                                                                             \
            for (int64_t i = 0; i < n; i++, x += sx)                                                       \
                q[i] = (T)(q[i] + *(const T *)x);                                                          \
    }
ADD_LINE(add_f32, float)
ADD_LINE(add_f64, double)
ADD_LINE(add_i64, uint64_t)                 /* unsigned: wraps without undefined behaviour */
ADD_LINE(add_i32, uint32_t)
ADD_LINE(add_u8, uint8_t)

static const copy_line ML_NAME(adders)[ML_DTYPES] = {
    ML_NAME(add_f32), ML_NAME(add_f64), ML_NAME(add_i64), ML_NAME(add_i32), ML_NAME(add_u8), NULL};

/* One piece owns a range of columns, or of x's rows, and goes through all indices in order: every
   element of x sees its terms in the order of the indices, however the work is cut. */
static void ML_NAME(put_piece)(void *context, int64_t begin, int64_t end)
{
    const ML_NAME(rows_work) *w = context;
    copy_line line = w->add ? ML_NAME(adders)[w->dtype] : ML_NAME(lines)[w->dtype][w->dtype];
    if (w->by_column) {
        for (int64_t i = 0; i < w->n; i++) {
            int64_t r = *(const int64_t *)(w->flat + i * w->sflat);
            line(w->v + i * w->sv + begin * w->sv1, w->sv1, w->x + r * w->sx + begin * w->itemsize, w->itemsize,
                 end - begin);
        }
        return;
    }
    for (int64_t i = 0; i < w->n; i++) {
        int64_t r = *(const int64_t *)(w->flat + i * w->sflat);
        if (r >= begin && r < end)
            line(w->v + i * w->sv, w->sv1, w->x + r * w->sx, w->itemsize, w->length);
    }
}

static int ML_NAME(put_run)(const ml_array *a, int add)
{
    ML_NAME(rows_work) w;
    int status = ML_NAME(rows_setup)(&a[0], &a[1], &a[2], &w, 1);
    if (status || w.length == 0 || w.rows == 0)
        return status;
    if (add && !ML_NAME(adders)[w.dtype])
        return ML_BAD_DTYPE;
    int small = w.n * w.length < 2 * COPY_SEGMENT;
    w.add = add;
    w.by_column = w.length >= 256;
    if (w.by_column)
        ml_rt->parallel_for(ML_NAME(put_piece), &w, w.length, small ? w.length : ml_max(128, ml_ceil_div(w.length, 8)));
    else                                    /* short rows: every piece reads all indices, so few pieces */
        ml_rt->parallel_for(ML_NAME(put_piece), &w, w.rows, small || w.length < 8 ? w.rows : ml_ceil_div(w.rows, 8));
    return ML_OK;
}

/* x[flat[i]] = v[i]; of equal indices the last wins */
static int ML_NAME(put_rows)(const ml_array *a, const void *settings) { (void)settings; return ML_NAME(put_run)(a, 0); }

/* x[flat[i]] += v[i]; equal indices add up in order */
static int ML_NAME(add_rows)(const ml_array *a, const void *settings) { (void)settings; return ML_NAME(put_run)(a, 1); }

/* ---- nonzero ---- */

ML_INLINE int ML_NAME(is_set)(const char *p, int dtype)
{
    switch (dtype) {
    case ML_F32: return *(const float *)p != 0;
    case ML_F64: return *(const double *)p != 0;
    case ML_I64: return *(const int64_t *)p != 0;
    case ML_I32: return *(const int32_t *)p != 0;
    default: return *(const uint8_t *)p != 0;
    }
}

/* how many elements are not zero */
static int ML_NAME(count_nonzero)(const ml_array *a, const void *settings)
{
    const ml_array *x = &a[0];
    int64_t total = 0;
    if (!x->data)
        return ML_BAD_SHAPE;
    if (x->size && ml_contiguous(x) && ml_itemsizes[x->dtype] == 1) {
        for (int64_t i = 0; i < x->size; i++)
            total += ((const uint8_t *)x->data)[i] != 0;
    } else {
        walker w;
        walk_start(&w, x);
        for (int64_t i = 0; i < x->size; i++, walk_next(&w))
            total += ML_NAME(is_set)(w.p, x->dtype);
    }
    *((const ml_count_settings *)settings)->count = total;
    return ML_OK;
}

/* index[r] = coordinates of the r-th nonzero element, in C order */
static int ML_NAME(nonzero)(const ml_array *a, const void *settings)
{
    const ml_array *x = &a[0], *index = &a[1];
    int64_t found = 0;
    walker w;
    (void)settings;
    if (index->dtype != ML_I64 || !x->data)
        return ML_BAD_DTYPE;
    if (index->ndim != 2 || index->shape[1] != x->ndim)
        return ML_BAD_SHAPE;
    walk_start(&w, x);
    for (int64_t i = 0; i < x->size; i++, walk_next(&w)) {
        if (!ML_NAME(is_set)(w.p, x->dtype))
            continue;
        if (found == index->shape[0])
            return ML_BAD_SHAPE;
        char *out = index->data + found++ * index->strides[0];
        for (int d = 0; d < x->ndim; d++)
            *(int64_t *)(out + d * index->strides[1]) = w.at[d];
    }
    return found == index->shape[0] ? ML_OK : ML_BAD_SHAPE;
}

static const indexing_kernels ML_NAME(table) = {
    ML_NAME(copy), ML_NAME(fill), ML_NAME(flatten_index), ML_NAME(take_rows), ML_NAME(put_rows), ML_NAME(add_rows),
    ML_NAME(count_nonzero), ML_NAME(nonzero)};
