"""The source text of a program for NumPy: as one would have written it by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np

from autodiff.compiler.plan.lifetimes import may_view
from autodiff.compiler.plan.memory import Layout
from autodiff.compiler.program import Call, Value, values_in
from autodiff.compiler.record.log import Log
from autodiff.compiler.write.module import Module, Source, changed_numbers


def numpy_source(layout: Layout, called: str, log: Log) -> Source:
    """Write a program for NumPy: a statement a call, in order."""
    return _Writer(layout, called, log).source()


class _Writer:
    def __init__(self, layout: Layout, called: str, log: Log) -> None:
        self._layout = layout
        self._makers = {output: call for call in (*layout.once, *layout.calls) for output in call.outputs}
        self._module = Module(layout, called, log, inlined=_to_inline(layout))
        self._texts = self._module.texts
        self._opening: list[str] = []  # lines at the beginning of step

    def source(self) -> Source:
        statements = self._module.statements
        self._module.make_once()
        body: list[str] = []
        comment = ""
        for call in self._layout.calls:
            line = statements.comment(call)
            if line and line != comment:
                body.append(f"# {line}")
                comment = line
            body += self._statement(call)
        body += self._module.ending()
        return self._module.finished([*self._opening, *body])

    def _statement(self, call: Call) -> list[str]:
        """Write a call, into the memory where its result lies."""
        statements, home = self._module.statements, self._layout.home.get(call.output)
        if home is None:
            return statements.statement(call)
        is_product = call.function is np.matmul and all(len(value.shape) <= 2 for value in call.operands())
        in_rows = not home.is_state and home.axes is None  # as np.dot wants to write
        return statements.statement(
            call, self._texts[call.output], self._product(call) if is_product and in_rows else None
        )

    def _product(self, call: Call) -> str:
        """Name the faster function for a product that gives, in an exact program, the same bits.

        They round differently for arrays with gaps, or with one element in several places. Of what is given to a
        program one only knows when it runs.
        """
        if not self._layout.exact:
            return "np.matmul" if any(map(self._is_repeated, call.operands())) else "np.dot"
        owners = {self._owner(value) for value in call.operands()}
        if None in owners:
            return "np.matmul"
        faster = "np.dot"
        given = (*self._module.source.arrays, *self._layout.program.inputs)
        for value in (value for value in given if value in owners):
            key = "product", faster, value
            if key not in self._texts:
                lines = self._opening if value.kind == "input" else self._texts.fixed
                name = self._texts.name(key, "product")
                lines.append(f"{name} = {faster} if {self._texts[value]}.flags.forc else np.matmul")
            faster = self._texts[key]
        return faster

    def _owner(self, value: Value) -> Value | None:
        """Give the array whose memory a matrix, or its transpose, is all of, or None."""
        maker = self._makers.get(value)
        home = self._layout.home.get(value)
        if home is not None and home.is_state:
            return home.value
        if maker is None:
            return None if value.kind == "constant" and not value.data.flags.forc else value
        if maker.function is np.transpose and len(maker.args) == 1:
            return self._owner(maker.args[0])
        return None if may_view(maker) else value

    def _is_repeated(self, value: Value) -> bool:
        """Whether an array shows one element in several places: of such np.matmul and np.dot round differently."""
        maker = self._makers.get(value)
        if maker is None or not may_view(maker):
            return False
        return maker.function is np.broadcast_to or any(map(self._is_repeated, maker.operands()))


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
