"""How functions act on a batch, over the whole table of cases: what the loop over the members gives."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import special

import autodiff as ad
import autodiff.batching.vmap
from autodiff import Tensor
from autodiff.arrays.placement import add_at, multiply_at, scatter_add, set_at
from autodiff.arrays.whole import look_up
from autodiff.batching import array, table
from autodiff.core.rule import FACTS, facts_of, name_of
from tests.cases import CASES, Case
from tests.cases.points import acts_on_each_element, points
from tests.test_rules import calls_of, is_float, several, weighted_sum
from tests.test_special_points import KINDS, quiet

every_case = pytest.mark.together("case", CASES, ids=str)
SIZE = 3


def places_of(case: Case) -> list[int]:
    return [k for k, arg in enumerate(case.args) if is_float(arg)]


def batch_of(case: Case, size: int = SIZE) -> list[Any]:
    """Give each argument that is differentiated for some members, which differ a little; ties stay ties."""
    args = list(case.args)
    for k in places_of(case):
        x = case.args[k]
        waves = np.sin(np.arange(1.0, x.size + 1)).reshape(x.shape) if case.order else np.ones(x.shape)
        factors = [1 + number / 64 * waves for number in range(size)]
        args[k] = np.array([x * factor for factor in factors], x.dtype).reshape(size, *x.shape)
    return args


def member_of(args: list[Any], axes: tuple[int | None, ...], number: int) -> list[Any]:
    return [arg if axis is None else arg[number] for arg, axis in zip(args, axes, strict=True)]


def ways(case: Case) -> Iterator[tuple[list[Any], tuple[int | None, ...]]]:
    """Give arguments and their axes: all with a batch, then each alone."""
    batch, places = batch_of(case), places_of(case)
    yield batch, tuple(0 if k in places else None for k in range(len(batch)))
    if len(places) > 1:
        for place in places:
            args = list(case.args)
            args[place] = batch[place]
            yield args, tuple(0 if k == place else None for k in range(len(args)))


def gradients_of(function: Callable[..., Any], places: list[int]) -> Callable[..., Any]:
    """Make the function that gives the gradients of the weighted sum of outputs."""
    return ad.grad(lambda *args: weighted_sum(several(function(*args))), argnums=tuple(places))


def outputs_of(function: Callable[..., Any], args: list[Any]) -> list[Any]:
    tensors = [
        Tensor(arg, requires_grad=False) if getattr(getattr(arg, "dtype", None), "kind", "") == "f" else arg
        for arg in args
    ]
    return [out.data if isinstance(out, Tensor) else out for out in several(function(*tensors))]


def same(actual: Any, expected: Any, rtol: float, exact: bool = False) -> None:
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if exact:
        np.testing.assert_array_equal(actual, expected)
    else:
        scale = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale)


ROUNDED = {np.dot, np.einsum}  # sum products of stacks in another order, and so round in another way


def is_exact(case: Case) -> bool:
    calls = calls_of(several(case.function(*(Tensor(arg) if is_float(arg) else arg for arg in case.args))))
    return not ROUNDED.intersection(call._function for call in calls)


@every_case
def test_a_batch_gives_what_the_loop_gives(case: Case) -> None:
    exact = is_exact(case)
    for args, axes in ways(case):
        value = outputs_of(ad.vmap(case.function, axes), args)
        loop = [outputs_of(case.function, member_of(args, axes, number)) for number in range(SIZE)]
        for ours, theirs in zip(value, zip(*loop, strict=True), strict=True):
            same(ours, np.stack(theirs), 1e-13, exact)


@every_case
def test_gradients_of_a_batch_are_those_of_the_loop(case: Case) -> None:
    exact = is_exact(case) and not case.name.startswith("cov of two")
    places = places_of(case)
    slopes = gradients_of(case.function, places)
    for args, axes in ways(case):
        inside = ad.vmap(slopes, axes)(*args)
        loop = [slopes(*member_of(args, axes, number)) for number in range(SIZE)]
        for ours, theirs in zip(inside, zip(*loop, strict=True), strict=True):
            same(ours, np.stack(theirs), 1e-12, exact)
        variables = [Tensor(arg) if is_float(arg) else arg for arg in args]
        outputs = several(ad.vmap(case.function, axes)(*variables))
        sum(weighted_sum([out[number] for out in outputs]) for number in range(SIZE)).backward()
        for place, of_members in zip(places, zip(*loop, strict=True), strict=True):
            expected = np.sum(of_members, axis=0) if axes[place] is None else np.stack(of_members)
            same(variables[place].grad, expected, 1e-12)


@pytest.mark.together("case", CASES[::6], ids=str)
@pytest.mark.together("size", [0, 1])
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_small_batches_and_short_floats(case: Case, size: int) -> None:
    if not size and case.name.startswith(("tensorsolve", "tensorinv", "scipy.solve_banded", "scipy.stats.dirichlet")):
        return  # the arrays that stand for members that are not there cannot be inverted
    batch = [arg.astype(np.float32) if is_float(arg) else arg for arg in batch_of(case, max(1, size))]
    places = places_of(case)
    axes = tuple(0 if k in places else None for k in range(len(batch)))
    expected = outputs_of(case.function, member_of(batch, axes, 0))
    slopes = gradients_of(case.function, places)
    expected += several(slopes(*member_of(batch, axes, 0)))
    args = [arg[:size] if k in places else arg for k, arg in enumerate(batch)]
    actual = [*outputs_of(ad.vmap(case.function, axes), args), *ad.vmap(slopes, axes)(*args)]
    for ours, one in zip(actual, expected, strict=True):
        assert ours.dtype == one.dtype
        assert ours.shape == (size, *one.shape)
        if size:
            same(ours[0], np.asarray(one), 1e-6)


# What is in the table

# They go member by member: what they give has sizes that depend on values, or they are seldom met.
MEMBER_BY_MEMBER = {
    "argwhere", "array2string", "array_equal", "array_equiv", "array_repr", "array_str", "bincount", "convolve",
    "corrcoef", "correlate", "cov", "diag_indices_from", "ediff1d", "einsum_path", "flatnonzero", "geomspace",
    "gradient", "ix_", "lexsort", "linspace", "logspace", "lstsq", "multi_dot", "nonzero", "polyadd", "polyder",
    "poly", "polyint", "polysub", "polyval", "real_if_close", "roots", "sliding_window_view", "sort_complex",
    "tensorinv", "tensorsolve", "tril_indices_from", "triu_indices_from", "vander",
}  # fmt: skip
# Batched arrays do not meet them, but the functions that they are made of, or they are the tape's own.
MADE_OF_OTHERS = {"alias", "assignment", "astype", "checkpoint", "pick", "relu", "sigmoid", "sum"}


def rule_for(function: Callable[..., Any]) -> Any:
    rules = array.RULES
    plain = getattr(function, "__wrapped__", None)
    return rules.get(function) or rules.get(plain) or table.found_later(function)  # type: ignore[arg-type]


def test_every_function_that_is_known_is_in_the_table_or_goes_member_by_member() -> None:
    facts_of(special.erf)  # loads the rules of SciPy's functions
    without = set()
    for function, facts in list(FACTS.items()):
        library = (getattr(function, "__module__", None) or "numpy").partition(".")[0]
        # Functions of SciPy's that are no ufuncs take arrays whole, and most of them know of no batches.
        is_known = facts.rules or facts.is_constant or facts.recorded_as is not None
        is_known = is_known and not (getattr(function, "__module__", None) or "").startswith("autodiff.scipy")
        if is_known and not facts.is_question and library in ("numpy", "scipy", "autodiff", "_operator"):
            plain = getattr(function, "__wrapped__", function)
            is_ours = (getattr(plain, "__module__", None) or "").startswith("autodiff")
            if rule_for(function) is None and not (is_ours and plain.__module__.startswith("autodiff.batching")):
                if (
                    is_ours
                    and function is plain
                    and any(getattr(other, "__wrapped__", None) is plain and rule_for(other) for other in list(FACTS))
                ):
                    continue  # what a primitive was made of
                without.add(name_of(function))
    assert without - MADE_OF_OTHERS == MEMBER_BY_MEMBER


@pytest.mark.parametrize(
    "functions",
    [
        pytest.param(
            [np.add, np.exp, np.where, np.clip, np.round, np.divmod, special.erf, special.xlogy], id="elements"
        ),
        pytest.param(
            [np.sum, np.mean, np.var, np.prod, np.max, np.argmax, np.nanmax, np.median, np.any], id="reductions"
        ),
        pytest.param(
            [np.cumsum, np.add.accumulate, np.multiply.reduce, np.sort, np.argsort, np.partition], id="running"
        ),
        pytest.param([np.reshape, np.moveaxis, np.tile, np.roll, np.tril, np.split, np.block, np.insert], id="shapes"),
        pytest.param([operator.getitem, look_up, np.take, np.take_along_axis, np.choose, np.select], id="indexing"),
        pytest.param([scatter_add, set_at, add_at, multiply_at], id="placing"),
        pytest.param([np.matmul, np.dot, np.vecdot, np.einsum, np.tensordot, np.cross, np.kron], id="products"),
        pytest.param([np.linalg.inv, np.linalg.solve, np.linalg.eigh, np.linalg.svd, np.linalg.norm], id="linalg"),
        pytest.param([np.concatenate, np.stack, np.hstack, np.pad, np.interp, np.diff, np.trapezoid], id="others"),
    ],
)
def test_families_have_rules(functions: list[Callable[..., Any]]) -> None:
    assert [name_of(function) for function in functions if rule_for(function) is None] == []


def test_rules_are_used_where_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that fails leaves the call to the members, which is right, and slow."""
    went: set[str] = set()

    def by_members(function: Any, *args: Any) -> Any:
        went.add(name_of(function))
        return member_by_member(function, *args)

    member_by_member = array.member_by_member
    monkeypatch.setattr(table, "member_by_member", by_members)
    for case in CASES:
        if "number" in case.name or " in " in case.name or "pad" in case.name or "dtype" in case.name:
            continue  # axis 0 of a number, conversions on the way, paddings that are computed
        args, axes = next(ways(case))
        outputs_of(ad.vmap(case.function, axes), args)
    assert went - MEMBER_BY_MEMBER == {"average", "diff", "interp"}  # in few of their cases


