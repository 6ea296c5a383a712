"""The first time, a program is compared with the step that it was made of, on copies of the state."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.compiler.state import Place, copied, restoring
from autodiff.core.record import constant, data_of
from autodiff.core.rule import Array
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import walk

STEPS = 2
TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9, 16: 1e-9}  # relative, by the bytes of a number
SMALLEST_SCALE = 1e-3  # the gradient of a bias before batch norm is zero but for rounding, which is no error
DISTURBANCE = 8  # by so many times the rounding of a number
MOST_SPREADS = 10  # times that step and program may be as far apart as the program moves when it is disturbed
PIECE = 2**14  # elements that are compared at once, to need little memory
Outcome = dict[str, Any]  # of a step, by name


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
        """Take two steps both ways, from the same state, and compare what each gives and what it leaves.

        Where rounding grows, so does what may differ: Adam's first step is a whole learning rate also for a gradient
        that is zero but for rounding. So where something differs, the program also runs on numbers that differ in their
        last digits.

        Raises:
            RuntimeError: something differs; the message says what differs most.
        """
        arrays = [place.get() for place in self.places]
        with restoring(self.places) as restore:
            settings, inputs, expected = self.settings(), list[Sequence[Any]](), list[Outcome]()
            while len(expected) < STEPS and self.settings() == settings:  # else another program takes the next step
                inputs.append([_apart_from(arrays, one) for one in self.inputs] if expected else self.inputs)
                expected.append(_kept(self._outcome(self.eager)))
            restore()
            problem = self._problem(expected, (self._outcome(self.compiled, given) for given in inputs))
            if problem and not self.exact:
                restore()
                actual = [_kept(self._outcome(self.compiled, given)) for given in inputs]
                restore()
                problem = self._problem(expected, actual, self._disturbed_outcomes(inputs) or actual)
        if problem:
            raise RuntimeError(f"compile: {problem}")

    def _outcome(self, step: Callable[..., Any], *inputs: Any) -> Outcome:
        """Take a step, and give what it returned and what it left in the state, by name."""
        outcome = {f"result{path}": data_of(leaf) for path, leaf in walk(step(*inputs))}
        return outcome | {f"state {place.name!r}": data_of(place.get()) for place in self.places}

    def _disturbed_outcomes(self, inputs: list[Sequence[Any]]) -> list[Outcome]:
        """Give the program's outcomes where the last digits of inputs and state are others."""
        with contextlib.suppress(Exception):  # a program may refuse what lies beside a bound
            for place in self.places:
                value = place.get()
                if isinstance(value, np.ndarray) and value.flags.writeable:
                    np.copyto(value, _disturbed(value, copy=None))
            changed = [[_with_data(x, _disturbed(data_of(x))) for x in given] for given in inputs]
            return [_kept(self._outcome(self.compiled, given)) for given in changed]
        return []

    def _problem(self, expected: list[Outcome], actual: Iterable[Outcome], disturbed: Sequence[Outcome] = ()) -> str:
        """Say what differs most in the first step in which something does, or nothing."""
        for number, (ones, others) in enumerate(zip(expected, actual), 1):
            moved = disturbed[number - 1] if disturbed else others
            if ones.keys() != others.keys():
                return f"{self.name} gives another structure than its program: {list(ones)} and {list(others)}"
            differences = {what: self._difference(one, others[what], moved[what]) for what, one in ones.items()}
            found = {what: difference for what, difference in differences.items() if difference[1]}
            if found:
                what, (_, text) = max(found.items(), key=lambda item: item[1][0])
                rest = f"; {len(found) - 1} more differ, and less" if len(found) > 1 else ""
                suspects = f"{' or '.join(self.suspects)}, or something else" if self.suspects else "Something"
                return (
                    f"in step {number}, {what} differs between {self.name} as it was written and as a program "
                    f"({text}{rest}). {suspects} in it is the same in every run of the program and should not be: pass "
                    "it as an argument, name it in state=, and let the step begin with optimizer.zero_grad(). "
                    "check=False leaves this comparison out"
                )
        return ""

    @np.errstate(all="ignore")
    def _difference(self, one: Any, other: Any, moved: Any) -> tuple[float, str]:
        """Give how far two values are apart, by the size of the first, and say it, which is nothing if they agree."""
        if isinstance(one, np.random.Generator):
            one, other = repr(one.bit_generator.state), repr(other.bit_generator.state)
        a, b = np.asarray(one), np.asarray(other)
        if not {a.dtype.kind, b.dtype.kind} <= set("biufc"):
            return math.inf, "" if one is other or np.array_equal(one, other) else f"{one!r} against {other!r}"
        if a.shape != b.shape or a.dtype != b.dtype:
            return math.inf, f"{a.dtype} of shape {a.shape} against {b.dtype} of shape {b.shape}"
        tolerance = TOLERANCE[min(a.dtype.itemsize, self.coarsest)] if a.dtype.kind == "f" else 0.0
        scale = max(_largest_difference(a, np.broadcast_to(a.dtype.type(0), a.shape)), SMALLEST_SCALE)
        spread = 0.0 if moved is other else _largest_difference(b, np.asarray(moved))
        least = max(tolerance * scale, MOST_SPREADS * spread)
        is_exact = self.exact or a.dtype.kind not in "fiu"
        most, text, count = -1.0, "", 0
        for x, y, apart in _pieces(a, b):
            differs = x != y if is_exact else ~((apart <= least + tolerance * np.abs(x)) & np.isfinite(x))
            if differs.any():
                differs &= (x != y) & ((x == x) | (y == y))
                apart = np.where(differs, np.nan_to_num(apart, nan=np.inf, posinf=np.inf), -1.0)
                k, count = int(apart.argmax()), count + int(differs.sum())
                most, text = max((most, text), (float(apart[k]), f"{x[k]} against {y[k]}" * bool(differs[k])))
        return most / scale, f"{text} in {count} of {a.size} elements" if text and a.ndim else text


def _apart_from(arrays: Sequence[Any], given: Any) -> Any:
    """Give what a program is given, or a copy if it lies in the state: for there the program has written since."""
    data = data_of(given)
    is_shared = isinstance(data, np.ndarray) and any(np.may_share_memory(data, one) for one in arrays)
    return _with_data(given, data.copy(order="K")) if is_shared else given


def _with_data(given: Any, data: Any) -> Any:
    return constant(data) if isinstance(given, Tensor) else data


def _disturbed(value: Array, copy: bool | None = True) -> Array:
    """Change the last digits of every second number, towards zero: so it stays in an interval around it."""
    dtype = getattr(value, "dtype", np.dtype(type(value)))
    if dtype.kind != "f":
        return value
    array = np.array(value, order="C", copy=copy)
    array.reshape(-1)[::2] *= 1 - DISTURBANCE * np.finfo(dtype).eps
    return array if isinstance(value, np.ndarray) else type(value)(array)


def _largest_difference(one: Array, other: Array) -> float:
    """Give the largest difference that is finite."""
    return max((float(d.max(where=np.isfinite(d), initial=0)) for _, _, d in _pieces(one, other)), default=0.0)


def _pieces(one: Array, other: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Give two arrays of the same shape, and how far they are apart, in pieces, which take little memory."""
    a, b = one.reshape(-1), other.reshape(-1)
    for start in range(0, a.size, PIECE):
        x, y = a[start : start + PIECE], b[start : start + PIECE]
        yield x, y, np.abs(np.subtract(x, y, dtype=np.float64 if x.dtype.kind in "biu" else None))


def _kept(outcome: Outcome) -> Outcome:
    return dict(zip(outcome, copied(list(outcome.values()))))
