"""The source text of a program for NumPy: as one would have written it by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np

from autodiff.compiler.plan.lifetimes import Buffer
from autodiff.compiler.plan.memory import Layout
from autodiff.compiler.program import Call, Value, values_in
from autodiff.compiler.record.log import Log
from autodiff.compiler.write.module import Module, Source, changed_numbers


def numpy_source(layout: Layout, called: str, log: Log) -> Source:
    """Write a program for NumPy: a statement a call, in order."""
    module = Module(layout, called, log, inlined=_to_inline(layout))
    module.make_once()
    body: list[str] = []
    comment = ""
    for call in layout.calls:
        line = module.statements.comment(call)
        if line and line != comment:
            body.append(f"# {line}")
            comment = line
        home = layout.home.get(call.output)
        out = None if home is None else module.texts[call.output]
        is_faster = home is not None and not layout.exact and _is_for_dot(call, home)
        body += module.statements.statement(call, out, "np.dot" if is_faster else None)
    return module.finished([*body, *module.ending()])


def _is_for_dot(call: Call, home: Buffer) -> bool:
    """Whether a product can be one of np.dot, which is faster, rounds in another way, and writes into rows only."""
    ranks = [len(value.shape) for value in call.operands()]
    return call.function is np.matmul and max(ranks) <= 2 and not home.is_state and home.axes is None


def _to_inline(layout: Layout) -> set[Value]:
    """Choose numbers that are computed from numbers and used once: they are written where they are used."""
    uses = Counter(operand for call in layout.calls for operand in call.operands())
    uses.update(values_in([*layout.program.results, *changed_numbers(layout)]))
    return {
        call.output
        for call in layout.calls
        if uses[call.output] == 1
        and not (call.effect or call.several or call.output.is_array)
        and not any(operand.is_array for operand in call.operands())
    }
