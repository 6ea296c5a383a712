"""The graph behind a Tensor as a list of nodes: what each one is and what goes into it, not how it looks."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from autodiff.batching.array import Level
from autodiff.core.rule import Function, facts_of
from autodiff.core.tape import arguments, pick
from autodiff.core.tensor import Tensor
from autodiff.drawing.text import brief, index

Kind = Literal["input", "parameter", "constant", "call", "gradient"]
LEAVES: tuple[Kind, ...] = ("input", "parameter", "constant")


@dataclass(frozen=True)
class Node:
    """One call, or one array that no call made.

    Attributes:
        key: identifies the node in its graph.
        kind: what it is; "gradient" is a call of the backward pass.
        value: the Tensor, array or number itself.
        operands: keys of the nodes that a call takes its arrays from, in the order of its arguments.
        settings: the call's other arguments, such as an axis or an index, as text.
        is_output: whether it is one of the Tensors that the graph was asked for.
        name: how the user calls it, or None.
    """

    key: str
    kind: Kind
    value: Any
    operands: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    is_output: bool = False
    name: str | None = None


def nodes_of(outputs: Sequence[Tensor], names: Mapping[int, str] | None = None, turn: float = -np.inf) -> list[Node]:
    """List every node that the outputs were computed from, and themselves, in order of creation.

    A Tensor or an array that is used several times is one node; a number is a node each time it is used.

    Args:
        outputs: the Tensors.
        names: of Tensors and arrays that have none of their own, by their identity.
        turn: the stamp at which the backward pass began, if its calls are among the nodes.
    """
    names = names or {}
    parts: dict[int, tuple[list[Any], list[str]]] = {}
    pending = list(outputs)
    tensors = []
    while pending:
        tensor = pending.pop()
        if id(tensor) in parts:
            continue
        parts[id(tensor)] = _parts(tensor)
        tensors.append(tensor)
        pending += (operand for operand in parts[id(tensor)][0] if isinstance(operand, Tensor))
    tensors.sort(key=lambda tensor: tensor._age, reverse=True)

    keys = {id(tensor): f"n{position}" for position, tensor in enumerate(tensors)}
    output_ids = {id(tensor) for tensor in outputs}
    nodes = []
    count = len(keys)
    for tensor in tensors:
        operands, settings = parts[id(tensor)]
        operand_keys = []
        for operand in operands:
            key = keys.get(id(operand))
            if key is None:
                key = f"n{count}"
                count += 1
                name = None
                if np.shape(operand):
                    keys[id(operand)] = key
                    name = names.get(id(operand))
                nodes.append(Node(key, "constant", operand, name=name))
            operand_keys.append(key)
        nodes.append(
            Node(
                key=keys[id(tensor)],
                kind=_kind(tensor, turn),
                value=tensor,
                operands=tuple(operand_keys),
                settings=tuple(settings),
                is_output=id(tensor) in output_ids,
                name=tensor.name or names.get(id(tensor)),
            )
        )
    return nodes


def _kind(tensor: Tensor, turn: float) -> Kind:
    if tensor._function is not None:
        return "call" if tensor._age > turn else "gradient"
    if not tensor.requires_grad:
        return "constant"
    return "input" if type(tensor) is Tensor else "parameter"


def _parts(tensor: Tensor) -> tuple[list[Any], list[str]]:
    """Divide the arguments of a call into the arrays it computes with and the settings, as text.

    An argument for which the function has a derivative rule is an array, and so is every argument of a function that
    broadcasts: the condition of ``np.where`` is one, the axis of ``np.sum`` is none.
    """
    function = tensor._function
    if function is None:
        return [], []
    facts = facts_of(function)
    operands: list[Any] = []
    settings: list[tuple[str, Any]] = []
    for position, arg in enumerate(arguments(tensor)):
        is_array = (facts.broadcasts or facts.has_rule(position)) and not are_axes(function, arg)
        if type(arg) in (list, tuple) and (
            any(isinstance(item, Tensor) for item in arg) or (is_array and is_several(function, arg))
        ):
            operands += _flat(arg)
        elif isinstance(arg, Tensor) or (is_array and arg is not None):
            operands.append(arg)
        else:
            settings.append((parameter(function, position), arg))
    if function in (operator.getitem, pick):
        return operands, [f"[{index(value)}]" for _, value in settings]
    telling = [
        (key, value)
        for key, value in (*settings, *tensor._kwargs.items())
        if value is not None and value is not False and not isinstance(value, Level)
    ]
    return operands, [f"{key}={brief(value)}" if key else _quoted(value) for key, value in telling]


def are_axes(function: Function, arg: Any) -> bool:
    """Whether an argument is the text or list that says which axes an array of einsum has."""
    return isinstance(arg, str) or (function is np.einsum and type(arg) in (list, tuple))


def is_several(function: Function, arg: Any) -> bool:
    """Whether an argument is a list of arrays, and not one that NumPy makes an array of."""
    facts = facts_of(function)
    if type(arg) not in (list, tuple) or facts.broadcasts:
        return False
    return facts.takes_list or any(hasattr(one, "dtype") for one in arg)


def _flat(items: Any) -> list[Any]:
    """List what is in a list, also in lists in it."""
    return [one for item in items for one in (_flat(item) if type(item) in (list, tuple) else [item])]


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else brief(value)


def parameter(function: Function, position: int) -> str:
    """Name an argument as one of the function's derivative rules does, or the function itself, or not at all.

    A rule takes ``g`` and ``out``, then the arguments.
    """
    rules = [rule for rule in facts_of(function).rules if rule is not None]
    for one, before in (*((rule, 2) for rule in rules), (function, 0)):
        try:
            parameters = list(inspect.signature(one).parameters.values())[before:]
        except (TypeError, ValueError):  # some functions written in C do not tell
            continue
        names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        if position < len(names):
            return names[position]
    return ""
