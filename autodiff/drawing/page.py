"""A page to step through backpropagation: the graph, each call's numbers forward, each chain rule's backward.

The numbers are those of one backward pass, which a watch looks at; nobody's ``grad`` changes. Names and values go into
the page as data, which its script shows as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from autodiff.batching.array import innermost, levels_of
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.core.tape import Outputs
from autodiff.core.tensor import Tensor, is_complex
from autodiff.drawing.collapse import with_runs
from autodiff.drawing.dot import is_ordered
from autodiff.drawing.formulas import Formula, expression, operand_formulas
from autodiff.drawing.gradients import shown
from autodiff.drawing.modules import Box, boxes_of
from autodiff.drawing.nodes import Node, nodes_of
from autodiff.drawing.steps import Flow, is_literal, loss_of, names_of, texts_of, title_of
from autodiff.drawing.text import is_here, visible

MOST_NODES = 50_000
MOST_NUMBERS = 64  # an array of more is summarised, and its rows can be looked into
MOST_BYTES = 8 << 20  # of such rows in a page, whose file is larger by a third of it
MOST_ROWS = 200_000  # of an array
_MOST_COLUMNS = 12
_ROW = 10  # numbers of a row of a long vector
_STRIP = 32  # cells of the strip that stands for a large array


def page(outputs: Sequence[Tensor], words: Mapping[int, str] | None = None) -> str:
    """Make a page to step through the evaluation of Tensors and back through the chain rule.

    Gradients of complex numbers are PyTorch's, so that they are multiplied by conjugates of derivatives.

    Args:
        outputs: what was computed. The gradients are those of the sum of all their elements, or its real part.
        words: names of Tensors and arrays that have none of their own, by their identity.

    Returns:
        One HTML document that needs nothing else.

    Raises:
        RuntimeError: a Tensor was changed in place since it was used.
        ValueError: there are more than `MOST_NODES` nodes.
    """
    nodes = nodes_of(outputs, words)
    if len(nodes) > MOST_NODES:
        raise ValueError(
            f"save: a page of {len(nodes):,} nodes would open too slowly (the most is {MOST_NODES:,}): draw a smaller "
            "part, such as a Tensor computed earlier, or save it as .dot"
        )
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
    names = names_of(nodes)
    by_key = {node.key: node for node in nodes}
    named = {id(node.value): names[node.key] for node in nodes if not is_literal(node)}
    taken = set(names.values())
    boxes = with_runs(nodes, boxes_of(nodes))
    flow, arrays = Flow(nodes), _Arrays()
    described = [
        {
            "key": node.key,
            "kind": node.kind,
            "name": names[node.key],
            "title": title_of(node),
            "settings": [visible(setting) for setting in node.settings],
            "operands": node.operands,
            "numbered": is_ordered(node),
            "box": boxes[node.key].key if node.key in boxes else None,
            "output": node.is_output,
            "literal": is_literal(node),
            "texts": texts_of(node, flow),
            "value": arrays.described(data_of(node.value)),
            "gradient": arrays.described(flow.gradients.get(node.key)),
            "arrivals": flow.arrivals[node.key],
            **(_of_call(node, by_key, named, taken, flow, arrays) if node.kind == "call" else {}),
        }
        for node in nodes
    ]
    return {
        "nodes": described,
        "boxes": _boxes(boxes.values()),
        "loss": loss_of(nodes, names),
        "arrays": arrays.embedded(),
    }


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


def _of_call(
    node: Node, nodes: Mapping[str, Node], named: Mapping[int, str], taken: Collection[str], flow: Flow, arrays: _Arrays
) -> dict[str, Any]:
    """Give how a call is written, and what the chain rule makes of its gradient for each operand that takes one."""

    def name_of(one: Any) -> str | None:
        return named.get(id(one))

    derived = operand_formulas(node, nodes, name_of, flow.gradients.get(node.key), taken)
    edges = [
        {
            "position": position,
            "to": node.operands[position - 1],
            "contribution": arrays.described(flow.contributions.get((node.key, position))),
            **_of_formula(formula, variable, arrays),
        }
        for position, variable, formula in derived
    ]
    return {"expression": expression(node.value, name_of), "edges": edges}


def _of_formula(formula: Formula, variable: Array, arrays: _Arrays) -> dict[str, Any]:
    derivative = formula.derivative
    if derivative is not None and derivative.dtype == bool:
        derivative = derivative.astype(float)
    facts = {"formula": formula.runs, "left": formula.left, "conj": is_complex(derivative)}
    facts["derivative"] = arrays.described(shown(derivative))
    if derivative is not None:
        is_real_part = is_complex(formula.product) and not is_complex(variable)
        is_summed = np.shape(innermost(formula.product)) != np.shape(innermost(variable))
        facts["becomes"] = ", ".join(["real part"] * is_real_part + ["summed"] * is_summed)
        facts["product"] = arrays.described(formula.product) if facts["becomes"] else None
    return facts


# Arrays, as they are shown


class _Arrays:
    """Describes arrays, and keeps the numbers of large ones, each once, as the page has them."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Array, list[dict[str, Any]]]] = {}

    def described(self, value: Any) -> Any:
        """Give a small array in full, a large one as shape, four figures and a strip, and of a lazy one the shape."""
        if value is None:
            return None
        if type(value) is Outputs:
            return {"several": [self.described(one) for one in value]}
        value, batches = innermost(value), len(levels_of(data_of(value)))
        array = value if hasattr(value, "dtype") else np.asarray(value)
        facts: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype)}
        if batches:
            facts["batches"] = batches  # which are its first axes
        if not is_here(array) or array.dtype.kind not in "fiubc":
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
        facts |= {"strip": strip} | ({"absolute": True} if is_complex(array) else {})
        self._kept.setdefault(id(value), (value, []))[1].append(facts)
        return facts

    def embedded(self) -> list[dict[str, Any]]:
        """Give the rows of large arrays: all of them, or of the largest as many as there is room for.

        What was described gets the number of its rows here.
        """
        arrays = [(np.ravel(array), described) for array, described in self._kept.values()]
        share = _share([array.nbytes for array, _ in arrays], MOST_BYTES)
        tables = []
        for place, (array, described) in enumerate(arrays):
            columns = described[0]["shape"][-1] if len(described[0]["shape"]) > 1 else _ROW
            rows = min(share // (array.itemsize * columns), MOST_ROWS)
            for facts in described:
                facts["rows"] = place
            tables.append({"columns": columns, **_packed(array[: rows * columns])})
        return tables


def _share(sizes: Sequence[int], room: int) -> int:
    """Give how large each may be, where those that need less leave the rest of the room to the others."""
    for others, size in zip(range(len(sizes), 0, -1), sorted(sizes)):
        if size > room // others:
            return room // others
        room -= size
    return max(sizes, default=0)


def _packed(numbers: Array) -> dict[str, str]:
    """Write numbers as bytes, real and imaginary parts by turns; what JavaScript has no type for in another."""
    if numbers.dtype.kind == "c":
        numbers = numbers.view(numbers.real.dtype)
    if numbers.dtype == np.float16:
        numbers = numbers.astype(str).astype(np.float64)  # with its own digits
    elif numbers.dtype.itemsize > 8:
        numbers = numbers.astype(np.float64)
    kind = "u1" if numbers.dtype.kind == "b" else numbers.dtype.str[1:]
    return {
        "type": kind,
        "numbers": base64.b64encode(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()).decode(),
    }


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
