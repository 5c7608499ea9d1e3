/* A line is read into records (key, place), the key an unsigned integer in the order of the values: floats by their bits,
   with the sign turned round, -0 made 0, and NaN above all; falling order is the key's complement. Records are sorted byte
   by byte from the lowest (radix sort, stable, and skipping bytes that all share), short lines by insertion, and the k
   first of many are kept in a heap. Each line is one item of a parallel loop. */
#include "vec.h"

#ifndef SORT_ONCE
#define SORT_ONCE
#define SORT_SHORT 48                   /* lines this short are sorted by insertion */

typedef struct {
    const char *x;
    char *y;
    int64_t *index;
    int64_t n, k, inner;
    uint64_t flip;                      /* all ones for falling order */
    int dtype, failed;
} sort_work;

typedef struct { uint32_t key, place; } sort_rec32;
typedef struct { uint64_t key, place; } sort_rec64;

static inline uint32_t sort_key_f32(float x)
{
    uint32_t u;
    if (x != x)
        return UINT32_MAX;
    x += 0.0f;                          /* -0 becomes 0 */
    memcpy(&u, &x, 4);
    return u >> 31 ? ~u : u | (uint32_t)1 << 31;
}

static inline uint64_t sort_key_f64(double x)
{
    uint64_t u;
    if (x != x)
        return UINT64_MAX;
    x += 0.0;
    memcpy(&u, &x, 8);
    return u >> 63 ? ~u : u | (uint64_t)1 << 63;
}

static inline uint64_t sort_key_i64(int64_t x) { return (uint64_t)x ^ (uint64_t)1 << 63; }
static inline uint32_t sort_key_i32(int32_t x) { return (uint32_t)x ^ (uint32_t)1 << 31; }
static inline uint32_t sort_key_u8(uint8_t x) { return x; }

/* Sorts n records by key, keeping the order of equal ones; b is as large as a. The result is where the return value
   points, a or b. And: keeps the k first of them in `a` while reading `n` (heap_keep), and puts a heap in order. */
