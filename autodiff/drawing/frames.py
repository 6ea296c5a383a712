"""The steps through a graph as frames for a talk: of an animation, or an image each."""

from __future__ import annotations

import html
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from autodiff.batching.array import innermost
from autodiff.core.record import data_of
from autodiff.core.tensor import Tensor, is_complex
from autodiff.drawing.collapse import View
from autodiff.drawing.dot import digraph
from autodiff.drawing.formulas import Formula, expression, operand_formulas
from autodiff.drawing.labels import Style
from autodiff.drawing.modules import boxes_of
from autodiff.drawing.nodes import Node, nodes_of
from autodiff.drawing.notation import plain
from autodiff.drawing.render import render
from autodiff.drawing.steps import Flow, Step, in_a_word, is_literal, label, loss_of, names_of, steps_of, texts_of
from autodiff.drawing.text import is_number, shape
from autodiff.drawing.themes import FONT, THEMES
from autodiff.extras import install

MOST_FRAMES = 300
SIZE = 1280, 720  # of a frame of an animation, in pixels
SECONDS, LAST_SECONDS = 2.0, 6.0  # that a frame stays
_ACCENTS = {  # of the ways forward and back, as the page has them
    "light": {"forward": "#0072B2", "backward": "#C04E00"},
    "dark": {"forward": "#56B4E9", "backward": "#F39A55"},
}
_SCALES = 1.15, 2.6  # pixels of a point of the graph: the fewest that can be read from afar, and what is large enough
_DRAWING = 30_000, 20_000_000  # pixels of a side of a drawing, and of all of it
_PAD = 0.2  # inches around it
_MOST_LINES = 3  # about the operands of a call
_CAPTIONS = 20  # that are drawn at once


def animation(outputs: Sequence[Tensor], theme: str = "light", words: Mapping[int, str] | None = None) -> bytes:
    """Make an animated GIF of the steps through the evaluation of Tensors and back through the chain rule.

    The ``words`` are names of Tensors and arrays that have none of their own, by their identity.

    Raises:
        ImportError: there is no Pillow.
        ValueError: there are more than `MOST_FRAMES` steps, or the graph takes too long to lay out.
        RuntimeError: there is no Graphviz, or a Tensor was changed in place since it was used.
    """
    reel = _Reel(outputs, theme, words)
    durations = [1000 * SECONDS] * (len(reel) - 1) + [1000 * LAST_SECONDS]
    frames = reel.frames()
    file = io.BytesIO()
    next(frames).save(file, "GIF", save_all=True, append_images=frames, duration=durations, loop=0)
    return file.getvalue()


def images(outputs: Sequence[Tensor], theme: str = "light", words: Mapping[int, str] | None = None) -> list[bytes]:
    """Make a PNG of each step, half as large again as a frame of an animation; `animation` says what is raised."""
    files = []
    for frame in _Reel(outputs, theme, words, zoom=1.5).frames():
        file = io.BytesIO()
        frame.save(file, "PNG")
        files.append(file.getvalue())
    return files


