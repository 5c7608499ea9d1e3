"""Random numbers from a counter: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

A position is an int64 array [seed, offset]. Block n of a call is four 32-bit words w0..w3, a hash of the counter
offset + n under the key `seed`; no state is carried from block to block, so any part of a stream can be had in any
order, on any device, to the same bits. (Other generators are faster one number at a time, and cannot be split.)
"""
import numpy as np

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


def _blocks(position, n):
    """Words of `n` blocks from `position`, (n, 4), each a 32-bit number held in a uint64."""
    seed, offset = (int(v) & (2**64 - 1) for v in position)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    counter = np.arange(n, dtype=np.uint64) + np.uint64(offset)         # 64 bits, wrapping
    c0, c1, c2, c3 = counter & _LOW, counter >> _32, np.zeros_like(counter), np.zeros_like(counter)
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _32) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1)


def _words(position, n):
    """The first n words of the stream: element i is word i % 4 of block i // 4."""
    return _blocks(position, -(-n // 4)).reshape(-1)[:n]


def _pairs(position, n):
    """n pairs of words, two to a block: element i is words (2 (i % 2), 2 (i % 2) + 1) of block i // 2."""
    return _blocks(position, -(-n // 2)).reshape(-1, 2)[:n]


def random_bits(position, y):
    """y[i] = word i % 4 of block i // 4, in [0, 2**32), as int64."""
    y.reshape(-1)[...] = _words(position, y.size)


def uniform(position, y):
    """y uniform in [0, 1), every value a multiple of 2**-24 (float32) or 2**-53 (float64).

    float32: y[i] = (word i % 4 of block i // 4 >> 8) 2**-24
    float64: y[i] = ((a >> 5) 2**26 + (b >> 6)) 2**-53 with (a, b) the pair i % 2 of block i // 2
    """
    if y.dtype == np.float32:
        y.reshape(-1)[...] = (_words(position, y.size) >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    else:
        y.reshape(-1)[...] = _double(_pairs(position, y.size))


def _double(pairs):
    """Pairs of words to float64 in [0, 1): 27 bits of the first above 26 of the second."""
    return ((pairs[:, 0] >> np.uint64(5)) * np.uint64(2**26) + (pairs[:, 1] >> np.uint64(6))).astype(float) * 2.0**-53


def normal(position, y):
    """y ~ N(0, 1) by Box and Muller: two uniforms u in (0, 1], v in [0, 1) give two normals,

        sqrt(-2 ln u) cos(2 pi v)   and   sqrt(-2 ln u) sin(2 pi v).

    float32 takes u = ((w0 >> 8) + 1) 2**-24, v = (w1 >> 8) 2**-24 from each pair of words (four normals a block) and
    computes in float64; float64 takes u = 1 - (53 bits of w0, w1), v = (53 bits of w2, w3), two normals a block.
    """
    n = y.size
    if y.dtype == np.float32:
        pairs = (_pairs(position, -(-n // 2)) >> np.uint64(8)).astype(float) * 2.0**-24
        u, v = pairs[:, 0] + 2.0**-24, pairs[:, 1]
    else:
        pairs = _double(_pairs(position, n + n % 2)).reshape(-1, 2)
        u, v = 1.0 - pairs[:, 0], pairs[:, 1]
    r, angle = np.sqrt(-2.0 * np.log(u)), 2.0 * np.pi * v
    y.reshape(-1)[...] = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1).reshape(-1)[:n]


def integers(position, y, *, low, high):
    """y uniform over low, low + 1, ..., high - 1 (int64): low + floor(bits * (high - low) / 2**64).

    bits = w0 + w1 2**32 is the pair i % 2 of block i // 2. (A value's chance is off by at most 2**-64; drawing again
    until it is exact would make the place in the stream depend on the values.)
    """
    pairs, n = _pairs(position, y.size), high - low
    n0, n1 = np.uint64(n & 0xFFFFFFFF), np.uint64(n >> 32)
    # the upper half of the 128-bit product, from four 64-bit products of halves
    a, b = pairs[:, 0], pairs[:, 1]
    middle = b * n0 + (a * n0 >> _32)
    upper = b * n1 + (middle >> _32) + ((middle & _LOW) + a * n1 >> _32)
    with np.errstate(over="ignore"):
        y.reshape(-1)[...] = (upper + np.uint64(low & (2**64 - 1))).astype(np.int64)
