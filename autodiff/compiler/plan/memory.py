"""The plan for NumPy, a `Layout`: which calls write into memory that is there, and into which."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.plan.checking import Check, printed
from autodiff.compiler.plan.lifetimes import (
    Buffer,
    Memory,
    Planned,
    Sources,
    is_ufunc,
    is_view,
    made_once,
    sources_of,
    takes_out,
)
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.record.recorder import updated
from autodiff.compiler.simplify.exact import REDUCERS
from autodiff.compiler.simplify.rounding import increased
from autodiff.core.rule import is_elementwise

SHORT = 32  # NumPy reduces along a last axis of fewer elements faster if they lie in columns


@dataclass(kw_only=True, eq=False)
class Layout(Planned):
    """A program for NumPy: a value with a home is written into it by its call (``out=``), all others NumPy makes anew.

    ``print`` shows the calls with their memory, and `check` says whether each value is there when it is read.

    Attributes:
        exact: whether the program is to keep every bit.
    """

    exact: bool = False

    def __str__(self) -> str:
        return printed(self, lambda labels: [labels.line(self, call) for call in self.calls])

    def check(self) -> None:
        """See that each value is computed once and is there when it is read, in memory that holds it.

        Raises:
            ValueError: it is not; the message names the value.
        """
        check = Check(self, sources_of((*self.once, *self.calls)))
        for call in self.calls:
            same = [value for value in _overwritable(call) if value.shape == call.output.shape]
            check.do(call.operands(), call.outputs, same)
        check.end(self.calls)


def layout_of(program: Program, exact: bool) -> Layout:
    """Decide for each call whether it writes into a buffer, and into which, or into the state.

    Requires calls in order; gives the same calls, views of memory that stays among those that are made once. Results
    of the program are made anew. Columns change the order in which BLAS adds, so an exact program has none: it keeps
    every bit.
    """
    sources = sources_of(program.calls)
    layout = Layout(program=program, exact=exact, once=made_once(program))
    stays = {output for call in layout.once for output in call.outputs}  # the same arrays in each run
    calls = [call for call in program.calls if stays.isdisjoint(call.outputs)]
    stays |= {value for value, _ in program.state if value.is_array}
    columns = set() if exact else _in_columns(program)
    memory = Memory(program, calls, sources, lends_state=True)
    results = {value for value in program.results if isinstance(value, Value)}
    results = results.union(*(sources.get(value, ()) for value in results))
    for position, call in enumerate(calls):
        output = call.output
        if takes_out(call) and output not in results:
            memory.place(
                output,
                position,
                reads=_overwritable(call),
                may_overwrite=functools.partial(_may_overwrite, call, memory.home, sources),
                axes=(1, 0) if output in columns else output.axes,
                into_state=call.function is not np.dot,  # which writes into rows only
            )
        elif _is_fixed_view(call, memory.home, stays):
            stays.add(output)
            layout.once.append(call)
        if output not in stays:
            layout.calls.append(call)
        memory.end(position)
    memory.finish(layout)
    return layout


def _may_overwrite(call: Call, home: Mapping[Value, Buffer], sources: Sources, buffer: Buffer) -> bool:
    """Whether a call may write over what it reads there, and no other operand shows the same memory."""
    inside = {value for value in call.operands() if home.get(value) is buffer}
    return (
        bool(inside)
        and inside.issubset(_overwritable(call))
        and all(value.shape == call.output.shape for value in inside)
        and not any(one in sources.get(value, ()) for one in inside for value in call.operands())
    )


def _overwritable(call: Call) -> Sequence[Value]:
    """List the operands in whose place a call may write its result, as it does not need their elements later.

    In the place of one complex number, NumPy rounds a product in another way than beside it.
    """
    if call.function in (updated, increased):
        return () if call.args[0] in call.operands()[1:] else call.operands()[:1]
    is_one = np.dtype(call.output.dtype).kind == "c" and call.output.shape.count(1) == len(call.output.shape)
    return call.operands() if is_elementwise(call.function) and not is_one else ()


def _is_fixed_view(call: Call, home: Mapping[Value, Buffer], stays: Collection[Value]) -> bool:
    """Whether a call makes a view of memory that is the same in each run."""
    if not call.output.is_array or not is_view(call):
        return False
    source = call.args[0]
    is_fixed = source in stays or (source in home and not home[source].is_state)
    return is_fixed and all(value is source for value in call.operands())


def _in_columns(program: Program) -> set[Value]:
    """Choose matrices of short rows that are reduced row by row, and all that is computed from them elementwise."""
    reduced = {
        call.args[0]
        for call in program.calls
        if call.function in REDUCERS and call.kwargs.get("axis") in (1, -1) and _is_tall(call.args[0])
    }
    makers = {output for call in program.calls if is_ufunc(call.function) for output in call.outputs}
    chosen: set[Value] = set()
    for call in program.calls:
        if is_ufunc(call.function) and takes_out(call) and _is_tall(call.output):
            related = {value for value in call.operands() if value.shape == call.output.shape}
            if call.output in reduced or (is_elementwise(call.function) and related & chosen):
                chosen.add(call.output)
    for call in reversed(program.calls):
        if takes_out(call) and call.output in chosen and is_elementwise(call.function):
            chosen |= {value for value in call.operands() if value.shape == call.output.shape and value in makers}
    return chosen


def _is_tall(value: Any) -> bool:
    return isinstance(value, Value) and len(value.shape) == 2 and 1 < value.shape[1] <= SHORT < 2 * value.shape[0]
