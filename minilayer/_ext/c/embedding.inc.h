/* Forward copies rows. Backward adds rows, and two of them may go to the same place: each thread
   takes some columns of every row, so no two meet, and each sum runs in the order of the indices
   whatever the number of threads. */
#include "vec.h"

#define job ML_NAME(embedding_job)
typedef struct {
    char *rows;                     /* y or dy (n, D) */
    char *table;                    /* weight or dweight (V, D) */
    const int64_t *index;
    int64_t n, D, padding;
    int64_t row_bytes;
} job;

static int ML_NAME(embedding_bad)(const int64_t *index, int64_t n, int64_t rows)
{
    int bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= (uint64_t)index[i] >= (uint64_t)rows;
    return bad;
}

static void ML_NAME(embedding_take)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    for (int64_t i = begin; i < end; i++)
        memcpy(c->rows + i * c->row_bytes, c->table + c->index[i] * c->row_bytes, c->row_bytes);
}

static void ML_NAME(embedding_clear)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    memset(c->table + begin * c->row_bytes, 0, (end - begin) * c->row_bytes);
}

/* Columns [begin, end) of every row. */
#define EMBEDDING_ADD(task, type) \
    static void task(void *context, int64_t begin, int64_t end) \
    { \
        const job *c = context; \
        const int64_t D = c->D; \
        for (int64_t i = 0; i < c->n; i++) { \
            if (c->index[i] == c->padding) \
                continue; \
            const type *restrict dy = (const type *)c->rows + i * D; \
            type *restrict dw = (type *)c->table + c->index[i] * D; \
            for (int64_t d = begin; d < end; d++) \
                dw[d] += dy[d]; \
        } \
    }
EMBEDDING_ADD(ML_NAME(embedding_add_f32), float)
EMBEDDING_ADD(ML_NAME(embedding_add_f64), double)

/* The table and the rows, in whichever order the entry has them. */
static int ML_NAME(embedding_fill)(const ml_array *table, const ml_array *index, const ml_array *rows, job *c)
{
    if (index->dtype != ML_I64 || table->dtype != rows->dtype || (rows->dtype != ML_F32 && rows->dtype != ML_F64))
        return ML_BAD_DTYPE;
    if (table->ndim != 2 || rows->ndim != 2 || index->ndim != 1 || rows->shape[0] != index->size ||
        table->shape[1] != rows->shape[1])
        return ML_BAD_SHAPE;
    if (!ml_contiguous(table) || !ml_contiguous(index) || !ml_contiguous(rows))
        return ML_NOT_CONTIGUOUS;
    c->rows = rows->data;
    c->table = table->data;
    c->index = (const int64_t *)index->data;
    c->n = index->size;
    c->D = table->shape[1];
    c->row_bytes = c->D * ml_itemsizes[table->dtype];
    return ML_NAME(embedding_bad)(c->index, c->n, table->shape[0]) ? ML_BAD_INDEX : ML_OK;
}

static int ML_NAME(embedding_entry)(const ml_array *a, const void *settings)
{
    job c;
    int status = ML_NAME(embedding_fill)(&a[0], &a[1], &a[2], &c);
    (void)settings;
    if (status == ML_OK)
        ml_rt->parallel_for(ML_NAME(embedding_take), &c, c.n, ml_max(1, 65536 / ml_max(c.row_bytes, 1)));
    return status;
}

static int ML_NAME(embedding_backward_entry)(const ml_array *a, const void *settings)
{
    const ml_embedding_settings *s = settings;
    job c;
    int status = ML_NAME(embedding_fill)(&a[2], &a[1], &a[0], &c);
    if (status != ML_OK)
        return status;
    c.padding = s->padding_idx;
    if (!s->accumulate)
        ml_rt->parallel_for(ML_NAME(embedding_clear), &c, a[2].shape[0], ml_max(1, 131072 / ml_max(c.row_bytes, 1)));
    /* whole cache lines, eight pieces or so, and one piece where there is little to add */
    int64_t grain = c.n * c.D < 8192 ? c.D : 16 * ml_max(1, ml_ceil_div(c.D, 8 * 16));
    ml_rt->parallel_for(a[2].dtype == ML_F32 ? ML_NAME(embedding_add_f32) : ML_NAME(embedding_add_f64), &c, c.D, grain);
    return ML_OK;
}

static const embedding_kernels ML_NAME(table) = {
    .embedding = ML_NAME(embedding_entry),
    .embedding_backward = ML_NAME(embedding_backward_entry),
};

#undef job
#undef EMBEDDING_ADD
