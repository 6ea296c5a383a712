"""A picture as Graphviz source: its items, edges and boxes, and the legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import graphviz  # type: ignore[import-untyped]
import numpy as np

from autodiff.core.record import data_of
from autodiff.drawing.collapse import Group, Item, View, is_leaf
from autodiff.drawing.formulas import operand_formulas
from autodiff.drawing.labels import Style, label
from autodiff.drawing.modules import Box
from autodiff.drawing.nodes import Node
from autodiff.drawing.notation import Run, plain
from autodiff.drawing.scale import Scale
from autodiff.drawing.steps import is_literal, names_of
from autodiff.drawing.text import literal
from autodiff.drawing.themes import FONT, SHAPES, text_on

_SYMMETRIC = {np.add, np.multiply, np.maximum, np.minimum, np.logaddexp}  # the order of their arguments is no matter
# The bound on steps of the network simplex takes a graph of 500 nodes from a minute to seconds; a small one never
# reaches it.
_LAYOUT = {"rankdir": "TB", "nodesep": "0.3", "ranksep": "0.35", "pad": "0.2", "ordering": "in", "nslimit": "2"}
# Of thousands of items, straight lines and fewer steps take a third of the time.
_LARGE = {"nslimit": "0.5", "nslimit1": "0.5", "mclimit": "0.3", "splines": "line"}
_ITEM = {"fontsize": "12", "height": "0.4", "margin": "0.17,0.06", "penwidth": "1.4"}
_ARROW = {"fontsize": "9", "arrowsize": "0.7", "labeldistance": "1.6"}
_BOX = {"fontsize": "11", "style": "rounded,filled", "margin": "10", "labeljust": "l"}


def digraph(view: View, style: Style, has_legend: bool = True) -> graphviz.Digraph:
    """Make the Graphviz graph of a picture, mostly with a legend of what is in it.

    Items and edges have ids, by which they are found in the image: ``node_n3``, and ``edge_n1_n3_2`` for the one from
    n1 to the second operand of n3.
    """
    writer = _DotWriter(view, style)
    if has_legend:
        writer.add_legend()
    return writer.graph


def is_ordered(node: Node) -> bool:
    """Whether a call has several operands and their order matters."""
    return len(node.operands) > 1 and node.value._function not in _SYMMETRIC


class _DotWriter:
    """Writes a picture piece by piece."""

    def __init__(self, view: View, style: Style) -> None:
        self.view, self.style, self.theme = view, style, style.theme
        self.dtype = next(data_of(node.value).dtype for node in view.nodes.values() if node.is_output)
        self.names = _names(view) if style.formulas else {}
        self.named = {id(view.nodes[key].value): name for key, name in self.names.items()}
        self.items = {item.key: item for item in view.items}
        self.scale = Scale({item.key: style.norm(item) for item in view.items}, style.theme)
        self.graph = graphviz.Digraph(
            "autodiff",
            graph_attr=_LAYOUT | {"fontname": FONT, "fontcolor": self.theme.text, "bgcolor": self.theme.ground},
            node_attr=_ITEM | {"fontname": FONT, "fontcolor": self.theme.text},
            edge_attr=_ARROW | {"fontname": FONT, "fontcolor": self.theme.quiet, "color": self.theme.line},
        )
        if len(view.items) > 1000:
            self.graph.attr(**_LARGE)
        if view.note:
            self.graph.attr(label=view.note, labelloc="t", fontsize="11")
        self._fill(self.graph, None, self._contents(), 0)
        for item in view.items:
            self._add_edges(item)

    def _contents(self) -> dict[Box | None, list[Item | Box]]:
        """List what is in each box, and outside of all, in order."""
        contents: dict[Box | None, list[Item | Box]] = {None: []}
        for item in self.view.items:
            box = self.view.boxes.get(item.key)
            for around in box.chain if box else ():
                if around not in contents:
                    contents[around] = []
                    contents[around.parent].append(around)
            contents[box].append(item)
        return contents

    def _fill(
        self, graph: graphviz.Digraph, box: Box | None, contents: dict[Box | None, list[Item | Box]], level: int
    ) -> None:
        """Write what is in a box, or outside of all."""
        for part in contents[box]:
            if not isinstance(part, Box):
                self._add_item(graph, part)
                continue
            with graph.subgraph(name=f"cluster_{part.key}") as cluster:
                cluster.attr(
                    label=self._box_label(part), color=self.theme.frame, fillcolor=self.theme.boxes[level % 2], **_BOX
                )
                if not part.is_module:
                    cluster.attr(style="rounded,filled,dashed", labeljust="r", labelloc="b")
                self._fill(cluster, part, contents, level + 1)

    def _box_label(self, box: Box) -> str:
        """Write the title of a box with as much space beside it, so that an arrow into the middle does not cross it."""
        title = literal(box.title)
        cell = f'<td align="left"><font color="{self.theme.quiet}">{title}</font></td>'
        space = f'<td width="{min(6 * len(box.title) + 16, 160)}"></td>' if box.is_module else ""
        return f'<<table border="0" cellborder="0" cellspacing="0"><tr>{cell}{space}</tr></table>>'

    def _add_item(self, graph: graphviz.Digraph, item: Item) -> None:
        look = self.theme.look(item.kind, item.is_output)
        colours = self.theme.text, self.theme.quiet
        if (fill := self.scale.fill(item.key)) is not None:
            look["fillcolor"] = fill
            colours = (text_on(fill),) * 2
        graph.node(
            item.key,
            label(self._named(item), self.view, self.style, self.dtype, colours),
            id=f"node_{item.key}",
            **look,
        )

    def _named(self, item: Item) -> Item:
        """Give an item as formulas call it, or what it gives."""

        def named(node: Node) -> Node:
            return replace(node, name=self.names.get(node.key, node.name))

        return named(item) if isinstance(item, Node) else replace(item, results=tuple(map(named, item.results)))

    def _add_edges(self, item: Item) -> None:
        sources = [self.view.place[operand] for operand in item.operands]
        texts = self._formulas(item)
        numbered = not isinstance(item, Group) and (
            is_ordered(item) or "⁽" in "".join(plain(text) for text in texts.values())
        )
        earlier = set()
        for position, source in enumerate(sources, start=1):
            # Of what is drawn as one, one arrow says all.
            if source in earlier and (isinstance(item, Group) or self.items[source].kind == "left out"):
                continue
            earlier.add(source)
            is_sure = numbered and self.items[source].kind != "left out"
            self.graph.edge(
                source,
                item.key,
                id=f"edge_{source}_{item.key}_{position}",
                label=_typeset(texts[position]) if position in texts else None,
                # The weight makes Graphviz draw a chain of calls as a straight spine.
                weight=None if is_leaf(self.items[source]) else "8",
                headlabel=str(position) if is_sure else None,
            )

    def _formulas(self, item: Item) -> Mapping[int, Sequence[Run]]:
        """Give the local derivative of a call for each operand that takes a gradient, if they are asked for."""
        if not self.style.formulas or item.kind != "call" or isinstance(item, Group):
            return {}
        derived = operand_formulas(
            item,
            self.view.nodes,
            lambda one: self.named.get(id(one)),
            reserved=self.names.values(),
            is_written_out=not item.name,
        )
        return {position: formula.runs for position, _, formula in derived}

    def add_legend(self) -> None:
        """Add a row with one sample of each kind of item that occurs, below the outputs, and say what is shown."""
        kinds = [kind for kind in SHAPES if any(item.kind == kind for item in self.view.items)]
        keys = [f"legend_{kind}" for kind in kinds] + ["legend_output"]
        with self.graph.subgraph(name="cluster_legend") as legend:
            told = [f"{self.dtype} unless noted", *filter(None, [self.style.note])]
            told += ["<i>g</i> is the gradient of what a call gives"] if self.style.formulas else []
            legend.attr(label=f"<{'<br/>'.join(told)}>", labelloc="b", fontcolor=self.theme.quiet, peripheries="0")
            legend.attr(rank="same", fontsize="9")
            legend.attr("node", fontsize="9", height="0.25", margin="0.08,0.03")
            for kind in kinds:
                legend.node(f"legend_{kind}", kind, **self.theme.look(kind, False))
            legend.node("legend_output", "output", **self.theme.look("call", True))
            if self.scale.is_used:
                legend.node("legend_scale", self.scale.legend(), shape="plain")
        for item in self.view.items:
            if item.is_output:
                self.graph.edge(item.key, keys[len(keys) // 2], style="invis")


def _names(view: View) -> dict[str, str]:
    """Name all nodes, by their keys, but for numbers that are written as themselves."""
    names = names_of([*view.nodes.values()])
    return {key: name for key, name in names.items() if not is_literal(view.nodes[key])}


def _typeset(runs: Sequence[Run]) -> str:
    """Write a formula as a label: names in italics."""
    # Raised by Unicode: what Graphviz raises it measures as smaller than browsers draw it.
    pieces = [f"<i>{literal(text)}</i>" if style == "i" else literal(plain([(text, style)])) for text, style in runs]
    return f"<&#160;&#160;{''.join(pieces)}&#160;>"  # with some room beside the line