# Indices, in which either or both have a batch

X = np.arange(60.0).reshape(3, 4, 5)
ROWS, COLUMNS = np.array([[0, 2, -1], [1, 1, 3], [-4, 0, 2]]), np.array([[4, 0, 0], [-5, 2, 1], [3, 3, 3]])
INDICES: dict[str, Callable[[Any, Any], Any]] = {
    "i": lambda i, j: i,
    "one": lambda i, j: i[0],
    "one, :": lambda i, j: (i[0], slice(None, None, -2)),
    ":, j": lambda i, j: (slice(None), j),
    "..., j": lambda i, j: (Ellipsis, j),
    "i, j": lambda i, j: (i, j),
    "i, one": lambda i, j: (i, j[1]),
    "i, None, j": lambda i, j: (i, None, j),
    "None, i": lambda i, j: (None, i),
    "one, 2": lambda i, j: (i[0], 2),
    "2, j": lambda i, j: (2, j),
    "i, ..., None": lambda i, j: (i, Ellipsis, None),
    "matrix": lambda i, j: (i[:, None], j),
    "list": lambda i, j: [i[0], i[1], 2],
    "mask, j": lambda i, j: (np.array([True, False, True, True]), j),
    ":, None, j": lambda i, j: (slice(1, 3), None, j),
}


