"""A step is recorded anew from time to time, and the two records compared: so a change is found wherever it lies.

A program says for ever what its step said when it was recorded. What the step reads by name is looked at in each call;
what comes to it on other ways, through containers, properties, modules or other files, shows in what it does. So the
record is kept, and later ones must be the same: calls, numbers, functions, and contents of constants.
"""

from __future__ import annotations

import functools
import itertools
import math
import types
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any

import numpy as np

from autodiff.compiler.program import Call, Value
from autodiff.compiler.record.surroundings import LONGEST_TEXT, content
from autodiff.compiler.record.tracing import Trace
from autodiff.compiler.simplify.exact import dead
from autodiff.core.rule import name_of

ALWAYS = 8  # the last of the calls 2, 4, 8 before which the step is recorded whatever the time that takes
SHARE = 0.005  # of the running time, which recording takes from then on


class Repetition:
    """The record of a step, and when the step is to be recorded again.

    Args:
        first: the record that the program was made of.
        record: records the step, given its arguments.
        called: what the step is called.
        names: what the step calls arrays, by their ids.

    Attributes:
        due: in which call it is to be recorded again.
    """

    def __init__(
        self, first: Trace, record: Callable[[Any, Any], Trace], called: str, names: Mapping[int, str]
    ) -> None:
        self._first = first
        self._calls = dead(first.program).calls
        used = {value for call in self._calls for value in call.operands()}
        used |= {value for value in first.program.outcomes() if isinstance(value, Value)}
        self._copies = {value: array.copy() for array, value in first.constants if value in used}
        self._names = names
        self._record = record
        self._called = called
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
            now = self._record(args, kwargs)
        except TypeError as error:
            raise self._changed(f"it can no longer be recorded: {error}", call) from error
        difference = self._difference(now)
        if difference:
            raise self._changed(difference, call)
        self._ended, self._latest, self._differs = perf_counter(), call - 1, False
        self._cost = min(self._cost, self._ended - start)

    def _changed(self, difference: str, call: int) -> RuntimeError:
        since = self._latest + 1
        old = f"since call {since} with such arguments results may be old" if call > since else "nothing is old yet"
        return RuntimeError(
            f"compile: {self._called} no longer does what it did when it was compiled: {difference}; {old}. Make what "
            "changes an argument of the step, name it in state=, or compile again"
        )

    def _difference(self, now: Trace) -> str:
        """Say what first differs between the two records, or nothing."""
        one, other = self._first.program, now.program
        twins: dict[Any, Any] = {}
        found, finds = ([*program.inputs, *(before for before, _ in program.state)] for program in (one, other))
        for before, after in zip(found, finds):
            twins[before] = after
            if before.is_array and (before.shape, before.dtype) != (after.shape, after.dtype):
                return f"{before.name!r} was {self._text(before)} and is {self._text(after)}"
        for old, new in itertools.zip_longest(self._calls, dead(other).calls):
            if new is None:
                return f"{name_of(old.function)} is no longer called"
            change = self._change(old, new, twins)
            if change:
                frame = now.frames[new.stamp]
                return f'{change} (File "{frame.filename}", line {frame.lineno}: {frame.line})'
            twins.update(zip(old.outputs, new.outputs))
        if self._first.form != now.form or not self._is_same(one.results, other.results, twins):
            return "it returns something else"
        for (old_value, old_after), (_, new_after) in zip(one.state, other.state):
            if not self._is_same(old_after, new_after, twins):
                return f"it leaves something else in {old_value.name!r}"
        return ""

    def _change(self, old: Call | None, new: Call, twins: dict[Any, Any]) -> str:
        """Say in what a call differs from what it was, or nothing."""
        if old is None:
            return f"after its last call it goes on with {name_of(new.function)}"
        if not self._is_same(old.function, new.function, twins):
            return f"it called {name_of(old.function)} where it calls {name_of(new.function)}"
        given = (old.args, list(old.kwargs.items())), (new.args, list(new.kwargs.items()))
        if self._is_same(*given, twins):
            return ""
        for one, other in _leaves(*given):
            if not self._is_same(one, other, twins):
                before, after = self._text(one), self._text(other)
                change = f"was given {before} and is given {after}"
                return f"{name_of(old.function)} {change if before != after else f'is given other contents of {after}'}"
        return ""

    def _is_same(self, one: Any, other: Any, twins: dict[Any, Any]) -> bool:
        if isinstance(one, Value) and isinstance(other, Value) and one.kind == other.kind == "constant":
            copy, array = self._copies[one], other.data
            return copy.dtype == array.dtype and bool(np.array_equal(copy, array, equal_nan=copy.dtype.kind == "f"))
        if isinstance(one, Value):
            return twins.get(one) is other
        if one is other or type(one) is not type(other):
            return one is other
        if isinstance(one, list | tuple):
            pairs = list(zip(one, other))
        elif isinstance(one, slice):
            pairs = [(one.start, other.start), (one.stop, other.stop), (one.step, other.step)]
        elif isinstance(one, dict):
            pairs = [(list(one), list(other)), (list(one.values()), list(other.values()))]
        elif isinstance(one, functools.partial):
            pairs = [(one.func, other.func), (one.args, other.args), (one.keywords, other.keywords)]
        elif isinstance(one, types.FunctionType):  # that is made anew in each run
            if (one, other) in twins:  # which is in its own closure
                return True
            twins[one, other] = True
            cells = [[content(cell) for cell in function.__closure__ or ()] for function in (one, other)]
            pairs = [(one.__code__, other.__code__), (one.__defaults__, other.__defaults__), (cells[0], cells[1])]
        elif isinstance(one, float | np.generic):
            return repr(one) == repr(other)  # which tells zeros apart, and not one NaN from another
        else:
            is_known = callable(one) or type(one).__eq__ is not object.__eq__  # type: ignore[comparison-overlap]
            return not is_known or (one == other) is not False
        is_as_long = not hasattr(one, "__len__") or len(one) == len(other)
        return is_as_long and all(self._is_same(a, b, twins) for a, b in pairs)

    def _text(self, thing: Any) -> str:
        """Say an argument in a message."""
        if isinstance(thing, Value):
            text = f"an array of {np.dtype(thing.dtype)} and shape {thing.shape}" if thing.is_array else "a number"
            return ": ".join(filter(None, (thing.name or self._names.get(id(thing.data)), text)))
        text = name_of(thing) if callable(thing) else repr(thing)
        return text if len(text) <= LONGEST_TEXT else f"another {type(thing).__name__}"


def _leaves(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Give what stands in the same places of lists and tuples of the same length."""
    if type(one) is type(other) and isinstance(one, list | tuple) and len(one) == len(other):
        for pair in zip(one, other):
            yield from _leaves(*pair)
    else:
        yield one, other
