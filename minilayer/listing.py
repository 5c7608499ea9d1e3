"""Tape: the listing of what a thread computes, to be read as a program."""
import itertools

from minilayer.state import thread_state

_numbers = itertools.count(1)       # a tensor keeps its number, whichever tape meets it


class Tape:
    """Keeps the listing of what a thread computes, as a program that can be read.

    >>> with Tape() as tape:
    ...     y = model(x)
    >>> print(tape)             # one instruction a line: result, operation, arguments, shape, the layer that issued it
    """

    def __init__(self):
        self.instructions: list = []    # (op, input numbers, output numbers, layer path)
        self.shapes: dict = {}          # number -> (dtype, shape, kind)
        self.outer: list = []

    def __enter__(self):
        state = thread_state()
        self.outer.append(state.tape)
        state.tape = self
        return self

    def __exit__(self, *error):
        thread_state().tape = self.outer.pop()

    def __len__(self):
        return len(self.instructions)

    def name(self, tensor, kind):
        """The number of a tensor, given at its first mention."""
        if not tensor.number:
            tensor.number = next(_numbers)
        if tensor.number not in self.shapes:
            if kind is None:
                kind = "earlier" if tensor.node is not None else "parameter" if tensor.requires_grad else "input"
            self.shapes[tensor.number] = (str(tensor.array.dtype), tensor.array.shape, kind)
        return tensor.number

    def record(self, op, inputs, outputs, layers):
        """Write one instruction down (the engine calls this)."""
        args = [None if x is None else self.name(x, None) for x in inputs]
        path = ".".join(getattr(layer, "_name", None) or type(layer).__name__ for layer in layers)
        if layers:
            path += f" ({type(layers[-1]).__name__})"
        self.instructions.append((op, tuple(args), tuple(self.name(y, "result") for y in outputs), path))

    def __str__(self):
        local = {number: i for i, number in enumerate(self.shapes, 1)}

        def kind(number):
            dtype, shape, _ = self.shapes[number]
            return f"{dtype}[{', '.join(map(str, shape))}]"
        lines = [f"%{local[n]} = {k} {kind(n)}" for n, (_, _, k) in self.shapes.items() if k != "result"]
        for op, args, outs, path in self.instructions:
            left = ", ".join(f"%{local[n]}" for n in outs)
            shown = [f"%{local[n]}" if n is not None else "None" for n in args]
            settings = op.settings()
            right = f"{op.name}({', '.join(shown + ([settings] if settings else []))})"
            lines.append(f"{left} = {right} {', '.join(kind(n) for n in outs)}{'    # ' + path if path else ''}")
        return "\n".join(lines)

