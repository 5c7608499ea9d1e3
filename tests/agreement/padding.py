"""Padding."""
import numpy as np

from agreement.row import Row

SIZES = {1: (6,), 2: (5, 6), 3: (4, 5, 6)}
SIDES = {1: (2, 1), 2: (2, 1, 0, 3), 3: (2, 1, 0, 3, 1, 2)}


def values(n):
    """Batched and unbatched inputs in turn."""
    return lambda rng, o: (rng.standard_normal(((2,) if rng.random() < 0.5 else ()) + (3, *SIZES[n])),)


ROWS = []
for n in (1, 2, 3):
    amounts = [2, SIDES[n], (-1, 2) * n, (0,) * (2 * n)]
    ROWS.append(Row(f"ConstantPad{n}d", options=dict(padding=amounts, value=[0.0, 1.5]), inputs=values(n), modes=("train",), samples=2))
    ROWS += [Row(f"{kind}Pad{n}d", options=dict(padding=amounts), inputs=values(n), modes=("train",), samples=2)
             for kind in ("Zero", "Reflection", "Replication", "Circular")]
    ROWS.append(Row("functional.pad", options=dict(pad=[SIDES[n], (-1, 2) * n, (1, 0) * n], mode=["constant", "reflect", "replicate", "circular"], value=[None]),
                    inputs=values(n), samples=2, only={"value": "the last row"}))
ROWS += [
    Row("functional.pad", options=dict(pad=[(9, 0), (0, 7), (1, 1, 1)], mode=["reflect", "circular", "constant"], value=[None]), inputs=values(1),
        only={"value": "the last row"}, refused={"pad": "three numbers are no pairs", "mode": "more than there is to mirror or to repeat"}),
    Row("functional.pad", options=dict(pad=[(1, 2), (0, 0, 1, -1), (1,) * 8], mode=["constant"], value=[None, 0, 2.5, -np.inf]),
        inputs=lambda rng, o: (rng.standard_normal((2, 3, 2, 4)),), samples=2, only={"mode": "the rows before"}),
]
