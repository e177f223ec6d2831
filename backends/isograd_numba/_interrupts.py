"""Ctrl-C waits while code is made.

llvmlite holds one lock for all threads, and takes it in Python: an exception that a signal raises
in between would leave it locked, and other threads would wait for ever.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator
from typing import Any

__all__ = ["held_back"]


@contextlib.contextmanager
def held_back() -> Generator[None]:
    """Let SIGINT arrive only when the block is done; only the main thread gets signals."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    arrived: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if arrived:
            handler(*arrived[-1])
