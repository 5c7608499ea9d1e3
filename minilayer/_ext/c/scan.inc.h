/* Each line along the middle axis is one item of a parallel loop, so that its bits do not depend on the number of
   threads. Products and sums of floats run in double. */
#include "vec.h"

#ifndef SCAN_ONCE
#define SCAN_ONCE
typedef struct {
    const char *x, *y, *dy;
    const int64_t *index;
    char *out;
    int64_t *places;
    int64_t n, m, inner;                /* steps of a line of x, and of dx in add_along */
    int failed;
} scan_work;

/* Item k is line k % inner of block k / inner. */
#define SCAN_LINES(k) \
    int64_t at = (k / w->inner) * w->n * w->inner + k % w->inner; \
    const int64_t step = w->inner, n = w->n;
#endif

/* All arrays alike: (outer, n, inner), and of the dtypes the caller has checked. */
static int ML_NAME(scan_check)(const ml_array *a, int count)
{
    for (int i = 0; i < count; i++) {
        if (!a[i].data)
            return ML_BAD_DTYPE;
        if (a[i].ndim != 3 || a[i].shape[0] != a->shape[0] || a[i].shape[1] != a->shape[1] || a[i].shape[2] != a->shape[2])
            return ML_BAD_SHAPE;
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    }
    return ML_OK;
}

static void ML_NAME(scan_lines)(ml_task task, scan_work *w, const ml_array *x, int64_t cost)
{
    w->n = x->shape[1];
    w->inner = x->shape[2];
    if (x->size)
        ml_rt->parallel_for(task, w, x->shape[0] * x->shape[2], ml_max(1, 16384 / ml_max(1, cost * x->shape[1])));
}

/* ---- products ---- */

#define CUMPROD(name, T, U, wide)                                                                          \
    static void ML_NAME(name)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        const scan_work *w = context;                                                                      \
        for (int64_t k = begin; k < end; k++) {                                                            \
            SCAN_LINES(k)                                                                                  \
            const T *x = (const T *)w->x + at;                                                             \
            U *y = (U *)w->out + at;                                                                       \
            wide total = 1;                                                                                \
            for (int64_t i = 0; i < n; i++) {                                                              \
                total *= (wide)x[i * step];                                                                \
                y[i * step] = (U)total;                                                                    \
            }                                                                                              \
        }                                                                                                  \
    }
CUMPROD(cumprod_f32, float, float, double)
CUMPROD(cumprod_f64, double, double, double)
CUMPROD(cumprod_i64, int64_t, int64_t, uint64_t)
CUMPROD(cumprod_i32, int32_t, int64_t, uint64_t)
CUMPROD(cumprod_u8, uint8_t, int64_t, uint64_t)
#undef CUMPROD

static int ML_NAME(cumprod)(const ml_array *a, const void *settings)
{
    static const ml_task tasks[ML_DTYPES] = {ML_NAME(cumprod_f32), ML_NAME(cumprod_f64), ML_NAME(cumprod_i64),
                                             ML_NAME(cumprod_i32), ML_NAME(cumprod_u8), ML_NAME(cumprod_u8)};
    int status = ML_NAME(scan_check)(a, 2);
    (void)settings;
    if (status)
        return status;
    if (a[1].dtype != (a->dtype == ML_F32 || a->dtype == ML_F64 ? a->dtype : ML_I64))
        return ML_BAD_DTYPE;
    scan_work w = {.x = a[0].data, .out = a[1].data};
    ML_NAME(scan_lines)(tasks[a->dtype], &w, a, 1);
    return ML_OK;
}

/* dy y summed from the end and divided by x up to the first 0; at it, products that leave it out; behind it 0. */
#define CUMPROD_BACKWARD(name, T)                                                                          \
    static void ML_NAME(name)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        const scan_work *w = context;                                                                      \
        for (int64_t k = begin; k < end; k++) {                                                            \
            SCAN_LINES(k)                                                                                  \
            const T *x = (const T *)w->x + at, *y = (const T *)w->y + at, *dy = (const T *)w->dy + at;     \
            T *dx = (T *)w->out + at;                                                                      \
            int64_t first = 0;                                                                             \
            while (first < n && x[first * step] != 0)                                                      \
                first++;                                                                                   \
            double total = 0;                                                                              \
            for (int64_t i = first - 1; i >= 0; i--) {                                                     \
                total += (double)dy[i * step] * y[i * step];                                               \
                dx[i * step] = (T)(total / x[i * step]);                                                   \
            }                                                                                              \
            if (first == n)                                                                                \
                continue;                                                                                  \
            double others = first ? y[(first - 1) * step] : 1;                                             \
            total = others * dy[first * step];                                                             \
            for (int64_t i = first + 1; i < n; i++) {                                                      \
                others *= x[i * step];                                                                     \
                total += others * dy[i * step];                                                            \
                dx[i * step] = 0;                                                                          \
            }                                                                                              \
            dx[first * step] = (T)total;                                                                   \
        }                                                                                                  \
    }
