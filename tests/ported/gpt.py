"""A small GPT: causal self-attention by hand and by scaled_dot_product_attention, GELU, layer normalisation first."""
import math

import minilayer as torch
import minilayer.functional as F
from minilayer import nn


class CausalSelfAttention(nn.Module):
    def __init__(self, width, heads, by_hand):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.heads = heads
        self.by_hand = by_hand

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.qkv(x).split(C, dim=2)
        q = q.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        k = k.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        v = v.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        if self.by_hand:
            scores = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
            mask = torch.tril(torch.ones(T, T)).view(1, 1, T, T)
            scores = scores.masked_fill(mask == 0, float("-inf"))
            y = F.softmax(scores, dim=-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).contiguous().view(B, T, C))


class Block(nn.Module):
    def __init__(self, width, heads, by_hand):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads, by_hand)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.0))

    def forward(self, x):
        x = x + self.attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(11, 16)
        self.positions = nn.Embedding(9, 16)
        self.blocks = nn.Sequential(Block(16, 4, True), Block(16, 2, False))
        self.ln = nn.LayerNorm(16)
        self.head = nn.Linear(16, 11, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.size(1)))
        return self.head(self.ln(self.blocks(x)))


def data(rng):
    tokens = rng.integers(0, 11, (4, 9))
    return {"tokens": tokens[:, :-1].copy(), "target": tokens[:, 1:].copy()}


def loss(model, tokens, target):
    logits = model(tokens)
    return F.cross_entropy(logits.view(-1, logits.size(-1)), target.view(-1))
