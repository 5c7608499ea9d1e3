"""Dense layers."""
from agreement.row import Row

ONE = {"in_features": "the input's", "in1_features": "the input's", "in2_features": "the input's", "input": "it is the tensor"}


def rows(rng, *features):
    lead = [(4,), (), (2, 3)][rng.integers(3)]
    return tuple(rng.standard_normal((*lead, n)) for n in features)


ROWS = [
    Row("Linear", options=dict(in_features=[5], out_features=[3, 1], bias=[True, False]), inputs=lambda rng, o: rows(rng, 5), samples=3, only=ONE),
    Row("functional.linear", inputs=lambda rng, o: (*rows(rng, 5), rng.standard_normal((3, 5)), rng.standard_normal(3)), samples=3,
        only={"activation": "minilayer's own"}),
    Row("Bilinear", options=dict(in1_features=[5], in2_features=[4], out_features=[3, 1], bias=[True, False]),
        inputs=lambda rng, o: rows(rng, 5, 4), samples=3, only=ONE),
    Row("functional.bilinear", inputs=lambda rng, o: (*rows(rng, 5, 4), rng.standard_normal((3, 5, 4)), rng.standard_normal(3)), samples=3),
    Row("Identity", inputs=lambda rng, o: rows(rng, 5)),
]
