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
    const int64_t *counts;          /* how often each row is asked for; NULL: does not matter */
    /* of bags */
    const int64_t *offsets;
    const char *scales;
    int64_t *picks;
    char *dscales;
    int64_t B;
    int mode;
    /* of renorm */
    const int64_t *chosen;
    double max_norm, norm_type;
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
            if (c->counts) { \
                type share = (type)1 / (type)c->counts[c->index[i]]; \
                for (int64_t d = begin; d < end; d++) \
                    dw[d] += dy[d] * share; \
                continue; \
            } \
            for (int64_t d = begin; d < end; d++) \
                dw[d] += dy[d]; \
        } \
    }
EMBEDDING_ADD(ML_NAME(embedding_add_f32), float)
EMBEDDING_ADD(ML_NAME(embedding_add_f64), double)

/* How many of the n columns a piece of a parallel loop takes: whole cache lines, eight pieces or so, and one piece where
   there is little to add. */
static int64_t ML_NAME(embedding_columns)(const job *c)
{
    return c->n * c->D < 8192 ? c->D : 16 * ml_max(1, ml_ceil_div(c->D, 8 * 16));
}

/* Count the rows, where gradients are divided by it. */
static int ML_NAME(embedding_count)(job *c, int64_t V, int wanted)
{
    int64_t *counts;
    c->counts = NULL;
    if (!wanted)
        return ML_OK;
    counts = ml_rt->scratch(0, (size_t)ml_max(1, V) * sizeof(int64_t));
    if (!counts)
        return ML_NO_MEMORY;
    memset(counts, 0, (size_t)V * sizeof(int64_t));
    for (int64_t i = 0; i < c->n; i++)
        counts[c->index[i]]++;
    c->counts = counts;
    return ML_OK;
}

/* ---- rows that may not be too long ---- */

#define EMBEDDING_RENORM(task, type) \
    static void task(void *context, int64_t begin, int64_t end) \
    { \
        const job *c = context; \
        for (int64_t k = begin; k < end; k++) { \
            type *row = (type *)c->table + c->chosen[k] * c->D; \
            double p = c->norm_type, length = 0; \
            for (int64_t d = 0; d < c->D; d++) { \
                double x = fabs((double)row[d]); \
                if (isinf(p)) \
                    length = x > length ? x : length; \
                else \
                    length += p == 2 ? x * x : p == 1 ? x : pow(x, p); \
            } \
            if (!isinf(p) && p != 1) \
                length = p == 2 ? sqrt(length) : pow(length, 1 / p); \
            if (length > c->max_norm) { \
                type scale = (type)(c->max_norm / (length + 1e-7)); \
                for (int64_t d = 0; d < c->D; d++) \
                    row[d] *= scale; \
            } \
        } \
    }
EMBEDDING_RENORM(ML_NAME(embedding_renorm_f32), float)
EMBEDDING_RENORM(ML_NAME(embedding_renorm_f64), double)

/* ---- bags: forward a bag at a time, backward some columns of every row ---- */

