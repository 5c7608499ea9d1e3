"""Adam and AdamW: steps of about lr in each direction, whatever the size of the gradient."""
from minilayer.optim.checks import check_implementation
from minilayer.optim.optimizer import CountingOptimizer, zeros_like


class Adam(CountingOptimizer):
    """p <- p - lr m^ / (sqrt(v^) + eps), with running means m of g and v of g^2, corrected for their start at zero:

        m <- b1 m + (1 - b1) g,   v <- b2 v + (1 - b2) g^2,   m^ = m / (1 - b1^t),   v^ = v / (1 - b2^t)

    g is the gradient plus weight_decay p (decoupled_weight_decay: AdamW). amsgrad divides by the largest v so far;
    maximize climbs instead. foreach, capturable and fused have no effect: there is one implementation.

    >>> optimizer = Adam(model.parameters(), lr=1e-3)

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """
    STATE = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    NEEDED = ("step", "exp_avg", "exp_avg_sq")
    AMOUNTS = ("lr", "eps", "weight_decay")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, *, foreach=None,
                 maximize=False, capturable=False, differentiable=False, fused=None, decoupled_weight_decay=False):
        check_implementation(type(self).__name__, differentiable, foreach, fused)
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
                                      maximize=maximize, decoupled_weight_decay=decoupled_weight_decay))

    def rule(self, kernels, group, batch, hyper):
        amsgrad = group["amsgrad"]
        kernels.adam(
            batch.arrays, batch.grads, batch.kept("exp_avg", zeros_like), batch.kept("exp_avg_sq", zeros_like),
            batch.kept("max_exp_avg_sq", zeros_like) if amsgrad else None, hyper, betas=group["betas"],
            eps=group["eps"], weight_decay=group["weight_decay"], decoupled=group["decoupled_weight_decay"],
            amsgrad=amsgrad, maximize=group["maximize"])


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters themselves, p <- (1 - lr weight_decay) p, instead of joining the
    gradient, where the division by sqrt(v) would undo it.

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, amsgrad=False, *,
                 maximize=False, foreach=None, capturable=False, differentiable=False, fused=None):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         differentiable=differentiable, fused=fused, decoupled_weight_decay=True)
