"""What a notebook shows of matplotlib: Figures and Axes that are not pyplot's, and numbers beside a log scale."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation


class ShownFigure(Figure):
    """A figure that shows itself as the last line of a notebook's cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return png(self), {"width": width(self)}


class ShownAxes(Axes):
    """Axes that show their figure as the last line of a notebook's cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        figure = self.figure.canvas.figure
        return png(figure), {"width": width(figure)}


class PlainNumbers(LogFormatterSciNotation):
    """The numbers of a log scale as they are written in a table: 0.06 in place of 6 × 10⁻²."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Give the text of a number, which is empty where there is no room for it."""
        return f"{x:g}" if super().__call__(x, pos) else ""


def png(figure: Figure) -> bytes:
    """Draw a figure with two dots for each of a page's."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=192)
    return file.getvalue()


def width(figure: Figure) -> int:
    """Give the width of a figure in a page's dots."""
    return round(96 * figure.get_figwidth())
