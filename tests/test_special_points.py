"""Derivatives at special points, over the whole table of cases: zeros, ties, infinities, huge and tiny numbers.

Nothing is skipped by name. What is right at a point is found out there, from the values of the function on both sides
(`limits`): where a derivative exists, ours is that one, in reverse and forward direction and to second order; at a
kink or a jump it lies between the slopes of the two sides, as every convention does; where it is infinite, ours is not
a finite number. Second derivatives are held against first ones in the same way.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.core.record import data_of
from autodiff.core.rule import facts_of, name_of
from tests.cases import CASES, Case
from tests.cases.points import Point, acts_on_each_element, grid, parts, places_of, points, several
from tests.limits import STEPS, faults
from tests.test_rules import KINDS_OF_CASES, calls_of, tensors, weights_for

LARGE = 1.2345e5  # numbers beyond which steps in proportion to them may jump over what a function does

# At numbers of all sizes beside each other, derivatives of these are sums of which little or nothing is left, or what
# SciPy says of them is; edges of supports, of parameters, and corners have tests of their own. What np.emath gives is
# real or complex by all numbers together.
LEFT_OUT = (
    "emath.", "special.huber", "special.pseudo_huber", "special.inv_boxcox", "special.boxcox_slope",
    "special.multigammaln", "special.logsumexp, ", "scipy.stats.", "scipy.solve_sylvester", "scipy.cho_solve",
    "scipy.expm", "scipy.sqrtm",  # which take no long doubles, or give complex numbers
    "eig of", "eigvals of", "roots",  # of matrices that have no basis of eigenvectors
    # Integrals by shapes have few digits in second derivatives where those are as small as 1e-30.
    *(f"special.{name} by" for name in ("gammainc", "gammaincc", "chdtr", "chdtrc", "stdtr", "betainc", "betaincc")),
)  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of divisions by zero and the like, which is what special points are about."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def one_of_each_kind() -> list[Case]:
    """Choose the first case of each kind."""
    kinds: dict[Any, Case] = {}
    for case in CASES:
        places = places_of(case)
        if places and all(case.args[place].size for place in places) and not case.name.startswith(LEFT_OUT):
            kinds.setdefault(KINDS_OF_CASES[case.name], case)
    return list(kinds.values())


def flat(arrays: Any) -> Any:
    return np.concatenate([np.ravel(array) for array in arrays])


def floats_of(outputs: Any) -> list[Any]:
    return [part for out in several(outputs) for part in parts(out) if np.dtype(part.dtype).kind == "f"]


class Trial:
    """A case at a special point, in a dtype."""

    def __init__(self, case: Case, point: Point, dtype: Any) -> None:
        self.case, self.point, self.dtype = case, point, dtype
        self.places = places_of(case)
        self.rtol = 1e-6 if dtype == np.float64 else 2e-3
        self.found: list[str] = []
        self.rough: dict[tuple[bool, ...], Any] = {}
        rng = np.random.default_rng(5)
        self.lengths = self.scales()
        self.vectors = [
            (rng.choice([-1, 1], length.shape) * rng.uniform(0.5, 1.5, length.shape) * length).astype(dtype)
            for length in self.lengths
        ]

    def scales(self) -> list[Any]:
        """Say how far apart numbers are at the point: an element's own size, for a zero that of those beside it.

        Of numbers up to a thousand it is one at most, since functions such as the sine vary by it.
        """
        sizes = [np.abs(self.point.args[place].astype(float)) for place in self.places]
        sizes = [np.where(np.isfinite(size) & (size > 0), size, np.nan) for size in sizes]
        if self.point.is_grid:
            sizes = [np.where(size < 1e3, np.minimum(size, 1), size) for size in sizes]
            beside = [np.nanmin([*sizes, np.ones_like(sizes[0])], axis=0)] * len(sizes)
        else:
            beside = [np.nanmedian(size) if np.isfinite(size).any() else 1.0 for size in sizes]
        return [np.where(np.isnan(size), other, size) for size, other in zip(sizes, beside, strict=True)]

    def directions(self) -> Iterator[list[Any]]:
        """Give directions, in each argument alone."""
        for one in range(len(self.places)):
            yield [v if k == one else np.zeros_like(v) for k, v in enumerate(self.vectors)]

    def function(self, *args: Any) -> Any:
        return tuple(floats_of(self.case.function(*args)))

    def value(self, args: Any) -> Any:
        return flat(floats_of((self.case.plain or self.case.function)(*args)))

    def gradient(self, args: Any) -> Any:
        args = [Tensor(arg) if k in self.places else arg for k, arg in enumerate(args)]
        outputs = self.function(*args)
        sum((out * w.astype(out.dtype)).sum() for out, w in zip(outputs, self.weights(outputs))).backward()
        return flat(args[place].grad for place in self.places)

    def weights(self, outputs: Any) -> list[Any]:
        return [w.astype(self.dtype) for w in weights_for(outputs)]

    def around(self, function: Callable[[Any], Any], vectors: list[Any]) -> Any:
        """Give a function's values at the point and on both sides of it, or None."""
        values = self.along(function, vectors, (0.0, *STEPS, *(-step for step in STEPS)))
        return None if values is None else (values[0], values[1 : 1 + len(STEPS)], values[1 + len(STEPS) :])

    def along(self, function: Callable[[Any], Any], vectors: list[Any], steps: Sequence[float]) -> Any:
        """Give a function's values at some distances, in the highest precision that it has; None if it has not all."""
        for wide in (np.float64,) if self.is_converted else (np.longdouble, np.float64):

            def at(step: float, wide: Any = wide) -> Any:
                args = list(self.point.args)
                for place, v in zip(self.places, vectors, strict=True):
                    moved = args[place].astype(wide) + step * v.astype(wide)
                    args[place] = np.where(v == 0, args[place].astype(wide), moved)
                return function(args)

            try:
                with quiet():
                    values = [at(step) for step in steps]
            except (np.linalg.LinAlgError, NotImplementedError, ValueError, ZeroDivisionError):
                return None
            except TypeError:
                continue  # a function that does not know long double
            if len({value.shape for value in values}) > 1:
                return None
            for dtype in (np.float32, np.float64):  # a function may be less precise than what it is given
                narrow = [value.astype(dtype) for value in values]
                if all(np.array_equal(one, other, equal_nan=True) for one, other in zip(narrow, values, strict=True)):
                    return narrow
            return values
        return None

    def check(self) -> list[str]:
        with quiet():
            try:
                self.variables = [Tensor(arg) if k in self.places else arg for k, arg in enumerate(self.point.args)]
                self.outputs = self.function(*self.variables)
            except (np.linalg.LinAlgError, ValueError, ZeroDivisionError):
                return []  # no value here
            calls = calls_of(self.outputs)
            self.is_converted = any("astype" in name_of(call._function) for call in calls)
            self.is_composed, self.names = len(calls) > 1, {name_of(call._function) for call in calls}
            self.first = self.gradients(self.outputs, self.weights(self.outputs))
            self.inside, self.on_edge = np.array(True), np.array(False)
            for vectors in self.directions():
                self.check_first(vectors)
            if self.first is not None and (self.dtype == np.float64 or self.point.is_grid):
                for vectors in self.directions():
                    self.check_second(vectors)
        return self.found

    def gradients(self, outputs: Sequence[Any], weights: Sequence[Any]) -> list[Any] | None:
        """Give the gradients of a weighted sum, as Tensors with a graph; None if a rule refuses in words."""
        for place in self.places:
            self.variables[place].grad = None
        terms = [(out * w.astype(out.dtype)).sum() for out, w in zip(outputs, weights, strict=True) if w.any()]
        try:
            total: Any = sum(terms)
            if isinstance(total, Tensor) and total.requires_grad:
                total.backward(create_graph=True)
        except (np.linalg.LinAlgError, NotImplementedError):
            return None
        found = [self.variables[place].grad for place in self.places]
        return [Tensor(np.zeros_like(self.point.args[p])) if g is None else g for g, p in zip(found, self.places)]

    def check_first(self, vectors: list[Any]) -> None:
        truth = self.around(self.value, vectors)
        if truth is None:
            self.inside = np.array(False)
            return
        sides = [np.isfinite(value[-1]) for value in truth[1:]]
        self.inside, self.on_edge = self.inside & np.any(sides, axis=0), self.on_edge | ~np.all(sides, axis=0)
        moved = [k for k, v in enumerate(vectors) if v.any()]
        value = flat(out.data for out in self.outputs)
        try:
            _, forward = ad.jvp(
                self.function,
                self.point.args,
                [vectors[k] for k in moved],
                argnums=tuple(self.places[k] for k in moved),
            )
        except (np.linalg.LinAlgError, NotImplementedError):
            return  # refused, in words
        counts = self.compare("", flat(forward), value, truth, self.value, vectors)
        if self.first is not None:
            self.check_reverse(vectors, forward, counts)

    def compare(
        self, order: str, ours: Any, value: Any, truth: Any, function: Callable[[Any], Any], vectors: list[Any]
    ) -> Any:
        """Compare derivatives with the truth, and say for which elements that could be done.

        It cannot where the function itself is another one in the precision of the truth.
        """
        here, right, left = truth
        counts = np.isfinite(value) & np.isclose(value, here, rtol=1e2 * self.rtol, atol=0)
        moved = tuple(bool(v.any()) for v in vectors)
        if moved not in self.rough:  # of the function, whichever derivative it is that is compared
            self.rough[moved] = self.is_rough(vectors)
        counts &= ~np.resize(self.rough[moved], here.size)
        unit, size = self.unit(vectors, here.size), np.zeros_like(here)
        counts &= ~(np.isnan(ours) & (self.is_at_infinity(here.size) | self.is_pole(here.size)))
        counts &= ~(~np.isfinite(ours) & self.is_out_of_range(here.size))
        if not self.point.is_grid:
            far = self.along(function, vectors, (1.0,))
            size += 0 if far is None else np.max(np.abs(np.nan_to_num(far[0], posinf=0, neginf=0)))
            counts &= self.is_continuous(here, right) & self.is_continuous(here, left)
        self.size = float(np.max(size, initial=0))
        what, best, _ = faults(ours.astype(here.dtype), here, right, left, size, unit, self.dtype, self.rtol)
        what = np.where(counts, what, "")
        if (what != "").any() and not self.point.is_grid:
            smooth = (what == "derivative") & self.is_linear(function, vectors)
            what = np.where(smooth | (np.abs(ours) > self.steepest(function, vectors)), what, "")
        self.note(order, what, ours, best, vectors)
        return counts

    def is_continuous(self, here: Any, there: list[Any]) -> bool:
        """Whether all results together come near to what they are at the point.

        They do not where factors of a matrix are chosen anew, or where it is singular but for rounding, so that a large
        number stands for infinity.
        """
        far, near = (np.max(np.abs(np.nan_to_num(value - here))) for value in (there[0], there[-1]))
        return bool(near <= 0.5 * far or near <= 1e-3 * np.max(np.abs(here)))

    def is_linear(self, function: Callable[[Any], Any], vectors: list[Any]) -> bool:
        """Whether slopes add up, as those of two parts of a direction do where there is a derivative."""
        rng = np.random.default_rng(6)
        for _ in range(3):
            parts = [v * rng.choice([-1, 2], v.shape).astype(v.dtype) for v in vectors]
            slopes = []
            for direction in (vectors, parts, [v - part for v, part in zip(vectors, parts, strict=True)]):
                found = self.along(function, direction, (1e-5, -1e-5))
                if found is None:
                    return False
                slopes.append((found[0] - found[1]) / 2e-5)
            if not np.allclose(slopes[0], slopes[1] + slopes[2], rtol=1e-3, atol=1e-3 * np.max(np.abs(slopes))):
                return False
        return True

    def steepest(self, function: Callable[[Any], Any], vectors: list[Any]) -> Any:
        """Bound the slope in a direction by the steepest ones nearby in each of its coordinates.

        What may be taken at a kink is, by Clarke's definition, a mean of derivatives nearby, and so is below it.
        """
        rng = np.random.default_rng(7)
        slopes: Any = 0.0
        for signs in ([1], [-1], [-1, 1], [-1, 1]):
            shift = [
                1e-4 * rng.choice(signs, v.shape) * rng.uniform(0.5, 1.5, v.shape) * np.abs(v) for v in self.vectors
            ]
            for k, v in enumerate(vectors):
                for index in zip(*np.nonzero(np.atleast_1d(v)), strict=True):
                    values = []
                    for step in (1e-6, -1e-6):
                        there = [np.array(one) for one in shift]
                        np.atleast_1d(there[k])[index] += step * np.atleast_1d(v)[index]
                        values.append(self.along(function, there, (1.0,)))
                    if values[0] is None or values[1] is None:
                        return np.inf
                    slopes = np.maximum(slopes, np.abs(values[0][0] - values[1][0]) / 2e-6)
        return slopes * sum(np.count_nonzero(v) for v in vectors)

    def is_at_infinity(self, size: int) -> Any:
        """Whether an argument is infinite, where there is no derivative but perhaps a limit of it."""
        are = [np.isinf(self.point.args[place]) for place in self.places]
        return np.resize(np.any(are, axis=0), size) if self.point.is_grid else np.full(size, any(map(np.any, are)))

    def is_out_of_range(self, size: int) -> Any:
        """Whether products of four of the numbers are, so that what is then not finite is no wrong number."""
        largest, smallest = (float(one) ** 0.25 for one in (np.finfo(self.dtype).max, np.finfo(self.dtype).tiny))
        if self.is_composed:
            largest = LARGE
        sizes = [np.abs(self.point.args[place].astype(float)) for place in self.places]
        are = [(one >= largest) | ((one > 0) & (one <= smallest)) for one in sizes]
        return np.resize(np.any(are, axis=0), size) if self.point.is_grid else np.full(size, any(map(np.any, are)))

    def is_pole(self, size: int) -> Any:
        """Whether the function is made of others that have a pole there, as the beta function is of gamma functions."""
        if not self.names & {"beta", "betaln"}:
            return np.zeros(size, bool)
        args = [self.point.args[place] for place in self.places]
        return np.resize(np.any([(arg < 0) & (arg == np.rint(arg)) for arg in args], axis=0), size)

    def check_reverse(self, vectors: list[Any], forward: Any, counts: Any) -> None:
        """Compare ``<w, J v>`` with ``<Jᵀ w, v>``, at every element of a grid."""
        weights = self.weights(self.outputs)
        ours = [d.astype(np.longdouble) * w for d, w in zip(forward, weights, strict=True)]
        theirs = [
            np.where(v == 0, 0, gradient.data.astype(np.longdouble) * v)
            for gradient, v in zip(self.first, vectors, strict=True)
        ]
        if self.point.is_grid:
            left, right = np.sum(ours, axis=0), np.sum(theirs, axis=0)
            size, counts = np.sum(np.abs(ours), axis=0), counts.reshape(len(ours), -1).all(axis=0)
            counts &= ~(np.isnan(right) & (self.is_at_infinity(right.size) | self.is_pole(right.size)))
            counts &= ~(~np.isfinite(right) & self.is_out_of_range(right.size))
        else:
            left, right = np.sum(flat(ours)), np.sum(flat(theirs))
            size, counts = np.sum(np.abs(flat(ours))) + np.sum(np.abs(flat(theirs))), counts.all()
        unit = self.unit(vectors, np.size(left))
        floor = 1e4 * float(np.finfo(self.dtype).tiny) * np.maximum(unit, 1)
        floor = floor + 64 * float(np.finfo(self.dtype).eps) * self.size
        in_range = size < float(np.finfo(self.dtype).max) / 1e4 * np.minimum(unit, 1)
        same = ~in_range | (np.abs(left - right) <= 10 * self.rtol * size + floor)
        self.note("reverse, ", np.where(counts & ~same, "as forward", ""), right, left, vectors)

    def check_second(self, vectors: list[Any]) -> None:
        truth = self.around(self.gradient, vectors)
        if truth is None:
            return
        second = self.gradients(self.first, vectors)
        if second is None:
            return
        gradient, ours = (flat(g.data for g in gradients) for gradients in (self.first, second))
        fine = np.isfinite(flat(out.data for out in self.outputs)) & self.inside
        if self.point.is_grid:
            rows = len(self.outputs), -1
            fine = np.tile(fine.reshape(rows).all(axis=0), len(self.places))
            fine &= ~(np.isnan(ours) & np.tile(self.on_edge.reshape(rows).any(axis=0), len(self.places)))
        gradient = np.where(fine if self.point.is_grid else fine.all(), gradient, np.nan)
        self.compare("second ", ours, gradient, truth, self.gradient, vectors)

    def unit(self, vectors: list[Any], size: int) -> Any:
        """Give the length of a direction; in a grid, at each element."""
        length = (
            np.max([np.abs(v.astype(float)) for v in vectors], axis=0)
            if self.point.is_grid
            else max(float(np.max(np.abs(v))) for v in vectors)
        )
        return np.resize(length, size)

    def is_rough(self, vectors: list[Any]) -> Any:
        """Whether numbers are at work that are too large for steps in proportion to them, as the sine's are.

        Asked is how the function does at smaller ones: whether it is a polynomial of low degree in steps that are a
        thousandth of a number which is ``LARGE``, or so many times as large as one beside it.
        """
        args = list(self.point.args)
        sizes = [np.abs(args[place].astype(float)) for place in self.places]
        sizes = [np.where(np.isfinite(one) & (one > 0), one, np.nan) for one in sizes]
        least = np.nanmin([np.ones_like(sizes[0]), *sizes], axis=0) if self.point.is_grid else 1.0
        factors = [LARGE * least / (one if self.point.is_grid else np.nanmax(one, initial=0)) for one in sizes]
        factors = [np.where(one < 1, one, 1) for one in factors]
        if all(np.all(one == 1) for one in factors):
            return np.array([False])
        rough = np.zeros(sizes[0].size if self.point.is_grid else 1, bool)
        for length in np.linspace(0.7e-3, 3.1e-3, 10):
            steps = [
                factor * length * np.nan_to_num(v.astype(float)) / own * np.where(np.isnan(size), own, size)
                for factor, v, own, size in zip(factors, vectors, self.lengths, sizes, strict=True)
            ]
            values = []
            for k in (-1.6, -0.6, 0.4, 1.4, 2.4):
                for place, factor, step in zip(self.places, factors, steps, strict=True):
                    args[place] = np.asarray(self.point.args[place].astype(float) * factor + k * step)
                values.append(self.value(args))
            fourth = values[0] - 4 * values[1] + 6 * values[2] - 4 * values[3] + values[4]
            found = ~(np.abs(fourth) <= 1e-8 * np.max(np.abs(values), axis=0))
            if self.point.is_grid:
                found = found.reshape(-1, sizes[0].size).any(axis=0)
            rough |= found if self.point.is_grid else found.any()
        return rough & np.any([one < 1 for one in factors], axis=0) if self.point.is_grid else rough

    def note(self, order: str, what: Any, ours: Any, right: Any, vectors: list[Any]) -> None:
        """Write down what is wrong, and where."""
        what, ours, right = (np.ravel(one) for one in (what, ours, right))
        for index in np.flatnonzero(what != ""):
            where = f"element {index}"
            if self.point.is_grid:
                where = str([float(self.point.args[place].flat[index % self.lengths[0].size]) for place in self.places])
            moved = [k for k, v in enumerate(vectors) if v.any()]
            self.found.append(
                f"{np.dtype(self.dtype).name}, {self.point.name}, argument {moved}, at {where}: "
                f"{order}{what[index]}: {float(ours[index]):.8g}, right {float(right[index]):.8g}"
            )


