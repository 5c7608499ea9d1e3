"""Ctrl-C while training: noted, and heard between two steps."""
import contextlib
import signal
import threading


@contextlib.contextmanager
def signals_noted():
    """A list that Ctrl-C (or SIGTERM) adds to, so that training stops between two steps and not inside one; a second
    Ctrl-C stops at once. Only a program's main thread hears signals; elsewhere the list stays empty."""
    noted: list = []

    def note(number, frame):
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for s, handler in before.items():
            signal.signal(s, signal.SIG_DFL if handler is None else handler)