class _Reel:
    """Makes the frames of all steps.

    The graph is drawn with its nodes empty, with values, and with gradients too, and the latter both also with every
    node as the current one: only colours differ, so the layout is one. A frame has each node from the drawing that it
    is due to, and below what is said of the step. Of a graph that could not be read if it were all in a frame there is
    the part around the current node.
    """

    def __init__(
        self, outputs: Sequence[Tensor], theme: str = "light", words: Mapping[int, str] | None = None, zoom: float = 1.0
    ) -> None:
        self._image, self._draw = _pillow()
        self._nodes, self._zoom = nodes_of(outputs, words), zoom
        flow = Flow(self._nodes)
        self._steps = steps_of(self._nodes, flow)
        if len(self._steps) > MOST_FRAMES:
            raise ValueError(
                f"save: {len(self._steps)} steps are too many for frames (the most is {MOST_FRAMES}): save the page to "
                "step through, as .html, or draw a smaller part, such as a Tensor computed earlier"
            )
        self._names = names_of(self._nodes)
        self._texts = {node.key: texts_of(node, flow) for node in self._nodes}
        self._theme, self._accents = THEMES[theme], _ACCENTS[theme]
        said = _Said(self._nodes, self._names, flow)
        self._captions = [said.lines(step) for step in self._steps]
        # In points, of which three are four pixels.
        self._most_lines = max(map(len, self._captions))
        self._caption_height = 60 + 27 * self._most_lines
        self._width, height = (round(zoom * side) for side in SIZE)
        self._room = height - self._pixels(self._caption_height)
        try:
            self._lay_out()
            self._empty = self._drawn([])
            self._sheets = {
                (phase, is_current): self._drawn(places, self._accents[phase] if is_current else None)
                for phase, places in (("forward", ["value"]), ("backward", ["value", "gradient"]))
                for is_current in (False, True)
            }
        except TimeoutError as error:
            raise ValueError(f"save: frames of these {len(self._nodes)} nodes take too long: {error}") from None

    def frames(self) -> Iterator[Any]:
        """Make one frame after the other, in 256 colours."""
        colours = self._palette()
        # Pillow looks for the nearest colour with the last two bits of each part left out.
        rounded = self._image.new("P", (1, 1))
        rounded.putpalette([part & ~3 for part in colours])
        filled, captions = self._empty.copy(), self._caption_images()
        for at, (step, caption) in enumerate(zip(self._steps, captions), start=1):
            box = self._boxes[step.node.key]
            filled.paste(self._sheets[step.phase, False].crop(box), box)
            x, y = self._shift(box)
            frame = self._image.new("RGB", (self._width, self._room + caption.height), self._theme.ground)
            frame.paste(filled, (x, y))
            frame.paste(self._sheets[step.phase, True].crop(box), (box[0] + x, box[1] + y))
            frame.paste(caption, (0, self._room))
            line = round(4 * self._zoom)
            draw = self._draw.Draw(frame)
            for share, colour in ((1.0, self._theme.frame), (at / len(self._steps), self._accents[step.phase])):
                right = round(self._width * share)
                draw.rectangle((0, self._room, right - 1, self._room + line - 1), fill=colour)
            reduced = frame.quantize(palette=rounded, dither=0)
            reduced.putpalette(colours)
            yield reduced

    def __len__(self) -> int:
        return len(self._steps)

    def _palette(self) -> list[int]:
        """Give the colours of the frames: those of the theme, and what is between them on its nodes."""
        theme = self._theme
        own = {theme.ground, theme.text, theme.frame, *theme.boxes, *theme.fills.values(), *theme.borders.values()}
        colours = np.array([[*bytes.fromhex(colour[1:])] for colour in sorted(own | {*self._accents.values()})])
        sheets = [self._sheets["backward", False], *(self._sheets[phase, True] for phase in ("forward", "backward"))]
        all_of_them = self._image.new("RGB", (sheets[0].width, len(sheets) * sheets[0].height))
        for at, sheet in enumerate(sheets):
            all_of_them.paste(sheet, (0, at * sheet.height))
        others = np.reshape(all_of_them.quantize(256 - len(colours)).getpalette(), (-1, 3))
        # What is nearly a colour of the theme is that colour.
        distances = np.abs(others[:, None] - colours).max(axis=2).min(axis=1)
        return np.concatenate([colours, others[distances > 6]]).ravel().tolist()

    def _pixels(self, points: float) -> int:
        return round(points * 4 / 3 * self._zoom)

    def _shift(self, box: tuple[int, int, int, int]) -> tuple[int, int]:
        """Give where in a frame the drawing begins: in the middle, or so that the current node is."""
        left, top, right, bottom = box
        width, height = self._empty.size
        rooms = (self._width, width, (left + right) // 2), (self._room, height, (top + bottom) // 2)
        x, y = (
            (room - size) // 2 if size <= room else max(room - size, min(0, room // 2 - middle))
            for room, size, middle in rooms
        )
        return x, y

    # The graph

    def _lay_out(self) -> None:
        """Find out where the nodes are, in the direction in which the graph is seen larger."""
        layouts = []
        for direction in ("TB", "LR"):
            layout = json.loads(render(self._source(direction, []), "json0"))
            right, top = map(float, layout["bb"].split(",")[2:])
            width, height = right + 144 * _PAD, top + 144 * _PAD
            layouts.append((min(self._width / width, self._room / height), direction, width, height, layout, top))
        scale, self._direction, width, height, layout, top = max(layouts, key=lambda one: one[0])
        least, most = (self._zoom * scale for scale in _SCALES)
        longest, largest = _DRAWING
        scale = min(max(scale, least), most, longest / max(width, height), math.sqrt(largest / (width * height)))
        self._scale = scale
        self._boxes = {}
        for one in layout["objects"]:
            if "pos" in one:
                x, y = map(float, one["pos"].split(","))
                x, y = x + 72 * _PAD, top - y + 72 * _PAD
                w, h = 36 * float(one["width"]) + 4, 36 * float(one["height"]) + 4  # with the line around it
                left, upper, right, lower = (round(scale * side) for side in (x - w, y - h, x + w, y + h))
                self._boxes[one["name"]] = left, upper, right, lower

    def _drawn(self, places: Sequence[str], accent: str | None = None) -> Any:
        """Draw the graph with these places in its nodes filled, and all as current ones if these have a colour."""
        image = render(self._source(self._direction, places, accent), "png")
        return self._image.open(io.BytesIO(image)).convert("RGB")

    def _source(self, direction: str, places: Sequence[str], accent: str | None = None) -> str:
        colours = {"title": self._theme.text, "name": self._theme.text, "quiet": self._theme.quiet}
        for place, phase in (("value", "forward"), ("gradient", "backward")):
            colours[place] = self._accents[phase] if place in places else "transparent"
        graph = digraph(View(self._nodes, boxes_of(self._nodes)), Style(theme=self._theme), has_legend=False)
        graph.graph_attr |= {"rankdir": direction, "pad": str(_PAD)}
        if hasattr(self, "_scale"):
            graph.graph_attr["dpi"] = str(72 * self._scale)
        for node in self._nodes:
            look = {"color": accent, "penwidth": "4"} if accent else {}
            graph.node(node.key, label(node, self._names[node.key], self._texts[node.key], colours), **look)
        return str(graph.source)

    # What is said of the steps

    def _caption_images(self) -> Iterator[Any]:
        width = self._width * 3 / 4 / self._zoom
        for start in range(0, len(self._captions), _CAPTIONS):
            some = range(start, min(start + _CAPTIONS, len(self._captions)))
            cell = f'<td width="{width:g}" height="{self._caption_height}" fixedsize="true">'
            rows = "".join(f"<tr>{cell}{self._caption(at)}</td></tr>" for at in some)
            source = (
                f'digraph {{ graph [pad=0, margin=0, dpi={96 * self._zoom:g}, bgcolor="{self._theme.ground}"] '
                f'node [shape=plain, margin=0, fontname="{FONT}", fontcolor="{self._theme.text}"] captions '
                f'[label=<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{rows}</table>>] }}'
            )
            sheet = self._image.open(io.BytesIO(render(source, "png"))).convert("RGB")
            height = self._pixels(self._caption_height)
            for row in range(len(some)):
                yield sheet.crop((0, row * height, self._width, (row + 1) * height))

    def _caption(self, at: int) -> str:
        """Write what is said of a step, in smaller letters where it would not find room."""
        step = self._steps[at]
        way = "evaluation" if step.phase == "forward" else "chain rule"
        head = f'Step {at + 1} of {len(self._steps)} · <font color="{self._accents[step.phase]}"><b>{way}</b></font>'
        lines = [f'<font point-size="13" color="{self._theme.quiet}">{head}</font>']
        for size, line in zip((22, *[17] * _MOST_LINES), self._captions[at]):
            fitting = min(size, 1600 / max(len(line), 1))
            lines.append(f'<font point-size="{fitting:.1f}">{_text(line)}</font>')
        cells = '<td width="18"></td>', f'<td width="{SIZE[0] * 3 / 4 - 42:g}" align="left">'
        # All have as many rows, so that lines stand where those of other steps do.
        lines += ['<font point-size="17"> </font>'] * (self._most_lines + 1 - len(lines))
        rows = "".join(f"<tr>{cells[0]}{cells[1]}{line}</td></tr>" for line in lines)
        return f'<table border="0" cellborder="0" cellspacing="0" cellpadding="3">{rows}</table>'


def _text(line: str) -> str:
    """Write a line into an HTML-like label, however long it is; names in it have no control characters."""
    return html.escape(line, quote=False).replace("\\", "<font>&#92;</font>")


def _pillow() -> Any:
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        raise ImportError(f"save: frames need Pillow, which is not installed: {install('draw')}") from None
    return Image, ImageDraw


class _Said:
    """What is said of steps, in few words and numbers."""

    def __init__(self, nodes: Sequence[Node], names: Mapping[str, str], flow: Flow) -> None:
        self._by_key = {node.key: node for node in nodes}
        self._names, self._flow, self._loss = names, flow, loss_of(nodes, names)
        self._named = {id(node.value): names[node.key] for node in nodes if not is_literal(node)}

    def lines(self, step: Step) -> list[str]:
        """Give the lines, of which the first is the most important."""
        return self._forward(step.node) if step.phase == "forward" else self._backward(step.node)

    def _name_of(self, one: Any) -> str | None:
        return self._named.get(id(one))

    def _derivative(self, key: str) -> str:
        return f"∂{self._loss}/∂{self._names[key]}"

    def _forward(self, node: Node) -> list[str]:
        name, value = self._names[node.key], _size(data_of(node.value))
        if node.kind != "call":
            return [f"{name} {value}"]
        written = f"{name} = {plain(expression(node.value, self._name_of))}"
        operands = [self._by_key[key] for key in dict.fromkeys(node.operands)]
        known = [f"{self._names[one.key]} {_size(data_of(one.value))}" for one in operands if not is_literal(one)]
        if is_number(data_of(node.value)):
            return [f"{written} {value}", ",   ".join(known)]
        return [written, f"{name} {value}", ",   ".join(known)]

    def _backward(self, node: Node) -> list[str]:
        gradient = self._flow.gradients[node.key]
        whole = f"{self._derivative(node.key)} {_size(gradient)}"
        arrivals = self._flow.arrivals[node.key]
        if node.kind != "call":
            parts = [self._flow.contributions[one] for one in arrivals]
            if len(parts) > 1 and is_number(gradient):
                return [f"{self._derivative(node.key)} = {' + '.join(map(_factor, parts))} {_size(gradient)}"]
            return [whole, f"the sum of what comes back from {len(parts)} uses"] if len(parts) > 1 else [whole]
        derived = operand_formulas(node, self._by_key, self._name_of, gradient, set(self._named.values()))
        lines = [
            self._edge(node, node.operands[position - 1], self._flow.contributions.get((node.key, position)), formula)
            for position, _, formula in derived
        ]
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES - 1 :] = [f"… and {len(lines) - _MOST_LINES + 1} more"]
        return [whole, *lines]

    def _edge(self, node: Node, to: str, part: Any, formula: Formula) -> str:
        """Write what the chain rule makes of the gradient of a call for an operand."""
        own, of = self._derivative(node.key), self._derivative(to)
        is_one = len(self._flow.arrivals[to]) + self._by_key[to].is_output == 1
        if formula.derivative is None:
            # In words, or with the gradient in place of its letter.
            letters = {run for run in formula.left if run[1] == "i"}
            text = plain([(own if run in letters else run[0], run[1]) for run in formula.right])
            text = text.replace(f"{own}[", f"({own})[")
            if formula.product is None:
                return f"{of}:  {own} {text}{_result(part)}"
        else:
            times = " ⊙ " if np.shape(innermost(formula.product)) else " · "
            factor = plain(formula.right)
            if is_complex(formula.derivative):
                factor = f"conj({factor})"
            elif " " in factor and not factor.startswith("["):
                factor = f"({factor})"
            text = f"{own}{times}{factor}"
            if is_number(part) and is_number(formula.product):
                text += " = " + " · ".join(map(_factor, (self._flow.gradients[node.key], formula.derivative)))
            if np.shape(innermost(part)) != np.shape(innermost(formula.product)):
                text += ", summed"
        return f"{of} = {text}{_result(part)}" if is_one else f"adds to {of}:  {text}{_result(part)}"


def _factor(number: Any) -> str:
    text = str(in_a_word(number))
    return f"({text})" if text.startswith("−") or "j" in text else text


def _result(value: Any) -> str:
    size = _size(value)
    return f" {size}" if size.startswith("=") else f":  {size}"


def _size(value: Any) -> str:
    """Say how large a value is: of a number which, of an array also its shape."""
    word = in_a_word(value)
    if word is None or word.startswith("norm"):
        return f"{shape(value)}{f', {word}' * bool(word)}"
    return f"= {word}"
