"""Rows of the dense layers. (The products themselves: matmul.py.)"""
import minilayer as ml
from cases.base import ErrorCase, LayerCase, normal

LAYERS = [
    LayerCase("Bilinear", lambda: ml.Bilinear(3, 4, 5), lambda rng, dtype: (normal(rng, (6, 3), dtype), normal(rng, (6, 4), dtype))),
    LayerCase("Bilinear without bias", lambda: ml.Bilinear(3, 4, 5, bias=False),
              lambda rng, dtype: (normal(rng, (2, 3, 3), dtype), normal(rng, (2, 3, 4), dtype))),
]
ERRORS = [
    ErrorCase("Bilinear: another width", lambda: ml.Bilinear(3, 4, 5)(ml.ones(2, 4), ml.ones(2, 4)), ValueError, "bilinear: expected inputs"),
    ErrorCase("Bilinear: no features", lambda: ml.Bilinear(0, 4, 5), ValueError, "Bilinear: expected in1_features >= 1"),
    ErrorCase("Bilinear: half a feature", lambda: ml.Bilinear(3, 4, 0.5), TypeError, "Bilinear: expected out_features to be an integer"),
]
