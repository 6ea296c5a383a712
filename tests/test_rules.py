"""The derivative rules, each suite over the whole table of cases: values, gradients, dtypes, other array types."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.core.rule import FACTS, facts_of, name_of
from autodiff.core.tape import assignment, pack, pick
from autodiff.core.tensor import alias
from autodiff.rules.indexing import scatter_add
from autodiff.testing import check_gradients
from tests.cases import CASES, Case
from tests.strict import StrictArray, reveal

every_case = pytest.mark.together("case", CASES, ids=str)


def is_float(arg: Any) -> bool:
    return isinstance(arg, np.ndarray) and arg.dtype.kind == "f"


def several(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, list | tuple) else (result,)


def tensors(args: tuple[Any, ...], make: Callable[[Any], Any] = Tensor) -> list[Any]:
    return [make(arg) if is_float(arg) else arg for arg in args]


def weights_for(outputs: Any) -> tuple[Any, ...]:
    """Give a fixed random array of each output's shape, so that errors of its elements cannot cancel."""
    return weights_of(tuple((tuple(out.shape), is_complex(out)) for out in outputs))


@cache
def weights_of(shapes: tuple[tuple[tuple[int, ...], bool], ...]) -> tuple[Any, ...]:
    rng = np.random.default_rng(1)

    def weight(shape: tuple[int, ...], has_two_parts: bool) -> Any:
        real = np.asarray(rng.uniform(0.5, 1.5, shape))
        weight = real + 1j * rng.uniform(0.5, 1.5, shape) if has_two_parts else real
        weight.flags.writeable = False
        return weight

    return tuple(weight(*shape) for shape in shapes)


def is_complex(out: Any) -> bool:
    return str(out.dtype).removeprefix("torch.").startswith("complex")


def weighted_sum(outputs: Any, make: Callable[[Any], Any] = np.asarray) -> Any:
    terms = [out * make(weight.astype(out.dtype)) for out, weight in zip(outputs, weights_for(outputs))]
    terms = [(np.real(term) if is_complex(term) else term).sum() for term in terms]
    return sum(terms[1:], terms[0])


def gradients(function: Callable[..., Any], args: list[Any], make: Callable[[Any], Any] = np.asarray) -> list[Any]:
    """Give the gradient of the weighted sum of the outputs for each Tensor among the arguments."""
    weighted_sum(several(function(*args)), make).backward()
    return [arg.grad for arg in args if isinstance(arg, Tensor)]


def calls_of(results: Any) -> list[Tensor]:
    """Give what the calls in the graphs of the results gave."""
    found, pending, seen = [], list(results), set()
    while pending:
        node = pending.pop()
        if isinstance(node, list | tuple):
            pending.extend(node)
        elif isinstance(node, Tensor) and node._function is not None and node._age not in seen:
            seen.add(node._age)
            found.append(node)
            pending.extend(node._args)
    return found


def kind_of(call: Tensor) -> Any:
    """Say which function is called, with which options; not with which shapes and axes."""
    of_any_value = "axis", "keepdims", "dtype", "n", "norm", "s", "axes"
    options = {k: v for k, v in (call._kwargs or {}).items() if k not in of_any_value}
    scalars = {k: v for k, v in options.items() if isinstance(v, bool | int | float | str)}
    return name_of(call._function), *sorted(options), *sorted(map(str, scalars.items()))


# How many arguments have a gradient, and the kinds of the calls that the function is made of.
KINDS_OF_CASES = {
    case.name: (
        sum(map(is_float, case.args)),
        frozenset(map(kind_of, calls_of(several(case.function(*tensors(case.args)))))),
    )
    for case in CASES
}
# For tests that take long: the first case of each kind, and a fifth of all, which have other shapes and axes.
FIRST = {KINDS_OF_CASES[case.name]: case for case in reversed(CASES)}
CHOSEN = [case for k, case in enumerate(CASES) if k % 5 == 0 or case is FIRST[KINDS_OF_CASES[case.name]]]


@every_case
def test_value_is_numpys(case: Case) -> None:
    expected = several((case.plain or case.function)(*case.args))
    actual = several(case.function(*tensors(case.args)))
    assert len(actual) == len(expected)
    for ours, numpys in zip(actual, expected):
        assert type(ours) is Tensor
        assert ours.dtype == numpys.dtype
        assert ours.shape == numpys.shape
        np.testing.assert_array_equal(ours.data, numpys)


