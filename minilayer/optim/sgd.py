"""SGD: stochastic gradient descent with momentum, Nesterov momentum and weight decay."""
from minilayer.device import empty_like
from minilayer.optim.checks import check_implementation, check_number
from minilayer.optim.optimizer import Optimizer, kernels
from minilayer.tensor import Tensor


class SGD(Optimizer):
    """p <- p - lr b,  where  b <- momentum b + (1 - dampening) g  (b = g at the first step, and without momentum).

    g is the gradient plus weight_decay p; nesterov steps along g + momentum b. maximize climbs instead.
    foreach and fused have no effect: there is one implementation.

    >>> optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)

    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.
    """
    STATE = ("momentum_buffer",)
    AMOUNTS = ("lr", "momentum", "weight_decay")

    def __init__(self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, *,
                 maximize=False, foreach=None, differentiable=False, fused=None):
        check_implementation("SGD", differentiable, foreach, fused)
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
                                      nesterov=nesterov, maximize=maximize))

    def check(self, name, group):
        super().check(name, group)
        check_number(name, "dampening", group["dampening"], low=-float("inf"))
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(f"{name}: nesterov needs momentum above 0 and dampening 0, got momentum="
                             f"{group['momentum']}, dampening={group['dampening']}")

    def key(self, state):
        return "momentum_buffer" in state

    def numbers(self, group, batch, hyper):
        hyper[0], hyper[1] = group["lr"], "momentum_buffer" not in batch.states[0]

    def update(self, group, batch, hyper):
        momentum, first, buffers = group["momentum"], "momentum_buffer" not in batch.states[0], None
        if momentum:                                    # the first step fills the buffers
            buffers = [empty_like(x) for x in batch.arrays] if first else batch.kept("momentum_buffer")
        like = batch.arrays[0]
        kernels.on(like).sgd(batch.arrays, batch.grads, buffers, self.on(like, hyper), momentum=momentum,
                             dampening=group["dampening"], weight_decay=group["weight_decay"],
                             nesterov=group["nesterov"], maximize=group["maximize"])
        if momentum and first:
            for state, buffer in zip(batch.states, buffers, strict=True):
                state["momentum_buffer"] = Tensor(buffer)
