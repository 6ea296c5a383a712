"""The first time, a program is compared with the step that it was made of, on copies of the state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.state import Place, restoring
from autodiff.core.record import constant, data_of
from autodiff.core.rule import Array
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import walk

STEPS = 2
TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9, 16: 1e-9}  # relative, by the bytes of a number
SMALLEST_SCALE = 1e-3  # the gradient of a bias before batch norm is zero but for rounding, which is no error
DISTURBANCE = 8  # by so many times the rounding of a number
MOST_SPREADS = 10  # times that step and program may be as far apart as the program moves when it is disturbed
PIECE = 2**16  # elements that are compared at once, to need little memory


@dataclass(frozen=True)
class Verification:
    """The comparison of a program with its step.

    Attributes:
        eager: takes a step as it was written.
        compiled: takes one as a program, given its inputs.
        inputs: these.
        places: where the state lies; afterwards everything there is as it was.
        settings: gives all else that the program is for.
        exact: whether results must be the same to the last bit.
        coarsest: the bytes of the least precise floats that the program computes.
        name: what the step is called.
        suspects: what may be in the step and is not in the state, for the message.
    """

    eager: Callable[[], Any]
    compiled: Callable[[Sequence[Any]], Any]
    inputs: Sequence[Any]
    places: Sequence[Place]
    settings: Callable[[], Hashable]
    exact: bool
    coarsest: int
    name: str
    suspects: Sequence[str]

    def run(self) -> None:
        """Take two steps both ways, each from the same state, and compare what they give and what they leave.

        Where rounding grows, so does what may differ: Adam's first step is a whole learning rate also for a gradient
        that is zero but for rounding. So the program also runs on numbers that differ in their last digits.

        Raises:
            RuntimeError: something differs; the message says what first.
        """
        with restoring(self.places):
            settings = self.settings()
            for number in range(1, STEPS + 1):
                self._compare(number)
                if self.settings() != settings:  # then another program takes the next step
                    break

    def _compare(self, number: int) -> None:
        """Take one step both ways, and leave what it leaves as it was written: the next goes on from there."""
        actual, spread = self._compiled_outcome()
        expected = dict(_outcome(self.eager, self.places))
        if expected.keys() != actual.keys():
            raise RuntimeError(
                f"compile: {self.name} gives another structure than its program: {list(expected)} and {list(actual)}"
            )
        for what, value in expected.items():
            if not self._agree(value, actual[what], spread.get(what, 0.0)):
                suspects = f"{' or '.join(self.suspects)}, or something else" if self.suspects else "Something"
                raise RuntimeError(
                    f"compile: in step {number}, {what} differs between {self.name} as it was written and as a program "
                    f"({_difference(value, actual[what])}). {suspects} in it is the same in every run of the program "
                    "and should not be: pass it as an argument, name it in state=, and let the step begin with "
                    "optimizer.zero_grad(). check=False leaves this comparison out"
                )

    def _compiled_outcome(self) -> tuple[dict[str, Any], dict[str, float]]:
        """Take a step as a program, and find what it gives and how far that moves; the state is as before."""
        with restoring(self.places) as restore:
            outcome = _outcome(lambda: self.compiled(self.inputs), self.places)
            actual = {what: _copied(value) for what, value in outcome}
            restore()
            return actual, {} if self.exact else _spread(self.compiled, self.inputs, self.places, actual)

    def _agree(self, one: Any, other: Any, spread: float) -> bool:
        if not isinstance(one, np.ndarray | np.generic | float | int):
            return bool(one is other or one == other)
        a, b = np.asarray(one), np.asarray(other)
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if self.exact or a.dtype.kind not in "fiu":
            return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
        tolerance = TOLERANCE[min(a.dtype.itemsize, self.coarsest)] if a.dtype.kind == "f" else 0.0
        scale = max(_largest_difference(a, np.zeros_like(a)), SMALLEST_SCALE)
        least = max(tolerance * scale, MOST_SPREADS * spread)
        with np.errstate(all="ignore"):
            return all(np.allclose(y, x, rtol=tolerance, atol=least, equal_nan=True) for x, y in _pieces(a, b))


def _spread(
    compiled: Callable[[Sequence[Any]], Any], inputs: Sequence[Any], places: Sequence[Place], usual: dict[str, Any]
) -> dict[str, float]:
    """Find how far results and state move where the last digits of inputs and state are others, as they are then."""
    with contextlib.suppress(Exception):  # a program may refuse what lies beside a bound
        for place in places:
            value = place.get()
            if isinstance(value, np.ndarray) and value.flags.writeable:
                np.copyto(value, _disturbed(value))
        others = [constant(_disturbed(x.data)) if isinstance(x, Tensor) else _disturbed(x) for x in inputs]
        return {
            what: _largest_difference(value, usual[what]) for what, value in _outcome(lambda: compiled(others), places)
        }
    return {}


def _disturbed(value: Array) -> Array:
    """Change the last digits of every second number, towards zero: so it stays in an interval around it."""
    dtype = getattr(value, "dtype", np.dtype(type(value)))
    if dtype.kind != "f":
        return value
    copy = np.array(value, order="C")
    copy.reshape(-1)[::2] *= 1 - DISTURBANCE * np.finfo(dtype).eps
    return copy if isinstance(value, np.ndarray) else type(value)(copy)


def _largest_difference(one: Array, other: Array) -> float:
    if not isinstance(one, np.ndarray | np.generic | float | int):
        return 0.0
    with np.errstate(all="ignore"):
        differences = (np.abs(np.subtract(a, b, dtype=np.float64)) for a, b in _pieces(one, other))
        return max((float(d.max(where=np.isfinite(d), initial=0)) for d in differences), default=0.0)


def _pieces(one: Array, other: Array) -> Iterator[tuple[Array, Array]]:
    """Give two arrays of the same shape in pieces, which take little memory to compute with."""
    a, b = np.asarray(one).reshape(-1), np.asarray(other).reshape(-1)
    for start in range(0, a.size, PIECE):
        yield a[start : start + PIECE], b[start : start + PIECE]


def _outcome(step: Callable[[], Any], places: Sequence[Place]) -> Iterator[tuple[str, Any]]:
    """Take a step, and give what it returned and what it left in the state, by name."""
    for path, leaf in walk(step()):
        yield f"result{path}", _comparable(data_of(leaf))
    for place in places:
        yield f"state {place.name!r}", _comparable(place.get())


def _comparable(value: Any) -> Any:
    return repr(value.bit_generator.state) if isinstance(value, np.random.Generator) else value


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape == other.shape and one.size:
        return f"by up to {_largest_difference(one, other):.3g}" if one.dtype.kind == "f" else "in some elements"
    return f"{one!r} and {other!r}"
