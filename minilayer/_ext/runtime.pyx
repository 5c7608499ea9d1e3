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
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

cnp.import_array()

cdef extern from "c/ml.h":
    bint ml_contiguous(const ml_array *a) noexcept nogil

cdef extern from "c/threads.h":
    ml_runtime ml_the_runtime
    int ml_get_num_threads() noexcept nogil
    void ml_set_num_threads(int n) noexcept nogil
    int ml_best_isa() noexcept nogil
    int ml_available_isa(int isa) noexcept nogil
    void ml_parallel_for(ml_task task, void *context, int64_t n, int64_t grain) noexcept nogil

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **p, size_t alignment, size_t bytes)

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() nogil

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *ctx, size_t size) noexcept
        void *(*calloc)(void *ctx, size_t count, size_t size) noexcept
        void *(*realloc)(void *ctx, void *p, size_t size) noexcept
        void (*free)(void *ctx, void *p, size_t size) noexcept
    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator
    object PyDataMem_SetHandler(object handler)
    PyObject *PyArray_HANDLER(cnp.ndarray array)
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


@cython.no_gc                       # (a program does not hold the arrays over its memory: no cycle)
@cython.freelist(64)
@cython.final
cdef class Block:
    """Owner of one block of array memory: the base of the ndarray over it."""
    cdef void *data
    cdef size_t bytes
    cdef int index
    cdef Program program        # whose memory it is part of; None for the cache's

    def __dealloc__(self):
        global kept_bytes, live_bytes
        if self.data == NULL:
            return
        if self.program is not None:
            self.program.give_back(self.data, self.bytes)
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
    if is_recorded():
        block.data = recorded.take(bytes, &block.bytes)
        block.program = recorded
        return block
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
    if bytes < SMALL and not is_recorded():
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
    cdef cnp.ndarray x = array, y = np.empty((), x.dtype) if is_recorded() else new_array(0, NULL, array_descr(x))
    cdef int t = cnp.PyArray_TYPE(x)
    if t == cnp.NPY_FLOAT32:
        (<float *> cnp.PyArray_DATA(y))[0] = <float> <double> value
    elif t == cnp.NPY_FLOAT64:
        (<double *> cnp.PyArray_DATA(y))[0] = value
    else:
        y[()] = value
    return constant(y)


# ---- recorded programs ----

DTYPE_NAMES = ("float32", "float64", "int64", "int32", "uint8", "bool")


cdef struct ml_step:
    ml_kernel entry
    ml_array *arrays            # `count` descriptors, and behind them the settings
    int count
    const void *settings

_epilogues: dict = {}           # kernel -> (which array it writes, where in its settings the activation stands, relu's number)


def register_epilogue(str kernel, int output, size_t place, int relu):
    """Say that a kernel can do relu to what it writes: by the int at `place` in its settings, 0 without."""
    _epilogues[kernel] = (output, place, relu)


cdef Program recorded = None    # what the thread of recorded.thread is writing down


cdef inline bint is_recorded() noexcept:
    """Is the calling thread writing its kernels down?"""
    return ml_the_runtime.recording and recorded.thread == PyThread_get_thread_ident()


cdef void *_malloc(void *ctx, size_t size) noexcept:
    return malloc(size)


cdef void *_calloc(void *ctx, size_t count, size_t size) noexcept:
    return calloc(count, size)


cdef void *_realloc(void *ctx, void *p, size_t size) noexcept:
    return realloc(p, size)


cdef void _free(void *ctx, void *p, size_t size) noexcept:
    free(p)


# NumPy's own memory while a program is being written. An array remembers which handler its memory came from: so it is
# known which arrays NumPy made meanwhile.
cdef PyDataMem_Handler watching
memcpy(watching.name, b"minilayer program", 18)
watching.version = 1
watching.allocator = PyDataMemAllocator(NULL, _malloc, _calloc, _realloc, _free)


