"""The plan for NumPy, a `Layout`: which calls write into memory that is there, and into which."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.plan.checking import Check, printed
from autodiff.compiler.plan.lifetimes import (
    Buffer,
    Memory,
    Planned,
    is_ufunc,
    is_view,
    made_once,
    sources_of,
    takes_out,
)
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.simplify.exact import REDUCERS
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
            same = [value for value in call.operands() if value.shape == call.output.shape]
            check.do([*call.operands()], call.outputs, same if is_elementwise(call.function) else ())
        check.end(self.calls)


def layout_of(program: Program, exact: bool) -> Layout:
    """Decide for each call whether it writes into a buffer, and into which, or into the state.

    Requires calls in order; gives the same calls, views of memory that stays among those that are made once. Results
    of the program are made anew. Columns change the order in which BLAS adds, so an exact program has none: it keeps
    every bit.
    """
    return _LayoutMaker(program, exact).layout


class _LayoutMaker:
    def __init__(self, program: Program, exact: bool) -> None:
        self._program = program
        self._sources = sources_of(program.calls)
        once = made_once(program)
        self.layout = Layout(program=program, exact=exact, once=once)
        self._stays = {output for call in once for output in call.outputs}  # the same arrays in each run
        self._stays |= {value for value, _ in program.state if value.is_array}
        self._added: set[Call] = set(once)
        self._columns = set() if exact else _in_columns(program)
        calls = [call for call in program.calls if call not in self._added]
        self._memory = Memory(program, calls, self._sources, lends_state=True)
        self.layout.home = self._memory.home
        self._place(calls)
        self._memory.finish(self.layout)

    def _place(self, calls: list[Call]) -> None:
        results = {value for value in self._program.results if isinstance(value, Value)}
        results = results.union(*(self._sources.get(value, ()) for value in results))
        for position, call in enumerate(calls):
            output = call.output
            if takes_out(call) and output not in results:
                self._memory.place(
                    output,
                    position,
                    reads=call.operands() if is_elementwise(call.function) else (),
                    may_overwrite=functools.partial(self._may_overwrite, call),
                    axes=(1, 0) if output in self._columns else output.axes,
                    into_state=call.function is not np.dot,  # which writes into rows only
                )
                self.layout.calls.append(call)
            else:
                self._add_view(call)
            self._memory.end(position)

    def _may_overwrite(self, call: Call, buffer: Buffer) -> bool:
        """Whether a call may write over what it reads: elementwise, and no other operand shows the same memory."""
        inside = [value for value in call.operands() if self.layout.home.get(value) is buffer]
        return (
            bool(inside)
            and is_elementwise(call.function)
            and all(value.shape == call.output.shape for value in inside)
            and not any(one in self._sources.get(value, ()) for one in inside for value in call.operands())
        )

    def _add_view(self, call: Call) -> None:
        """Add a call that makes no array of a known place, unless it is there; views of what stays are made once."""
        if call in self._added:
            return
        self._added.add(call)
        if call.output.is_array and is_view(call):
            source = call.args[0]
            home = self.layout.home.get(source)
            stays = source in self._stays or (home is not None and not home.is_state)
            if stays and all(value is source for value in call.operands()):
                self._stays.add(call.output)
                self.layout.once.append(call)
                return
        self.layout.calls.append(call)


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