@pytest.mark.together("name", INDICES)
@pytest.mark.together("axes", [(0, 0, 0), (None, 0, 0), (0, None, None), (0, None, 0), (None, 0, None)], ids=str)
def test_an_index_may_have_a_batch_and_so_may_what_is_indexed(name: str, axes: tuple[int | None, ...]) -> None:
    args = [arg if axis == 0 else arg[0] for arg, axis in zip((X, ROWS, COLUMNS), axes, strict=True)]

    def selected(x: Any, i: Any, j: Any) -> Any:
        return x[INDICES[name](i, j)]

    def slope(x: Any, i: Any, j: Any) -> Any:
        return ad.grad(lambda x: weighted_sum([np.square(selected(x, i, j))]))(x)

    def changed(x: Any, i: Any, j: Any) -> Any:
        index = INDICES[name](i, j)
        values = np.sin(x[index]) + 1
        return x.at[index].set(values), x.at[index].add(values), x.at[index].multiply(values)

    def changes(x: Any, i: Any, j: Any) -> Any:
        return ad.grad(lambda x: weighted_sum(changed(x, i, j)))(x)

    for function in (lambda x, i, j: selected(Tensor(x), i, j).data, slope, changes):
        actual = ad.vmap(function, axes)(*args)
        expected = np.stack([function(*member_of(args, axes, number)) for number in range(3)])
        same(actual, expected, 1e-14)


