"""What is written into a picture: values in few characters, and names exactly as they are."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np

from autodiff.batching.array import innermost, inside, levels_of, outside
from autodiff.core.record import data_of
from autodiff.core.rule import Array, Function, name_of
from autodiff.core.tape import Outputs

LONGEST = 48  # characters of a name or a setting; a longer one is cut in its middle
_PLACEHOLDER = re.compile(r"\\(?=[NGETHL])")  # Graphviz would put the node's id in place of \N, and so on
_REDUCTIONS = {"add.reduce": "sum", "multiply.reduce": "prod", "maximum.reduce": "max", "minimum.reduce": "min"}
_INTO, _OUT = (getattr(way, "__wrapped__", way) for way in (inside, outside))  # of a batch, as they are recorded
WAYS = {_INTO: _OUT, _OUT: _INTO}
_OF_BATCHES = {_INTO: "unstack", _OUT: "stack"}


def visible(text: object) -> str:
    r"""Write a text so that all of it can be seen: control characters as their escapes, the middle of a long one cut.

    Example:
        >>> visible("two" + chr(10) + "lines")
        'two\\nlines'
    """
    characters = str(text)
    if len(characters) > LONGEST:
        characters = f"{characters[: LONGEST // 2]}…{characters[-LONGEST // 2 + 1 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in characters)


def literal(text: object) -> str:
    """Write a text into an HTML-like label so that all of it is shown and none of it is obeyed.

    Example:
        >>> literal("a<b>")
        'a&lt;b&gt;'
    """
    return _PLACEHOLDER.sub("<font>&#92;</font>", html.escape(visible(text), quote=False))


def function_name(function: Function) -> str:
    """Name a function as the user called it: a sum is a sum, not a reduction with ``add``.

    Example:
        >>> function_name(np.add.reduce)
        'sum'
    """
    name = name_of(function)
    return _OF_BATCHES.get(function) or _REDUCTIONS.get(name, name)


def is_number(value: Any) -> bool:
    """Whether a value is a single number rather than an array of them."""
    return isinstance(value, int | float | complex | np.generic) or (isinstance(value, np.ndarray) and not value.ndim)


def is_here(value: Any) -> bool:
    """Whether the numbers of a value can be looked at, as those of an array that is computed later cannot."""
    return isinstance(value, bool | int | float | complex | np.ndarray | np.generic)


def figures(number: Any, digits: int) -> str:
    """Write a number with so many digits, and of a complex one both parts, as far as they are not zero.

    A zero has no sign: a learner would look for the meaning of -0.

    Example:
        >>> figures(2 / 3, 4), figures(-0.0, 4), figures(1j, 4), figures(2 / 3 - 1j, 2), figures(complex(1, -0.0), 4)
        ('0.6667', '0', '1j', '0.67-1j', '1+0j')
    """
    if not isinstance(number, complex | np.complexfloating):
        return f"{number + 0.0:.{digits}g}"
    real = f"{number.real:.{digits}g}" if number.real else ""
    return f"{real}{number.imag + 0.0:{'+' * bool(real)}.{digits}g}j"


def brief(value: Any) -> str:
    """Write a call's argument in few characters.

    Example:
        >>> brief((2, 3)), brief(np.ones(4)), brief(np.float32)
        ('(2, 3)', 'array (4,)', 'float32')
    """
    if isinstance(value, tuple):
        return f"({index(value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{index(tuple(value[:5]))}]"
    if isinstance(value, slice):
        ends = (value.start, value.stop) if value.step is None else (value.start, value.stop, value.step)
        return ":".join("" if end is None else brief(end) for end in ends)
    if is_number(value):
        number = np.asarray(value).item() if isinstance(value, np.ndarray | np.generic) else value
        return figures(number, 6) if isinstance(number, float | complex) else str(number)
    if value is Ellipsis:
        return "..."
    if isinstance(value, type):
        return value.__name__
    if value is None or isinstance(value, str | np.dtype):
        return str(value)
    return f"array {shape(value)}" if hasattr(value, "shape") else type(value).__name__


def index(value: Any) -> str:
    """Write what stands between the brackets of ``x[...]``.

    Example:
        >>> index((0, slice(None), slice(1, None, 2)))
        '0, :, 1::2'
    """
    parts = value if isinstance(value, tuple) else (value,)
    return ", ".join([brief(part) for part in parts[:4]] + ["…"] * (len(parts) > 4))


def shape(value: Any) -> str:
    """Write the shape of an array, or of a constant that NumPy makes one of; of several arrays, their number.

    Before that of a member of a batch stands how many there are.

    Example:
        >>> from autodiff.batching.array import Batched, Level
        >>> shape(Batched(np.ones((64, 50)), Level(64)))
        '64 × (50,)'
    """
    data = data_of(value)
    if isinstance(data, Outputs):
        return f"{len(data)} arrays"
    batches = [f"{level.size} × " for level in levels_of(data)]
    return "".join([*reversed(batches), str(tuple(np.shape(data)))])


def norm(gradient: Array) -> float:
    """Euclidean norm of a gradient, in float64 and without overflow on the way; NaN and Inf come through.

    That of a batch is the one of all members together, and so is that of several outputs of a call.

    Example:
        >>> norm(np.array([3.0, 4.0]))
        5.0
    """
    if isinstance(gradient, Outputs):
        return norm(np.array([norm(one) for one in gradient if one is not None]))
    data = innermost(gradient)
    g = np.abs(data if hasattr(data, "astype") else np.asarray(data)).astype(np.float64)
    largest = float(np.max(g)) if g.size else 0.0
    if not 0 < largest < np.inf:
        return largest
    return largest * float(np.sqrt(np.sum(np.square(g / largest))))