#define SORT_RECORDS(rec, bits)                                                                            \
    static rec *sort_records_##bits(rec *a, rec *b, int64_t n)                                             \
    {                                                                                                      \
        if (n <= SORT_SHORT) {                                                                             \
            for (int64_t i = 1; i < n; i++) {                                                              \
                rec r = a[i];                                                                              \
                int64_t j = i;                                                                             \
                for (; j > 0 && a[j - 1].key > r.key; j--)                                                 \
                    a[j] = a[j - 1];                                                                       \
                a[j] = r;                                                                                  \
            }                                                                                              \
            return a;                                                                                      \
        }                                                                                                  \
        int64_t count[bits / 8][256];                                                                      \
        memset(count, 0, sizeof count);                                                                    \
        for (int64_t i = 0; i < n; i++)                                                                    \
            for (int d = 0; d < bits / 8; d++)                                                             \
                count[d][(a[i].key >> (8 * d)) & 255]++;                                                   \
        for (int d = 0; d < bits / 8; d++) {                                                               \
            int64_t *c = count[d], start = 0;                                                              \
            if (c[(a[0].key >> (8 * d)) & 255] == n)                                                       \
                continue;                                                                                  \
            for (int v = 0; v < 256; v++) {                                                                \
                int64_t here = c[v];                                                                       \
                c[v] = start;                                                                              \
                start += here;                                                                             \
            }                                                                                              \
            for (int64_t i = 0; i < n; i++)                                                                \
                b[c[(a[i].key >> (8 * d)) & 255]++] = a[i];                                                \
            rec *t = a;                                                                                    \
            a = b;                                                                                         \
            b = t;                                                                                         \
        }                                                                                                  \
        return a;                                                                                          \
    }                                                                                                      \
    static inline int sort_after_##bits(rec p, rec q)                                                      \
    {                                                                                                      \
        return p.key > q.key || (p.key == q.key && p.place > q.place);                                     \
    }                                                                                                      \
    /* r goes to the place in the heap a[0 .. n-1] that is free at i or below; the last in order is on top */ \
    static void sort_sink_##bits(rec *a, int64_t n, int64_t i, rec r)                                      \
    {                                                                                                      \
        for (;;) {                                                                                         \
            int64_t child = 2 * i + 1;                                                                     \
            if (child >= n)                                                                                \
                break;                                                                                     \
            if (child + 1 < n && sort_after_##bits(a[child + 1], a[child]))                                \
                child++;                                                                                   \
            if (!sort_after_##bits(a[child], r))                                                           \
                break;                                                                                     \
            a[i] = a[child];                                                                               \
            i = child;                                                                                     \
        }                                                                                                  \
        a[i] = r;                                                                                          \
    }                                                                                                      \
    static void sort_heap_##bits(rec *a, int64_t n)                                                        \
    {                                                                                                      \
        while (n > 1) {                                                                                    \
            rec last = a[--n];                                                                             \
            a[n] = a[0];                                                                                   \
            sort_sink_##bits(a, n, 0, last);                                                               \
        }                                                                                                  \
    }
SORT_RECORDS(sort_rec32, 32)
SORT_RECORDS(sort_rec64, 64)
#undef SORT_RECORDS

/* `less` of a sorted order in which NaN comes last. */
#define SORT_LESS(a, b) ((a) < (b) || ((b) != (b) && (a) == (a)))
#endif

#define SORT_LINES(name, T, rec, bits, key_of)                                                             \
    static void ML_NAME(name)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        sort_work *w = context;                                                                            \
        const int64_t n = w->n, k = w->k, step = w->inner;                                                 \
        const int few = k < n && k * 8 <= n;                                                               \
        rec *a = ml_rt->scratch(0, (few ? k : n) * sizeof(rec));                                           \
        rec *b = few ? a : ml_rt->scratch(1, n * sizeof(rec));                                             \
        if (!a || !b) {                                                                                    \
            __atomic_store_n(&w->failed, ML_NO_MEMORY, __ATOMIC_RELAXED);                                  \
            return;                                                                                        \
        }                                                                                                  \
        for (int64_t line = begin; line < end; line++) {                                                   \
            const T *x = (const T *)w->x + line / step * n * step + line % step;                           \
            T *y = (T *)w->y + line / step * k * step + line % step;                                       \
            int64_t *index = w->index + line / step * k * step + line % step;                              \
            rec *sorted = a;                                                                               \
            if (few) {                                                                                     \
                for (int64_t i = 0; i < k; i++)                                                            \
                    a[i] = (rec){key_of(x[i * step]) ^ (uint##bits##_t)w->flip, (uint##bits##_t)i};        \
                for (int64_t i = k / 2 - 1; i >= 0; i--)                                                   \
                    sort_sink_##bits(a, k, i, a[i]);                                                       \
                for (int64_t i = k; i < n; i++) {                                                          \
                    rec r = {key_of(x[i * step]) ^ (uint##bits##_t)w->flip, (uint##bits##_t)i};            \
                    if (r.key < a[0].key)                                                                  \
                        sort_sink_##bits(a, k, 0, r);                                                      \
                }                                                                                          \
                sort_heap_##bits(a, k);                                                                    \
            } else {                                                                                       \
                for (int64_t i = 0; i < n; i++)                                                            \
                    a[i] = (rec){key_of(x[i * step]) ^ (uint##bits##_t)w->flip, (uint##bits##_t)i};        \
                sorted = sort_records_##bits(a, b, n);                                                     \
            }                                                                                              \
            for (int64_t i = 0; i < k; i++) {                                                              \
                y[i * step] = x[(int64_t)sorted[i].place * step];                                          \
                index[i * step] = (int64_t)sorted[i].place;                                                \
            }                                                                                              \
        }                                                                                                  \
    }
SORT_LINES(sort_f32, float, sort_rec32, 32, sort_key_f32)
SORT_LINES(sort_f64, double, sort_rec64, 64, sort_key_f64)
SORT_LINES(sort_i64, int64_t, sort_rec64, 64, sort_key_i64)
SORT_LINES(sort_i32, int32_t, sort_rec32, 32, sort_key_i32)
SORT_LINES(sort_u8, uint8_t, sort_rec32, 32, sort_key_u8)
#undef SORT_LINES

static int ML_NAME(sort_run)(const ml_array *a, int falling)
{
    static const ml_task tasks[ML_DTYPES] = {ML_NAME(sort_f32), ML_NAME(sort_f64), ML_NAME(sort_i64),
                                             ML_NAME(sort_i32), ML_NAME(sort_u8), ML_NAME(sort_u8)};
    for (int i = 0; i < 3; i++) {
        if (!a[i].data || a[i].dtype != (i < 2 ? a->dtype : ML_I64))
            return ML_BAD_DTYPE;
        if (a[i].ndim != 3 || a[i].shape[0] != a->shape[0] || a[i].shape[2] != a->shape[2])
            return ML_BAD_SHAPE;
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    }
    if (a[1].shape[1] > a->shape[1] || a[2].shape[1] != a[1].shape[1] || a->shape[1] >= UINT32_MAX)
        return ML_BAD_SHAPE;
    sort_work w = {.x = a[0].data, .y = a[1].data, .index = (int64_t *)a[2].data, .n = a->shape[1], .k = a[1].shape[1],
                   .inner = a->shape[2], .flip = falling ? UINT64_MAX : 0, .failed = ML_OK};
    if (a[1].size)
        ml_rt->parallel_for(tasks[a->dtype], &w, a->shape[0] * a->shape[2], ml_max(1, 2048 / ml_max(1, w.n)));
    return w.failed;
}

static int ML_NAME(sort)(const ml_array *a, const void *settings)
{
    if (a[1].ndim == 3 && a->ndim == 3 && a[1].shape[1] != a->shape[1])
        return ML_BAD_SHAPE;
    return ML_NAME(sort_run)(a, ((const ml_sort_settings *)settings)->flag);
}

static int ML_NAME(topk)(const ml_array *a, const void *settings)
{
    return ML_NAME(sort_run)(a, ((const ml_sort_settings *)settings)->flag);
}

/* ---- places in sorted rows ---- */

#define SEARCH(name, T)                                                                                    \
    static void ML_NAME(name)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        const sort_work *w = context;                                                                      \
        const T *values = (const T *)w->y;                                                                 \
        for (int64_t i = begin; i < end; i++) {                                                            \
            const T *row = (const T *)w->x + (w->inner ? i / w->k * w->n : 0), v = values[i];              \
            int64_t low = 0, high = w->n;                                                                  \
            while (low < high) {                                                                           \
                int64_t middle = low + (high - low) / 2;                                                   \
                if (w->flip ? !SORT_LESS(v, row[middle]) : SORT_LESS(row[middle], v))                      \
                    low = middle + 1;                                                                      \
                else                                                                                       \
                    high = middle;                                                                         \
            }                                                                                              \
            w->index[i] = low;                                                                             \
        }                                                                                                  \
    }
SEARCH(search_f32, float)
SEARCH(search_f64, double)
SEARCH(search_i64, int64_t)
SEARCH(search_i32, int32_t)
SEARCH(search_u8, uint8_t)
#undef SEARCH

static int ML_NAME(searchsorted)(const ml_array *a, const void *settings)
{
    static const ml_task tasks[ML_DTYPES] = {ML_NAME(search_f32), ML_NAME(search_f64), ML_NAME(search_i64),
                                             ML_NAME(search_i32), ML_NAME(search_u8), ML_NAME(search_u8)};
    for (int i = 0; i < 3; i++) {
        if (!a[i].data || a[i].dtype != (i < 2 ? a->dtype : ML_I64))
            return ML_BAD_DTYPE;
        if (a[i].ndim != 2 || (i ? a[i].shape[0] != a[1].shape[0] : a->shape[0] != 1 && a->shape[0] != a[1].shape[0]))
            return ML_BAD_SHAPE;
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    }
    if (a[2].shape[1] != a[1].shape[1])
        return ML_BAD_SHAPE;
    sort_work w = {.x = a[0].data, .y = a[1].data, .index = (int64_t *)a[2].data, .n = a->shape[1],
                   .k = a[1].shape[1], .inner = a->shape[0] > 1, .flip = (uint64_t)((const ml_sort_settings *)settings)->flag};
    ml_rt->parallel_for(tasks[a->dtype], &w, a[1].size, 1024);
    return ML_OK;
}

static const sort_kernels ML_NAME(table) = {
    .sort = ML_NAME(sort),
    .topk = ML_NAME(topk),
    .searchsorted = ML_NAME(searchsorted),
};
