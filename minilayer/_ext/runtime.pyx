# cython: language_level=3
"""The ground the compiled kernels stand on: array memory, the thread pool, the instruction set.

Arrays larger than a few pages come from a cache of 64-byte-aligned blocks in size classes, because a training step
asks for the same sizes again and again and fresh pages from the system cost more than the arithmetic on them. A block
goes back to the cache when the last ndarray over it is dropped. Small arrays come from NumPy, which has a cache too.
"""
import os

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t
from libc.stdlib cimport free

cnp.import_array()

cdef extern from "c/threads.h":
    ml_runtime ml_the_runtime
    int ml_get_num_threads() noexcept nogil
    void ml_set_num_threads(int n) noexcept nogil
    int ml_best_isa() noexcept nogil
    int ml_available_isa(int isa) noexcept nogil
    void ml_parallel_for(ml_task task, void *context, int64_t n, int64_t grain) noexcept nogil

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **p, size_t alignment, size_t bytes)

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(void *subtype, void *descr, int nd, cnp.npy_intp *dims, cnp.npy_intp *strides,
                                void *data, int flags, PyObject *obj)
    int PyArray_SetBaseObject(cnp.ndarray arr, object obj) except -1
    void *array_descr "PyArray_DESCR"(cnp.ndarray arr) noexcept

ISA_NAMES = ("portable", "avx2", "avx512")


def available_isas() -> tuple:
    """Names of the instruction sets this processor can run, plainest first."""
    return tuple(name for i, name in enumerate(ISA_NAMES) if ml_available_isa(i))


def isa() -> str:
    """Name of the instruction set the kernels run with."""
    return ISA_NAMES[ml_the_runtime.isa]


cdef int _choose_isa() except -1:
    name = os.environ.get("MINILAYER_ISA", "")
    if not name:
        ml_the_runtime.isa = ml_best_isa()
        return 0
    if name not in available_isas():
        raise RuntimeError(f"MINILAYER_ISA={name}: expected one of {', '.join(available_isas())} on this processor; "
                           "unset it to take the best")
    ml_the_runtime.isa = ISA_NAMES.index(name)
    return 0


_choose_isa()


cdef const ml_runtime *runtime() noexcept nogil:
    return &ml_the_runtime


def get_num_threads() -> int:
    """How many threads kernels may use, the calling one included (default: the cores this process may run on)."""
    return ml_get_num_threads()


def set_num_threads(n) -> None:
    """Let kernels use `n` threads from now on. Results do not depend on it, to the bit."""
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"set_num_threads: expected an integer, got {n!r}")
    if n < 1:
        raise ValueError(f"set_num_threads: expected at least 1 thread, got {n}")
    ml_set_num_threads(min(n, 256))


# ---- errors ----

