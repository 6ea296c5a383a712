"""Which calls of a program share a loop nest, which run in machine code at all, and in what order everything runs."""

from __future__ import annotations

import copy
import itertools
import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from autodiff.compiler.plan.elements import (
    NOWHERE,
    Elements,
    Index,
    Indices,
    axis_indices,
    indices_of,
    is_polynomial,
    reduced_axes,
    work_of,
)
from autodiff.compiler.program import Call, Program, Value

Level = Literal["element", "row", "after"]
FUSIBLE = ("elementwise", "reduction", "gather")
FOR_THREADS = 2**24  # the work of a loop, as `work_of` counts it: less gains nothing beside the waiting threads of BLAS
SHORT = 32  # elements of a row: too few to compute many polynomials at once, as a loop over all rows can


@dataclass(eq=False)
class Loop:
    """A loop nest over a space of indices, in which several calls are computed element by element.

    With rows, the outer axes are those of rows: what is computed once for each row stands between inner loops, which
    are numbered. A row's first inner loop may compute its maximum, the next its exponentials and their sum.

    Attributes:
        space: the sizes of the axes.
        rows: how many of the axes are outer ones, None if nothing is computed for rows.
        calls: in order.
        where: at which indices each value is computed.
        level: whether a value is one of each element, of each row, or is complete only after the loop.
        turn: in which inner loop a value is computed; for one of a row, after which, or -1 for before them all.
        reads: what each call reads: values and indices of the loop, those computed in it included.
        stored: values that are read by a later inner loop than the one that computes them, or at computed indices.
    """

    space: tuple[int, ...]
    rows: int | None = None
    calls: list[Call] = field(default_factory=list)
    where: dict[Value, Indices] = field(default_factory=dict)
    level: dict[Value, Level] = field(default_factory=dict)
    turn: dict[Value, int] = field(default_factory=dict)
    reads: dict[Call, list[tuple[Value, Indices]]] = field(default_factory=dict)
    stored: set[Value] = field(default_factory=set)

    @property
    def outputs(self) -> list[Value]:
        """What the calls give."""
        return list(self.where)

    @classmethod
    def of(cls, call: Call, elements: Elements) -> Loop:
        """Begin a loop with a call."""
        shape = call.args[0].shape if elements.kinds[call] == "reduction" else call.output.shape
        loop = cls(tuple(size for size in shape if size != 1))
        loop.add(call, elements)
        return loop

    def copied(self) -> Loop:
        """Give a copy that may be added to."""
        copied = copy.copy(self)
        for name in ("calls", "where", "level", "turn", "reads", "stored"):
            setattr(copied, name, copy.copy(getattr(self, name)))
        return copied

    def add(self, call: Call, elements: Elements) -> bool:
        """Compute a call in this loop as well, if it can be."""
        kind = elements.kinds[call]
        output = call.output
        shape = call.args[0].shape if kind == "reduction" else output.shape
        reads = elements.reads(call)
        places = self._places(shape, reads)
        if places is None or any(elements.kind_of(value) == "reshaped" and elements.root(value) in self.where
                                 for value, _ in reads):  # fmt: skip
            return False
        moved = [(value, tuple(_moved(index, places) for index in indices)) for value, indices in reads]
        axes = {axis for own, axis in places.items() if shape[own] != 1}
        level: Level = "element" if len(axes) == len(self.space) else "row"
        rows = self.rows
        if level == "row":
            rows = len(axes)
            if axes != set(range(rows)) or not rows or self.rows not in (None, rows):
                return False
        turn = self._first_turn(moved, level)
        where = tuple(NOWHERE if shape[k] == 1 else Index(places[k]) for k in range(len(shape)))
        if kind == "gather":
            turn_of_rows = self._turn_of_gathered(call, elements, where, level, turn)
            if turn_of_rows is None:
                return False
            turn = turn_of_rows
        if kind == "reduction":
            rows, where, level = self._reduced(call, places, where, level, rows)
        if rows and self.space[-1] <= SHORT and any(map(is_polynomial, (call, *self.calls))):
            return False
        self.level[output] = level
        if kind == "gather":
            self.stored.add(elements.root(call.args[0]))
        for value, _ in moved:
            if self.level.get(value) == "element" and self.turn[value] != turn:
                self.stored.add(value)
        self.rows, self.where[output], self.turn[output], self.reads[call] = rows, where, turn, moved
        self.calls.append(call)
        return True

    def _reduced(
        self, call: Call, places: dict[int, int], where: Indices, level: Level, rows: int | None
    ) -> tuple[int | None, Indices, Level]:
        """Give the rows, indices and level for a reduction: of each row, if it reduces all axes but outer ones."""
        axes, shape = reduced_axes(call), call.args[0].shape
        gone = {places[axis] for axis in axes if shape[axis] != 1}
        rest = tuple(index for axis, index in enumerate(where) if axis not in axes)
        outer = len(self.space) - len(gone)
        is_row = level == "element" and 0 < outer < len(self.space) and gone == set(range(outer, len(self.space)))
        return (outer, rest, "row") if is_row and rows in (None, outer) else (rows, rest, "after")

    def delay(self, elements: Elements) -> None:
        """Compute what only needs memory in the inner loop that reads it first."""
        for call in reversed(self.calls):
            value = call.output
            of_memory = not any(self.level.get(read) == "element" for read, _ in self.reads[call])
            if elements.kinds[call] != "elementwise" or self.level[value] != "element" or not of_memory:
                continue
            turns = [self.turn[c.output] for c, reads in self.reads.items() if any(read is value for read, _ in reads)]
            if turns and (value not in self.stored or min(turns) > self.turn[value]):
                self.turn[value] = min(turns)
                if len(set(turns)) == 1:
                    self.stored.discard(value)

    def _places(self, shape: tuple[int, ...], reads: list[tuple[Value, Indices]]) -> dict[int, int] | None:
        """Find the axis of this loop for each axis of a call, so that it reads what is computed at the same indices."""
        places: dict[int, int] = {}
        for value, indices in reads:
            if value not in self.where:
                continue
            if self.level[value] == "after":
                return None
            for index, here in zip(indices, self.where[value], strict=True):
                if index.axis is None or here.axis is None:
                    if index != here:
                        return None
                elif (index.start, index.step) != (0, 1) or places.setdefault(index.axis, here.axis) != here.axis:
                    return None
        limit = len(self.space)
        for axis in reversed(range(len(shape))):
            if shape[axis] == 1:
                continue
            if axis not in places:
                free = [k for k in range(limit) if self.space[k] == shape[axis] and k not in places.values()]
                if not free:
                    return None
                places[axis] = free[-1]
            elif self.space[places[axis]] != shape[axis]:
                return None
            limit = places[axis]
        return places if len(set(places.values())) == len(places) else None

    def _first_turn(self, reads: list[tuple[Value, Indices]], level: Level) -> int:
        """Find the first inner loop in which all is there that is read."""
        turn = 0 if level == "element" else -1
        for value, _ in reads:
            if value in self.where:
                later = level == "element" and self.level[value] == "row"
                turn = max(turn, self.turn[value] + later)
        return turn

    def _turn_of_gathered(self, call: Call, elements: Elements, where: Indices, level: Level, turn: int) -> int | None:
        """Find when elements can be taken at computed places: those of a row after the inner loop that computes it."""
        source, places = call.args[0], indices_of(call)
        root = elements.root(source)
        if root not in self.where:
            return turn
        is_plain = elements.look(source, axis_indices(source.shape)) == (root, axis_indices(root.shape))
        if level != "row" or not is_plain or self.level[root] != "element" or len(root.shape) != len(self.space):
            return None
        for position, index in enumerate(self.where[root]):
            if index.axis is not None and index.axis < len(where):
                source_of_places, indices = elements.element(places[position], call.output.shape)
                if not is_counted(source_of_places) or indices != (Index(index.axis),):
                    return None
        return max(turn, self.turn[root])


