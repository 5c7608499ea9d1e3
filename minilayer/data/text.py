"""Text to learn to write: letters as numbers, windows of them, and a counted model to be better than.

    text = Text.read("shakespeare.txt")             # or Text.read(): the language reference that comes with Python
    for x, target in WindowLoader(text.train, length=64, batch_size=16, batches=100):
        ...                                         # target[i, t] is the letter behind x[i, t]
"""
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minilayer.data.dataset import Dataset
from minilayer.random import Generator, integers, random_seed
from minilayer.tensor import Tensor

LEAST = 1000            # letters that a text needs to be cut in two


class Text:
    """A text as numbers of its letters, and its first nine tenths apart from the rest.

    vocabulary   the letters, a string; a letter's number is its place there
    train, valid int64 arrays of numbers: the first nine tenths to learn from, the rest to be tested on
    """

    def __init__(self, text: str, vocabulary: str | None = None):
        if len(text) < LEAST:
            raise ValueError(f"Text: expected {LEAST:,} letters or more to learn from, got {len(text):,}")
        self.vocabulary = "".join(sorted(set(text))) if vocabulary is None else vocabulary
        numbers = self.encode(text)
        cut = len(numbers) * 9 // 10
        self.train, self.valid = numbers[:cut], numbers[cut:]

    @classmethod
    def read(cls, path=None, vocabulary: str | None = None) -> "Text":
        """The text in a file (UTF-8); without one, the reference of the Python language that comes with Python."""
        return cls(_file(path) if path is not None else _python_reference(), vocabulary)

    def encode(self, text: str) -> np.ndarray:
        """The numbers of some letters, int64. Raises ValueError for one that is not in the vocabulary."""
        return encode(text, self.vocabulary)

    def decode(self, numbers) -> str:
        """The letters of some numbers."""
        return "".join([self.vocabulary[n] for n in numbers])


def encode(text: str, vocabulary: str) -> np.ndarray:
    """Letters as their places in the vocabulary, int64."""
    if not isinstance(vocabulary, str) or len(set(vocabulary)) < len(vocabulary):
        raise ValueError(f"encode: expected a vocabulary, a string of different letters, got {vocabulary!r:.200}")
    place = {letter: i for i, letter in enumerate(vocabulary)}
    unknown = sorted(set(text) - set(place))
    if unknown:
        raise ValueError(f"encode: expected letters of the vocabulary, got {', '.join(map(repr, unknown[:10]))}, which the "
                         "text that was learned from does not have")
    return np.array([place[letter] for letter in text], np.int64)


def _file(path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"Text: expected {path} to be text in UTF-8 ({error.reason} at byte {error.start}); "
                         "save it as UTF-8") from None


def _python_reference() -> str:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise FileNotFoundError("Text: this Python comes without its reference (pydoc_data); name a text file "
                                "(--text FILE)") from None
    return "\n".join(topics[name] for name in sorted(topics))


class TextWindows(Dataset):
    """Windows of `length` numbers side by side, each with the window one place further on: what comes next."""

    def __init__(self, numbers, length: int):
        if not 1 <= length < len(numbers):
            raise ValueError(f"TextWindows: expected windows of 1 to {len(numbers) - 1} letters, got {length}")
        self.numbers, self.length = numbers, int(length)

    def __len__(self) -> int:
        return (len(self.numbers) - 1) // self.length

    def __getitem__(self, index):
        if not -len(self) <= index < len(self):
            raise IndexError(f"TextWindows: index {index} is out of range for {len(self)} windows")
        x, target = self.take(np.array([index % len(self)]))
        return x[0], target[0]

    def take(self, indices):
        """x and target (n, length) of some windows."""
        return windows(self.numbers, np.asarray(indices) * self.length, self.length)


def windows(numbers, starts, length):
    """numbers[s : s + length] for each start, and the same one place further on."""
    places = np.asarray(starts)[:, None] + np.arange(length)
    return numbers[places], numbers[places + 1]


class WindowLoader:
    """Batches of windows from anywhere in a text; an epoch is so many batches. What a batch holds follows from seed,
    epoch and its place in the epoch, so that a run can be stopped and go on, as with a DataLoader."""

    def __init__(self, numbers, length: int, batch_size: int, batches: int, *, seed: int | None = None):
        self.dataset = TextWindows(numbers, length)
        for name, value in (("batch_size", batch_size), ("batches", batches)):
            if value < 1:
                raise ValueError(f"WindowLoader: expected {name} of 1 or more, got {value}")
        self.batch_size, self.batches = int(batch_size), int(batches)
        self.seed = Generator(random_seed() if seed is None else seed).initial_seed
        self.epoch = self.position = 0          # the epoch under way, and how many of its batches were handed out
        self._resumed = False

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator:
        if not self._resumed and self.position:
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        epoch = self.epoch
        for place in range(self.position, self.batches):
            x, target = self._batch(epoch, place)
            self.epoch, self.position = epoch, place + 1
            yield Tensor(x), Tensor(target)
        self.epoch, self.position = epoch + 1, 0

    def _batch(self, epoch: int, place: int):
        rng = Generator(self.seed)
        state = rng.get_state()
        state[1] = (epoch * self.batches + place) * self.batch_size     # each batch has blocks of the stream to itself
        length = self.dataset.length
        starts = integers((self.batch_size,), 0, len(self.dataset.numbers) - length, rng.set_state(state))
        return windows(self.dataset.numbers, starts, length)

    def state_dict(self) -> dict:
        """Where the loader stands; save it beside the model to go on in the middle of an epoch."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position, "batch_size": self.batch_size,
                "batches": self.batches, "letters": len(self.dataset.numbers)}

    def load_state_dict(self, state: dict) -> None:
        """Go on where a loader of the same text and sizes stood."""
        here = {"batch_size": self.batch_size, "batches": self.batches, "letters": len(self.dataset.numbers)}
        for name, value in here.items():
            if state[name] != value:
                raise ValueError(f"WindowLoader.load_state_dict: expected {name} {value} as in this loader, got "
                                 f"{state[name]}; the text or the run's sizes are others")
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]
        self._resumed = True


def trigram_loss(train, valid, size: int, extra: float = 0.1) -> float:
    """How surprised a counted model is, in nats a letter: p(c | a b) = (count(abc) + extra) / (count(ab) + extra size).

    What a network learns beyond the three letters at hand shows in how far it gets below this number.
    """
    def pairs_of(x):
        return x[:-2] * size + x[1:-1]

    def counts(learned, asked):
        """How often each number asked for stands in `learned`. Only what was seen is kept: most of size^3 never is."""
        seen, times = np.unique(learned, return_counts=True)
        at = np.minimum(np.searchsorted(seen, asked), len(seen) - 1)
        return np.where(seen[at] == asked, times[at], 0)
    train, valid = (np.asarray(x, np.int64) for x in (train, valid))
    if min(len(train), len(valid)) < 3:
        raise ValueError(f"trigram_loss: expected texts of 3 letters or more, got {len(train)} to count and {len(valid)} to "
                         "test on")
    learned, asked = pairs_of(train), pairs_of(valid)
    triple = counts(learned * size + train[2:], asked * size + valid[2:])
    pair = counts(learned, asked)                               # followed by any letter
    return float(-np.log((triple + extra) / (pair + extra * size)).mean())