@cython.no_gc_clear
cdef class Program:
    """The kernels that a thread ran between `begin` and `end`, with their arrays and settings: `run` runs them again
    without Python in between, on the same memory.

    What was allocated meanwhile came from memory of the program's own. A block that was let go served again, so the
    lifetimes that reference counts found are the plan of that memory, and it holds for every later run. Arrays from
    outside (parameters, inputs, the state of an optimizer, constants) are kept alive, and a copy of what they held when
    they were first met, so that `check` can run the program on the same values again.
    """
    cdef ml_step *steps
    cdef Py_ssize_t count, room
    cdef list names, blocks
    cdef int span
    cdef dict waiting, outside
    cdef dict ended                 # address -> how many kernels had run whenever an array there was let go
    cdef unsigned long thread
    cdef object handler, handler_before
    cdef readonly size_t bytes      # of its memory
    cdef readonly str obstacle      # why it cannot be run again, or None
    # functions: whether the program still holds; to call before and after each run, for what changes from step to step
    cdef readonly list holds, before, after
    cdef readonly list numbers      # arrays of numbers of a step, each of one kernel's

    def __cinit__(self):
        self.names, self.blocks, self.holds, self.before, self.after = [], [], [], [], []
        self.numbers = []
        self.waiting, self.outside, self.ended = {}, {}, {}

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            free(self.steps[i].arrays)
        free(self.steps)
        for address, _ in self.blocks:
            free(<void *> <size_t> address)

    cdef void *take(self, size_t bytes, size_t *found) except NULL:
        """A block of at least `bytes`, and how many it has: the smallest that waits and is not much larger, or a new one."""
        cdef void *data = NULL
        cdef size_t size = (bytes + 63) // 64 * 64 if bytes else 64
        fitting = min([n for n, waiting in self.waiting.items() if waiting and size <= n <= size + size // 4], default=0)
        if fitting:
            found[0] = fitting
            return <void *> <size_t> self.waiting[fitting].pop()
        if posix_memalign(&data, 64, size):
            raise MemoryError(f"compile: no memory for an array of {bytes} bytes")
        self.blocks.append((<size_t> data, size))
        self.bytes += size
        found[0] = size
        return data

    cdef int give_back(self, void *data, size_t bytes) except -1:
        if self.waiting is not None:        # (None: the interpreter is ending)
            self.waiting.setdefault(bytes, []).append(<size_t> data)
            if recorded is self:
                self.ended.setdefault(<size_t> data, []).append(self.count)
        return 0

    cdef int met(self, object array) except -1:
        """Keep an array that came from outside, and what it holds now."""
        array = _root(array)
        if not self.owns(array) and id(array) not in self.outside:
            if array.base is None and PyArray_HANDLER(array) == <PyObject *> self.handler and self.obstacle is None:
                self.obstacle = "an array that NumPy has made, and no kernel of minilayer"
            self.hold(array)
        return 0

    cdef int hold(self, object array) except -1:
        """Take an array for one from outside, with the values it has now."""
        array = _root(array)
        if not self.owns(array):
            self.outside[id(array)] = (array, array.copy())
        return 0

    cdef bint owns(self, object root) except -1:
        return type(root.base) is Block and (<Block> root.base).program is self

    cdef int add(self, str kernel, ml_kernel entry, const ml_array *arrays, const void *settings, size_t bytes) except -1:
        cdef size_t size = self.span * sizeof(ml_array)
        cdef ml_step *step
        cdef char *memory
        if self.count == self.room:
            step = <ml_step *> realloc(self.steps, (2 * self.room + 64) * sizeof(ml_step))
            if step == NULL:
                raise MemoryError("compile: no memory for a longer program")
            self.steps = step
            self.room = 2 * self.room + 64
        memory = <char *> malloc(size + bytes + 1)
        if memory == NULL:
            raise MemoryError("compile: no memory for a longer program")
        memcpy(memory, arrays, size)
        step = &self.steps[self.count]
        step.entry = entry
        step.arrays = <ml_array *> memory
        step.count = self.span
        step.settings = NULL
        if settings != NULL:
            memcpy(memory + size, settings, bytes)
            step.settings = memory + size
        self.count += 1
        self.names.append(kernel)
        self.span = 0
        return 0

    def begin(self):
        """Write down what this thread's kernels do from now on."""
        global recorded
        if ml_the_runtime.recording:
            raise RuntimeError("compile: another step is being recorded; call a compiled step outside of others, and "
                               "one thread at a time for the first calls")
        self.thread = PyThread_get_thread_ident()
        self.handler = PyCapsule_New(&watching, "mem_handler", NULL)
        self.handler_before = PyDataMem_SetHandler(self.handler)
        recorded = self
        ml_the_runtime.recording = 1

    def end(self):
        """Stop writing."""
        global recorded
        if recorded is self:
            ml_the_runtime.recording = 0
            recorded = None
            PyDataMem_SetHandler(self.handler_before)

    def fuse(self) -> list:
        """Let kernels that can do relu in the same pass do so, where nothing else reads what they wrote. Returns the numbers
        of the kernels that are gone."""
        cdef list gone = []
        cdef Py_ssize_t i, kept = 0
        cdef ml_step *step
        cdef ml_step *following
        cdef ml_array *y
        for i in range(self.count):
            step = &self.steps[kept]
            step[0] = self.steps[i]
            self.names[kept] = self.names[i]
            kept += 1
            if i == 0 or self.names[i] != "relu" or kept < 2 or self.names[kept - 2] not in _epilogues:
                continue
            output, place, relu = _epilogues[self.names[kept - 2]]
            following = step
            step = &self.steps[kept - 2]
            y = &step.arrays[<int> output]
            activation = <int *> (<char *> step.settings + <size_t> place)
            # read by this relu alone: let go before another kernel ran
            last = min([n for n in self.ended.get(<size_t> y.data, ()) if n > i - 1], default=self.count + 1)
            if (following.arrays[0].data == y.data and following.arrays[0].size == y.size == following.arrays[1].size
                    and ml_contiguous(y) and ml_contiguous(&following.arrays[0]) and ml_contiguous(&following.arrays[1])
                    and activation[0] == 0 and last == i + 1
                    and not any([overlaps(&step.arrays[k], &following.arrays[1]) for k in range(step.count)])):
                y.data = following.arrays[1].data
                activation[0] = relu
                free(following.arrays)
                kept -= 1
                gone.append(i)
        self.count = kept
        del self.names[kept:]
        return gone

    def run(self, Py_ssize_t first=0, Py_ssize_t last=-1):
        """Run the kernels again, or those from number `first` to before `last`."""
        cdef Py_ssize_t i, end = self.count if last < 0 else last
        cdef int status = ML_OK
        if not 0 <= first <= end <= self.count:
            raise IndexError(f"run: expected a part of {self.count} kernels, got [{first}, {end})")
        with nogil:
            for i in range(first, end):
                status = self.steps[i].entry(self.steps[i].arrays, self.steps[i].settings)
                if status != ML_OK:
                    break
        if status != ML_OK:
            fail(status, self.names[i])

    def made(self, object array) -> bool:
        """Is this array's memory the program's own?"""
        return self.owns(_root(array))

    def reads(self, object array) -> bool:
        """Does a kernel of the program take this array, which came from outside?"""
        return id(_root(array)) in self.outside

    def holds_more(self, arrays) -> bool:
        """Are there arrays over the program's memory beside these?"""
        cdef set apart = {address for addresses in self.waiting.values() for address in addresses}
        apart.update([_root(array).ctypes.data for array in arrays])
        return any([address not in apart for address, _ in self.blocks])

    def repeats(self, results) -> bool:
        """Whether a second run on the values of the first gives the same bits: in `results` (arrays), and in every array
        from outside. What was computed elsewhere than in kernels is not there in a second run, since its memory is
        overwritten before. Either way all memory that arrays show is left as the first run left it."""
        cdef list first = [array.copy() for array in results]
        cdef set apart = {address for addresses in self.waiting.values() for address in addresses}
        apart.update([array.ctypes.data for array in results if array.size == _root(array).size])   # (copied whole)
        cdef list memory = [(address, PyBytes_FromStringAndSize(<const char *> <size_t> address, size))
                            for address, size in self.blocks if address not in apart]
        cdef list outside = [pair for pair in self.outside.values() if pair[0].flags.writeable]
        for array, other in outside:
            _swap(array, other)             # the values before; `other` are those after the first run
        same = True
        try:
            for fill in (0xff, 0):     # (either may be what NumPy has left)
                if not same:
                    break
                for address, size in self.blocks:
                    memset(<void *> <size_t> address, fill, size)
                for array in results:       # (if NumPy has made one: no kernel will write it)
                    if not self.reads(array):
                        array[...] = np.frombuffer(bytes([fill]) * array.itemsize, array.dtype)[0]
                starting = [array.copy() for array, _ in outside]
                self.run()
                same = all([_same(array, other) for array, other in [*zip(results, first), *outside]])
                for (array, _), values in zip(outside, starting):
                    np.copyto(array, values)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError):
            same = False                    # (a kernel that refused: values of the first run lie in place of others)
        finally:
            for address, saved in memory:
                memcpy(<void *> <size_t> address, <const char *> saved, len(saved))
            for array, other in [*zip(results, first), *outside]:
                np.copyto(array, other)
            self.outside = {key: (array, None) for key, (array, _) in self.outside.items()}
        return same

    def forget_functions(self):
        """Let go of the functions to call around runs."""
        self.holds, self.before, self.after = [], [], []

    def __len__(self):
        return self.count

    def __str__(self):
        """One kernel a line: its name, and the memory place, dtype and shape of each array."""
        cdef dict places = {}
        cdef list lines = []
        cdef ml_array *a
        for i in range(self.count):
            words = []
            for k in range(self.steps[i].count):
                a = &self.steps[i].arrays[k]
                if a.data == NULL:
                    words.append("-")
                    continue
                place = places.setdefault(<size_t> a.data, len(places) + 1)
                words.append(f"%{place} {DTYPE_NAMES[a.dtype]}[{', '.join([str(a.shape[d]) for d in range(a.ndim)])}]")
            lines.append(f"{i:>5}  {self.names[i]}({', '.join(words)})")
        return "\n".join(lines)


cdef bint overlaps(const ml_array *a, const ml_array *b) noexcept:
    """Might two arrays share memory? (By the ends of theirs.)"""
    cdef const char *a_low = a.data
    cdef const char *a_high = a.data
    cdef const char *b_low = b.data
    cdef const char *b_high = b.data
    reach(a, &a_low, &a_high)
    reach(b, &b_low, &b_high)
    return a_low < b_high and b_low < a_high


cdef void reach(const ml_array *a, const char **low, const char **high) noexcept:
    cdef int d
    if a.data == NULL or a.size == 0:
        return
    for d in range(a.ndim):
        if a.strides[d] < 0:
            low[0] += (a.shape[d] - 1) * a.strides[d]
        else:
            high[0] += (a.shape[d] - 1) * a.strides[d]
    high[0] += 8                    # (an item at most)


def _root(array):
    """The ndarray whose memory this one shows."""
    while type(array.base) is np.ndarray:
        array = array.base
    return array


def _swap(a, b):
    """Exchange the values of two arrays."""
    held = a.copy()
    np.copyto(a, b)
    np.copyto(b, held)


def _same(a, b) -> bool:
    """Have two arrays the same bits?"""
    return a.tobytes() == b.tobytes()


cdef int note_array(object array, int number) except -1:
    if is_recorded():
        # how many arrays the kernel has; where the last one refused what it was given, counting begins again
        recorded.span = number + 1 if number == 0 or number >= recorded.span else recorded.span
        if array is not None:
            recorded.met(array)
    return 0


cdef int note_kernel(str kernel, ml_kernel entry, const ml_array *arrays, const void *settings, size_t bytes) except -1:
    if is_recorded():
        recorded.add(kernel, entry, arrays, settings, bytes)
    return 0


def each_run(holds=None, before=None, after=None):
    """Where the calling thread's kernels are being written down: call `before()` and `after()` around every later run,
    and write anew once `holds()` is false."""
    if is_recorded():
        for function, functions in ((holds, recorded.holds), (before, recorded.before), (after, recorded.after)):
            if function is not None:
                functions.append(function)


def recording() -> Program | None:
    """The program that the calling thread's kernels are being written to, if any."""
    return recorded if is_recorded() else None


cpdef object constant(object array):
    """The array itself, made by Python or NumPy from what a recorded program may take for given: numbers and shapes."""
    if is_recorded():
        recorded.hold(array)
    return array


cpdef int cannot_repeat(str why) except -1:
    """Say that what the calling thread does now is not done by kernels: a program being recorded cannot repeat it."""
    if is_recorded() and recorded.obstacle is None:
        recorded.obstacle = why
    return 0


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
