"""What a compiled kernel module cimports: descriptors, the launch rule, the runtime table."""
cimport cython
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

cdef extern from "c/ml.h":
    enum: ML_MAX_DIMS
    ctypedef enum ml_dtype:
        ML_F32
        ML_F64
        ML_I64
        ML_I32
        ML_U8
        ML_BOOL
    ctypedef struct ml_array:
        char *data
        int32_t dtype
        int32_t ndim
        int64_t size
        int64_t shape[16]
        int64_t strides[16]
    enum:
        ML_OK
        ML_NO_MEMORY
        ML_BAD_INDEX
        ML_BAD_DTYPE
        ML_BAD_SHAPE
        ML_NOT_CONTIGUOUS
        ML_ZERO_DIVISION
    ctypedef void (*ml_task)(void *context, int64_t begin, int64_t end) noexcept nogil
    ctypedef int (*ml_kernel)(const ml_array *a, const void *settings) noexcept nogil
    ctypedef struct ml_runtime:
        int isa
        void (*parallel_for)(ml_task task, void *context, int64_t n, int64_t grain) noexcept nogil
        void *(*scratch)(int slot, size_t bytes) noexcept nogil
        int (*threads)() noexcept nogil
        int recording

cdef const ml_runtime *runtime() noexcept nogil
cdef int note_array(object array, int number) except -1
cdef int note_kernel(str kernel, ml_kernel entry, const ml_array *arrays, const void *settings, size_t bytes) except -1
cdef int refuse(object array, int number, str kernel) except -1
cdef int fail(int status, str kernel) except -1
cpdef object empty(tuple shape, object dtype)
cpdef object empty_like(object array)
cpdef object as_strided(object array, tuple shape, tuple strides, Py_ssize_t offset=*)
cpdef object broadcast_to(object array, tuple shape)
cpdef bint owns(object array)
cpdef bint same_shape(object a, object b)
cpdef bint same_dtype(object a, object b)
cpdef bint is_contiguous(object array)
cpdef object empty_broadcast(str name, object a, object b, object dtype=*)
cpdef object scalar_like(object value, object array)
cpdef int cannot_repeat(str why) except -1


cdef inline int describe(object array, ml_array *d, int number, str kernel) except -1:
    """Fill `d` from an ndarray's C fields (None gives data = NULL); `number` is the argument's place, for the error."""
    cdef int i, n, t
    cdef cnp.ndarray x
    cdef cnp.npy_intp *shape
    cdef cnp.npy_intp *strides
    cdef int64_t size = 1
    if array is None:
        if runtime().recording:
            note_array(None, number)
        d.data = NULL
        d.ndim = 0
        d.size = 0
        d.dtype = ML_F32
        return 0
    if not cnp.PyArray_Check(array):
        return refuse(array, number, kernel)
    x = <cnp.ndarray> array
    n = cnp.PyArray_NDIM(x)
    t = cnp.PyArray_TYPE(x)
    if t == cnp.NPY_FLOAT32:
        d.dtype = ML_F32
    elif t == cnp.NPY_FLOAT64:
        d.dtype = ML_F64
    elif t == cnp.NPY_INT64:
        d.dtype = ML_I64
    elif t == cnp.NPY_BOOL:
        d.dtype = ML_BOOL
    elif t == cnp.NPY_INT32:
        d.dtype = ML_I32
    elif t == cnp.NPY_UINT8:
        d.dtype = ML_U8
    else:
        return refuse(array, number, kernel)
    if n > ML_MAX_DIMS or not cnp.PyArray_ISBEHAVED_RO(x):
        return refuse(array, number, kernel)
    shape = cnp.PyArray_DIMS(x)
    strides = cnp.PyArray_STRIDES(x)
    for i in range(n):
        d.shape[i] = shape[i]
        d.strides[i] = strides[i]
        size *= shape[i]
    d.size = size
    d.ndim = n
    d.data = cnp.PyArray_BYTES(x)
    if runtime().recording:
        note_array(array, number)
    return 0


cdef inline int enter(str kernel, ml_kernel entry, const ml_array *arrays, const void *settings, size_t settings_bytes,
                      int64_t work) except -1:
    """Run a C entry and return its status. `work` is about the number of elements touched: the GIL is let go where that
    is worth the 0.1 us it costs, so that other Python threads go on during long kernels."""
    cdef int status
    if work > 8192:
        with nogil:
            status = entry(arrays, settings)
    else:
        status = entry(arrays, settings)
    if status == ML_OK and runtime().recording:
        note_kernel(kernel, entry, arrays, settings, settings_bytes)
    return status


cdef inline int launch(str kernel, ml_kernel entry, const ml_array *arrays, const void *settings, size_t settings_bytes,
                       int64_t work) except -1:
    """`enter`, and raise what the status says."""
    cdef int status = enter(kernel, entry, arrays, settings, settings_bytes, work)
    if status != ML_OK:
        return fail(status, kernel)
    return 0
