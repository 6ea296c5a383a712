"""Where the arrays of a program in machine code lie: those of the state, buffers, and what Python makes anew."""

from __future__ import annotations

import functools

from autodiff.compiler.plan.elements import NOWHERE, axis_indices
from autodiff.compiler.plan.lifetimes import Buffer, Memory
from autodiff.compiler.plan.loops import LoopProgram
from autodiff.compiler.plan.nest import Loop
from autodiff.compiler.program import Call, Value
from autodiff.compiler.simplify.rounding import add_product


def place(loops: LoopProgram) -> None:
    """Decide where each array of a loop program lies.

    Requires its parts; gives a home to what machine code computes and is read elsewhere than in the inner loop that
    computes it, or a row, where one at a time is enough. All else in a loop is a number for each element.
    """
    _Placer(loops)


class _Placer:
    def __init__(self, loops: LoopProgram) -> None:
        self._loops = loops
        self._elements = loops.elements
        self._sources = loops.sources()
        items = [(item, part.in_machine) for part in loops.parts for item in part.items]
        self._needed = self._read_elsewhere([item for item, _ in items])
        # Not lent: a loop may run long before a call of Python that fails, after which the state is to be what it was.
        self._memory = Memory(loops.program, [item for item, _ in items], self._sources, lends_state=False)
        loops.home = self._memory.home
        for position, (item, in_machine) in enumerate(items):
            if isinstance(item, Loop):
                for value in item.where:
                    self._place_computed(item, value, position)
                if self._is_flat(item):
                    loops.flat.add(item)
            elif in_machine and item.outputs and item.output.is_array:
                self._memory.place(
                    item.output,
                    position,
                    reads=(),
                    may_overwrite=functools.partial(self._adds_to, item),
                )
            self._memory.end(position)
        self._memory.finish(loops)

    def _read_elsewhere(self, items: list[Loop | Call]) -> set[Value]:
        """Find the values that are read elsewhere than where they are computed."""
        read = [value for value in self._loops.program.outcomes() if isinstance(value, Value)]
        needed = {self._elements.root(value) for value in read}
        for item in items:
            inside = item.where if isinstance(item, Loop) else ()
            needed |= {root for value in item.operands() if (root := self._elements.root(value)) not in inside}
        return needed

    def _place_computed(self, loop: Loop, value: Value, position: int) -> None:
        """Give what a loop computes a place in memory, if it is read elsewhere, or in another inner loop."""
        is_inner = value in loop.stored
        if not value.is_array or not (value in self._needed or is_inner or loop.level[value] == "after"):
            return
        if is_inner and value not in self._needed and loop.rows:
            shape = tuple(size for size, index in zip(value.shape, loop.where[value]) if (index.axis or 0) >= loop.rows)
            self._loops.rows[value] = self._memory.new(Value("call", shape, value.dtype, True, value.name))
            return
        own = loop.reads[self._elements.makers[value]]
        reads = [read for reads in (own, *loop.reads.values()) for read, _ in reads if read not in loop.where]
        home = self._memory.place(value, position, reads, functools.partial(self._may_overwrite, loop, value))
        self._loops.overwritten[loop] |= {read for read in reads if self._loops.home.get(read) is home}

    def _adds_to(self, call: Call, buffer: Buffer) -> bool:
        """Whether a product is added to what lies in a buffer, and does not read it otherwise."""
        inside = [value for value in call.operands() if self._shows(value, buffer)]
        return call.function is add_product and inside == [call.args[0]] and self._loops.home.get(inside[0]) is buffer

    def _may_overwrite(self, loop: Loop, value: Value, buffer: Buffer) -> bool:
        """Whether a loop may write a value over what it reads: at the same indices, and no later than it is written."""
        if loop.level[value] == "after" or any(self._shows(one, buffer) for one in self._loops.overwritten[loop]):
            return False
        for call, reads in loop.reads.items():
            if self._elements.kinds[call] == "gather" and self._shows(call.args[0], buffer):
                return False
            for read, indices in reads:
                is_same = self._loops.home.get(read) is buffer and indices == loop.where[value]
                if self._shows(read, buffer) and not (is_same and loop.turn[call.output] <= loop.turn[value]):
                    return False
        return True

    def _shows(self, value: Value, buffer: Buffer) -> bool:
        """Whether a value may show the memory of a buffer."""
        return any(self._loops.home.get(one) is buffer for one in (value, *self._sources.get(value, ())))

    def _is_flat(self, loop: Loop) -> bool:
        """Whether a loop over several axes runs through whole arrays, so that one index is enough."""
        if loop.rows is not None or len(loop.space) < 2:
            return False
        places = [pair for reads in loop.reads.values() for pair in reads if pair[0] not in loop.where]
        places += [pair for pair in loop.where.items() if pair[0] in self._loops.home]
        every = axis_indices(loop.space)
        return all(
            tuple(index for index in indices if index != NOWHERE) == every
            and tuple(size for size in value.shape if size != 1) == loop.space
            for value, indices in places
            if value.is_array
        )