@pytest.mark.together("case", [case for case in CASES if case.order], ids=str)
def test_gradient_is_that_of_central_differences(case: Case) -> None:
    check_gradients(case.function, *case.args, order=case.order, rtol=1e-5, atol=1e-6)


@every_case
def test_float32_stays_float32(case: Case) -> None:
    single = tuple(arg.astype(np.float32) if is_float(arg) else arg for arg in case.args)
    args = tensors(single)
    for ours, numpys in zip(several(case.function(*args)), several((case.plain or case.function)(*single))):
        assert ours.dtype == numpys.dtype
    actual = gradients(case.function, args)
    expected = gradients(case.function, tensors(case.args))
    for arg, gradient, double in zip(filter(is_float, single), actual, expected, strict=True):
        assert gradient.dtype == np.float32
        assert gradient.shape == arg.shape
        np.testing.assert_allclose(gradient, double, rtol=1e-3, atol=1e-4)


@every_case
def test_each_argument_alone_has_the_gradient_it_has_among_the_others(case: Case) -> None:
    positions = [k for k, arg in enumerate(case.args) if is_float(arg)]
    together = gradients(case.function, tensors(case.args))
    for position, expected in zip(positions, together, strict=True):
        for others in (lambda arg: arg, lambda arg: Tensor(arg, requires_grad=False)):
            args = [others(arg) if is_float(arg) else arg for arg in case.args]
            args[position] = Tensor(case.args[position])
            weighted_sum(several(case.function(*args))).backward()
            np.testing.assert_allclose(args[position].grad, expected, rtol=1e-13, atol=1e-15)


@every_case
def test_graph_of_the_gradient_changes_no_value(case: Case) -> None:
    plain = gradients(case.function, tensors(case.args))
    args = tensors(case.args)
    weighted_sum(several(case.function(*args))).backward(create_graph=True)
    for arg, gradient in zip((arg for arg in args if isinstance(arg, Tensor)), plain, strict=True):
        assert type(gradient) is not Tensor
        assert type(arg.grad) is Tensor
        assert arg.grad.dtype == gradient.dtype
        np.testing.assert_array_equal(arg.grad.data, gradient)


