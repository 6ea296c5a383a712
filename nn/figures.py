"""What the plots share: the Axes that they are drawn on, which need no display, and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autodiff.extras import install

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which people with any colour vision can tell apart, without the yellow, which is hard to see
# on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"


def axes(caller: str, ax: Any, width: float, height: float) -> Axes:
    """Give the Axes that the user wants, or those of a new figure of this size in inches."""
    try:
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure

        from nn.shown import ShownAxes, ShownFigure
    except ImportError:
        raise ImportError(f"{caller} needs matplotlib: {install('demos', 'matplotlib')}") from None
    if ax is None:
        figure: Figure = ShownFigure(figsize=(width, height), layout="constrained")
        return figure.subplots(subplot_kw={"axes_class": ShownAxes})
    if not isinstance(ax, Axes):
        raise TypeError(f"{caller}: ax must be a matplotlib Axes, such as Figure().subplots() gives, got {ax!r}")
    return ax
