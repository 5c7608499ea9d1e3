/* Functions of one or two numbers, element by element: the C library's where it has them, in the arrays' own type, and in
   double what it lacks (erfinv, digamma, trigamma). */
#include "vec.h"

#ifndef SPECIAL_ONCE
#define SPECIAL_ONCE
#define SPECIAL_PIECE 4096              /* elements of a piece of a parallel loop */

typedef struct {
    const char *a, *b;
    char *y;
} special_work;

/* Where erf is p: Winitzki's approximation, good to 0.002, then Halley's steps on the complement, which keeps its digits
   near 1. */
static double special_erfinv(double p)
{
    if (!(p >= -1 && p <= 1))
        return NAN;
    if (p == 0)
        return p;
    double q = fabs(p);
    if (q == 1)
        return copysign(INFINITY, p);
    double w = -log((1 - q) * (1 + q)), t = 2 / (M_PI * 0.147) - w / 2;
    double z = sqrt(sqrt(t * t + w / 0.147) - t);
    for (int i = 0; i < 4; i++) {
        double f = q < 0.5 ? erf(z) - q : (1 - q) - erfc(z);
        double step = f / (2 / sqrt(M_PI) * exp(-z * z));
        z -= step / (1 + z * step);
    }
    return copysign(z, p);
}

/* log |gamma(x)| by lgamma_r, which unlike lgamma writes no global sign. */
static double special_lgamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static float special_lgammaf(float x)
{
    int sign;
    return (float)lgamma_r(x, &sign);
}

static double special_digamma(double x)
{
    double total = 0;
    if (x == 0)
        return copysign(INFINITY, -x);
    if (isinf(x))
        return x > 0 ? x : NAN;
    if (x < 0) {
        if (x == trunc(x))
            return NAN;
        total = -M_PI / tan(M_PI * (x - trunc(x)));         /* (x - floor(x) loses what is close to 0) */
        x = 1 - x;
    }
    for (; x < 10; x += 1)
        total -= 1 / x;
    double r = 1 / (x * x);
    double series = r * (1. / 12 - r * (1. / 120 - r * (1. / 252 - r * (1. / 240 - r * (1. / 132 - r * (691. / 32760 - r / 12))))));
    return total + log(x) - 0.5 / x - series;
}

static double special_trigamma(double x)
{
    double sign = 1, total = 0;
    if (x < 0.5) {
        double s = sin(M_PI * (x - trunc(x)));
        if (s == 0)
            return INFINITY;
        sign = -1;
        total = -(M_PI / s) * (M_PI / s);
        x = 1 - x;
    }
    for (; x < 10; x += 1)
        total += 1 / (x * x);
    double r = 1 / (x * x);
    double series = r * (1. / 6 - r * (1. / 30 - r * (1. / 42 - r * (1. / 30 - r * (5. / 66 - r * (691. / 2730 - r * 7 / 6))))));
    return sign * (total + (1 + 0.5 / x + series) / x);
}

static double special_logaddexp(double a, double b)
{
    if (a == b)
        return a + M_LN2;               /* also two equal infinities */
    double d = a - b;
    return d > 0 ? a + log1p(exp(-d)) : d <= 0 ? b + log1p(exp(d)) : d;
}
#endif

