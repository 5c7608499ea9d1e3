# cython: language_level=3
"""Views whose base was written to: how a part of a base's memory is taken from it again, and its gradient given back."""
from minilayer import device
from minilayer._ext.dispatch import family
from minilayer.device import address
from minilayer.node import register_view
from minilayer.tape import Op, apply, elementwise_cost

indexing = family("indexing")
reduce = family("reduce")


class StridedView(Op):
    """y = the part of a base's memory that a view shows; the gradient lands there, zeros elsewhere.

    Gradients get the base's own memory layout, so that the view's strides mean the same in them.
    """
    name = "view"
    view = True

    def __init__(self, view, base):
        self.shape, self.strides = view.shape, view.strides
        self.base_shape, self.base_strides = base.shape, base.strides
        self.offset = address(view) - address(base)
        low, high = device.extent(view.shape, view.strides, view.dtype.itemsize)
        bottom, top = device.extent(base.shape, base.strides, base.dtype.itemsize)
        if view.size and not bottom <= self.offset + low <= self.offset + high <= top:
            raise RuntimeError("view: this tensor no longer shows a part of the tensor it was made from, whose .data was "
                               "replaced; make the view again")

    def like_base(self, dy):
        """New memory laid out as the base: (all of it, the base's part, the view's part)."""
        low, high = device.extent(self.base_shape, self.base_strides, dy.dtype.itemsize)
        memory = device.empty(((high - low) // dy.dtype.itemsize,), dy.dtype, dy)
        return (memory, device.as_strided(memory, self.base_shape, self.base_strides, -low),
                device.as_strided(memory, self.shape, self.strides, self.offset - low))

    def forward(self, node, base):
        return device.as_strided(base, self.shape, self.strides, self.offset)

    def backward(self, node, dy):
        memory, dbase, region = self.like_base(dy)
        indexing.on(dy).fill(memory, value=0)
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides)):
            if stride == 0 and size > 1:        # an expanded axis shows one value many times
                total = device.empty(dy.shape[:axis] + (1,) + dy.shape[axis + 1:], dy.dtype, dy)
                reduce.on(dy).sum(dy, total)
                dy = total
                region = region[(slice(None),) * axis + (slice(0, 1),)]
        indexing.on(dy).copy(dy, region)
        return dbase

    def backward_graph(self, node, dy):
        return apply(ViewPart(self, True), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


class ViewPart(Op):
    """y = the part of x, of a base's shape, that a view of the base shows; or, with `spread`, x in that part and zeros
    elsewhere. Each is the other's gradient."""
    name = "view_part"

    def __init__(self, view, spread):
        self._view = view
        self.spread = spread

    def run(self, x, spread):
        if spread:
            return self._view.backward(None, x)
        memory, base, region = self._view.like_base(x)
        indexing.on(x).copy(x, base)
        return device.copy(region)

    def forward(self, node, x):
        return self.run(x, self.spread)

    def backward(self, node, dy):
        return self.run(dy, not self.spread)

    def backward_graph(self, node, dy):
        return apply(ViewPart(self._view, not self.spread), dy)

    def cost(self, shapes, out_shapes):
        return elementwise_cost(shapes, out_shapes, 0, 0)


register_view(StridedView)