cdef int refuse(object array, int number, str kernel) except -1:
    """Say why an argument cannot be described to a C entry."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{kernel}: expected a NumPy array as argument {number}, got {type(array).__name__}")
    if array.ndim > ML_MAX_DIMS:
        raise ValueError(f"{kernel}: expected at most {ML_MAX_DIMS} dimensions, got shape {array.shape}")
    if not (array.flags.aligned and array.dtype.isnative):
        raise ValueError(f"{kernel}: expected aligned memory in this machine's byte order as argument {number}; "
                         "np.array(x, dtype=x.dtype.newbyteorder('=')) makes such a copy")
    raise TypeError(f"{kernel}: expected float32, float64, int64, int32, uint8 or bool as argument {number}, "
                    f"got {array.dtype}; convert it with .astype(...)")


cdef int fail(int status, str kernel) except -1:
    """Raise the exception for a status other than ML_OK."""
    if status == ML_NO_MEMORY:
        raise MemoryError(f"{kernel}: no memory for the kernel's scratch space")
    if status == ML_BAD_INDEX:
        raise IndexError(f"{kernel}: an index lies outside its axis")
    if status == ML_BAD_DTYPE:
        raise TypeError(f"{kernel}: no compiled code for arrays of these dtypes")
    if status == ML_NOT_CONTIGUOUS:
        raise ValueError(f"{kernel}: expected arrays in C order without gaps; copy them first")
    if status == ML_ZERO_DIVISION:
        raise ZeroDivisionError(f"{kernel}: an integer was divided by zero; divide floats, or mask the zeros first")
    raise ValueError(f"{kernel}: the shapes of its arrays do not fit together")


# ---- array memory ----

DEF CLASSES = 128
cdef enum:
    SMALL = 1 << 14             # bytes; below, NumPy's own allocator
    PER_CLASS = 64              # blocks kept per size class
cdef size_t KEEP = <size_t> 1 << 30     # bytes kept in all
cdef void *kept[CLASSES][PER_CLASS]
cdef int kept_count[CLASSES]
cdef size_t kept_bytes = 0
cdef size_t live_bytes = 0


cdef inline int size_class(size_t bytes, size_t *rounded) noexcept:
    """Four classes an octave (at most a quarter is wasted): 16, 20, 24, 28, 32, 40, ... KiB."""
    cdef int octave = 0
    cdef size_t step = SMALL // 4
    while bytes > step * 8:
        step *= 2
        octave += 1
    cdef size_t quarters = (bytes + step - 1) // step
    if quarters < 4:
        quarters = 4
    rounded[0] = quarters * step
    return octave * 4 + <int> quarters - 4


@cython.freelist(64)
@cython.final
cdef class Block:
    """Owner of one block of array memory: the base of the ndarray over it."""
    cdef void *data
    cdef size_t bytes
    cdef int index

    def __dealloc__(self):
        global kept_bytes, live_bytes
        if self.data == NULL:
            return
        live_bytes -= self.bytes
        if self.index < CLASSES and kept_count[self.index] < PER_CLASS and kept_bytes + self.bytes <= KEEP:
            kept[self.index][kept_count[self.index]] = self.data
            kept_count[self.index] += 1
            kept_bytes += self.bytes
        else:
            free(self.data)


cdef Block take_block(size_t bytes):
    global kept_bytes, live_bytes
    cdef Block block = Block.__new__(Block)
    block.index = size_class(bytes, &block.bytes)
    if block.index < CLASSES and kept_count[block.index]:
        kept_count[block.index] -= 1
        block.data = kept[block.index][kept_count[block.index]]
        kept_bytes -= block.bytes
    elif posix_memalign(&block.data, 64, block.bytes):
        block.data = NULL
        raise MemoryError(f"empty: no memory for an array of {bytes} bytes")
    live_bytes += block.bytes
    return block


def release_memory() -> None:
    """Give the cached blocks that no array uses back to the system."""
    global kept_bytes
    cdef int i
    for i in range(CLASSES):
        while kept_count[i]:
            kept_count[i] -= 1
            free(kept[i][kept_count[i]])
    kept_bytes = 0


def memory_stats() -> dict:
    """Bytes of large-array memory: `live` in use by arrays, `cached` kept for the next ones."""
    return {"live": live_bytes, "cached": kept_bytes}


cdef object new_array(int ndim, cnp.npy_intp *dims, void *descriptor):
    cdef cnp.dtype descr = <cnp.dtype> <PyObject *> descriptor
    cdef int i
    cdef size_t bytes = cnp.PyDataType_ELSIZE(descr)
    cdef Block block
    cdef cnp.ndarray array
    for i in range(ndim):
        if dims[i] != 0 and bytes > (<size_t> 1 << 62) // <size_t> dims[i]:
            raise MemoryError(f"empty: an array of shape {tuple([dims[j] for j in range(ndim)])} does not fit in memory")
        bytes *= dims[i]
    if bytes < SMALL:
        Py_INCREF(descr)            # PyArray_NewFromDescr steals it
        return PyArray_NewFromDescr(<void *> <PyObject *> cnp.ndarray, descriptor, ndim, dims, NULL, NULL, 0, NULL)
    try:
        block = take_block(bytes)
    except MemoryError:
        raise MemoryError(f"empty: no memory for an array of shape {tuple([dims[j] for j in range(ndim)])} "
                          f"and dtype {descr} ({bytes} bytes)") from None
    Py_INCREF(descr)
    array = PyArray_NewFromDescr(<void *> <PyObject *> cnp.ndarray, descriptor, ndim, dims, NULL, block.data,
                                 cnp.NPY_ARRAY_CARRAY, NULL)
    Py_INCREF(block)                # the next call steals it
    PyArray_SetBaseObject(array, block)
    return array


cpdef object empty(tuple shape, object dtype):
    """A C-contiguous ndarray of unset values."""
    cdef cnp.npy_intp dims[ML_MAX_DIMS]
    cdef int i, n = <int> len(shape)
    if n > ML_MAX_DIMS:
        raise ValueError(f"empty: expected at most {ML_MAX_DIMS} dimensions, got {n}")
    for i in range(n):
        dims[i] = shape[i]
        if dims[i] < 0:
            raise ValueError(f"empty: expected sizes of 0 or more, got shape {shape}")
    if type(dtype) is not cnp.dtype and not isinstance(dtype, np.dtype):
        dtype = np.dtype(dtype)
    return new_array(n, dims, <void *> <PyObject *> dtype)


cpdef object empty_like(object array):
    """A C-contiguous ndarray of unset values with the shape and dtype of another."""
    cdef cnp.ndarray x = array
    if cnp.PyArray_NDIM(x) > ML_MAX_DIMS:
        raise ValueError(f"empty_like: expected at most {ML_MAX_DIMS} dimensions, got shape {array.shape}")
    return new_array(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), array_descr(x))


cpdef object as_strided(object array, tuple shape, tuple strides, Py_ssize_t offset=0):
    """A view of an ndarray's memory with any shape and strides (bytes), `offset` bytes from its first element.
    The caller answers for its staying inside that memory."""
    cdef cnp.npy_intp dims[ML_MAX_DIMS]
    cdef cnp.npy_intp steps[ML_MAX_DIMS]
    cdef cnp.ndarray x = array, view
    cdef void *descr = array_descr(x)
    cdef int i, n = <int> len(shape)
    if n > ML_MAX_DIMS:
        raise ValueError(f"as_strided: expected at most {ML_MAX_DIMS} dimensions, got {n}")
    for i in range(n):
        dims[i] = shape[i]
        steps[i] = strides[i]
    Py_INCREF(<object> <PyObject *> descr)
    view = PyArray_NewFromDescr(<void *> <PyObject *> cnp.ndarray, descr, n, dims, steps, cnp.PyArray_BYTES(x) + offset,
                                cnp.PyArray_FLAGS(x) & cnp.NPY_ARRAY_WRITEABLE, NULL)
    Py_INCREF(x)                    # the next call steals it
    PyArray_SetBaseObject(view, x)
    return view


cpdef object broadcast_to(object array, tuple shape):
    """A view of an ndarray with a larger shape: zero strides where an axis is repeated."""
    cdef cnp.ndarray x = array
    cdef int i, n = <int> len(shape), have = cnp.PyArray_NDIM(x), j
    cdef list strides = [0] * n
    if have > n:
        raise ValueError(f"broadcast_to: cannot broadcast shape {array.shape} to {shape}: it has more dimensions")
    for i in range(have):
        j = n - have + i
        if cnp.PyArray_DIM(x, i) == shape[j]:
            strides[j] = cnp.PyArray_STRIDE(x, i)
        elif cnp.PyArray_DIM(x, i) != 1:
            raise ValueError(f"broadcast_to: cannot broadcast shape {array.shape} to {shape}: "
                             f"axis {i} has size {cnp.PyArray_DIM(x, i)}, expected 1 or {shape[j]}")
    return as_strided(array, shape, tuple(strides), 0)


cpdef bint owns(object array):
    """Does this ndarray own its memory alone, rather than view another array's? (The tape adds in place only then.)"""
    cdef PyObject *base = cnp.PyArray_BASE(<cnp.ndarray> array)
    return base == NULL or type(<object> base) is Block


