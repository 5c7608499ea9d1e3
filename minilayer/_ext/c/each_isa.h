/* One source, every instruction set.

   A family `foo` keeps its kernels in foo.inc.h, and its foo.c reads

       #include "foo.h"                     the settings structs and the table of entries
       #define ML_FAMILY foo
       #define ML_SOURCE "foo.inc.h"
       #include "each_isa.h"

   which compiles foo.inc.h once an instruction set, under names that end in it (ML_NAME(add) is
   add_avx2 in one of them), and defines

       const foo_kernels *foo_select(const ml_runtime *);

   the table for the instruction set that the runtime chose. foo.inc.h ends with

       static const foo_kernels ML_NAME(table) = { ... };

   Inside foo.inc.h, "vec.h" gives the vector types of the instruction set at hand. The pragmas do
   what compiler flags a file would, without a wrapper and a library for each: the portable code
   below stays free of instructions that an old processor lacks. */

#define ML_JOIN2(a, b) a##_##b
#define ML_JOIN(a, b) ML_JOIN2(a, b)
#define ML_NAME(f) ML_JOIN(f, ML_ISA)

const ml_runtime *ml_rt;

/* ---- portable: what every x86-64 or aarch64 processor has ---- */
#define ML_ISA portable
#define ML_VECTOR_BYTES 16
#include ML_SOURCE
#include "vec_undef.h"
#undef ML_ISA
#undef ML_VECTOR_BYTES

#if defined(__x86_64__)

#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define ML_ISA avx2
#define ML_VECTOR_BYTES 32
#include ML_SOURCE
#include "vec_undef.h"
#undef ML_ISA
#undef ML_VECTOR_BYTES
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define ML_ISA avx512
#define ML_VECTOR_BYTES 64
#include ML_SOURCE
#include "vec_undef.h"
#undef ML_ISA
#undef ML_VECTOR_BYTES
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif /* __x86_64__ */

#define ML_TABLE_TYPE ML_JOIN(ML_FAMILY, kernels)
#define ML_SELECT ML_JOIN(ML_FAMILY, select)

const ML_TABLE_TYPE *ML_SELECT(const ml_runtime *rt)
{
    ml_rt = rt;
#if defined(__x86_64__)
    if (rt->isa == ML_AVX512)
        return &table_avx512;
    if (rt->isa == ML_AVX2)
        return &table_avx2;
#endif
    return &table_portable;
}
