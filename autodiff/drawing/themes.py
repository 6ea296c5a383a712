"""The shapes and colours of a picture, on light and on dark ground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FONT = "Helvetica,Arial,Liberation Sans,DejaVu Sans Condensed,sans-serif"

SHAPES = {
    "input": {"shape": "ellipse", "style": "filled", "margin": "0.05,0.02"},
    "parameter": {"shape": "folder", "style": "filled"},
    "constant": {"shape": "note", "style": "filled"},
    "call": {"shape": "box", "style": "rounded,filled"},
    "gradient": {"shape": "box", "style": "rounded,filled"},
    "module": {"shape": "box", "style": "filled", "penwidth": "2.2", "margin": "0.24,0.06"},
    "left out": {"shape": "box", "style": "filled,dashed"},
}


@dataclass(frozen=True)
class Theme:
    """The colours of a picture.

    Borders are in the colours of Okabe and Ito, which people with any colour vision can tell apart; fills are tints of
    them, on which the text has a contrast above 7:1. Shapes say the same once more.

    Attributes:
        ground: behind everything.
        text: of titles.
        quiet: of what is less important.
        line: of arrows.
        frame: around boxes.
        boxes: the ground of boxes, by turns from the outermost.
        borders: of each kind of item, and of outputs.
        fills: of the same.
        strip: a heat strip's colour of the most negative number, of zero and of the most positive one.
        strange: the colour of what is NaN or infinite.
    """

    ground: str
    text: str
    quiet: str
    line: str
    frame: str
    boxes: tuple[str, str]
    borders: Mapping[str, str]
    fills: Mapping[str, str]
    strip: tuple[str, str, str]
    strange: str

    def look(self, kind: str, is_output: bool) -> dict[str, str]:
        """Give the Graphviz attributes of an item."""
        colour = "output" if is_output else kind
        look = {**SHAPES[kind], "color": self.borders[colour], "fillcolor": self.fills[colour]}
        return look | {"peripheries": "2"} if is_output else look


_LIGHT = Theme(
    ground="#FFFFFF",
    text="#1A1A1A",
    quiet="#4A4A4A",
    line="#767676",
    frame="#B8B8B8",
    boxes=("#FAFAFA", "#F1F3F5"),
    borders={
        "input": "#0072B2",
        "parameter": "#E69F00",
        "constant": "#CC79A7",
        "call": "#767676",
        "gradient": "#D55E00",
        "module": "#56B4E9",
        "left out": "#767676",
        "output": "#009E73",
    },
    fills={
        "input": "#DCECF7",
        "parameter": "#FDF0D5",
        "constant": "#F8EAF2",
        "call": "#F5F5F5",
        "gradient": "#FBE6D9",
        "module": "#EAF5FC",
        "left out": "#FFFFFF",
        "output": "#DDF3EC",
    },
    strip=("#0072B2", "#FDFDFD", "#D55E00"),
    strange="#1B1B1B",
)
_DARK = Theme(
    ground="#17191C",
    text="#F2F2F2",
    quiet="#C4C7CC",
    line="#9A9FA6",
    frame="#5A6068",
    boxes=("#1E2125", "#262A2F"),
    borders={
        "input": "#56B4E9",
        "parameter": "#E69F00",
        "constant": "#CC79A7",
        "call": "#9A9FA6",
        "gradient": "#E8793A",
        "module": "#F0E442",
        "left out": "#9A9FA6",
        "output": "#1CC394",
    },
    fills={
        "input": "#12324A",
        "parameter": "#453307",
        "constant": "#43243A",
        "call": "#2E3238",
        "gradient": "#4A2713",
        "module": "#37351B",
        "left out": "#17191C",
        "output": "#0B3D30",
    },
    strip=("#56B4E9", "#2E3238", "#E8793A"),
    strange="#F2F2F2",
)
THEMES = {"light": _LIGHT, "dark": _DARK}


def mix(one: str, other: str, share: float) -> str:
    """Give the colour that lies between two, at a share of the way.

    Example:
        >>> mix("#000000", "#FF8000", 0.5)
        '#804000'
    """
    ends = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]))
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in ends)


# From dark blue over green to yellow: ever lighter, so that it is read in grey and with any colour vision too.
_LADDER = ("#440154", "#3B528B", "#21918C", "#5EC962", "#FDE725")


def ladder(share: float) -> str:
    """Give the colour of a share between 0 and 1 on a ladder of colours that grow lighter."""
    place = min(max(share, 0.0), 1.0) * (len(_LADDER) - 1)
    step = min(int(place), len(_LADDER) - 2)
    return mix(_LADDER[step], _LADDER[step + 1], place - step)


def text_on(fill: str) -> str:
    """Give the colour, black or white, in which text on a ground is read best: by its luminance, as WCAG 2.1 has it.

    Example:
        >>> text_on("#FDE725"), text_on("#440154")
        ('#000000', '#FFFFFF')
    """
    parts = [part / 255 for part in bytes.fromhex(fill[1:])]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#FFFFFF"
