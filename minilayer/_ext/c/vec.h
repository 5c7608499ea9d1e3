/* Vectors of the instruction set at hand, in GCC's and clang's vector extension, so that the same
   arithmetic reads once and compiles to SSE2, NEON, AVX2 or AVX-512. Included by each foo.inc.h;
   vec_undef.h takes the macros back before the next instruction set.

     vf, vd     vectors of ML_VF floats, ML_VD doubles        vi, vl   the integers of the same width
     vf_load(p), vf_store(p, v)                               any alignment
     vf_set(x)                                                all lanes x
     vf_fma(a, b, c)                                          a*b + c, one rounding where the
                                                              processor has it (not in `portable`)
     vf_select(mask, a, b)                                    lane by lane, mask from a comparison
     the same with d for double

   Elsewhere `-ffp-contract=off` keeps a*b + c two roundings, so that a fused chain of ops equals
   its parts bit for bit; a kernel that wants one rounding says so with vf_fma. */

#include <string.h>

#define ML_VF ((int)(ML_VECTOR_BYTES / 4))
#define ML_VD ((int)(ML_VECTOR_BYTES / 8))

#define vf ML_NAME(ml_vf)
#define vd ML_NAME(ml_vd)
#define vi ML_NAME(ml_vi)
#define vl ML_NAME(ml_vl)
typedef float vf __attribute__((vector_size(ML_VECTOR_BYTES)));
typedef double vd __attribute__((vector_size(ML_VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(ML_VECTOR_BYTES)));
typedef int64_t vl __attribute__((vector_size(ML_VECTOR_BYTES)));

#define ML_INLINE static inline __attribute__((always_inline, unused))

#define vf_load ML_NAME(ml_vf_load)
#define vd_load ML_NAME(ml_vd_load)
#define vf_store ML_NAME(ml_vf_store)
#define vd_store ML_NAME(ml_vd_store)
#define vf_set ML_NAME(ml_vf_set)
#define vd_set ML_NAME(ml_vd_set)
#define vf_fma ML_NAME(ml_vf_fma)
#define vd_fma ML_NAME(ml_vd_fma)
#define vf_select ML_NAME(ml_vf_select)
#define vd_select ML_NAME(ml_vd_select)

ML_INLINE vf vf_load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
ML_INLINE vd vd_load(const double *p) { vd v; memcpy(&v, p, sizeof v); return v; }
ML_INLINE void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
ML_INLINE void vd_store(double *p, vd v) { memcpy(p, &v, sizeof v); }
ML_INLINE vf vf_set(float x) { return x - (vf){0}; }   /* scalar minus vector broadcasts: x - 0 is x, also for -0 and NaN */
ML_INLINE vd vd_set(double x) { return x - (vd){0}; }
ML_INLINE vf vf_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
ML_INLINE vd vd_select(vl mask, vd a, vd b) { return (vd)((mask & (vl)a) | (~mask & (vl)b)); }

#if ML_VECTOR_BYTES == 64
ML_INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
ML_INLINE vd vd_fma(vd a, vd b, vd c) { return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
#elif ML_VECTOR_BYTES == 32
ML_INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
ML_INLINE vd vd_fma(vd a, vd b, vd c) { return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
#elif defined(__aarch64__)
#include <arm_neon.h>
ML_INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
ML_INLINE vd vd_fma(vd a, vd b, vd c) { return (vd)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
#else
ML_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
ML_INLINE vd vd_fma(vd a, vd b, vd c) { return a * b + c; }
#endif
