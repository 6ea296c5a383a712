"""Who may look on while calls are recorded and gradients are made: anomaly detection, pictures, the compiler's log."""

from __future__ import annotations

import contextlib
import linecache
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autodiff.core.rule import Array
    from autodiff.core.tape import Entry

WATCHES: list[Watch] = []  # of all threads: as long as it is empty, nobody needs to ask for the own one
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)
LIBRARIES = {"autodiff", "nn", "numpy", "scipy", "contextlib", "functools"}


class Watch:
    """What is told of every call and every gradient. This one leaves it at that.

    Attributes:
        needs_walks: whether derivatives in forward mode are to be found by walks back too, whose gradients it sees.
        walks: how many backward passes are under way, of which each but the first is within a rule of the one before.
    """

    needs_walks = True
    walks = 0

    @contextlib.contextmanager
    def walking(self) -> Iterator[None]:
        """Enclose a backward pass."""
        self.walks += 1
        try:
            yield
        finally:
            self.walks -= 1

    def see_call(self, tensor: Entry, function: Any, args: Any) -> None:
        """Look at what a call gave, and at what it was given: Tensors among it, as the tape keeps them."""

    def see_gradient(self, node: Entry, argument: Entry, gradient: Array) -> None:
        """Look at what a call contributes to the gradient of one of its arguments."""

    def see_hooked(self, node: Entry, gradient: Array) -> None:
        """Look at the whole gradient of an entry, after the functions that were registered for it."""


@contextlib.contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Let a watch see all calls and gradients of this thread or task, until the block ends."""
    token = _watch.set(watch)
    WATCHES.append(watch)
    try:
        yield
    finally:
        WATCHES.remove(watch)
        _watch.reset(token)


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """Let nobody look on at what a rule does to find a derivative, until the block ends."""
    token = _watch.set(None)
    try:
        yield
    finally:
        _watch.reset(token)


def current_watch() -> Watch | None:
    """Give the watch of this thread or task, if there is one."""
    return _watch.get() if WATCHES else None


def module_of(frame: FrameType) -> str:
    """Name the module whose code a frame runs; "" where that is called nothing, or nothing that is a text."""
    name = frame.f_globals.get("__name__")
    return name if type(name) is str else ""


def user_frame() -> traceback.FrameSummary:
    """Find the line of the user's file that is being run: the innermost one outside of this library and NumPy."""
    frame = sys._getframe(1)
    while frame.f_back is not None and module_of(frame).partition(".")[0] in LIBRARIES:
        frame = frame.f_back
    code = frame.f_code
    linecache.lazycache(code.co_filename, frame.f_globals)  # the text is read when it is asked for
    return traceback.FrameSummary(code.co_filename, frame.f_lineno, code.co_name, lookup_line=False)
