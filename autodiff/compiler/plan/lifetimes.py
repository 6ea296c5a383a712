"""How long the memory of each value is needed, and where values lie, so that it is used again: for both backends."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autodiff.arrays.placement import is_basic
from autodiff.arrays.whole import require
from autodiff.compiler.program import Call, Program, Value
from autodiff.core.rule import Function, facts_of

# Items are what is done at once, and know their ``operands()`` and ``outputs``: calls, or loops of several.
Sources = Mapping[Value, set[Value]]
SHARED_BYTES = 2**16  # smaller arrays have memory of their own, so that they can have a name of their own


@dataclass(eq=False)
class Buffer:
    """Memory that is made once for all runs, or an array of the state.

    Attributes:
        value: the first value that lies in it.
        axes: the order of the axes in memory, as in `Value`.
    """

    value: Value
    axes: tuple[int, ...] | None = None

    @property
    def is_state(self) -> bool:
        """Whether it is an array of the state."""
        return self.value.kind == "state"


@dataclass(kw_only=True, eq=False)
class Planned:
    """A program of which it is known where each array lies.

    Attributes:
        program: what is planned.
        once: calls that are made once, before the first run.
        calls: those of each run.
        buffers: the buffers that are to be made.
        home: for values that lie in a buffer or in an array of the state, which.
        copies: arrays of the state into which something is to be copied at the end, and what.
        kept: of what is copied, that which may lie in another array of the state, into which something else is copied.
        late: inputs that are read when the state may have been written into: they must lie apart from it.
    """

    program: Program
    once: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    home: dict[Value, Buffer] = field(default_factory=dict)
    copies: list[tuple[Value, Value]] = field(default_factory=list)
    kept: set[Value] = field(default_factory=set)
    late: set[Value] = field(default_factory=set)


# What calls do with memory


def is_ufunc(function: Function) -> bool:
    """Whether a function is a ufunc, or a method of one."""
    return isinstance(function, np.ufunc) or isinstance(getattr(function, "__self__", None), np.ufunc)


def takes_out(call: Call) -> bool:
    """Whether a call can write its result into an array that it is given."""
    if call.function in (np.concatenate, np.stack) and "dtype" in call.kwargs:
        return False  # NumPy takes one of the two
    return not call.several and call.output.is_array and (is_ufunc(call.function) or facts_of(call.function).takes_out)


def may_view(call: Call) -> bool:
    """Whether the result may share memory with an argument."""
    return not (is_ufunc(call.function) or facts_of(call.function).is_new)


def is_view(call: Call) -> bool:
    """Whether the result surely shows the memory of the first argument, in an order that is known beforehand."""
    return facts_of(call.function).is_view or (call.function is operator.getitem and is_basic(call.args[1]))


def shows(call: Call) -> bool:
    """Whether the result is the first argument in another form, in its memory where NumPy finds a way."""
    return is_view(call) or call.function in (np.reshape, np.ravel)


def is_reshape(call: Call) -> bool:
    """Whether the result is the first argument in another shape, with its elements in the usual order."""
    count = {np.reshape: 2, np.ravel: 1}.get(call.function)
    return len(call.args) == count and not call.kwargs


def made_once(program: Program) -> list[Call]:
    """List the calls that depend on constants alone, in order: one run's results serve all."""
    fixed: set[Value] = set()
    once = []
    for call in program.calls:
        if not call.effect and all(value.kind == "constant" or value in fixed for value in call.operands()):
            fixed.update(call.outputs)
            once.append(call)
    return once


def changing(program: Program) -> dict[Value, Value]:
    """Give the arrays of the state that a program changes, and what they become."""
    return {before: after for before, after in program.state if after is not before and before.is_array}


def sources_of(calls: Iterable[Call], shows: Callable[[Call], bool] = may_view) -> dict[Value, set[Value]]:
    """Say whose memory each value may show, given calls in order, and which of them may give a view."""
    sources: dict[Value, set[Value]] = defaultdict(set)
    for call in calls:
        arrays = [output for output in call.outputs if output.is_array]
        if arrays and shows(call):
            for operand in call.operands():
                for output in arrays:
                    sources[output] |= {operand, *sources[operand]}
    return sources


