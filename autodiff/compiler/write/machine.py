"""The source text of a program for Numba: functions in machine code, and Python between them.

Sums of many numbers are taken in another order than NumPy's, ``exp`` and ``tanh`` are others, and an update of a matrix
is one call of BLAS: results are those of the step within rounding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from autodiff.arrays.whole import require
from autodiff.compiler.naming import identifier
from autodiff.compiler.plan.elements import LETTERS, Index
from autodiff.compiler.plan.loops import LoopProgram, Part
from autodiff.compiler.plan.nest import Loop
from autodiff.compiler.program import Call, Value
from autodiff.compiler.record.log import Log
from autodiff.compiler.simplify.rounding import add_product
from autodiff.compiler.write.module import Module, Source
from autodiff.compiler.write.nests import FROM_TO, NestText
from autodiff.compiler.write.scope import Scope
from autodiff.compiler.write.texts import wrapped

TAKEN = {
    *LETTERS, *FROM_TO, "addresses", "memory", "njit", "exp", "tanh", "plus", "checked", "array_at", "add_product",
    "Memory", "on_contiguous", "failed", "size", "in_threads",
}  # fmt: skip


def machine_source(loops: LoopProgram, called: str, returned: Sequence[str], log: Log) -> Source:
    """Write a program for Numba: a function a part in machine code, and a statement a call of Python."""
    module = Module(loops, called, returned, log, TAKEN)
    texts, statements = module.texts, module.statements
    makers = loops.elements.makers
    homes = reversed(loops.home.items())  # so the first that the user has a name for gives its own
    wishes = {buffer: wish for value, buffer in homes if (wish := value.wish(texts))}
    wishes |= {buffer: f"{statements.wish(value, makers[value])}_row" for value, buffer in loops.rows.items()}
    for buffer in loops.buffers:
        texts.name(buffer, wishes.get(buffer) or statements.wish(buffer.value, makers.get(buffer.value)))
    texts |= {value: texts[buffer.value if buffer.is_state else buffer] for value, buffer in loops.home.items()}
    later: dict[str, dict[str, None]] = defaultdict(dict)  # what lies in some memory after what it is called after
    for value, buffer in loops.home.items():
        if not buffer.is_state and (wish := value.wish(texts)) and identifier(wish) != texts[value]:
            later[texts[value]][identifier(wish)] = None
    texts |= {value: texts[buffer] for value, buffer in loops.rows.items()}
    module.make_once({buffer: [texts[buffer]] for buffer in loops.buffers})
    for value in loops.crossing:
        name = texts.name(("number", value), statements.wish(value, makers[value]))
        texts.fixed.append(f"{name} = np.empty(1, {texts.dtype(value.dtype)})")
        texts[value] = f"{name}[0]"
    functions: list[str] = []
    step: list[str] = []
    for number, part in enumerate(loops.parts, start=1):
        if part.in_machine:
            scope = Scope(loops, texts, statements, texts.name(object(), f"part_{number}"), later)
            lines, call_of_it = _function(scope, part)
            functions += ["", "", *lines]
            step += call_of_it
            continue
        for call in part.calls():
            if loops.elements.kinds[call] not in ("view", "reshaped"):
                statements.head(step, call)
            step += statements.statement(call)
    step += module.ending()
    if functions:
        texts.imports.add("from numba import njit")
        texts.kernels |= {"Memory", "array_at", "size"}
        texts.fixed += wrapped(f"memory = Memory({', '.join(texts.addressed.values())})")
    kernels = f"from autodiff.compiler.kernels import {', '.join(sorted({*texts.kernels, 'on_contiguous'}))}"
    return module.finished(step, ["", kernels, *functions, "", "", "@on_contiguous"])


def _function(scope: Scope, part: Part) -> tuple[list[str], list[str]]:
    """Write a function in machine code, and how ``step`` calls it."""
    loops, texts, statements = scope.loops, scope.texts, scope.statements
    bounds = FROM_TO if part.in_threads else ()
    failures = [item for item in part.items if isinstance(item, Call) and item.function is require]
    body: list[str] = []
    for item in part.items:
        statements.head(body, *(item.calls if isinstance(item, Loop) else [item]))
        if isinstance(item, Loop):
            body += NestText(scope, item, part.in_threads).lines()
        elif item in failures:
            body += [f"if not {scope.number(item.args[0])}:", f"    return {failures.index(item) + 1}"]
        else:
            body += _product(scope, item)
        for value in item.outputs:
            if value in scope.here and value in loops.crossing:
                key = "number", value
                body.append(f"{scope.array(key, texts[key], (1,), value.dtype)}[0] = {scope.here[value]}")
    parameters = scope.parameters
    opening = [f"addresses = array_at(memory, ({len(texts.addressed) + 2},), np.uint64)"] if scope.arrays else []
    opening += [f"{name} = {view}{scope.remark(name)}" for name, view in scope.arrays.items()]
    opening += [f"{name} = np.ascontiguousarray({name})" for value, name in parameters.items() if value.shape]
    lines = [
        '@njit(error_model="numpy", nogil=True, cache=True)',
        *wrapped(f"def {scope.title}({', '.join([*bounds, 'memory', *parameters.values()])}):"),
        *(f"    {line}" for line in (*opening, *scope.shapes, *body, *(["return 0"] if failures else []))),
    ]
    called = f"{scope.title}({', '.join(['memory.address', *(texts[value] for value in parameters)])})"
    if part.in_threads:
        texts.kernels.add("in_threads")
        (loop,) = (item for item in part.items if isinstance(item, Loop))
        rounds = math.prod(loop.space) if loop in loops.flat else loop.space[0]
        called = called.replace("(", f", {rounds}, ", 1)
        return lines, wrapped(f"in_threads({called}")
    checks = [
        line
        for number, call in enumerate(failures, start=1)
        for line in (f"if failed == {number}:", *statements.requirement(*call.args)[1:])
    ]
    return lines, [*wrapped(f"failed = {called}" if failures else called), *checks]


def _product(scope: Scope, call: Call) -> list[str]:
    """Write a product, or its sum with what lies where the result does."""
    texts, out = scope.texts, scope.memory(call.output)
    if call.function is not add_product:
        return wrapped(f"np.dot({_matrix(scope, call.args[0])}, {_matrix(scope, call.args[1])}, {out})")
    before, scale, left, right = call.args
    texts.kernels.add("add_product")
    factor = scope.number(scale) if isinstance(scale, Value) else repr(scale)
    text = f"{texts.dtype(before.dtype)}({factor}), {_matrix(scope, left)}, {_matrix(scope, right)}"
    is_there = scope.loops.home[call.output].value is before
    lines = [] if is_there else [f"{out}[:] = {scope.memory(before)}"]
    return [*lines, f"add_product(addresses[{0 if before.dtype == np.float32 else 1}], {out}, {text})"]


def _matrix(scope: Scope, value: Value) -> str:
    """Write a matrix, or vector, that is all of an array in memory, or its transpose."""
    root, indices = scope.loops.elements.look(value, tuple(map(Index, range(len(value.shape)))))
    is_turned = [index.axis for index in indices] == [1, 0] or root.shape != value.shape
    return f"{scope.memory(root)}.T" if is_turned else scope.memory(root)
