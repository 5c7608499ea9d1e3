/* Random numbers from a counter; philox_reference.py is the definition. */
#ifndef ML_PHILOX_H
#define ML_PHILOX_H
#include "ml.h"

typedef struct { int64_t low; uint64_t count; } ml_philox_range;    /* integers: low .. low + count - 1 */

typedef struct {
    ml_kernel random_bits, uniform, normal, integers;               /* arrays: position, y */
} philox_kernels;

const philox_kernels *philox_select(const ml_runtime *rt);
#endif
