"""A page to step through backpropagation: the graph, each call's numbers forward, each chain rule's backward.

The numbers are those of one backward pass, which a watch looks at; nobody's ``grad`` changes. Names and values go into
the page as data, which its script shows as text.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from autodiff.batching.array import innermost, levels_of
from autodiff.core.record import data_of, is_variable
from autodiff.core.rule import Array
from autodiff.core.tape import Entry, Outputs, pack, pullback, recording
from autodiff.core.tensor import Tensor, is_complex
from autodiff.core.watch import Watch, watching
from autodiff.drawing.collapse import with_runs
from autodiff.drawing.dot import is_ordered
from autodiff.drawing.formulas import Formula, expression, formulas, variable_positions
from autodiff.drawing.gradients import shown
from autodiff.drawing.modules import Box, boxes_of
from autodiff.drawing.nodes import Node, nodes_of
from autodiff.drawing.notation import subscript
from autodiff.drawing.text import brief, function_name, is_number, visible

MOST_NUMBERS = 64  # an array of more is summarised
_MOST_COLUMNS = 12
_STRIP = 32  # cells of the strip that stands for a large array
_LETTERS = {"call": "v", "input": "x", "parameter": "w", "constant": "c"}


def page(outputs: Sequence[Tensor]) -> str:
    """Make a page to step through the evaluation of Tensors and back through the chain rule.

    Gradients of complex numbers are PyTorch's, so that they are multiplied by conjugates of derivatives.

    Args:
        outputs: what was computed. The gradients are those of the sum of all their elements, or its real part.

    Returns:
        One HTML document that needs nothing else.

    Raises:
        RuntimeError: a Tensor was changed in place since it was used.
    """
    nodes = nodes_of(outputs)
    parts = {ending: _text(f"graph.{ending}") + _text(f"page.{ending}") for ending in ("css", "js")}
    parts["digest"] = base64.b64encode(hashlib.sha256(parts["js"].encode()).digest()).decode()
    # Escaped, what a name says cannot end the element that the data stands in.
    data = json.dumps(_data(nodes), allow_nan=False, separators=(",", ":"))
    parts["data"] = data.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return re.sub("@@([a-z]+)@@", lambda marker: parts[marker[1]], _text("page.html"))


def _text(name: str) -> str:
    """Give a file of this package."""
    return files("autodiff.drawing").joinpath(name).read_text("utf-8")


def _data(nodes: Sequence[Node]) -> dict[str, Any]:
    """Give all that the page's script shows."""
    names = _names(nodes)
    flow = _Flow(nodes)
    by_key = {node.key: node for node in nodes}
    outputs = [node.key for node in nodes if node.is_output]
    named = {id(node.value): names[node.key] for node in nodes if not _is_literal(node)}
    boxes = with_runs(nodes, boxes_of(nodes))
    described = [
        {
            "key": node.key,
            "kind": node.kind,
            "name": names[node.key],
            "title": function_name(node.value._function) if node.kind == "call" else node.kind,
            "settings": [visible(setting) for setting in node.settings],
            "operands": node.operands,
            "numbered": is_ordered(node),
            "box": boxes[node.key].key if node.key in boxes else None,
            "output": node.is_output,
            "literal": _is_literal(node),
            "alias": not (_is_literal(node) or getattr(node.value, "name", None)),
            "value": _described(data_of(node.value)),
            "gradient": _described(flow.gradients.get(node.key)),
            "arrivals": flow.arrivals[node.key],
            **(_of_call(node, by_key, named, flow) if node.kind == "call" else {}),
        }
        for node in nodes
    ]
    loss = names[outputs[0]] if len(outputs) == 1 else "Σ"
    is_part = any(is_complex(by_key[key].value) for key in outputs)
    return {"nodes": described, "boxes": _boxes(boxes.values()), "loss": f"Re({loss})" if is_part else loss}


def _boxes(innermost: Iterable[Box]) -> list[dict[str, Any]]:
    """Give the boxes, each after the one around it."""
    boxes = dict.fromkeys(around for box in innermost for around in box.chain)
    return [
        {
            "key": box.key,
            "title": visible(box.title),
            "parent": box.parent.key if box.parent else None,
            "module": box.is_module,
        }
        for box in boxes
    ]


def _of_call(node: Node, nodes: Mapping[str, Node], named: Mapping[int, str], flow: _Flow) -> dict[str, Any]:
    """Give how a call is written, and what the chain rule makes of its gradient for each operand that takes one."""

    def name_of(one: Any) -> str | None:
        return named.get(id(one))

    derived = formulas(node.value, name_of, flow.gradients.get(node.key))
    edges = [
        {
            "position": position,
            "to": node.operands[position - 1],
            "contribution": _described(flow.contributions.get((node.key, position))),
            **_of_formula(formula, variable),
        }
        for position, (variable, formula) in zip(variable_positions(node, nodes, derived), derived)
    ]
    return {"expression": expression(node.value, name_of), "edges": edges}


def _of_formula(formula: Formula | None, variable: Array) -> dict[str, Any]:
    if formula is None:
        return {"formula": None}
    derivative = formula.derivative
    if derivative is not None and derivative.dtype == bool:
        derivative = derivative.astype(float)
    facts = {"formula": formula.runs, "derivative": _described(shown(derivative)), "conj": is_complex(derivative)}
    if derivative is not None:
        is_real_part = is_complex(formula.product) and not is_complex(variable)
        is_summed = np.shape(innermost(formula.product)) != np.shape(innermost(variable))
        facts["becomes"] = ", ".join(["real part"] * is_real_part + ["summed"] * is_summed)
        facts["product"] = _described(formula.product) if facts["becomes"] else None
    return facts


