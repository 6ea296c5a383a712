"""Small programs written by hand: a line for each value, as in ``c: float64 (3, 4) = np.exp(x)``."""

from __future__ import annotations

import ast
import operator
from typing import Any

import numpy as np

from autodiff.compiler.program import Call, Program, Value


def read(text: str) -> Program:
    """Read a program. The elements of its constants are 0, 1, 2 and so on."""
    values: dict[str, Any] = {}
    program = Program([], [], [], [])
    for line in text.strip().splitlines():
        declared, is_value, made = line.strip().partition(" = ")
        if not is_value and "becomes" in line:
            before, after = (values[name] for name in line.strip().split(" becomes "))
            program.state = [(one, after if one is before else its) for one, its in program.state]
            continue
        if not is_value:
            program.results = [values[name.strip()] for name in line.strip().removeprefix("return").split(",")]
            continue
        name, _, form = declared.partition(": ")
        dtype, _, shape = form.partition(" ")
        kind = made if made in ("input", "state", "constant") else "call"
        value = values[name] = Value(kind, ast.literal_eval(shape or "()"), np.dtype(dtype), bool(shape), name)  # type: ignore[arg-type]
        if kind == "constant":
            value.data = np.arange(np.prod(value.shape)).reshape(value.shape).astype(dtype)
        elif kind == "input":
            program.inputs.append(value)
        elif kind == "state":
            program.state.append((value, value))
        else:
            program.calls.append(_call(made, values, value))
    return program


def _call(text: str, values: dict[str, Any], output: Value) -> Call:
    space = {"np": np, "operator": operator}
    call: Any = ast.parse(text, mode="eval").body
    function, *args = (eval(ast.unparse(part), space, values) for part in (call.func, *call.args))
    kwargs = {str(part.arg): eval(ast.unparse(part.value), space, values) for part in call.keywords}
    return Call(function, tuple(args), kwargs, [output])
