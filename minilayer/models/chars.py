"""A recurrent network that writes: letters in, for each place a guess at the next one out.

Karpathy, "The unreasonable effectiveness of recurrent neural networks", 2015; Graves, "Generating sequences with
recurrent neural networks", 2013. All it knows of the letters before is the state that its LSTM carries along.
"""
import numpy as np

from minilayer import random
from minilayer.layers import LSTM, Embedding, Layer, Linear
from minilayer.layers.settings import positive_int
from minilayer.models.gpt import check_tokens, choose, prompt
from minilayer.state import no_grad
from minilayer.tensor import Tensor


class CharLSTM(Layer):
    """Token numbers (B,T) to logits (B,T,vocabulary), each place's from itself and those before it alone.

    >>> model = CharLSTM(65, width=32)
    >>> model(zeros(2, 10).long()).shape
    (2, 10, 65)
    """

    def __init__(self, vocabulary, width=256, depth=1, embedded=64, dropout=0.0):
        super().__init__()
        positive_int("CharLSTM", "vocabulary", vocabulary)
        self.vocabulary = vocabulary
        self.embedding = Embedding(vocabulary, embedded)
        self.lstm = LSTM(embedded, width, depth, dropout=dropout)
        self.head = Linear(width, vocabulary)

    def forward(self, tokens):
        return self.read(tokens)[0]

    def read(self, tokens, state=None):
        """The logits, and the state after the last token, from which the next call goes on."""
        check_tokens("CharLSTM", tokens)
        x = self.embedding(tokens.transpose(0, 1))                  # (T,B,E): a step's letters side by side
        y, state = self.lstm(x, state)                              # (T,B,H)
        return self.head(y).transpose(0, 1), state                  # (B,T,V)

    @no_grad()
    def generate(self, tokens, count, temperature=1.0, top_k=None, rng=None):
        """`count` more token numbers after `tokens` (T,), an ndarray or a list of one or more; yields them one by one.

        Lower temperatures choose likelier tokens, 0 always the likeliest; top_k leaves only so many to choose from.
        """
        fresh = prompt(tokens, count, temperature, top_k)
        generator = random.generator_for(rng, "generate")
        training = self.training
        self.eval()
        try:
            state = None
            for _ in range(count):
                logits, state = self.read(Tensor(np.array([fresh])), state)
                fresh = [choose(logits.numpy()[0, -1], temperature, top_k, generator)]
                yield fresh[0]
        finally:
            self.train(training)
