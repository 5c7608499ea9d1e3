"""Batches, in an order that a seed settles.

The order of epoch e depends on the loader's seed and on e alone, so three numbers (seed, epoch, batches handed out) say
where a loader stands: `state_dict()` holds them, and a loader that loads them goes on with the very batch that would
have come next.
"""
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from minilayer.random import Generator, permutation, random_seed
from minilayer.tensor import Tensor

PREFETCH = 2        # batches in preparation or waiting for each worker


class DataLoader:
    """Hand out a dataset batch by batch, once a `for` loop.

    >>> loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True, seed=0)
    >>> for x_batch, y_batch in loader:
    ...     ...

    dataset       anything with len() and [i]; `take(indices)`, where it has it, gathers a batch in one step
    batch_size    items in a batch; the last one may be smaller
    shuffle       a new random order each epoch, otherwise 0, 1, 2, ...
    drop_last     leave out a last batch that is not full
    collate_fn    makes a batch from a list of items; without it tensors, arrays and numbers are stacked, also inside
                  tuples, lists and dicts
    num_workers   threads that prepare batches ahead, at most two for each; the order stays, and what a
                  worker raises is raised where the batch was awaited. 0 prepares each batch when it is asked for.
    seed          settles the shuffled order; without it, it is drawn from `generator` (also called `rng`), or the
                  generator that `manual_seed` sets
    """

    def __init__(self, dataset, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False,
                 collate_fn: Callable | None = None, num_workers: int = 0, generator=None, rng=None,
                 seed: int | None = None):
        for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(f"DataLoader: expected {name} to be an integer, got {value!r}")
            if value < least:
                raise ValueError(f"DataLoader: expected {name} of {least} or more, got {value}")
        if shuffle and len(dataset) == 0:
            raise ValueError("DataLoader: expected a dataset with items to shuffle, got an empty one")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, int(batch_size), bool(shuffle), drop_last
        self.collate_fn, self.num_workers = collate_fn, int(num_workers)
        if seed is None:
            seed = random_seed(generator if rng is None else rng) if shuffle else 0
        self.seed = Generator(seed).initial_seed
        self.epoch = self.position = 0          # the epoch under way, and how many of its batches were handed out
        self._resumed = False

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last else full + (rest > 0)

    def __iter__(self) -> Iterator:
        if not self._resumed and self.position:         # the last loop was left early: a new loop is a new epoch
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        return self._batches(self.epoch, self.position)

    def _batches(self, epoch: int, start: int) -> Iterator:
        order = self._order(epoch)
        rows = [order[i * self.batch_size:(i + 1) * self.batch_size] for i in range(start, len(self))]
        ready = map(self._batch, rows) if self.num_workers == 0 else self._ahead(rows)
        for position, batch in enumerate(ready, start + 1):
            self.epoch, self.position = epoch, position
            yield batch
        self.epoch, self.position = epoch + 1, 0

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.dataset))
        state = Generator(self.seed).get_state()
        state[1] = epoch << 32              # each epoch draws from a stretch of its own in the seed's stream
        return permutation(len(self.dataset), Generator(self.seed).set_state(state))

    def _ahead(self, rows: list) -> Iterator:
        """The same batches, prepared by threads; never more than PREFETCH a worker are under way or waiting."""
        with ThreadPoolExecutor(self.num_workers, thread_name_prefix="DataLoader") as pool:
            under_way: deque = deque()
            try:
                for r in rows:
                    under_way.append(pool.submit(self._batch, r))
                    if len(under_way) == PREFETCH * self.num_workers:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:                                    # the loop was left, or a batch failed: start no more of them
                for future in under_way:
                    future.cancel()

    def _batch(self, rows: np.ndarray):
        if self.collate_fn is None and hasattr(self.dataset, "take"):
            return _to_tensors(self.dataset.take(rows))
        items = []
        for i in rows:
            try:
                items.append(self.dataset[int(i)])
            except Exception as error:
                error.add_note(f"DataLoader: raised by item {i} of the dataset")
                raise
        return (self.collate_fn or default_collate)(items)

    def state_dict(self) -> dict:
        """Where the loader stands; save it beside the model to go on in the middle of an epoch."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position,
                "batch_size": self.batch_size, "items": len(self.dataset)}

    def load_state_dict(self, state: dict) -> None:
        """Go on where a loader of the same dataset and batch size stood."""
        here = {"batch_size": self.batch_size, "items": len(self.dataset)}
        for name, value in here.items():
            if state[name] != value:
                raise ValueError(f"DataLoader.load_state_dict: expected {name} {value} as in this loader, "
                                 f"got {state[name]}; make the loader as it was when the state was saved")
        self.seed, self.epoch, self.position = int(state["seed"]), int(state["epoch"]), int(state["position"])
        self._resumed = True


def default_collate(items: list):
    """Stack items into a batch: tensors, arrays and numbers along a new first axis, also inside tuples, lists and
    dicts; strings are listed. Python floats become float64 and integers int64, as in PyTorch."""
    first = items[0]
    if isinstance(first, Tensor):
        return Tensor(_stack([t.detach().numpy() for t in items]))
    if isinstance(first, np.ndarray | np.generic | bool | int | float):
        return Tensor(_stack([np.asarray(x) for x in items]))
    if isinstance(first, str | bytes):
        return list(items)
    if isinstance(first, dict):
        return {key: default_collate([item[key] for item in items]) for key in first}
    if isinstance(first, tuple | list):
        if len({len(item) for item in items}) > 1:
            raise ValueError(f"DataLoader: expected items of the same length in a batch, "
                             f"got lengths {sorted({len(item) for item in items})}; pass a collate_fn")
        columns = [default_collate(list(column)) for column in zip(*items, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else type(first)(columns)     # _fields: a namedtuple
    raise TypeError(f"DataLoader: cannot stack items of type {type(first).__name__}; pass a collate_fn")


def _stack(arrays: list) -> np.ndarray:
    if len({a.shape for a in arrays}) > 1:
        raise ValueError("DataLoader: expected items of the same shape in a batch, got shapes "
                         f"{', '.join(map(str, sorted({a.shape for a in arrays})))}; pass a collate_fn that pads them")
    return np.stack(arrays)


def _to_tensors(batch):
    """Arrays of a batch as tensors over the same memory."""
    if isinstance(batch, np.ndarray):
        return Tensor(batch)
    if isinstance(batch, tuple | list):
        return type(batch)([_to_tensors(x) for x in batch])
    return batch
