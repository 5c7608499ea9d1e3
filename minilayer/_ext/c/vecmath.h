/* exp, log, tanh and their kin on the vectors of vec.h. Include it after vec.h.

     vf_exp vf_expm1 vf_log vf_log1p vf_tanh vf_sigmoid vf_erf vf_sin vf_cos     and the same with vd
     vf_load_n(p, n), vf_store_n(p, v, n)     the first n lanes only; the others load as 0

   Every lane is computed alone and by the same instructions wherever it stands, so a value does not
   depend on its place in an array, nor on how the array is cut into vectors.

   Largest error met, in units in the last place (ulp), the same for all instruction sets to 0.2: for
   float over every 31st of the 2^32 values against the C library's double, for double over 2 million
   random ones against its long double.

               exp   expm1   log   log1p   tanh   sigmoid   erf
     float     1.0   1.5     0.8   1.4     2.5    2.4       1.3
     double    1.0   2.0     0.6   0.8     2.5    2.3       1.1

   The rest calls the C library lane by lane: float sin and cos, double log, log1p, erf, sin, cos.
   Infinities, NaN, denormal arguments and denormal results come out as the C library has them, and
   odd functions keep the sign of zero.

   The coefficients are minimax fits (Lawson's weighted least squares in 60 digits) made for this
   file; the reductions are the classical ones:
     exp     x = n ln2 + r, |r| <= ln2/2;  e^x = 2^n (1 + r + r^2 q(r)),  ln2 in two parts
     expm1   from the same r:  2^n p + (2^n - 1)  with  p = r + r^2 q(r)
     tanh    |tanh x| = -e / (2 + e)  with  e = expm1(-2|x|)
     sigmoid e = exp(-|x|);  1 / (1 + e), or e / (1 + e) left of zero
     log     x = 2^k (1 + f), 1+f in [sqrt(1/2), sqrt(2));  k ln2 + f - f^2/2 + f^3 P(f)
     erf     x + x P(x^2), and from 0.93 on  1 - e^(t Q(t))  with  t = |x| */

#include <math.h>

#define vu ML_NAME(ml_vu)
#define vw ML_NAME(ml_vw)
typedef uint32_t vu __attribute__((vector_size(ML_VECTOR_BYTES)));
typedef uint64_t vw __attribute__((vector_size(ML_VECTOR_BYTES)));

#define vf_load_n ML_NAME(ml_vf_load_n)
#define vd_load_n ML_NAME(ml_vd_load_n)
#define vf_store_n ML_NAME(ml_vf_store_n)
#define vd_store_n ML_NAME(ml_vd_store_n)
#define vf_at_least ML_NAME(ml_vf_at_least)
#define vd_at_least ML_NAME(ml_vd_at_least)
#define vf_at_most ML_NAME(ml_vf_at_most)
#define vd_at_most ML_NAME(ml_vd_at_most)
#define vf_abs ML_NAME(ml_vf_abs)
#define vd_abs ML_NAME(ml_vd_abs)
#define vf_sign_of ML_NAME(ml_vf_sign_of)
#define vd_sign_of ML_NAME(ml_vd_sign_of)
#define vf_pow2 ML_NAME(ml_vf_pow2)
#define vd_pow2 ML_NAME(ml_vd_pow2)
#define vf_scale ML_NAME(ml_vf_scale)
#define vd_scale ML_NAME(ml_vd_scale)
#define vf_reduce ML_NAME(ml_vf_reduce)
#define vd_reduce ML_NAME(ml_vd_reduce)
#define vf_log_tail ML_NAME(ml_vf_log_tail)
#define vf_exp ML_NAME(ml_vf_exp)
#define vd_exp ML_NAME(ml_vd_exp)
#define vf_expm1 ML_NAME(ml_vf_expm1)
#define vd_expm1 ML_NAME(ml_vd_expm1)
#define vf_tanh ML_NAME(ml_vf_tanh)
#define vd_tanh ML_NAME(ml_vd_tanh)
#define vf_sigmoid ML_NAME(ml_vf_sigmoid)
#define vd_sigmoid ML_NAME(ml_vd_sigmoid)
#define vf_log ML_NAME(ml_vf_log)
#define vd_log ML_NAME(ml_vd_log)
#define vf_log1p ML_NAME(ml_vf_log1p)
#define vd_log1p ML_NAME(ml_vd_log1p)
#define vf_erf ML_NAME(ml_vf_erf)
#define vd_erf ML_NAME(ml_vd_erf)
#define vf_sin ML_NAME(ml_vf_sin)
#define vd_sin ML_NAME(ml_vd_sin)
#define vf_cos ML_NAME(ml_vf_cos)
#define vd_cos ML_NAME(ml_vd_cos)

