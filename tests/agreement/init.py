"""Starting values that are not drawn. (Those that are: tests/test_layers.py and test_init.py ask for their bounds.)"""
from agreement.row import Row

bare = dict(grads=False, call=lambda f, x, o: f(*x, **o))
ROWS = [
    Row("init.constant_", dict(val=[0.5, -2.0]), lambda rng, o: (rng.standard_normal((2, 3)),), **bare),
    Row("init.ones_", {}, lambda rng, o: (rng.standard_normal((2, 3)),), **bare),
    Row("init.zeros_", {}, lambda rng, o: (rng.standard_normal((2, 3)),), **bare),
    Row("init.eye_", {}, lambda rng, o: (rng.standard_normal((4, 3)),), **bare),
    Row("init.dirac_", dict(groups=[1, 2, 3]), lambda rng, o: (rng.standard_normal((rng.choice([4, 6]), 3, 3, 2)),), samples=4, **bare),
    Row("init.calculate_gain", dict(param=[None, 0.3]), lambda rng, o: ("leaky_relu",), **bare),
]