def _moved(index: Index, places: dict[int, int]) -> Index:
    return index if index.axis is None else Index(places[index.axis], index.start, index.step)


def is_counted(value: Value) -> bool:
    """Whether an array is a constant that counts from 0, as ``np.arange(n)`` does."""
    data = value.data
    if value.kind != "constant" or data.ndim != 1 or data.dtype.kind not in "iu":
        return False
    return bool((data == range(len(data))).all())


@dataclass(eq=False)
class Part:
    """Calls that run one after the other: a function of machine code, or statements of Python.

    Attributes:
        in_machine: which of them.
        items: loops, and calls that stand alone.
        in_threads: whether it is one loop whose outermost axis is shared out among threads.
    """

    in_machine: bool
    items: list[Loop | Call] = field(default_factory=list)
    in_threads: bool = False

    def calls(self) -> list[Call]:
        """List the calls, also those in loops."""
        return [call for item in self.items for call in (item.calls if isinstance(item, Loop) else (item,))]


def parts_of(program: Program, elements: Elements, once: Collection[Call]) -> list[Part]:
    """Put the calls in order: what Python does as early as it can, and what machine code does together."""
    order = _Order(program, elements, once)
    parts: list[Part] = []
    while order.remaining:
        for in_machine in (False, True):
            calls = order.ready(in_machine)
            if calls and in_machine:
                groups = itertools.groupby(
                    fused(calls, elements), key=lambda item: item if is_for_threads(item) else None
                )
                parts += [Part(True, list(items), large is not None) for large, items in groups]
            elif calls:
                parts.append(Part(False, list(calls)))
    return parts


