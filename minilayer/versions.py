# cython: language_level=3
"""Saved values and change in place: has memory that a backward rule will read been written to since?

Each memory has a `Version` that counts the writes (node.py), shared by a tensor and its views. A node notes the count
of what it saves; before its rule runs, the counts are compared.
"""
import cython

from minilayer import device

if cython.compiled:
    from cython.cimports.minilayer.node import Check, Node, TensorBase, Version
else:
    from minilayer.node import Check, Node, TensorBase, Version


@cython.cfunc
def _note(node: Node, index: cython.int, place: cython.int, tensor: TensorBase):
    """Remember how often the memory of saved array number `index`, which is this tensor's, had been changed by now.
    Called for the last saved array first, so that the node's Checks stand in order."""
    check: Check = Check.__new__(Check)
    check.index, check.place = index, place
    check.counter = tensor.version_counter() if tensor.version is None else tensor.version
    check.count = check.counter.count
    check.next = node.checks
    node.checks = check


@cython.ccall
def note_versions(node: Node, inputs: tuple, outputs: tuple):
    """For each saved array that is an input's or an output's, remember how often that memory had been changed."""
    i: cython.int
    k: cython.int
    for k in range(len(node.kept) - 1, -1, -1):
        array = node.kept[k]
        if array is None:
            continue
        i = 0
        # Where tensors share one array (x and x.detach()), what was saved first is the first input's, and so on.
        if k < len(inputs) and inputs[k] is not None and cython.cast(TensorBase, inputs[k]).array is array:
            i = k
        while i < len(inputs):
            item = inputs[i]
            if item is not None and cython.cast(TensorBase, item).array is array:
                _note(node, k, i, item)
                break
            i += 1
        else:
            i = -1
            for item in outputs:
                if cython.cast(TensorBase, item).array is array:
                    _note(node, k, i, item)
                    break
                i -= 1


@cython.ccall
def note_versions2(node: Node, x: TensorBase, y: TensorBase, result: TensorBase):
    """`note_versions` for two inputs and one output."""
    k: cython.int
    for k in range(len(node.kept) - 1, -1, -1):
        array = node.kept[k]
        if array is None:
            continue
        if k == 1 and y.array is array:
            _note(node, 1, 1, y)
        elif x.array is array:
            _note(node, k, 0, x)
        elif y.array is array:
            _note(node, k, 1, y)
        elif result.array is array:
            _note(node, k, -1, result)


@cython.ccall
def save_from(node: Node, array):
    """Copy what a node saved out of memory that is about to be written by the operation itself."""
    kept = list(node.kept)
    check: Check = node.checks
    for i in range(len(kept)):
        if kept[i] is not None and device.may_overlap(kept[i], array):
            kept[i] = device.copy(kept[i])
    while check is not None:
        if kept[check.index] is not node.kept[check.index]:
            check.counter = Version()       # nobody writes to the copy
            check.count = 0
        check = check.next
    node.kept = tuple(kept)


@cython.ccall
def check_versions(node: Node):
    """Refuse to go back through values that were overwritten after they were saved."""
    check: Check = node.checks
    while check is not None:
        if check.counter.count != check.count:
            which = f"input {check.place}" if check.place >= 0 else "its output"
            site = f" at {check.counter.site}" if check.counter.site else ""
            raise RuntimeError(
                f"backward: {node.op.name} saved {which} for its gradient, but that memory was changed in place "
                f"afterwards{site} (version {check.counter.count}, expected {check.count}); use the out-of-place "
                "form there, or .clone() the tensor first")
        check = check.next
