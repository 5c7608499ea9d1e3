"""Normalisation."""
import numpy as np

from agreement.row import Row, normal


def batch_norm(n, *shapes):
    """A row of BatchNorm{n}d: inputs of these shapes in turn."""
    return Row(f"BatchNorm{n}d", options=dict(
        num_features=[4], eps=[1e-5, 0.1], momentum=[0.1, 0.7, None], affine=[True, False], track_running_stats=[True, False],
        bias=[True, False]), inputs=lambda rng, o: (rng.standard_normal(shapes[o["affine"] % len(shapes)]) * 2 + 1,), samples=2,
        only={"num_features": "the number of the input's channels"})


def instance_norm(n, *shapes):
    return Row(f"InstanceNorm{n}d", options=dict(
        num_features=[4], eps=[1e-5, 0.1], momentum=[0.1, 0.7, None], affine=[True, False], track_running_stats=[True, False],
        bias=[True, False]), inputs=lambda rng, o: (rng.standard_normal(shapes[(o["eps"] > 0.01) % len(shapes)]) * 2 + 1,),
        samples=2, only={"num_features": "the number of the input's channels"})


def statistics(*names, channels=4):
    """Arrays for weight, bias and running statistics, as options."""
    values = dict(weight=[np.linspace(0.5, 2, channels)], bias=[np.linspace(-1, 1, channels)],
                  running_mean=[np.linspace(-2, 1, channels), np.linspace(0, 2, channels)],
                  running_var=[np.linspace(0.3, 3, channels), np.linspace(2, 1, channels)])
    return {n: [None, *values[n]] for n in names}


def with_statistics(f, args, o):
    return f(*args, **o), o["running_mean"], o["running_var"]


ROWS = [
    batch_norm(1, (5, 4), (3, 4, 6)),
    batch_norm(2, (3, 4, 5, 2)),
    batch_norm(3, (2, 4, 3, 2, 2)),
    instance_norm(1, (3, 4, 7), (4, 7)),
    instance_norm(2, (3, 4, 5, 2), (4, 5, 2)),
    instance_norm(3, (2, 4, 3, 2, 2), (4, 3, 2, 2)),
    Row("LayerNorm", options=dict(normalized_shape=[(3, 4), 4, [4]], eps=[1e-5, 0.1], elementwise_affine=[True, False],
                                  bias=[True, False]), inputs=lambda rng, o: (rng.standard_normal((2, 5, 3, 4)) + 3,)),
    Row("GroupNorm", options=dict(num_groups=[1, 2, 3, 6], num_channels=[6], eps=[1e-5, 0.1], affine=[True, False],
                                  bias=[True, False]),
        inputs=lambda rng, o: (rng.standard_normal([(4, 6), (3, 6, 5), (2, 6, 4, 5)][o["num_groups"] % 3]) + 3,),
        only={"num_channels": "the number of the input's channels"}),
    Row("RMSNorm", options=dict(normalized_shape=[(3, 4), 4, [4]], eps=[None, 1e-5, 0.1], elementwise_affine=[True, False]),
        inputs=lambda rng, o: (rng.standard_normal((2, 5, 3, 4)) + 1,)),
    Row("LocalResponseNorm", options=dict(size=[1, 2, 3, 5, 9], alpha=[1e-4, 0.8], beta=[0.75, 0.5], k=[1.0, 2.0]),
        inputs=lambda rng, o: (rng.standard_normal([(2, 6, 5), (2, 6, 4, 3), (1, 6, 2, 3, 2)][o["size"] % 3]),)),
    Row("functional.batch_norm", options=dict(
        **statistics("running_mean", "running_var", "weight", "bias"), training=[True, False], momentum=[0.1, 0.6], eps=[1e-5, 0.1]),
        inputs=lambda rng, o: (rng.standard_normal((3, 4, 5)),),
        valid=lambda o: (o["running_mean"] is None) == (o["running_var"] is None), call=with_statistics),
    Row("functional.instance_norm", options=dict(
        **statistics("running_mean", "running_var", "weight", "bias"), use_input_stats=[True, False], momentum=[0.1, 0.6],
        eps=[1e-5, 0.1]), inputs=lambda rng, o: (rng.standard_normal((3, 4, 5)),),
        valid=lambda o: (o["running_mean"] is None) == (o["running_var"] is None), call=with_statistics),
    Row("functional.layer_norm", options=dict(normalized_shape=[(4,), (3, 4)], weight=[None], bias=[None], eps=[1e-5, 0.1]),
        inputs=normal(2, 3, 4), only={"weight": "LayerNorm has it", "bias": "LayerNorm has it"}),
    Row("functional.rms_norm", options=dict(normalized_shape=[(4,)], weight=[None, np.linspace(0.5, 2, 4)], eps=[None, 0.1]),
        inputs=normal(2, 3, 4), only={"normalized_shape": "RMSNorm varies it"}),
    Row("functional.group_norm", options=dict(num_groups=[1, 2, 3, 4, 6], **statistics("weight", "bias", channels=6), eps=[1e-5, 0.1]),
        inputs=normal(2, 6, 5), refused={"num_groups": "6 channels do not make 4 groups"}),
    Row("functional.local_response_norm", options=dict(size=[2, 3], alpha=[1e-4, 0.5], beta=[0.75, 1.0], k=[1.0, 0.5]),
        inputs=normal(2, 4, 5)),
    Row("functional.normalize", options=dict(p=[2.0, 1.0, 3.0, float("inf")], dim=[1, 0, -1, (0, 1)], eps=[1e-12, 2.0]),
        inputs=normal(3, 4, 5)),
]
