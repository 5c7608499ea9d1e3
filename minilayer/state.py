# cython: language_level=3
"""What a thread is doing: whether it records, the listing it keeps, the layers it is inside of.

Gradient mode, tape and layer stack belong to a thread, so that one may evaluate while another trains.
"""
import functools
import inspect
import threading

import cython


@cython.cfunc
def _thread() -> cython.ulonglong:
    """The calling thread's number, which no other thread gets later, as it may its address. Not needed uncompiled."""
    return PyThreadState_GetID(PyThreadState_Get()) if cython.compiled else 0       # noqa: F821  (see state.pxd)


@cython.cclass
class State:
    """Gradient mode, the listing being kept and the stack of layers being called, for one thread."""
    # Its fields are declared in state.pxd:
    #   ident         the thread
    #   grad_enabled  are operations recorded?
    #   tape          the innermost `with Tape()`, or None
    #   observer      called as observer(node or None, op, inputs, outputs) after each operation, or None
    #   layers        the layers whose forward is running, outermost first
    #   heap          the nodes that a running backward pass has yet to visit, or None

    def __init__(self):
        self.ident = _thread()
        self.grad_enabled = True
        self.tape = None
        self.observer = None
        self.layers = []
        self.heap = None


_local = threading.local()
_latest = cython.declare(State, State())    # the last thread to ask, which is nearly always the one asking
_local.state = _latest


@cython.cfunc
def current() -> State:
    """The calling thread's state."""
    global _latest
    if cython.compiled:
        state: State = _latest              # read once: another thread may replace it between two looks
        if state.ident == _thread():
            return state
    found = getattr(_local, "state", None)
    if found is None:
        found = State()
        _local.state = found
    _latest = found
    return found


def thread_state():
    """The calling thread's state: `grad_enabled`, `tape`, `observer` and `layers`."""
    return current()


def is_grad_enabled() -> bool:
    """Are operations recorded in this thread?"""
    return current().grad_enabled


class _GradMode:
    """A gradient mode for a `with` block, or for every call of a decorated function (of a generator: every step)."""
    mode = True

    def __new__(cls, function=None):
        self = super().__new__(cls)
        self.before = []
        return self if function is None else self(function)         # @no_grad as well as @no_grad()

    def __enter__(self):
        self.before.append(current().grad_enabled)
        current().grad_enabled = self.mode
        return self

    def __exit__(self, *error):
        current().grad_enabled = self.before.pop()

    def again(self):
        """A mode of the same kind, for one call: calls may nest, and run in several threads."""
        return type(self)()

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self.again():
                return function(*args, **kwargs)

        @functools.wraps(function)
        def stepped(*args, **kwargs):
            steps = function(*args, **kwargs)
            resume, value = steps.send, None
            while True:
                try:
                    with self.again():
                        result = resume(value)
                except StopIteration as end:
                    return end.value
                try:
                    resume, value = steps.send, (yield result)
                except BaseException as error:      # thrown into the generator, or GeneratorExit
                    resume, value = steps.throw, error
        return stepped if inspect.isgeneratorfunction(function) else wrapped


class no_grad(_GradMode):
    """Compute without recording: `with no_grad(): ...`, or as a decorator `@no_grad()`."""
    mode = False


class enable_grad(_GradMode):
    """Record again inside a `no_grad` block: `with enable_grad(): ...`, or as a decorator."""
    mode = True


class set_grad_enabled(_GradMode):
    """Record operations, or not, from now on in this thread; in a `with` statement, until the block's end; as a
    decorator, only while the function runs."""

    def __new__(cls, mode):
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled: expected True or False, got {mode!r}")
        self = super().__new__(cls)
        self.mode = mode
        self.before.append(current().grad_enabled)
        current().grad_enabled = mode
        return self

    def __enter__(self):
        current().grad_enabled = self.mode
        return self

    def __exit__(self, *error):
        current().grad_enabled = self.before[0]

    def again(self):
        return set_grad_enabled(self.mode)

    def __call__(self, function):
        current().grad_enabled = self.before[0]
        return super().__call__(function)
