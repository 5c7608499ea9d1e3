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


@cython.ccall
def note_versions(node: Node, inputs: tuple, outputs: tuple):
    """For each saved array, remember which tensor's it is and how often that memory had been changed by then."""
    checks: list = []
    i: cython.int
    t: TensorBase
    counter: Version
    for k, array in enumerate(node.kept):
        found = None
        if array is not None:
            i = 0
            # Where tensors share one array (x and x.detach()), what was saved first is the first input's, and so on.
            if k < len(inputs) and inputs[k] is not None and cython.cast(TensorBase, inputs[k]).array is array:
                i = k
            for item in inputs[i:]:
                if item is not None and cython.cast(TensorBase, item).array is array:
                    found = item
                    break
                i += 1
            if found is None:
                i = -1
                for item in outputs:
                    if cython.cast(TensorBase, item).array is array:
                        found = item
                        break
                    i -= 1
        if found is None:
            checks.append(None)
        else:
            t = found
            counter = t.version_counter()
            check: Check = Check.__new__(Check)
            check.place = i
            check.counter = counter
            check.count = counter.count
            checks.append(check)
    node.checks = checks


@cython.ccall
def save_from(node: Node, array):
    """Copy what a node saved out of memory that is about to be written by the operation itself."""
    kept = list(node.kept)
    check: Check
    for i in range(len(kept)):
        if kept[i] is not None and device.may_overlap(kept[i], array):
            kept[i] = device.copy(kept[i])
            if node.checks[i] is not None:
                check = node.checks[i]
                check.counter = Version()       # nobody writes to the copy
                check.count = 0
    node.kept = tuple(kept)


@cython.ccall
def check_versions(node: Node):
    """Refuse to go back through values that were overwritten after they were saved."""
    check: Check
    for found in node.checks:
        if found is not None:
            check = found
            if check.counter.count != check.count:
                which = f"input {check.place}" if check.place >= 0 else "its output"
                site = f" at {check.counter.site}" if check.counter.site else ""
                raise RuntimeError(
                    f"backward: {node.op.name} saved {which} for its gradient, but that memory was changed in place "
                    f"afterwards{site} (version {check.counter.count}, expected {check.count}); use the out-of-place "
                    "form there, or .clone() the tensor first")
