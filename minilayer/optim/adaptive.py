"""RMSprop, Adagrad, Adadelta, Adamax, NAdam and RAdam: a learning rate of its own for every value, as in Adam.

foreach, capturable and fused have no effect anywhere here: there is one implementation.
"""
from minilayer.device import full, to_device
from minilayer.optim.checks import check_implementation, check_number
from minilayer.optim.optimizer import CountingOptimizer, kernels, zeros_like
from minilayer.tensor import Tensor


class RMSprop(CountingOptimizer):
    """p <- p - lr g / (sqrt(v) + eps),   v <- alpha v + (1 - alpha) g^2

    With momentum, p <- p - lr b and b <- momentum b + g / (sqrt(v) + eps). `centered` takes the square of the mean
    gradient off v, which leaves its variance. g is the gradient plus weight_decay p; maximize climbs instead.

    >>> optimizer = RMSprop(model.parameters(), lr=0.01)

    Hinton, "Neural networks for machine learning", lecture 6, 2012.
    """
    STATE = ("square_avg", "grad_avg", "momentum_buffer")
    NEEDED = ("step", "square_avg")
    AMOUNTS = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False,
                 capturable=False, foreach=None, maximize=False, differentiable=False):
        check_implementation("RMSprop", differentiable)
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
                                      centered=centered, maximize=maximize))

    def rule(self, kernels, group, batch, hyper):
        kernels.rmsprop(
            batch.arrays, batch.grads, batch.kept("square_avg", zeros_like),
            batch.kept("grad_avg", zeros_like) if group["centered"] else None,
            batch.kept("momentum_buffer", zeros_like) if group["momentum"] else None, hyper, alpha=group["alpha"],
            eps=group["eps"], weight_decay=group["weight_decay"], momentum=group["momentum"],
            centered=group["centered"], maximize=group["maximize"])


class Adagrad(CountingOptimizer):
    """p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps),   v <- v + g^2   (v = initial_accumulator_value at first)

    g is the gradient plus weight_decay p; maximize climbs instead.

    >>> optimizer = Adagrad(model.parameters(), lr=0.01)

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning", JMLR 2011.
    """
    STATE = ("sum",)
    NEEDED = ("step", "sum")
    AMOUNTS = ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value")

    def __init__(self, params, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10,
                 foreach=None, *, maximize=False, differentiable=False, fused=None):
        check_implementation("Adagrad", differentiable, foreach, fused)
        super().__init__(params, dict(lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
                                      initial_accumulator_value=initial_accumulator_value, maximize=maximize))

    def add_param_group(self, group):
        super().add_param_group(group)
        group = self.param_groups[-1]
        for p in group["params"]:           # as PyTorch: the sums are there before the first step
            start = full(p.shape, group["initial_accumulator_value"], p.dtype, p.array)
            self.state[p] = {"step": 0, "sum": Tensor(start)}

    def rule(self, kernels, group, batch, hyper):
        kernels.adagrad(batch.arrays, batch.grads, batch.kept("sum", zeros_like), hyper, lr_decay=group["lr_decay"],
                        eps=group["eps"], weight_decay=group["weight_decay"], maximize=group["maximize"])


class Adadelta(CountingOptimizer):
    """p <- p - lr d,   d = sqrt(u + eps) / sqrt(v + eps) g, with running means v of g^2 and u of d^2:

        v <- rho v + (1 - rho) g^2,   u <- rho u + (1 - rho) d^2

    g is the gradient plus weight_decay p; maximize climbs instead.

    >>> optimizer = Adadelta(model.parameters())

    Zeiler, "Adadelta: an adaptive learning rate method", 2012.
    """
    STATE = ("square_avg", "acc_delta")
    NEEDED = ("step", "square_avg", "acc_delta")
    AMOUNTS = ("lr", "eps", "weight_decay")

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, foreach=None, *, capturable=False,
                 maximize=False, differentiable=False):
        check_implementation("Adadelta", differentiable)
        super().__init__(params, dict(lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def check(self, name, group):
        super().check(name, group)
        check_number(name, "rho", group["rho"], low=-float("inf"))
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"{name}: expected rho in [0, 1], got {group['rho']}")

    def rule(self, kernels, group, batch, hyper):
        kernels.adadelta(batch.arrays, batch.grads, batch.kept("square_avg", zeros_like),
                         batch.kept("acc_delta", zeros_like), hyper, rho=group["rho"], eps=group["eps"],
                         weight_decay=group["weight_decay"], maximize=group["maximize"])


class Adamax(CountingOptimizer):
    """p <- p - lr m^ / u, with Adam's m^ and, in place of sqrt(v), u <- max(b2 u, |g| + eps).

    g is the gradient plus weight_decay p; maximize climbs instead.

    >>> optimizer = Adamax(model.parameters())

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7.
    """
    STATE = ("exp_avg", "exp_inf")
    NEEDED = ("step", "exp_avg", "exp_inf")
    AMOUNTS = ("lr", "eps", "weight_decay")

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, foreach=None, *, maximize=False,
                 differentiable=False, capturable=False):
        check_implementation("Adamax", differentiable)
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize))

    def rule(self, kernels, group, batch, hyper):
        kernels.adamax(batch.arrays, batch.grads, batch.kept("exp_avg", zeros_like), batch.kept("exp_inf", zeros_like),
                       hyper, betas=group["betas"], eps=group["eps"], weight_decay=group["weight_decay"],
                       maximize=group["maximize"])


