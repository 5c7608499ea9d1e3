/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): block n of
   the stream `seed` is ten rounds of multiplying and crossing over the counter (n, 0), keyed by the
   seed. Any block can be had without those before it, so a loop may be split anywhere.

   Included after vec.h. ML_PHILOX_BLOCKS blocks (four 32-bit words each) come at a time: one block
   a 64-bit lane, two vectors side by side because a round waits on its multiplication. */

#define ML_PHILOX_BLOCKS (2 * ML_VD)
#define ML_PHILOX_WORDS (4 * ML_PHILOX_BLOCKS)

#define vu ML_NAME(ml_philox_lanes)
typedef uint64_t vu __attribute__((vector_size(ML_VECTOR_BYTES)));

/* Products of the lower halves; the upper halves may hold anything. And pairs of 64-bit lanes:
   zip_low(a, b) = a0 b0 a2 b2 ..., zip_high(a, b) = a1 b1 a3 b3 ... */
#define philox_mul ML_NAME(ml_philox_mul)
#define philox_zip_low ML_NAME(ml_philox_zip_low)
#define philox_zip_high ML_NAME(ml_philox_zip_high)
#if ML_VECTOR_BYTES == 64
ML_INLINE vu philox_mul(vu a, vu b) { return (vu)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
ML_INLINE vu philox_zip_low(vu a, vu b) { return (vu)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b); }
ML_INLINE vu philox_zip_high(vu a, vu b) { return (vu)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b); }
#elif ML_VECTOR_BYTES == 32
ML_INLINE vu philox_mul(vu a, vu b) { return (vu)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
ML_INLINE vu philox_zip_low(vu a, vu b) { return (vu)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b); }
ML_INLINE vu philox_zip_high(vu a, vu b) { return (vu)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b); }
#else
#if defined(__x86_64__)
#include <emmintrin.h>
ML_INLINE vu philox_mul(vu a, vu b) { return (vu)_mm_mul_epu32((__m128i)a, (__m128i)b); }
#elif defined(__aarch64__)
ML_INLINE vu philox_mul(vu a, vu b) { return (vu)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b)); }
#else
ML_INLINE vu philox_mul(vu a, vu b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
#endif
ML_INLINE vu philox_zip_low(vu a, vu b) { return (vu){a[0], b[0]}; }
ML_INLINE vu philox_zip_high(vu a, vu b) { return (vu){a[1], b[1]}; }
#endif

/* Words 0..3 of block `counter`, then of the next, ...: out[4*b + w]. */
#define philox_words ML_NAME(ml_philox_words)
ML_INLINE void philox_words(uint64_t seed, uint64_t counter, uint32_t *out)
{
    /* Even lanes take the first half of a vector's blocks and odd lanes the second, which is the
       order that the zips at the end undo. */
    vu c0[2], c1[2], c2[2], c3[2];
    for (int v = 0; v < 2; v++) {
        vu n;
        for (int l = 0; l < ML_VD; l++)
            n[l] = counter + (uint64_t)(v * ML_VD + l / 2 + (l % 2) * (ML_VD / 2));
        c0[v] = n;
        c1[v] = n >> 32;
        c2[v] = c3[v] = n ^ n;
    }
    const vu m0 = 0xD2511F53u - (vu){0}, m1 = 0xCD9E8D57u - (vu){0};
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        for (int v = 0; v < 2; v++) {
            vu p0 = philox_mul(c0[v], m0), p1 = philox_mul(c2[v], m1);
            c0[v] = (p1 >> 32) ^ c1[v] ^ (uint64_t)k0;
            c2[v] = (p0 >> 32) ^ c3[v] ^ (uint64_t)k1;
            c1[v] = p1;             /* the low word; what stands above it is never read */
            c3[v] = p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int v = 0; v < 2; v++) {
        vu w01 = (c0[v] & 0xffffffffu) | c1[v] << 32;       /* two words a lane, lowest first ... */
        vu w23 = (c2[v] & 0xffffffffu) | c3[v] << 32;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w01 = w01 << 32 | w01 >> 32;
        w23 = w23 << 32 | w23 >> 32;
#endif
        vu low = philox_zip_low(w01, w23), high = philox_zip_high(w01, w23);
        memcpy(out + v * 4 * ML_VD, &low, sizeof low);      /* ... so a block is two lanes */
        memcpy(out + v * 4 * ML_VD + 2 * ML_VD, &high, sizeof high);
    }
}
#undef vu
#undef philox_mul
#undef philox_zip_low
#undef philox_zip_high