@pytest.mark.together("case", [case for case in CASES if case.torch is not None], ids=str)
@pytest.mark.together("dtype", [np.float64, np.float32])
def test_value_gradient_and_second_gradient_are_pytorchs(case: Case, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    case = replace(case, args=tuple(arg.astype(dtype) if is_float(arg) else arg for arg in case.args))
    function = getattr(torch, case.torch) if isinstance(case.torch, str) else lambda *args: case.torch(torch, *args)

    ours = tensors(case.args)
    outputs = several(case.function(*ours))
    variables = [arg for arg in ours if isinstance(arg, Tensor)]
    weighted_sum(outputs).backward(create_graph=True)
    first = [arg.grad for arg in variables]
    for arg in variables:
        arg.grad = None
    total = weighted_sum(first)
    if total.requires_grad:
        total.backward()
    second = [np.zeros(arg.shape) if arg.grad is None else arg.grad for arg in variables]

    theirs = [torch.tensor(arg, requires_grad=is_float(arg)) for arg in case.args]
    their_outputs = several(function(*theirs))
    their_variables = [arg for arg in theirs if arg.requires_grad]

    def weigh(results: Any) -> Any:
        weights = [torch.tensor(weight).to(out.dtype) for out, weight in zip(results, weights_for(results))]
        terms = [out * weight for out, weight in zip(results, weights)]
        return sum((term.real if is_complex(term) else term).sum() for term in terms)

    options: dict[str, Any] = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    their_first = torch.autograd.grad(weigh(their_outputs), their_variables, **options)
    their_total = weigh(their_first)
    their_second = [torch.zeros_like(arg) for arg in their_variables]
    if their_total.requires_grad:
        their_second = torch.autograd.grad(their_total, their_variables, **options)

    rtol, atol = (1e-9, 1e-12) if dtype == np.float64 else (2e-3, 1e-4)
    for what, mine, torchs in (
        ("value", [out.data for out in outputs], their_outputs),
        ("gradient", [g.data for g in first], their_first),
        ("second gradient", second, their_second),
    ):
        for a, b in zip(mine, torchs, strict=True):
            np.testing.assert_allclose(a, b.numpy(force=True), rtol=rtol, atol=atol, err_msg=what)


def functions_of(results: Any) -> set[Callable[..., Any]]:
    """Give all functions in the graphs of the results."""
    return {call._function for call in calls_of(results) if call._function is not None}


@every_case
def test_other_array_types_flow_through_the_rules(case: Case) -> None:
    args = tensors(case.args, lambda arg: Tensor(StrictArray(arg)))
    strict = gradients(case.function, args, StrictArray)
    for actual, expected in zip(strict, gradients(case.function, tensors(case.args)), strict=True):
        assert reveal(actual).dtype == expected.dtype
        assert reveal(actual).shape == expected.shape
        np.testing.assert_allclose(reveal(actual), expected, rtol=1e-12, atol=1e-14)
    args = tensors(case.args, lambda arg: Tensor(StrictArray(arg)))
    weighted_sum(several(case.function(*args)), StrictArray).backward(create_graph=True)
    for arg, actual in zip((arg for arg in args if isinstance(arg, Tensor)), strict, strict=True):
        np.testing.assert_array_equal(reveal(arg.grad.data), reveal(actual))


def test_every_rule_has_a_case() -> None:
    used: set[Any] = set()
    for case in CASES:
        used |= functions_of(several(case.function(*tensors(case.args))))
    # A primitive, and the function that it was made of, share what is known of them.
    used = {id(facts_of(function)) for function in used} | {id(facts_of(f)) for f in (alias, assignment, ad.checkpoint)}
    ours = ("numpy", "autodiff", "_operator")
    rules = {
        function: facts
        for function, facts in FACTS.items()
        if (facts.rules or function is pack)
        and (
            isinstance(getattr(function, "__self__", function), np.ufunc)
            or (getattr(function, "__module__", None) or "").partition(".")[0] in ours
        )
        # Tests of their own try what a singular normal is made of, and what calls a function of the user's.
        and name_of(function) not in ("inverse_within", "multivariate_normal.entropy", "odeint", "root", "fixed_point")
        # What takes the place of indexing where an array is lazy: tests of Dask's arrays go there.
        and getattr(function, "__module__", None) != "autodiff.arrays.lazy"
        # The ways into a batch and out of it are no functions of a user's: tests of batches go them.
        and not (getattr(function, "__module__", None) or "").startswith("autodiff.batching")
    }
    assert [function for function, facts in rules.items() if id(facts) not in used] == []
    assert {pick, pack, scatter_add, np.add, np.add.reduce, operator.getitem, np.stack} <= rules.keys()


@every_case
def test_results_lie_where_it_is_known_that_they_do(case: Case) -> None:
    for call in calls_of(several(case.function(*tensors(case.args)))):
        facts, array = facts_of(call._function), call._array
        if isinstance(array, np.ndarray) and array.size:
            values = [item for value in call._values for item in (value if type(value) is list else [value])]
            shows = any(isinstance(value, np.ndarray) and np.may_share_memory(array, value) for value in values)
            assert not (shows and facts.is_new), name_of(call._function)
            assert shows or not facts.is_view or not isinstance(values[0], np.ndarray), name_of(call._function)


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)


# Conventions at kinks and ties, which no difference quotient can settle


