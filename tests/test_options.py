"""Options of NumPy's functions: at its default each is no option, and what stays refused is refused by name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.arrays.options import without_defaults
from autodiff.core.rule import FACTS, facts_of, name_of
from autodiff.core.tape import arguments
from tests.cases import CASES
from tests.cases.points import parts
from tests.test_formulas import calls_behind
from tests.test_numpy_functions import FUNCTIONS, has_rule
from tests.test_rules import several, tensors, weighted_sum

Function = Callable[..., Any]

UFUNC: dict[str, Any] = {
    "casting": "same_kind", "order": "K", "dtype": None, "subok": True, "signature": None, "out": None,
}  # fmt: skip
GENERALIZED: dict[str, Any] = {"axes": np._NoValue, "axis": np._NoValue, "keepdims": False}
# Told by `inspect.signature` only since NumPy 2.4: how many arguments are needed, and the options
TOLD_LATE: dict[Any, tuple[int, dict[str, Any]]] = {
    np.concatenate: (1, {"axis": 0, "out": None, "dtype": None, "casting": "same_kind"}),
    np.dot: (2, {"out": None}),
    np.bincount: (1, {"weights": None, "minlength": 0}),
    np.where: (3, {}),
    np.inner: (2, {}),
    np.vdot: (2, {}),
}
METHODS: dict[str, dict[str, Any]] = {
    "reduce": {
        "axis": 0, "dtype": None, "out": None, "keepdims": False, "initial": np._NoValue, "where": True,
    },
    "accumulate": {"axis": 0, "dtype": None, "out": None},
    "outer": UFUNC | {"where": True},
}  # fmt: skip


def options_of(function: Function) -> dict[str, Any]:
    """Give the options of a function and their defaults, from NumPy's own signature where there is one."""
    if isinstance(function, np.ufunc):
        options = UFUNC | {"out": (None,) * function.nout}
        return options | GENERALIZED if function.signature else options | {"where": True}
    if isinstance(getattr(function, "__self__", None), np.ufunc):
        return METHODS[function.__name__]
    if function in TOLD_LATE:
        return TOLD_LATE[function][1]
    parameters = inspect.signature(function).parameters.values()
    given = {p.name: p.default for p in parameters if p.default is not p.empty and p.kind is not p.POSITIONAL_ONLY}
    # What these two take besides is hidden behind a ``**kwargs``.
    hidden = {np.clip: UFUNC | {"where": True}, np.einsum: {"dtype": None, "order": "K", "casting": "safe"}}
    return hidden.get(function, {}) | given


WITH_RULES: dict[str, Function] = {
    name: function
    for name, function in FUNCTIONS.items()
    if has_rule(function) and not facts_of(function).recorded_as  # which is called with the same options
}
for _ufunc in (np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp):
    WITH_RULES[f"{_ufunc.__name__}.reduce"] = _ufunc.reduce
for _ufunc in (np.add, np.multiply):
    WITH_RULES[f"{_ufunc.__name__}.accumulate"] = _ufunc.accumulate
for _ufunc in (np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum, np.hypot, np.arctan2):
    WITH_RULES[f"{_ufunc.__name__}.outer"] = _ufunc.outer
WITH_RULES["logaddexp.outer"] = np.logaddexp.outer

# Which cannot be walked, and why.
NOT_WALKED = {
    ("clip", "a_min"): "np.clip cannot do without both",
    ("clip", "a_max"): "np.clip cannot do without both",
    ("bincount", "weights"): "only the weights have a gradient",
}


