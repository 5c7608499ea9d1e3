"""Reductions on CUDA: the contract of reduce_reference.py. The gradients of products and extremes, and cumsum, have no
kernel yet.

The axes of x are sorted into kept and reduced ones, each set merged to at most two (a copy in that order is made where
they are more). Long sums have a block for each result; short ones, and those over rows, a thread, so that neighbouring
threads read neighbours. Float sums carry their rounding errors along (Kahan) in each thread, and a block adds its
threads' sums by a tree: at least as accurate as pairwise summation.
"""
import numpy as np

from minilayer.cuda import _nb as m
from minilayer.cuda import memory
from minilayer.cuda.blocks import BLOCK, larger, over_block, plus, smaller
from minilayer.cuda.copies import contiguous, copy
from minilayer.cuda.launch import FLOATS, NUMBERS, blocks_for, kernel, missing
from minilayer.cuda.layout import merged, padded, spread

__getattr__ = missing(__name__)

cuda, uint32 = m.cuda, m.uint32
_ANY = (*NUMBERS, "bool")
_SUMS = [*[(d, d) for d in FLOATS], *[(d, "int64") for d in ("int64", "int32", "uint8", "bool")]]
_SAME = [(d, d) for d in _ANY]
_QUESTIONS = [(d, "bool") for d in _ANY]
_AXES = 2
_LONG = 4 * BLOCK               # from so many elements on, a block shares a result's work


def _summing(source, target):
    """(start, (sum, error, x) -> (sum, error)): Kahan's sum for floats."""
    zero = target(0)
    if target in (np.float32, np.float64):
        def add(s, error, x):
            v = x - error
            t = s + v
            return t, ((t - s) - v if t - t == zero else zero)      # an infinity stays one
    else:
        def add(s, error, x):
            return s + target(x), zero
    return zero, m.device(add)


