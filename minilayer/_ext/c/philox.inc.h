/* Each kernel is a loop over runs of ML_PHILOX_BLOCKS blocks: words into a small buffer, then numbers
   out of it. The buffer's loops have a constant length and are left to the compiler's vectoriser. */
#include "vec.h"
#include "philox_core.h"

#define job ML_NAME(philox_job)
typedef struct {
    uint64_t seed, offset;
    char *y;
    const ml_philox_range *range;
} job;

/* Elements a piece: a multiple of what one run of blocks gives in any of the loops below. */
#define PHILOX_GRAIN 16384

static void ML_NAME(random_bits_task)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    int64_t *y = (int64_t *)c->y;
    uint32_t w[ML_PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += ML_PHILOX_WORDS) {
        philox_words(c->seed, c->offset + (uint64_t)i / 4, w);
        int n = (int)ml_min(ML_PHILOX_WORDS, end - i);
        for (int j = 0; j < n; j++)
            y[i + j] = w[j];
    }
}

static void ML_NAME(uniform_f32_task)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    float *y = (float *)c->y;
    uint32_t w[ML_PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += ML_PHILOX_WORDS) {
        philox_words(c->seed, c->offset + (uint64_t)i / 4, w);
        int n = (int)ml_min(ML_PHILOX_WORDS, end - i);
        for (int j = 0; j < n; j++)
            y[i + j] = (float)(int32_t)(w[j] >> 8) * 0x1p-24f;
    }
}

#define philox_double ML_NAME(philox_double)
ML_INLINE double philox_double(uint32_t a, uint32_t b)
{
    return (double)(int64_t)((uint64_t)(a >> 5) << 26 | b >> 6) * 0x1p-53;
}

static void ML_NAME(uniform_f64_task)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    double *y = (double *)c->y;
    uint32_t w[ML_PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += ML_PHILOX_WORDS / 2) {
        philox_words(c->seed, c->offset + (uint64_t)i / 2, w);
        int n = (int)ml_min(ML_PHILOX_WORDS / 2, end - i);
        for (int j = 0; j < n; j++)
            y[i + j] = philox_double(w[2 * j], w[2 * j + 1]);
    }
}

#define philox_normals ML_NAME(philox_normals)
ML_INLINE void philox_normals(double u, double v, double *z)
{
    double r = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
    z[0] = r * cos(angle);
    z[1] = r * sin(angle);
}

static void ML_NAME(normal_f32_task)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    float *y = (float *)c->y;
    uint32_t w[ML_PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += ML_PHILOX_WORDS) {
        philox_words(c->seed, c->offset + (uint64_t)i / 4, w);
        int n = (int)ml_min(ML_PHILOX_WORDS, end - i);
        for (int j = 0; j < n; j += 2) {
            double z[2];
            philox_normals((double)((w[j] >> 8) + 1) * 0x1p-24, (double)(w[j + 1] >> 8) * 0x1p-24, z);
            y[i + j] = (float)z[0];
            if (j + 1 < n)
                y[i + j + 1] = (float)z[1];
        }
    }
}

static void ML_NAME(normal_f64_task)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    double *y = (double *)c->y;
    uint32_t w[ML_PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += ML_PHILOX_WORDS / 2) {
        philox_words(c->seed, c->offset + (uint64_t)i / 2, w);
        int n = (int)ml_min(ML_PHILOX_WORDS / 2, end - i);
        for (int j = 0; j < n; j += 2) {
            double z[2];
            philox_normals(1.0 - philox_double(w[2 * j], w[2 * j + 1]), philox_double(w[2 * j + 2], w[2 * j + 3]), z);
            y[i + j] = z[0];
            if (j + 1 < n)
                y[i + j + 1] = z[1];
        }
    }
}

static void ML_NAME(integers_task)(void *context, int64_t begin, int64_t end)
{
    const job *c = context;
    int64_t *y = (int64_t *)c->y;
    uint32_t w[ML_PHILOX_WORDS];
    for (int64_t i = begin; i < end; i += ML_PHILOX_WORDS / 2) {
        philox_words(c->seed, c->offset + (uint64_t)i / 2, w);
        int n = (int)ml_min(ML_PHILOX_WORDS / 2, end - i);
        for (int j = 0; j < n; j++) {
            uint64_t bits = (uint64_t)w[2 * j + 1] << 32 | w[2 * j];
            uint64_t upper = (uint64_t)((unsigned __int128)bits * c->range->count >> 64);
            y[i + j] = (int64_t)(upper + (uint64_t)c->range->low);
        }
    }
}

/* a = position (2,), y; `f32` NULL where y is int64, `other` for float64 or int64. */
static int ML_NAME(philox_run)(const ml_array *a, const void *settings, ml_task f32, ml_task other, int dtype)
{
    if (a[0].dtype != ML_I64 || (a[1].dtype != dtype && !(f32 && a[1].dtype == ML_F32)))
        return ML_BAD_DTYPE;
    if (a[0].size != 2)
        return ML_BAD_SHAPE;
    if (!ml_contiguous(&a[0]) || !ml_contiguous(&a[1]))
        return ML_NOT_CONTIGUOUS;
    const int64_t *position = (const int64_t *)a[0].data;
    job c = {(uint64_t)position[0], (uint64_t)position[1], a[1].data, settings};
    ml_rt->parallel_for(a[1].dtype == ML_F32 ? f32 : other, &c, a[1].size, PHILOX_GRAIN);
    return ML_OK;
}

static int ML_NAME(philox_random_bits)(const ml_array *a, const void *settings)
{
    return ML_NAME(philox_run)(a, settings, NULL, ML_NAME(random_bits_task), ML_I64);
}

static int ML_NAME(philox_uniform)(const ml_array *a, const void *settings)
{
    return ML_NAME(philox_run)(a, settings, ML_NAME(uniform_f32_task), ML_NAME(uniform_f64_task), ML_F64);
}

static int ML_NAME(philox_normal)(const ml_array *a, const void *settings)
{
    return ML_NAME(philox_run)(a, settings, ML_NAME(normal_f32_task), ML_NAME(normal_f64_task), ML_F64);
}

static int ML_NAME(philox_integers)(const ml_array *a, const void *settings)
{
    return ML_NAME(philox_run)(a, settings, NULL, ML_NAME(integers_task), ML_I64);
}

static const philox_kernels ML_NAME(table) = {
    .random_bits = ML_NAME(philox_random_bits),
    .uniform = ML_NAME(philox_uniform),
    .normal = ML_NAME(philox_normal),
    .integers = ML_NAME(philox_integers),
};

#undef job
#undef PHILOX_GRAIN
#undef philox_double
#undef philox_normals
#undef philox_words
#undef ML_PHILOX_BLOCKS
#undef ML_PHILOX_WORDS
