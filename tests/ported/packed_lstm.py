"""Sentences of different lengths through a bidirectional LSTM, packed so that no step is spent on padding."""
import minilayer as torch
import minilayer.functional as F
from minilayer import nn
from minilayer.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(12, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 4)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(self.embed(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, (hidden, cell) = self.lstm(packed)
        padded, _ = pad_packed_sequence(output, batch_first=True)
        last = torch.cat([hidden[-2], hidden[-1]], dim=1)
        return self.head(last + padded.mean(dim=1))


def data(rng):
    lengths = rng.integers(2, 8, 5)
    tokens = rng.integers(1, 12, (5, 7))
    for row, length in zip(tokens, lengths, strict=True):
        row[length:] = 0
    return {"tokens": tokens, "lengths": lengths, "target": rng.integers(0, 4, 5)}


def loss(model, tokens, lengths, target):
    return F.cross_entropy(model(tokens, lengths), target)
