"""The first time, a program is compared with the step that it was made of, on copies of the state."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autodiff.compiler.state import Place, copied, restoring, saving
from autodiff.core.record import constant, data_of
from autodiff.core.rule import Array
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import walk

STEPS = 2
TOLERANCE = {2: 1e-2, 4: 1e-4, 8: 1e-9, 16: 1e-9}  # relative, by the bytes of a number
SMALLEST_SCALE = 1e-3  # the gradient of a bias before batch norm is zero but for rounding, which is no error
DISTURBANCE = 8  # by so many times the rounding of a number
DISTURBANCES = 8  # times that it is disturbed in other places, as long as something differs
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
        """Take two steps both ways, each from the same state, and compare what each gives and what it leaves.

        Where rounding grows, so does what may differ: Adam's first step is a whole learning rate also for a gradient
        that is zero but for rounding. So where something differs, the program also runs on numbers that differ in their
        last digits, several times, as such a step may come out the same by chance.

        Raises:
            RuntimeError: something differs; the message says what differs most.
        """
        with restoring(self.places) as restore:
            settings, starts, expected = self.settings(), [restore], [_kept(self._outcome(self.eager))]
            while len(expected) < STEPS and self.settings() == settings:  # else another program takes the next step
                starts.append(saving(self.places))
                expected.append(_kept(self._outcome(self.eager)))
            problem = self._problem(expected, self._outcomes(self._run, starts))
            if problem and not self.exact:
                actual = list(map(_kept, self._outcomes(self._run, starts)))
                for pattern in range(DISTURBANCES):
                    disturbed = list[Outcome]()
                    with contextlib.suppress(Exception):  # a program may refuse what lies beside a bound
                        disturbed += map(_kept, self._outcomes(partial(self._run_disturbed, pattern), starts))
                    problem = self._problem(expected, actual, [*disturbed, *actual[len(disturbed) :]])
                    if not problem:
                        break
        if problem:
            raise RuntimeError(f"compile: {problem}")

    def _outcome(self, step: Callable[[], Any]) -> Outcome:
        """Take a step, and give what it returned and what it left in the state, by name."""
        outcome = {f"result{path}": data_of(leaf) for path, leaf in walk(step())}
        return outcome | {f"state {place.name!r}": data_of(place.get()) for place in self.places}

    def _outcomes(self, step: Callable[[], Any], starts: Sequence[Callable[[], None]]) -> Iterator[Outcome]:
        """Take each step from where it started as it was written; before, older arrays hold what they held then."""
        for number in range(len(starts)):
            for start in starts[: number + 1]:
                start()
            yield self._outcome(step)

    def _run(self) -> Any:
        return self.compiled(self.inputs)

    def _run_disturbed(self, pattern: int) -> Any:
        """Run the program where the last digits of inputs and state are others."""
        others = [
            constant(_disturbed(x.data, pattern)) if isinstance(x, Tensor) else _disturbed(x, pattern)
            for x in self.inputs
        ]
        for place in self.places:
            value = place.get()
            if isinstance(value, np.ndarray) and value.flags.writeable:
                np.copyto(value, _disturbed(value, pattern, copy=None))
        return self.compiled(others)

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
        if not (_is_number(one) and _is_number(other)):
            return math.inf, "" if one is other or np.all(one == other) else f"{one!r} against {other!r}"
        a, b = np.asarray(one), np.asarray(other)
        if a.shape != b.shape or a.dtype != b.dtype:
            return math.inf, f"{a.dtype} of shape {a.shape} against {b.dtype} of shape {b.shape}"
        tolerance = TOLERANCE[min(a.dtype.itemsize, self.coarsest)] if a.dtype.kind in "fc" else 0.0
        scale = max(_largest_difference(a, np.broadcast_to(a.dtype.type(0), a.shape)), SMALLEST_SCALE)
        spread = 0.0 if moved is other else _largest_difference(b, np.asarray(moved))
        least = max(tolerance * scale, MOST_SPREADS * spread)
        is_exact = self.exact or a.dtype.kind not in "fiuc"
        most, text, count = -1.0, "", 0
        for x, y, apart in _pieces(a, b):
            differs = x != y if is_exact else ~((apart <= least + tolerance * np.abs(x)) & np.isfinite(x))
            if differs.any():
                differs &= (x != y) & ((x == x) | (y == y))
                apart = np.where(differs, np.nan_to_num(apart, nan=np.inf, posinf=np.inf), -1.0)
                k, count = int(apart.argmax()), count + int(differs.sum())
                most, text = max((most, text), (float(apart[k]), f"{x[k]} against {y[k]}" * bool(differs[k])))
        return most / scale, f"{text} in {count} of {a.size} elements" if text and a.ndim else text


def _disturbed(value: Array, pattern: int, copy: bool | None = True) -> Array:
    """Change the last digits of every second number, or third or so, towards zero: so it stays in an interval."""
    dtype = getattr(value, "dtype", np.dtype(type(value)))
    if dtype.kind not in "fc":
        return value
    array = np.array(value, order="C", copy=copy)
    array.reshape(-1)[pattern % array.size if array.size else 0 :: pattern + 2] *= 1 - DISTURBANCE * np.finfo(dtype).eps
    return array if isinstance(value, np.ndarray) else type(value)(array)


def _is_number(value: Any) -> bool:
    is_one = isinstance(value, np.ndarray | np.generic | float | int | complex)
    return is_one and np.asarray(value).dtype.kind in "biufc"


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
