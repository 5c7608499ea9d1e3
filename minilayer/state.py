# cython: language_level=3
"""What a thread is doing: whether it records, the listing it keeps, the layers it is inside of.

Gradient mode, tape and layer stack belong to a thread, so that one may evaluate while another trains.
"""
import functools
import threading

import cython

if cython.compiled:
    from cython.cimports.cpython.pythread import PyThread_get_thread_ident as get_ident
else:
    from threading import get_ident

@cython.cclass
class State:
    """Gradient mode, the listing being kept and the stack of layers being called, for one thread."""
    # Its fields are declared in state.pxd:
    #   ident         the thread
    #   grad_enabled  are operations recorded?
    #   tape          the innermost `with Tape()`, or None
    #   observer      called as observer(node or None, op, inputs, outputs) after each operation, or None
    #   layers        the layers whose forward is running, outermost first

    def __init__(self):
        self.ident = get_ident()
        self.grad_enabled = True
        self.tape = None
        self.observer = None
        self.layers = []


_local = threading.local()
_latest = cython.declare(State, State())    # the last thread to ask, which is nearly always the one asking
_local.state = _latest


@cython.cfunc
def current() -> State:
    """The calling thread's state."""
    global _latest
    state: State = _latest                  # read once: another thread may replace it between two looks
    if state.ident == get_ident():
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


class set_grad_enabled:
    """Record operations, or not, from now on in this thread; as a context manager, until its end."""

    def __init__(self, mode):
        self.before = [current().grad_enabled]
        current().grad_enabled = bool(mode)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        current().grad_enabled = self.before[-1]


class _GradMode:
    """A gradient mode for a `with` block, or for every call of a decorated function."""
    mode = True

    def __init__(self):
        self.before = []

    def __enter__(self):
        self.before.append(current().grad_enabled)
        current().grad_enabled = self.mode
        return self

    def __exit__(self, *error):
        current().grad_enabled = self.before.pop()

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)
        return wrapped


class no_grad(_GradMode):
    """Compute without recording: `with no_grad(): ...`, or as a decorator `@no_grad()`."""
    mode = False


class enable_grad(_GradMode):
    """Record again inside a `no_grad` block: `with enable_grad(): ...`, or as a decorator."""
    mode = True