cpdef bint same_shape(object a, object b):
    """Have two ndarrays one shape? (`a.shape == b.shape` without making the tuples.)"""
    cdef cnp.ndarray x = a, y = b
    cdef int i, n = cnp.PyArray_NDIM(x)
    if n != cnp.PyArray_NDIM(y):
        return False
    for i in range(n):
        if cnp.PyArray_DIM(x, i) != cnp.PyArray_DIM(y, i):
            return False
    return True


cpdef bint same_dtype(object a, object b):
    """Have two ndarrays one dtype?"""
    return cnp.PyArray_TYPE(<cnp.ndarray> a) == cnp.PyArray_TYPE(<cnp.ndarray> b)


cpdef bint is_contiguous(object array):
    """Does an ndarray lie in C order without gaps?"""
    return cnp.PyArray_IS_C_CONTIGUOUS(<cnp.ndarray> array)


cpdef object empty_broadcast(str name, object a, object b, object dtype=None):
    """Unset values in the shape two ndarrays broadcast to, of a's dtype unless given; `name` is for the error."""
    cdef cnp.npy_intp dims[ML_MAX_DIMS]
    cdef cnp.ndarray x = a, y = b
    cdef int m = cnp.PyArray_NDIM(x), n = cnp.PyArray_NDIM(y), k = m if m > n else n, i
    cdef cnp.npy_intp p, q
    if k > ML_MAX_DIMS:
        raise ValueError(f"{name}: expected at most {ML_MAX_DIMS} dimensions, got shapes {a.shape} and {b.shape}")
    for i in range(k):
        p = cnp.PyArray_DIM(x, i - (k - m)) if i >= k - m else 1
        q = cnp.PyArray_DIM(y, i - (k - n)) if i >= k - n else 1
        if p != q and p != 1 and q != 1:
            raise ValueError(f"{name}: expected shapes that broadcast (equal or 1 on every axis, counted from the last), "
                             f"got {a.shape} and {b.shape}; reshape or transpose one of them")
        dims[i] = q if p == 1 else p
    if dtype is None:
        return new_array(k, dims, array_descr(x))
    return new_array(k, dims, <void *> <PyObject *> dtype)


