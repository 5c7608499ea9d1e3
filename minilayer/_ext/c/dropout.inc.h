/* The mask is made and used a run of Philox blocks at a time and never stored. u >= p is decided on
   integers: u = (word >> 8) 2^-24, so u >= p exactly when word >> 8 is at least ceil(p 2^24). */
#include "vec.h"
#include "philox_core.h"

#define DROPOUT_GRAIN 16384         /* a multiple of ML_PHILOX_WORDS */

#define job ML_NAME(dropout_job)
typedef struct {
    uint64_t seed, offset;
    const char *x;
    char *y;
    double scale;
    int32_t least;                  /* keep where word >> 8 >= least */
} job;

#define DROPOUT_TASK(task, type) \
    static void task(void *context, int64_t begin, int64_t end) \
    { \
        const job *c = context; \
        const type *x = (const type *)c->x, scale = (type)c->scale; \
        type *y = (type *)c->y; \
        const int32_t least = c->least; \
        uint32_t w[ML_PHILOX_WORDS]; \
        int64_t i = begin; \
        for (; i + ML_PHILOX_WORDS <= end; i += ML_PHILOX_WORDS) { \
            philox_words(c->seed, c->offset + (uint64_t)i / 4, w); \
            for (int j = 0; j < ML_PHILOX_WORDS; j++) \
                y[i + j] = (int32_t)(w[j] >> 8) >= least ? x[i + j] * scale : 0; \
        } \
        if (i < end) { \
            philox_words(c->seed, c->offset + (uint64_t)i / 4, w); \
            for (int j = 0; j < end - i; j++) \
                y[i + j] = (int32_t)(w[j] >> 8) >= least ? x[i + j] * scale : 0; \
        } \
    }
DROPOUT_TASK(ML_NAME(dropout_f32), float)
DROPOUT_TASK(ML_NAME(dropout_f64), double)

static int ML_NAME(dropout_entry)(const ml_array *a, const void *settings)
{
    const double p = ((const ml_dropout_settings *)settings)->p;
    const ml_array *x = &a[0], *position = &a[1], *y = &a[2];
    if (position->dtype != ML_I64 || x->dtype != y->dtype || (x->dtype != ML_F32 && x->dtype != ML_F64))
        return ML_BAD_DTYPE;
    if (position->size != 2 || x->size != y->size)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(x) || !ml_contiguous(position) || !ml_contiguous(y))
        return ML_NOT_CONTIGUOUS;
    const int64_t *place = (const int64_t *)position->data;
    job c = {(uint64_t)place[0], (uint64_t)place[1], x->data, y->data,
             p < 1 ? 1.0 / (1.0 - p) : 0.0, (int32_t)ceil(p * 0x1p24)};
    ml_rt->parallel_for(x->dtype == ML_F32 ? ML_NAME(dropout_f32) : ML_NAME(dropout_f64), &c, x->size, DROPOUT_GRAIN);
    return ML_OK;
}

/* One draw a row. A piece of the loop is whole blocks of ML_PHILOX_WORDS rows. */
#define rows_job ML_NAME(dropout_rows_job)
typedef struct {
    uint64_t seed, offset;
    const char *x;
    char *y;
    double scale, shift, dropped;
    int64_t R, L;
    int32_t least;
} rows_job;

#define DROPOUT_ROWS_TASK(task, type) \
    static void task(void *context, int64_t begin, int64_t end) \
    { \
        const rows_job *c = context; \
        const type *x = (const type *)c->x, scale = (type)c->scale, shift = (type)c->shift, dropped = (type)c->dropped; \
        type *y = (type *)c->y; \
        const int64_t L = c->L; \
        uint32_t w[ML_PHILOX_WORDS]; \
        for (int64_t r = begin * ML_PHILOX_WORDS; r < ml_min(c->R, end * ML_PHILOX_WORDS); r += ML_PHILOX_WORDS) { \
            const int64_t rows = ml_min(ML_PHILOX_WORDS, c->R - r); \
            philox_words(c->seed, c->offset + (uint64_t)r / 4, w); \
            if (L == 1) { \
                for (int64_t j = 0; j < rows; j++) \
                    y[r + j] = (int32_t)(w[j] >> 8) >= c->least ? x[r + j] * scale + shift : dropped; \
                continue; \
            } \
            for (int64_t j = 0; j < rows; j++) { \
                const type *from = x + (r + j) * L; \
                type *to = y + (r + j) * L; \
                if ((int32_t)(w[j] >> 8) >= c->least) \
                    for (int64_t i = 0; i < L; i++) \
                        to[i] = from[i] * scale + shift; \
                else \
                    for (int64_t i = 0; i < L; i++) \
                        to[i] = dropped; \
            } \
        } \
    }
DROPOUT_ROWS_TASK(ML_NAME(dropout_rows_f32), float)
DROPOUT_ROWS_TASK(ML_NAME(dropout_rows_f64), double)

static int ML_NAME(dropout_rows_entry)(const ml_array *a, const void *settings)
{
    const ml_dropout_settings *s = settings;
    const ml_array *x = &a[0], *position = &a[1], *y = &a[2];
    if (position->dtype != ML_I64 || x->dtype != y->dtype || (x->dtype != ML_F32 && x->dtype != ML_F64))
        return ML_BAD_DTYPE;
    if (position->size != 2 || x->ndim != 2 || x->size != y->size)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(x) || !ml_contiguous(position) || !ml_contiguous(y))
        return ML_NOT_CONTIGUOUS;
    if (x->size == 0)
        return ML_OK;
    const int64_t *place = (const int64_t *)position->data;
    rows_job c = {(uint64_t)place[0], (uint64_t)place[1], x->data, y->data, s->scale, s->shift, s->dropped,
                  x->shape[0], x->shape[1], (int32_t)ceil(s->p * 0x1p24)};
    ml_rt->parallel_for(x->dtype == ML_F32 ? ML_NAME(dropout_rows_f32) : ML_NAME(dropout_rows_f64), &c,
                        ml_ceil_div(c.R, ML_PHILOX_WORDS), ml_max(1, DROPOUT_GRAIN / (c.L * ML_PHILOX_WORDS)));
    return ML_OK;
}

static const dropout_kernels ML_NAME(table) = {ML_NAME(dropout_entry), ML_NAME(dropout_rows_entry)};

#undef rows_job
#undef DROPOUT_ROWS_TASK

#undef job
#undef DROPOUT_TASK
#undef DROPOUT_GRAIN
#undef philox_words
#undef ML_PHILOX_BLOCKS
#undef ML_PHILOX_WORDS
