"""The arrow from a program to one of which it is known what runs together, and where each array lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from autodiff.arrays.whole import require
from autodiff.compiler.plan.elements import Elements, copies_for_products
from autodiff.compiler.plan.fusion import parts_of
from autodiff.compiler.plan.lifetimes import made_once
from autodiff.compiler.plan.loops import LoopProgram, Part
from autodiff.compiler.plan.memory import Layout, layout_of
from autodiff.compiler.plan.placing import place
from autodiff.compiler.program import Call, Program, Value, values_in
from autodiff.core.rule import name_of


def plan(program: Program, backend: str, exact: bool = False) -> Layout | LoopProgram:
    """Plan a program for a backend: for ``"numpy"`` with every bit as it is, if it is to be exact."""
    return layout_of(program, exact) if backend == "numpy" else loops_of(program)


def loops_of(program: Program) -> LoopProgram:
    """Plan a program for machine code: join calls into loops, and place what lies in memory.

    Requires calls in order; gives each of them once, but views only where Python needs them. Sums are taken in another
    order.

    Raises:
        TypeError: a call takes elements as they lie in memory, in another order than the usual one.
    """
    for call in program.calls:
        order = {*call.args[1:], *call.kwargs.values()} & {"A", "K"} if call.function in (np.ravel, np.reshape) else ()
        if order and call.args[0].axes is not None:
            raise TypeError(
                f"compile: {name_of(call.function)} with order={order.pop()!r} depends on how an array lies in memory, "
                'which machine code arranges itself: give order="C" or "F"'
            )
    program = copies_for_products(program)
    once = made_once(program)
    fixed = {output for call in once for output in call.outputs}
    elements = Elements(program, fixed)
    parts = with_views(parts_of(program, elements, set(once)), elements, values_in(program.outcomes()))
    calls = [call for call in program.calls if fixed.isdisjoint(call.outputs)]
    loops = LoopProgram(program=program, once=once, calls=calls, elements=elements, parts=parts)
    loops.crossing = crossing(loops)
    place(loops)
    return loops


def with_views(parts: list[Part], elements: Elements, outcomes: Iterable[Value]) -> list[Part]:
    """Let Python make the views that it needs, each once: before the call that reads one, or at the end."""
    made: set[Value] = set()

    def views(values: Iterable[Value]) -> Iterator[Call]:
        for value in values:
            if elements.is_view(value) and value not in made:
                made.add(value)
                yield from views(elements.makers[value].operands())
                yield elements.makers[value]

    for part in parts:
        if not part.in_machine:
            part.items = [one for item in part.items for one in (*views(item.operands()), item)]
    rest = Part(False, list(views(outcomes)))
    return [*parts, rest] if rest.items else parts


def crossing(loops: LoopProgram) -> list[Value]:
    """List the numbers that machine code computes and that Python, or another function, reads."""
    inside: dict[Value, int] = {}
    read = set(map(loops.elements.root, values_in(loops.program.outcomes())))
    for number, part in enumerate(loops.parts):
        for call in part.calls():
            for value in call.operands():
                root = loops.elements.root(value)
                is_shown = call.function is require and value in call.args[3:]  # in the message, which Python writes
                if inside.get(root, number) != number or is_shown:
                    read.add(root)
            if part.in_machine:
                inside |= {output: number for output in call.outputs if not output.is_array}
    return [value for value in inside if value in read]  # in order: other names would be another program