ML_INLINE vf vf_load_n(const float *p, int64_t n) { vf v = {0}; memcpy(&v, p, (size_t)n * sizeof(float)); return v; }
ML_INLINE vd vd_load_n(const double *p, int64_t n) { vd v = {0}; memcpy(&v, p, (size_t)n * sizeof(double)); return v; }
ML_INLINE void vf_store_n(float *p, vf v, int64_t n) { memcpy(p, &v, (size_t)n * sizeof(float)); }
ML_INLINE void vd_store_n(double *p, vd v, int64_t n) { memcpy(p, &v, (size_t)n * sizeof(double)); }

/* max(x, low) and min(x, high) that keep a NaN in x (x86: the second operand wins when one is NaN). */
#if ML_VECTOR_BYTES == 64
ML_INLINE vf vf_at_least(vf x, vf low) { return (vf)_mm512_max_ps((__m512)low, (__m512)x); }
ML_INLINE vd vd_at_least(vd x, vd low) { return (vd)_mm512_max_pd((__m512d)low, (__m512d)x); }
ML_INLINE vf vf_at_most(vf x, vf high) { return (vf)_mm512_min_ps((__m512)high, (__m512)x); }
ML_INLINE vd vd_at_most(vd x, vd high) { return (vd)_mm512_min_pd((__m512d)high, (__m512d)x); }
#elif ML_VECTOR_BYTES == 32
ML_INLINE vf vf_at_least(vf x, vf low) { return (vf)_mm256_max_ps((__m256)low, (__m256)x); }
ML_INLINE vd vd_at_least(vd x, vd low) { return (vd)_mm256_max_pd((__m256d)low, (__m256d)x); }
ML_INLINE vf vf_at_most(vf x, vf high) { return (vf)_mm256_min_ps((__m256)high, (__m256)x); }
ML_INLINE vd vd_at_most(vd x, vd high) { return (vd)_mm256_min_pd((__m256d)high, (__m256d)x); }
#else
ML_INLINE vf vf_at_least(vf x, vf low) { return vf_select(x < low, low, x); }
ML_INLINE vd vd_at_least(vd x, vd low) { return vd_select(x < low, low, x); }
ML_INLINE vf vf_at_most(vf x, vf high) { return vf_select(x > high, high, x); }
ML_INLINE vd vd_at_most(vd x, vd high) { return vd_select(x > high, high, x); }
#endif

ML_INLINE vf vf_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
ML_INLINE vd vd_abs(vd x) { return (vd)((vl)x & INT64_MAX); }

/* The magnitude of y under the sign of x. */
ML_INLINE vf vf_sign_of(vf x, vf y) { return (vf)(((vi)y & 0x7fffffff) | ((vi)x & INT32_MIN)); }
ML_INLINE vd vd_sign_of(vd x, vd y) { return (vd)(((vl)y & INT64_MAX) | ((vl)x & INT64_MIN)); }

/* 2^n where it is a normal number. Unsigned, because a NaN lane brings a senseless n. */
ML_INLINE vf vf_pow2(vi n) { return (vf)(((vu)n + 127u) << 23); }
ML_INLINE vd vd_pow2(vl n) { return (vd)(((vw)n + 1023u) << 52); }

/* p 2^n, rounded once also where the result is denormal: the first product is exact. */
ML_INLINE vf vf_scale(vf p, vi n) { vi half = n >> 1; return p * vf_pow2(half) * vf_pow2(n - half); }
ML_INLINE vd vd_scale(vd p, vl n) { vl half = n >> 1; return p * vd_pow2(half) * vd_pow2(n - half); }

/* ---- exp and what is made of it ---- */

/* x = n ln2 + r: returns e^r - 1 and writes n. Adding 1.5 * 2^23 (2^52) rounds to an integer, which
   then stands in the low bits. */
ML_INLINE vf vf_reduce(vf x, vi *n)
{
    vf magic = vf_set(12582912.0f);
    vf t = vf_fma(x, vf_set(1.44269504f), magic);
    *n = (vi)((vu)t - (vu)magic);
    t -= magic;
    vf r = vf_fma(t, vf_set(-0x1.62e4p-1f), x);
    r = vf_fma(t, vf_set(-0x1.7f7d1cp-20f), r);
    vf q = vf_set(1.9911175e-4f);
    q = vf_fma(q, r, vf_set(1.3941192e-3f));
    q = vf_fma(q, r, vf_set(8.333279e-3f));
    q = vf_fma(q, r, vf_set(4.166635e-2f));
    q = vf_fma(q, r, vf_set(1.6666667e-1f));
    q = vf_fma(q, r, vf_set(0.5f));
    return vf_fma(r * r, q, r);
}

