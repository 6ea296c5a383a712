"""What a notebook shows of a drawing: an image that follows the page's theme, the page in a frame, or why not."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autodiff.drawing.themes import THEMES

# JupyterLab says what its own theme is, and pages made from notebooks do too; elsewhere the system decides.
_SCHEME = (
    ".autodiff{color-scheme:light dark}"
    '[data-jp-theme-light="true"] .autodiff{color-scheme:light}'
    '[data-jp-theme-light="false"] .autodiff{color-scheme:dark}'
)


@dataclass(frozen=True)
class Html:
    """A piece of a page, which a notebook shows; elsewhere there are words for it."""

    words: str
    text: str

    def _repr_html_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.words


def following(svg: str) -> str:
    """Give an image in the light theme's colours as HTML, where each gives way to the dark theme's on a dark page."""
    rules = [_SCHEME]
    for light, dark in colours().items():
        # White is the ground of everything, and the text on dark fills, which stay.
        element = ":not(text)" if light == THEMES["light"].ground else ""
        rules += [
            f'.autodiff {element}[{paint}="{light}" i]{{{paint}:light-dark({light},{dark})}}'
            for paint in ("fill", "stroke")
        ]
    return f'<div class="autodiff" style="overflow: auto"><style>{"".join(rules)}</style>{svg}</div>'


def colours() -> dict[str, str]:
    """Give the dark theme's colour for each of the light one's, but those of numbers, which mean the same on both."""
    light, dark = THEMES["light"], THEMES["dark"]
    names = [name for name in vars(light) if name not in ("strip", "strange")]
    return {one: other for name in names for one, other in _pairs(getattr(light, name), getattr(dark, name))}


def _pairs(light: Any, dark: Any) -> Iterator[tuple[str, str]]:
    if isinstance(light, str):
        yield light, dark
        return
    for key in light if isinstance(light, Mapping) else range(len(light)):
        yield from _pairs(light[key], dark[key])


def framed(page: str) -> Html:
    """Put a whole page into a frame, which is as high as most of the window."""
    style = "width:100%;height:min(85vh,760px);min-height:480px;border:1px solid #8888;border-radius:6px"
    frame = f'<iframe srcdoc="{html.escape(page)}" style="{style}" title="Backpropagation, step by step"></iframe>'
    return Html("a page to step through", f'<div class="autodiff"><style>{_SCHEME}</style>{frame}</div>')


def refusal(error: Exception) -> str:
    """Say why there is no image, in place of it."""
    return f'<div style="border-left:3px solid #D55E00;padding:2px 10px">{html.escape(str(error))}</div>'