def _sum_by(block):
    """y = [y +] sum / divisor, a block or a thread for each result."""
    def make(source, target):
        zero, add = _summing(source, target)
        together = over_block(target, plus)
        number, is_float = target, target in (np.float32, np.float64)

        def reduce_sum(x, y, n, R, k1, r1, xk0, xk1, xr0, xr1, yk0, yk1, divide, accumulate):
            if block:
                item = uint32(cuda.blockIdx.x)
                start = cuda.threadIdx.x
                step = BLOCK
            else:
                item = uint32(cuda.grid(1))
                start = 0
                step = 1
            if item < n:                            # of a block all or none
                k0 = uint32(item // k1)
                rest = uint32(item - k0 * k1)
                first = k0 * xk0 + rest * xk1
                s = zero
                error = zero
                for r in range(start, R, step):
                    r0 = uint32(uint32(r) // r1)
                    s, error = add(s, error, x[first + r0 * xr0 + uint32(uint32(r) - r0 * r1) * xr1])
                if block:
                    s = together(s)
                if not block or start == 0:
                    if is_float and divide:
                        s = number(s / number(R))
                    o = k0 * yk0 + rest * yk1
                    y[o] = y[o] + s if accumulate else s
        return reduce_sum
    return make


def _fold_by(block, join, load, start):
    """y = join of load(x) over the reduced axes; from `start`, or from the first element where that is None."""
    def make(source, target):
        together = over_block(np.uint8 if target is np.bool_ else target, join)
        number = np.uint8 if target is np.bool_ else target
        read = load(number)
        from_first = start is None
        begin = number(0 if from_first else start)

        def fold(x, y, n, R, k1, r1, xk0, xk1, xr0, xr1, yk0, yk1, divide, accumulate):
            if block:
                item = uint32(cuda.blockIdx.x)
                t = cuda.threadIdx.x
                step = BLOCK
            else:
                item = uint32(cuda.grid(1))
                t = 0
                step = 1
            if item < n:
                k0 = uint32(item // k1)
                rest = uint32(item - k0 * k1)
                first = k0 * xk0 + rest * xk1
                s = begin
                if from_first:
                    s = read(x[first])
                for r in range(t, R, step):
                    r0 = uint32(uint32(r) // r1)
                    s = number(join(s, read(x[first + r0 * xr0 + uint32(uint32(r) - r0 * r1) * xr1])))
                if block:
                    s = together(s)
                if not block or t == 0:
                    y[k0 * yk0 + rest * yk1] = s
        return fold
    return make


def _number_of(number):
    return m.device(lambda x: number(x))


def _truth_of(number):
    return m.device(lambda x: np.uint8(x != 0))


@m.device
def _times(a, b):
    return a * b


@m.device
def _either(a, b):
    return a | b


@m.device
def _both(a, b):
    return a & b


def _pair(name, make, dtypes, regs=48):
    """(thread for each result, block for each result)"""
    return [kernel("S T uu uu 4i 2i uu", block=BLOCK, regs=regs, dtypes=dtypes, name=f"{name}_by_{who}")(make(who == "block"))
            for who in ("thread", "block")]


_sum = _pair("sum", _sum_by, _SUMS)


def _extreme(largest):
    """y = the first extreme along one axis, index = its place; the first NaN counts as both. A thread for each result."""
    def make(real):
        def extreme(x, y, index, n, R, k1, xk0, xk1, xr, yk0, yk1, ik0, ik1, has_y):
            item = uint32(cuda.grid(1))
            if item < n:
                k0 = uint32(item // k1)
                rest = uint32(item - k0 * k1)
                first = k0 * xk0 + rest * xk1
                best = x[first]
                at = 0
                for r in range(1, R):
                    v = x[first + r * xr]
                    if best == best and ((v > best if largest else v < best) or v != v):
                        best = v
                        at = r
                index[k0 * ik0 + rest * ik1] = at
                if has_y:
                    y[k0 * yk0 + rest * yk1] = best
        return extreme
    return make


_largest = kernel("TTI u i u 7i u", block=BLOCK, regs=48, dtypes=_ANY, name="largest")(_extreme(True))
_smallest = kernel("TTI u i u 7i u", block=BLOCK, regs=48, dtypes=_ANY, name="smallest")(_extreme(False))


def _axes(x, y):
    return tuple(d for d in range(x.ndim) if y.shape[d] == 1 and x.shape[d] != 1)


def _reduce(name, recipes, x, y, divide=False, accumulate=False):
    """Sort the axes, and run."""
    reduced = _axes(x, y)
    kept = [d for d in range(x.ndim) if d not in reduced]
    shape, inner = [x.shape[d] for d in kept], [x.shape[d] for d in reduced]
    n, R = (int(np.prod(s, dtype=np.int64)) for s in (shape, inner))
    if n == 0:
        return
    if R == 0 and name in ("max", "min"):
        raise ValueError(f"{name}: expected at least one element to reduce, got shape {x.shape}")
    if n >= 2**31 or R >= 2**31:
        raise ValueError(f"{name}: expected fewer than 2**31 results, and elements in each, got {n} and {R}")
    of_x, of_y = spread(x, x.shape), spread(y, y.shape)
    sizes, (xk, yk) = merged(shape, [[of_x[d] for d in kept], [of_y[d] for d in kept]])
    inner, (xr,) = merged(inner, [[of_x[d] for d in reduced]])
    if len(sizes) > _AXES or len(inner) > _AXES:
        order = (*kept, *reduced)                       # too many axes of any strides: a copy of x, and of y, with two
        result = memory.empty((n, 1), y.dtype)
        ordered = y.transpose(order)
        if accumulate:
            copy(ordered, result.reshape(ordered.shape))
        _reduce(name, recipes, contiguous(x.transpose(order)).reshape((n, R)), result, divide, accumulate)
        copy(result.reshape(ordered.shape), ordered)
        return
    sizes, (xk, yk) = padded(sizes, (xk, yk), _AXES)
    inner, (xr,) = padded(inner, (xr,), _AXES)
    share = R >= _LONG                                  # a block for each result
    recipe = recipes[share][x.dtype, y.dtype]
    recipe(n if share else blocks_for(n, BLOCK), x, y, n, R, sizes[1], inner[1] or 1, *xk, *xr, *yk, divide, accumulate)


def sum(x, y, *, accumulate=False):
    """y = sum of x over y's axes of size 1; with accumulate, y += it."""
    _reduce("sum", _sum, x, y, accumulate=bool(accumulate))


def mean(x, y, *, accumulate=False):
    """y = sum of x over y's axes of size 1, divided by how many elements each sum has (none: NaN)."""
    _reduce("mean", _sum, x, y, divide=True, accumulate=bool(accumulate))


def _fold(name, join, load, start, dtypes):
    """(x, y): y = join of load(x) over y's axes of size 1."""
    recipes = _pair(name, lambda block: _fold_by(block, join, load, start), dtypes)

    def fold(x, y):
        _reduce(name, recipes, x, y)
    return fold


prod = _fold("prod", _times, _number_of, 1, _SUMS)
max = _fold("max", larger, _number_of, None, _SAME)
min = _fold("min", smaller, _number_of, None, _SAME)
any = _fold("any", _either, _truth_of, 0, _QUESTIONS)
all = _fold("all", _both, _truth_of, 1, _QUESTIONS)


def _along(recipe, name, x, y, index, axis):
    """Run an extreme along one axis; y may be None."""
    axis %= x.ndim or 1
    if x.ndim == 0:
        x, index, y = (a if a is None else a.reshape((1,)) for a in (x, index, y))
    if index.size == 0:
        return
    if x.shape[axis] == 0:
        raise ValueError(f"{name}: expected at least one element along axis {axis}, got shape {x.shape}")
    kept = [d for d in range(x.ndim) if d != axis]
    arrays = [x, y if y is not None else index, index]
    strides = [spread(a, a.shape) for a in arrays]
    sizes, (xk, yk, ik) = merged([x.shape[d] for d in kept], [[s[d] for d in kept] for s in strides])
    if len(sizes) > _AXES:
        results = [None if a is None else memory.empty(a.shape, a.dtype) for a in (y, index)]
        _along(recipe, name, contiguous(x), *results, axis)
        for a, result in zip((y, index), results, strict=True):
            if a is not None:
                copy(result, a)
        return
    sizes, (xk, yk, ik) = padded(sizes, (xk, yk, ik), _AXES)
    n = sizes[0] * sizes[1]
    recipe[x.dtype](blocks_for(n, BLOCK), x, y, index, n, x.shape[axis], sizes[1], *xk, strides[0][axis], *yk, *ik,
                    y is not None)


def argmax(x, index, *, axis):
    """index = place of the first maximum along `axis` (the first NaN where there is one); index has size 1 there."""
    _along(_largest, "argmax", x, None, index, axis)


def argmin(x, index, *, axis):
    """index = place of the first minimum along `axis` (the first NaN where there is one)."""
    _along(_smallest, "argmin", x, None, index, axis)


def max_with_index(x, y, index, *, axis):
    """y = maximum along `axis`, index = the first place that has it."""
    _along(_largest, "max_with_index", x, y, index, axis)


def min_with_index(x, y, index, *, axis):
    """y = minimum along `axis`, index = the first place that has it."""
    _along(_smallest, "min_with_index", x, y, index, axis)
