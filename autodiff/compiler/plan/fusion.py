"""Which calls of a program share a loop nest, which run in machine code at all, and in what order everything runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping

from autodiff.compiler.plan.elements import Elements, Index, work_of
from autodiff.compiler.plan.loops import Part
from autodiff.compiler.plan.nest import Loop, is_counted
from autodiff.compiler.program import Call, Program, Value

FUSIBLE = ("elementwise", "reduction", "gather")
FOR_THREADS = 2**24  # the work of a loop, as `work_of` counts it: less gains nothing beside the waiting threads of BLAS


def parts_of(program: Program, elements: Elements, once: Collection[Call]) -> list[Part]:
    """Put the calls in order: what Python does as early as it can, and what machine code does together.

    Requires calls in order, and which of them are made once; gives each of the others once, but no views, after all
    that it reads, and those with effects in order. A large loop has a part of its own, for threads.
    """
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
    """Join calls into loops: each begins with the first call that is left, and grows by those that go with it.

    Requires calls of machine code, none of which needs a later one; gives each once, in an order that is as good.
    """
    items: list[Loop | Call] = []
    remaining = list(calls)
    while remaining:
        first = remaining.pop(0)
        if elements.kinds[first] not in FUSIBLE:
            items.append(first)
            continue
        loop = _grown(Loop.of(first, elements), remaining, elements)
        items.append(loop)
        remaining = [call for call in remaining if call not in loop.reads]
    return items


def _grown(loop: Loop, calls: list[Call], elements: Elements) -> Loop:
    """Add to a loop the calls that follow at once, later ones that use what it computes, and what they need."""
    makers = {output: call for call in calls for output in call.outputs}
    skipped = False
    for call in calls:
        if call.effect:
            break
        if call in loop.reads:
            continue
        uses = any(elements.root(value) in loop.where for value in call.operands())
        follows = not skipped and tuple(size for size in elements.space(call) if size != 1) == loop.space
        grown = loop.copied() if uses or follows else None
        if grown is not None and _add(grown, call, makers, elements):
            loop = grown
        else:
            skipped = True
    return loop


def _add(loop: Loop, call: Call, makers: Mapping[Value, Call], elements: Elements) -> bool:
    """Add a call to a loop, and before it those that it needs, if they can be."""
    for value in call.operands():
        root = elements.root(value)
        if root in makers and root not in loop.where and not _add(loop, makers[root], makers, elements):
            return False
    return elements.kinds[call] in FUSIBLE and loop.add(call, elements)
