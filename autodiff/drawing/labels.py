"""What an item says: its title, and of its shape, value and gradient what is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.batching.array import innermost
from autodiff.compiler.state import Unkept
from autodiff.core.record import data_of
from autodiff.core.tensor import Tensor
from autodiff.drawing.collapse import Group, Item, View
from autodiff.drawing.nodes import LEAVES, Node
from autodiff.drawing.text import brief, function_name, is_number, literal, norm, shape
from autodiff.drawing.themes import THEMES, Theme
from autodiff.drawing.values import number, row, rows_of


@dataclass(frozen=True)
class Style:
    """What is shown, and how.

    Attributes:
        show: which of "shape", "value" and "grad".
        theme: the colours.
        gradients: where nodes are coloured by the norm of their gradient, that of each node that has one, by its key.
        formulas: whether the local derivatives stand on the edges.
    """

    show: frozenset[str] = frozenset({"shape", "grad"})
    theme: Theme = THEMES["light"]
    gradients: Mapping[str, Any] | None = None
    formulas: bool = False

    def gradient(self, node: Node) -> Any:
        """Give the gradient of a node, or None."""
        if self.gradients is not None:
            return self.gradients.get(node.key)
        gradient = node.value._grad if isinstance(node.value, Tensor) else None
        return None if isinstance(gradient, Unkept) else gradient

    def norm(self, item: Item) -> float | None:
        """Give the norm that an item is coloured by: of the gradient by its value, or by what a group gives."""
        nodes = [item] if isinstance(item, Node) else item.results
        gradients = [self.gradients.get(node.key) for node in nodes] if self.gradients is not None else []
        return norm_of_all(g for g in gradients if g is not None)


def norm_of_all(gradients: Iterable[Any]) -> float | None:
    """Give the Euclidean norm of several gradients together, or None if there are none."""
    norms = [norm(gradient) for gradient in gradients]
    return norm(np.array(norms)) if norms else None


@dataclass(frozen=True)
class _Numbers:
    """An array whose elements are shown."""

    data: Any


_Line = str | _Numbers


def label(item: Item, view: View, style: Style, dtype: Any, colours: tuple[str, str]) -> str:
    """Write an item as an HTML-like label.

    Args:
        item: the item.
        view: the picture that it is in.
        style: what is shown.
        dtype: the one that need not be mentioned.
        colours: of the title and of the rest.
    """
    lines: list[_Line]
    if isinstance(item, Node):
        title, lines = _title(item), _about_node(item, style, dtype)
    else:
        title, lines = item.title, _about_group(item, view, style)
    rows = [f'<tr><td><font color="{colours[0]}"><b>{literal(title)}</b></font></td></tr>']
    for line in lines:
        if isinstance(line, _Numbers):
            rows += rows_of(line.data, style.theme, colours[1])
        else:
            rows.append(row(literal(line), colours[1]))
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>>'


def _title(node: Node) -> str:
    if node.kind not in LEAVES:
        return function_name(node.value._function)
    data = data_of(node.value)
    if node.kind == "constant":
        return node.name or (brief(data) if is_number(data) else "array")
    return node.name or node.kind


def _about_node(node: Node, style: Style, dtype: Any) -> list[_Line]:
    data = data_of(node.value)
    lines: list[_Line] = []
    if node.kind not in LEAVES:
        lines += [node.name] if node.name else []
        lines += node.settings
    is_plain_number = node.kind == "constant" and is_number(data)
    if "shape" in style.show and not is_plain_number:
        own = getattr(data, "dtype", None)
        lines.append(shape(data) if own is None or own == dtype else f"{shape(data)} {own}")
    if "value" in style.show and not (is_plain_number and not node.name):
        lines.append(_Numbers(innermost(data)))
    gradient = style.gradient(node)
    if "grad" in style.show and gradient is not None:
        g = data_of(gradient)
        if "value" in style.show and is_number(g):
            lines.append(f"gradient = {number(g)}")
        else:
            lines.append(f"gradient {shape(g)}" if "shape" in style.show else "gradient")
            lines.append(f"norm {norm(g):.3g}")
            lines += [_Numbers(g)] if "value" in style.show else []
    return lines


def _about_group(group: Group, view: View, style: Style) -> list[_Line]:
    if group.kind == "left out":
        calls = Counter(function_name(node.value._function) for node in group.nodes if node.kind not in LEAVES)
        return [*(f"{name} × {count:,}" for name, count in calls.most_common(4)), *(["…"] if len(calls) > 4 else [])]
    lines: list[_Line] = []
    parameters = [node for node in group.nodes if node.kind == "parameter"]
    if "shape" in style.show:
        operands = [view.nodes[key] for key in group.operands]
        inputs = [node.value for node in operands if node.kind != "parameter" and np.shape(data_of(node.value)) != ()]
        lines.append(f"{_shapes(inputs)} → {_shapes(node.value for node in group.results)}")
        if parameters:
            lines.append(f"{sum(node.value.size for node in parameters):,} parameters")
    if "value" in style.show:
        lines += [_Numbers(innermost(node.value)) for node in group.results]
    if "grad" in style.show:
        gradients = [g for g in map(style.gradient, parameters) if g is not None]
        if gradients:
            lines.append(f"parameters' gradient norm {norm_of_all(gradients):.3g}")
        if (size := style.norm(group)) is not None:
            lines.append(f"gradient norm {size:.3g}")
    return lines


def _shapes(values: Iterable[Any]) -> str:
    return ", ".join(map(shape, values)) or "()"