#define EMBEDDING_BAG(suffix, type) \
    static void ML_NAME(embedding_bag_##suffix)(void *context, int64_t begin, int64_t end) \
    { \
        const job *c = context; \
        const int64_t D = c->D; \
        for (int64_t b = begin; b < end; b++) { \
            type *restrict y = (type *)c->rows + b * D; \
            int64_t *picks = c->mode == EMBEDDING_MAX ? c->picks + b * D : NULL; \
            int64_t count = 0; \
            memset(y, 0, (size_t)D * sizeof(type)); \
            for (int64_t d = 0; picks && d < D; d++) \
                picks[d] = -1; \
            for (int64_t i = c->offsets[b]; i < c->offsets[b + 1]; i++) { \
                int64_t v = c->index[i]; \
                const type *restrict w = (const type *)c->table + v * D; \
                if (v == c->padding) \
                    continue; \
                if (picks) { \
                    for (int64_t d = 0; d < D; d++) \
                        if (!count || w[d] > y[d]) { \
                            y[d] = w[d]; \
                            picks[d] = v; \
                        } \
                } else if (c->scales) { \
                    type scale = ((const type *)c->scales)[i]; \
                    for (int64_t d = 0; d < D; d++) \
                        y[d] += w[d] * scale; \
                } else { \
                    for (int64_t d = 0; d < D; d++) \
                        y[d] += w[d]; \
                } \
                count++; \
            } \
            if (c->mode == EMBEDDING_MEAN && count > 1) \
                for (int64_t d = 0; d < D; d++) \
                    y[d] /= (type)count; \
        } \
    } \
    static void ML_NAME(embedding_bag_add_##suffix)(void *context, int64_t begin, int64_t end) \
    { \
        const job *c = context; \
        const int64_t D = c->D; \
        for (int64_t b = 0; b < c->B; b++) { \
            const type *restrict dy = (const type *)c->rows + b * D; \
            int64_t count = 0; \
            if (c->mode == EMBEDDING_MAX) { \
                for (int64_t d = begin; d < end; d++) \
                    if (c->picks[b * D + d] >= 0) \
                        ((type *)c->table)[c->picks[b * D + d] * D + d] += dy[d]; \
                continue; \
            } \
            for (int64_t i = c->offsets[b]; i < c->offsets[b + 1]; i++) \
                count += c->index[i] != c->padding; \
            for (int64_t i = c->offsets[b]; i < c->offsets[b + 1]; i++) { \
                type *restrict dw = (type *)c->table + c->index[i] * D; \
                type f = c->scales ? ((const type *)c->scales)[i] : 1; \
                if (c->index[i] == c->padding) \
                    continue; \
                if (c->counts) \
                    f = f * ((type)1 / (type)c->counts[c->index[i]]); \
                if (c->mode == EMBEDDING_MEAN) \
                    f = f / (type)count; \
                for (int64_t d = begin; d < end; d++) \
                    dw[d] += f * dy[d]; \
            } \
        } \
    } \
    static void ML_NAME(embedding_bag_dot_##suffix)(void *context, int64_t begin, int64_t end) \
    { \
        const job *c = context; \
        const int64_t D = c->D; \
        for (int64_t b = begin; b < end; b++) \
            for (int64_t i = c->offsets[b]; i < c->offsets[b + 1]; i++) { \
                const type *dy = (const type *)c->rows + b * D, *w = (const type *)c->table + c->index[i] * D; \
                double sum = 0; \
                for (int64_t d = 0; d < D && c->index[i] != c->padding; d++) \
                    sum += (double)dy[d] * (double)w[d]; \
                ((type *)c->dscales)[i] = (type)sum; \
            } \
    }
EMBEDDING_BAG(f32, float)
EMBEDDING_BAG(f64, double)

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
    if (status == ML_OK)
        status = ML_NAME(embedding_count)(&c, a[2].shape[0], s->by_frequency);
    if (status != ML_OK)
        return status;
    c.padding = s->padding_idx;
    if (!s->accumulate)
        ml_rt->parallel_for(ML_NAME(embedding_clear), &c, a[2].shape[0], ml_max(1, 131072 / ml_max(c.row_bytes, 1)));
    ml_rt->parallel_for(a[2].dtype == ML_F32 ? ML_NAME(embedding_add_f32) : ML_NAME(embedding_add_f64), &c, c.D,
                        ML_NAME(embedding_columns)(&c));
    return ML_OK;
}

static int ML_NAME(embedding_renorm_entry)(const ml_array *a, const void *settings)
{
    const ml_embedding_settings *s = settings;
    job c = {.table = a[0].data, .index = (const int64_t *)a[1].data, .n = a[1].size, .max_norm = s->max_norm,
             .norm_type = s->norm_type};
    int64_t V = a[0].shape[0], count = 0, *chosen;
    char *seen;
    if (a[1].dtype != ML_I64 || (a[0].dtype != ML_F32 && a[0].dtype != ML_F64))
        return ML_BAD_DTYPE;
    if (a[0].ndim != 2 || a[1].ndim != 1)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(&a[0]) || !ml_contiguous(&a[1]))
        return ML_NOT_CONTIGUOUS;
    if (ML_NAME(embedding_bad)(c.index, c.n, V))
        return ML_BAD_INDEX;
    seen = ml_rt->scratch(0, (size_t)ml_max(1, V));
    chosen = ml_rt->scratch(1, (size_t)ml_max(1, ml_min(V, c.n)) * sizeof(int64_t));
    if (!seen || !chosen)
        return ML_NO_MEMORY;
    memset(seen, 0, (size_t)V);
    for (int64_t i = 0; i < c.n; i++)
        if (!seen[c.index[i]]) {
            seen[c.index[i]] = 1;
            chosen[count++] = c.index[i];
        }
    c.chosen = chosen;
    c.D = a[0].shape[1];
    ml_rt->parallel_for(a[0].dtype == ML_F32 ? ML_NAME(embedding_renorm_f32) : ML_NAME(embedding_renorm_f64), &c, count,
                        ml_max(1, 16384 / ml_max(c.D, 1)));
    return ML_OK;
}

/* What the kernels of bags share: the table (V, D), the bags' rows (B, D), and what is inside them. */
static int ML_NAME(embedding_bag_fill)(const ml_array *table, const ml_array *rows, const ml_array *index,
                                       const ml_array *offsets, const ml_array *scales, const ml_array *picks,
                                       const ml_embedding_settings *s, job *c)
{
    const ml_array *all[] = {table, rows, index, offsets, scales, picks};
    memset(c, 0, sizeof *c);
    if (index->dtype != ML_I64 || offsets->dtype != ML_I64 || (picks->data && picks->dtype != ML_I64) ||
        table->dtype != rows->dtype || (rows->dtype != ML_F32 && rows->dtype != ML_F64) ||
        (scales->data && scales->dtype != rows->dtype))
        return ML_BAD_DTYPE;
    if (table->ndim != 2 || rows->ndim != 2 || index->ndim != 1 || offsets->ndim != 1 || offsets->size != rows->shape[0] + 1 ||
        table->shape[1] != rows->shape[1] || (scales->data && scales->size != index->size) ||
        (picks->data && picks->size != rows->size) || (s->mode == EMBEDDING_MAX && !picks->data))
        return ML_BAD_SHAPE;
    for (int i = 0; i < 6; i++)
        if (all[i]->data && !ml_contiguous(all[i]))
            return ML_NOT_CONTIGUOUS;
    c->table = table->data;
    c->rows = rows->data;
    c->index = (const int64_t *)index->data;
    c->offsets = (const int64_t *)offsets->data;
    c->scales = scales->data;
    c->picks = (int64_t *)picks->data;
    c->n = index->size;
    c->B = rows->shape[0];
    c->D = table->shape[1];
    c->row_bytes = c->D * ml_itemsizes[table->dtype];
    c->padding = s->padding_idx;
    c->mode = s->mode;
    if (c->offsets[0] != 0 || c->offsets[c->B] != c->n)
        return ML_BAD_INDEX;
    for (int64_t b = 0; b < c->B; b++)
        if (c->offsets[b] > c->offsets[b + 1])
            return ML_BAD_INDEX;
    return ML_NAME(embedding_bad)(c->index, c->n, table->shape[0]) ? ML_BAD_INDEX : ML_OK;
}

/* How many bags a piece of a parallel loop takes. */
static int64_t ML_NAME(embedding_bags)(const job *c)
{
    return ml_max(1, 16384 / ml_max(1, c->D * ml_max(1, c->n / ml_max(1, c->B))));
}

static int ML_NAME(embedding_bag_entry)(const ml_array *a, const void *settings)
{
    job c;
    int status = ML_NAME(embedding_bag_fill)(&a[0], &a[4], &a[1], &a[2], &a[3], &a[5], settings, &c);
    if (status == ML_OK)
        ml_rt->parallel_for(a[0].dtype == ML_F32 ? ML_NAME(embedding_bag_f32) : ML_NAME(embedding_bag_f64), &c, c.B,
                            ML_NAME(embedding_bags)(&c));
    return status;
}

static int ML_NAME(embedding_bag_backward_entry)(const ml_array *a, const void *settings)
{
    const ml_embedding_settings *s = settings;
    job c;
    int status = ML_NAME(embedding_bag_fill)(&a[5], &a[0], &a[1], &a[2], &a[3], &a[4], s, &c);
    if (status == ML_OK)
        status = ML_NAME(embedding_count)(&c, a[5].shape[0], s->by_frequency);
    if (status != ML_OK)
        return status;
    for (int64_t i = 0; c.mode == EMBEDDING_MAX && i < a[4].size; i++)
        if (c.picks[i] >= a[5].shape[0])
            return ML_BAD_INDEX;
    if (!s->accumulate)
        ml_rt->parallel_for(ML_NAME(embedding_clear), &c, a[5].shape[0], ml_max(1, 131072 / ml_max(c.row_bytes, 1)));
    ml_rt->parallel_for(a[0].dtype == ML_F32 ? ML_NAME(embedding_bag_add_f32) : ML_NAME(embedding_bag_add_f64), &c, c.D,
                        ML_NAME(embedding_columns)(&c));
    return ML_OK;
}

static int ML_NAME(embedding_bag_backward_scales_entry)(const ml_array *a, const void *settings)
{
    ml_array none = {0};
    job c;
    int status = ML_NAME(embedding_bag_fill)(&a[1], &a[0], &a[2], &a[3], &a[4], &none, settings, &c);
    if (status != ML_OK)
        return status;
    if (!a[4].data)
        return ML_BAD_SHAPE;
    c.dscales = a[4].data;
    ml_rt->parallel_for(a[0].dtype == ML_F32 ? ML_NAME(embedding_bag_dot_f32) : ML_NAME(embedding_bag_dot_f64), &c, c.B,
                        ML_NAME(embedding_bags)(&c));
    return ML_OK;
}

static const embedding_kernels ML_NAME(table) = {
    .embedding = ML_NAME(embedding_entry),
    .embedding_backward = ML_NAME(embedding_backward_entry),
    .embedding_renorm = ML_NAME(embedding_renorm_entry),
    .embedding_bag = ML_NAME(embedding_bag_entry),
    .embedding_bag_backward = ML_NAME(embedding_bag_backward_entry),
    .embedding_bag_backward_scales = ML_NAME(embedding_bag_backward_scales_entry),
};

#undef job
#undef EMBEDDING_ADD
#undef EMBEDDING_BAG
#undef EMBEDDING_RENORM