#define SPECIAL1(name, f32, f64)                                                                           \
    static void ML_NAME(name##_f32)(void *context, int64_t begin, int64_t end)                             \
    {                                                                                                      \
        const special_work *w = context;                                                                   \
        const float *x = (const float *)w->a;                                                              \
        for (int64_t i = begin; i < end; i++)                                                              \
            ((float *)w->y)[i] = (float)f32(x[i]);                                                         \
    }                                                                                                      \
    static void ML_NAME(name##_f64)(void *context, int64_t begin, int64_t end)                             \
    {                                                                                                      \
        const special_work *w = context;                                                                   \
        const double *x = (const double *)w->a;                                                            \
        for (int64_t i = begin; i < end; i++)                                                              \
            ((double *)w->y)[i] = f64(x[i]);                                                               \
    }                                                                                                      \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                      \
    {                                                                                                      \
        (void)settings;                                                                                    \
        return ML_NAME(special_run)(a, 2, ML_NAME(name##_f32), ML_NAME(name##_f64));                       \
    }

#define SPECIAL2(name, f32, f64)                                                                           \
    static void ML_NAME(name##_f32)(void *context, int64_t begin, int64_t end)                             \
    {                                                                                                      \
        const special_work *w = context;                                                                   \
        const float *a = (const float *)w->a, *b = (const float *)w->b;                                    \
        for (int64_t i = begin; i < end; i++)                                                              \
            ((float *)w->y)[i] = (float)f32(a[i], b[i]);                                                   \
    }                                                                                                      \
    static void ML_NAME(name##_f64)(void *context, int64_t begin, int64_t end)                             \
    {                                                                                                      \
        const special_work *w = context;                                                                   \
        const double *a = (const double *)w->a, *b = (const double *)w->b;                                 \
        for (int64_t i = begin; i < end; i++)                                                              \
            ((double *)w->y)[i] = f64(a[i], b[i]);                                                         \
    }                                                                                                      \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                                      \
    {                                                                                                      \
        (void)settings;                                                                                    \
        return ML_NAME(special_run)(a, 3, ML_NAME(name##_f32), ML_NAME(name##_f64));                       \
    }

/* The arrays a[0 .. n-1], the last of which is y, all alike. */
static int ML_NAME(special_run)(const ml_array *a, int n, ml_task f32, ml_task f64)
{
    if (a->dtype != ML_F32 && a->dtype != ML_F64)
        return ML_BAD_DTYPE;
    for (int i = 0; i < n; i++) {
        if (!a[i].data || a[i].dtype != a->dtype)
            return ML_BAD_DTYPE;
        if (a[i].size != a->size)
            return ML_BAD_SHAPE;
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    }
    special_work w = {a[0].data, a[1].data, a[n - 1].data};
    ml_rt->parallel_for(a->dtype == ML_F32 ? f32 : f64, &w, a->size, SPECIAL_PIECE);
    return ML_OK;
}

SPECIAL1(tan, tanf, tan)
SPECIAL1(asin, asinf, asin)
SPECIAL1(acos, acosf, acos)
SPECIAL1(atan, atanf, atan)
SPECIAL1(sinh, sinhf, sinh)
SPECIAL1(cosh, coshf, cosh)
SPECIAL1(asinh, asinhf, asinh)
SPECIAL1(acosh, acoshf, acosh)
SPECIAL1(atanh, atanhf, atanh)
SPECIAL1(exp2, exp2f, exp2)
SPECIAL1(log2, log2f, log2)
SPECIAL1(log10, log10f, log10)
SPECIAL1(erfc, erfcf, erfc)
SPECIAL1(erfinv, special_erfinv, special_erfinv)
SPECIAL1(lgamma, special_lgammaf, special_lgamma)
SPECIAL1(digamma, special_digamma, special_digamma)
SPECIAL1(trigamma, special_trigamma, special_trigamma)
SPECIAL2(fmod, fmodf, fmod)
SPECIAL2(atan2, atan2f, atan2)
SPECIAL2(hypot, hypotf, hypot)
SPECIAL2(logaddexp, special_logaddexp, special_logaddexp)
SPECIAL2(copysign, copysignf, copysign)
SPECIAL2(fmax, fmaxf, fmax)
SPECIAL2(fmin, fminf, fmin)
#undef SPECIAL1
#undef SPECIAL2

static const special_kernels ML_NAME(table) = {
    .tan = ML_NAME(tan), .asin = ML_NAME(asin), .acos = ML_NAME(acos), .atan = ML_NAME(atan),
    .sinh = ML_NAME(sinh), .cosh = ML_NAME(cosh), .asinh = ML_NAME(asinh), .acosh = ML_NAME(acosh),
    .atanh = ML_NAME(atanh), .exp2 = ML_NAME(exp2), .log2 = ML_NAME(log2), .log10 = ML_NAME(log10),
    .erfc = ML_NAME(erfc), .erfinv = ML_NAME(erfinv), .lgamma = ML_NAME(lgamma),
    .digamma = ML_NAME(digamma), .trigamma = ML_NAME(trigamma),
    .fmod = ML_NAME(fmod), .atan2 = ML_NAME(atan2), .hypot = ML_NAME(hypot), .logaddexp = ML_NAME(logaddexp),
    .copysign = ML_NAME(copysign), .fmax = ML_NAME(fmax), .fmin = ML_NAME(fmin),
};
