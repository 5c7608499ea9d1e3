"""Sums of products told by letters: einsum, and tensordot, its commonest case. All products are the matmul kernels'.

    einsum("bik,bkj->bij", a, b)

Operands are taken in from the left, two at a time. The letters of two of them are of four kinds: kept by both (a
batch), kept but in one alone (a matrix's free axes), in both and wanted no more (multiplied and summed), and in one and
wanted no more (summed first). So every step is a transposition, a reshaping and one batched matrix product.
"""
from math import prod as _size

from minilayer.device import broadcast_shapes, normalize_axis
from minilayer.tape import expect_tensor

_DOTS = "."                 # the axes of "..." are called ".0", ".1", ... from the last: so that they line up


def einsum(equation, *operands):
    """The sum of products that an equation of letters names: "ij,jk->ik" is a matrix product.

    Each operand has a letter an axis, "..." for any number of axes that broadcast. A letter twice in one operand takes
    its diagonal. Letters right of "->" are the result's axes, the others are summed; without "->", those that occur
    once are kept, in alphabetical order, behind the axes of "...". Also einsum(a, [0, 1], b, [1, 2], [0, 2]).
    """
    if not isinstance(equation, str):
        equation, operands = _letters((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if not operands or len(terms) != len(operands):
        raise ValueError(f"einsum: expected an operand for each term of {equation!r}, {len(terms)}, got {len(operands)}")
    for x in operands:
        expect_tensor("einsum", x)
    named = [_axes_of(equation, term, x.array.ndim) for term, x in zip(terms, operands, strict=True)]
    dots = sorted({n for names in named for n in names if n[0] == _DOTS}, key=_rank)
    if arrow:
        wanted = _axes_of(equation, right, None, dots)
        for n in wanted:
            if wanted.count(n) > 1 or not any([n in names for names in named]):
                raise ValueError(f"einsum: expected the result's letters once each, and all of them among the operands', "
                                 f"got {n!r} in {equation!r}")
    else:
        every = [n for names in named for n in names if n[0] != _DOTS]
        wanted = dots + sorted([n for n in set(every) if every.count(n) == 1])
    sizes: dict = {}
    for names, x in zip(named, operands, strict=True):
        for n, size in zip(names, x.array.shape, strict=True):
            if sizes.setdefault(n, size) != size:
                if size != 1 and sizes[n] != 1:
                    raise ValueError(f"einsum: expected one size for {n!r} in {equation!r}, got {sizes[n]} and {size}")
                sizes[n] = max(size, sizes[n]) if size and sizes[n] else 0
    parts = [_plain(x, names) for x, names in zip(operands, named, strict=True)]
    value, names = parts[0]
    gone = [n for n in names if n not in wanted]
    if len(parts) == 1 and gone:                # integers are summed in int64, as by sum
        value, names = value.sum([names.index(n) for n in gone]), [n for n in names if n in wanted]
    for i, (other, others) in enumerate(parts[1:], 2):
        later = set(wanted).union(*[n for _, n in parts[i:]])
        value, names = _pair(value, names, other, others, later)
    value, names = _summed(value, names, [n for n in names if n not in wanted])
    value = value.permute([names.index(n) for n in wanted if n in names])
    return value.expand([sizes[n] for n in wanted]) if value.array.shape != tuple([sizes[n] for n in wanted]) else value


def _rank(name):
    return -int(name[1:])


def _letters(arguments):
    """einsum(a, [0, 1], b, [1, 2], [0, 2]) as an equation and operands."""
    arguments, out = list(arguments), None
    if len(arguments) % 2:
        out = arguments.pop()

    def term(numbers):
        return "".join(["..." if n is Ellipsis else chr(ord("A") + n if n < 26 else ord("a") + n - 26) for n in numbers])
    equation = ",".join([term(numbers) for numbers in arguments[1::2]])
    return equation + ("" if out is None else "->" + term(out)), tuple(arguments[::2])


def _axes_of(equation, term, ndim, dots=()):
    """The names of a term's axes: its letters, and for "..." as many as the operand has beyond them."""
    head, ellipsis, tail = term.partition("...")
    letters = head + tail
    if not (letters.isalpha() and letters.isascii() or not letters):
        raise ValueError(f"einsum: expected letters, commas, '...' and '->', got {equation!r}")
    if ndim is None:
        middle = list(dots) if ellipsis else []
    else:
        extra = ndim - len(letters)
        if extra < 0 or (extra and not ellipsis):
            raise ValueError(f"einsum: expected a letter for each axis, or '...', but {term!r} in {equation!r} is for an "
                             f"operand with {ndim} dimensions")
        middle = [f"{_DOTS}{i}" for i in range(extra - 1, -1, -1)]
    return [*head, *middle, *tail]


def _plain(x, names):
    """An operand with every name once: the diagonal of those that come twice."""
    names = list(names)
    for n in [n for i, n in enumerate(names) if n in names[:i]]:
        a = names.index(n)
        b = names.index(n, a + 1)
        if x.array.shape[a] != x.array.shape[b]:
            raise ValueError(f"einsum: expected one size for {n!r}, which occurs twice in an operand, got shape {x.array.shape}")
        x = x.diagonal(0, a, b)                 # its axis is the last
        names = [m for d, m in enumerate(names) if d not in (a, b)] + [n]
    return x, names


def _summed(x, names, gone):
    if not gone:
        return x, names
    dtype = x.array.dtype
    y = x.sum([names.index(n) for n in gone])
    return (y if y.array.dtype == dtype else y.to(dtype)), [n for n in names if n not in gone]


def _sizes(x, axes, of):
    """The sizes of some of a tensor's axes, by name."""
    return [x.array.shape[axes.index(n)] for n in of]


def _pair(a, p, b, q, later):
    """The product of two operands with axes p and q, summed over what is not wanted later: (tensor, its axes)."""
    a, p = _summed(a, p, [n for n in p if n not in later and n not in q])
    b, q = _summed(b, q, [n for n in q if n not in later and n not in p])
    for n in [n for n in p if n in q]:          # an axis of size 1 that broadcasts is no axis of the product
        if a.array.shape[p.index(n)] != b.array.shape[q.index(n)]:
            if a.array.shape[p.index(n)] == 1:
                a, p = a.squeeze(p.index(n)), [m for m in p if m != n]
                if n not in later:
                    b, q = _summed(b, q, [n])
            else:
                b, q = b.squeeze(q.index(n)), [m for m in q if m != n]
                if n not in later:
                    a, p = _summed(a, p, [n])
    batch = [n for n in p if n in q and n in later]
    inner = [n for n in p if n in q and n not in later]
    rows, columns = [n for n in p if n not in q], [n for n in q if n not in p]
    names = batch + rows + columns

    if not inner:                               # nothing to sum: element by element
        x = a.permute([p.index(n) for n in batch + rows])
        y = b.permute([q.index(n) for n in batch + columns])
        x = x.reshape(_sizes(a, p, batch + rows) + [1] * len(columns))
        y = y.reshape(_sizes(b, q, batch) + [1] * len(rows) + _sizes(b, q, columns))
        return x * y, names
    groups = _sizes(a, p, batch)
    x = a.permute([p.index(n) for n in batch + rows + inner])
    y = b.permute([q.index(n) for n in batch + inner + columns])
    k = _size(_sizes(a, p, inner))
    x = x.reshape([*groups, _size(_sizes(a, p, rows)), k])
    y = y.reshape([*groups, k, _size(_sizes(b, q, columns))])
    return (x @ y).reshape(groups + _sizes(a, p, rows) + _sizes(b, q, columns)), names


def tensordot(a, b, dims=2):
    """The sum of products over some axes: the last `dims` of a with the first of b, or the pairs in dims = (axes of a,
    axes of b)."""
    expect_tensor("tensordot", a)
    expect_tensor("tensordot", b)
    if hasattr(dims, "array"):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.array.ndim, b.array.ndim):
            raise ValueError(f"tensordot: expected dims of 0 to {min(a.array.ndim, b.array.ndim)}, got {dims}")
        left, right = list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims))
    else:
        left, right = [list(d) if isinstance(d, (tuple, list)) else [d] for d in dims]
        left = [normalize_axis("tensordot", d, a.array.ndim) for d in left]
        right = [normalize_axis("tensordot", d, b.array.ndim) for d in right]
    if len(left) != len(right):
        raise ValueError(f"tensordot: expected as many axes of a as of b, got {left} and {right}")
    for d, e in zip(left, right, strict=True):
        broadcast_shapes("tensordot", (a.array.shape[d],), (b.array.shape[e],))
    names = list(range(a.array.ndim))
    others = list(range(a.array.ndim, a.array.ndim + b.array.ndim))
    for d, e in zip(left, right, strict=True):
        others[e] = names[d]
    keep = [n for n in names if n not in others] + [n for n in others if n not in names]
    return einsum(a, names, b, others, keep)
