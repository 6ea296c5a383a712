"""A program as Tensors with a graph, which pictures are drawn of."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.compiler.program import Program, Value, mapped
from autodiff.core.record import result, variable
from autodiff.core.tape import Outputs, pick
from autodiff.core.tensor import Tensor


class State(Tensor):
    """What stands in a picture for a piece of state; it is drawn as a parameter is."""

    __slots__ = ()


def graph_of(program: Program) -> list[Tensor]:
    """Give what a program returns, and what it leaves in the state, as Tensors that were made by its calls.

    They have the shapes and dtypes, but no numbers: every element is zero.
    """
    tensors: dict[Value, Any] = {}

    def stand_in(item: Any) -> Any:
        if not isinstance(item, Value):
            return item
        if item not in tensors:
            tensors[item] = item.data if item.kind == "constant" else _leaf(item)
        return tensors[item]

    for call in program.calls:
        if not call.outputs or call.output.dtype is type(None):
            continue
        args = [mapped(arg, stand_in) for arg in call.args]
        args += [mapped(arg, stand_in) for arg in call.kwargs.values() if isinstance(arg, Value)]
        settings = {key: arg for key, arg in call.kwargs.items() if not isinstance(arg, Value)}
        blanks = [_blank(value) for value in call.outputs]
        data = Outputs(blanks) if call.several else blanks[0]
        whole = result(data, call.function, tuple(args), tuple(args), settings, True)
        for position, value in enumerate(call.outputs):
            part = (
                result(blanks[position], pick, (whole, position), (whole, position), {}, True)
                if call.several
                else whole
            )
            part.name = value.name
            tensors[value] = part
    for before, after in program.state:
        if after is not before and isinstance(tensors.get(after), Tensor):
            tensors[after].name = tensors[after].name or f"{before.name} after"
    return [tensors[value] for value in dict.fromkeys(program.outcomes()) if isinstance(tensors.get(value), Tensor)]


def _leaf(value: Value) -> Tensor:
    leaf = variable(_blank(value))
    if value.kind == "state":
        leaf.__class__ = State
    leaf.name = value.name
    return leaf


def _blank(value: Value) -> Any:
    """Make zeros of a shape and dtype that take no memory."""
    dtype = value.dtype if isinstance(value.dtype, np.dtype) or value.dtype in (bool, int, float, complex) else float
    return np.broadcast_to(np.zeros((), dtype), value.shape) if value.is_array else np.dtype(dtype).type(0)
