/* Functions of one array: the formula of each, as an expression in x (and dy), and the rows, tables
   and entries made from it. nest.h has the loops around a row; a row sees its items side by side.

   Two kinds of row: ROW, a plain loop that the compiler vectorises, and ROW_VECTOR, written on the
   vectors of vecmath.h (the last, partial vector runs the same instructions on what is left). */
#include <math.h>

#include "nest.h"
#include "vec.h"
#include "vecmath.h"

#define ROW_SIGNATURE(name, S)                                                                  \
    static int ML_NAME(name##_##S##_row)(char *const *p, const int64_t *step, int64_t n, const void *settings)

/* y[i] = expression in x */
#define ROW(name, S, T, R, expression)                                                          \
    ROW_SIGNATURE(name, S)                                                                      \
    {                                                                                           \
        const T *px = (const T *)p[0];                                                          \
        R *y = (R *)p[1];                                                                       \
        (void)step; (void)settings;                                                             \
        ML_LOOP for (int64_t i = 0; i < n; i++) { T x = px[i]; y[i] = (R)(expression); }        \
        return ML_OK;                                                                           \
    }

/* dx[i] = expression in x (the saved array: input or output) and dy */
#define ROW_BACKWARD(name, S, T, expression)                                                    \
    ROW_SIGNATURE(name, S)                                                                      \
    {                                                                                           \
        const T *px = (const T *)p[0], *pdy = (const T *)p[1];                                  \
        T *dx = (T *)p[2];                                                                      \
        (void)step; (void)settings;                                                             \
        ML_LOOP for (int64_t i = 0; i < n; i++) { T x = px[i], dy = pdy[i]; dx[i] = expression; } \
        return ML_OK;                                                                           \
    }

/* the same on vectors: L is f or d, for the vectors vf or vd */
#define ROW_VECTOR(name, S, T, L, expression)                                                   \
    ROW_SIGNATURE(name, S)                                                                      \
    {                                                                                           \
        const T *px = (const T *)p[0];                                                          \
        T *y = (T *)p[1];                                                                       \
        int64_t i = 0, W = sizeof(v##L) / sizeof(T);                                            \
        (void)step; (void)settings;                                                             \
        for (; i + W <= n; i += W) { v##L x = v##L##_load(px + i); v##L##_store(y + i, expression); } \
        if (i < n) { v##L x = v##L##_load_n(px + i, n - i); v##L##_store_n(y + i, expression, n - i); } \
        return ML_OK;                                                                           \
    }

#define ROW_VECTOR_BACKWARD(name, S, T, L, expression)                                          \
    ROW_SIGNATURE(name, S)                                                                      \
    {                                                                                           \
        const T *px = (const T *)p[0], *pdy = (const T *)p[1];                                  \
        T *dx = (T *)p[2];                                                                      \
        int64_t i = 0, W = sizeof(v##L) / sizeof(T);                                            \
        (void)step; (void)settings;                                                             \
        for (; i + W <= n; i += W) {                                                            \
            v##L x = v##L##_load(px + i), dy = v##L##_load(pdy + i);                            \
            v##L##_store(dx + i, expression);                                                   \
        }                                                                                       \
        if (i < n) {                                                                            \
            v##L x = v##L##_load_n(px + i, n - i), dy = v##L##_load_n(pdy + i, n - i);          \
            v##L##_store_n(dx + i, expression, n - i);                                          \
        }                                                                                       \
        return ML_OK;                                                                           \
    }

/* ---- gelu ----
   y = x P(x) with the normal distribution function P(x) = (1 + erf(x / sqrt 2)) / 2, or by the
   tanh formula, u = sqrt(2 / pi) (x + 0.044715 x^3), y = x (1 + tanh u) / 2, where (1 + tanh u) / 2
   is computed as sigmoid(2 u): 1 + tanh u would lose its digits for negative u. */
#define SQRT_HALF 0.70710678118654752440
#define ROOT_2_PI 0.79788456080286535588        /* sqrt(2 / pi) */
#define DENSITY_0 0.39894228040143267794        /* 1 / sqrt(2 pi) */
#define TWO_ROOT_PI 1.12837916709551257390      /* 2 / sqrt(pi) */

#define GELU(L, T)                                                                              \
    ML_INLINE v##L ML_NAME(gelu_erf_v##L)(v##L x)                                               \
    {                                                                                           \
        return x * (T)0.5 * ((T)1 + v##L##_erf(x * (T)SQRT_HALF));                              \
    }                                                                                           \
    ML_INLINE v##L ML_NAME(gelu_erf_slope_v##L)(v##L x)                                         \
    {                                                                                           \
        v##L p = (T)0.5 * ((T)1 + v##L##_erf(x * (T)SQRT_HALF));                                \
        /* far out the density is 0; x - x is NaN for an infinite x, as the slope is in PyTorch */ \
        v##L near = v##L##_at_most(v##L##_at_least(x, v##L##_set(-40)), v##L##_set(40));        \
        return p + near * (v##L##_exp(near * near * (T)-0.5) * (T)DENSITY_0) + (x - x);         \
    }                                                                                           \
    ML_INLINE v##L ML_NAME(gelu_tanh_v##L)(v##L x)                                              \
    {                                                                                           \
        return x * v##L##_sigmoid((T)(2 * ROOT_2_PI) * (x + (T)0.044715 * x * x * x));          \
    }                                                                                           \
    ML_INLINE v##L ML_NAME(gelu_tanh_slope_v##L)(v##L x)                                        \
    {                                                                                           \
        v##L near = v##L##_at_most(v##L##_at_least(x, v##L##_set(-40)), v##L##_set(40));        \
        v##L p = v##L##_sigmoid((T)(2 * ROOT_2_PI) * (near + (T)0.044715 * near * near * near)); \
        v##L du = (T)(2 * ROOT_2_PI) * ((T)1 + (T)(3 * 0.044715) * near * near);                \
        return p + near * (p * ((T)1 - p) * du) + (x - x);                                      \
    }
GELU(f, float)
GELU(d, double)

/* ---- rows of floating types ---- */

#define FLOAT_ROWS(S, T, f, L)                                                                  \
    ROW(neg, S, T, T, -x)                                                                       \
    ROW(abs, S, T, T, fabs##f(x))                                                               \
    ROW(sign, S, T, T, (x > 0) - (x < 0))                                                       \
    ROW(square, S, T, T, x * x)                                                                 \
    ROW(reciprocal, S, T, T, 1 / x)                                                             \
    ROW(sqrt, S, T, T, sqrt##f(x))                                                              \
    ROW(rsqrt, S, T, T, 1 / sqrt##f(x))                                                         \
    ROW(relu, S, T, T, x <= 0 ? 0 : x)                                                          \
    ROW(floor, S, T, T, floor##f(x))                                                            \
    ROW(ceil, S, T, T, ceil##f(x))                                                              \
    ROW(round, S, T, T, nearbyint##f(x))                                                        \
    ROW(trunc, S, T, T, trunc##f(x))                                                            \
    ROW(isnan, S, T, uint8_t, x != x)                                                           \
    ROW(isinf, S, T, uint8_t, fabs##f(x) == (T)INFINITY)                                        \
    ROW(isfinite, S, T, uint8_t, fabs##f(x) < (T)INFINITY)                                      \
    ROW(logical_not, S, T, uint8_t, x == 0)                                                     \
    ROW_VECTOR(exp, S, T, L, v##L##_exp(x))                                                     \
    ROW_VECTOR(log, S, T, L, v##L##_log(x))                                                     \
    ROW_VECTOR(log1p, S, T, L, v##L##_log1p(x))                                                 \
    ROW_VECTOR(expm1, S, T, L, v##L##_expm1(x))                                                 \
    ROW_VECTOR(sin, S, T, L, v##L##_sin(x))                                                     \
    ROW_VECTOR(cos, S, T, L, v##L##_cos(x))                                                     \
    ROW_VECTOR(tanh, S, T, L, v##L##_tanh(x))                                                   \
    ROW_VECTOR(sigmoid, S, T, L, v##L##_sigmoid(x))                                             \
    ROW_VECTOR(erf, S, T, L, v##L##_erf(x))                                                     \
    ROW_VECTOR(gelu_erf, S, T, L, ML_NAME(gelu_erf_v##L)(x))                                    \
    ROW_VECTOR(gelu_tanh, S, T, L, ML_NAME(gelu_tanh_v##L)(x))                                  \
    ROW_BACKWARD(abs_backward, S, T, x > 0 ? dy : x < 0 ? -dy : 0 * dy)                         \
    ROW_BACKWARD(square_backward, S, T, dy * (2 * x))                                           \
    ROW_BACKWARD(reciprocal_backward, S, T, -dy * (x * x))                                      \
    ROW_BACKWARD(sqrt_backward, S, T, dy / (2 * x))                                             \
    ROW_BACKWARD(rsqrt_backward, S, T, (T)-0.5 * dy * (x * x * x))                              \
    ROW_BACKWARD(log_backward, S, T, dy / x)                                                    \
    ROW_BACKWARD(tanh_backward, S, T, dy * (1 - x * x))                                         \
    ROW_BACKWARD(sigmoid_backward, S, T, dy * ((1 - x) * x))                                    \
    ROW_BACKWARD(relu_backward, S, T, x <= 0 ? 0 : dy)                                          \
    ROW_VECTOR_BACKWARD(erf_backward, S, T, L, dy * ((T)TWO_ROOT_PI * v##L##_exp(-(x * x))))    \
    ROW_VECTOR_BACKWARD(gelu_erf_backward, S, T, L, dy * ML_NAME(gelu_erf_slope_v##L)(x))       \
    ROW_VECTOR_BACKWARD(gelu_tanh_backward, S, T, L, dy * ML_NAME(gelu_tanh_slope_v##L)(x))     \
    ROW_SIGNATURE(clamp, S)                                                                     \
    {                                                                                           \
        const T low = (T)((const clamp_settings *)settings)->low, high = (T)((const clamp_settings *)settings)->high; \
        const T *px = (const T *)p[0];                                                          \
        T *y = (T *)p[1];                                                                       \
        (void)step;                                                                             \
        ML_LOOP for (int64_t i = 0; i < n; i++) {                                               \
            T x = px[i], above = x < low ? low : x;                                             \
            y[i] = above > high ? high : above;                                                 \
        }                                                                                       \
        return ML_OK;                                                                           \
    }                                                                                           \
    ROW_SIGNATURE(clamp_backward, S)                                                            \
    {                                                                                           \
        const T low = (T)((const clamp_settings *)settings)->low, high = (T)((const clamp_settings *)settings)->high; \
        const T *px = (const T *)p[0], *pdy = (const T *)p[1];                                  \
        T *dx = (T *)p[2];                                                                      \
        (void)step;                                                                             \
        ML_LOOP for (int64_t i = 0; i < n; i++) {                                               \
            T x = px[i], dy = pdy[i];                                                           \
            dx[i] = (x >= low) & (x <= high) ? dy : 0;                                          \
        }                                                                                       \
        return ML_OK;                                                                           \
    }

FLOAT_ROWS(f32, float, f, f)
FLOAT_ROWS(f64, double, , d)

/* ---- rows of integers: U is the unsigned type in which they wrap around ---- */

#define INTEGER_ROWS(S, T, U)                                                                   \
    ROW(neg, S, T, T, 0 - (U)x)                                                                 \
    ROW(abs, S, T, T, x < 0 ? 0 - (U)x : (U)x)                                                  \
    ROW(sign, S, T, T, (x > 0) - (x < 0))                                                       \
    ROW(square, S, T, T, (U)x * (U)x)                                                           \
    ROW(relu, S, T, T, x < 0 ? 0 : x)                                                           \
    ROW(same, S, T, T, x)                                                                       \
    ROW(never, S, T, uint8_t, 0 * x)                                                            \
    ROW(always, S, T, uint8_t, 0 * x + 1)                                                       \
    ROW(logical_not, S, T, uint8_t, x == 0)                                                     \
    ROW_SIGNATURE(clamp, S)                                                                     \
    {                                                                                           \
        const int64_t low = ((const clamp_settings *)settings)->whole_low;                      \
        const int64_t high = ((const clamp_settings *)settings)->whole_high;                    \
        const T *px = (const T *)p[0];                                                          \
        T *y = (T *)p[1];                                                                       \
        (void)step;                                                                             \
        ML_LOOP for (int64_t i = 0; i < n; i++)                                                 \
            y[i] = (T)ml_min(ml_max(px[i], low), high);                                         \
        return ML_OK;                                                                           \
    }

INTEGER_ROWS(i64, int64_t, uint64_t)
INTEGER_ROWS(i32, int32_t, uint32_t)
INTEGER_ROWS(u8, uint8_t, uint32_t)

/* ---- entries ---- */

#define OF_FLOATS(name) [ML_F32] = ML_NAME(name##_f32_row), [ML_F64] = ML_NAME(name##_f64_row)
#define OF_INTEGERS(name)                                                                       \
    [ML_I64] = ML_NAME(name##_i64_row), [ML_I32] = ML_NAME(name##_i32_row), [ML_U8] = ML_NAME(name##_u8_row)
#define OF_BOOL(name) [ML_BOOL] = ML_NAME(name##_u8_row)

#define CHECK_SAME(count)                                                                       \
    for (int k = 1; k < count; k++)                                                             \
        if (a[k].dtype != a[0].dtype)                                                           \
            return ML_BAD_DTYPE

/* y = f(x), y of x's dtype */
#define ENTRY(name, ...)                                                                        \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                           \
    {                                                                                           \
        static const ml_row rows[ML_DTYPES] = {__VA_ARGS__};                                    \
        CHECK_SAME(2);                                                                          \
        return ml_nest_run(rows[a[0].dtype], settings, a, 1, 1, NEST_EXPAND);                   \
    }

/* y = f(x), y bool */
#define ENTRY_ASKING(name, ...)                                                                 \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                           \
    {                                                                                           \
        static const ml_row rows[ML_DTYPES] = {__VA_ARGS__};                                    \
        if (a[1].dtype != ML_BOOL)                                                              \
            return ML_BAD_DTYPE;                                                                \
        return ml_nest_run(rows[a[0].dtype], settings, a, 1, 1, NEST_EXPAND);                   \
    }

/* dx = f(x or y, dy) */
#define ENTRY_BACKWARD(name)                                                                    \
    static int ML_NAME(name)(const ml_array *a, const void *settings)                           \
    {                                                                                           \
        static const ml_row rows[ML_DTYPES] = {OF_FLOATS(name)};                                \
        CHECK_SAME(3);                                                                          \
        return ml_nest_run(rows[a[0].dtype], settings, a, 2, 1, NEST_EXPAND);                   \
    }

ENTRY(neg, OF_FLOATS(neg), OF_INTEGERS(neg))
ENTRY(abs, OF_FLOATS(abs), OF_INTEGERS(abs), OF_BOOL(same))
ENTRY(sign, OF_FLOATS(sign), OF_INTEGERS(sign), OF_BOOL(same))
ENTRY(square, OF_FLOATS(square), OF_INTEGERS(square), OF_BOOL(same))
ENTRY(reciprocal, OF_FLOATS(reciprocal))
ENTRY(sqrt, OF_FLOATS(sqrt))
ENTRY(rsqrt, OF_FLOATS(rsqrt))
ENTRY(exp, OF_FLOATS(exp))
ENTRY(log, OF_FLOATS(log))
ENTRY(log1p, OF_FLOATS(log1p))
ENTRY(expm1, OF_FLOATS(expm1))
ENTRY(sin, OF_FLOATS(sin))
ENTRY(cos, OF_FLOATS(cos))
ENTRY(tanh, OF_FLOATS(tanh))
ENTRY(sigmoid, OF_FLOATS(sigmoid))
ENTRY(relu, OF_FLOATS(relu), OF_INTEGERS(relu))
ENTRY(erf, OF_FLOATS(erf))
ENTRY(gelu_erf, OF_FLOATS(gelu_erf))
ENTRY(gelu_tanh, OF_FLOATS(gelu_tanh))
ENTRY(floor, OF_FLOATS(floor), OF_INTEGERS(same), OF_BOOL(same))
ENTRY(ceil, OF_FLOATS(ceil), OF_INTEGERS(same), OF_BOOL(same))
ENTRY(round, OF_FLOATS(round), OF_INTEGERS(same), OF_BOOL(same))
ENTRY(trunc, OF_FLOATS(trunc), OF_INTEGERS(same), OF_BOOL(same))
ENTRY(clamp, OF_FLOATS(clamp), OF_INTEGERS(clamp))
ENTRY_ASKING(isnan, OF_FLOATS(isnan), OF_INTEGERS(never), OF_BOOL(never))
ENTRY_ASKING(isinf, OF_FLOATS(isinf), OF_INTEGERS(never), OF_BOOL(never))
ENTRY_ASKING(isfinite, OF_FLOATS(isfinite), OF_INTEGERS(always), OF_BOOL(always))
ENTRY_ASKING(logical_not, OF_FLOATS(logical_not), OF_INTEGERS(logical_not), OF_BOOL(logical_not))
ENTRY_BACKWARD(abs_backward)
ENTRY_BACKWARD(square_backward)
ENTRY_BACKWARD(reciprocal_backward)
ENTRY_BACKWARD(sqrt_backward)
ENTRY_BACKWARD(rsqrt_backward)
ENTRY_BACKWARD(log_backward)
ENTRY_BACKWARD(tanh_backward)
ENTRY_BACKWARD(sigmoid_backward)
ENTRY_BACKWARD(relu_backward)
ENTRY_BACKWARD(erf_backward)
ENTRY_BACKWARD(gelu_erf_backward)
ENTRY_BACKWARD(gelu_tanh_backward)
ENTRY_BACKWARD(clamp_backward)

static int ML_NAME(gelu)(const ml_array *a, const void *settings)
{
    int by_tanh = ((const gelu_settings *)settings)->approximate;
    return by_tanh ? ML_NAME(gelu_tanh)(a, NULL) : ML_NAME(gelu_erf)(a, NULL);
}

static int ML_NAME(gelu_backward)(const ml_array *a, const void *settings)
{
    int by_tanh = ((const gelu_settings *)settings)->approximate;
    return by_tanh ? ML_NAME(gelu_tanh_backward)(a, NULL) : ML_NAME(gelu_erf_backward)(a, NULL);
}

static const elementwise_kernels ML_NAME(table) = {
    ML_NAME(neg), ML_NAME(abs), ML_NAME(sign), ML_NAME(square), ML_NAME(reciprocal), ML_NAME(sqrt), ML_NAME(rsqrt),
    ML_NAME(exp), ML_NAME(log), ML_NAME(log1p), ML_NAME(expm1), ML_NAME(sin), ML_NAME(cos), ML_NAME(tanh),
    ML_NAME(sigmoid), ML_NAME(relu), ML_NAME(erf), ML_NAME(gelu),
    ML_NAME(floor), ML_NAME(ceil), ML_NAME(round), ML_NAME(trunc), ML_NAME(clamp),
    ML_NAME(isnan), ML_NAME(isinf), ML_NAME(isfinite), ML_NAME(logical_not),
    ML_NAME(abs_backward), ML_NAME(square_backward), ML_NAME(reciprocal_backward), ML_NAME(sqrt_backward),
    ML_NAME(rsqrt_backward), ML_NAME(log_backward), ML_NAME(tanh_backward), ML_NAME(sigmoid_backward),
    ML_NAME(relu_backward), ML_NAME(erf_backward), ML_NAME(gelu_backward), ML_NAME(clamp_backward),
};

#undef ROW_SIGNATURE
#undef ROW
#undef ROW_BACKWARD
#undef ROW_VECTOR
#undef ROW_VECTOR_BACKWARD
#undef SQRT_HALF
#undef ROOT_2_PI
#undef DENSITY_0
#undef TWO_ROOT_PI
#undef GELU
#undef FLOAT_ROWS
#undef INTEGER_ROWS
#undef OF_FLOATS
#undef OF_INTEGERS
#undef OF_BOOL
#undef CHECK_SAME
#undef ENTRY
#undef ENTRY_ASKING
#undef ENTRY_BACKWARD
