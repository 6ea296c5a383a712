"""Values in a picture, as rows of an HTML-like label: a number, a little table, or how they are spread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.core.rule import Array
from autodiff.drawing.text import figures, is_here
from autodiff.drawing.themes import Theme, mix

LARGEST_TABLE = 16  # elements
LONGEST_ROW = 8  # elements of a row or a column of a table
STRIP = 24  # cells of a heat strip


def rows_of(data: Array, theme: Theme, colour: str) -> list[str]:
    """Write an array as rows of a table: a number, all elements, or mean, standard deviation and a heat strip.

    Each cell of the strip is the mean of so many neighbours, in the order of their indices; its colour goes from the
    theme's negative to its positive one, and zero is in the middle. Of complex numbers, it shows the absolute values.

    Args:
        data: a number or an array. One that is no NumPy array may be lazy, and has no rows.
        theme: the colours.
        colour: of the text.
    """
    if not is_here(data):
        return []
    array = np.asarray(data)
    if not array.size:
        return [row("empty", colour)]
    if not array.ndim:
        return [row(f"= {number(array[()])}", colour)]
    if is_small(array):
        return [_table(array.reshape(1, -1) if array.ndim == 1 else array, theme, colour)]
    is_complex = array.dtype.kind == "c"
    x: Any = array.astype(np.complex128 if is_complex else np.float64).ravel()
    finite = x[np.isfinite(x)]
    largest = float(np.abs(finite).max(initial=0.0)) or 1.0  # divided by it, no sum overflows
    rows = []
    if finite.size:
        mean, std = (largest * moment(finite / largest).item() for moment in (np.mean, np.std))
        rows.append(row(f"mean {figures(mean, 3)}, std {std:.3g}{', absolute values' * is_complex}", colour))
    x = np.abs(x) if is_complex else x
    if finite.size < x.size:
        counts = (("NaN", np.isnan(x)), ("Inf", np.isposinf(x)), ("-Inf", np.isneginf(x)))
        parts = [f"{int(places.sum()):,} {name}" for name, places in counts if places.any()]
        rows.append(row(f"{', '.join(parts)} of {x.size:,}", colour, "b"))
    return [*rows, _strip(x / largest, theme)]


def is_small(data: Array) -> bool:
    """Whether all elements can be shown."""
    form = np.shape(data)
    return len(form) < 3 and 0 < math.prod(form) <= LARGEST_TABLE and max(form, default=0) <= LONGEST_ROW


def number(value: Array) -> str:
    """Write one element in few characters.

    Example:
        >>> number(np.float32(1 / 3)), number(np.True_), number(12345678), number(2 / 3 - 1j)
        ('0.3333', 'True', '12345678', '0.6667-1j')
    """
    value = value[()] if isinstance(value, np.ndarray) else value
    return figures(value, 4) if isinstance(value, float | complex | np.inexact) else str(value)


def row(text: str, colour: str, tag: str = "") -> str:
    """Write a row of text that is no markup."""
    shown = f"<{tag}>{text}</{tag}>" if tag else text
    return f'<tr><td><font point-size="10" color="{colour}">{shown}</font></td></tr>'


def _table(table: Array, theme: Theme, colour: str) -> str:
    rows = "".join(
        "<tr>"
        + "".join(f'<td><font point-size="9" color="{colour}">{number(element)}</font></td>' for element in elements)
        + "</tr>"
        for elements in table
    )
    inner = f'<table border="0" cellborder="1" cellspacing="0" cellpadding="2" color="{theme.frame}">{rows}</table>'
    return f"<tr><td>{inner}</td></tr>"


def _strip(x: Array, theme: Theme) -> str:
    """Draw the elements in a row of coloured cells."""
    cells = min(STRIP, x.size)
    starts = np.arange(cells) * x.size // cells
    with np.errstate(invalid="ignore"):  # of Inf - Inf
        means = np.add.reduceat(x, starts) / np.diff(np.append(starts, x.size))
    highest = float(np.abs(means[np.isfinite(means)]).max(initial=0.0)) or 1.0
    negative, zero, positive = theme.strip
    row = "".join(
        f'<td width="7" height="9" fixedsize="true" bgcolor="{colour}"></td>'
        for colour in (
            mix(zero, positive if mean > 0 else negative, abs(mean) / highest) if np.isfinite(mean) else theme.strange
            for mean in means.tolist()
        )
    )
    inner = (
        f'<table border="1" cellborder="0" cellspacing="0" cellpadding="0" color="{theme.frame}"><tr>{row}</tr></table>'
    )
    return f"<tr><td>{inner}</td></tr>"