ML_INLINE vd vd_reduce(vd x, vl *n)
{
    vd magic = vd_set(6755399441055744.0);
    vd t = vd_fma(x, vd_set(1.4426950408889634), magic);
    *n = (vl)((vw)t - (vw)magic);
    t -= magic;
    vd r = vd_fma(t, vd_set(-6.93147180369123816490e-01), x);
    r = vd_fma(t, vd_set(-1.90821492927058770002e-10), r);
    vd q = vd_set(2.0924454266524438e-09);
    q = vd_fma(q, r, vd_set(2.510904269416722e-08));
    q = vd_fma(q, r, vd_set(2.7557242695156585e-07));
    q = vd_fma(q, r, vd_set(2.7557244189900595e-06));
    q = vd_fma(q, r, vd_set(2.4801587360681907e-05));
    q = vd_fma(q, r, vd_set(0.00019841269886148203));
    q = vd_fma(q, r, vd_set(0.0013888888888866737));
    q = vd_fma(q, r, vd_set(0.00833333333332162));
    q = vd_fma(q, r, vd_set(0.0416666666666667));
    q = vd_fma(q, r, vd_set(0.16666666666666677));
    q = vd_fma(q, r, vd_set(0.5));
    return vd_fma(r * r, q, r);
}

/* The bounds lie a little beyond the last arguments with a finite or nonzero result. */
ML_INLINE vf vf_exp(vf x)
{
    vi n;
    vf p = vf_reduce(vf_at_most(vf_at_least(x, vf_set(-104.0f)), vf_set(89.0f)), &n);
    return vf_scale(1.0f + p, n);
}

ML_INLINE vd vd_exp(vd x)
{
    vl n;
    vd p = vd_reduce(vd_at_most(vd_at_least(x, vd_set(-746.0)), vd_set(710.0)), &n);
    return vd_scale(1.0 + p, n);
}

/* Twice (2^(n-1) p + (2^(n-1) - 1/2)), because 2^n itself overflows before the result does. */
ML_INLINE vf vf_expm1(vf x)
{
    vi n;
    vf p = vf_reduce(vf_at_most(vf_at_least(x, vf_set(-18.0f)), vf_set(89.0f)), &n);
    vf s = vf_pow2(n - 1);
    vf y = vf_fma(s, p, s - 0.5f) * 2.0f;
    return vf_sign_of(x, vf_select(n == 0, p, y));
}

ML_INLINE vd vd_expm1(vd x)
{
    vl n;
    vd p = vd_reduce(vd_at_most(vd_at_least(x, vd_set(-40.0)), vd_set(710.0)), &n);
    vd s = vd_pow2(n - 1);
    vd y = vd_fma(s, p, s - 0.5) * 2.0;
    return vd_sign_of(x, vd_select(n == 0, p, y));
}

ML_INLINE vf vf_tanh(vf x)
{
    vi n;
    vf p = vf_reduce(vf_at_least(vf_abs(x) * -2.0f, vf_set(-20.0f)), &n);
    vf s = vf_pow2(n);
    vf e = vf_select(n == 0, p, vf_fma(s, p, s - 1.0f));
    return vf_sign_of(x, e / (2.0f + e));
}

ML_INLINE vd vd_tanh(vd x)
{
    vl n;
    vd p = vd_reduce(vd_at_least(vd_abs(x) * -2.0, vd_set(-42.0)), &n);
    vd s = vd_pow2(n);
    vd e = vd_select(n == 0, p, vd_fma(s, p, s - 1.0));
    return vd_sign_of(x, e / (2.0 + e));
}

ML_INLINE vf vf_sigmoid(vf x)
{
    vf e = vf_exp(-vf_abs(x)), one = vf_set(1.0f);
    return vf_select(x < 0.0f, e, one) / (one + e);
}

ML_INLINE vd vd_sigmoid(vd x)
{
    vd e = vd_exp(-vd_abs(x)), one = vd_set(1.0);
    return vd_select(x < 0.0, e, one) / (one + e);
}

/* ---- log ---- */

/* k ln2 + log(1 + f) */
ML_INLINE vf vf_log_tail(vf k, vf f)
{
    vf p = vf_set(6.9078386e-2f), ff = f * f;
    p = vf_fma(p, f, vf_set(-1.1784582e-1f));
    p = vf_fma(p, f, vf_set(1.18735924e-1f));
    p = vf_fma(p, f, vf_set(-1.2385292e-1f));
    p = vf_fma(p, f, vf_set(1.4218697e-1f));
    p = vf_fma(p, f, vf_set(-1.6669197e-1f));
    p = vf_fma(p, f, vf_set(2.0002222e-1f));
    p = vf_fma(p, f, vf_set(-2.4999988e-1f));
    p = vf_fma(p, f, vf_set(3.333331e-1f));
    p = vf_fma(k, vf_set(0x1.7f7d1cp-20f), p * f * ff);
    p = f + vf_fma(ff, vf_set(-0.5f), p);
    return vf_fma(k, vf_set(0x1.62e4p-1f), p);
}

