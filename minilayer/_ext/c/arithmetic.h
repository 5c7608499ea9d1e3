/* Arithmetic between arrays that broadcast against one another. What each function computes stands
   in arithmetic_reference.py; here are its C entries. */
#ifndef ML_ARITHMETIC_H
#define ML_ARITHMETIC_H

#include "ml.h"

typedef struct { int32_t accumulate; } arithmetic_settings;     /* add sub mul div: y += instead of y = */

typedef struct {
    ml_kernel add, sub, mul, div;
    ml_kernel floor_divide, trunc_divide, remainder, pow, maximum, minimum;
    ml_kernel eq, ne, lt, le, gt, ge, logical_and, logical_or, logical_xor, where;
    ml_kernel bitwise_and, bitwise_or, bitwise_xor, bitwise_left_shift, bitwise_right_shift;
    ml_kernel maximum_backward, minimum_backward, pow_backward, where_backward;
} arithmetic_kernels;

const arithmetic_kernels *arithmetic_select(const ml_runtime *rt);

#endif
