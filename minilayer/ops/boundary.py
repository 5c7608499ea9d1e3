"""A line across the graph where someone looks at all gradients that cross it. Layers' backward hooks stand on it."""
from minilayer.device import copy
from minilayer.node import wrap
from minilayer.tape import Op, elementwise_cost


class Boundary(Op):
    """y_i = x_i; on the way back, dx = look(dy), where `look` takes and returns a tuple of tensors (or None)."""
    name = "boundary"

    def __init__(self, look):
        self._look = look

    def forward(self, node, *arrays):
        return tuple([copy(a) for a in arrays])     # a change of y in place must not reach what others saved

    def backward(self, node, *dy):
        seen = self._look(tuple(None if d is None else wrap(d) for d in dy))
        return tuple(None if d is None else d.array for d in seen)

    def backward_graph(self, node, *dy):
        return tuple(self._look(tuple(dy)))

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)