/* The bits of sqrt(1/2): a float less these has the exponent k of x = 2^k m, m in [sqrt(1/2), sqrt(2)),
   in its upper bits. */
#define ML_SQRT_HALF 0x3f3504f3u

ML_INLINE vf vf_log(vf x)
{
    vi small = x < 0x1p-126f;                   /* denormal (or not positive, settled below) */
    vu bits = (vu)vf_select(small, x * 0x1p23f, x) - ML_SQRT_HALF;
    vi k = ((vi)bits >> 23) - (small & 23);
    vf m = (vf)((bits & 0x7fffffu) + ML_SQRT_HALF);
    vf y = vf_log_tail(__builtin_convertvector(k, vf), m - 1.0f);
    y = vf_select(x < INFINITY, y, x);          /* infinity and NaN are their own logarithms */
    y = vf_select(x == 0.0f, vf_set(-INFINITY), y);
    return vf_select(x < 0.0f, vf_set(NAN), y);
}

/* log(u) with u = 1 + x, where f also takes in what the rounding of u lost. */
ML_INLINE vf vf_log1p(vf x)
{
    vf u = x + 1.0f, lost = x - (u - 1.0f);
    vu bits = (vu)u - ML_SQRT_HALF;
    vi k = (vi)bits >> 23;
    vf m = (vf)((bits & 0x7fffffu) + ML_SQRT_HALF);
    vi near = k < 64;                           /* beyond, the loss is too small to matter, and 2^-k to be written */
    vf f = (m - 1.0f) + (vf)(near & (vi)lost) * vf_pow2(-(near & k));
    vf y = vf_log_tail(__builtin_convertvector(k, vf), f);
    y = vf_select(x < INFINITY, y, x);
    y = vf_select(x == -1.0f, vf_set(-INFINITY), vf_sign_of(x, y));
    return vf_select(x < -1.0f, vf_set(NAN), y);
}

/* ---- erf ---- */

ML_INLINE vf vf_erf(vf x)
{
    vf s = x * x, p = vf_set(8.345137e-5f);
    p = vf_fma(p, s, vf_set(-8.1374135e-4f));
    p = vf_fma(p, s, vf_set(5.200632e-3f));
    p = vf_fma(p, s, vf_set(-2.685927e-2f));
    p = vf_fma(p, s, vf_set(1.1283694e-1f));
    p = vf_fma(p, s, vf_set(-3.7612635e-1f));
    p = vf_fma(p, s, vf_set(1.2837917e-1f));
    vf near = vf_fma(p, x, x);

    vi n;
    vf t = vf_at_most(vf_abs(x), vf_set(4.0f)), q = vf_set(-1.0789282e-5f);     /* erf(4) rounds to 1 */
    q = vf_fma(q, t, vf_set(3.1833095e-4f));
    q = vf_fma(q, t, vf_set(-3.624046e-3f));
    q = vf_fma(q, t, vf_set(2.3722589e-2f));
    q = vf_fma(q, t, vf_set(-1.0619039e-1f));
    q = vf_fma(q, t, vf_set(-6.351798e-1f));
    q = vf_fma(q, t, vf_set(-1.1286414f));
    vf e = vf_reduce(q * t, &n) + 1.0f;
    vf far = vf_sign_of(x, 1.0f - e * vf_pow2(n));
    return vf_select(t < 0.93f, near, far);
}

/* ---- lane by lane through the C library ---- */

#define ML_LANES(name, type, vector, function)                  \
    ML_INLINE vector name(vector x)                             \
    {                                                           \
        type lane[ML_VECTOR_BYTES / sizeof(type)];              \
        memcpy(lane, &x, sizeof x);                             \
        for (int i = 0; i < (int)(ML_VECTOR_BYTES / sizeof(type)); i++) \
            lane[i] = function(lane[i]);                        \
        memcpy(&x, lane, sizeof x);                             \
        return x;                                               \
    }

ML_LANES(vf_sin, float, vf, sinf)
ML_LANES(vf_cos, float, vf, cosf)
ML_LANES(vd_sin, double, vd, sin)
ML_LANES(vd_cos, double, vd, cos)
ML_LANES(vd_log, double, vd, log)
ML_LANES(vd_log1p, double, vd, log1p)
ML_LANES(vd_erf, double, vd, erf)
#undef ML_LANES
#undef ML_SQRT_HALF