cpdef object scalar_like(object value, object array):
    """A 0-d ndarray of a Python number, with another array's dtype."""
    cdef cnp.ndarray x = array, y = new_array(0, NULL, array_descr(x))
    cdef int t = cnp.PyArray_TYPE(x)
    if t == cnp.NPY_FLOAT32:
        (<float *> cnp.PyArray_DATA(y))[0] = <float> <double> value
    elif t == cnp.NPY_FLOAT64:
        (<double *> cnp.PyArray_DATA(y))[0] = value
    else:
        y[()] = value
    return y


# ---- for the tests of the pool ----

cdef struct _Sum:
    double *parts
    int64_t grain


cdef void _sum_piece(void *context, int64_t begin, int64_t end) noexcept nogil:
    cdef _Sum *s = <_Sum *> context
    cdef int64_t i
    cdef double total = 0
    for i in range(begin, end):
        total += 1.0 / (1 + i)
    s.parts[begin // s.grain] = total


def parallel_harmonic(int64_t n, int64_t grain) -> float:
    """The n-th harmonic number, one partial sum a piece: a loop with a known answer, for the tests of the pool."""
    cdef cnp.ndarray parts = np.zeros(max(1, -(-n // grain)))
    cdef _Sum s
    s.parts = <double *> cnp.PyArray_DATA(parts)
    s.grain = grain
    with nogil:
        ml_parallel_for(_sum_piece, &s, n, grain)
    return sum(parts.tolist())
