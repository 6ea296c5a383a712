"""The text of one loop nest in machine code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from autodiff.compiler.plan.elements import LETTERS, TEMPLATES, Indices
from autodiff.compiler.plan.nest import Loop, is_counted
from autodiff.compiler.program import Call, Value
from autodiff.compiler.record.recorder import UFUNCS
from autodiff.compiler.write import expressions
from autodiff.compiler.write.scope import Scope
from autodiff.compiler.write.statements import LONGEST

FROM_TO = ("first", "last")  # the bounds of a loop that is shared out among threads


class NestText:
    """Writes one loop nest, whose outermost loop may be shared out among threads."""

    def __init__(self, scope: Scope, loop: Loop, in_threads: bool) -> None:
        self._scope = scope
        self._texts, self._loops = scope.texts, scope.loops
        self._elements = self._loops.elements
        self._loop = loop
        self._in_threads = in_threads
        self._flat = loop in self._loops.flat
        self._text: dict[Value, str] = {}
        self._uses = Counter(value for reads in loop.reads.values() for value, _ in reads)
        self._flat_names: dict[str, str] = {}

    def lines(self) -> list[str]:
        """Write it."""
        loop = self._loop
        before, after = self._totals(call for call in loop.calls if loop.level[call.output] == "after")
        if loop.rows is None:
            nest = self._nested(range(1 if self._flat else len(loop.space)), self._turn(0, inner=True))
        else:
            inside = self._turn(-1, inner=False)
            for turn in range(max(loop.turn.values()) + 1):
                of_turn = (call for call in loop.calls if loop.turn[call.output] == turn)
                first, finish = self._totals(
                    call
                    for call in of_turn
                    if self._elements.kinds[call] == "reduction" and loop.level[call.output] == "row"
                )
                body = self._turn(turn, inner=True)
                inside += [*first, *(self._nested(range(loop.rows, len(loop.space)), body) if body else []), *finish]
                inside += self._turn(turn, inner=False)
            nest = self._nested(range(loop.rows), inside)
        opening = [f"{flat} = {name}.reshape({math.prod(loop.space)})" for name, flat in self._flat_names.items()]
        return [*opening, *before, *nest, *after]

    def _nested(self, axes: range, body: list[str]) -> list[str]:
        """Put loops along some axes around lines."""
        sizes = (math.prod(self._loop.space),) if self._flat else self._loop.space
        for axis in reversed(axes):
            bounds = f"size({sizes[axis]})"
            if axis == 0 and self._in_threads:
                bounds = ", ".join(f"np.uint64({end})" for end in FROM_TO)  # or Numba looks for negative places
            body = [f"for {LETTERS[axis]} in range({bounds}):", *("    " + line for line in body)]
        return body

    # Statements

    def _turn(self, turn: int, inner: bool) -> list[str]:
        """Write the calls of one inner loop, or of the rows between two."""
        loop = self._loop
        lines: list[str] = []
        stores: list[str] = []
        mine = [call for call in loop.calls if loop.turn[call.output] == turn and (call not in loop.of_rows) == inner]
        several = sum(self._is_stored(call.output) for call in mine) > 1
        late = bool(self._loops.overwritten.get(loop))
        for call in mine:
            value = call.output
            if self._elements.kinds[call] == "reduction":
                (text,) = self._reads(call)
                in_array = loop.level[value] == "after" and value in self._loops.home
                total = self._place(value) if in_array else self._text[value]
                lines.append(expressions.accumulated(self._texts, call, total, text, in_array))
                continue
            text = self._expression(call)
            if self._is_stored(value):
                place = self._place(value)
                if (late and several) or self._is_read_now(value, turn):
                    name = self._local(value)
                    lines.append(f"{name} = {text}")
                    text = name
                (stores if late else lines).append(f"{place} = {text}")
            elif self._is_inlined(call, text):
                self._text[value] = text
            else:
                lines.append(f"{self._local(value)} = {text}")
        return [*lines, *stores]

    def _is_stored(self, value: Value) -> bool:
        return value in self._loops.home or value in self._loops.rows

    def _readers(self, value: Value) -> list[Call]:
        """List the calls of the loop that read a value."""
        return [call for call, reads in self._loop.reads.items() if any(read is value for read, _ in reads)]

    def _is_read_now(self, value: Value, turn: int) -> bool:
        """Whether a value is read in the loop, and that not only by later inner loops."""
        readers = self._readers(value)
        return bool(readers) and (
            self._loop.level[value] == "row" or any(self._loop.turn[call.output] == turn for call in readers)
        )

    def _is_inlined(self, call: Call, text: str) -> bool:
        """Whether an expression is short, and used once, in the same place."""
        value, loop = call.output, self._loop
        if not value.is_array or self._uses[value] != 1 or len(text) > LONGEST or value in loop.stored:
            return False
        (reader,) = self._readers(value)
        repeated = TEMPLATES.get(UFUNCS.get(reader.function, reader.function), ("",))[0].count("{0}") > 1
        is_here = (reader in loop.of_rows) == (call in loop.of_rows) and loop.turn[reader.output] == loop.turn[value]
        return is_here and not repeated and self._elements.kinds[reader] != "gather"

    def _local(self, value: Value) -> str:
        """Name a number that the loop computes."""
        if not value.is_array:
            name = self._scope.local(value)
        else:
            letters = "".join(LETTERS[index.axis] for index in self._loop.where[value] if index.axis is not None)
            base = value.wish(self._texts) or self._texts.get(value)
            base = base or self._scope.statements.wish(value, self._elements.makers[value])
            name = self._texts.name((self._loop, value), f"{base}_{letters}" if letters else base)
        self._text[value] = name
        return name

    def _totals(self, calls: Iterable[Call]) -> tuple[list[str], list[str]]:
        """Write what stands before and after the loop that reduces: totals are numbers, or arrays of those of rows.

        The total of many float32 numbers is one of float64.
        """
        before, after = [], []
        for call in calls:
            value, start = call.output, expressions.start(self._texts, call)
            is_row = self._loop.level[value] == "row"
            if value in self._loops.home and not is_row:
                before.append(f"{self._scope.memory(value)}[:] = {start}")
                continue
            name = self._local(value)
            if expressions.is_wide(call):
                wide = self._text[value] = self._texts.name((self._loop, value, "wide"), f"{name}_sum")
                before.append(f"{wide} = np.float64({start})")
                after.append(f"{name} = {self._texts.dtype(value.dtype)}({wide})")
            else:
                before.append(f"{name} = {start}")
            if is_row and self._is_stored(value):
                after.append(f"{self._place(value)} = {self._text[value]}")
        return before, after

    # Expressions

    def _expression(self, call: Call) -> str:
        """Write how one element of a call is computed."""
        if self._elements.kinds[call] != "gather":
            return expressions.computed(self._texts, call, self._reads(call))
        places = self._reads(call)
        sizes = zip(self._loop.reads[call], call.args[0].shape)
        are_inside = [is_counted(value) and value.shape[0] <= size for (value, _), size in sizes]
        array = self._scope.memory(self._elements.root(call.args[0]))
        return expressions.gathered(self._texts, array, call, places, are_inside)

    def _reads(self, call: Call) -> list[str]:
        """Write the elements that a call reads."""
        turn = self._loop.turn[call.output]
        return [self._read(value, indices, turn) for value, indices in self._loop.reads[call]]

    def _read(self, value: Value, indices: Indices, turn: int) -> str:
        """Write an element of an array, or a number, that an inner loop reads."""
        loop = self._loop
        is_of_earlier = loop.level.get(value) == "element" and loop.turn[value] != turn
        if value in self._text and not is_of_earlier:
            return self._text[value]
        if value in loop.where:
            return self._place(value)
        if not value.is_array:
            return self._scope.number(value)
        return str(indices[0]) if is_counted(value) and not self._flat else self._element(value, indices)

    def _place(self, value: Value) -> str:
        """Write the element of an array in memory that the loop is at."""
        where = self._loop.where[value]
        if value in self._loops.rows:
            where = tuple(index for index in where if (index.axis or 0) >= (self._loop.rows or 0))
        return self._element(value, where)

    def _element(self, value: Value, indices: Indices) -> str:
        if not self._flat:
            return self._scope.element(value, ", ".join(map(str, indices)))
        name = self._scope.memory(value)
        if name not in self._flat_names:
            self._flat_names[name] = self._texts.name((self._loop, name), f"{name}_flat")
        return f"{self._flat_names[name]}[{LETTERS[0]}]"