@pytest.mark.parametrize(
    ("function", "point", "expected"),
    [
        pytest.param(np.absolute, [0.0, -0.0, -3.0], [0, 0, -1], id="abs at 0"),
        pytest.param(lambda x: x.relu(), [0.0, -0.0, 2.0], [0, 0, 1], id="relu at 0"),
        pytest.param(np.sign, [0.0, 1.0], [0, 0], id="sign"),
        pytest.param(np.max, [3.0, 1.0, 3.0, 3.0], [1 / 3, 0, 1 / 3, 1 / 3], id="max shares evenly"),
        pytest.param(np.min, [1.0, 1.0, 3.0, 3.0], [1 / 2, 1 / 2, 0, 0], id="min shares evenly"),
        pytest.param(lambda x: np.maximum(x, 1.0), [1.0, 0.0, 2.0], [1 / 2, 0, 1], id="maximum, one half"),
        pytest.param(lambda x: np.minimum(1.0, x), [1.0, 0.0, 2.0], [1 / 2, 1, 0], id="minimum, one half"),
        pytest.param(lambda x: np.maximum(x, x), [1.0, -1.0], [1, 1], id="maximum with itself"),
        pytest.param(lambda x: np.clip(x, -1, 1), [-1.0, 1.0, 1.1, -2.0], [1, 1, 0, 0], id="clip on its bounds"),
        pytest.param(np.std, [2.0, 2.0, 2.0], [0, 0, 0], id="std of equal elements"),
        pytest.param(lambda x: x**0, [0.0, 2.0], [0, 0], id="x**0 at 0"),
        pytest.param(lambda x: x**1, [0.0, 2.0], [1, 1], id="x**1 at 0"),
        pytest.param(lambda x: 0.0**x, [1.0, 2.0], [0, 0], id="0**x"),
        pytest.param(lambda x: np.fmax(x, 1.0), [1.0, 0.0, np.nan], [1, 0, 0], id="fmax, the first"),
        pytest.param(lambda x: np.fmin(1.0, x), [1.0, 0.0, np.nan], [0, 1, 0], id="fmin, the first"),
        pytest.param(np.max, [1.0, np.nan, np.nan], [0, 1 / 2, 1 / 2], id="max of NaNs"),
        pytest.param(np.nanmax, [1.0, np.nan, 1.0], [1 / 2, 0, 1 / 2], id="nanmax shares evenly"),
        pytest.param(np.median, [2.0, 1.0, 2.0, 2.0], [1 / 2, 0, 1 / 2, 0], id="median, in stable order"),
        pytest.param(lambda x: np.logaddexp(x, -np.inf), [-np.inf, 0.0], [1 / 2, 1], id="logaddexp of -inf"),
        pytest.param(lambda x: np.arctan2(x, 0.0), [0.0, 2.0], [0, 0], id="arctan2 at the origin"),
        pytest.param(lambda x: np.copysign(x, -1.0), [0.0, 2.0], [0, -1], id="copysign at 0"),
        pytest.param(np.nanstd, [2.0, np.nan, 2.0], [0, 0, 0], id="nanstd of equal elements"),
        pytest.param(
            lambda x: np.hypot(x, 0.0),
            [0.0, -2.0],
            [np.nan, -1],
            id="hypot at 0",
            marks=pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
        ),
    ],
)
def test_convention(function: Callable[..., Any], point: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(ad.grad(lambda x: function(x).sum())(np.array(point)), expected)


def test_bounds_of_clip_take_the_gradient_of_what_they_limit() -> None:
    x, low, high = Tensor([-2.0, 0.0, 5.0, 7.0]), Tensor(-1.0), Tensor([1.0, 1.0, 1.0, 7.0])
    np.clip(x, low, high).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 1, 0, 1])
    assert low.grad == 1
    np.testing.assert_array_equal(high.grad, [0, 0, 1, 0])


# Masks: what they leave out is as if it were not there


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.together("values", [[0, 1, 2], [0, 1, np.nan], [-1, 2, np.inf], [-np.inf, np.inf, 0, np.nan]], ids=str)
@pytest.mark.together(
    ("function", "initial"),
    [
        *((f, None) for f in (np.sum, np.prod, np.mean, np.var, np.std, np.add.reduce, np.logaddexp.reduce)),
        *((f, None) for f in (np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.multiply.reduce)),
        *((f, 0.0) for f in (np.sum, np.prod, np.nanprod, np.logaddexp.reduce)),
        *((f, v) for f in (np.max, np.nanmax, np.min, np.nanmin) for v in (-9.0, 0.0, 1.0, np.inf, -np.inf)),
        *((f.reduce, v) for f in (np.maximum, np.fmax, np.minimum, np.fmin) for v in (-9.0, 1.0, np.inf)),
    ],
    ids=lambda value: name_of(value) if callable(value) else str(value),
)
def test_a_mask_leaves_elements_out(function: Callable[..., Any], initial: Any, values: list[float]) -> None:
    rng = np.random.default_rng(3)
    given = {} if initial is None else {"initial": initial}
    for _ in range(8):
        x, mask = rng.choice(np.array(values, float), (3, 4)), rng.random((3, 4)) > 0.4
        for row, chosen in zip(x, mask):
            if not chosen.any():
                continue
            masked, picked = Tensor(row), Tensor(row[chosen])
            value, expected = function(masked, axis=0, where=chosen, **given), function(picked, axis=0, **given)
            np.testing.assert_array_equal(value.data, expected.data)
            value.backward()
            expected.backward()
            np.testing.assert_array_equal(masked.grad[~chosen], 0)
            np.testing.assert_allclose(masked.grad[chosen], picked.grad, rtol=1e-14)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "nansum", "nanmean", "nanstd", "nanmax", "max"])
