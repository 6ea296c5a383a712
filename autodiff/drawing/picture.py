"""The picture that a user gets: it shows itself in a notebook and saves itself to a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import graphviz  # type: ignore[import-untyped]

from autodiff.drawing.dot import digraph
from autodiff.drawing.graph import trace
from autodiff.drawing.page import page
from autodiff.drawing.render import render
from autodiff.files import write_atomically
from autodiff.tensor import Tensor

ENDINGS = ("svg", "png", "pdf", "dot", "html")
MOST_NODES = 2000
_WAY_OUT = "save it as .dot, or draw a smaller part, such as a Tensor computed earlier"


@dataclass(frozen=True)
class Drawing:
    """A picture of a graph, as `draw` makes it. A notebook shows it as it is.

    Attributes:
        digraph: the graph as the ``graphviz`` package has it, to change colours or labels before saving.
        nodes: number of nodes.
        calls: number of those that are calls, as opposed to inputs, parameters and constants.
        outputs: the Tensors that it is the picture of.

    Example:
        >>> drawing = draw(Tensor(2.0, name="x") ** 3)
        >>> drawing
        Drawing(nodes=3, calls=1)
    """

    digraph: graphviz.Digraph
    nodes: int
    calls: int
    outputs: tuple[Tensor, ...] = field(repr=False)

    @property
    def source(self) -> str:
        """The graph in the DOT language."""
        return str(self.digraph.source)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file: whole, or not at all.

        A file that ends with html is a page to step through the evaluation of the graph, and back through the chain
        rule, with all numbers: of each gradient, the local derivative and the product of the two. The gradients are
        computed anew; those of the Tensors stay as they are.

        Args:
            path: where to; its ending (svg, png, pdf, dot or html) says in which format.

        Returns:
            The path.

        Raises:
            ValueError: the ending is none of these, or the graph is too large for an image.
            RuntimeError: an image is wanted and there is no Graphviz; or a page is, and a Tensor was changed in place
                since the graph was computed.
            OSError: the file cannot be written.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = draw(Tensor(2.0) ** 3).save(folder + "/cube.dot")
            >>> path.name
            'cube.dot'
        """
        path = Path(path)
        form = path.suffix.lower().removeprefix(".")
        if form not in ENDINGS:
            raise ValueError(f"save: cannot tell the format of {str(path)!r}; the endings known are {_listed(ENDINGS)}")
        if form == "dot":
            content = self.source.encode()
        elif form == "html":
            content = self._page().encode()
        else:
            content = self._image(form)
        write_atomically(path, content)
        return path

    def _repr_svg_(self) -> str:
        return self._image("svg").decode()

    def __repr__(self) -> str:
        return f"Drawing(nodes={self.nodes}, calls={self.calls})"

    def _page(self) -> str:
        self._check_size("a page")
        return page(self.outputs)

    def _check_size(self, what: str) -> None:
        if self.nodes > MOST_NODES:
            raise ValueError(
                f"{what} of {self.nodes} nodes would take Graphviz very long and could not be read (the most is "
                f"{MOST_NODES}): {_WAY_OUT}"
            )

    def _image(self, form: str) -> bytes:
        self._check_size("an image")
        graph = self.digraph
        if form == "png":
            graph = graph.copy()
            graph.graph_attr["dpi"] = "192"
        try:
            return render(graph.source, form)
        except TimeoutError as error:
            raise ValueError(f"an image of these {self.nodes} nodes takes too long: {error}; {_WAY_OUT}") from None


def draw(output: Tensor | Sequence[Tensor], *, formulas: bool = False) -> Drawing:
    """Draw the graph of calls that computed a Tensor, or several of them.

    Every array and every call is a node with its shape; an arrow leads from what is used to the call that uses it,
    with the argument's number where the order matters. Inputs (Tensors made by hand), parameters (those of a class
    derived from Tensor), constants and calls differ in shape and colour, as the legend says. A dtype is shown where it
    is not the output's. After `Tensor.backward`, inputs and parameters show the shape and the Euclidean norm of their
    gradient.

    Args:
        output: a Tensor that was computed from one that requires a gradient, or a list or tuple of such Tensors.
        formulas: write on each edge the local derivative that the chain rule multiplies with there, such as
            ``∂(x·w)/∂w = x``, or what becomes of the gradient ``g``, such as ``g ↦ xᵀ g``. It is read off the rule of
            the call; where that cannot be, or would be too long, the edge says ``vjp``.

    Returns:
        The picture, to look at in a notebook or to save.

    Raises:
        TypeError: what was given is not a Tensor.
        ValueError: nothing was recorded, or the list is empty.

    Example:
        >>> x, w = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="w")
        >>> drawing = draw((x * w).sum())
        >>> drawing
        Drawing(nodes=4, calls=2)
    """
    outputs = [output] if isinstance(output, Tensor) else output
    if not isinstance(outputs, list | tuple):
        raise TypeError(f"draw: expected a Tensor or a list of Tensors, got {type(output).__name__}")
    if not outputs:
        raise ValueError("draw: the list of Tensors is empty, so there is nothing to draw")
    for one in outputs:
        if not isinstance(one, Tensor):
            raise TypeError(f"draw: expected a list of Tensors, got one with a {type(one).__name__}")
        if not one.requires_grad:
            raise ValueError(
                f"draw: {one._label()} has no graph: compute it from a Tensor with requires_grad=True, and not under "
                "no_grad()"
            )
    nodes = trace(outputs)
    return Drawing(digraph(nodes, formulas), len(nodes), sum(node.kind == "call" for node in nodes), tuple(outputs))


def _listed(endings: Sequence[str]) -> str:
    return ", ".join(f".{ending}" for ending in endings[:-1]) + f" and .{endings[-1]}"
