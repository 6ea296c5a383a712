"""What every layer, optimizer and loop asks of its arguments, and how it says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def check_count(caller: str, name: str, value: Any) -> None:
    """Refuse what is not a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{caller}: {name} must be a positive integer, got {value!r}")


def check_number(caller: str, name: str, value: Any, inside: Callable[[float], bool], domain: str) -> None:
    """Refuse what is not a number, not finite, or outside its domain; one that is being recorded has no value yet."""
    if hasattr(value, "record_call"):
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{caller}: {name} must be a number, {domain}, got {value!r}")
    if not math.isfinite(value) or not inside(float(value)):
        raise ValueError(f"{caller}: {name} must be {domain}, got {value!r}")


def check_choice(caller: str, name: str, value: Any, known: Any) -> None:
    """Refuse a name that is not one of those known."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{caller}: unknown {name} {value!r}; known: {', '.join(known)}")


def check_probability(caller: str, p: Any) -> None:
    """Refuse a dropout probability outside [0, 1)."""
    check_number(caller, "p", p, lambda p: 0 <= p < 1, "a probability below 1, 0 <= p < 1")


def check_dataset(caller: str, X: Any, y: Any) -> None:
    """Refuse inputs and targets that are not as many, or none."""
    if len(X) != len(y):
        raise ValueError(f"{caller}: {len(X)} rows of inputs but {len(y)} targets")
    if len(X) == 0:
        raise ValueError(f"{caller}: the dataset is empty")


def check_shape(caller: str, name: str, shape: Any) -> tuple[int, ...]:
    """Refuse what is neither a positive integer nor a list of them, and give it as a tuple."""
    lengths = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    for length in lengths or (None,):
        check_count(caller, f"{name}, or each length in it,", length)
    return tuple(map(int, lengths))


def check_padding(caller: str, index: Any, rows: int) -> None:
    """Refuse a padding index that is not that of a row."""
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise TypeError(f"{caller}: padding_idx must be an integer or None, got {index!r}")
    if not -rows <= index < rows:
        raise IndexError(f"{caller}: padding_idx must lie from {-rows} to {rows - 1} for {rows} rows, got {index}")
