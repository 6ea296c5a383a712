"""Where the arrays of a program in machine code lie: those of the state, buffers, and what Python makes anew."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from autodiff.compiler.plan.elements import NOWHERE, Elements, axis_indices
from autodiff.compiler.plan.fusion import Loop, Part
from autodiff.compiler.plan.memory import SHARED_BYTES, Buffer, form_of, late_inputs, may_view
from autodiff.compiler.program import Call, Program, Value


@dataclass
class Placing:
    """What lies where.

    Attributes:
        home: for values that lie in a buffer or in an array of the state, which.
        buffers: the buffers that are to be made.
        rows: for values that are needed for one row at a time, the buffer of a row.
        overwritten: for each loop the values in whose place it writes others.
        copies: arrays of the state into which something is to be copied at the end, and what.
        late: inputs that are read when the state may have been written into.
    """

    home: dict[Value, Buffer] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    rows: dict[Value, Buffer] = field(default_factory=dict)
    overwritten: dict[Loop, set[Value]] = field(default_factory=lambda: defaultdict(set))
    copies: list[tuple[Value, Value]] = field(default_factory=list)
    late: set[Value] = field(default_factory=set)


def place(program: Program, elements: Elements, parts: list[Part]) -> Placing:
    """Decide where each array lies."""
    return _Placer(program, elements, parts).placing


class _Placer:
    def __init__(self, program: Program, elements: Elements, parts: list[Part]) -> None:
        self.placing = Placing()
        self._elements = elements
        self._items = [(item, part.in_machine) for part in parts for item in part.items]
        self._sources: dict[Value, set[Value]] = defaultdict(set)  # whose memory an array that Python makes may show
        self._last: dict[Value, int] = {}
        self._needed: set[Value] = set()  # values that are read elsewhere than where they are computed
        self._free: dict[Any, list[Buffer]] = defaultdict(list)
        self._until: dict[Buffer, int] = {}
        changing = {before: after for before, after in program.state if after is not before and before.is_array}
        self._owner = {after: before for before, after in changing.items()}
        self._of_state = {before: Buffer(before) for before, _ in program.state if before.is_array}
        self.placing.home.update(self._of_state)
        self._find_uses(program)
        self._assign()
        self.placing.copies = [
            (before, after)
            for before, after in changing.items()
            if self.placing.home.get(after) is not self._of_state[before]
        ]
        items = [item for item, _ in self._items]
        self.placing.late = late_inputs(program, items, self.placing.home, self._last)

    def _find_uses(self, program: Program) -> None:
        for position, (item, in_machine) in enumerate(self._items):
            if isinstance(item, Loop):
                inside = set(item.where)
                for call in item.calls:
                    for value in call.operands():
                        root = self._elements.root(value)
                        self._use(root, position, root not in inside)
            else:
                for value in item.operands():
                    self._use(self._elements.root(value), position, True)
                if not in_machine and may_view(item):
                    for output in item.outputs:
                        for operand in item.operands():
                            root = self._elements.root(operand)
                            self._sources[output] |= {root, *self._sources[root]}
        for value in program.outcomes():
            if isinstance(value, Value):
                self._use(self._elements.root(value), len(self._items), True)

    def _use(self, root: Value, position: int, elsewhere: bool) -> None:
        for value in (root, *self._sources[root]):
            self._last[value] = position
        if elsewhere:
            self._needed.add(root)

    def _assign(self) -> None:
        for position, (item, in_machine) in enumerate(self._items):
            if isinstance(item, Loop):
                for value in item.where:
                    self._place_computed(item, value, position)
            elif in_machine and item.outputs and item.output.is_array:
                self._set(item.output, self._for_product(item, position))
            for value, buffer in self.placing.home.items():
                if (
                    buffer.value.kind != "state"
                    and self._until[buffer] == position
                    and self._last.get(value) == position
                ):
                    free = self._free[form_of(buffer.value)]
                    if buffer not in free:
                        free.append(buffer)

    def _place_computed(self, loop: Loop, value: Value, position: int) -> None:
        """Give what a loop computes a place in memory, if it is read elsewhere, or in another inner loop."""
        is_inner = value in loop.stored
        if not value.is_array or not (value in self._needed or is_inner or loop.level[value] == "after"):
            return
        if is_inner and value not in self._needed and loop.rows and not self._is_gathered(loop, value):
            shape = tuple(size for size, index in zip(value.shape, loop.where[value]) if (index.axis or 0) >= loop.rows)
            buffer = Buffer(Value("call", shape, value.dtype, True, value.name))
            self.placing.buffers.append(buffer)
            self.placing.rows[value] = buffer
            return
        self._set(value, self._for_loop(loop, value, position))

    def _is_gathered(self, loop: Loop, value: Value) -> bool:
        return any(
            self._elements.kinds[call] == "gather" and self._elements.root(call.args[0]) is value for call in loop.calls
        )

    def _set(self, value: Value, buffer: Buffer) -> None:
        self.placing.home[value] = buffer
        self._until[buffer] = max(self._until.get(buffer, 0), self._last.get(value, 0))

    def _for_product(self, call: Call, position: int) -> Buffer:
        before = self._owner.get(call.output)
        if before is not None and form_of(before) == form_of(call.output):
            last = self._last.get(before, -1)
            is_only = sum(self._elements.root(value) is before for value in call.operands()) == 1
            if last < position or (last == position and is_only and call.args[0] is before and len(call.args) == 4):
                return self._of_state[before]
        return self._fresh(call.output)

    def _for_loop(self, loop: Loop, value: Value, position: int) -> Buffer:
        """Find memory for an array: in the place of one that is read for the last time, or else free or new."""
        before = self._owner.get(value)
        if before is not None and form_of(before) == form_of(value):
            last = self._last.get(before, -1)
            if last < position or (last == position and self._in_place(loop, value, before)):
                if last == position:
                    self.placing.overwritten[loop].add(before)
                return self._of_state[before]
        own = loop.reads[self._elements.makers[value]]
        for read in dict.fromkeys(read for reads in (own, *loop.reads.values()) for read, _ in reads):
            buffer = self.placing.home.get(read)
            if (
                buffer is not None
                and buffer.value.kind != "state"
                and read not in loop.where
                and self._until[buffer] == position
                and form_of(read) == form_of(value)
                and self._in_place(loop, value, read)
            ):
                self.placing.overwritten[loop].add(read)
                return buffer
        return self._fresh(value)

    def _in_place(self, loop: Loop, value: Value, other: Value) -> bool:
        """Whether a loop may write a value over another array: it reads that at the same indices and no later."""
        if loop.level[value] == "after" or other in self.placing.overwritten[loop]:
            return False
        memory = self.placing.home.get(other)
        for call, reads in loop.reads.items():
            if self._elements.kinds[call] == "gather" and self._shares(self._elements.root(call.args[0]), memory):
                return False
            turn = loop.turn[call.output]
            for read, indices in reads:
                if not self._shares(self._elements.root(read), memory):
                    continue
                if read is not other or indices != loop.where[value] or turn > loop.turn[value]:
                    return False
        return True

    def _shares(self, root: Value, memory: Buffer | None) -> bool:
        return any(self.placing.home.get(one) is memory for one in (root, *self._sources[root]))

    def _fresh(self, value: Value) -> Buffer:
        free = self._free[form_of(value)]
        if free and value.nbytes >= SHARED_BYTES:
            return free.pop()
        buffer = Buffer(value)
        self.placing.buffers.append(buffer)
        return buffer


def is_flat(loop: Loop, memory: dict[Value, Any]) -> bool:
    """Whether a loop over several axes runs through whole arrays, so that one index is enough."""
    if loop.rows is not None or len(loop.space) < 2:
        return False
    places = [(value, indices) for reads in loop.reads.values() for value, indices in reads if value not in loop.where]
    places += [(value, loop.where[value]) for value in loop.where if value in memory]
    every = axis_indices(loop.space)
    return all(
        tuple(index for index in indices if index != NOWHERE) == every
        and tuple(size for size in value.shape if size != 1) == loop.space
        for value, indices in places
        if value.is_array
    )
