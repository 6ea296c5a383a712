"""Figures and Axes of matplotlib that a notebook shows, though they are not pyplot's."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that shows itself as the last line of a notebook's cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return png(self), {"width": width(self)}


class ShownAxes(Axes):
    """Axes that show their figure as the last line of a notebook's cell."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        figure = self.figure.canvas.figure
        return png(figure), {"width": width(figure)}


def png(figure: Figure) -> bytes:
    """Draw a figure with two dots for each of a page's."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=192)
    return file.getvalue()


def width(figure: Figure) -> int:
    """Give the width of a figure in a page's dots."""
    return round(96 * figure.get_figwidth())