def _is_literal(node: Node) -> bool:
    """Whether a node is a number that is written as itself."""
    return node.kind == "constant" and is_number(data_of(node.value)) and not getattr(node.value, "name", None)


def _names(nodes: Sequence[Node]) -> dict[str, str]:
    """Name every node: as the user did, or by a letter for its kind and a number."""
    own = {node.key: getattr(node.value, "name", None) for node in nodes}
    reserved = set(own.values())
    numbers = {kind: itertools.count(1) for kind in _LETTERS}
    names = {}
    for node in nodes:
        name = own[node.key]
        if _is_literal(node):
            name = brief(data_of(node.value))
        while not name:
            free = f"{_LETTERS[node.kind]}{subscript(next(numbers[node.kind]))}"
            name = None if free in reserved else free
        names[node.key] = visible(name)
    return names


class _Flow(Watch):
    """One backward pass, seen: every gradient, and what each call contributes to it.

    Attributes:
        gradients: of each node that a gradient reached, by its key; of the sum of all elements of the outputs.
        contributions: what a call (its key, and the position of an operand, counted from one) gave to that operand.
        arrivals: for each node the calls and positions that its gradient is the sum of, in their order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        by_key = {node.key: node for node in nodes}
        self.gradients: dict[str, Any] = {}
        self.contributions: dict[tuple[str, int], Any] = {}
        self.arrivals: dict[str, list[tuple[str, int]]] = {node.key: [] for node in nodes}
        # For each call, which operand takes the next contribution.
        self._keys = {id(node.value): node.key for node in nodes}
        self._places: dict[int, Iterator[tuple[str, int, str]]] = {}
        for node in nodes:
            if node.kind == "call":
                self._places |= _places(node, by_key)
        seeds = []
        for node in nodes:
            if node.is_output:
                self.gradients[node.key] = np.ones_like(node.value._array)
                seeds.append((node.value, self.gradients[node.key]))
        with recording(False), watching(self), np.errstate(all="ignore"):
            pullback(seeds)

    def see_gradient(self, node: Entry, argument: Entry, gradient: Array) -> None:
        """Add a contribution, unless it is one within the rule of a call."""
        if id(node) not in self._places or argument._function is pack:
            return
        call, position, operand = next(self._places[id(node)])
        gradient = shown(gradient)
        self.contributions[call, position] = gradient
        self.arrivals[operand].append((call, position))
        before = self.gradients.get(operand)
        self.gradients[operand] = gradient if before is None else before + gradient

    def see_hooked(self, node: Entry, gradient: Array) -> None:
        """Show what the functions that were registered for a Tensor made of its gradient."""
        if id(node) in self._keys:
            self.gradients[self._keys[id(node)]] = shown(gradient)


def _places(call: Node, nodes: Mapping[str, Node]) -> dict[int, Iterator[tuple[str, int, str]]]:
    """Give the operands of a call in the order in which they take their gradients, by the entry that gives them."""
    uses = [use for arg in call.value._args for use in _uses(call.value, arg)]
    places: dict[int, list[tuple[str, int, str]]] = {}
    for position, (_, giver) in zip(variable_positions(call, nodes, uses), uses):
        places.setdefault(id(giver), []).append((call.key, position, call.operands[position - 1]))
    return {giver: iter(of) for giver, of in places.items()}


def _uses(giver: Tensor, arg: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Give the Tensors in an argument with what gives them their gradient: the call, or the pack of a list."""
    if not is_variable(arg):
        return
    if arg._function is pack:
        for item in arg._args:
            yield from _uses(arg, item)
    else:
        yield arg, giver


# Arrays, as they are shown


def _described(value: Any) -> Any:
    """Give a small array in full, a large one as its shape, four figures and a strip, and of a lazy one the shape."""
    if value is None:
        return None
    if type(value) is Outputs:
        return {"several": [_described(one) for one in value]}
    value, batches = innermost(value), len(levels_of(data_of(value)))
    array = value if hasattr(value, "dtype") else np.asarray(value)
    facts: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if batches:
        facts["batches"] = batches  # which are its first axes
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "fiubc":
        return facts
    is_table = array.size <= MOST_NUMBERS and array.ndim <= 3 and max(array.shape[-1:], default=0) <= _MOST_COLUMNS
    if is_table or not array.size:
        return facts | {"values": [_number(one) for one in np.ravel(array)]}
    flat = np.ravel(array).astype(np.complex128 if is_complex(array) else np.float64)
    sizes = np.abs(flat) if is_complex(array) else flat
    with np.errstate(all="ignore"):
        figures = {"mean": flat.mean(), "std": flat.std(), "min": sizes.min(), "max": sizes.max()}
        strip = [_number(part.mean()) for part in np.array_split(sizes, min(_STRIP, flat.size))]
    facts |= {name: _number(figure) for name, figure in figures.items()}
    return facts | {"strip": strip} | ({"absolute": True} if is_complex(array) else {})


def _number(x: Any) -> Any:
    """Give a number as JSON has it, and in words where it has none; of a complex one both parts."""
    if x.dtype.kind == "c":
        return [_number(x.real), _number(x.imag)]
    if x.dtype.kind == "b":
        return int(x)
    if x.dtype.kind != "f":
        return x.item()
    if not np.isfinite(x):
        return "NaN" if np.isnan(x) else "∞" if x > 0 else "−∞"
    return float(str(x))  # as many digits as its dtype has
