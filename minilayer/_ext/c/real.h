/* One source, two float types. A family whose loops read the same in float and double keeps them in
   foo.typed.h, and its foo.inc.h reads

       #include "vec.h"
       #define ML_REAL 4
       #include "real.h"
       #include "foo.typed.h"
       #define ML_REAL 8
       #include "real.h"
       #include "foo.typed.h"

   Inside foo.typed.h: `real` is the type, `rv` a vector of RN of them, `ri` the integers of the same
   width, rv_load, rv_store, rv_set, rv_fma, rv_select as in vec.h, and

       ML_TYPED(f)                 the name f for this type and instruction set
       rv_max(a, b)                lane by lane; b where either is NaN
       rv_sum(v), rv_largest(v)    over the lanes, by halving
       rv_load_part(p, n, fill)    the first n < RN values, `fill` in the lanes beyond
       rv_store_part(p, n, v)      the first n < RN lanes
       rv_load_upto, rv_store_upto the same for n <= RN

   so that a row's tail is one more vector rather than a scalar loop. */

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#undef real
#undef rv
#undef ri
#undef RN
#undef REAL_INFINITY
#undef REAL_DTYPE
#undef ML_TYPED
#undef rv_load
#undef rv_store
#undef rv_set
#undef rv_fma
#undef rv_select
#undef rv_max
#undef rv_sum
#undef rv_largest
#undef rv_load_part
#undef rv_store_part
#undef rv_load_upto
#undef rv_store_upto
#undef rv_exp
#undef rv_log

#define rv_max ML_TYPED(ml_rv_max)
#define rv_sum ML_TYPED(ml_rv_sum)
#define rv_largest ML_TYPED(ml_rv_largest)
#define rv_load_part ML_TYPED(ml_rv_load_part)
#define rv_store_part ML_TYPED(ml_rv_store_part)
#define rv_load_upto ML_TYPED(ml_rv_load_upto)
#define rv_store_upto ML_TYPED(ml_rv_store_upto)

#if ML_REAL == 4

#define real float
#define rv vf
#define ri vi
#define RN ML_VF
#define REAL_INFINITY __builtin_inff()
#define REAL_DTYPE ML_F32
#define ML_TYPED(f) ML_NAME(ML_JOIN(f, f32))
#define rv_load vf_load
#define rv_store vf_store
#define rv_set vf_set
#define rv_fma vf_fma
#define rv_select vf_select
#define rv_exp vf_exp
#define rv_log vf_log

#if ML_VECTOR_BYTES == 64
ML_INLINE rv rv_max(rv a, rv b) { return (rv)_mm512_max_ps((__m512)a, (__m512)b); }
ML_INLINE real rv_sum(rv v) { return _mm512_reduce_add_ps((__m512)v); }
ML_INLINE real rv_largest(rv v) { return _mm512_reduce_max_ps((__m512)v); }
ML_INLINE rv rv_load_part(const real *p, int64_t n, real fill)
{
    return (rv)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), (__mmask16)((1u << n) - 1), p);
}
ML_INLINE void rv_store_part(real *p, int64_t n, rv v)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#elif ML_VECTOR_BYTES == 32
#define ML_PART_MASK(n) \
    _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
ML_INLINE rv rv_max(rv a, rv b) { return (rv)_mm256_max_ps((__m256)a, (__m256)b); }
ML_INLINE rv rv_load_part(const real *p, int64_t n, real fill)
{
    __m256i mask = ML_PART_MASK(n);
    return (rv)_mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
}
ML_INLINE void rv_store_part(real *p, int64_t n, rv v) { _mm256_maskstore_ps(p, ML_PART_MASK(n), (__m256)v); }
#undef ML_PART_MASK
#elif defined(__x86_64__)
ML_INLINE rv rv_max(rv a, rv b) { return (rv)_mm_max_ps((__m128)a, (__m128)b); }
#else
ML_INLINE rv rv_max(rv a, rv b) { return rv_select(a > b, a, b); }
#endif

#else

#define real double
#define rv vd
#define ri vl
#define RN ML_VD
#define REAL_INFINITY __builtin_inf()
#define REAL_DTYPE ML_F64
#define ML_TYPED(f) ML_NAME(ML_JOIN(f, f64))
#define rv_load vd_load
#define rv_store vd_store
#define rv_set vd_set
#define rv_fma vd_fma
#define rv_select vd_select
#define rv_exp vd_exp
#define rv_log vd_log

