"""A watch over all values and gradients, which stops at the first that is not finite and says which line made it."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np

from autodiff.batching.array import innermost
from autodiff.core.record import data_of
from autodiff.core.rule import name_of
from autodiff.core.tape import Entry, Outputs, conj, pack
from autodiff.core.watch import Watch, user_frame, watching


@contextlib.contextmanager
def detect_anomaly() -> Iterator[None]:
    """Stop at the first NaN or infinite number that a call gives, or that the backward pass gives as a gradient.

    Every value is looked at, and of every call the line of the program is kept, which makes a program several times as
    slow; it is for finding an error. Holds for the current thread and async task.

    Raises:
        FloatingPointError: in the block, a value or gradient was not finite. The message names the call, the shapes of
            its arguments and the line of the user's file that made it.

    Example:
        >>> import numpy as np, autodiff as ad
        >>> x = ad.Tensor([1.0, 0.0])
        >>> with ad.detect_anomaly():
        ...     np.sqrt(x).sum().backward()
        Traceback (most recent call last):
        FloatingPointError: backward: sqrt of shape (2,) gave inf at index (1,) as the gradient of its...
    """
    # NumPy's own warnings would only say the same, and without the line.
    with watching(_AnomalyWatch()), np.errstate(all="ignore"):
        yield


class _AnomalyWatch(Watch):
    """What is known of the calls made since `detect_anomaly` began."""

    def __init__(self) -> None:
        self._lines: dict[int, traceback.FrameSummary] = {}

    def see_call(self, tensor: Entry, function: Any, args: Any) -> None:
        """Refuse a result that is not finite."""
        if self.walks or function is pack:  # of the calls of a backward pass, the pass looks at the results
            return
        frame = self._lines[tensor._age] = user_frame()
        found = _first_not_finite(tensor._array)
        if found is not None:
            values = tuple(map(data_of, args))
            held = any(_first_not_finite(value) is not None for value in values)
            raise FloatingPointError(
                f"{name_of(function)} of {_shapes(values)} gave {found}{', as its input held one' if held else ''}"
                f"{_place(frame)}"
            )

    def see_gradient(self, node: Entry, argument: Entry, gradient: Any) -> None:
        """Refuse a contribution that is not finite."""
        if isinstance(gradient, Outputs):
            is_call = type(argument._array) is Outputs  # with several outputs; else a list
            for item, piece in zip([argument] * len(gradient) if is_call else argument._args, gradient, strict=True):
                if isinstance(item, Entry) and piece is not None:
                    self.see_gradient(node, item, piece)
            return
        found = None if node._function is pack else _first_not_finite(conj(getattr(gradient, "_array", gradient)))
        if found is not None:
            frame = self._lines.get(node._age)
            raise FloatingPointError(
                f"backward: {name_of(node._function)} of {_shapes(node._values)} gave {found} as the gradient of "  # type: ignore[arg-type]
                f"its {argument._label()}{_place(frame) if frame else ', made before detect_anomaly began'}"
            )

    def see_hooked(self, node: Entry, gradient: Any) -> None:
        """Refuse what a function that was registered for a Tensor made of its gradient."""
        number = _first_not_finite(conj(getattr(gradient, "_array", gradient)))
        if number is not None:
            raise FloatingPointError(f"backward: a function registered for {node._label()} gave {number}")


def _place(frame: traceback.FrameSummary) -> str:
    return f', at File "{frame.filename}", line {frame.lineno}: {frame.line}'


def _shapes(values: Any) -> str:
    shapes = [str(value.shape) for value in _arrays(values)]
    return f"shape{'s' * (len(shapes) > 1)} {' and '.join(shapes)}"


def _arrays(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _arrays(value)
        elif hasattr(value, "shape"):
            yield value


def _first_not_finite(data: Any) -> str | None:
    """Say which element is the first that is not finite. Arrays of other kinds, which may be lazy, are left alone."""
    for array in _arrays(data if isinstance(data, list | tuple) else [data]):
        array = innermost(array)  # of a batch, where the index begins with that of the member
        if isinstance(array, np.ndarray | np.generic) and array.dtype.kind in "fc" and not np.isfinite(array).all():
            index = tuple(int(k) for k in np.argwhere(~np.isfinite(np.atleast_1d(array)))[0])
            return f"{np.atleast_1d(array)[index]:g} at index {index if array.ndim else ()}"
    return None