def test_where_nothing_is_left_nothing_comes_back(name: str) -> None:
    given = {"initial": 1.0} if name.endswith("max") else {}
    x = Tensor([1.0, np.nan])
    getattr(np, name)(x, where=False, **given).backward()
    np.testing.assert_array_equal(x.grad, [0, 0])
    if name.startswith("nan"):
        x = Tensor([np.nan, np.nan])
        getattr(np, name)(x).backward()
        np.testing.assert_array_equal(x.grad, [0, 0])


# Dtypes


@pytest.mark.parametrize("function", [np.add, np.multiply, np.power, np.maximum, np.logaddexp, np.matmul, np.dot])
def test_each_gradient_has_the_dtype_of_its_own_argument(function: Callable[..., Any]) -> None:
    x, y = Tensor(np.ones(3, np.float32)), Tensor(np.full(3, 2.0))
    function(x, y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize("number", [2, 0.5, True, np.float64(0.5), np.float32(0.5), np.int64(3)], ids=repr)
@pytest.mark.parametrize("operate", [operator.add, operator.mul, operator.truediv, operator.pow], ids=name_of)
def test_scalars_leave_float32_gradients_float32(operate: Callable[..., Any], number: Any) -> None:
    for call in (lambda x: operate(x, number), lambda x: operate(number, x)):
        x = Tensor(np.ones((2, 2), np.float32))
        y = call(x)
        assert y.dtype == call(x.data).dtype
        y.sum().backward()
        assert x.grad.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_every_floating_dtype(dtype: Any) -> None:
    x = Tensor(np.array([1.0, 2.0], dtype))
    (x * x).sum().backward()
    assert x.grad.dtype == dtype
    np.testing.assert_array_equal(x.grad, [2, 4])


def test_astype_gives_the_gradient_in_the_dtype_of_the_argument() -> None:
    x = Tensor(np.array([1.5, 2.5], np.float32))
    y = x.astype(np.float64)
    assert y.dtype == np.float64
    (y * np.pi).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, np.full(2, np.pi, np.float32))
    assert type(x.astype(int)) is np.ndarray


# What the rules refuse, because they would be wrong


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda x: np.clip(x, 0, 1, np.empty((3, 3))), id="clip with out by position"),
        pytest.param(lambda x: np.add.reduceat(x, [0, 2]), id="add.reduceat"),
        pytest.param(lambda x: np.quantile(x, 0.5, method="inverted_cdf", weights=x.data > 0), id="quantile, weights"),
        pytest.param(lambda x: np.add(x, 1, where=x > 0), id="add with where"),
        pytest.param(lambda x: np.where(x), id="where with one argument"),
    ],
)
def test_arguments_without_a_rule_are_refused_before_anything_is_computed(call: Callable[..., Any]) -> None:
    with pytest.raises(NotImplementedError, match=r"derivative|np\.where"):
        call(Tensor(np.arange(9.0).reshape(3, 3)))


@pytest.mark.parametrize("order", ["A", "K"])
def test_orders_that_depend_on_memory_have_no_gradient(order: Any) -> None:
    with pytest.raises(NotImplementedError, match=f'order="{order}"'):
        np.ravel(Tensor(np.asfortranarray(np.ones((2, 3)))), order=order)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_variance_of_a_single_element_has_no_finite_gradient() -> None:
    x = Tensor([1.0])
    np.var(x, ddof=1).backward()
    assert np.isnan(x.grad).all()