CUMPROD_BACKWARD(cumprod_backward_f32, float)
CUMPROD_BACKWARD(cumprod_backward_f64, double)
#undef CUMPROD_BACKWARD

static int ML_NAME(scan_backward)(const ml_array *a, ml_task f32, ml_task f64)
{
    int status = ML_NAME(scan_check)(a, 4);
    if (status)
        return status;
    for (int i = 0; i < 4; i++)
        if (a[i].dtype != a->dtype || (a->dtype != ML_F32 && a->dtype != ML_F64))
            return ML_BAD_DTYPE;
    scan_work w = {.x = a[0].data, .y = a[1].data, .dy = a[2].data, .out = a[3].data};
    ML_NAME(scan_lines)(a->dtype == ML_F32 ? f32 : f64, &w, a, 8);
    return ML_OK;
}

static int ML_NAME(cumprod_backward)(const ml_array *a, const void *settings)
{
    (void)settings;
    return ML_NAME(scan_backward)(a, ML_NAME(cumprod_backward_f32), ML_NAME(cumprod_backward_f64));
}

/* ---- extremes ---- */

#define CUM_EXTREME(name, T, better)                                                                       \
    static void ML_NAME(name)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        const scan_work *w = context;                                                                      \
        for (int64_t k = begin; k < end; k++) {                                                            \
            SCAN_LINES(k)                                                                                  \
            const T *x = (const T *)w->x + at;                                                             \
            T *y = (T *)w->out + at, best = x[0];                                                          \
            int64_t *index = w->places + at, place = 0;                                                    \
            for (int64_t i = 0; i < n; i++) {                                                              \
                T v = x[i * step];                                                                         \
                if (v better best || v != v) {      /* from a NaN on, only NaN is no worse */              \
                    best = v;                                                                              \
                    place = i;                                                                             \
                }                                                                                          \
                y[i * step] = best;                                                                        \
                index[i * step] = place;                                                                   \
            }                                                                                              \
        }                                                                                                  \
    }
