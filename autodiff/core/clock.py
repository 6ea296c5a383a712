"""The ages of Tensors, and by them a log of who was at work when: modules, backward passes, optimizers.

Pictures draw boxes by the log, and compiled programs have comments. Recording a call does not ask for it.
"""

from __future__ import annotations

import itertools
from collections import deque
from threading import get_ident
from typing import Any, NamedTuple
from weakref import ref

# Every Tensor is given its age when its contents are made. Only the order of ages counts: of two Tensors, the older has
# the larger one. So the clock counts down, and a heap, which gives the smallest first, gives the youngest first.
tick = itertools.count(-1, -1).__next__


class Span(NamedTuple):
    """One call of an owner: a module, an optimizer, or `pullback` for a backward pass.

    Attributes:
        owner: a weak reference to the object that was at work.
        start: an age before it: what was made in the span is younger, so its age is smaller.
        end: an age after it, smaller than those of what was made in the span.
        thread: the thread it worked in.
    """

    owner: ref[Any]
    start: int
    end: int
    thread: int


_latest: deque[tuple[ref[Any], int, int, int]] = deque(maxlen=2000)  # plain tuples, which are faster to make


def note(owner: Any, start: int) -> None:
    """Write down that an owner was at work from the age ``start`` until now, in this thread."""
    _latest.append((ref(owner), start, tick(), get_ident()))


def latest() -> list[Span]:
    """List the latest spans, in the order in which they ended: inner ones before those around them."""
    return [Span(*span) for span in list(_latest)]
