"""Who was at work when, while a step was recorded: which module, which backward pass, which optimizer."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from autodiff.compiler.naming import line
from autodiff.core.clock import Span, tick
from autodiff.core.tape import pullback
from autodiff.core.tensor import Tensor
from autodiff.core.watch import Watch


class StepWatch(Watch):
    """A watch that writes down when the rules of which Tensors ran, and which Tensors took part that were there before.

    Attributes:
        ends: the stamp after each rule, negated: so they grow.
        of: the stamp of the Tensor whose gradient it carried on.
        outside: leaves that are older than the watch, with data, ages and gradients that they had.
    """

    def __init__(self) -> None:
        self.ends: list[int] = []
        self.of: list[int] = []
        self.outside: dict[Tensor, Any] = {}
        self._start = tick()

    def see_call(self, tensor: Any, function: Any, args: Any) -> None:
        """Write down which Tensors took part. What was put into others is younger than these."""
        for arg in args:
            if isinstance(arg, Tensor) and arg.is_leaf and arg._age > self._start:
                self.outside.setdefault(arg, (arg._array, arg._age, arg._grad))

    def see_gradient(self, node: Any, argument: Any, gradient: Any) -> None:
        """Write down that a rule has run."""
        self.ends.append(-tick())
        self.of.append(node._age)


class Log:
    """What is known of the calls of a step by their stamps.

    Args:
        spans: of all modules, backward passes and optimizers.
        rules: of the backward passes.
    """

    def __init__(self, spans: Sequence[Span], rules: StepWatch) -> None:
        self._spans = spans
        self._rules = rules

    def around(self, stamps: Sequence[int]) -> Log:
        """Give the part of the log in which these stamps lie."""
        spans = [span for span in self._spans if stamps and span.end < max(stamps) and span.start > min(stamps)]
        return Log(spans, self._rules)

    def module(self, stamp: int) -> str:
        """Give the path of the module in whose forward pass a call was made, or nothing."""
        return "" if self._is_backward(stamp) else self._forward(stamp)[0]

    def comment(self, stamp: int) -> str:
        """Say in a line where in the step a call was made."""
        if self._is_backward(stamp):
            origin = self._carried(stamp)
            if origin is None or self._is_backward(origin) or not any(map(_is_module, self._owners())):
                return "backward"
            return f"backward: {self._forward(origin)[1] or 'loss'}"
        _, line = self._forward(stamp)
        if line:
            return line
        if any(hasattr(owner, "param_groups") for owner in self._owners(stamp)):
            return "update"
        is_before_backward = any(span.owner() is pullback and span.start < stamp for span in self._spans)
        return "loss" if is_before_backward else ""

    def _owners(self, stamp: int | None = None) -> Iterator[Any]:
        """Give what was at work, or was so at a stamp, from the inside to the outside."""
        for span in self._spans:
            if (stamp is None or span.start > stamp > span.end) and (owner := span.owner()) is not None:
                yield owner

    def _carried(self, stamp: int) -> int | None:
        """Give the stamp of the Tensor whose rule ran then, in a backward pass that was watched."""
        position = bisect.bisect_left(self._rules.ends, -stamp)
        passes = (span for span in self._spans if span.owner() is pullback and span.start > stamp > span.end)
        if position == len(self._rules.of) or any(self._rules.ends[position] > -span.end for span in passes):
            return None
        return self._rules.of[position]

    def _is_backward(self, stamp: int) -> bool:
        return any(owner is pullback for owner in self._owners(stamp))

    def _forward(self, stamp: int) -> tuple[str, str]:
        """Give the path of the module in which something was made, and a line that names it."""
        modules = list(filter(_is_module, self._owners(stamp)))
        if not modules:
            return "", ""
        inner, outer = modules[0], modules[-1]
        path = next((path for path, module in outer.named_modules() if module is inner), "")
        head = type(inner).__name__
        with contextlib.suppress(Exception):  # of a text that the user wrote
            head = repr(inner).split(":")[0].split("\n")[0]
        return path, line(f"{path}: {head}" if path else head)


def _is_module(owner: Any) -> bool:
    return hasattr(owner, "named_modules")