def test_an_index_that_stands_apart_puts_its_axes_first() -> None:
    x = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    i, j = np.array([[0, 2], [1, 1]]), np.array([[4, 0], [3, 2]])
    for index in (lambda i, j: (i, slice(None), j), lambda i, j: (0, slice(1, None), j), lambda i, j: (i, None, 1, j)):
        for axes in product((0, None), (0, None), (0, None)):
            if any(axis == 0 for axis in axes):
                args = [arg if axis == 0 else arg[0] for arg, axis in zip((x, i, j), axes, strict=True)]
                actual = ad.vmap(lambda x, i, j: look_up(x, index(i, j)), axes)(*args)  # noqa: B023
                expected = [look_up(m[0], index(m[1], m[2])) for m in (member_of(args, axes, k) for k in range(2))]
                same(actual, np.stack(expected), 0, True)


@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_take_and_choose_by_indices_with_a_batch(mode: str, axis: int | None) -> None:
    i = ROWS if mode == "raise" else ROWS + 7
    for axes in ((0, 0), (None, 0), (0, None)):
        args = [arg if at == 0 else arg[0] for arg, at in zip((X, i), axes, strict=True)]

        def taken(x: Any, i: Any) -> Any:
            return np.take(Tensor(x), i, axis=axis, mode=mode).data

        actual = ad.vmap(taken, axes)(*args)
        same(actual, np.stack([taken(*member_of(args, axes, k)) for k in range(3)]), 0, True)
        if axis == -1:
            numbers = np.abs(args[1][..., :1]) % 4

            def chosen(x: Any, i: Any) -> Any:
                return np.choose(i, x, mode=mode)

            if axes[0] == 0:
                actual = ad.vmap(chosen, axes)(args[0], numbers)
                same(actual, np.stack([chosen(*member_of([args[0], numbers], axes, k)) for k in range(3)]), 0, True)


def test_what_an_index_selects_may_not_depend_on_values() -> None:
    x = np.array([[1.0, -1.0], [-1.0, -2.0]])
    with pytest.raises(ValueError, match="their sizes depend on values"):
        ad.vmap(lambda x: x[x > 0])(x)
    np.testing.assert_array_equal(ad.vmap(lambda x: x[x > -5])(x), x)
    with pytest.raises(ValueError, match="their sizes depend on values"):
        ad.vmap(lambda x: np.where(x > 0)[0])(x)
    np.testing.assert_array_equal(ad.vmap(lambda x: np.where(x > 0, x, 0))(x), np.where(x > 0, x, 0))


# Functions that are met later, and methods of ufuncs


def test_ufuncs_and_their_methods_need_no_line() -> None:
    x, y = np.linspace(0.5, 2, 12).reshape(3, 4), np.linspace(1, 3, 6).reshape(3, 2)
    arctanh2 = np.frompyfunc(lambda a, b: a * b + 1, 2, 1)
    functions: list[Callable[..., Any]] = [
        lambda x, y: special.owens_t(x, y[:1]),
        lambda x, y: np.hypot.outer(x, y),
        lambda x, y: np.hypot.reduce(x, axis=-1),
        lambda x, y: np.logaddexp.accumulate(x),
        lambda x, y: np.add.reduceat(x, [0, 2]),
        lambda x, y: np.vecdot(x[:2], y),
        lambda x, y: np.add([x[0], 1.0], y),
        lambda x, y: arctanh2(x[:2], y).astype(float),
    ]
    for function in functions:
        same(ad.vmap(function)(x, y), np.stack([function(*pair) for pair in zip(x, y, strict=True)]), 0, True)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_masks_with_a_batch_take_part_in_reductions() -> None:
    x = np.arange(24.0).reshape(3, 2, 4)
    for mask in (x % 5 > 0, x[:, 0] % 5 > 0):
        for function in (np.sum, np.mean, np.var, np.prod, np.any):
            for axis in (None, 0, -1, (0, 1)):
                actual = ad.vmap(lambda x, m: function(x, axis=axis, where=m))(x, mask)  # noqa: B023
                same(actual, np.stack([function(a, axis=axis, where=m) for a, m in zip(x, mask)]), 1e-15)
    actual = ad.vmap(lambda m: np.sum(x[0], where=m))(x % 3 > 0)
    same(actual, np.stack([np.sum(x[0], where=m) for m in x % 3 > 0]), 0, True)


def test_long_sums_of_short_floats_keep_their_digits() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (50_000, 3)).astype(np.float32)
    for function in (np.sum, np.mean, np.var, np.std):
        exact = function(x.astype(float), axis=0)
        np.testing.assert_allclose(ad.vmap(function, in_axes=1)(x), exact, rtol=1e-6)
        np.testing.assert_allclose(ad.vmap(lambda x: function(Tensor(x)).data, in_axes=1)(x), exact, rtol=1e-6)  # noqa: B023


