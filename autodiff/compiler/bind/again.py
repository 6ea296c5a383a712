"""A step is recorded anew from time to time, and the two records compared: so a change is found wherever it lies.

A program says for ever what its step said when it was recorded. What the step reads by name is looked at in each call;
what comes to it on other ways, through containers, properties, modules or other files, shows in what it does. So the
record is kept, and later ones must be the same: calls, numbers, functions, and contents of constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

from autodiff.compiler.record.comparison import difference
from autodiff.compiler.record.tracing import Step, Trace, trace
from autodiff.core.rule import name_of

ALWAYS = 8  # the last of the calls 2, 4, 8 before which the step is recorded whatever the time that takes
SHARE = 0.005  # of the running time, which recording takes from then on


class Repetition:
    """The first record of a step, which its program was made of, and when the step is to be recorded again.

    Attributes:
        due: in which call it is to be recorded again.
    """

    def __init__(self, first: Trace, step: Step) -> None:
        self._first = first
        self._step = step
        self._latest = 1  # the last call that is known to be right
        self._ended = perf_counter()  # and when
        self._cost = self._pace = math.inf  # seconds that recording takes, and a call
        self._differs = False  # whether it did when it was last recorded
        self.due = 2

    def run(self, run: Callable[[Any], Any], inputs: Any, args: Any, kwargs: Any) -> Any:
        """Take a step as a program in a call that is due, and say which is the next.

        Raises:
            RuntimeError: the step is not what it was.
        """
        call = self.due
        if call - self._latest > 1:
            self._pace = min(self._pace, (perf_counter() - self._ended) / (call - self._latest))
        if call <= ALWAYS or self._differs or call >= self._affordable():
            self.compare(call, args, kwargs)
            self._latest = call
            start = perf_counter()
            result = run(inputs)
            self._pace = min(self._pace, perf_counter() - start)
        else:
            result = run(inputs)
        self.due = 2 * call if call < ALWAYS else max(call + 1, self._affordable())
        return result

    def _affordable(self) -> int:
        """Give the call from which recording takes no more than its share of the time since the last."""
        return self._latest + math.ceil(self._cost / (SHARE * max(self._pace, 1e-9)))

    def compare(self, call: int, args: Any, kwargs: Any) -> None:
        """Record the step before a call, and compare.

        Raises:
            RuntimeError: the step is not what it was.
        """
        start, self._differs = perf_counter(), True
        try:
            now = trace(self._step, args, kwargs)
        except TypeError as error:
            raise self._changed(f"it can no longer be recorded: {error}", call) from error
        what = difference(self._first, now)
        if what:
            raise self._changed(what, call)
        self._ended, self._latest, self._differs = perf_counter(), call - 1, False
        self._cost = min(self._cost, self._ended - start)

    def _changed(self, what: str, call: int) -> RuntimeError:
        since = self._latest + 1
        old = f"since call {since} with such arguments results may be old" if call > since else "nothing is old yet"
        return RuntimeError(
            f"compile: {name_of(self._step.function)} no longer does what it did when it was compiled: {what}; {old}. "
            "Make what changes an argument of the step, name it in state=, or compile again"
        )
