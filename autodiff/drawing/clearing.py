"""Titles of boxes, formulas and numbers of arguments are moved to where no line crosses them.

Graphviz lays nodes and lines out so that they keep clear of each other, but puts a title into the corner of its box, a
formula beside its line and a number at its end, whatever else is there. It takes other places for them, if it is asked
to draw what it has laid out. This file needs nothing else: it also runs as a program, in a process with pygraphviz.
"""

from __future__ import annotations

import html
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top

_CELL = 24.0  # points, of the grid in which what is near is found
_STEP = 3.0  # between the points that stand for a line
# How wide characters are that are not about as wide as a digit, as parts of their height.
_WIDTHS = {
    character: width
    for width, characters in {
        0.24: "ijl'′|", 0.29: " ,./:;[]\\ftI·", 0.35: "()-r", 0.42: "⁽⁾⁻₋₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹ᵀ", 0.51: "ckszxyvJ",
        0.68: "ABEKPSVXYΣ", 0.74: "wCDHNRU", 0.8: "GOQ", 0.85: "mM↦⊙", 1.0: "W…",
    }.items()
    for character in characters
}  # fmt: skip
_AWAY = 4.5  # points, which a number has to other lines than its own, to which it has less
_SHARES = sorted((share / 20 for share in range(2, 19)), key=lambda share: abs(share - 0.5))  # of a line, for a formula
_BEFORE = 1.2  # points by which the space before a formula is wider than that behind it
_NUMBER = r"-?\d[\d.]*(?:e[+-]?\d+)?"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|->|[^\s\[\]{},;=<"]+|[\[\]{},;=<]', re.DOTALL)


@dataclass
class _Statement:
    """A node, a line or a box, and where in the text each of its attributes stands."""

    head: str
    values: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)

    def numbers(self, name: str) -> list[float]:
        """Read an attribute that is numbers."""
        return [float(one) for one in re.findall(_NUMBER, self.values[name])]


def cleared(laid_out: str) -> str:
    """Move what a line crosses, as far as there is room.

    Args:
        laid_out: a graph in the DOT language, as Graphviz gives it with the places of everything.

    Returns:
        The same, with other places of some titles, formulas and numbers.
    """
    statements = list(_statements(laid_out))
    picture = _Picture()
    changes: list[tuple[int, int, str]] = []
    lines = []
    for one in statements:
        if "->" in one.head and "pos" in one.values and one.values.get("style") != "invis":
            lines.append((one, _points_of(one)))
            picture.add_line(lines[-1][1], one)
        elif "width" in one.values and "pos" in one.values:
            x, y = one.numbers("pos")
            width, height = (36 * one.numbers(side)[0] for side in ("width", "height"))
            picture.add_box((x - width, y - height, x + width, y + height))
            # To what it reads as the size Graphviz adds the second line around a node once more.
            around = (8 * (float(one.values.get("peripheries", 1)) - 1)) / 72
            changes += [
                (*one.places[side], f"{one.numbers(side)[0] - around:.5f}")
                for side in ("width", "height")
                if around and side in one.places
            ]

    def place(one: _Statement, name: str, places: list[Box], shift: float = 0.0, away: float = 2.0) -> None:
        box = picture.best(places, one, away)
        picture.add_box(box)
        changes.append((*one.places[name], f'"{(box[0] + box[2]) / 2 + shift:.2f},{(box[1] + box[3]) / 2:.2f}"'))

    for one in statements:
        if {"bb", "lp", "lwidth"} <= one.places.keys():
            place(one, "lp", _of_title(one), _space(one) / 2)
    for one in statements:
        if "bb" in one.places:
            picture.add_line(_border(*one.numbers("bb")), one)
    for one, points in lines:
        if "head_lp" in one.places:
            place(one, "head_lp", _of_number(one, points), away=_AWAY)
    for one, points in lines:
        if "lp" in one.places:
            place(one, "lp", _of_formula(one, points), -_BEFORE)
    for start, end, text in sorted(changes, reverse=True):
        laid_out = laid_out[:start] + text + laid_out[end:]
    return laid_out


