"""The picture that a user gets: it shows itself in a notebook and saves itself to a file."""

from __future__ import annotations

import inspect
import os
import tempfile
import webbrowser
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import graphviz  # type: ignore[import-untyped]

from autodiff.compiler import Compiled
from autodiff.core.tensor import Tensor
from autodiff.drawing.collapse import MOST_ITEMS, arrange
from autodiff.drawing.dot import digraph
from autodiff.drawing.frames import animation, images
from autodiff.drawing.gradients import backward_graph, fitting_gradients, gradients_of_all, left_gradients
from autodiff.drawing.labels import Style
from autodiff.drawing.modules import boxes_of
from autodiff.drawing.nodes import LEAVES, Node, nodes_of
from autodiff.drawing.notebook import following, framed, refusal
from autodiff.drawing.page import page
from autodiff.drawing.render import render
from autodiff.drawing.subject import outputs_of
from autodiff.drawing.text import literal
from autodiff.drawing.themes import THEMES
from autodiff.drawing.words import words_of
from autodiff.files import write_atomically
from autodiff.notebook import notebook_display

ENDINGS = ("svg", "png", "pdf", "dot", "html", "gif")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture of a graph, as `draw` makes it. A notebook shows it as it is.

    Attributes:
        digraph: the graph as the ``graphviz`` package has it, to change colours or labels before saving.
        nodes: number of nodes.
        calls: number of those that are calls, as opposed to inputs, parameters and constants.
        outputs: the Tensors that it is the picture of.
        theme: the one that `draw` was given.

    Example:
        >>> drawing = ad.draw(ad.Tensor(2.0, name="x") ** 3)
        >>> drawing
        Drawing(nodes=3, calls=1)
    """

    digraph: graphviz.Digraph
    nodes: int
    calls: int
    outputs: tuple[Tensor, ...]
    theme: str = "light"
    _names: Mapping[int, str] = field(default_factory=dict)  # of Tensors and arrays without one of their own

    @property
    def source(self) -> str:
        """The graph in the DOT language."""
        return str(self.digraph.source)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file: whole, or not at all.

        A file that ends with html is a page to step through the evaluation of the graph, and back through the chain
        rule, with all numbers: of each gradient, the local derivative and the product of the two. The gradients are
        computed anew; those of the Tensors stay as they are. A gif shows the same steps, of which there may be 300, one
        after the other, in words that can be read from afar. And in the name of a png a ``*`` stands for the number of
        a step: ``steps-*.png`` becomes ``steps-001.png``, ``steps-002.png`` and so on, an image each, all or
        none; what is left of a longer series before stays.

        Args:
            path: where to; its ending (svg, png, pdf, dot, html or gif) says in which format.

        Returns:
            The path, with the ``*`` if there is one.

        Raises:
            TypeError: the path is none.
            ValueError: the ending is none of these, there is a ``*`` elsewhere, the graph takes too long to lay out, or
                it has too many nodes or no numbers for its steps.
            RuntimeError: an image is wanted and there is no Graphviz; or steps are, and a Tensor was changed in place
                since the graph was computed.
            ImportError: images of steps are wanted, and there is no Pillow.
            OSError: the file cannot be written.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = ad.draw(ad.Tensor(2.0) ** 3).save(folder + "/cube.dot")
            >>> path.name
            'cube.dot'
        """
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"save: expected the path of a file, got {path!r}")
        path = Path(path)
        form = path.suffix.lower().removeprefix(".")
        if form not in ENDINGS:
            raise ValueError(f"save: cannot tell the format of {str(path)!r}; the endings known are {_listed(ENDINGS)}")
        if "*" in str(path):
            return self._save_each_step(path)
        if form == "dot":
            content = self.source.encode()
        elif form == "html":
            content = self._page("save").encode()
        elif form == "gif":
            content = animation(self._stepped("save"), self._frames_theme, self._names)
        else:
            content = self._image(form)
        write_atomically(path, content)
        return path

    def _save_each_step(self, path: Path) -> Path:
        if path.suffix.lower() != ".png" or path.name.count("*") != 1 or "*" in str(path.parent):
            raise ValueError(
                f"save: one * in the name of a .png stands for a step's number, as in steps-*.png; got {str(path)!r}"
            )
        contents = images(self._stepped("save"), self._frames_theme, self._names)
        made: list[Path] = []
        try:
            for number, content in enumerate(contents, start=1):
                one = path.with_name(path.name.replace("*", f"{number:03}"))
                made += [] if one.exists() else [one]
                write_atomically(one, content)
        except BaseException:
            for one in made:
                one.unlink(missing_ok=True)
            raise
        return path

    def _repr_svg_(self) -> str | None:
        return self._repr_mimebundle_().get("image/svg+xml")

    def _repr_html_(self) -> str:
        return self._repr_mimebundle_()["text/html"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Give the image in all forms that a notebook knows, laid out once; without one, say what is missing."""
        try:
            image = self._image("svg").decode()
        except (RuntimeError, ValueError) as error:
            return {"text/html": refusal(error)}
        svg = image[image.index("<svg") :]
        html = following(svg) if self.theme == "auto" else f'<div style="overflow: auto">{svg}</div>'
        return {"image/svg+xml": image, "text/html": html}

    def show(self) -> None:
        """Show the picture: in a notebook below the cell, elsewhere in the web browser.

        Raises:
            RuntimeError: there is no Graphviz, or no browser; the message says where the picture was written.
            ValueError: the graph takes too long to lay out.
        """
        if (display := notebook_display()) is not None:
            display(self)
        else:
            _open("show", "graph.svg", self._image("svg"))

    def page(self) -> None:
        """Show the page to step through, as `save` writes it: in a notebook below the cell, elsewhere in the browser.

        Raises:
            RuntimeError: there is no browser; or a Tensor was changed in place since the graph was computed.
            ValueError: the graph has too many nodes or no numbers for a page.
        """
        if (display := notebook_display()) is not None:
            display(framed(self._page("page")))
        else:
            _open("page", "steps.html", self._page("page").encode())

    def __repr__(self) -> str:
        return f"Drawing(nodes={self.nodes}, calls={self.calls})"

    @property
    def _frames_theme(self) -> str:
        return "dark" if self.theme == "dark" else "light"

    def _page(self, caller: str) -> str:
        return page(self._stepped(caller), self._names)

    def _stepped(self, caller: str) -> tuple[Tensor, ...]:
        """Give the Tensors whose steps are shown, if there are any."""
        if not self.outputs:
            raise ValueError(
                f"{caller}: a program has no numbers to step through; save its picture, as .svg for example"
            )
        return self.outputs

    def _image(self, form: str) -> bytes:
        graph = self.digraph
        if form == "png":
            graph = graph.copy()
            # More would be more pixels than most programs open.
            graph.graph_attr["dpi"] = "192" if graph.source.count("id=node_") <= MOST_ITEMS else "96"
        try:
            return render(graph.source, form)
        except TimeoutError as error:
            way = "as .html, a page to zoom and search it, or as .dot" if self.outputs else "as .dot"
            raise ValueError(
                f"an image of these {self.nodes} nodes takes too long: {error}; save it {way}, or draw a smaller part, "
                "such as a Tensor computed earlier"
            ) from None


def draw(
    what: Any,
    /,
    *args: Any,
    graph: str = "forward",
    depth: int | None = None,
    show: str | Collection[str] | None = None,
    color: str | None = None,
    formulas: bool = False,
    theme: str = "auto",
    limit: int | None = MOST_ITEMS,
    **kwargs: Any,
) -> Drawing:
    """Draw the graph of calls that computed a Tensor, or what a function computes from example inputs.

    Every array and every call is a node; an arrow leads from what is used to the call that uses it, with the argument's
    number where the order matters. Inputs (Tensors made by hand), parameters (those of a class derived from Tensor),
    constants and calls differ in shape and colour, as the legend says. Tensors are called by the ``name`` they were
    given, example inputs by the function's arguments, parameters by their path, and what has no name by the variable
    that holds it when it is drawn, or held it last in the function that is drawn. What modules did is in a box for each
    of their calls, named by path and class, if the call is one of the latest 2,000 and the module is still there.

    Gradients are those that `Tensor.backward` left; where these are the gradients of what is drawn, all nodes show
    theirs. A function that gives one number is drawn with its gradients. Those of calls are computed for the picture,
    and nothing else is changed.

    A graph of more nodes than the ``limit`` is shortened, where that can be until it fits, and a note at the top says
    how: modules become single nodes, what is repeated is drawn once, and the middle of what is still too long is left
    out. The page that `Drawing.save` writes to a file ending with html has all of them, to zoom, to search, and to open
    module by module.

    Args:
        what: a Tensor that was computed from one that requires a gradient, a list or tuple of such Tensors, or a
            function, such as a model, of example inputs, which is called once, with a Tensor in place of every float
            and every array of floats; or a compiled step, whose program is drawn as it was simplified.
        args: the example inputs: numbers, arrays, or lists, tuples, dicts and dataclasses of them.
        graph: "forward", or "backward" for the calls that compute the gradients, as ``create_graph=True`` records them.
            An output that is no scalar is given a gradient of ones.
        depth: how many levels of modules are drawn as boxes. A module below is one node with the shapes that go in and
            come out, and what is repeated three times or more is drawn once, in a box that says how often; with
            ``color`` all are drawn.
        show: what is written into a node: by default the numbers of its value and its gradient, and where there are
            more than 16, or more than 8 beside or below each other, shape and Euclidean norms. Or which of "shape",
            "value" and "grad": then a value is a number, a small table, or mean, standard deviation and a strip of
            colours, and a gradient is a number or shown by its norm, and with "value" also by its numbers. A dtype is
            shown where it is not the output's.
        color: "grad" fills each node with a colour for the norm of the gradient of the outputs' sum by its value, on
            a logarithmic scale. It is computed for the picture, also before `Tensor.backward`.
        formulas: write on each edge the local derivative that the chain rule multiplies with there, such as
            ``∂(x·w)/∂w = x``, or what becomes of the gradient ``g``, such as ``g ↦ xᵀ g``. It is read off the rule of
            the call; where that cannot be, or would be too long, the edge says it in words, such as ``g to the
            largest``. Nodes that have no name get a letter, by which formulas call them.
        theme: "light", "dark" or "auto", by which a picture in a notebook is as its page is, and files are light.
        limit: how many nodes are drawn before the picture is shortened, or None to draw all.
        kwargs: example inputs by keyword.

    Returns:
        The picture, to look at in a notebook or to save.

    Raises:
        TypeError: what was given cannot be drawn, or the function does not take the inputs.
        ValueError: nothing was recorded, the list is empty, an option is unknown, or it asks for numbers of a compiled
            step, which has none.
        RuntimeError: ``color`` or ``graph="backward"`` asks for gradients, and a Tensor was changed since it was used.

    Example:
        >>> x, w = ad.Tensor([1.0, 2.0], name="x"), ad.Tensor([3.0, 4.0], name="w")
        >>> drawing = ad.draw((x * w).sum())
        >>> drawing
        Drawing(nodes=4, calls=2)
        >>> ad.draw(lambda x, y: x * y + 1, x=2.0, y=3.0)
        Drawing(nodes=5, calls=2)
    """
    _check_options(graph, depth, show, color, theme, limit)
    options = {
        "graph": graph,
        "depth": depth,
        "show": show,
        "color": color,
        "formulas": formulas,
        "theme": theme,
        "limit": limit,
    }
    defaults = inspect.signature(draw).parameters
    choices = [option for option, value in options.items() if value != defaults[option].default]
    has_numbers = not isinstance(what, Compiled)
    if not has_numbers and (color is not None or "value" in (show or ())):
        raise ValueError(
            "draw: a compiled step's program has shapes, and no values or gradients; draw the step's function with "
            "example inputs to see some"
        )
    outputs, names = outputs_of(what, args, kwargs, choices)
    outputs = list(dict.fromkeys(outputs))  # one that is given twice counts once in the sum that gradients are of
    nodes = nodes_of(outputs, names)
    words = words_of(nodes)
    names |= words
    nodes = [replace(node, name=words[id(node.value)]) if id(node.value) in words else node for node in nodes]
    if graph == "backward":
        backward = backward_graph(outputs, names)
        outputs = list(backward.gradients)
        nodes = nodes_of(outputs, names, backward.turn)
        boxes = boxes_of(nodes, backward.origins)
    else:
        boxes = boxes_of(nodes)
    view = arrange(nodes, boxes, depth, fold=color is None, limit=limit)
    parts = None if show is None else frozenset([show] if isinstance(show, str) else show)
    gradients: dict[str, Any] = {}
    note = ""
    if color is not None or ((parts is None or "grad" in parts) and has_numbers):
        of_run = not isinstance(what, Tensor | list | tuple)
        gradients, note = _gradients(nodes, outputs, graph, of_run, color is not None)
    colours = THEMES["light" if theme == "auto" else theme]
    style = Style(parts, colours, gradients, color is not None, formulas, has_numbers, note)
    calls = sum(node.kind not in LEAVES for node in nodes)
    return Drawing(digraph(view, style), len(nodes), calls, tuple(outputs) if has_numbers else (), theme, names)


def _gradients(
    nodes: Sequence[Node], outputs: Sequence[Tensor], graph: str, of_run: bool, is_asked: bool
) -> tuple[dict[str, Any], str]:
    """Give the gradients that are shown, by the keys of their nodes, and what is to be said of them."""
    is_loss = len(outputs) == 1 and outputs[0].size == 1 and outputs[0].dtype.kind == "f"
    gradients = None
    if is_asked:
        gradients = gradients_of_all(nodes, outputs)
    elif graph == "forward" and (is_loss or not of_run):
        gradients = fitting_gradients(nodes, outputs, of_run)
    if gradients is None:
        gradients = left_gradients(nodes)
        return gradients, "gradient that backward() has left at the leaves" if gradients else ""
    name = next(node.name for node in nodes if node.is_output) if is_loss else None
    of = literal(name) if name else ("the output" if is_loss else "the sum of the outputs")
    of = f"the real part of {of}" if any(output.dtype.kind == "c" for output in outputs) else of
    return gradients, f"gradient of {of} by the node’s value"


def _check_options(
    graph: str, depth: int | None, show: str | Collection[str] | None, color: str | None, theme: str, limit: int | None
) -> None:
    """Refuse unknown values of the options of `draw`."""
    if show is not None and not isinstance(show, str | list | tuple | set | frozenset):
        raise TypeError(f"draw: show must be a name or several, got {type(show).__name__}")
    choices: tuple[tuple[str, Any, Sequence[Any]], ...] = (
        ("graph", graph, ("forward", "backward")),
        ("color", color, (None, "grad")),
        ("theme", theme, ("auto", *THEMES)),
        *(("show", part, ("shape", "value", "grad")) for part in ([show] if isinstance(show, str) else show or ())),
    )
    for option, value, values in choices:
        if not isinstance(value, str | None) or value not in values:
            raise ValueError(f"draw: {option}={value!r} is unknown; known are {', '.join(map(repr, values))}")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise ValueError(f"draw: depth must be None or a number of levels, 0, 1, 2 and so on, got {depth!r}")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ValueError(f"draw: limit must be a number of nodes, 1 or more, or None to draw all, got {limit!r}")
    if color is not None and graph == "backward":
        raise ValueError("draw: color='grad' is for graph='forward': it shows the gradients by the forward pass")


def _open(caller: str, name: str, content: bytes) -> None:
    """Open a new file in the web browser."""
    path = Path(tempfile.mkdtemp(), name)
    path.write_bytes(content)
    if not webbrowser.open(path.as_uri()):
        raise RuntimeError(f"{caller}: there is no web browser to open {path} with")


def _listed(endings: Sequence[str]) -> str:
    return ", ".join(f".{ending}" for ending in endings[:-1]) + f" and .{endings[-1]}"