def last_uses(program: Program, items: Sequence[Any], sources: Sources) -> dict[Value, int]:
    """Say as which item each value is made or used for the last time, itself or by what may show its memory.

    Results, and what is left in the state, are used after all items, and the state that changes by each check, as it
    is to be what it was where one fails.
    """
    last: dict[Value, int] = {}

    def use(values: Iterable[Any], position: int) -> None:
        for value in values:
            if isinstance(value, Value):
                last.update(dict.fromkeys((value, *sources.get(value, ())), position))

    for position, item in enumerate(items):
        use(item.outputs, position)
        use(item.operands(), position)
        if isinstance(item, Call) and item.function is require:
            use(changing(program), position)
    use(program.outcomes(), len(items))
    return last


class Memory:
    """Gives values their places, as one goes through what is done in order: `place`, and `end` after each item.

    With ``lends_state`` other values may lie in an array of the state after its last use, until it is written anew.

    Attributes:
        buffers: those that are to be made.
        home: where values lie.
        last: as which item each value is used for the last time.
    """

    def __init__(self, program: Program, items: Sequence[Any], sources: Sources, lends_state: bool) -> None:
        self.last = last_uses(program, items, sources)
        self.home = {before: Buffer(before) for before, _ in program.state if before.is_array}
        self.buffers: list[Buffer] = []
        self._program = program
        self._items = items
        self._sources = sources
        self._changing = changing(program)
        self._lent = self._changing if lends_state else ()
        self._owner = {after: before for before, after in self._changing.items()}
        self._until = {home: self.last.get(before, -1) for before, home in self.home.items()}
        self._dying: dict[int, list[Buffer]] = defaultdict(list)
        self._free: dict[Any, dict[Buffer, None]] = defaultdict(dict)

    def place(
        self,
        value: Value,
        position: int,
        reads: Iterable[Value],
        may_overwrite: Callable[[Buffer], bool],
        axes: tuple[int, ...] | None = None,
        into_state: bool = True,
    ) -> Buffer:
        """Find memory for what an item gives: its place in the state, that of what is read last, free, or new.

        Args:
            value: what it gives.
            position: which item it is.
            reads: what it reads, in whose place the value might lie.
            may_overwrite: whether it may write the value over a buffer that it reads.
            axes: the order of the axes in memory.
            into_state: whether it can write into an array of the state, of whatever strides.
        """
        before = self._owner.get(value) if into_state else None
        homes = [self.home[before]] if before is not None and form_of(before) == form_of(value) else []
        of_reads = (self.home[read] for read in reads if read in self.home and form_of(read) == form_of(value))
        homes += [home for home in of_reads if home.axes == axes and (not home.is_state or home.value in self._lent)]
        for home in homes:
            until = self._until[home]
            if until < position or (until == position and may_overwrite(home)):
                break
        else:
            free = self._free[form_of(value), axes]
            home = free.popitem()[0] if free else self.new(value, axes)
        self.home[value] = home
        self._until[home] = max(self._until.get(home, 0), self.last[value])
        self._dying[self.last[value]].append(home)
        return home

    def new(self, value: Value, axes: tuple[int, ...] | None = None) -> Buffer:
        """Make a buffer."""
        self.buffers.append(Buffer(value, axes))
        return self.buffers[-1]

    def end(self, position: int) -> None:
        """Let go of the memory that is not needed after an item."""
        for buffer in self._dying.pop(position, ()):
            if self._until[buffer] <= position and not buffer.is_state and buffer.value.nbytes >= SHARED_BYTES:
                self._free[form_of(buffer.value), buffer.axes][buffer] = None

    def finish(self, planned: Planned) -> None:
        """Write down what lies where, and what is still to be done at the end."""
        home = planned.home = self.home
        planned.buffers = self.buffers
        changes = self._changing.items()
        planned.copies = [(before, after) for before, after in changes if home.get(after) is not home[before]]
        of_state = {value for value, buffer in home.items() if buffer.is_state}
        arrays = [after for _, after in planned.copies if after.is_array]
        planned.kept = {after for after in arrays if of_state & {after, *self._sources.get(after, ())}}
        is_written = (any(output in of_state for output in item.outputs) for item in self._items)
        first = next((position for position, is_one in enumerate(is_written) if is_one), len(self._items))
        inputs = self._program.inputs
        planned.late = {value for value in inputs if value.is_array and self.last.get(value, -1) >= first}


def form_of(value: Value) -> Any:
    """Give what two values have in common that can lie in one buffer."""
    return value.shape, np.dtype(value.dtype)
