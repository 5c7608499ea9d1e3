"""Rprop: a step size for every value, which grows while the gradient keeps its sign and shrinks where it turns."""
from minilayer.device import full
from minilayer.optim.checks import check_implementation, check_pair
from minilayer.optim.optimizer import CountingOptimizer, zeros_like


class Rprop(CountingOptimizer):
    """p <- p - sign(g) d,   d <- d etas[1] where g has the sign it had, d etas[0] where it changed (and no step there)

    The step sizes d start at lr and stay within step_sizes. For gradients of the whole data set, not of batches.
    maximize climbs instead; foreach and capturable have no effect: there is one implementation.

    >>> optimizer = Rprop(model.parameters())

    Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993.
    """
    STATE = ("prev", "step_size")
    NEEDED = ("step", "prev", "step_size")

    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), *, capturable=False, foreach=None,
                 maximize=False, differentiable=False):
        check_implementation("Rprop", differentiable)
        super().__init__(params, dict(lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize))

    def check(self, name, group):
        super().check(name, group)
        check_pair(name, "etas", group["etas"])
        check_pair(name, "step_sizes", group["step_sizes"])
        if group["step_sizes"][0] > group["step_sizes"][1]:
            raise ValueError(f"{name}: expected step_sizes as the smallest and the largest, got {group['step_sizes']}")
        if not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ValueError(f"{name}: expected etas below 1 and above 1, got {group['etas']}")

    def rule(self, kernels, group, batch, hyper):
        lr = group["lr"]
        kernels.rprop(batch.arrays, batch.grads, batch.kept("prev", zeros_like),
                      batch.kept("step_size", lambda x: full(x.shape, lr, x.dtype, x)), hyper, etas=group["etas"],
                      step_limits=group["step_sizes"], maximize=group["maximize"])
