"""Colours for the norms of gradients, on a logarithmic scale, and the legend that explains them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from autodiff.drawing.themes import Theme, ladder, text_on

STEPS = 8  # at most, between the smallest and the largest norm


class Scale:
    """A logarithmic scale from the smallest to the largest of some norms.

    Args:
        norms: of each item, by its key; None where there is none.
        theme: the colours of zero and of what is not finite, which have no place on the scale.
    """

    def __init__(self, norms: Mapping[str, float | None], theme: Theme) -> None:
        self._norms = {key: value for key, value in norms.items() if value is not None}
        self._theme = theme
        exponents = [round(math.log10(value), 3) for value in self._norms.values() if 0 < value < math.inf]
        self._low = math.floor(min(exponents, default=0))
        decades = max(math.ceil(max(exponents, default=0)) - self._low, 2)
        self._step = math.ceil(decades / STEPS)
        self._high = self._low + self._step * math.ceil(decades / self._step)

    @property
    def is_used(self) -> bool:
        """Whether there is any norm at all."""
        return bool(self._norms)

    def fill(self, key: str) -> str | None:
        """Give the colour of an item, or None if it has no norm."""
        value = self._norms.get(key)
        return None if value is None else self._colour(value)

    def legend(self) -> str:
        """Write the scale as an HTML-like label."""
        samples = [(f"1e{k}" if k else "1", 10.0**k) for k in range(self._low, self._high + 1, self._step)]
        present = self._norms.values()
        samples = [("0", 0.0)] * (0.0 in present) + samples
        samples += [("NaN, Inf", math.inf)] * (not all(map(math.isfinite, present)))
        cells = "".join(
            f'<td bgcolor="{fill}"><font color="{text_on(fill)}">{text}</font></td>'
            for text, fill in ((text, self._colour(value)) for text, value in samples)
        )
        title = f'<td border="0"><font color="{self._theme.text}">gradient norm</font></td>'
        table = f'border="0" cellborder="1" cellspacing="0" cellpadding="3" color="{self._theme.frame}"'
        return f"<<table {table}><tr>{title}{cells}</tr></table>>"

    def _colour(self, value: float) -> str:
        if not math.isfinite(value):
            return self._theme.strange
        if value == 0:
            return self._theme.strip[1]
        return ladder((math.log10(value) - self._low) / (self._high - self._low))