#if ML_VECTOR_BYTES == 64
ML_INLINE rv rv_max(rv a, rv b) { return (rv)_mm512_max_pd((__m512d)a, (__m512d)b); }
ML_INLINE real rv_sum(rv v) { return _mm512_reduce_add_pd((__m512d)v); }
ML_INLINE real rv_largest(rv v) { return _mm512_reduce_max_pd((__m512d)v); }
ML_INLINE rv rv_load_part(const real *p, int64_t n, real fill)
{
    return (rv)_mm512_mask_loadu_pd(_mm512_set1_pd(fill), (__mmask8)((1u << n) - 1), p);
}
ML_INLINE void rv_store_part(real *p, int64_t n, rv v)
{
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}
#elif ML_VECTOR_BYTES == 32
#define ML_PART_MASK(n) _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3))
ML_INLINE rv rv_max(rv a, rv b) { return (rv)_mm256_max_pd((__m256d)a, (__m256d)b); }
ML_INLINE rv rv_load_part(const real *p, int64_t n, real fill)
{
    __m256i mask = ML_PART_MASK(n);
    return (rv)_mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, mask), _mm256_castsi256_pd(mask));
}
ML_INLINE void rv_store_part(real *p, int64_t n, rv v) { _mm256_maskstore_pd(p, ML_PART_MASK(n), (__m256d)v); }
#undef ML_PART_MASK
#elif defined(__x86_64__)
ML_INLINE rv rv_max(rv a, rv b) { return (rv)_mm_max_pd((__m128d)a, (__m128d)b); }
#else
ML_INLINE rv rv_max(rv a, rv b) { return rv_select(a > b, a, b); }
#endif

#endif

#if ML_VECTOR_BYTES != 64
ML_INLINE real rv_sum(rv v)
{
    real t[RN];
    rv_store(t, v);
    for (int width = RN / 2; width; width /= 2)
        for (int i = 0; i < width; i++)
            t[i] += t[i + width];
    return t[0];
}
ML_INLINE real rv_largest(rv v)
{
    real t[RN];
    rv_store(t, v);
    for (int width = RN / 2; width; width /= 2)
        for (int i = 0; i < width; i++)
            t[i] = t[i] > t[i + width] ? t[i] : t[i + width];
    return t[0];
}
#endif
#if ML_VECTOR_BYTES == 16
ML_INLINE rv rv_load_part(const real *p, int64_t n, real fill)
{
    rv v = rv_set(fill);
    for (int i = 0; i < RN - 1; i++)
        if (i < n)
            v[i] = p[i];
    return v;
}
ML_INLINE void rv_store_part(real *p, int64_t n, rv v)
{
    for (int i = 0; i < RN - 1; i++)
        if (i < n)
            p[i] = v[i];
}
#endif
ML_INLINE rv rv_load_upto(const real *p, int64_t n, real fill)
{
    return n >= RN ? rv_load(p) : rv_load_part(p, n, fill);
}
ML_INLINE void rv_store_upto(real *p, int64_t n, rv v)
{
    if (n >= RN)
        rv_store(p, v);
    else
        rv_store_part(p, n, v);
}
#undef ML_REAL

#ifndef ML_REAL_ONCE
#define ML_REAL_ONCE

/* The status for n arrays that must all be of a[0]'s float type and in C order; None passes. */
static inline int ml_check_reals(const ml_array *a, int n)
{
    if (a->dtype != ML_F32 && a->dtype != ML_F64)
        return ML_BAD_DTYPE;
    for (int i = 0; i < n; i++) {
        if (!a[i].data)
            continue;
        if (a[i].dtype != a->dtype)
            return ML_BAD_DTYPE;
        if (!ml_contiguous(&a[i]))
            return ML_NOT_CONTIGUOUS;
    }
    return ML_OK;
}

/* How many items of `each` elements make a piece of about `elements`, for parallel_for. */
static inline int64_t ml_grain(int64_t elements, int64_t each) { return ml_max(1, elements / ml_max(1, each)); }
#endif