def calls() -> dict[Function, list[tuple[tuple[Any, ...], dict[str, Any]]]]:
    """Give the calls of each function that the cases make, Tensors in place of what is differentiated."""
    found: dict[Function, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
    listed = {of.variadic[1]: (of.variadic[0], function) for function, of in FACTS.items() if of.variadic}
    for case in CASES:
        for call in calls_behind(several(case.function(*tensors(case.args)))):
            function, args = call._function, arguments(call)
            if function in listed:
                first, function = listed[function]
                args = (*args[:first], *args[first])
            found.setdefault(function, []).append((args, dict(call._kwargs)))
    return found


CALLS = calls()


def anew(arg: Any, leaves: list[Tensor]) -> Any:
    """Put leaves of their own in place of Tensors."""
    if isinstance(arg, Tensor):
        leaves.append(Tensor(arg.data))
        return leaves[-1]
    return type(arg)(anew(one, leaves) for one in arg) if type(arg) in (list, tuple) else arg


def results(function: Function, args: Any, kwargs: dict[str, Any]) -> Iterator[Any]:
    """Give the values of a call and its gradients."""
    leaves: list[Tensor] = []
    outputs = several(function(*anew(args, leaves), **kwargs))
    floats = [one for one in outputs if isinstance(one, Tensor) and one.dtype.kind in "fc"]
    weighted_sum(floats).backward()
    yield from (one.data for one in outputs)
    yield from (leaf.grad for leaf in leaves)


def by_keyword(function: Function, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Give all options of a call by keyword."""
    if isinstance(function, np.ufunc) or hasattr(function, "__self__"):
        return args, kwargs
    if function in TOLD_LATE:
        needed, names = TOLD_LATE[function][0], list(TOLD_LATE[function][1])
    else:
        parameters = list(inspect.signature(function).parameters.values())
        needed = sum(p.kind <= p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in parameters)
        names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][needed:]
        needed = len(args) if any(p.kind is p.VAR_POSITIONAL for p in parameters) else needed
    return args[:needed], dict(zip(names, args[needed:])) | kwargs


PAIRS = [(name, option) for name, function in WITH_RULES.items() for option in options_of(function)]


@pytest.mark.together(("name", "option"), PAIRS, ids=lambda value: value)
def test_at_its_default_it_changes_nothing(name: str, option: str) -> None:
    function = WITH_RULES[name]
    default = options_of(function)[option]
    for args, kwargs in CALLS[function]:
        args, kwargs = by_keyword(function, args, kwargs)
        kwargs = {key: value for key, value in kwargs.items() if key != option}
        try:
            expected = list(results(function, args, kwargs))
        except (TypeError, ValueError, IndexError):
            continue  # the call needs the option
        for actual, wanted in zip(results(function, args, kwargs | {option: default}), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
            np.testing.assert_array_equal(*(np.signbit(parts(np.asarray(one))) for one in (actual, wanted)))
            assert np.asarray(actual).dtype == np.asarray(wanted).dtype
        assert (name, option) not in NOT_WALKED
        return
    assert (name, option) in NOT_WALKED, "no case can do without the option"


def test_positions_at_their_defaults() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3))
    for call, short in (
        (lambda x: np.sum(x, None, None), np.sum),
        (lambda x: np.sum(x, 1, None, None, True), lambda x: np.sum(x, axis=1, keepdims=True)),
        (lambda x: np.max(x, 0, None, np._NoValue, np._NoValue), lambda x: np.max(x, 0)),
        (lambda x: np.round(x, 1, None), lambda x: np.round(x, 1)),
        (lambda x: np.dot(x, np.ones(3), None), lambda x: np.dot(x, np.ones(3))),
        (lambda x: np.concatenate([x, x], 0, None), lambda x: np.concatenate([x, x])),
        (lambda x: np.quantile(x, 0.5, None, None, False), lambda x: np.quantile(x, 0.5)),
        (lambda x: np.add.reduce(x, 1, None, None, True), lambda x: np.add.reduce(x, axis=1, keepdims=True)),
    ):
        for actual, wanted in zip(results(call, (x,), {}), results(short, (x,), {}), strict=True):
            np.testing.assert_array_equal(actual, wanted)


def test_only_the_default_itself_is_left_out() -> None:
    def function(x: Any, a: float = 0.0, b: int = 1, c: Any = None) -> None: ...

    array = np.array([None, None])
    for kwargs, kept in (
        ({"a": 0.0, "b": 1, "c": None}, []),
        ({"a": -0.0, "b": True, "c": array}, ["a", "b", "c"]),
        ({"a": 0, "b": 1.0, "c": False}, ["a", "b", "c"]),
        ({"a": np.float64(0), "d": None}, ["a", "d"]),
    ):
        args, left = without_defaults(function, (1,), kwargs, 1)
        assert args == (1,)
        assert list(left) == kept
    args, left = without_defaults(function, (1, -1.0, 1, array), {}, 1)
    assert (args, list(left)) == ((1,), ["a", "c"])
    assert without_defaults(function, (1, 2, 3, 4, 5), {}, 1) == ((1, 2, 3, 4, 5), {})  # more than it takes


# What stays refused: the reason, and the options of each function

REFUSED: dict[str, str] = {
    "writes into an array": """
        median(overwrite_input) nanmedian(overwrite_input) quantile(overwrite_input) percentile(overwrite_input)
        nanquantile(overwrite_input) nanpercentile(overwrite_input) nan_to_num(copy)
    """,
    "gives a subclass of an array, which no Tensor holds": "broadcast_to(subok) broadcast_arrays(subok) copy(subok)",
    "converts its operands, and arranges its result in memory": "einsum(dtype,order,casting)",
    "is for arrays with fields": "sort(order) partition(order)",
    "cuts off small singular values, which the rule of a full-rank inverse does not": "linalg.pinv(rcond,rtol)",
    "reads one triangle only: eigh does that too": "linalg.pinv(hermitian) linalg.svd(hermitian)",
    "picks elements by sums of weights, which needs a sort that is written by hand": """
        quantile(weights) percentile(weights) nanquantile(weights) nanpercentile(weights)
    """,
    "asks for a different rule for each number of NaNs": "nanquantile(method) nanpercentile(method)",
}
# With where= they leave memory as it was found; the others change the dtype or the place in memory.
REFUSED_OF_UFUNCS = ("where", "dtype", "casting", "order", "subok", "signature", "axes")
RESPELLED = {("clip", "min"), ("clip", "max")}


def refused() -> set[tuple[str, str]]:
    found = set()
    for names in REFUSED.values():
        for name, options in re.findall(r"(\S+)\((\S+)\)", names):
            found |= {(name, option) for option in options.split(",")}
    for name, function in WITH_RULES.items():
        if isinstance(function, np.ufunc) or name == "clip" or name.endswith(".outer"):
            found |= {(name, option) for option in REFUSED_OF_UFUNCS if option in options_of(function)}
    return (
        found
        | {(name, "keepdims") for name in ("matmul", "vecdot", "matvec", "vecmat") if name in WITH_RULES}
        | {(name, "axis") for name in ("matmul", "matvec", "vecmat") if name in WITH_RULES}
    )


def test_what_the_rules_do_not_know_is_listed() -> None:
    unknown = set()
    for name, function in WITH_RULES.items():
        variadic = facts_of(function).variadic
        known = facts_of(variadic[1] if variadic else function).keywords
        unknown |= {(name, option) for option in options_of(function) if option not in known and option != "out"}
    assert unknown - RESPELLED == {pair for pair in refused() if pair[0] in WITH_RULES}


@pytest.mark.together(("name", "option"), sorted(refused()), ids=lambda value: value)
def test_what_is_refused_is_named_with_a_way_out(name: str, option: str) -> None:
    function = WITH_RULES[name]
    args, kwargs = CALLS[function][0]
    call = function
    if isinstance(function, np.ufunc):  # of which NumPy checks some options before anything else

        def call(*args: Any, **kwargs: Any) -> Any:
            return Tensor(1.0).__array_ufunc__(function, "__call__", *args, **kwargs)

    with pytest.raises(NotImplementedError) as raised:
        call(*args, **kwargs | {option: "another"})
    message = str(raised.value)
    assert message.startswith(f"{name_of(function)} with {option}= has no derivative rule: ")
    assert re.search(r"np\.where|astype|x\.data", message)


# What is refused for its value, or for the shape that it goes with

A = np.random.default_rng(0).standard_normal((3, 4)) + 2
SQUARE = A[:, :3]
LINE = A.ravel()
REFUSED_VALUES: list[tuple[str, Function, Any]] = [
    ("pad, empty", lambda x: np.pad(x, 0, mode="empty"), A),
    ("pad, a function", lambda x: np.pad(x, 0, mode=lambda *line: None), A),
    *(
        (f"pad, odd {mode}", lambda x, mode=mode: np.pad(x, 1, mode=mode, reflect_type="odd"), A)
        for mode in ("reflect", "symmetric")
    ),
    *((f"svd of {x.shape}", np.linalg.svd, x) for x in (A, A.T)),
    ("qr, complete and tall", lambda x: np.linalg.qr(x, "complete"), A.T),
    *((f"qr of {x.shape}, raw", lambda x: np.linalg.qr(x, mode="raw"), x) for x in (A, A.T, SQUARE)),
    ("lstsq, rcond", lambda x: np.linalg.lstsq(x, np.ones(3), 1e-3), A),
    ("lstsq, rcond by keyword", lambda x: np.linalg.lstsq(x, np.ones(3), rcond=-1), A),
    ("lstsq, the vector", lambda x: np.linalg.lstsq(SQUARE, x, rcond=1e-3), LINE[:3]),
    *((f"ravel, {order}", lambda x, order=order: np.ravel(x, order), A) for order in "AK"),
    *((f"flatten, {order}", lambda x, order=order: x.flatten(order), A) for order in "AK"),
    ("reshape, A", lambda x: np.reshape(x, (4, 3), "A"), A),
    ("reshape, A by method", lambda x: x.reshape(4, 3, order="A"), A),
    ("cross of two and three", lambda x: np.cross(SQUARE, x, axisb=0), A[:2, :3]),
    ("cross of three and two", lambda x: np.cross(x, SQUARE[:, :2]), SQUARE),
    ("quantile, weights", lambda x: np.quantile(x, 0.3, weights=A, method="inverted_cdf"), A),
    ("nanquantile, method", lambda x: np.nanquantile(x, 0.3, method="hazen"), A),
    ("pinv, rcond", lambda x: np.linalg.pinv(x, rcond=1e-3), A),
    ("pinv, hermitian", lambda x: np.linalg.pinv(x, hermitian=True), SQUARE),
    ("einsum, order", lambda x: np.einsum("ij->ji", x, order="F"), A),
    ("clip, where", lambda x: np.clip(x, 1, 2, where=A > -9), A),
    ("exp, casting", lambda x: np.exp(x, casting="no"), A),
]  # fmt: skip


@pytest.mark.parametrize(("call", "x"), [pytest.param(*rest, id=name) for name, *rest in REFUSED_VALUES])
@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
def test_what_has_no_derivative_is_refused_at_the_call(call: Function, x: Any) -> None:
    with pytest.raises(NotImplementedError, match="has no derivative rule"):
        call(Tensor(x))
    with ad.no_grad():
        forward = call(Tensor(x))
    wanted = several(call(x))
    for outputs in (forward, call(Tensor(x, requires_grad=False))):
        for actual, expected in zip(several(outputs), wanted, strict=True):
            assert not actual.requires_grad
            np.testing.assert_array_equal(actual.data, expected)


def test_where_a_tensor_would_be_written_into_it_is_refused_without_gradients_too() -> None:
    x = Tensor(LINE.copy())
    for call in (
        lambda: np.median(x, overwrite_input=True), lambda: np.nan_to_num(x, copy=False),
        lambda: np.quantile(x, 0.5, overwrite_input=True),
    ):  # fmt: skip
        with ad.no_grad(), pytest.raises(NotImplementedError, match="has no derivative rule"):
            call()
    np.testing.assert_array_equal(x.data, LINE)


METHODS_OF_QUANTILES = (
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
)  # fmt: skip
# Of each option that is chosen from a list, every value
VALUES: list[tuple[str, Function, tuple[Any, ...]]] = [
    ("pad", lambda x, mode: np.pad(x, 1, mode=mode), (
        "constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap",
        "empty",
    )),
    ("take", lambda x, mode: np.take(x, [0, 2], mode=mode), ("raise", "wrap", "clip")),
    ("choose", lambda x, mode: np.choose([[0], [1]], [x[0], x[1]], mode=mode), ("raise", "wrap", "clip")),
    ("convolve", lambda x, mode: np.convolve(x[0], [1.0, 2.0], mode), ("full", "same", "valid", 0, 1, 2)),
    ("correlate", lambda x, mode: np.correlate(x[0], [1.0, 2.0], mode), ("full", "same", "valid", 0, 1, 2)),
    ("qr", np.linalg.qr, ("reduced", "complete", "r", "raw")),
    ("svd", np.linalg.svd, (True, False)),
    ("eigh", lambda x, uplo: np.linalg.eigh(x[:, :3], uplo), ("L", "U", "l", "u")),
    ("eigvalsh", lambda x, uplo: np.linalg.eigvalsh(x[:, :3], uplo), ("L", "U", "l", "u")),
    ("cond", lambda x, p: np.linalg.cond(x[:, :3], p), (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
    ("norm", np.linalg.norm, (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)),
    ("vector norm", lambda x, p: np.linalg.norm(x[0], p), (None, 0, 1, -1, 2, -2, 3, 0.5, -3, np.inf, -np.inf)),
    ("reshape", lambda x, order: np.reshape(x, (-1, 1), order=order), "CFA"),
    ("ravel", np.ravel, "CFAK"),
    ("copy", np.copy, "CFAK"),
    ("sort", lambda x, kind: np.sort(x, kind=kind), ("quicksort", "stable", "heapsort", "mergesort")),
    ("quantile", lambda x, method: np.quantile(x, 0.3, method=method), METHODS_OF_QUANTILES),
    ("percentile", lambda x, method: np.percentile(x, 30, axis=0, method=method), METHODS_OF_QUANTILES),
    ("meshgrid", lambda x, indexing: np.meshgrid(x[0], x[1], indexing=indexing), ("xy", "ij")),
    ("gradient", lambda x, edge_order: np.gradient(x, edge_order=edge_order), (1, 2)),
    ("einsum", lambda x, way: np.einsum("ij,kj->ik", x, x, optimize=way), (True, False, "greedy", "optimal")),
    ("interp", lambda x, period: np.interp(x, [0.0, 1.0, 3.0], [1.0, 2.0, 5.0], period=period), (None, 4.0, -4.0)),
    ("unwrap", lambda x, period: np.unwrap(3 * x, period=period), (3.0, 6.0)),
    ("cov", lambda x, ddof: np.cov(x, ddof=ddof), (None, 0, 1, 2)),
    ("pinv", lambda x, rtol: np.linalg.pinv(x, rtol=rtol), (None, 1e-3)),
]  # fmt: skip


@pytest.mark.together(
    ("call", "value"),
    [pytest.param(call, value, id=f"{name} {value}") for name, call, values in VALUES for value in values],
)
def test_a_value_of_an_option_that_is_not_refused_at_the_call_has_a_gradient(call: Function, value: Any) -> None:
    for x in (A, SQUARE):
        leaf = Tensor(x)
        try:
            outputs = several(call(leaf, value))
        except NotImplementedError:
            continue
        weighted_sum([one for one in outputs if isinstance(one, Tensor) and one.dtype.kind == "f"]).backward()
        assert leaf.grad.shape == x.shape


def test_out_is_refused_by_name() -> None:
    x, buffer = Tensor(np.ones(3)), np.empty(3)
    for call in (
        lambda: np.exp(x, out=buffer), lambda: np.cumsum(x, out=buffer), lambda: np.add.reduce(x, out=buffer[0:1]),
        lambda: np.concatenate([x], out=buffer),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"out= cannot be used with a Tensor"):
            call()


def test_a_deprecated_alias_has_the_options_of_its_name() -> None:
    if not hasattr(np, "row_stack"):
        return
    x = Tensor(np.ones(3, np.float32))
    with pytest.warns(DeprecationWarning, match="row_stack"):
        y = np.row_stack([x, x], dtype=None, casting="same_kind")
    with pytest.warns(DeprecationWarning, match="row_stack"):
        z = np.row_stack([x, 2 * x], dtype=np.float64, casting="same_kind")
    (y.sum() * z.sum()).backward()
    assert (y.dtype, z.dtype, x.grad.dtype) == (np.float32, np.float64, np.float32)
    np.testing.assert_array_equal(x.grad, [2 * 9 + 3 * 6] * 3)
