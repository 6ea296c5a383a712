"""A loop nest: the calls that are computed in it element by element, and how others are added to them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from autodiff.compiler.plan.elements import (
    NOWHERE,
    Elements,
    Index,
    Indices,
    is_polynomial,
    reduced_axes,
)
from autodiff.compiler.program import Call, Value

Level = Literal["element", "row", "after"]
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
        stored: values that are read by a later inner loop than the one that computes them.
        of_rows: calls that are computed once a row, between inner loops.
    """

    space: tuple[int, ...]
    rows: int | None = None
    calls: list[Call] = field(default_factory=list)
    where: dict[Value, Indices] = field(default_factory=dict)
    level: dict[Value, Level] = field(default_factory=dict)
    turn: dict[Value, int] = field(default_factory=dict)
    reads: dict[Call, list[tuple[Value, Indices]]] = field(default_factory=dict)
    stored: set[Value] = field(default_factory=set)
    of_rows: set[Call] = field(default_factory=set)

    @property
    def outputs(self) -> list[Value]:
        """What the calls give."""
        return list(self.where)

    def operands(self) -> Iterator[Value]:
        """Give every value that the calls use, also those that are computed in the loop."""
        for call in self.calls:
            yield from call.operands()

    @classmethod
    def of(cls, call: Call, elements: Elements) -> Loop:
        """Begin a loop with a call."""
        loop = cls(tuple(size for size in elements.space(call) if size != 1))
        loop.add(call, elements)
        return loop

    def copied(self) -> Loop:
        """Give a copy that may be added to."""
        copied = copy.copy(self)
        for name in ("calls", "where", "level", "turn", "reads", "stored", "of_rows"):
            setattr(copied, name, copy.copy(getattr(self, name)))
        return copied

    def add(self, call: Call, elements: Elements) -> bool:
        """Compute a call in this loop as well, if it can be."""
        kind, output, shape, reads = elements.kinds[call], call.output, elements.space(call), elements.reads(call)
        places = self._places(shape, reads)
        of_reshaped = (elements.root(value) for value, _ in reads if elements.kind_of(value) == "reshaped")
        if places is None or any(root in self.where for root in of_reshaped):
            return False
        if kind == "gather" and elements.root(call.args[0]) in self.where:
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
        if kind == "reduction":
            rows, where, level = self._reduced(call, places, where, level, rows)
        if rows and self.space[-1] <= SHORT and any(map(is_polynomial, (call, *self.calls))):
            return False
        self.level[output] = level
        for value, _ in moved:
            if self.level.get(value) == "element" and self.turn[value] != turn:
                self.stored.add(value)
        self.rows, self.where[output], self.turn[output], self.reads[call] = rows, where, turn, moved
        self.calls.append(call)
        if len(axes) < len(self.space):
            self.of_rows.add(call)
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


def _moved(index: Index, places: dict[int, int]) -> Index:
    return index if index.axis is None else Index(places[index.axis], index.start, index.step)


def is_counted(value: Value) -> bool:
    """Whether an array is a constant that counts from 0, as ``np.arange(n)`` does."""
    data = value.data
    if value.kind != "constant" or data.ndim != 1 or data.dtype.kind not in "iu":
        return False
    return bool((data == range(len(data))).all())
