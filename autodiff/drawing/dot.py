"""How a graph looks: the shape, colour and text of each kind of node, and the legend, as Graphviz source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import graphviz  # type: ignore[import-untyped]
import numpy as np

from autodiff.drawing.formulas import edge_formulas
from autodiff.drawing.graph import Kind, Node
from autodiff.drawing.notation import Run
from autodiff.drawing.text import brief, function_name, is_number, literal, norm, shape
from autodiff.tensor import Tensor, data_of

# Borders are in the colours of Okabe and Ito, which people with any colour vision can tell apart; fills are pale
# tints of them, on which black text has a contrast above 10:1. Shapes say the same once more.
_LOOK: dict[Kind, dict[str, str]] = {
    "input": {"shape": "ellipse", "style": "filled", "color": "#0072B2", "fillcolor": "#DCECF7", "margin": "0.05,0.02"},
    "parameter": {"shape": "cylinder", "style": "filled", "color": "#E69F00", "fillcolor": "#FDF0D5"},
    "constant": {"shape": "note", "style": "filled", "color": "#CC79A7", "fillcolor": "#F8EAF2"},
    "call": {"shape": "box", "style": "rounded,filled", "color": "#767676", "fillcolor": "#F5F5F5"},
}
_OUTPUT = {"color": "#009E73", "fillcolor": "#DDF3EC", "peripheries": "2"}
_FONT = {"fontname": "Helvetica,Arial,sans-serif", "fontcolor": "#1A1A1A"}
_SYMMETRIC = {np.add, np.multiply, np.maximum, np.minimum, np.logaddexp}  # the order of their arguments is no matter
# The bound on steps of the network simplex takes a graph of 500 nodes from a minute to seconds; a small one never
# reaches it.
_LAYOUT = {"rankdir": "TB", "nodesep": "0.3", "ranksep": "0.35", "pad": "0.2", "ordering": "in", "nslimit": "2"}
_ARROW = {"color": "#767676", "arrowsize": "0.7", "labeldistance": "1.6"}
_QUIET = "#505050"


def digraph(nodes: Sequence[Node], formulas: bool = False) -> graphviz.Digraph:
    """Make the Graphviz graph of the nodes, with a legend of the kinds among them.

    Nodes and edges have ids, by which a page finds them in the image: ``node_n3``, and ``edge_n1_n3_2`` for the one
    from n1 to the second operand of n3.

    Args:
        nodes: what to draw.
        formulas: write the local derivative on each edge that a gradient comes back along.
    """
    graph = graphviz.Digraph(
        "autodiff",
        graph_attr=_FONT | _LAYOUT,
        node_attr=_FONT | {"fontsize": "12", "height": "0.4", "margin": "0.14,0.06", "penwidth": "1.4"},
        edge_attr=_FONT | {"fontcolor": _QUIET, "fontsize": "9"} | _ARROW,
    )
    dtype = next(data_of(node.value).dtype for node in nodes if node.is_output)
    nodes_by_key = {node.key: node for node in nodes}
    reserved = {name for node in nodes if (name := getattr(node.value, "name", None))}
    calls = {node.key for node in nodes if node.kind == "call"}
    for node in nodes:
        graph.node(node.key, _label(node, dtype), id=f"node_{node.key}", **_look(node))
        texts = edge_formulas(node, nodes_by_key, reserved) if formulas else {}
        numbered = not formulas and len(node.operands) > 1 and node.value._function not in _SYMMETRIC
        for position, operand in enumerate(node.operands, start=1):
            # The weight makes Graphviz draw a chain of calls as a straight spine.
            weight = "8" if operand in calls else None
            graph.edge(
                operand,
                node.key,
                id=f"edge_{operand}_{node.key}_{position}",
                label=_typeset(texts[position]) if position in texts else None,
                weight=weight,
                headlabel=str(position) if numbered else None,
            )
    _add_legend(graph, nodes, dtype)
    return graph


def _look(node: Node) -> dict[str, str]:
    return {**_LOOK[node.kind], **(_OUTPUT if node.is_output else {})}


def _label(node: Node, dtype: Any) -> str:
    value = node.value
    data = data_of(value)
    name = value.name if isinstance(value, Tensor) else None
    lines: list[str] = []
    if node.kind == "call":
        title = function_name(value._function)
        lines += node.settings
        if name:
            lines.insert(0, name)
    elif node.kind == "constant":
        title = name or (brief(data) if is_number(data) else "array")
    else:
        title = name or node.kind
    if not (node.kind == "constant" and is_number(data)):
        own = getattr(data, "dtype", None)
        lines.append(shape(data) if own is None or own == dtype else f"{shape(data)} {own}")
    gradient = value.grad if isinstance(value, Tensor) else None
    if gradient is not None:
        lines.append(f"gradient {shape(gradient)}")
        lines.append(f"norm {norm(gradient):.3g}")
    quiet = "".join(f'<br/><font point-size="10" color="{_QUIET}">{literal(line)}</font>' for line in lines)
    return f"<<b>{literal(title)}</b>{quiet}>"


def _typeset(runs: Sequence[Run]) -> str:
    """Write a formula as a label: names in italics, with raised and lowered pieces."""
    pieces = [f"<{style}>{literal(text)}</{style}>" if style else literal(text) for text, style in runs]
    return f"<&#160;&#160;{''.join(pieces)}&#160;>"  # with some room beside the line


def _add_legend(graph: graphviz.Digraph, nodes: Sequence[Node], dtype: Any) -> None:
    """Add a row with one sample of each kind of node that occurs, below the outputs."""
    occurring = {node.kind for node in nodes}
    samples: dict[str, dict[str, str]] = {kind: look for kind, look in _LOOK.items() if kind in occurring}
    samples["output"] = _LOOK["call"] | _OUTPUT
    keys = [f"legend_{kind}" for kind in samples]
    with graph.subgraph(name="cluster_legend") as legend:
        legend.attr(label=f"{dtype} unless noted", fontsize="9", fontcolor=_QUIET, color="#D9D9D9", style="rounded")
        legend.attr(rank="same")
        legend.attr("node", fontsize="9", height="0.25", margin="0.08,0.03")
        for key, (kind, look) in zip(keys, samples.items()):
            legend.node(key, kind, **look)
    for node in nodes:
        if node.is_output:
            graph.edge(node.key, keys[len(keys) // 2], style="invis")
