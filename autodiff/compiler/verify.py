"""The first time, a program is compared with the step that it was made of, on copies of the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.state import Place
from autodiff.compiler.tracing import kept
from autodiff.tensor import data_of
from autodiff.tree import walk

STEPS = 2
TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9, 16: 1e-9}  # relative, by the bytes of a number
SMALLEST_SCALE = 1e-3  # the gradient of a bias before batch norm is zero but for rounding, which is no error
PIECE = 2**16  # elements that are compared at once, to need little memory


def verify(
    eager: Callable[[], Any], compiled: Callable[[], Any], places: Sequence[Place], exact: bool, name: str
) -> None:
    """Take two steps both ways, each from the same state, and compare what they give and what they leave.

    Args:
        eager: takes a step as it was written.
        compiled: takes one as a program.
        places: where the state lies; afterwards everything there is as it was.
        exact: whether results must be the same to the last bit.
        name: what the step is called.

    Raises:
        RuntimeError: something differs; the message says what first.
    """
    with kept(places):
        for number in range(1, STEPS + 1):
            _compare(eager, compiled, places, exact, name, number)


def _compare(
    eager: Callable[[], Any], compiled: Callable[[], Any], places: Sequence[Place], exact: bool, name: str, number: int
) -> None:
    """Take one step both ways, and leave what it leaves as it was written: the next goes on from there."""
    with kept(places):
        found = {what: _copied(value) for what, value in _outcome(compiled, places)}
    wanted = dict(_outcome(eager, places))
    if wanted.keys() != found.keys():
        raise RuntimeError(
            f"compile: {name} gives another structure than its program: {list(wanted)} and {list(found)}"
        )
    for what, value in wanted.items():
        if not _agree(value, found[what], exact):
            raise RuntimeError(
                f"compile: in step {number}, {what} differs between {name} as it was written and as a program "
                f"({_difference(value, found[what])}). Something in it is the same in every run of the program and "
                "should not be: pass it as an argument, name it in state=, and let the step begin with "
                "optimizer.zero_grad(). check=False leaves this comparison out"
            )


def _outcome(step: Callable[[], Any], places: Sequence[Place]) -> Iterator[tuple[str, Any]]:
    """Take a step, and give what it returned and what it left in the state, by name."""
    for path, leaf in walk(step()):
        yield f"result{path}", _told(data_of(leaf))
    for place in places:
        yield f"state {place.name!r}", _told(place.get())


def _told(value: Any) -> Any:
    return repr(value.bit_generator.state) if isinstance(value, np.random.Generator) else value


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _agree(one: Any, other: Any, exact: bool) -> bool:
    if not isinstance(one, np.ndarray | np.generic | float | int):
        return bool(one is other or one == other)
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if exact or a.dtype.kind != "f":
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    tolerance = TOLERANCE[a.dtype.itemsize]
    a, b = a.reshape(-1), b.reshape(-1)
    pieces = [slice(start, start + PIECE) for start in range(0, a.size, PIECE)]
    with np.errstate(all="ignore"):
        scale = max((float(np.abs(a[piece][np.isfinite(a[piece])]).max(initial=0)) for piece in pieces), default=0)
        least = tolerance * max(scale, SMALLEST_SCALE)
        return all(np.allclose(b[piece], a[piece], rtol=tolerance, atol=least, equal_nan=True) for piece in pieces)


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape == other.shape and one.size:
        with np.errstate(all="ignore"):
            return f"by up to {np.max(np.abs(one - other)):.3g}" if one.dtype.kind == "f" else "in some elements"
    return f"{one!r} and {other!r}"
