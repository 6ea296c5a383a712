"""What an item says: its title, and of its shape, value and gradient what is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autodiff.batching.array import innermost
from autodiff.core.record import data_of
from autodiff.drawing.collapse import Group, Item, View
from autodiff.drawing.gradients import MOST_NUMBERS
from autodiff.drawing.nodes import LEAVES, Node
from autodiff.drawing.text import brief, function_name, is_here, is_number, literal, norm, shape
from autodiff.drawing.themes import THEMES, Theme
from autodiff.drawing.values import is_small, number, row, rows_of


@dataclass(frozen=True)
class Style:
    """What is shown, and how.

    Attributes:
        show: which of "shape", "value" and "grad"; None: what is small in numbers, what is large by shape and norm.
        theme: the colours.
        gradients: of each node that shows one, by its key.
        is_coloured: whether nodes are coloured by the norm of their gradient.
        formulas: whether the local derivatives stand on the edges.
        has_numbers: whether values are shown at all; a program has none.
        note: what the legend says of gradients, as markup.
    """

    show: frozenset[str] | None = None
    theme: Theme = THEMES["light"]
    gradients: Mapping[str, Any] = field(default_factory=dict)
    is_coloured: bool = False
    formulas: bool = False
    has_numbers: bool = True
    note: str = ""

    def norm(self, item: Item) -> float | None:
        """Give the norm that an item is coloured by: of the gradient by its value, or by what a group gives."""
        nodes = [item] if isinstance(item, Node) else item.results
        gradients = [self.gradients.get(node.key) for node in nodes] if self.is_coloured else []
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
    name = None
    if isinstance(item, Node):
        title, lines = _title(item), _about_node(item, style, dtype)
        name = None if item.kind in LEAVES else item.name
    else:
        title, lines = item.title, _about_group(item, view, style)
    rows = [f'<tr><td><font color="{colours[0]}"><b>{literal(title)}</b></font></td></tr>']
    rows += [row(literal(name), colours[0], "i")] if name else []
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
    lines: list[_Line] = list(node.settings)
    data = data_of(node.value)
    own = getattr(data, "dtype", None)
    other = "" if own is None or own == dtype else str(own)
    gradient = style.gradients.get(node.key)
    is_literal = node.kind == "constant" and is_number(data)
    is_title = is_literal and not node.name
    if style.show is None:
        if not is_title:
            lines += _by_size(data, other, style.has_numbers)
        if gradient is not None and getattr(data, "size", 1) > 0:
            lines += _gradient_by_size(innermost(gradient))
        return lines
    if "shape" in style.show and not is_literal:
        lines.append(f"{shape(data)} {other}".rstrip())
    if "value" in style.show and not is_title:
        lines.append(_Numbers(innermost(data)))
    if "grad" in style.show and gradient is not None:
        g = data_of(gradient)
        if is_number(g):
            lines.append(f"gradient = {number(g)}")
        else:
            lines.append(f"gradient {shape(g)}" if "shape" in style.show else "gradient")
            lines.append(f"norm {norm(g):.3g}")
            lines += [_Numbers(innermost(g))] if "value" in style.show else []
    return lines


def _by_size(data: Any, dtype: str, has_numbers: bool) -> list[_Line]:
    """Describe a value: a number, a shape and the elements, or the shape and the norm."""
    numbers = np.asarray(data) if type(data) in (list, tuple) else innermost(data)
    is_shown = has_numbers and is_here(numbers)
    if is_shown and not np.ndim(numbers):
        return [*[dtype] * bool(dtype), _Numbers(numbers)]
    lines: list[_Line] = [f"{shape(data)} {dtype}".rstrip()]
    if is_shown and is_small(numbers):
        return [*lines, _Numbers(numbers)]
    if is_shown and 0 < numbers.size <= MOST_NUMBERS and numbers.dtype.kind in "fc":
        lines.append(f"norm {norm(numbers):.3g}")
    return lines


def _gradient_by_size(g: Any) -> list[_Line]:
    if not (is_here(g) and is_small(g)):
        return [f"gradient norm {norm(g):.3g}"]
    if is_number(g):
        return [f"gradient = {number(g)}"]
    return ["gradient", _Numbers(g)]


def _about_group(group: Group, view: View, style: Style) -> list[_Line]:
    if group.kind == "left out":
        calls = Counter(function_name(node.value._function) for node in group.nodes if node.kind not in LEAVES)
        most = (f"{name} × {count:,}" for name, count in calls.most_common(4))
        return [*_given(group, style), *most, *["…"] * (len(calls) > 4)]
    lines: list[_Line] = [*_given(group, style)]
    show = {"shape", "grad"} if style.show is None else style.show
    parameters = [node for node in group.nodes if node.kind == "parameter"]
    if "shape" in show:
        operands = [view.nodes[key] for key in group.operands]
        inputs = [node.value for node in operands if node.kind != "parameter" and np.shape(data_of(node.value)) != ()]
        lines.append(f"{_shapes(inputs)} → {_shapes(node.value for node in group.results)}")
        if parameters:
            lines.append(f"{sum(node.value.size for node in parameters):,} parameters")
    if "grad" in show:
        gradients = [style.gradients[node.key] for node in parameters if node.key in style.gradients]
        if gradients:
            lines.append(f"parameters' gradient norm {norm_of_all(gradients):.3g}")
        if (size := style.norm(group)) is not None:
            lines.append(f"gradient norm {size:.3g}")
    if "value" in show:
        lines += [_Numbers(innermost(node.value)) for node in group.results]
    return lines


def _given(group: Group, style: Style) -> Iterator[str]:
    """Say what formulas call that which a group gives."""
    if style.formulas and (names := [node.name for node in group.results if node.name]):
        yield f"gives {', '.join(names)}"


def _shapes(values: Iterable[Any]) -> str:
    return ", ".join(map(shape, values)) or "()"