def is_for_threads(item: Loop | Call) -> bool:
    """Whether a loop is worth threads, and can be cut along its first axis."""
    if not isinstance(item, Loop) or not item.space:
        return False
    if math.prod(item.space) * sum(map(work_of, item.calls)) < FOR_THREADS:
        return False
    if "after" in item.level.values() or (item.rows is not None and item.stored):
        return False  # all rounds add to one total, or use the same memory for a row
    reads = [(value, index) for reads in item.reads.values() for value, indices in reads for index in indices]
    # The index is unsigned, which serves as a place in an array as it is, and for nothing else.
    return all((index.axis != 0 or index == Index(0)) and not is_counted(value) for value, index in reads)


class _Order:
    """Which calls are still to be made, and which of them can be."""

    def __init__(self, program: Program, elements: Elements, once: Collection[Call]) -> None:
        self._elements = elements
        self.remaining = [
            call for call in program.calls if call not in once and elements.kinds[call] not in ("view", "reshaped")
        ]
        self._missing = {output for call in self.remaining for output in call.outputs}
        self._in_machine: set[Value] = set()

    def ready(self, in_machine: bool) -> list[Call]:
        """Take the calls of one sort that only need what is there."""
        ready, others, held = [], [], False
        for call in self.remaining:
            roots = {self._elements.root(value) for value in call.operands()}
            is_ready = not (roots & self._missing or (call.effect and held))
            if is_ready and self._belongs(call, roots) == in_machine:
                ready.append(call)
                self._missing.difference_update(call.outputs)
                if in_machine:
                    self._in_machine.update(call.outputs)
            else:
                held = held or call.effect
                others.append(call)
        self.remaining = others
        return ready

    def _belongs(self, call: Call, roots: set[Value]) -> bool:
        """Whether a call belongs into machine code: numbers that Python can compute it computes as the step does."""
        if self._elements.kinds[call] == "opaque":
            return False
        is_of_numbers = not any(value.is_array for value in (*call.operands(), *call.outputs))
        return not is_of_numbers or bool(roots & self._in_machine)


