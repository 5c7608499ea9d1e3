/* Rows are copied whole: their middle in one piece, their ends place by place. Backward adds rows of a volume in their
   order, each volume by one thread, so that the sums do not depend on how many there are. */
#include "vec.h"

#ifndef PADDING_ONCE
#define PADDING_ONCE
#define PADDING_PIECE 16384             /* elements a piece of a parallel loop writes, about */

typedef struct {
    const char *x;                      /* forward x, backward dy */
    char *y;                            /* forward y, backward dx */
    int64_t size[3], padded[3];         /* of the unpadded and the padded volume */
    int64_t itemsize;
    const padding_settings *s;
} padding_work;

/* Which of an axis's n elements element i of the padded axis shows. */
static inline int64_t padding_place(const padding_work *k, int axis, int64_t i)
{
    int64_t n = k->size[axis];
    i -= k->s->before[axis];
    if (k->s->mode == PADDING_CIRCULAR)
        return i < 0 ? i + n : i >= n ? i - n : i;
    if (k->s->mode == PADDING_REPLICATE)
        return i < 0 ? 0 : i >= n ? n - 1 : i;
    i = i < 0 ? -i : i;
    return i >= n ? 2 * (n - 1) - i : i;
}
#endif

#define PADDING_ENDS(type) \
    do { \
        for (int64_t q = 0; q < left; q++) \
            ((type *)y)[q] = ((const type *)x)[padding_place(k, 2, q)]; \
        for (int64_t q = left + W; q < Q; q++) \
            ((type *)y)[q] = ((const type *)x)[padding_place(k, 2, q)]; \
    } while (0)

/* Rows [begin, end) of y. */
static void ML_NAME(padding_rows)(void *context, int64_t begin, int64_t end)
{
    const padding_work *k = context;
    int64_t W = k->size[2], Q = k->padded[2], left = k->s->before[2];
    for (int64_t r = begin; r < end; r++) {
        int64_t n = r / (k->padded[0] * k->padded[1]);
        int64_t d = padding_place(k, 0, r / k->padded[1] % k->padded[0]), h = padding_place(k, 1, r % k->padded[1]);
        const char *x = k->x + ((n * k->size[0] + d) * k->size[1] + h) * W * k->itemsize;
        char *y = k->y + r * Q * k->itemsize;
        memcpy(y + left * k->itemsize, x, (size_t)(W * k->itemsize));
        if (k->itemsize == 4)
            PADDING_ENDS(int32_t);
        else if (k->itemsize == 8)
            PADDING_ENDS(int64_t);
        else
            PADDING_ENDS(int8_t);
    }
}

#define PADDING_ADD(task, real) \
    static void task(void *context, int64_t begin, int64_t end) \
    { \
        const padding_work *k = context; \
        int64_t W = k->size[2], Q = k->padded[2], left = k->s->before[2], rows = k->padded[0] * k->padded[1]; \
        int64_t volume = k->size[0] * k->size[1] * W; \
        for (int64_t n = begin; n < end; n++) { \
            real *dx = (real *)k->y + n * volume; \
            memset(dx, 0, (size_t)volume * sizeof(real)); \
            for (int64_t r = 0; r < rows; r++) { \
                const real *restrict dy = (const real *)k->x + (n * rows + r) * Q; \
                int64_t d = padding_place(k, 0, r / k->padded[1]), h = padding_place(k, 1, r % k->padded[1]); \
                real *restrict row = dx + (d * k->size[1] + h) * W; \
                for (int64_t q = 0; q < left; q++) \
                    row[padding_place(k, 2, q)] += dy[q]; \
                for (int64_t w = 0; w < W; w++) \
                    row[w] += dy[left + w]; \
                for (int64_t q = left + W; q < Q; q++) \
                    row[padding_place(k, 2, q)] += dy[q]; \
            } \
        } \
    }
PADDING_ADD(ML_NAME(padding_add_f32), float)
PADDING_ADD(ML_NAME(padding_add_f64), double)

/* The unpadded and the padded array. */
static int ML_NAME(padding_fill)(const ml_array *x, const ml_array *y, const void *settings, padding_work *k)
{
    const padding_settings *s = settings;
    if (x->dtype != y->dtype)
        return ML_BAD_DTYPE;
    if (!ml_contiguous(x) || !ml_contiguous(y))
        return ML_NOT_CONTIGUOUS;
    if (x->ndim != 4 || y->ndim != 4 || x->shape[0] != y->shape[0])
        return ML_BAD_SHAPE;
    k->s = s;
    k->itemsize = ml_itemsizes[x->dtype];
    for (int d = 0; d < 3; d++) {
        int64_t n = k->size[d] = x->shape[d + 1], m = k->padded[d] = y->shape[d + 1];
        int64_t before = s->before[d], after = m - n - before;
        int64_t limit = s->mode == PADDING_REFLECT ? n - 1 : s->mode == PADDING_CIRCULAR ? n : n ? m : 0;
        if (before < 0 || after < 0 || before > limit || after > limit)
            return ML_BAD_SHAPE;
    }
    return ML_OK;
}

static int ML_NAME(pad)(const ml_array *a, const void *settings)
{
    padding_work k = {.x = a[0].data, .y = a[1].data};
    int status = ML_NAME(padding_fill)(&a[0], &a[1], settings, &k);
    if (status == ML_OK && a[1].size)
        ml_rt->parallel_for(ML_NAME(padding_rows), &k, a[1].size / k.padded[2],
                            ml_max(1, PADDING_PIECE / k.padded[2]));
    return status;
}

static int ML_NAME(pad_backward)(const ml_array *a, const void *settings)
{
    padding_work k = {.x = a[0].data, .y = a[1].data};
    int status = ML_NAME(padding_fill)(&a[1], &a[0], settings, &k);
    if (status == ML_OK && a->dtype != ML_F32 && a->dtype != ML_F64)
        status = ML_BAD_DTYPE;
    if (status == ML_OK && a[1].size)
        ml_rt->parallel_for(a->dtype == ML_F32 ? ML_NAME(padding_add_f32) : ML_NAME(padding_add_f64), &k, a[1].shape[0],
                            ml_max(1, PADDING_PIECE / (k.padded[0] * k.padded[1] * k.padded[2])));
    return status;
}

static const padding_kernels ML_NAME(table) = {
    .pad = ML_NAME(pad),
    .pad_backward = ML_NAME(pad_backward),
};

#undef PADDING_ENDS
#undef PADDING_ADD