#define CUM_EXTREMES(name, better)                                                                         \
    CUM_EXTREME(name##_f32, float, better)                                                                 \
    CUM_EXTREME(name##_f64, double, better)                                                                \
    CUM_EXTREME(name##_i64, int64_t, better)                                                               \
    CUM_EXTREME(name##_i32, int32_t, better)                                                               \
    CUM_EXTREME(name##_u8, uint8_t, better)                                                                \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                      \
    {                                                                                                      \
        static const ml_task tasks[ML_DTYPES] = {ML_NAME(name##_f32), ML_NAME(name##_f64), ML_NAME(name##_i64), \
                                                 ML_NAME(name##_i32), ML_NAME(name##_u8), ML_NAME(name##_u8)}; \
        int status = ML_NAME(scan_check)(a, 3);                                                            \
        (void)settings;                                                                                    \
        if (status)                                                                                        \
            return status;                                                                                 \
        if (a[1].dtype != a->dtype || a[2].dtype != ML_I64)                                                \
            return ML_BAD_DTYPE;                                                                           \
        scan_work w = {.x = a[0].data, .out = a[1].data, .places = (int64_t *)a[2].data};                  \
        ML_NAME(scan_lines)(tasks[a->dtype], &w, a, 2);                                                    \
        return ML_OK;                                                                                      \
    }
CUM_EXTREMES(cummax, >=)
CUM_EXTREMES(cummin, <=)
#undef CUM_EXTREMES
#undef CUM_EXTREME

/* ---- what comes back to where an index points ---- */

#define ADD_ALONG(name, T)                                                                                 \
    static void ML_NAME(name)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        scan_work *w = context;                                                                            \
        for (int64_t k = begin; k < end; k++) {                                                            \
            SCAN_LINES(k)                                                                                  \
            const T *dy = (const T *)w->dy + at;                                                           \
            const int64_t *index = w->index + at;                                                          \
            T *dx = (T *)w->out + (k / step) * w->m * step + k % step;                                     \
            for (int64_t i = 0; i < n; i++) {                                                              \
                int64_t place = index[i * step];                                                           \
                if ((uint64_t)place >= (uint64_t)w->m)                                                     \
                    __atomic_store_n(&w->failed, ML_BAD_INDEX, __ATOMIC_RELAXED);                          \
                else                                                                                       \
                    dx[place * step] += dy[i * step];                                                      \
            }                                                                                              \
        }                                                                                                  \
    }
ADD_ALONG(add_along_f32, float)
ADD_ALONG(add_along_f64, double)
#undef ADD_ALONG

static int ML_NAME(add_along)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(scan_check)(a, 2);
    (void)settings;
    if (status)
        return status;
    if ((a->dtype != ML_F32 && a->dtype != ML_F64) || a[1].dtype != ML_I64 || a[2].dtype != a->dtype || !a[2].data)
        return ML_BAD_DTYPE;
    if (a[2].ndim != 3 || a[2].shape[0] != a->shape[0] || a[2].shape[2] != a->shape[2])
        return ML_BAD_SHAPE;
    if (!ml_contiguous(&a[2]))
        return ML_NOT_CONTIGUOUS;
    memset(a[2].data, 0, a[2].size * ml_itemsizes[a->dtype]);
    scan_work w = {.dy = a[0].data, .index = (const int64_t *)a[1].data, .out = a[2].data, .m = a[2].shape[1]};
    ML_NAME(scan_lines)(a->dtype == ML_F32 ? ML_NAME(add_along_f32) : ML_NAME(add_along_f64), &w, a, 2);
    return w.failed;
}

/* ---- logarithms of sums ---- */

#define LOGCUMSUMEXP(name, T)                                                                              \
    static void ML_NAME(name)(void *context, int64_t begin, int64_t end)                                   \
    {                                                                                                      \
        const scan_work *w = context;                                                                      \
        for (int64_t k = begin; k < end; k++) {                                                            \
            SCAN_LINES(k)                                                                                  \
            const T *x = (const T *)w->x + at;                                                             \
            T *y = (T *)w->out + at;                                                                       \
            double total = -INFINITY;                                                                      \
            for (int64_t i = 0; i < n; i++) {                                                              \
                double v = x[i * step], d = v - total;                                                     \
                if (v == total)                                                                            \
                    total = v + M_LN2;              /* also two equal infinities */                        \
                else                                                                                       \
                    total = d > 0 ? v + log1p(exp(-d)) : d <= 0 ? total + log1p(exp(d)) : d;               \
                y[i * step] = (T)total;                                                                    \
            }                                                                                              \
        }                                                                                                  \
    }                                                                                                      \
    static void ML_NAME(name##_backward)(void *context, int64_t begin, int64_t end)                        \
    {                                                                                                      \
        const scan_work *w = context;                                                                      \
        for (int64_t k = begin; k < end; k++) {                                                            \
            SCAN_LINES(k)                                                                                  \
            const T *x = (const T *)w->x + at, *y = (const T *)w->y + at, *dy = (const T *)w->dy + at;     \
            T *dx = (T *)w->out + at;                                                                      \
            double r = 0, next = 0;                                                                        \
            for (int64_t i = n - 1; i >= 0; i--) {                                                         \
                double t = y[i * step], v = x[i * step];                                                   \
                if (i < n - 1)                                                                             \
                    r *= t == next ? 1 : exp(t - next);                                                    \
                r += dy[i * step];                                                                         \
                dx[i * step] = (T)(r * exp(v - t));                                                        \
                next = t;                                                                                  \
            }                                                                                              \
        }                                                                                                  \
    }
LOGCUMSUMEXP(lcse_f32, float)
LOGCUMSUMEXP(lcse_f64, double)
#undef LOGCUMSUMEXP

static int ML_NAME(logcumsumexp)(const ml_array *a, const void *settings)
{
    int status = ML_NAME(scan_check)(a, 2);
    (void)settings;
    if (status)
        return status;
    if ((a->dtype != ML_F32 && a->dtype != ML_F64) || a[1].dtype != a->dtype)
        return ML_BAD_DTYPE;
    scan_work w = {.x = a[0].data, .out = a[1].data};
    ML_NAME(scan_lines)(a->dtype == ML_F32 ? ML_NAME(lcse_f32) : ML_NAME(lcse_f64), &w, a, 16);
    return ML_OK;
}

static int ML_NAME(logcumsumexp_backward)(const ml_array *a, const void *settings)
{
    (void)settings;
    return ML_NAME(scan_backward)(a, ML_NAME(lcse_f32_backward), ML_NAME(lcse_f64_backward));
}

static const scan_kernels ML_NAME(table) = {
    .cumprod = ML_NAME(cumprod),
    .cumprod_backward = ML_NAME(cumprod_backward),
    .cummax = ML_NAME(cummax),
    .cummin = ML_NAME(cummin),
    .add_along = ML_NAME(add_along),
    .logcumsumexp = ML_NAME(logcumsumexp),
    .logcumsumexp_backward = ML_NAME(logcumsumexp_backward),
};