class _Picture:
    """What is drawn, found by where it is."""

    def __init__(self) -> None:
        self._points: dict[tuple[int, int], list[tuple[float, float, _Statement]]] = {}
        self._boxes: dict[tuple[int, int], list[Box]] = {}

    def add_line(self, points: list[Point], of: _Statement) -> None:
        """Add a line."""
        for x, y in points:
            self._points.setdefault((int(x // _CELL), int(y // _CELL)), []).append((x, y, of))

    def add_box(self, box: Box) -> None:
        """Add what has a height and a width."""
        for cell in _cells(box):
            self._boxes.setdefault(cell, []).append(box)

    def best(self, places: list[Box], own: _Statement, away: float) -> Box:
        """Give the first of some places with nothing in it, or else one with as little as there is.

        Args:
            places: from the best to the worst.
            own: whose line may be near.
            away: how far from it other lines must be.
        """
        fewest, best = math.inf, places[0]
        for box in places:
            found = 0
            for cell in _cells(_around(box, away)):
                found += self._found(cell, box, own, away)
                if found >= fewest:
                    break
            else:
                fewest, best = found, box
                if not found:
                    break
        return best

    def _found(self, cell: tuple[int, int], box: Box, own: _Statement, away: float) -> int:
        """Count what is there in one cell: the points of lines, and each box as several."""
        found = 0
        if cell in self._points:
            left, bottom, right, top = _around(box, away)
            near = [one for one in self._points[cell] if left < one[0] < right and bottom < one[1] < top]
            left, bottom, right, top = _around(box, 2.0)
            found = sum(of is not own or (left < x < right and bottom < y < top) for x, y, of in near)
        if cell in self._boxes:
            left, bottom, right, top = box
            found += 4 * sum(
                left < r and edge < right and bottom < t and b < top for edge, b, r, t in self._boxes[cell]
            )
        return found


def _around(box: Box, away: float) -> Box:
    left, bottom, right, top = box
    return left - away, bottom - away / 2, right + away, top + away / 2


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    left, bottom, right, top = (int(edge // _CELL) for edge in box)
    return ((column, line) for column in range(left, right + 1) for line in range(bottom, top + 1))


# Where something may stand


def _space(one: _Statement) -> float:
    """Give the width of the empty cell behind a title."""
    found = re.search(r'<td width="(\d+)"', one.values.get("label", ""))
    return float(found[1]) if found else 0.0


def _of_title(one: _Statement) -> list[Box]:
    (left, _, right, _), (x, y) = one.numbers("bb"), one.numbers("lp")
    width, height = (72 * one.numbers(side)[0] for side in ("lwidth", "lheight"))
    start, width = x - width / 2, width - _space(one)
    ends = [start + 4 * step for step in range(int(max(right - 8 - width - start, 0) // 4) + 1)]
    ends += [start - 4 * step for step in range(1, int(max(start - left - 8, 0) // 4) + 1)]
    return [(end, y - height / 2 + 3, end + width, y + height / 2 - 3) for end in ends]


def _border(left: float, bottom: float, right: float, top: float) -> list[Point]:
    across = [left + _STEP * step for step in range(int((right - left) / _STEP) + 1)]
    up = [bottom + _STEP * step for step in range(int((top - bottom) / _STEP) + 1)]
    return [(x, y) for x in across for y in (bottom, top)] + [(x, y) for y in up for x in (left, right)]


def _of_formula(one: _Statement, points: list[Point]) -> list[Box]:
    (x, y), size = one.numbers("lp"), 9.0
    text = html.unescape(re.sub("<[^>]*>", "", one.values["label"][1:-1])).strip()
    width, height = sum(_WIDTHS.get(character, 0.57) for character in text) * size / 2, size * 0.6
    places = [(x + _BEFORE, y)]
    for share in _SHARES:
        px, py = points[int(share * (len(points) - 1))]
        places += [(px + width + 3, py), (px - width - 3, py)]
    for share in _SHARES:
        px, py = points[int(share * (len(points) - 1))]
        places += [(px + part * width, py + side * (height + 3)) for part in (0, 0.9, -0.9) for side in (1, -1)]
    return [(x - width, y - height, x + width, y + height) for x, y in places]


def _of_number(one: _Statement, points: list[Point]) -> list[Box]:
    width, height = len(one.values["headlabel"]) * 2.6 + 0.6, 4.2
    places = []
    for index in range(len(points) - 4, 4, -1):
        (x, y), (ax, ay), (bx, by) = points[index], points[index - 1], points[min(index + 1, len(points) - 1)]
        length = math.hypot(bx - ax, by - ay) or 1.0
        across = (by - ay) / length, (ax - bx) / length
        away = abs(across[0]) * width + abs(across[1]) * height + 3
        places += [(x + side * away * across[0], y + side * away * across[1]) for side in (1, -1)]
    if not places:
        (x, y) = one.numbers("head_lp")
        places = [(x, y)]
    return [(x - width, y - height, x + width, y + height) for x, y in places]


# Reading


def _points_of(one: _Statement) -> list[Point]:
    """Give points along a line, about a step from each other, from its tail to the tip of its arrow."""
    pairs = re.findall(f"(e,)?({_NUMBER}),({_NUMBER})", one.values["pos"])
    ends, knots = ([(float(x), float(y)) for end, x, y in pairs if bool(end) is is_end] for is_end in (True, False))
    points = knots[:1]
    for place in range(0, len(knots) - 3, 3):
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = knots[place : place + 4]
        length = math.hypot(bx - ax, by - ay) + math.hypot(cx - bx, cy - by) + math.hypot(dx - cx, dy - cy)
        count = int(length / _STEP) + 1
        for step in range(1, count + 1):
            t = step / count
            u = 1 - t
            a, b, c, d = u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t
            points.append((a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy))
    return points + ends


def _statements(text: str) -> Iterator[_Statement]:
    """Read nodes, lines and boxes with their attributes."""
    head: list[str] = []
    place = 0
    usual: dict[str, dict[str, str]] = {}
    while found := _TOKEN.search(text, place):
        token, place = found[0], found.end()
        if token in ";{}":
            head = []
        elif token != "[":
            head.append(token)
        else:
            one = _Statement(" ".join(head))
            place = _read_attributes(text, place, one)
            if one.head in ("graph", "node", "edge"):
                usual.setdefault(one.head, {}).update(one.values)
            else:
                one.values = usual.get("edge" if "->" in one.head else "node", {}) | one.values
            yield one


def _read_attributes(text: str, place: int, one: _Statement) -> int:
    name = ""
    while found := _TOKEN.search(text, place):
        token, start, place = found[0], found.start(), found.end()
        if token == "]":
            break
        if token == "<":
            depth = 1
            while depth:
                bracket = re.compile("[<>]").search(text, place)
                if bracket is None:
                    return len(text)
                depth += 1 if bracket[0] == "<" else -1
                place = bracket.end()
            token = text[start:place]
        if token == "=":
            continue
        if token == ",":
            name = ""
        elif not name:
            name = token
        else:
            one.values[name] = token.strip('"').replace("\\\n", "")
            one.places[name] = start, place
    return place


def main() -> None:
    """Read a graph in the DOT language, and write its image, with the Graphviz that pygraphviz brings along."""
    import pygraphviz  # type: ignore[import-untyped]

    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    laid_out = pygraphviz.AGraph(string=cleared(graph.draw(format="dot", prog="dot").decode()))
    sys.stdout.buffer.write(laid_out.draw(format=sys.argv[1], prog="nop2"))


if __name__ == "__main__":
    main()
