"""Whether two records of a step say the same: calls, numbers, functions, contents of constants, what is left."""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from autodiff.compiler.naming import text_of
from autodiff.compiler.program import Call, Value, mapped
from autodiff.compiler.record.surroundings import LONGEST_TEXT, content
from autodiff.compiler.record.tracing import Trace
from autodiff.compiler.simplify.exact import dead
from autodiff.core.rule import name_of
from autodiff.core.tensor import Tensor


@np.errstate(all="ignore")
def folded(traced: Trace) -> Trace:
    """Compute what depends on constants and arrays alone: the record is then as if NumPy had computed that unseen."""
    known = dict(traced.arrays)
    for place, (before, _) in zip(traced.places, traced.program.state):
        if place.key is not None and place.tensor is None:
            known[before] = place.get()

    def data(item: Any) -> Any:
        return known[item] if isinstance(item, Value) else item

    def number(item: Any) -> Any:
        return known[item] if isinstance(item, Value) and item in known and not item.is_array else item

    calls = []
    for call in traced.program.calls:
        if all(value in known for value in call.operands()):
            result = call.function(
                *mapped([*call.args], data), **{key: mapped(v, data) for key, v in call.kwargs.items()}
            )
            known |= zip(call.outputs, result if call.several else [result])
        else:
            options = {key: mapped(value, number) for key, value in call.kwargs.items()}
            calls.append(replace(call, args=tuple(mapped([*call.args], number)), kwargs=options))
    state = [(before, number(after)) for before, after in traced.program.state]
    program = replace(traced.program, calls=calls, state=state, results=[number(one) for one in traced.program.results])
    return replace(traced, program=program, arrays=known)


def difference(one: Trace, other: Trace) -> str:
    """Say what first differs between two records, or nothing."""
    return _Comparison(one, other).difference()


class _Comparison:
    def __init__(self, one: Trace, other: Trace) -> None:
        self._one = one
        self._other = other
        self._twins: dict[Any, Any] = {}

    def difference(self) -> str:
        """Say what first differs, or nothing."""
        one, other, twins = self._one.program, self._other.program, self._twins
        self._twins.update(zip(one.inputs, other.inputs))
        found = dict(zip(self._other.keys(), other.state))
        pairs = [(pair, found[key]) for key, pair in zip(self._one.keys(), one.state) if key in found]
        self._twins.update((old[0], new[0]) for old, new in pairs)
        gradients = list(zip(self._one.gradients, self._other.gradients))
        self._twins.update((old.before, new.before) for old, new in gradients if old.before and new.before)
        for before, after in twins.items():
            if before.is_array and (before.shape, before.dtype) != (after.shape, after.dtype):
                return f"{before.name!r} was {self._text(before)} and is {self._text(after)}"
        for old, new in itertools.zip_longest(_calls(self._one), _calls(self._other)):
            if new is None:
                return f"{name_of(old.function)} is no longer called"
            change = self._change(old, new)
            if change:
                line = self._other.lines.get(new.stamp)
                if line is not None:
                    change += f' (File "{line.code.co_filename}", line {line.number}: {text_of(line)})'
                return change
            self._twins.update(zip(old.outputs, new.outputs))
        if self._one.form != self._other.form or not self._is_same(one.results, other.results):
            return "it returns something else"
        for (before, old_after), (_, new_after) in pairs:
            if not self._is_same(old_after, new_after):
                return f"it leaves something else in {before.name!r}"
        for old, new in gradients:
            is_other = old.change != new.change and "none" not in (old.change, new.change)
            if is_other or not self._is_same(old.after, new.after):
                whose = old.of._label() if isinstance(old.of, Tensor) else repr(one.inputs[old.of].name)
                return f"it leaves another gradient of {whose}"
        return ""

    def _change(self, old: Call | None, new: Call) -> str:
        """Say in what a call differs from what it was, or nothing."""
        if old is None:
            return f"after its last call it goes on with {name_of(new.function)}"
        if not self._is_same(old.function, new.function):
            return f"it called {name_of(old.function)} where it calls {name_of(new.function)}"
        given = (old.args, list(old.kwargs.items())), (new.args, list(new.kwargs.items()))
        if self._is_same(*given):
            return ""
        for one, other in _leaves(*given):
            if not self._is_same(one, other):
                before, after = self._text(one), self._text(other)
                change = f"was given {before} and is given {after}"
                return f"{name_of(old.function)} {change if before != after else f'is given other contents of {after}'}"
        return ""

    def _is_same(self, one: Any, other: Any) -> bool:
        if isinstance(one, Value):
            if one in self._twins:
                return self._twins[one] is other
            a, b = self._one.arrays.get(one), self._other.arrays.get(other)
            if a is None or b is None or a.dtype != b.dtype:
                return False
            return a is b or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
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
            if (one, other) in self._twins:  # which is in its own closure
                return True
            self._twins[one, other] = True
            cells = [[content(cell) for cell in function.__closure__ or ()] for function in (one, other)]
            pairs = [(one.__code__, other.__code__), (one.__defaults__, other.__defaults__), (cells[0], cells[1])]
        elif isinstance(one, float | complex | np.generic):
            return repr(one) == repr(other)  # which tells zeros apart, and not one NaN from another
        else:
            is_known = callable(one) or type(one).__eq__ is not object.__eq__  # type: ignore[comparison-overlap]
            return not is_known or (one == other) is not False
        is_as_long = not hasattr(one, "__len__") or len(one) == len(other)
        return is_as_long and all(self._is_same(a, b) for a, b in pairs)

    def _text(self, thing: Any) -> str:
        """Say an argument in a message."""
        if isinstance(thing, Value):
            text = f"an array of {np.dtype(thing.dtype)} and shape {thing.shape}" if thing.is_array else "a number"
            return ": ".join(filter(None, (thing.name, text)))
        text = name_of(thing) if callable(thing) else repr(thing)
        return text if len(text) <= LONGEST_TEXT else f"another {type(thing).__name__}"


def _calls(traced: Trace) -> list[Call]:
    """List the calls whose values somebody uses."""
    gradients = [gradient.after for gradient in traced.gradients if gradient.after is not None]
    return dead(replace(traced.program, results=[*traced.program.results, *gradients])).calls


def _leaves(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Give what stands in the same places of lists and tuples of the same length."""
    if type(one) is type(other) and isinstance(one, list | tuple) and len(one) == len(other):
        for pair in zip(one, other):
            yield from _leaves(*pair)
    else:
        yield one, other
