"""What there is to learn from: datasets, and ways to cut them up.

A dataset is anything with `len(d)` and `d[i]`. One that can also gather a whole batch at once says so with
`take(indices)`; the DataLoader then skips the walk item by item, which takes longer than a small model's training step.
"""
from collections.abc import Sequence

import numpy as np

from minilayer.random import permutation
from minilayer.tensor import Tensor


class Dataset:
    """Base class: give yours `__len__` and `__getitem__`, and where it can, `take(indices) -> batch`."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: define __len__, the number of items")

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__}: define __getitem__, the item at an index")


class TensorDataset(Dataset):
    """Arrays or tensors side by side: item i is the tuple of every one's row i.

    >>> data = TensorDataset(images, labels)        # images (N,1,8,8), labels (N,)
    >>> image, label = data[0]
    """

    def __init__(self, *tensors):
        if not tensors:
            raise ValueError("TensorDataset: expected at least one array or tensor")
        for t in tensors:
            if not isinstance(t, Tensor | np.ndarray):
                raise TypeError(f"TensorDataset: expected arrays or tensors, got {type(t).__name__}")
            if t.ndim == 0:
                raise ValueError("TensorDataset: expected at least one axis, the items; got a 0-d array")
        if len({t.shape[0] for t in tensors}) > 1:
            raise ValueError("TensorDataset: expected the same number of rows everywhere, "
                             f"got shapes {', '.join(str(tuple(t.shape)) for t in tensors)}")
        self.tensors = tensors

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index) -> tuple:
        return tuple(t[index] for t in self.tensors)

    def take(self, indices) -> tuple:
        """The batch of these rows (int64 array): one array or tensor for each of ours, copied."""
        return tuple(t[indices] for t in self.tensors)


class Subset(Dataset):
    """Some items of another dataset: item i is dataset[indices[i]]."""

    def __init__(self, dataset, indices: Sequence[int] | np.ndarray):
        found = np.asarray(indices)
        if found.size == 0:
            found = found.reshape(-1).astype(np.int64)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise TypeError(f"Subset: expected a sequence of integers, got {found.dtype} of shape {found.shape}")
        if found.size and not (0 <= found.min() and found.max() < len(dataset)):
            raise IndexError(f"Subset: expected indices from 0 to {len(dataset) - 1}, "
                             f"got {found.min()} to {found.max()}")
        self.dataset, self.indices = dataset, found.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[int(self.indices[index])]

    @property
    def take(self):
        """Batches at once, where the dataset underneath can; else no such attribute."""
        gather = self.dataset.take
        return lambda rows: gather(self.indices[rows])


def random_split(dataset, lengths: Sequence[float], generator=None, *, rng=None) -> list[Subset]:
    """Cut a dataset into random parts that share no item.

    `lengths` are whole numbers that sum to len(dataset), or fractions that sum to 1 (each part gets the floor of its
    share; items left over go to the first parts, one each). `generator`, also called `rng`, settles the draw.
    """
    n, lengths = len(dataset), list(lengths)
    if not lengths or any(isinstance(part, bool) or not part >= 0 for part in lengths):
        raise ValueError(f"random_split: expected lengths of 0 or more, got {lengths}")
    if all(hasattr(part, "__index__") for part in lengths) and sum(lengths) != 1:
        counts = [int(part) for part in lengths]
        if sum(counts) != n:
            raise ValueError(f"random_split: expected lengths that sum to the dataset's {n} items, "
                             f"got {lengths} = {sum(counts)}")
    elif abs(sum(lengths) - 1) < 1e-6:
        counts = [int(n * part + 1e-9) for part in lengths]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        raise ValueError(f"random_split: expected whole numbers that sum to {n} or fractions that sum to 1, "
                         f"got {lengths}")
    order = permutation(n, generator if rng is None else rng)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]