KINDS = one_of_each_kind()


@pytest.mark.together("case", KINDS, ids=str)
def test_derivatives_at_special_points(case: Case) -> None:
    found: list[str] = []
    for dtype in (np.float64, np.float32):
        for point in points(case, dtype):
            found += Trial(case, point, dtype).check()
    assert not found, "\n" + "\n".join(found[:20]) + (f"\n{len(found)} in all" if len(found) > 20 else "")


# Compiled programs give there what the eager step gives


def derivatives(case: Case, arrays: Sequence[Any], order: int = 2) -> list[Any]:
    """Give a case's values, its gradients and the gradients of their sum, as arrays."""
    places = places_of(case)
    args = list(case.args)
    variables = [Tensor(array) for array in arrays]
    for place, variable in zip(places, variables, strict=True):
        args[place] = variable
    results = list(floats_of(case.function(*args)))
    level = results
    for _ in range(order):
        total = sum(result.sum() for result in level)
        for variable in variables:
            variable.grad = None
        if total.requires_grad:
            total.backward(create_graph=True)
        level = [variable.grad for variable in variables if variable.grad is not None]
        results += level
    return [result.detach() for result in results]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("count", [1, 2])
def test_programs_of_many_functions_at_special_numbers(count: int, dtype: Any) -> None:
    cases = [case for case in KINDS if len(places_of(case)) == count and acts_on_each_element(case)]
    compare_programs(cases, count, dtype, 2, exact=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_machine_code_of_many_functions_at_special_numbers(dtype: Any) -> None:
    cases = [case for case in KINDS if len(places_of(case)) == 1 and acts_on_each_element(case)]
    compare_programs(cases[dtype == np.float32 :: 8], 1, dtype, 1, backend="numba")


def compare_programs(cases: list[Case], count: int, dtype: Any, order: int, **options: Any) -> None:
    """Compile one program of many functions, at ordinary numbers, and run it at special ones."""

    def step(*arrays: Any) -> Any:
        return [derivatives(case, arrays, order) for case in cases]

    special = [array.astype(dtype) for array in grid(count, dtype)]
    with quiet():
        compiled = ad.compile(step, **options)
        compiled(*(np.linspace(0.2, 0.8, len(array)).astype(dtype) for array in special))
        found, wanted = compiled(*special), step(*special)
    rtol = 0 if options.get("exact") else 1e-12 if dtype == np.float64 else 1e-5
    for case, mine, eager in zip(cases, found, wanted, strict=True):
        for number, (a, b) in enumerate(zip(mine, eager, strict=True)):
            np.testing.assert_allclose(data_of(a), data_of(b), rtol=rtol, err_msg=f"{case}, result {number}")


# Where eigenvalues or singular values are equal, a program, which cannot look at them, gives NaN; and that lstsq gives
# residuals or none, as the rank is, it finds out and says.
LOOKED_AT = ("eigh", "eigvalsh", "lstsq", "svd of")
PROGRAMS = [case for case in KINDS if not acts_on_each_element(case) and not case.name.startswith(LOOKED_AT)]


@pytest.mark.together("case", PROGRAMS[::12], ids=str)
def test_programs_at_special_points(case: Case) -> None:
    with quiet():
        variables = tensors(case.args)
        sum(out.sum() for out in floats_of(case.function(*variables))).backward(create_graph=True)
        calls = calls_of([x.grad for x in variables if isinstance(x, Tensor) and x.grad is not None])
        looks = any(facts_of(call._function).rule_with_graph for call in calls)  # at ties, which a program cannot
        compiled = ad.compile(lambda *arrays: derivatives(case, arrays), exact=True)
        compiled(*(case.args[place] for place in places_of(case)))
        for point in points(case, np.float64):
            arrays = [point.args[place] for place in places_of(case)]
            try:
                wanted = derivatives(case, arrays)
            except (np.linalg.LinAlgError, NotImplementedError, ValueError, ZeroDivisionError):
                continue
            for number, (a, b) in enumerate(zip(map(data_of, compiled(*arrays)), wanted, strict=True)):
                a = np.where(np.isfinite(a), a, data_of(b)) if looks else a
                np.testing.assert_array_equal(a, data_of(b), err_msg=f"{point.name}, result {number}")


# What decides: wrong derivatives are found, and where there is none, none is claimed


@pytest.mark.parametrize(
    ("function", "ours", "expected"),
    [
        pytest.param(np.square, 0.0, "", id="a derivative"),
        pytest.param(np.sin, 0.99, "derivative", id="a wrong one"),
        pytest.param(np.sin, np.nan, "derivative", id="none, where there is one"),
        pytest.param(np.abs, 0.0, "", id="a kink"),
        pytest.param(np.abs, 1.1, "between the sides", id="a kink, outside"),
        pytest.param(np.floor, 0.0, "", id="a jump"),
        pytest.param(np.floor, 1.0, "between the sides", id="a jump, wrong slope"),
        pytest.param(np.cbrt, np.inf, "", id="a vertical tangent"),
        pytest.param(np.cbrt, 0.0, "finite, where it is infinite", id="a vertical tangent, finite"),
        pytest.param(np.sqrt, 0.0, "finite, where it is infinite", id="at the edge of the domain"),
        pytest.param(lambda x: np.where(x == 0, 0, x * np.log(np.abs(x) + (x == 0))), 0.0,
                     "finite, where it is infinite", id="a slow divergence"),
        pytest.param(lambda x: np.abs(x) ** 1.5, 0.0, "", id="a smooth root"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wide", [np.float64, np.longdouble])
def test_faults_are_found(function: Callable[..., Any], ours: float, expected: str, wide: Any) -> None:
    with quiet():
        here, *there = (np.array([function(wide(step))]) for step in (0.0, *STEPS, *(-step for step in STEPS)))
        what, _, claimed = faults(np.array([ours]), here, there[:3], there[3:], 0.0, 1.0, np.float64, 1e-6)
    assert claimed.all()
    assert what[0] == expected


# What single docstrings say of special points


def test_rules_of_numpys_own_precision() -> None:
    x = np.array([[1e-30, 3e-30, 2e-30], [2e-30, 1e-30, 5e-30]], np.float32)
    for scale in (1, 1e60):
        wide = x.astype(float) * scale
        with quiet():
            found = ad.grad(lambda x: np.corrcoef(x)[0, 1])(wide.astype(np.float32))
            wanted = ad.grad(lambda x: np.corrcoef(x)[0, 1])(wide)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_polynomials_of_huge_numbers_and_lines_between_equal_points() -> None:
    assert ad.grad(lambda x: np.polyval([1.0, -2.0, 0.5], x))(1e150) == pytest.approx(2e150)
    slopes = ad.grad(lambda x: np.interp(x, [0.0, 1.0, 1.0], [0.0, 2.0, 5.0]).sum())(np.array([0.5, 1.0, 2.0]))
    np.testing.assert_array_equal(slopes, [2, 0, 0])


@pytest.mark.parametrize("function", [np.std, np.nanstd])
def test_a_single_element_does_not_deviate_and_steps_do_not_either(function: Callable[..., Any]) -> None:
    assert ad.hessian(lambda x: function(x, axis=0).sum())(np.ones((1, 1))).item() == 0
    if function is np.std:
        assert not ad.hessian(lambda x: np.std(x, dtype=int))(np.zeros(3)).any()


def test_interpolation_at_a_point_has_the_slope_to_the_right() -> None:
    found = ad.grad(lambda x: np.interp(x, [0.0, 1.0, 3.0], [0.0, 2.0, -2.0]).sum())(np.array([0.0, 1.0, 2.0, 5.0]))
    np.testing.assert_array_equal(found, [2, -2, -2, 0])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (abs, [0, 0, 1]),
        (lambda x: x.relu(), [0, 0, 1]),
        (lambda x: x.max(), [0, 0, 1]),
        (lambda x: x[:2].max(), [0.5, 0.5, 0]),
        (lambda x: x[:2].min(), [0.5, 0.5, 0]),
    ],
)
def test_methods_follow_the_conventions_that_they_name(function: Callable[..., Any], expected: list[float]) -> None:
    np.testing.assert_array_equal(ad.grad(lambda x: function(x).sum())(np.array([0.0, -0.0, 2.0])), expected)


def test_geometric_steps_between_negative_ends() -> None:
    start, stop = ad.jacobian(lambda a, b: np.geomspace(a, b, 3), argnums=(0, 1))(-1.0, -4.0)
    np.testing.assert_allclose(start, [1, 1, 0], atol=1e-15)
    np.testing.assert_allclose(stop, [0, 0.25, 1], atol=1e-15)
