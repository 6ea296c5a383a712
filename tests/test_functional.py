"""Functions of networks and losses: values, derivatives by differences and PyTorch's, and numbers of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.testing import check_gradients
from nn import functional

REDUCTIONS = ("mean", "sum", "none")
DTYPES = (np.float64, np.float32)
TOLERANCE = {np.float64: {"rtol": 1e-12, "atol": 1e-13}, np.float32: {"rtol": 2e-5, "atol": 2e-6}}


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def probabilities(*shape: int, seed: int = 1) -> Any:
    weights = np.random.default_rng(seed).uniform(0.1, 1, shape)
    return weights / weights.sum(axis=-1, keepdims=True)


def unit(*shape: int, seed: int = 2) -> Any:
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


@dataclass(frozen=True)
class Case:
    """A call: ours, the same in textbook NumPy, the same in PyTorch, and arguments; integer arrays are constants."""

    name: str
    call: Callable[..., Any]
    formula: Callable[..., Any]
    torch: Callable[..., Any]  # given the module torch first
    args: tuple[Any, ...]

    def __str__(self) -> str:
        return self.name


def naive_softmax(x: Any, axis: int = -1) -> Any:
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def naive_logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def reduced(losses: Any, reduction: str) -> Any:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def naive_cross_entropy(logits: Any, target: Any, reduction: str) -> Any:
    one_hot = np.eye(logits.shape[1], dtype=logits.dtype)[target] if target.ndim == 1 else target
    return reduced(-(one_hot * np.log(naive_softmax(logits))).sum(axis=1), reduction)


def naive_binary(logits: Any, target: Any, reduction: str) -> Any:
    p = 1 / (1 + np.exp(-logits))
    return reduced(-(target * np.log(p) + (1 - target) * np.log(1 - p)), reduction)


def linear_cases() -> Iterator[Case]:
    for shape in ((4,), (5, 4), (1, 4), (2, 3, 4), (0, 4)):
        for bias in (True, False):
            args = (normal(*shape), normal(4, 3, seed=1), *((normal(3, seed=2),) if bias else ()))
            yield Case(
                f"linear of {len(shape)} axes {shape} {'with' if bias else 'without'} bias",
                functional.linear,
                lambda x, W, b=0.0: x @ W + b,
                lambda torch, x, W, b=None: torch.nn.functional.linear(x, W.T, b),
                args,
            )


def activation_cases() -> Iterator[Case]:
    for shape in ((), (5,), (2, 3)):
        yield Case(
            f"sigmoid of {len(shape)} axes",
            functional.sigmoid,
            lambda x: 1 / (1 + np.exp(-x)),
            lambda torch, x: torch.sigmoid(x),
            (normal(*shape),),
        )
        yield Case(
            f"tanh of {len(shape)} axes", functional.tanh, np.tanh, lambda torch, x: torch.tanh(x), (normal(*shape),)
        )
        yield Case(
            f"relu of {len(shape)} axes",
            functional.relu,
            lambda x: np.where(x > 0, x, 0 * x),
            lambda torch, x: torch.relu(x),
            (normal(*shape),),
        )


def softmax_cases() -> Iterator[Case]:
    for shape, axis in (((3,), -1), ((2, 3), -1), ((2, 3), 0), ((2, 3, 2), 1), ((2, 1), -1)):
        yield Case(
            f"softmax {shape} axis {axis}",
            lambda x, axis=axis: functional.softmax(x, axis=axis),
            lambda x, axis=axis: naive_softmax(x, axis),
            lambda torch, x, axis=axis: torch.softmax(x, dim=axis),
            (normal(*shape),),
        )
        yield Case(
            f"log_softmax {shape} axis {axis}",
            lambda x, axis=axis: functional.log_softmax(x, axis=axis),
            lambda x, axis=axis: np.log(naive_softmax(x, axis)),
            lambda torch, x, axis=axis: torch.log_softmax(x, dim=axis),
            (normal(*shape),),
        )


def logsumexp_cases() -> Iterator[Case]:
    options: tuple[tuple[tuple[int, ...], Any], ...] = (
        ((4,), -1),
        ((4,), None),
        ((2, 3), 0),
        ((2, 3), -1),
        ((2, 3), None),
        ((2, 3, 2), 1),
        ((2, 3, 2), (0, 2)),
        ((2, 3, 2), (-1, 0)),
    )
    for shape, axis in options:
        dims = tuple(range(len(shape))) if axis is None else axis
        for keepdims in (False, True):
            yield Case(
                f"logsumexp {shape} axis {axis}{' keepdims' if keepdims else ''}",
                lambda x, axis=axis, keepdims=keepdims: functional.logsumexp(x, axis=axis, keepdims=keepdims),
                lambda x, axis=axis, keepdims=keepdims: naive_logsumexp(x, axis, keepdims),
                lambda torch, x, dims=dims, keepdims=keepdims: torch.logsumexp(x, dim=dims, keepdim=keepdims),
                (normal(*shape),),
            )


def loss_cases() -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for what, target in (
            ("labels", np.array([2, 0, 1, 2, 2])),
            ("small unsigned labels", np.array([2, 0, 1, 2, 2], np.uint8)),
            ("probabilities", probabilities(5, 3)),
            ("weights that do not sum to one", 3 * unit(5, 3)),
        ):
            yield Case(
                f"cross_entropy of {what}, {reduction}",
                lambda x, t, reduction=reduction: functional.cross_entropy(x, t, reduction=reduction),
                lambda x, t, reduction=reduction: naive_cross_entropy(x, t, reduction),
                lambda torch, x, t, reduction=reduction: torch.nn.functional.cross_entropy(x, t, reduction=reduction),
                (normal(5, 3), target),
            )
        for shape in ((), (4,), (3, 2)):
            yield Case(
                f"mse_loss {shape}, {reduction}",
                lambda x, t, reduction=reduction: functional.mse_loss(x, t, reduction=reduction),
                lambda x, t, reduction=reduction: reduced((x - t) ** 2, reduction),
                lambda torch, x, t, reduction=reduction: torch.nn.functional.mse_loss(x, t, reduction=reduction),
                (normal(*shape), normal(*shape, seed=3)),
            )
            yield Case(
                f"binary_cross_entropy_with_logits {shape}, {reduction}",
                lambda x, t, reduction=reduction: functional.binary_cross_entropy_with_logits(
                    x, t, reduction=reduction
                ),
                lambda x, t, reduction=reduction: naive_binary(x, t, reduction),
                lambda torch, x, t, reduction=reduction: torch.nn.functional.binary_cross_entropy_with_logits(
                    x, t, reduction=reduction
                ),
                (normal(*shape), unit(*shape)),
            )


CASES = [*linear_cases(), *activation_cases(), *softmax_cases(), *logsumexp_cases(), *loss_cases()]
every_case = pytest.mark.together("case", CASES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])


def converted(args: tuple[Any, ...], dtype: Any) -> list[Any]:
    return [np.asarray(arg, dtype) if np.asarray(arg).dtype.kind == "f" else arg for arg in args]


def tensors(args: list[Any]) -> list[Any]:
    return [ad.Tensor(arg) if arg.dtype.kind == "f" else arg for arg in args]


def weights_for(shape: tuple[int, ...], dtype: Any) -> Any:
    """Give fixed random numbers, so that errors in the elements of an output cannot cancel in its sum."""
    return np.random.default_rng(9).uniform(0.5, 1.5, shape).astype(dtype)


# Values and derivatives, over the table


@every_case
@every_dtype
def test_value_is_the_formulas(case: Case, dtype: Any) -> None:
    args = converted(case.args, dtype)
    expected = case.formula(*args)
    plain = case.call(*args)
    recorded = case.call(*tensors(args))
    assert not isinstance(plain, ad.Tensor)
    assert isinstance(recorded, ad.Tensor)
    assert recorded.requires_grad
    assert plain.dtype == recorded.dtype == dtype
    assert plain.shape == recorded.shape == expected.shape
    np.testing.assert_allclose(plain, expected, rtol=1e-12 if dtype == np.float64 else 1e-5, atol=1e-6)
    np.testing.assert_array_equal(plain, recorded.data)


@every_case
def test_gradient_is_that_of_central_differences(case: Case) -> None:
    check_gradients(case.call, *case.args, order=2)


@every_case
def test_graph_of_the_gradient_changes_no_value(case: Case) -> None:
    once, again = tensors(converted(case.args, np.float64)), tensors(converted(case.args, np.float64))
    case.call(*once).sum().backward()
    case.call(*again).sum().backward(create_graph=True)
    for x, y in zip(once, again):
        if isinstance(x, ad.Tensor):
            np.testing.assert_allclose(y.grad.data, x.grad, rtol=1e-14, atol=1e-15)


@every_case
@every_dtype
def test_value_and_gradients_are_pytorchs(case: Case, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    args = converted(case.args, dtype)
    ours = tensors(args)
    theirs = [
        torch.tensor(arg, requires_grad=True) if arg.dtype.kind == "f" else torch.tensor(arg).long() for arg in args
    ]
    out = case.call(*ours)
    torch_out = case.torch(torch, *theirs)
    np.testing.assert_allclose(out.data, torch_out.detach().numpy(), **TOLERANCE[dtype])

    ours = [x for x in ours if isinstance(x, ad.Tensor)]
    theirs = [x for x in theirs if x.requires_grad]
    weights = weights_for(out.shape, dtype)
    (out * weights).sum().backward(create_graph=True)
    first = torch.autograd.grad((torch_out * torch.tensor(weights)).sum(), theirs, create_graph=True)
    for x, expected in zip(ours, first):
        assert x.grad.dtype == dtype
        np.testing.assert_allclose(x.grad.data, expected.detach().numpy(), **TOLERANCE[dtype])

    # The gradient of a weighted sum of the gradients; PyTorch has none where the gradients are constant.
    first = [g for g in first if g.requires_grad]
    if not first:
        return
    gradients = [x.grad for x in ours]
    for x in ours:
        x.grad = None
    total = ad.Tensor(np.zeros((), dtype))
    torch_total = torch.zeros((), dtype=getattr(torch, np.dtype(dtype).name))
    for x, g in zip(ours, gradients):
        total = total + (g * weights_for(x.shape, dtype)).sum()
    for g in first:
        torch_total = torch_total + (g * torch.tensor(weights_for(tuple(g.shape), dtype))).sum()
    total.backward()
    second = torch.autograd.grad(torch_total, theirs, allow_unused=True)
    for x, expected in zip(ours, second):
        value = np.zeros(x.shape, dtype) if x.grad is None else x.grad
        reference = np.zeros(x.shape, dtype) if expected is None else expected.numpy()
        np.testing.assert_allclose(value, reference, **TOLERANCE[dtype])


# Linear


def test_linear_differentiates_only_what_wants_it() -> None:
    x, W, b = normal(5, 4), ad.Tensor(normal(4, 3)), ad.Tensor(normal(3))
    functional.linear(x, W, b).sum().backward()
    np.testing.assert_allclose(W.grad, x.T @ np.ones((5, 3)))
    np.testing.assert_array_equal(b.grad, [5, 5, 5])


def test_linear_takes_lists() -> None:
    np.testing.assert_array_equal(functional.linear([[1.0, 2.0]], np.eye(2), np.ones(2)), [[2, 3]])


# Kinks


def test_relu_at_its_kink_has_no_slope() -> None:
    x = ad.Tensor([-1.0, -0.0, 0.0, 1.0])
    functional.relu(x).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("name", "options", "kinks"),
    [
        ("relu", (), [0.0, -0.0]),
        ("leaky_relu", (0.1,), [0.0, -0.0]),
        ("elu", (0.5,), [0.0, -0.0]),
        ("hardtanh", (-1.0, 2.0), [-1.0, 2.0]),
        ("hardtanh", (2.0, 2.0), [1.0, 2.0, 3.0]),
        ("softplus", (2.0, 4.0), [1.999, 2.001]),
    ],
)
def test_values_and_derivatives_at_kinks_are_pytorchs(name: str, options: Any, kinks: list[float]) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(kinks, dtype=torch.float64, requires_grad=True)
    value = getattr(torch.nn.functional, name)(theirs, *options)
    (slope,) = torch.autograd.grad(value.sum(), theirs, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), theirs)
    expected = [one.detach().numpy() for one in (value, slope, bend)]
    found = derivatives(lambda x: getattr(functional, name)(x, *options), np.array(kinks))
    np.testing.assert_allclose(found, expected, rtol=1e-14 if name != "softplus" else 1e-12)


def derivatives(function: Callable[[Any], Any], x: Any) -> list[Any]:
    """Give the values of a function of each element, and its first and second derivatives."""
    x = ad.Tensor(x)
    value = function(x)
    value.backward(np.ones_like(value.data), create_graph=True)
    slope, x.grad = x.grad, None
    if not slope.requires_grad:
        return [value.data, slope.data, np.zeros_like(x.data)]
    slope.backward(np.ones_like(slope.data))
    return [value.data, slope.data, np.zeros_like(x.data) if x.grad is None else x.grad]


# Infinities, and numbers that are nearly that. Warnings are errors.

FAR = {np.float64: 1e200, np.float32: 1e20, np.float16: 3e4}


@pytest.mark.parametrize("dtype", FAR, ids=["float64", "float32", "float16"])
@pytest.mark.parametrize(
    ("function", "ends", "slopes"),
    [
        pytest.param(functional.relu, (0, None), (0, 1), id="relu"),
        pytest.param(functional.sigmoid, (0, 1), (0, 0), id="sigmoid"),
        pytest.param(functional.tanh, (-1, 1), (0, 0), id="tanh"),
        pytest.param(functional.hardtanh, (-1, 1), (0, 0), id="hardtanh"),
        pytest.param(lambda x: functional.leaky_relu(x, 0.5), (None, None), (0.5, 1), id="leaky_relu"),
        pytest.param(lambda x: functional.elu(x, 0.5), (-0.5, None), (0, 1), id="elu"),
        pytest.param(functional.gelu, (0, None), (0, 1), id="gelu"),
        pytest.param(lambda x: functional.gelu(x, "tanh"), (0, None), (0, 1), id="gelu by tanh"),
        pytest.param(functional.silu, (0, None), (0, 1), id="silu"),
        pytest.param(functional.softplus, (0, None), (0, 1), id="softplus"),
        pytest.param(lambda x: functional.softplus(x, 0.5, 6e4), (0, None), (0, 1), id="softplus of beta 1/2"),
        pytest.param(functional.log_sigmoid, (None, 0), (1, 0), id="log_sigmoid"),
    ],
)
def test_activations_far_out(function: Callable[[Any], Any], ends: Any, slopes: Any, dtype: Any) -> None:
    x = np.array([[-np.inf, -FAR[dtype]], [np.inf, FAR[dtype]]], dtype)
    for row, end, slope in zip(x, ends, slopes):
        found = derivatives(function, row)
        assert [one.dtype for one in found] == [dtype] * 3
        expected = [row * slope if end is None else np.full(2, end), np.full(2, slope), np.zeros(2)]
        np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-15)


def test_a_slope_of_zero_of_infinity_is_nan() -> None:
    with np.errstate(invalid="ignore"):
        assert np.isnan(functional.leaky_relu(-np.inf, 0.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_functions_keep_the_dtype(dtype: Any) -> None:
    x = unit(4, 3).astype(dtype)
    for name in ("elu", "gelu", "hardtanh", "leaky_relu", "log_sigmoid", "log_softmax", "logsumexp", "relu", "sigmoid",
                 "silu", "softmax", "softplus", "tanh"):  # fmt: skip
        t = ad.Tensor(x)
        out = getattr(functional, name)(t)
        out.sum().backward()
        assert out.dtype == t.grad.dtype == dtype, name
        np.testing.assert_allclose(out.data, getattr(functional, name)(unit(4, 3)), rtol=8 * np.finfo(dtype).eps)
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div",
                 "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"):  # fmt: skip
        t = ad.Tensor(x)
        out = getattr(functional, name)(t, unit(4, 3, seed=3).astype(dtype))
        out.backward()
        assert out.dtype == t.grad.dtype == dtype, name
        exact = getattr(functional, name)(unit(4, 3), unit(4, 3, seed=3))
        np.testing.assert_allclose(out.data, exact, rtol=8 * np.finfo(dtype).eps)


# Tails: the derivatives of log(1 + exp(x)) in terms of what is small there


def tails(x: Any) -> list[Any]:
    small = np.exp(-np.abs(x))
    part = small / (1 + small)
    return [np.maximum(x, 0) + np.log1p(small), np.where(x > 0, 1 - part, part), part / (1 + small)]


@every_dtype
@pytest.mark.parametrize(
    ("function", "scale", "weights"),
    [
        pytest.param(lambda x: -functional.log_sigmoid(x), 1, (1, 0), id="log_sigmoid"),
        pytest.param(lambda x: functional.softplus(x, 1, 1e6), 1, (0, 1), id="softplus"),
        pytest.param(lambda x: 2 * functional.softplus(x, 2, 1e6), 2, (0, 1), id="softplus of beta 2"),
        *(
            pytest.param(
                lambda x, t=t: functional.binary_cross_entropy_with_logits(x, [t] * len(x), reduction="none"),
                1, (t, 1 - t), id=f"binary_cross_entropy_with_logits of {t}",
            )
            for t in (0.0, 0.25, 1.0)
        ),
    ],
)  # fmt: skip
def test_derivatives_keep_their_relative_precision_in_the_tails(
    function: Callable[[Any], Any], scale: int, weights: Any, dtype: Any
) -> None:
    x = np.array([-80, -60, -40, -20, -17, -9, -5, -0.5, 0.5, 5, 9, 17, 20, 40, 60, 80])
    left, right = tails(-x), tails(x)
    signs = (1, -1, 1)
    found = derivatives(function, (x / scale).astype(dtype))
    for order in range(3):
        expected = scale**order * (weights[0] * signs[order] * left[order] + weights[1] * right[order])
        np.testing.assert_allclose(found[order], expected, rtol=16 * np.finfo(dtype).eps)


# Nothing


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(("shape", "axis"), [((0,), -1), ((3, 0), 1), ((0, 3), 0), ((3, 0), 0), ((2, 0, 3), 1)])
def test_softmax_of_nothing_is_empty(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    for function in (functional.softmax, functional.log_softmax):
        x = ad.Tensor(np.zeros(shape, dtype))
        out = function(x, axis)
        assert out.shape == shape
        assert out.dtype == dtype
        out.sum().backward()
        assert x.grad.shape == shape
    assert functional.softmax(np.zeros(shape, int), axis).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(("shape", "axis"), [((0,), -1), ((3, 0), 1), ((3, 0), 0), ((3, 0), None), ((2, 0, 3), (0, 1))])
def test_the_sum_of_no_exponentials_is_zero(shape: tuple[int, ...], axis: Any, dtype: Any) -> None:
    for keepdims in (False, True):
        x = ad.Tensor(np.zeros(shape, dtype))
        out = functional.logsumexp(x, axis, keepdims)
        assert out.dtype == dtype
        np.testing.assert_array_equal(out.data, np.full(np.sum(x.data, axis, keepdims=keepdims).shape, -np.inf))
        out.backward(np.ones_like(out.data))
        assert x.grad.shape == shape


# Large logits. Warnings are errors, so an overflow fails too.

LARGE = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [0.0, 1e4, -1e4]])


@every_dtype
@pytest.mark.parametrize(
    ("call", "value", "gradient"),
    [
        pytest.param(functional.sigmoid, [[1, 0, 0.5], [0, 0, 0], [1, 1, 1], [0.5, 1, 0]], None, id="sigmoid"),
        pytest.param(functional.tanh, [[1, -1, 0], [-1, -1, -1], [1, 1, 1], [0, 1, -1]], None, id="tanh"),
        pytest.param(
            functional.softmax, [[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3, [0, 1, 0]], np.zeros((4, 3)), id="softmax"
        ),
        pytest.param(
            functional.log_softmax,
            [[0, -2e4, -1e4], [-np.log(3)] * 3, [-np.log(3)] * 3, [-1e4, 0, -2e4]],
            [[-2, 1, 1], [0, 0, 0], [0, 0, 0], [1, -2, 1]],
            id="log_softmax",
        ),
        pytest.param(
            functional.logsumexp,
            [1e4, -1e4 + np.log(3), 1e4 + np.log(3), 1e4],
            [[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3, [0, 1, 0]],
            id="logsumexp",
        ),
        pytest.param(
            lambda x: functional.cross_entropy(x, np.array([1, 0, 2, 1]), reduction="none"),
            [2e4, np.log(3), np.log(3), 0],
            [[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, -2 / 3], [0, 0, 0]],
            id="cross_entropy of labels",
        ),
        pytest.param(
            lambda x: functional.cross_entropy(x, np.full((4, 3), 0.25, x.dtype) * [1, 2, 1], reduction="none"),
            [1.25e4, np.log(3), np.log(3), 0.75e4],
            [[0.75, -0.5, -0.25], [1 / 12, -1 / 6, 1 / 12], [1 / 12, -1 / 6, 1 / 12], [-0.25, 0.5, -0.25]],
            id="cross_entropy of probabilities",
        ),
        pytest.param(
            lambda x: functional.binary_cross_entropy_with_logits(x, np.ones((4, 3), x.dtype), reduction="none"),
            [[0, 1e4, np.log(2)], [1e4] * 3, [0] * 3, [np.log(2), 0, 1e4]],
            [[0, -1, -0.5], [-1, -1, -1], [0, 0, 0], [-0.5, 0, -1]],
            id="binary_cross_entropy_with_logits",
        ),
    ],
)
def test_large_logits(call: Callable[[Any], Any], value: Any, gradient: Any, dtype: Any) -> None:
    x = ad.Tensor(LARGE.astype(dtype))
    out = call(x)
    np.testing.assert_allclose(out.data, value, rtol=1e-6, atol=1e-6)
    out.sum().backward(create_graph=True)
    assert np.isfinite(x.grad.data).all()
    if gradient is not None:
        np.testing.assert_allclose(x.grad.data, gradient, atol=1e4 * np.finfo(dtype).eps)
    first, x.grad = x.grad, None
    (first * weights_for(first.shape, first.dtype)).sum().backward()
    assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_sigmoid_keeps_relative_precision_in_its_tail(reduction: str) -> None:
    x = np.array([-700.0, -40.0])
    np.testing.assert_allclose(functional.sigmoid(x), np.exp(x), rtol=1e-14)
    losses = functional.binary_cross_entropy_with_logits(x, np.zeros(2), reduction=reduction)
    np.testing.assert_allclose(losses, reduced(np.exp(x), reduction), rtol=1e-14)


# Infinities


def test_logsumexp_of_infinities() -> None:
    inf = np.inf
    x = np.array([[-inf, -inf], [-inf, 2.0], [inf, 1e4], [inf, -inf]])
    np.testing.assert_array_equal(functional.logsumexp(x), [-inf, 2, inf, inf])
    np.testing.assert_array_equal(functional.logsumexp(x[:2], axis=None), 2)


def test_gradient_of_logsumexp_of_minus_infinities() -> None:
    x = ad.Tensor([[-np.inf, -np.inf], [-np.inf, 2.0]])
    functional.logsumexp(x).sum().backward()
    np.testing.assert_array_equal(x.grad, [[0.5, 0.5], [0, 1]])


def test_gradient_of_logsumexp_beside_infinity() -> None:
    x = ad.Tensor([np.inf, 1.0])
    with np.errstate(invalid="ignore"):
        functional.logsumexp(x).backward()
    np.testing.assert_array_equal(x.grad, [np.nan, 0])


def test_classes_ruled_out_by_minus_infinity() -> None:
    x = ad.Tensor([[-np.inf, 0.0, 0.0]])
    np.testing.assert_allclose(functional.softmax(x).data, [[0, 0.5, 0.5]])
    np.testing.assert_allclose(functional.log_softmax(x).data, [[-np.inf, -np.log(2), -np.log(2)]])
    loss = functional.cross_entropy(x, np.array([1]))
    assert loss.item() == pytest.approx(np.log(2))
    loss.backward()
    np.testing.assert_allclose(x.grad, [[0, -0.5, 0.5]])


def test_cross_entropy_of_the_impossible_is_infinite() -> None:
    assert functional.cross_entropy(np.array([[-np.inf, 0.0]]), np.array([0])) == np.inf


@pytest.mark.parametrize(
    ("function", "value"),
    [pytest.param(functional.sigmoid, [0, 1], id="sigmoid"), pytest.param(functional.tanh, [-1, 1], id="tanh")],
)
def test_saturated_activations(function: Callable[[Any], Any], value: list[float]) -> None:
    x = ad.Tensor([-np.inf, np.inf])
    out = function(x)
    np.testing.assert_array_equal(out.data, value)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0])


@pytest.mark.parametrize(
    "function",
    [
        functional.sigmoid,
        functional.tanh,
        functional.relu,
        functional.logsumexp,
        functional.softmax,
        functional.log_softmax,
    ],
)
def test_nan_is_not_hidden(function: Callable[[Any], Any]) -> None:
    assert np.isnan(np.atleast_1d(function(np.array([np.nan, 1.0])))[0])


# Targets


def test_targets_that_are_tensors() -> None:
    logits = normal(4, 3)
    labels = np.array([0, 1, 2, 0])
    x = ad.Tensor(logits)
    loss = functional.cross_entropy(x, ad.Tensor(labels, requires_grad=False))
    assert loss.item() == functional.cross_entropy(logits, labels)
    loss.backward()
    np.testing.assert_allclose(x.grad, (naive_softmax(logits) - np.eye(3)[labels]) / 4, rtol=1e-12)


def test_gradient_reaches_the_target_alone() -> None:
    t = ad.Tensor(probabilities(2, 3))
    functional.cross_entropy(normal(2, 3), t, reduction="sum").backward()
    np.testing.assert_allclose(t.grad, -np.log(naive_softmax(normal(2, 3))), rtol=1e-12)


def test_lists_are_taken() -> None:
    assert functional.cross_entropy([[0.0, 0.0]], [1]) == pytest.approx(np.log(2))
    assert functional.mse_loss([1.0, 2.0], [1.0, 4.0]) == 2
    assert functional.binary_cross_entropy_with_logits([0.0], [1.0]) == pytest.approx(np.log(2))
    np.testing.assert_array_equal(functional.dropout([1.0, 2.0], p=0), [1, 2])


def test_defaults_are_the_mean_and_the_last_axis() -> None:
    x, t = normal(4, 3), np.array([0, 1, 2, 0])
    assert functional.cross_entropy(x, t) == functional.cross_entropy(x, t, reduction="mean")
    assert functional.mse_loss(x, 2 * x) == functional.mse_loss(x, 2 * x, reduction="mean")
    assert functional.binary_cross_entropy_with_logits(x, unit(4, 3)) == functional.binary_cross_entropy_with_logits(
        x, unit(4, 3), reduction="mean"
    )
    for function in (functional.softmax, functional.log_softmax, functional.logsumexp):
        np.testing.assert_array_equal(function(x), function(x, axis=-1))


# Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@every_dtype
def test_dropout(p: float, dtype: Any) -> None:
    x = np.full((200, 500), 3, dtype)
    out = functional.dropout(x, p, rng=0)
    assert out.dtype == dtype
    np.testing.assert_allclose(np.unique(out), [0, 3 / (1 - p)], rtol=1e-6)
    assert np.mean(out == 0) == pytest.approx(p, abs=0.01)
    np.testing.assert_array_equal(out, functional.dropout(x, p, rng=0))
    assert (out != functional.dropout(x, p, rng=1)).any()


def test_gradient_of_dropout_is_the_mask_it_drew() -> None:
    x = ad.Tensor(np.ones(100, np.float32))
    out = functional.dropout(x, 0.5, rng=0)
    out.sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad, out.data)
    check_gradients(lambda x: functional.dropout(x, 0.3, rng=0), normal(10), order=2)


@pytest.mark.parametrize(
    "keep",
    [
        pytest.param(lambda x: functional.dropout(x, 0.5, training=False), id="in evaluation"),
        pytest.param(lambda x: functional.dropout(x, 0.0), id="with probability zero"),
    ],
)
def test_dropout_that_drops_nothing(keep: Callable[[Any], Any]) -> None:
    x = ad.Tensor([1.0, 2.0])
    assert keep(x) is x


def test_dropout_of_integers() -> None:
    np.testing.assert_array_equal(np.unique(functional.dropout(np.ones(50, int), 0.5, rng=0)), [0.0, 2.0])


def test_dropout_advances_the_generator_it_is_given() -> None:
    rng = np.random.default_rng(0)
    x = np.ones(100)
    assert (functional.dropout(x, rng=rng) != functional.dropout(x, rng=rng)).any()


@pytest.mark.parametrize("logit", [10.0, 16.0, 20.0, 50.0])
def test_binary_cross_entropy_of_confident_predictions_keeps_its_precision(logit: float) -> None:
    for sign, target in ((1, 1.0), (-1, 0.0)):
        x = np.array([sign * logit], np.float32)
        loss = functional.binary_cross_entropy_with_logits(x, np.array([target], np.float32))
        np.testing.assert_allclose(loss, np.exp(-logit), rtol=1e-4)
