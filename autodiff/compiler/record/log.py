"""Who was at work when, while a step was recorded: which line of the user's, which module, which backward pass."""

from __future__ import annotations

import bisect
import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from threading import get_ident
from typing import Any

from autodiff.batching.array import innermost
from autodiff.compiler.naming import Line, line, text_of
from autodiff.compiler.program import Value
from autodiff.compiler.record.recorder import Recorded
from autodiff.core.clock import Span, tick
from autodiff.core.tape import pullback
from autodiff.core.tensor import Tensor
from autodiff.core.watch import Watch


class StepWatch(Watch):
    """A watch that writes down when the rules of which Tensors ran, and which Tensors took part that were there before.

    Attributes:
        start: a stamp before all that it sees.
        ends: the stamp after each rule, negated: so they grow.
        of: the stamp of the Tensor whose gradient it carried on.
        passes: of each backward pass what its rules gave, after the age of the Tensor to whose gradient it is a
            contribution, and what that holds.
        outside: leaves that are older than the watch, with data, ages and gradients that they had.
    """

    needs_walks = False  # a program says what the step does by itself

    def __init__(self) -> None:
        self.start = tick()
        self.ends: list[int] = []
        self.of: list[int] = []
        self.passes: list[list[tuple[int, Value, Value]]] = [[]]
        self._contributions = self.passes[0]  # of the pass that is being made
        self.outside: dict[Tensor, Any] = {}

    @contextlib.contextmanager
    def walking(self) -> Iterator[None]:
        """Tell the contributions of a backward pass from those of others, also of one in a rule of another."""
        outer, self._contributions = self._contributions, []
        self.passes.append(self._contributions)
        try:
            yield
        finally:
            self._contributions = outer

    def see_call(self, tensor: Any, function: Any, args: Any) -> None:
        """Write down which Tensors took part. What was put into others is younger than these."""
        for arg in args:
            if isinstance(arg, Tensor) and arg.is_leaf and arg._age > self.start:
                self.outside.setdefault(arg, (arg._array, arg._age, arg._grad))

    def see_gradient(self, node: Any, argument: Any, gradient: Any) -> None:
        """Write down that a rule has run."""
        self.ends.append(-tick())
        self.of.append(node._age)
        of, gradient = innermost(argument), innermost(gradient)
        if isinstance(of, Recorded) and isinstance(gradient, Recorded):
            self._contributions.append((argument._age, of.value, gradient.value))


class Log:
    """What is known of the calls of a step by their stamps.

    Args:
        spans: of modules, backward passes and optimizers.
        watch: which has seen the backward passes.
        lines: the user's lines that made the calls.
    """

    def __init__(self, spans: Sequence[Span], watch: StepWatch, lines: Mapping[int, Line]) -> None:
        self._watch = watch
        self._lines = lines
        self._stamps = sorted(-stamp for stamp in lines)
        spans = [span for span in spans if span.start < watch.start and span.thread == get_ident()]
        changes = sorted([(-span.start, span) for span in spans] + [(-span.end, span) for span in spans])
        self._times = [time for time, _ in changes]
        self._at_work: list[list[Span]] = [[]]  # before each of these times, from the inside to the outside
        for time, span in changes:
            before = self._at_work[-1]
            self._at_work.append([span, *before] if time == -span.start else [one for one in before if one is not span])
        self._backward = min((-span.start for span in spans if span.owner() is pullback), default=0)
        self._named = functools.cache(_named)

    def module(self, stamp: int) -> str:
        """Give the path of the module in whose forward pass a call was made, or nothing."""
        return "" if self._is_backward(stamp) else self._forward(stamp)[0]

    def comments(self, stamp: int) -> list[str]:
        """Say where in the step a call was made: the user's line, and the module."""
        if not self._is_backward(stamp):
            return self._words(stamp, self._lines.get(stamp))
        origin = self._carried(stamp)
        if origin is None or self._is_backward(origin):
            return ["backward"]
        place = bisect.bisect_left(self._stamps, -origin)
        made_by = self._lines[-self._stamps[place - 1]] if place else None
        return [f"backward: {word}" for word in self._words(origin, made_by)] or ["backward"]

    def _words(self, stamp: int, text: Line | None) -> list[str]:
        words = [line(text_of(text)) if text else "", self._forward(stamp)[1]]
        if any(words):
            return [*filter(None, words)]
        if any(hasattr(owner, "param_groups") for owner in self._owners(stamp)):
            return ["update"]
        return ["loss"] if -stamp < self._backward else []

    def _spans(self, stamp: int) -> list[Span]:
        return self._at_work[bisect.bisect_left(self._times, -stamp)]

    def _owners(self, stamp: int) -> list[Any]:
        """Give what was at work at a stamp, from the inside to the outside."""
        return [span.owner() for span in self._spans(stamp)]

    def _carried(self, stamp: int) -> int | None:
        """Give the stamp of the Tensor whose rule ran then, in a backward pass that was watched."""
        position = bisect.bisect_left(self._watch.ends, -stamp)
        end = next(-span.end for span in self._spans(stamp) if span.owner() is pullback)
        is_within = position < len(self._watch.of) and self._watch.ends[position] < end
        return self._watch.of[position] if is_within else None

    def _is_backward(self, stamp: int) -> bool:
        return pullback in self._owners(stamp)

    def _forward(self, stamp: int) -> tuple[str, str]:
        """Give the path of the module in which something was made, and a line that names it."""
        modules = [owner for owner in self._owners(stamp) if hasattr(owner, "named_modules")]
        return self._named(modules[0], modules[-1]) if modules else ("", "")


def _named(module: Any, outer: Any) -> tuple[str, str]:
    """Give the path of a module in another, and a line that names it."""
    path = next((path for path, one in outer.named_modules() if one is module), "")
    head = type(module).__name__
    with contextlib.suppress(Exception):  # of a text that the user wrote
        head = repr(module).split(":")[0].split("\n")[0]
    return path, line(f"{path}: {head}" if path else head)
