"""The first time, a program is compared with the step that it was made of, on copies of the state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.state import Place
from autodiff.compiler.tracing import kept
from autodiff.tensor import data_of
from autodiff.tree import walk

STEPS = 2
TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9, 16: 1e-9}  # relative, by the bytes of a number
SMALLEST_SCALE = 1e-3  # the gradient of a bias before batch norm is zero but for rounding, which is no error


def verify(
    eager: Callable[[], Any], compiled: Callable[[], Any], places: Sequence[Place], exact: bool, name: str
) -> None:
    """Take two steps both ways, from the same state, and compare what they give and what they leave.

    Args:
        eager: takes a step as it was written.
        compiled: takes one as a program.
        places: where the state lies; afterwards everything there is as it was.
        exact: whether results must be the same to the last bit.
        name: what the step is called.

    Raises:
        RuntimeError: something differs; the message says what first.
    """
    for number, (wanted, found) in enumerate(zip(_run(eager, places), _run(compiled, places), strict=True), start=1):
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


def _run(step: Callable[[], Any], places: Sequence[Place]) -> list[dict[str, Any]]:
    """Take some steps, and give what each returned and what it left in the state, by name."""
    found = []
    with kept(places):
        for _ in range(STEPS):
            results = {f"result{path}": _copied(data_of(leaf)) for path, leaf in walk(step())}
            found.append(results | {f"state {place.name!r}": _copied(place.get()) for place in places})
    return found


def _copied(value: Any) -> Any:
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
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
    with np.errstate(all="ignore"):
        scale = float(np.abs(a[np.isfinite(a)]).max(initial=SMALLEST_SCALE))
        return np.allclose(b, a, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape == other.shape and one.size:
        with np.errstate(all="ignore"):
            return f"by up to {np.max(np.abs(one - other)):.3g}" if one.dtype.kind == "f" else "in some elements"
    return f"{one!r} and {other!r}"
