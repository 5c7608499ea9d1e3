"""The digits that come with the package: 1,797 images of 8x8, small enough to learn in seconds.

Optical Recognition of Handwritten Digits (its test part), E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning
Repository, doi:10.24432/C50P49, licence CC BY 4.0. Changed here in nothing but the file format: digits-*.gz beside this
file are IDX files. A pixel counts the dark points in a 4x4 block of a scan: 0 to 16. Thirteen people wrote them.
"""
from pathlib import Path

import numpy as np

from minilayer.data.mnist import ImageDataset, read_idx

FOLDS = 5


class Digits(ImageDataset):
    """The part of the digits to learn from, or the part to test on.

    fold    test images are those whose index modulo 5 is `fold`, the rest is to learn from; None: all images
    train   which of the two parts

    >>> train, test = Digits(), Digits(train=False)         # 1437 and 360 images (1,8,8), in [0, 1]
    """
    classes = tuple("0123456789")

    def __init__(self, train: bool = True, fold: int | None = 0):
        images, labels = load_digits()
        if fold is not None:
            if isinstance(fold, bool) or fold not in range(FOLDS):
                raise ValueError(f"Digits: expected fold to be None or 0 to {FOLDS - 1}, got {fold!r}")
            chosen = (np.arange(len(labels)) % FOLDS == fold) != train
            images, labels = images[chosen], labels[chosen]
        super().__init__(images, labels, white=16)


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """All images, uint8 (1797,8,8) of 0 to 16, and their labels, uint8 (1797,)."""
    here = Path(__file__).parent
    return read_idx(here / "digits-images-idx3-ubyte.gz"), read_idx(here / "digits-labels-idx1-ubyte.gz")
