"""A small GPT: letters (or any tokens) in, for each place a guess at the next one out.

Radford et al., "Language models are unsupervised multitask learners", 2019 (GPT-2), in its smallest form: blocks of
causal self-attention and a dense network, each with a norm before it and a way around it. Positions are rotary, so the
model has no table of them to outgrow.
"""
import math
from operator import index

import numpy as np

from minilayer import functional as F
from minilayer import random
from minilayer.init import normal_
from minilayer.layers import (
    GELU,
    Dropout,
    Embedding,
    KeyValueCache,
    Layer,
    LayerNorm,
    Linear,
    ModuleList,
    RotaryPositions,
    Sequential,
)
from minilayer.layers.settings import positive_int
from minilayer.promotion import real
from minilayer.state import no_grad
from minilayer.tensor import Tensor


class CausalSelfAttention(Layer):
    """Every place asks itself and those before it. x (B,T,C) -> (B,T,C)"""

    def __init__(self, width, heads, context, dropout=0.0):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = Linear(width, 3 * width, bias=False)
        self.turn = RotaryPositions(width // heads, context)
        self.out = Linear(width, width, bias=False)

    def forward(self, x, cache=None):
        B, T, C = x.shape
        q, k, v = (part.reshape(B, T, self.heads, C // self.heads).transpose(1, 2)         # (B,H,T,D)
                   for part in self.qkv(x).chunk(3, -1))
        start = 0 if cache is None else len(cache)
        q, k = self.turn(q, start), self.turn(k, start)
        if cache is not None:
            k, v = cache.append(k, v)                                                       # (B,H,start+T,D)
        y = F.scaled_dot_product_attention(q, k, v, _late(start, T, x.device), self.dropout if self.training else 0.0,
                                           is_causal=start == 0)
        return self.out(y.transpose(1, 2).reshape(B, T, C))


def _late(start, T, device):
    """The mask for T places that come after `start` others: (T, start + T), True where place start + t may look."""
    if start == 0 or T == 1:
        return None
    return Tensor(np.tri(T, start + T, start, dtype=bool)).to(device)


class Block(Layer):
    """x + attention(norm(x)), then x + mlp(norm(x)). (B,T,C) -> (B,T,C)"""

    def __init__(self, width, heads, context, dropout=0.0):
        super().__init__()
        self.norm1 = LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads, context, dropout)
        self.norm2 = LayerNorm(width)
        self.mlp = Sequential(Linear(width, 4 * width), GELU(), Linear(4 * width, width))
        self.dropout = Dropout(dropout)

    def forward(self, x, cache=None):
        x = x + self.dropout(self.attention(self.norm1(x), cache))
        return x + self.dropout(self.mlp(self.norm2(x)))


class GPT(Layer):
    """Token numbers (B,T) to logits (B,T,vocabulary), each place's from itself and those before it alone.

    >>> model = GPT(65, width=32, depth=2, heads=4, context=16)
    >>> model(zeros(2, 10).long()).shape
    (2, 10, 65)
    """

    def __init__(self, vocabulary, width=128, depth=4, heads=4, context=128, dropout=0.0, tied=True):
        super().__init__()
        for what, value in (("vocabulary", vocabulary), ("width", width), ("depth", depth), ("heads", heads),
                            ("context", context)):
            positive_int("GPT", what, value)
        if width % (2 * heads):
            raise ValueError(f"GPT: expected a width that heads share in even parts (positions turn features in pairs), got "
                             f"{width} and {heads}")
        self.vocabulary, self.context = vocabulary, context
        self.embedding = Embedding(vocabulary, width)
        self.dropout = Dropout(dropout)
        self.blocks = ModuleList([Block(width, heads, context, dropout) for _ in range(depth)])
        self.norm = LayerNorm(width)
        self.head = Linear(width, vocabulary, bias=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:         # GPT-2's: what is added to the way around is smaller the more blocks add to it
                inward = name.endswith(("attention.out.weight", "mlp.2.weight"))
                normal_(p, 0.0, 0.02 / math.sqrt(2 * depth) if inward else 0.02)
        if tied:                    # a letter's vector is what stands for it on both sides
            self.head.weight = self.embedding.weight

    def forward(self, tokens, caches=None):
        check_tokens("GPT", tokens)
        start = 0 if caches is None else self._start(caches, tokens.shape[1])
        if start + tokens.shape[1] > self.context:
            raise ValueError(f"GPT: expected at most context={self.context} tokens, got {tokens.shape[1]}"
                             + (f" after {start} in the caches" if start else ""))
        x = self.dropout(self.embedding(tokens))                                            # (B,T,C)
        for i, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[i])
        return self.head(self.norm(x))                                                      # (B,T,V)

    def _start(self, caches, T):
        """How many places the caches hold, after a check that all of them can take T more: then none is written to
        where another one would refuse."""
        if not isinstance(caches, (list, tuple)) or not all(isinstance(c, KeyValueCache) for c in caches):
            raise TypeError(f"GPT: expected caches to be a list of KeyValueCaches, got {caches!r:.200}")
        if not len(self.blocks) == len(caches) == len({id(c) for c in caches}):
            raise ValueError(f"GPT: expected a cache of its own for each of {len(self.blocks)} blocks, got {len(caches)}, of "
                             f"which {len({id(c) for c in caches})} are different objects")
        if len({len(c) for c in caches}) > 1:
            raise ValueError(f"GPT: expected caches of one length, got {[len(c) for c in caches]}; clear() them to begin anew")
        if len(caches[0]) + T > min(c.capacity for c in caches):
            raise ValueError(f"GPT: expected caches with room for {T} places after {len(caches[0])}, got capacities "
                             f"{[c.capacity for c in caches]}")
        return len(caches[0])

    @no_grad()
    def generate(self, tokens, count, temperature=1.0, top_k=None, rng=None):
        """`count` more token numbers after `tokens` (T,), an ndarray or a list of one or more; yields them one by one.

        Keys and values of the places so far are kept, so that a token costs one place's work; when `context` is full,
        the last half of it is read anew. Lower temperatures choose likelier tokens, 0 always the likeliest; top_k leaves
        only so many to choose from.
        """
        tokens = prompt(tokens, count, temperature, top_k)
        generator = random.generator_for(rng, "generate")
        training = self.training
        self.eval()
        try:
            caches = [KeyValueCache(self.context) for _ in self.blocks]
            fresh = tokens[-self.context:]
            for _ in range(count):
                if len(caches[0]) + len(fresh) > self.context:
                    caches = [KeyValueCache(self.context) for _ in self.blocks]
                    fresh = tokens[-(self.context // 2 or 1):]
                logits = self(Tensor(np.array([fresh])), caches).numpy()[0, -1]
                tokens.append(choose(logits, temperature, top_k, generator))
                fresh = tokens[-1:]
                yield tokens[-1]
        finally:
            self.train(training)


def check_tokens(who, tokens):
    if not isinstance(tokens, Tensor) or tokens.ndim != 2:
        raise ValueError(f"{who}: expected token numbers, a tensor of shape (batch, places), got "
                         f"{f'shape {tokens.shape}' if isinstance(tokens, Tensor) else type(tokens).__name__}; "
                         "one sequence is tokens.unsqueeze(0)")


def prompt(tokens, count, temperature, top_k):
    """The tokens to go on from, a list, after the checks of what a `generate` is asked for."""
    positive_int("generate", "count", count, zero=True)
    if not real("generate", "temperature", temperature) >= 0:
        raise ValueError(f"generate: expected a temperature of 0 or more, got {temperature}")
    if top_k is not None:
        positive_int("generate", "top_k", top_k)
    try:
        numbers = [index(t) for t in tokens]
    except (TypeError, ValueError):
        raise TypeError(f"generate: expected tokens to be integers, one sequence of them, got {tokens!r:.200}") from None
    if not numbers:
        raise ValueError("generate: expected at least one token to go on from, got none")
    return numbers


def choose(logits, temperature, top_k, rng):
    """The number of a token drawn by its probability, softmax(logits / temperature) among the top_k likeliest."""
    if not np.isfinite(logits).all():
        raise ValueError("generate: the model gives numbers that are not finite; its weights are damaged, or it was trained "
                         "with too large a learning rate")
    if temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):            # (far below the largest is as good as never)
        x = (logits.astype(np.float64) - logits.max()) / temperature
    if top_k is not None and top_k < len(x):
        x[x < np.partition(x, -top_k)[-top_k]] = -np.inf
    p = np.exp(x - x.max())
    total = np.cumsum(p)
    drawn = np.searchsorted(total, random.uniform((), dtype=np.float64, rng=rng) * total[-1], side="right")
    return min(int(drawn), len(x) - 1)
