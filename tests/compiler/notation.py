"""Programs read from the text that they are printed as, and run call by call."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.arrays.placement import scatter_add
from autodiff.compiler.program import Call, Program, Value, mapped
from autodiff.compiler.record.recorder import updated
from autodiff.compiler.simplify.rounding import add_product, increased
from autodiff.core.tensor import astype

SPACE: dict[str, Any] = {
    "np": np,
    "operator": operator,
    "astype": astype,
    "updated": updated,
    "increased": increased,
    "scatter_add": scatter_add,
    "add_product": add_product,
}
SPACE |= {"random": np.random.Generator.random, "nan": np.nan, "inf": np.inf}
_DECLARATION = re.compile(r"(\w+): (\w+)( \([\d, ]*\))?( by axes \([\d, ]*\))?")


def read(text: str) -> Program:
    """Read a program. The elements of its constants are 0, 1, 2 and so on."""
    values: dict[str, Any] = {}
    found = Program([], [], [], [])
    changes = {}
    for line in map(str.strip, text.strip().splitlines()):
        if line.startswith("return "):
            found.results = list(eval(f"({line[7:]},)", SPACE, values))
        elif " becomes " in line:
            before, _, after = line.partition(" becomes ")
            changes[values[before]] = eval(after, SPACE, values)
        else:
            declared, _, origin = line.partition(" = ")
            made = {name: _value(*form) for name, *form in _DECLARATION.findall(declared)}
            for name, value in made.items():
                value.name = name
            if origin in ("input", "state", "constant"):
                (value,) = made.values()
                value.kind = origin  # type: ignore[assignment]
                if origin == "constant":
                    value.data = np.arange(value.nbytes // value.dtype.itemsize, dtype=value.dtype).reshape(value.shape)
                found.inputs += [value] if origin == "input" else []
                found.state += [(value, value)] if origin == "state" else []
            else:
                found.calls.append(_call(origin, values, list(made.values()), -len(found.calls)))
            values |= made
    found.state = [(before, changes.get(before, before)) for before, _ in found.state]
    return found


def _value(dtype: str, shape: str, order: str) -> Value:
    kind: Any = {"float": float, "int": int, "Generator": np.random.Generator}.get(dtype) or np.dtype(dtype)
    axes = ast.literal_eval(order.removeprefix(" by axes ")) if order else None
    return Value("call", ast.literal_eval(shape.strip() or "()"), kind, bool(shape), axes=axes)


def _call(text: str, values: dict[str, Any], outputs: list[Value], stamp: int) -> Call:
    """Read a call, which is younger than those before and so has the smaller stamp."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    function, *args = (eval(ast.unparse(part), SPACE, values) for part in (call.func, *call.args))
    kwargs = {str(part.arg): eval(ast.unparse(part.value), SPACE, values) for part in call.keywords}
    return Call(function, tuple(args), kwargs, outputs, len(outputs) > 1, stamp, text.endswith("# effect"))


def run(program: Program, given: dict[Value, Any]) -> list[Any]:
    """Make the calls, given the inputs and the state, and list the outcomes."""
    values = dict(given)

    def number(item: Any) -> Any:
        return (item.data if item.kind == "constant" else values[item]) if isinstance(item, Value) else item

    for call in program.calls:
        options = {name: mapped(arg, number) for name, arg in call.kwargs.items()}
        result = call.function(*(mapped(arg, number) for arg in call.args), **options)
        results = result if call.several else [result[()] if isinstance(result, np.ndarray) else result]
        values.update(zip(call.outputs, results, strict=True))
    return [number(value) for value in program.outcomes()]


def samples(program: Program, special: bool) -> Iterator[dict[Value, Any]]:
    """Give numbers for inputs and state: arrays without and with gaps in memory, and perhaps of special numbers."""
    rng = np.random.default_rng(0)
    given = [*program.inputs, *(before for before, _ in program.state)]

    def sample(value: Value, kind: str) -> Any:
        if value.dtype is np.random.Generator:
            return np.random.default_rng(0)
        order = value.axes or tuple(range(len(value.shape)))
        shape = (*(value.shape[axis] for axis in order), 2)
        choice = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-30]
        numbers = rng.choice(choice, shape) if kind == "special" else rng.normal(size=shape)
        if np.dtype(value.dtype).kind in "biu":
            numbers = np.rint(np.nan_to_num(numbers).clip(-1, 1) * 3)
        array = numbers.astype(value.dtype)[..., 0].transpose(np.argsort(order))
        array = array if kind == "gaps" else array.copy(order="K")
        return array if value.is_array else array.item() if isinstance(value.dtype, type) else array[()]

    for kind in ("plain", "gaps", "special") if special else ("plain", "gaps"):
        yield {value: sample(value, kind) for value in given}
