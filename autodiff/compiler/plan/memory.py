"""Where the arrays of a program lie: which share memory, which are made once and used again by every run."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autodiff.arrays.placement import is_basic
from autodiff.arrays.whole import require
from autodiff.compiler.program import Call, Program, Value
from autodiff.compiler.record.recorder import UFUNCS
from autodiff.compiler.simplify.exact import REDUCERS
from autodiff.core.rule import Function, facts_of, is_elementwise


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
    def columns(self) -> bool:
        """Whether it is a matrix that lies column by column."""
        return self.axes == (1, 0)


@dataclass
class Layout:
    """What lies where.

    Attributes:
        exact: whether the program is to keep every bit.
        once: calls that are made once, before the first run: of constants, and views of memory that stays.
        calls: those of each run.
        buffers: the buffers that are to be made.
        home: for values that lie in a buffer or in an array of the state, which.
        copies: for each array of the state that changes what is to be copied into it at the end: None where it is
            there already.
        late: inputs that are read when the state may have been written into: they must lie apart from it.
    """

    exact: bool = False
    once: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    home: dict[Value, Buffer] = field(default_factory=dict)
    copies: list[tuple[Value, Value | None]] = field(default_factory=list)
    late: set[Value] = field(default_factory=set)


def takes_out(call: Call) -> bool:
    """Whether a call can write its result into an array that it is given."""
    if call.function in (np.concatenate, np.stack) and "dtype" in call.kwargs:
        return False  # NumPy takes one of the two
    return not call.several and call.output.is_array and (_is_ufunc(call.function) or facts_of(call.function).takes_out)


def _is_ufunc(function: Function) -> bool:
    return isinstance(function, np.ufunc) or isinstance(getattr(function, "__self__", None), np.ufunc)


def may_view(call: Call) -> bool:
    """Whether the result may share memory with an argument."""
    return not (_is_ufunc(call.function) or facts_of(call.function).is_new)


def gives_array(call: Call) -> bool:
    """Whether NumPy may give an array, if one without axes, for a call that gives one value."""
    if call.several or call.function in UFUNCS or not isinstance(call.output.dtype, np.dtype):
        return False
    if call.function is operator.getitem:
        index = call.args[1]
        return any(item is None or item is Ellipsis for item in (index if isinstance(index, tuple) else (index,)))
    return may_view(call) or call.function in (np.where, np.ones_like, np.zeros_like, np.full_like, np.copy)


def made_once(program: Program) -> dict[Call, None]:
    """List the calls that depend on constants alone."""
    fixed: set[Value] = set()
    once: dict[Call, None] = {}
    for call in program.calls:
        if not call.effect and all(value.kind == "constant" or value in fixed for value in call.operands()):
            fixed.update(call.outputs)
            once[call] = None
    return once


def layout_of(program: Program, exact: bool) -> Layout:
    """Decide where each array lies."""
    return _LayoutMaker(program, exact).layout


class _LayoutMaker:
    def __init__(self, program: Program, exact: bool) -> None:
        self.layout = Layout(exact)
        self._program = program
        self._changing = {before: after for before, after in program.state if after is not before and before.is_array}
        self._sources: dict[Value, set[Value]] = defaultdict(set)  # whose memory a value may show
        self._stays: set[Value] = set()  # values that are the same array in each run
        self._free: dict[Any, list[Buffer]] = defaultdict(list)
        self._added: set[Call] = set()
        self._until: dict[Buffer, int] = {}  # the last call that needs what lies in a buffer
        self._columns = set() if exact else _in_columns(program)
        self._transposes = [call for call in program.calls if call.function is np.transpose and len(call.args) == 1]
        self._split()
        self._last = self._last_uses()
        self._place()

    def _split(self) -> None:
        """Part the calls that are made once, since they depend on constants alone."""
        once = made_once(self._program)
        for call in self._program.calls:
            (self.layout.once if call in once else self.layout.calls).append(call)
            if may_view(call):
                for output in call.outputs:
                    for operand in call.operands():
                        self._sources[output] |= {operand, *self._sources[operand]}
        self._stays = {output for call in once for output in call.outputs}
        self._stays |= {value for value, _ in self._program.state if value.is_array}

    def _last_uses(self) -> dict[Value, int]:
        """Say of each value in which call its memory is needed for the last time."""
        last: dict[Value, int] = {}

        def use(value: Value, position: int) -> None:
            last[value] = position
            for source in self._sources[value]:
                last[source] = position

        for position, call in enumerate(self.layout.calls):
            for output in call.outputs:
                use(output, position)
            for operand in (*call.operands(), *(self._changing if call.function is require else ())):
                use(operand, position)  # the state is as it was where a check fails
        for value in self._program.outcomes():
            if isinstance(value, Value):
                use(value, len(self.layout.calls))
        return last

    def _place(self) -> None:
        program, layout = self._program, self.layout
        owner = {after: before for before, after in self._changing.items()}
        result = set()
        for value in program.results:
            if isinstance(value, Value):
                result |= {value, *self._sources[value]}
        at_home = {before: Buffer(before) for before, _ in program.state if before.is_array}
        layout.home.update(at_home)
        calls, layout.calls = layout.calls, []
        dies: dict[int, list[Value]] = defaultdict(list)
        for value, position in self._last.items():
            dies[position].append(value)
        for position, call in enumerate(calls):
            if takes_out(call) and call.output not in result:
                home = layout.home[call.output] = self._buffer_for(call, position, owner, at_home)
                self._until[home] = max(self._until.get(home, 0), self._last[call.output])
                if home.columns and call.function is np.matmul:
                    call = self._transposed(call)
                layout.calls.append(call)
            else:
                self._add_view(call)
            for value in dies[position]:
                buffer = layout.home.get(value)
                if buffer is not None and self._is_free(buffer, position):
                    free = self._free[form_of(value, buffer.axes)]
                    if buffer not in free:
                        free.append(buffer)
        for before, after in self._changing.items():
            layout.copies.append((before, None if layout.home.get(after) is at_home[before] else after))
        layout.late = late_inputs(program, calls, layout.home, self._last)

    def _add_view(self, call: Call) -> None:
        """Add a call that makes no array of a known place, unless it is there; views of what stays are made once."""
        if call in self._added:
            return
        self._added.add(call)
        is_item = call.function is operator.getitem and is_basic(call.args[1])
        if call.output.is_array and (is_item or facts_of(call.function).is_view):
            source = call.args[0]
            home = self.layout.home.get(source)
            stays = source in self._stays or (home is not None and home.value.kind != "state")
            if stays and all(value is source for value in call.operands()):
                self._stays.add(call.output)
                self.layout.once.append(call)
                return
        self.layout.calls.append(call)

    def _transposed(self, call: Call) -> Call:
        """Compute ``Bᵀ Aᵀ`` in place of ``A B``, since the result lies in columns."""
        sides = []
        for side in reversed(call.args):
            source = next((other.args[0] for other in self._transposes if other.output is side), None)
            view = next((other for other in self._transposes if other.args[0] is side), None)
            if source is None and view is not None:
                source = view.output
                self._add_view(view)
            if source is None:
                source = Value("call", side.shape[::-1], side.dtype, True)
                self._add_view(Call(np.transpose, (side,), {}, [source], stamp=call.stamp))
            sides.append(source)
        return Call(np.matmul, tuple(sides), {}, call.outputs, stamp=call.stamp)

    def _buffer_for(self, call: Call, position: int, owner: dict[Value, Value], at_home: dict[Value, Buffer]) -> Buffer:
        """Find the memory for what a call gives: that of an argument, of the state, one that is free, or a new one."""
        output = call.output
        axes = (1, 0) if output in self._columns else output.axes
        before = owner.get(output) if call.function is not np.dot else None  # which writes into rows only
        if before is not None and (output.shape, output.dtype) == (before.shape, before.dtype):
            home = at_home[before]
            inside = [value for value in call.operands() if self.layout.home.get(value) is home]
            in_place = bool(inside) and all(self._in_place(call, value) for value in inside)
            if self._last_of_state(home) < position + in_place:
                return home
        if is_elementwise(call.function):
            for operand in call.operands():
                buffer = self.layout.home.get(operand)
                if (
                    buffer is not None
                    and (self._is_free(buffer, position) or self._is_left(buffer, position))
                    and buffer.axes == axes
                    and form_of(operand, axes) == form_of(output, axes)
                    and self._in_place(call, operand)
                ):
                    return buffer
        free = self._free[form_of(output, axes)]
        if free and output.nbytes >= SHARED_BYTES:
            return free.pop()
        buffer = Buffer(output, axes)
        self.layout.buffers.append(buffer)
        return buffer

    def _is_free(self, buffer: Buffer, position: int) -> bool:
        """Whether memory is a buffer of ours, and nothing in it is needed after a call."""
        return buffer.value.kind != "state" and self._until[buffer] <= position

    def _is_left(self, buffer: Buffer, position: int) -> bool:
        """Whether an array of the state will be written anew, and nothing in it is needed after a call."""
        return buffer.value in self._changing and self._last_of_state(buffer) <= position

    def _last_of_state(self, home: Buffer) -> int:
        """Give the last call that needs what lies in an array of the state."""
        return max(self._last.get(home.value, -1), self._until.get(home, -1))

    def _in_place(self, call: Call, operand: Value) -> bool:
        """Whether a call may write over an operand: it is elementwise, and no other operand shows the same memory."""
        return (
            is_elementwise(call.function)
            and operand.shape == call.output.shape
            and not any(operand in self._sources[value] for value in call.operands() if value is not operand)
        )


def late_inputs(
    program: Program, items: Sequence[Any], home: Mapping[Value, Buffer], last: Mapping[Value, int]
) -> set[Value]:
    """Find the inputs that are read, for the last time, when some of the state may have been written into.

    Args:
        program: the program.
        items: what is done in order: calls, or loops of several.
        home: where values lie.
        last: as which of the items reads a value last, or their number for results.
    """
    is_written = (
        any(output in home and home[output].value.kind == "state" for output in item.outputs) for item in items
    )
    first = next((position for position, is_one in enumerate(is_written) if is_one), len(items))
    return {value for value in program.inputs if value.is_array and last.get(value, -1) >= first}


def form_of(value: Value, axes: tuple[int, ...] | None = None) -> Any:
    """Give what two values have in common that can lie in one buffer."""
    return value.shape, np.dtype(value.dtype), axes


SHARED_BYTES = 2**16  # smaller arrays have memory of their own, so that they can have a name of their own
SHORT = 32  # NumPy reduces along a last axis of fewer elements faster if they lie in columns


def _in_columns(program: Program) -> set[Value]:
    """Choose matrices of short rows that are reduced row by row, and all that is computed from them elementwise."""
    reduced = {
        call.args[0]
        for call in program.calls
        if call.function in REDUCERS and call.kwargs.get("axis") in (1, -1) and _is_tall(call.args[0])
    }
    makers = {output for call in program.calls if _is_ufunc(call.function) for output in call.outputs}
    chosen: set[Value] = set()
    for call in program.calls:
        if _is_ufunc(call.function) and takes_out(call) and _is_tall(call.output):
            related = {value for value in call.operands() if value.shape == call.output.shape}
            if call.output in reduced or (is_elementwise(call.function) and related & chosen):
                chosen.add(call.output)
    for call in reversed(program.calls):
        if takes_out(call) and call.output in chosen and is_elementwise(call.function):
            chosen |= {value for value in call.operands() if value.shape == call.output.shape and value in makers}
    return chosen


def _is_tall(value: Any) -> bool:
    return isinstance(value, Value) and len(value.shape) == 2 and 1 < value.shape[1] <= SHORT < 2 * value.shape[0]
