"""Adam and AdamW: steps of about lr in each direction, whatever the size of the gradient."""
from minilayer.device import zeros
from minilayer.optim.optimizer import Optimizer, check_number, kernels


class Adam(Optimizer):
    """p <- p - lr m^ / (sqrt(v^) + eps), with running means m of g and v of g^2, corrected for their start at zero:

        m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2,   m^ = m / (1 - b1^t),   v^ = v / (1 - b2^t)

    g is the gradient plus weight_decay p. amsgrad divides by the largest v so far; maximize climbs instead.

    >>> optimizer = Adam(model.parameters(), lr=1e-3)

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """
    STATE = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    NEEDED = ("step", "exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, *,
                 maximize=False):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
                                      maximize=maximize))

    def check(self, name, group):
        for option in ("lr", "eps", "weight_decay"):
            check_number(name, option, group[option])
        betas = group["betas"]
        if not isinstance(betas, tuple) or len(betas) != 2:
            raise TypeError(f"{name}: expected betas to be a pair of numbers, got {betas!r}")
        for i, beta in enumerate(betas):
            check_number(name, f"betas[{i}]", beta, below=1.0)

    def key(self, state):
        return state.get("step", 0)

    def update(self, group, batch, hyper):
        step, amsgrad = self.key(batch.states[0]) + 1, group["amsgrad"]
        hyper[0], hyper[1] = group["lr"], step
        like = batch.arrays[0]
        kernels.on(like).adam(
            batch.arrays, batch.grads, batch.kept("exp_avg", _zeros), batch.kept("exp_avg_sq", _zeros),
            batch.kept("max_exp_avg_sq", _zeros) if amsgrad else None, self.on(like, hyper), betas=group["betas"],
            eps=group["eps"], weight_decay=group["weight_decay"], decoupled=self.decoupled, amsgrad=amsgrad,
            maximize=group["maximize"])
        for state in batch.states:
            state["step"] = step


def _zeros(x):
    return zeros(x.shape, x.dtype, x)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters themselves, p <- (1 - lr weight_decay) p, instead of joining the
    gradient, where the division by sqrt(v) would undo it.

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    decoupled = True

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, amsgrad=False, *,
                 maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