class NAdam(CountingOptimizer):
    """Adam that looks one step of momentum ahead, as Nesterov's does:

        p <- p - lr ((1 - mu_t) / (1 - mu_1 ... mu_t) g + mu_(t+1) / (1 - mu_1 ... mu_(t+1)) m) / (sqrt(v^) + eps)
        mu_t = b1 (1 - 0.96^(t momentum_decay) / 2)

    g is the gradient plus weight_decay p (with decoupled_weight_decay p shrinks instead); maximize climbs instead.

    >>> optimizer = NAdam(model.parameters())

    Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    """
    STATE = ("exp_avg", "exp_avg_sq")
    NEEDED = ("step", "mu_product", "exp_avg", "exp_avg_sq")
    AMOUNTS = ("lr", "eps", "weight_decay", "momentum_decay")
    NUMBERS = 3

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3,
                 decoupled_weight_decay=False, *, foreach=None, maximize=False, capturable=False, differentiable=False):
        check_implementation("NAdam", differentiable)
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                                      momentum_decay=momentum_decay, decoupled_weight_decay=decoupled_weight_decay,
                                      maximize=maximize))

    def key(self, state):
        return state.get("step", 0), state.get("mu_product", 1.0)

    def numbers(self, group, batch, hyper):
        step, product = self.key(batch.states[0])
        hyper[:] = group["lr"], step + 1, product

    def update(self, group, batch, hyper):
        like = batch.arrays[0]
        numbers = self.on(like, hyper)
        kernels.on(like).nadam(
            batch.arrays, batch.grads, batch.kept("exp_avg", zeros_like), batch.kept("exp_avg_sq", zeros_like), numbers,
            betas=group["betas"], eps=group["eps"], weight_decay=group["weight_decay"],
            momentum_decay=group["momentum_decay"], decoupled=group["decoupled_weight_decay"], maximize=group["maximize"])
        hyper[2] = to_device(numbers, "cpu")[2]

    def settle(self, batch, hyper):
        for state in batch.states:
            state["step"], state["mu_product"] = int(hyper[1]), float(hyper[2])


class RAdam(CountingOptimizer):
    """Adam that steps along m^ alone until the variance of v^ can be known, and then rectifies it.

        r_inf = 2 / (1 - b2) - 1,   r_t = r_inf - 2 t b2^t / (1 - b2^t)
        p <- p - lr m^ sqrt((r_t - 4)(r_t - 2) r_inf / ((r_inf - 4)(r_inf - 2) r_t)) / (sqrt(v^) + eps)   where r_t > 5

    g is the gradient plus weight_decay p (with decoupled_weight_decay p shrinks instead); maximize climbs instead.

    >>> optimizer = RAdam(model.parameters())

    Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020.
    """
    STATE = ("exp_avg", "exp_avg_sq")
    NEEDED = ("step", "exp_avg", "exp_avg_sq")
    AMOUNTS = ("lr", "eps", "weight_decay")

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False, *,
                 foreach=None, maximize=False, capturable=False, differentiable=False):
        check_implementation("RAdam", differentiable)
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                                      decoupled_weight_decay=decoupled_weight_decay, maximize=maximize))

    def rule(self, kernels, group, batch, hyper):
        kernels.radam(batch.arrays, batch.grads, batch.kept("exp_avg", zeros_like),
                      batch.kept("exp_avg_sq", zeros_like), hyper, betas=group["betas"], eps=group["eps"],
                      weight_decay=group["weight_decay"], decoupled=group["decoupled_weight_decay"],
                      maximize=group["maximize"])
