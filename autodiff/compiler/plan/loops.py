"""The plan for Numba, a `LoopProgram`: the form between the calls of a step and the text of its loops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from autodiff.compiler.plan.checking import Check, Labels, printed
from autodiff.compiler.plan.elements import LETTERS, Elements, Indices
from autodiff.compiler.plan.lifetimes import Buffer, Planned, may_view, sources_of
from autodiff.compiler.plan.nest import Loop
from autodiff.compiler.program import Call, Value, values_in
from autodiff.compiler.simplify.rounding import add_product


@dataclass(eq=False)
class Part:
    """What runs one after the other: a function of machine code, or statements of Python.

    Attributes:
        in_machine: which of them.
        items: loops, and calls that stand alone: products and checks in machine code, all calls in Python.
        in_threads: whether it is one loop whose outermost axis is shared out among threads.
    """

    in_machine: bool
    items: list[Loop | Call] = field(default_factory=list)
    in_threads: bool = False

    def calls(self) -> list[Call]:
        """List the calls, also those in loops."""
        return [call for item in self.items for call in (item.calls if isinstance(item, Loop) else (item,))]


@dataclass(kw_only=True, eq=False)
class LoopProgram(Planned):
    """A program for machine code: parts, which run in order, of loops and of calls that stand alone.

    What a `Loop` computes is a number for each element, and lies in memory only where it has to: if it is read by
    something else, it has a ``home``, and if only a later inner loop of the same row reads it, one of ``rows``. Machine
    code looks through views, which only Python makes. A number that one part computes and another reads has memory of
    its own. `check` says whether each value is there when it is read, and printed, the softmax of rows is::

        for i < 8:
            for j < 100:
                largest[i] = np.maximum.reduce(x[i, j], axis=1)
            for j < 100:
                shifted[i, j] = np.subtract(x[i, j], largest[i])
                power[i, j] = np.exp(shifted[i, j])  # in m8, a row
                total[i] = np.add.reduce(power[i, j], axis=1)
            for j < 100:
                share[i, j] = np.divide(power[i, j], total[i])  # in share

    Attributes:
        elements: how each value is computed from others.
        parts: what runs, in order.
        rows: for values that are needed for one row at a time, the buffer of a row.
        crossing: numbers that machine code computes and that Python, or another function, reads.
        overwritten: for each loop the values in whose place it writes others.
        flat: loops over several axes of whole arrays, for which one index is enough.
    """

    elements: Elements
    parts: list[Part]
    rows: dict[Value, Buffer] = field(default_factory=dict)
    crossing: list[Value] = field(default_factory=list)
    overwritten: dict[Loop, set[Value]] = field(default_factory=lambda: defaultdict(set))
    flat: set[Loop] = field(default_factory=set)

    def sources(self) -> dict[Value, set[Value]]:
        """Say whose memory each value may show: a view that of its root, and what Python makes as NumPy does it."""
        elements = self.elements
        return sources_of(
            self.program.calls,
            lambda call: elements.is_view(call.output) or (elements.kinds[call] == "opaque" and may_view(call)),
        )

    def __str__(self) -> str:
        return printed(self, self._lines)

    def _lines(self, labels: Labels) -> Iterator[str]:
        """Write the parts; a view that Python does not make is written where it is read."""
        python = [call for part in self.parts if not part.in_machine for call in part.calls()]
        shown = {output for call in python for output in call.outputs}
        for call in self.program.calls:
            if self.elements.is_view(call.output) and call.output not in shown:
                labels[call.output] = labels.call(call)
        for number, part in enumerate(self.parts, start=1):
            sort = "machine code" if part.in_machine else "Python"
            yield f"part {number}, {sort}{', in threads' * part.in_threads}:"
            for item in part.items:
                lines = self._nest(item, labels) if isinstance(item, Loop) else [labels.line(self, item)]
                yield from (f"    {line}" for line in lines)

    def _nest(self, loop: Loop, labels: Labels) -> Iterator[str]:
        """Write the loops of a nest, and what is computed in each."""
        rows = loop.rows or 0
        indent = ""
        for axis in range(rows):
            yield f"{indent}for {LETTERS[axis]} < {loop.space[axis]}:"
            indent += "    "
        for turn in range(-1, max(loop.turn.values()) + 1):
            calls = [call for call in loop.calls if loop.turn[call.output] == turn]
            inner = [call for call in calls if call not in loop.of_rows]
            if inner:
                axes = zip(LETTERS[rows:], loop.space[rows:])
                yield indent + (", ".join(f"for {letter} < {size}" for letter, size in axes) or "once") + ":"
                yield from (f"{indent}    {self._computed(call, loop, labels)}" for call in inner)
            yield from (indent + self._computed(call, loop, labels) for call in calls if call in loop.of_rows)

    def _computed(self, call: Call, loop: Loop, labels: Labels) -> str:
        """Write what a call computes at the indices of a loop, and where that is kept."""
        value = call.output
        texts = [f"{labels[read]}{_at(indices)}" for read, indices in loop.reads[call]]
        if self.elements.kinds[call] == "gather":
            text = f"{labels[self.elements.root(call.args[0])]}[{', '.join(texts)}]"
        else:
            text = labels.call(call, texts)
        home = self.home.get(value) or self.rows.get(value)
        kept = f"  # in {labels[home.value]}{', a row' if value in self.rows else ''}" if home else ""
        return f"{labels[value]}{_at(loop.where[value])} = {text}{kept}"

    def check(self) -> None:
        """See that each value is computed once and is there when it is read, in memory that holds it.

        Raises:
            ValueError: it is not; the message names the value.
        """
        check = Check(self, self.sources())
        made: dict[Value, int] = {}  # in which part machine code computes a value, or -1 for arrays
        for number, part in enumerate(self.parts):
            for item in part.items:
                reads = [*map(self.elements.root, item.operands())] if part.in_machine else [*item.operands()]
                may_overwrite: Collection[Value] = ()
                if isinstance(item, Loop):
                    self._check_nest(item, check)
                    reads = [value for value in reads if value not in item.where]
                    may_overwrite = self.overwritten.get(item, ())
                elif item.function is add_product:
                    may_overwrite = item.args[:1]
                check.do(reads, item.outputs, may_overwrite)
                self._check_places(reads, number, made, check)
                if part.in_machine:
                    made |= {value: -1 if value.is_array else number for value in item.outputs}
        check.end(call for part in self.parts for call in part.calls())
        self._check_places(values_in(self.program.outcomes()), len(self.parts), made, check)

    def _check_places(self, reads: Iterable[Value], part: int, made: Mapping[Value, int], check: Check) -> None:
        """See that what machine code computes has a place where others find it."""
        for root in map(self.elements.root, reads):
            if made.get(root, part) != part and root not in self.home and root not in self.crossing:
                check.fail(root, "is read from memory, and has none")

    def _check_nest(self, loop: Loop, check: Check) -> None:
        """See that what a nest computes is there by the turn in which it is read, and kept if that is a later one."""
        done: set[Value] = set()
        for call in loop.calls:
            turn = loop.turn[call.output]
            for read, _ in loop.reads[call]:
                if read not in loop.where:
                    continue
                is_row = loop.level[read] == "row"
                behind = turn - (is_row and call not in loop.of_rows)  # a row is complete after its inner loop
                if read not in done or loop.level[read] == "after" or loop.turn[read] > behind:
                    check.fail(read, "is read before it is computed")
                if not is_row and loop.turn[read] < turn and read not in self.home and read not in self.rows:
                    check.fail(read, "is read in a later inner loop, and is not kept")
            done.add(call.output)


def _at(indices: Indices) -> str:
    """Write indices."""
    return f"[{', '.join(map(str, indices))}]" if indices else ""
