/* One thread, in the order of the index: two elements may go to one place. */
#include "vec.h"

#define TIMES(x, v) ((x) * (v))
#define LARGER(x, v) ((x) > (v) || (x) != (x) ? (x) : (v))
#define SMALLER(x, v) ((x) < (v) || (x) != (x) ? (x) : (v))

#define SCATTER(name, T, op)                                                                               \
    static void ML_NAME(name)(char *to, const int64_t *index, const char *from, int64_t n)                 \
    {                                                                                                      \
        T *x = (T *)to;                                                                                    \
        const T *v = (const T *)from;                                                                      \
        for (int64_t i = 0; i < n; i++)                                                                    \
            x[index[i]] = (T)op(x[index[i]], v[i]);                                                        \
    }
#define SCATTERS(name, op)                                                                                 \
    SCATTER(name##_f32, float, op)                                                                         \
    SCATTER(name##_f64, double, op)                                                                        \
    SCATTER(name##_i64, int64_t, op)                                                                       \
    SCATTER(name##_i32, int32_t, op)                                                                       \
    SCATTER(name##_u8, uint8_t, op)                                                                        \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                      \
    {                                                                                                      \
        static void (*const loops[ML_DTYPES])(char *, const int64_t *, const char *, int64_t) = {          \
            ML_NAME(name##_f32), ML_NAME(name##_f64), ML_NAME(name##_i64), ML_NAME(name##_i32), ML_NAME(name##_u8)}; \
        int status = ML_NAME(scatter_check)(a);                                                            \
        (void)settings;                                                                                    \
        if (status == ML_OK)                                                                               \
            loops[a->dtype](a[0].data, (const int64_t *)a[1].data, a[2].data, a[1].size);                  \
        return status;                                                                                     \
    }

static int ML_NAME(scatter_check)(const ml_array *a)
{
    if (!a[0].data || !a[1].data || !a[2].data || a[1].dtype != ML_I64 || a[2].dtype != a->dtype || a->dtype == ML_BOOL)
        return ML_BAD_DTYPE;
    if (a[0].ndim != 1 || a[1].ndim != 1 || a[2].ndim != 1 || a[1].size != a[2].size)
        return ML_BAD_SHAPE;
    for (int i = 0; i < 3; i++)
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    int bad = 0;
    for (int64_t i = 0; i < a[1].size; i++)
        bad |= (uint64_t)((const int64_t *)a[1].data)[i] >= (uint64_t)a->size;
    return bad ? ML_BAD_INDEX : ML_OK;
}

SCATTERS(multiply_at, TIMES)
SCATTERS(maximum_at, LARGER)
SCATTERS(minimum_at, SMALLER)

static const scatter_kernels ML_NAME(table) = {
    .multiply_at = ML_NAME(multiply_at),
    .maximum_at = ML_NAME(maximum_at),
    .minimum_at = ML_NAME(minimum_at),
};

#undef TIMES
#undef LARGER
#undef SMALLER
#undef SCATTER
#undef SCATTERS
