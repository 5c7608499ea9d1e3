"""Optimisers: six steps with given gradients (LBFGS: of a bowl), every parameter after every step."""
from agreement.row import Row

CHOICES = dict.fromkeys(("capturable", "differentiable"), "chooses between PyTorch's implementations; minilayer has one")
COMMON = dict(weight_decay=[0.0, 0.1], maximize=[False, True])
BETAS = [(0.9, 0.999), (0.6, 0.7)]


def matrices(rng, o):
    return [rng.standard_normal((4, 3)), rng.standard_normal((3, 5))]


ROWS = [
    Row("optim.SGD", dict(lr=[1e-3, 0.1], momentum=[0.0, 0.9], dampening=[0.0, 0.3], nesterov=[False, True], **COMMON), only=CHOICES,
        valid=lambda o: not o["nesterov"] or bool(o["momentum"]) and not o["dampening"]),
    Row("optim.Adam", dict(lr=[1e-3, 0.1], betas=BETAS, eps=[1e-8, 0.1], amsgrad=[False, True],
                           decoupled_weight_decay=[False, True], **COMMON), only=CHOICES),
    Row("optim.AdamW", dict(lr=[1e-3, 0.1], betas=BETAS, eps=[1e-8, 0.1], amsgrad=[False, True], **COMMON), only=CHOICES),
    Row("optim.RMSprop", dict(lr=[0.01, 0.1], alpha=[0.99, 0.5], eps=[1e-8, 0.1], momentum=[0.0, 0.9], centered=[False, True], **COMMON), only=CHOICES),
    Row("optim.Adagrad", dict(lr=[0.01, 0.1], lr_decay=[0.0, 0.1], initial_accumulator_value=[0.0, 0.5], eps=[1e-10, 0.1], **COMMON), only=CHOICES),
    Row("optim.Adadelta", dict(lr=[1.0, 0.1], rho=[0.9, 0.5], eps=[1e-6, 0.1], **COMMON), only=CHOICES),
    Row("optim.Adamax", dict(lr=[2e-3, 0.1], betas=BETAS, eps=[1e-8, 0.1], **COMMON), only=CHOICES),
    Row("optim.NAdam", dict(lr=[2e-3, 0.1], betas=BETAS, eps=[1e-8, 0.1], momentum_decay=[4e-3, 0.1], decoupled_weight_decay=[False, True], **COMMON), only=CHOICES),
    Row("optim.RAdam", dict(lr=[1e-3, 0.1], betas=[*BETAS, (0.9, 0.9)], eps=[1e-8, 0.1], decoupled_weight_decay=[False, True], **COMMON), only=CHOICES),
    Row("optim.Rprop", dict(lr=[0.01, 0.1], etas=[(0.5, 1.2), (0.3, 2.0)], step_sizes=[(1e-6, 50), (0.02, 0.05)], maximize=[False, True]), only=CHOICES),
    Row("optim.Adafactor", dict(lr=[0.01, 0.1], beta2_decay=[-0.8, -0.5], eps=[(None, 1e-3), (1e-4, 0.1)], d=[1.0, 2.0], **COMMON)),
    Row("optim.Muon", dict(lr=[1e-3, 0.1], weight_decay=[0.1, 0.0], momentum=[0.95, 0.5], nesterov=[True, False],
                           ns_coefficients=[(3.4445, -4.775, 2.0315), (2.0, -1.5, 0.5)], eps=[1e-7, 10.0], ns_steps=[5, 3],
                           adjust_lr_fn=[None, "original", "match_rms_adamw"]), inputs=matrices, bound=(0.05, "PyTorch rounds the iteration to bfloat16")),
    Row("optim.LBFGS", dict(lr=[0.1, 0.2], max_iter=[4, 2], max_eval=[None, 3], tolerance_grad=[1e-7, 0.5], tolerance_change=[1e-9, 2.0],
                            history_size=[100, 2], line_search_fn=[None, "strong_wolfe"])),
]
