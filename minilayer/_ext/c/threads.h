/* The thread pool and the runtime table behind ml.h. Only runtime.pyx uses this file. */
#ifndef ML_THREADS_H
#define ML_THREADS_H
#include "ml.h"

void ml_parallel_for(ml_task task, void *context, int64_t n, int64_t grain);
void *ml_scratch(int slot, size_t bytes);
int ml_get_num_threads(void);
void ml_set_num_threads(int n);
int ml_best_isa(void);              /* the best one this processor and this build have */
int ml_available_isa(int isa);
extern ml_runtime ml_the_runtime;
#endif
