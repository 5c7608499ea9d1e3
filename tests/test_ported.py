"""The same source under both libraries: tests/ported/*.py with only the imports changed trains to the same losses.

From the same state_dict and data, 50 steps of Adam in float64. Without PyTorch its losses are those of
goldens/ported.json; `python tests/test_ported.py` (with PyTorch) writes them.
"""
import json
import types
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
GOLDENS = HERE / "goldens" / "ported.json"
MODELS = sorted(p.stem for p in (HERE / "ported").glob("*.py"))
IMPORTS = {"import minilayer as torch\n": "import torch\n",
           "import minilayer.functional as F\n": "import torch.nn.functional as F\n",
           "from minilayer import nn\n": "from torch import nn\n", "from minilayer.nn.": "from torch.nn."}
STEPS = 50


def module(name, library):
    """The model's source as a module, its imports changed for PyTorch."""
    source = (HERE / "ported" / f"{name}.py").read_text(encoding="utf-8")
    if library == "torch":
        for ours, theirs in IMPORTS.items():
            source = source.replace(ours, theirs)
        assert "minilayer" not in source
    made = types.ModuleType(f"{name}_{library}")
    exec(compile(source, f"{name}.py", "exec"), made.__dict__)
    return made


def train(name, library):
    """The losses of 50 steps. float64 becomes the default type by `.double()`; weights come from NumPy."""
    rng = np.random.default_rng(7)
    source = module(name, library)
    if library == "torch":
        import torch as lib
        tensor, optim = lib.from_numpy, lib.optim
    else:
        import minilayer as lib
        tensor, optim = lib.from_numpy, lib.optim
    model = source.Model().double()
    state = {}
    for key, t in model.state_dict().items():
        x = np.asarray(rng.standard_normal(tuple(t.shape)) * 0.3)
        state[key] = t if "int" in str(t.dtype) else tensor(np.abs(x) + 0.5 if key.endswith("running_var") else x)
    model.load_state_dict(state)
    batch = {k: tensor(np.ascontiguousarray(v)) for k, v in source.data(rng).items()}
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = source.loss(model, **batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", MODELS)
def test_trains_to_pytorch_s_losses(name):
    ours = train(name, "minilayer")
    assert ours[-1] < 0.9 * ours[0]             # (it did learn)
    np.testing.assert_allclose(ours, json.loads(GOLDENS.read_text())[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_goldens_are_what_this_pytorch_computes(name):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    np.testing.assert_allclose(train(name, "torch"), json.loads(GOLDENS.read_text())[name], rtol=0, atol=1e-9)


if __name__ == "__main__":
    GOLDENS.write_text(json.dumps({name: train(name, "torch") for name in MODELS}, indent=0) + "\n")
    print(f"{len(MODELS)} models in {GOLDENS}")