def fused(calls: list[Call], elements: Elements) -> list[Loop | Call]:
    """Join calls into loops."""
    items: list[Loop | Call] = []
    remaining = _checks_first(calls, elements)
    while remaining:
        first = remaining.pop(0)
        if elements.kinds[first] not in FUSIBLE:
            items.append(first)
            continue
        fusion = _Fusion(Loop.of(first, elements), remaining, elements)
        items.append(fusion.loop)
        remaining = fusion.remaining
    return items


def _checks_first(calls: list[Call], elements: Elements) -> list[Call]:
    """Put the checks of values that need no product before all else, so that they part no loops."""
    makers = {output: call for call in calls for output in call.outputs}
    early: dict[Call, None] = {}

    def needed(call: Call) -> dict[Call, None] | None:
        chain: dict[Call, None] = {}
        for value in call.operands():
            maker = makers.get(elements.root(value))
            if maker is not None:
                before = needed(maker) if elements.kinds[maker] in FUSIBLE else None
                if before is None:
                    return None
                chain |= before
        return chain | {call: None}

    for call in calls:
        if call.effect:
            needs = needed(call)
            if needs is None:
                break
            early |= needs
    return [*early, *(call for call in calls if call not in early)]


class _Fusion:
    """The growth of one loop: calls that follow at once, later ones that use what it computes, and what they need."""

    def __init__(self, loop: Loop, calls: list[Call], elements: Elements) -> None:
        self.loop = loop
        self.remaining = calls
        self._elements = elements
        self._makers = {output: call for call in calls for output in call.outputs}
        skipped = False
        for call in calls:
            if call.effect:
                break
            if call in self.loop.calls:
                continue
            if elements.kinds[call] not in FUSIBLE or not (self._uses(call) or self._follows(call, skipped)):
                skipped = True
                continue
            grown = self.loop.copied()
            if self._grow(grown, call):
                self.loop = grown
            else:
                skipped = True
        self.loop = self._without_early(calls)
        self.loop.delay(elements)
        done = set(self.loop.calls)
        self.remaining = [call for call in calls if call not in done]

    def _without_early(self, calls: list[Call]) -> Loop:
        """Leave out what is only read by other loops, and can as well be computed there, from what is in memory."""
        readers: dict[Value, list[Call]] = defaultdict(list)
        for call in calls:
            for value in call.operands():
                readers[self._elements.root(value)].append(call)
        members = list(self.loop.calls)
        for call in reversed(self.loop.calls[1:]):
            others = [reader for reader in readers[call.output] if reader not in members]
            inside = [reader for reader in readers[call.output] if reader in members]
            own = [self._elements.root(value) for value in call.operands()]
            is_free = all(
                root not in self.loop.where or any(reader not in members for reader in readers[root]) for root in own
            )
            if others and not inside and is_free and self._elements.kinds[call] == "elementwise":
                members.remove(call)
        if len(members) == len(self.loop.calls):
            return self.loop
        loop = Loop.of(members[0], self._elements)
        for call in members[1:]:
            loop.add(call, self._elements)
        return loop

    def _uses(self, call: Call) -> bool:
        return any(self._elements.root(value) in self.loop.where for value in call.operands())

    def _follows(self, call: Call, skipped: bool) -> bool:
        """Whether a call comes next, over the same space."""
        shape = call.args[0].shape if self._elements.kinds[call] == "reduction" else call.output.shape
        return not skipped and tuple(size for size in shape if size != 1) == self.loop.space

    def _grow(self, loop: Loop, call: Call) -> bool:
        """Add a call, and before it those that it needs."""
        for value in call.operands():
            root = self._elements.root(value)
            maker = self._makers.get(root)
            if maker is None or root in loop.where:
                continue
            if self._elements.kinds[maker] not in FUSIBLE or not self._grow(loop, maker):
                return False
        return loop.add(call, self._elements)