# Errors are those of the loop


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.sum(x, axis=2),
        lambda x: np.sum(x, axis=-3),
        lambda x: np.expand_dims(x, -4),
        lambda x: np.transpose(x, (0, 0)),
        lambda x: np.reshape(x, (5, -1)),
        lambda x: np.concatenate([x, x], axis=2),
        lambda x: np.stack([x, x], axis=-4),
        lambda x: np.broadcast_to(x, (2, 2)),
        lambda x: np.linalg.inv(x[:2, :2] * 0),
        lambda x: np.linalg.inv(x[0]),
        lambda x: np.linalg.solve(x, x),
        lambda x: np.linalg.cholesky(-np.eye(2) + 0 * x[:, :2]),
        lambda x: np.take_along_axis(x, np.zeros((1, 1, 1), int), axis=0),
        lambda x: x[2],
        lambda x: x[0, 0, 0],
        lambda x: x[np.array([0, 5])],
        lambda x: x + np.ones((3, 2)),
        lambda x: x @ np.ones((2, 2)),
        lambda x: np.matmul(x[0, 0], x),
        lambda x: np.split(x, 2, axis=1),
        lambda x: np.einsum("ij,jk->ik", x, x),
        lambda x: np.average(x, weights=x * 0),
    ],
)
def test_errors_are_those_of_the_loop(function: Callable[..., Any]) -> None:
    x = np.arange(1.0, 19.0).reshape(3, 2, 3)
    with pytest.raises(Exception) as expected:  # noqa: PT011
        function(x[0])
    with pytest.raises(type(expected.value)) as actual:
        ad.vmap(function)(x)
    assert str(actual.value) == str(expected.value)


# Special points, where rules look into what they are given


def orders_of(case: Case) -> Iterator[Callable[..., Any]]:
    """Give the function, its gradient and its second one."""
    places = places_of(case)
    slopes = gradients_of(case.function, places)
    yield lambda *args: tuple(outputs_of(case.function, list(args)))
    yield slopes
    yield ad.grad(lambda *args: weighted_sum(slopes(*args)), argnums=tuple(places))


def members_of(grid: list[Any]) -> list[list[Any]]:
    """Cut a grid into members: single numbers, or fives where there are many; first those in which all are finite."""
    order = np.argsort(~np.all(np.isfinite(grid), axis=0), kind="stable")
    length = 1 if len(order) < 100 else 5
    return [[arg[order[k : k + length]] for arg in grid] for k in range(0, len(order) + 1 - length, length)]


@pytest.mark.together("case", [case for case in KINDS if "lstsq" not in case.name], ids=str)
def test_special_points_in_a_batch_are_those_of_the_loop(case: Case) -> None:
    kinds = [point.args for point in points(case, np.float64)]
    if acts_on_each_element(case):
        kinds = members_of(kinds[0])
    else:
        kinds.append(list(case.args))
    places = places_of(case)
    axes = tuple(0 if k in places else None for k in range(len(case.args)))
    for order, function in enumerate(orders_of(case)):
        found: list[tuple[list[Any], Any]] = []
        with quiet():
            for args in kinds:
                try:
                    found.append((args, function(*args)))
                except (ValueError, ZeroDivisionError, NotImplementedError) as error:
                    one = [np.asarray(arg)[None] if k in places else arg for k, arg in enumerate(args)]
                    with pytest.raises(type(error)):
                        ad.vmap(function, axes)(*one)
            shapes = [tuple(np.shape(out) for out in several(outputs)) for _, outputs in found]
            found = [pair for pair, shape in zip(found, shapes, strict=True) if shape == shapes[-1]]
            kinds = [args for args, _ in found]
            if not found:
                continue
            args = [np.stack([f[0][k] for f in found]) if k in places else case.args[k] for k in range(len(axes))]
            actual = several(ad.vmap(function, axes)(*args))
        for ours, theirs in zip(actual, zip(*(several(outputs) for _, outputs in found), strict=True), strict=True):
            for a, b in zip(ours, theirs, strict=True):
                finite = np.isfinite(b)
                scale = np.max(np.abs(b), initial=0, where=finite)
                if order == 2 and np.isfinite(a).all() and np.isnan(b).all():
                    continue  # beside equal values, quotients out of range are found by another formula, in range
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * scale + 1e-30)
