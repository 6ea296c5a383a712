"""Losses over their grid of options: values and gradients are PyTorch's, second derivatives those of differences."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.testing import check_gradients
from nn import functional

REDUCTIONS = ("mean", "sum", "none")
DTYPES = (np.float64, np.float32)
TOLERANCE = {np.float64: {"rtol": 1e-11, "atol": 1e-13}, np.float32: {"rtol": 3e-5, "atol": 3e-6}}

rng = np.random.default_rng(0)
LOGITS = rng.normal(size=(6, 4))
LOG_P = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
LABELS = np.array([2, 0, 1, 3, 3, 2])
PROBABILITIES = np.exp(LOG_P[::-1])
CLASS_WEIGHTS = np.array([0.5, 2.0, 0.0, 1.25])
WEIGHTS = rng.uniform(0.5, 2, (6, 4))
PREDICTIONS = rng.normal(size=(6, 4)) * 2
TARGETS = rng.normal(size=(6, 4))
UNIT = rng.uniform(0.05, 0.95, (6, 4))
COUNTS = rng.poisson(2, (6, 4)).astype(float)
VARIANCES = rng.uniform(0.1, 2, (6, 4))

Options = dict[str, Any]


def grid(**choices: tuple[Any, ...]) -> Iterator[Options]:
    """Give every combination of options."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def cases() -> Iterator[Any]:
    """Give the name of a loss, its arguments that are differentiated by, its constants and its options."""

    def case(name: str, variables: tuple[Any, ...], constants: tuple[Any, ...], options: Options) -> Any:
        described = [
            f"{key}={value.shape if isinstance(value, np.ndarray) else value}" for key, value in options.items()
        ]
        kinds = " ".join(str(value.dtype) for value in (*variables, *constants))
        return pytest.param(name, variables, constants, options, id=f"{name} {kinds} {' '.join(described)}")

    for options in grid(reduction=REDUCTIONS, weight=(None, CLASS_WEIGHTS), ignore_index=(-100, 3)):
        for smoothing in (0.0, 0.3, 1.0):
            yield case("cross_entropy", (LOGITS,), (LABELS,), {**options, "label_smoothing": smoothing})
        yield case("nll_loss", (LOG_P,), (LABELS,), options)
    for options in grid(reduction=REDUCTIONS, weight=(None, CLASS_WEIGHTS), label_smoothing=(0.0, 0.3)):
        yield case("cross_entropy", (LOGITS, PROBABILITIES), (), options)
    for options in grid(reduction=REDUCTIONS, weight=(None, WEIGHTS)):
        yield case("mse_loss", (PREDICTIONS, TARGETS), (), options)
        yield case("l1_loss", (PREDICTIONS, TARGETS), (), options)
        for delta in (0.5, 1.0, 3):
            yield case("huber_loss", (PREDICTIONS, TARGETS), (), {**options, "delta": delta})
    for options in grid(reduction=REDUCTIONS, beta=(0, 0.5, 1.0)):
        yield case("smooth_l1_loss", (PREDICTIONS, TARGETS), (), options)
    for options in grid(reduction=REDUCTIONS, weight=(None, WEIGHTS, WEIGHTS[0], WEIGHTS[:, :1])):
        yield case("binary_cross_entropy", (UNIT, UNIT[::-1].copy()), (), options)
        for pos_weight in (None, CLASS_WEIGHTS):
            yield case("binary_cross_entropy_with_logits", (LOGITS, UNIT), (), {**options, "pos_weight": pos_weight})
    for reduction in (*REDUCTIONS, "batchmean"):
        yield case("kl_div", (LOG_P, PROBABILITIES), (), {"reduction": reduction})
        yield case("kl_div", (LOG_P, LOG_P[::-1].copy()), (), {"reduction": reduction, "log_target": True})
    for options in grid(reduction=REDUCTIONS, full=(False, True), eps=(1e-6, 0.5)):
        for var in (VARIANCES, VARIANCES[:, :1].copy(), VARIANCES[:, 0].copy()):
            yield case("gaussian_nll_loss", (PREDICTIONS, TARGETS, var), (), options)
    for options in grid(reduction=REDUCTIONS, full=(False, True)):
        yield case("poisson_nll_loss", (PREDICTIONS, COUNTS + 0.25), (), options)
        for eps in (1e-8, 0.1):
            yield case("poisson_nll_loss", (UNIT, COUNTS + 0.25), (), {**options, "log_input": False, "eps": eps})


every_case = pytest.mark.together(("name", "variables", "constants", "options"), list(cases()))
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])


@pytest.mark.filterwarnings("ignore:reduction:UserWarning")  # PyTorch's, of the mean of kl_div
@every_case
@every_dtype
def test_value_and_gradients_are_pytorchs(
    name: str, variables: Any, constants: Any, options: Options, dtype: Any
) -> None:
    torch = pytest.importorskip("torch")
    ours = [ad.Tensor(x.astype(dtype)) for x in variables]
    theirs = [torch.tensor(x.astype(dtype), requires_grad=True) for x in variables]
    arrays = {key: x.astype(dtype) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    tensors = {key: torch.tensor(x) if isinstance(x, np.ndarray) else x for key, x in arrays.items()}
    out = getattr(functional, name)(*ours, *constants, **arrays)
    expected = getattr(torch.nn.functional, name)(*theirs, *map(torch.tensor, constants), **tensors)
    assert out.dtype == dtype
    assert out.shape == tuple(expected.shape)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), **TOLERANCE[dtype])

    plain = getattr(functional, name)(*(x.data for x in ours), *constants, **arrays)
    assert not isinstance(plain, ad.Tensor)
    np.testing.assert_array_equal(plain, out.data)

    weights = np.random.default_rng(9).uniform(0.5, 1.5, out.shape).astype(dtype)
    (out * weights).sum().backward()
    gradients = torch.autograd.grad((expected * torch.tensor(weights)).sum(), theirs)
    for x, gradient in zip(ours, gradients, strict=True):
        assert x.grad.dtype == dtype
        np.testing.assert_allclose(x.grad, gradient.numpy(), **TOLERANCE[dtype])


@pytest.mark.together(
    ("name", "variables", "constants", "options"),
    [case for case in cases() if case.values[3]["reduction"] == "none" and case.values[3].get("eps") != 0.5],
)
def test_gradients_to_second_order_are_those_of_differences(
    name: str, variables: Any, constants: Any, options: Options
) -> None:
    rows = [x[:2] for x in (*variables, *constants)]
    options = {key: x[:2] if np.shape(x)[:1] == (6,) else x for key, x in options.items()}
    check_gradients(lambda *args: getattr(functional, name)(*args, **options), *rows, order=2)


# Large logits. Warnings are errors, so an overflow fails too.

LARGE = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [0.0, 1e4, -1e4]])
LARGE_LABELS = np.array([1, 0, 2, 1])


@every_dtype
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda x: functional.cross_entropy(x, LARGE_LABELS, label_smoothing=0.1), id="smoothed"),
        pytest.param(lambda x: functional.cross_entropy(x, LARGE_LABELS, CLASS_WEIGHTS[1:]), id="weighted"),
        pytest.param(lambda x: functional.cross_entropy(x, LARGE_LABELS, ignore_index=1), id="ignored"),
        pytest.param(lambda x: functional.nll_loss(functional.log_softmax(x), LARGE_LABELS), id="nll_loss"),
        pytest.param(
            lambda x: functional.binary_cross_entropy_with_logits(
                x, np.full((4, 3), 0.25, x.dtype), pos_weight=np.array([1, 2, 3]), weight=2
            ),
            id="binary_cross_entropy_with_logits",
        ),
        pytest.param(
            lambda x: functional.binary_cross_entropy(functional.sigmoid(x), np.eye(4, 3)), id="binary_cross_entropy"
        ),
        pytest.param(
            lambda x: functional.kl_div(functional.log_softmax(x), np.full((4, 3), 1 / 3, x.dtype)), id="kl_div"
        ),
        pytest.param(lambda x: functional.mse_loss(x, -x.data), id="mse_loss"),
        pytest.param(lambda x: functional.l1_loss(x, -x.data), id="l1_loss"),
        pytest.param(lambda x: functional.huber_loss(x, -x.data), id="huber_loss"),
        pytest.param(lambda x: functional.smooth_l1_loss(x, -x.data), id="smooth_l1_loss"),
        pytest.param(lambda x: functional.gaussian_nll_loss(x, -x.data, 0), id="gaussian_nll_loss"),
        pytest.param(lambda x: functional.poisson_nll_loss(-np.absolute(x), np.ones((4, 3))), id="poisson_nll_loss"),
    ],
)
def test_large_numbers_give_finite_losses_and_gradients(call: Callable[[Any], Any], dtype: Any) -> None:
    x = ad.Tensor(LARGE.astype(dtype))
    loss = call(x)
    assert loss.shape == ()
    assert np.isfinite(loss.data)
    loss.backward()
    assert x.grad.dtype == dtype
    assert np.isfinite(x.grad).all()


# The ends of domains


@every_dtype
def test_binary_cross_entropy_at_the_ends_is_pytorchs(dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    p = np.array([0, 0, 0, 1, 1, 1, 1e-30, 1e-13, 1 - 1e-7], dtype)
    t = np.array([0, 1, 0.5, 0, 1, 0.5, 0.25, 0.25, 0.25], dtype)
    ours, theirs = ad.Tensor(p), torch.tensor(p, requires_grad=True)
    losses = functional.binary_cross_entropy(ours, t, reduction="none")
    expected = torch.nn.functional.binary_cross_entropy(theirs, torch.tensor(t), reduction="none")
    np.testing.assert_allclose(losses.data, expected.detach().numpy(), rtol=1e-6)
    losses.sum().backward()
    expected.sum().backward()
    slope = theirs.grad.numpy()
    slope[[0, 4]] = 1, -1  # PyTorch takes the 0/0 of an end that is right as 0
    np.testing.assert_allclose(ours.grad, slope, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_probabilities_of_0_and_1_that_are_right_have_the_derivatives_of_the_logarithm(dtype: Any) -> None:
    slope = ad.grad(lambda p: functional.binary_cross_entropy(p, np.array([0, 1], dtype), reduction="sum"))
    p = np.array([0, 1], dtype)
    np.testing.assert_array_equal(slope(p), [1, -1])
    np.testing.assert_array_equal(ad.grad(lambda p: slope(p).sum())(p), [1, 1])
    wrong = ad.grad(lambda p: functional.binary_cross_entropy(p, np.array([1, 0], dtype), reduction="sum"))
    assert np.isfinite(wrong(p)).all()


def test_binary_cross_entropy_is_differentiated_by_the_target_at_the_ends() -> None:
    t = ad.Tensor([0.5, 0.5])
    functional.binary_cross_entropy(np.array([0.0, 1.0]), t, reduction="sum").backward()
    np.testing.assert_allclose(t.grad, [100, -100])


def test_bounds_of_huber_have_the_slope_of_both_sides() -> None:
    x = ad.Tensor([-2.0, -1.0, -0.0, 1.0, 2.0])
    functional.huber_loss(x, np.zeros(5), reduction="sum").backward()
    np.testing.assert_array_equal(x.grad, [-1, -1, 0, 1, 1])


def test_variances_below_eps_get_the_gradient_at_eps() -> None:
    torch = pytest.importorskip("torch")
    v = np.array([0.0, 1e-9, 2.0])
    ours, theirs = ad.Tensor(v), torch.tensor(v, requires_grad=True)
    means, targets = np.ones(3), np.array([1.0, 2.0, 3.0])
    functional.gaussian_nll_loss(means, targets, ours).backward()
    torch.nn.functional.gaussian_nll_loss(torch.tensor(means), torch.tensor(targets), theirs).backward()
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-12)


# Nothing of an infinity

INF = np.inf
RULED_OUT = np.array([[0.0, -INF, 1.0], [0.0, -INF, -INF]])
ONE = np.log1p(np.e)  # the cross-entropy of the first class of the logits 0 and 1
IS_FIRST = np.array([[1.0, 0.0, 0.0]] * 2)
FIRST_OF_TWO = np.array([[-1 / (1 + 1 / np.e), 0, 1 / (1 + 1 / np.e)], [0, 0, 0]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(
    ("call", "x", "value", "slope"),
    [
        pytest.param(
            lambda x: functional.cross_entropy(x, IS_FIRST.astype(x.dtype), reduction="none"),
            RULED_OUT, [ONE, 0], FIRST_OF_TWO, id="cross_entropy of probabilities",
        ),
        pytest.param(
            lambda x: functional.cross_entropy(x, [0, 0], reduction="none"),
            RULED_OUT, [ONE, 0], FIRST_OF_TWO, id="cross_entropy of labels",
        ),
        pytest.param(
            lambda x: functional.cross_entropy(x, [0, 1], [1, 0, 1], reduction="none"),
            RULED_OUT, [ONE, 0], FIRST_OF_TWO, id="cross_entropy with a weight of 0",
        ),
        pytest.param(
            lambda x: functional.cross_entropy(x, [0, 1], ignore_index=1, reduction="none"),
            RULED_OUT, [ONE, 0], FIRST_OF_TWO, id="cross_entropy without a row",
        ),
        pytest.param(
            lambda x: functional.nll_loss(x, [2, 0], reduction="none"),
            RULED_OUT, [-1, 0], [[0, 0, -1], [-1, 0, 0]], id="nll_loss",
        ),
        pytest.param(
            lambda x: functional.nll_loss(x, [1, 1], [1, 0, 1], reduction="none"),
            RULED_OUT, [0, 0], np.zeros((2, 3)), id="nll_loss with a weight of 0",
        ),
        pytest.param(
            lambda x: functional.binary_cross_entropy_with_logits(x, [1, 0, 0, 1, 0.5], reduction="none"),
            np.array([INF, -INF, INF, -INF, INF]), [0, 0, INF, INF, INF], [0, 0, 1, -1, 0.5],
            id="binary_cross_entropy_with_logits",
        ),
        pytest.param(
            lambda x: functional.binary_cross_entropy_with_logits(
                x, [1, 1], [0, 1], pos_weight=[1, 0], reduction="none"
            ),
            np.array([-INF, -INF]), [0, 0], [0, 0], id="binary_cross_entropy_with_logits with weights of 0",
        ),
        pytest.param(
            lambda x: functional.kl_div(x, [0, 1, 0.5, 0], reduction="none"),
            np.array([-INF, 0, -INF, 3]), [0, 0, INF, 0], [0, -1, -0.5, 0], id="kl_div",
        ),
        pytest.param(
            lambda x: functional.kl_div(x, [-INF, 0, 0, -INF], log_target=True, reduction="none"),
            np.array([-INF, 0, -INF, 3]), [0, 0, INF, 0], [0, -1, -1, 0], id="kl_div of logarithms",
        ),
        pytest.param(
            lambda x: functional.poisson_nll_loss(x, [0, 1, 0], reduction="none"),
            np.array([-INF, -INF, 0]), [0, INF, 1], [0, -1, 1], id="poisson_nll_loss",
        ),
        pytest.param(
            lambda x: functional.poisson_nll_loss(x, [0, 0], log_input=False, eps=0, reduction="none"),
            np.array([0.0, 2.0]), [0, 2], [1, 1], id="poisson_nll_loss of rates",
        ),
    ],
)  # fmt: skip
def test_nothing_of_an_infinity_is_nothing(
    call: Callable[[Any], Any], x: Any, value: Any, slope: Any, dtype: Any
) -> None:
    x = ad.Tensor(x.astype(dtype))
    losses = call(x)
    tolerance = {"rtol": 4 * float(np.finfo(dtype).eps), "atol": float(np.finfo(dtype).eps)}
    assert losses.dtype == dtype
    np.testing.assert_allclose(losses.data, value, **tolerance)
    losses.sum().backward(create_graph=True)
    np.testing.assert_allclose(x.grad.data, slope, **tolerance)
    first, x.grad = x.grad, None
    if first.requires_grad:
        (first * first.data).sum().backward()
        assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_nothing_of_an_infinity_is_nothing_in_a_compiled_step(backend: Any) -> None:
    if backend == "numba":
        pytest.importorskip("numba")

    def losses(x: Any) -> Any:
        return (
            functional.cross_entropy(x, IS_FIRST)
            + functional.cross_entropy(x, [0, 1], [1.0, 0.0, 1.0])
            + functional.kl_div(x, IS_FIRST)
            + functional.kl_div(x, np.where(IS_FIRST, 0, -INF), log_target=True)
            + functional.binary_cross_entropy_with_logits(x, np.where(RULED_OUT == -INF, 0, 0.5))
        )

    def step(x: Any) -> Any:
        return ad.value_and_grad(losses)(x)

    compiled = ad.compile(step, backend=backend)
    value, slope = step(RULED_OUT)
    assert np.isfinite(value)
    for _ in range(2):
        found = compiled(RULED_OUT)
        np.testing.assert_allclose(found[0], value, rtol=1e-12)
        np.testing.assert_allclose(found[1], slope, rtol=1e-12, atol=1e-15)


def test_targets_of_minus_infinity_have_no_slope() -> None:
    t = ad.Tensor([-INF, 0.0])
    functional.kl_div(np.array([-INF, -1.0]), t, log_target=True, reduction="sum").backward(create_graph=True)
    np.testing.assert_array_equal(t.grad.data, [0, 2])
    first, t.grad = t.grad, None
    first.sum().backward()
    np.testing.assert_array_equal(t.grad, [0, 3])


def test_targets_of_zero_cost_nothing() -> None:
    t = ad.Tensor([0.0, 1.0])
    loss = functional.kl_div(np.log([0.25, 0.5]), t, reduction="none")
    np.testing.assert_allclose(loss.data, [0, np.log(2)])
    loss.sum().backward()
    np.testing.assert_allclose(t.grad, [np.log(4), 1 + np.log(2)])
    counts = ad.Tensor([0.0, 1.0, 3.0])
    loss = functional.poisson_nll_loss(np.zeros(3), counts, full=True, reduction="none")
    np.testing.assert_allclose(loss.data, [1, 1, 1 + 3 * np.log(3) - 3 + np.log(6 * np.pi) / 2])
    loss.sum().backward()
    np.testing.assert_allclose(counts.grad, [0, 0, np.log(3) + 1 / 6])


def test_an_exponential_rate_may_be_infinite() -> None:
    with np.errstate(over="ignore"):
        assert functional.poisson_nll_loss(np.array([1e4]), np.array([1.0])) == np.inf


def test_rows_that_are_left_out_change_nothing() -> None:
    kept = LABELS != 3
    for reduction in ("mean", "sum"):
        assert functional.cross_entropy(LOGITS, LABELS, ignore_index=3, reduction=reduction) == pytest.approx(
            functional.cross_entropy(LOGITS[kept], LABELS[kept], reduction=reduction)
        )
    x = ad.Tensor(LOGITS)
    functional.cross_entropy(x, np.full(6, -1), ignore_index=-1, reduction="sum").backward()
    np.testing.assert_array_equal(x.grad, np.zeros((6, 4)))
    with np.errstate(invalid="ignore"):
        assert np.isnan(functional.nll_loss(LOG_P, np.full(6, -1), ignore_index=-1))


def test_the_plain_case_of_cross_entropy_is_one_call() -> None:
    for options in ({}, {"label_smoothing": 0.0}, {"label_smoothing": 0}):
        loss = functional.cross_entropy(ad.Tensor(LOGITS), LABELS, **options)
        assert "call=cross_entropy" in repr(loss)


# Shapes


@pytest.mark.parametrize("shape", [(3,), (5, 3, 2), (4, 3, 2, 2), (1, 3, 1), (2, 2, 3, 1, 2)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_further_axes_are_pytorchs(shape: tuple[int, ...], weighted: bool, reduction: Any) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    axis = min(1, len(shape) - 1)
    logits = rng.normal(size=shape)
    log_p = functional.log_softmax(logits, axis)
    labels = np.array(rng.integers(0, shape[axis], np.delete(shape, axis)))
    labels.flat[0] = 0
    probabilities = np.exp(functional.log_softmax(rng.normal(size=shape), axis))
    weight = rng.uniform(0.5, 2, shape[axis]) if weighted else None
    calls: list[tuple[str, Any, Any, Options]] = [
        ("cross_entropy", logits, probabilities, {"label_smoothing": share}) for share in (0.0, 0.3)
    ]
    for ignore_index in (-1, 1):
        calls.append(("nll_loss", log_p, labels, {"ignore_index": ignore_index}))
        for share in (0.0, 0.3):
            options = {"ignore_index": ignore_index, "label_smoothing": share}
            calls.append(("cross_entropy", logits, labels, options))
    for name, x, target, options in calls:
        ours, theirs = ad.Tensor(x), torch.tensor(x, requires_grad=True)
        loss = getattr(functional, name)(ours, target, weight, reduction=reduction, **options)
        expected = getattr(torch.nn.functional, name)(
            theirs,
            torch.tensor(target),
            None if weight is None else torch.tensor(weight),
            reduction=reduction,
            **options,
        )
        assert loss.shape == tuple(expected.shape)
        np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=1e-11)
        seed = rng.normal(size=loss.shape)
        loss.backward(seed)
        expected.backward(torch.tensor(seed))
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_gradients_of_further_axes_are_those_of_differences() -> None:
    x, labels = rng.normal(size=(2, 3, 2)), np.array([[0, 2], [1, 1]])
    check_gradients(lambda x: functional.cross_entropy(x, labels, ignore_index=1), x, order=2)
    check_gradients(functional.cross_entropy, x[0, :, 0], np.array([0.25, 0.25, 0.5]), order=2)
    check_gradients(lambda x: functional.nll_loss(x, 2), x[0, :, 0], order=2)


@pytest.mark.parametrize(
    ("shape", "target", "var"),
    [
        ((4, 3), (4, 1), (4, 3)),
        ((4, 3), (1, 3), (4, 1)),
        ((4, 3), (), (4,)),
        ((4, 1), (4, 3), (4, 1)),
        ((1, 3), (4, 3), (1, 3)),
        ((2, 4, 3), (2, 1, 3), (1, 4, 3)),
        ((2, 4, 3), (2, 4, 3), (2, 4)),
        ((), (), ()),
    ],
)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gaussian_nll_loss_broadcasts_as_pytorchs(
    shape: tuple[int, ...], target: tuple[int, ...], var: tuple[int, ...], reduction: Any
) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=shape), rng.normal(size=target), rng.uniform(0.5, 2, var)]
    ours, theirs = [ad.Tensor(x) for x in arrays], [torch.tensor(x, requires_grad=True) for x in arrays]
    loss = functional.gaussian_nll_loss(*ours, reduction=reduction)
    expected = torch.nn.functional.gaussian_nll_loss(*theirs, reduction=reduction)
    assert loss.shape == tuple(expected.shape)
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=1e-12)
    loss.sum().backward()
    expected.sum().backward()
    for x, y in zip(ours, theirs):
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 0)])
def test_no_rows_have_no_losses(shape: tuple[int, ...]) -> None:
    labels = np.zeros((shape[0], *shape[2:]), int)
    for name in ("cross_entropy", "nll_loss"):
        for weight in (None, [1, 2, 3]):
            x = ad.Tensor(np.zeros(shape))
            loss = getattr(functional, name)(x, labels, weight, reduction="none")
            assert loss.shape == labels.shape
            loss.sum().backward()
            assert x.grad.shape == shape
            assert getattr(functional, name)(x, labels, weight, reduction="sum").item() == 0


# Dtypes


@pytest.mark.parametrize(
    ("call", "like"),
    [
        pytest.param(lambda x, t: functional.mse_loss(x, t), [1, 0], id="mse_loss"),
        pytest.param(lambda x, t: functional.l1_loss(x, t), [1, 0], id="l1_loss"),
        pytest.param(lambda x, t: functional.huber_loss(x, t), [1, 0], id="huber_loss"),
        pytest.param(lambda x, t: functional.binary_cross_entropy(x, t), [1, 0], id="binary_cross_entropy"),
        pytest.param(lambda x, t: functional.binary_cross_entropy_with_logits(x, t), [1, 0], id="with_logits"),
        pytest.param(lambda x, t: functional.kl_div(x, t), [1, 0], id="kl_div"),
        pytest.param(lambda x, t: functional.gaussian_nll_loss(x, t, 1), [1, 0], id="gaussian_nll_loss"),
        pytest.param(lambda x, t: functional.poisson_nll_loss(x, t), [1, 0], id="poisson_nll_loss"),
        pytest.param(lambda x, t: functional.cross_entropy(x[None], t), [[1, 0]], id="cross_entropy"),
        pytest.param(lambda x, t: functional.cross_entropy(x[None], [0], t), [1, 0], id="class weights"),
        pytest.param(lambda x, t: functional.mse_loss(x, x, weight=t), [1, 0], id="element weights"),
    ],
)
def test_targets_and_weights_take_the_dtype_of_the_predictions(call: Callable[[Any, Any], Any], like: Any) -> None:
    x = np.array([0.25, 0.5], np.float32)
    reference = call(x, np.array(like, np.float32))
    assert reference.dtype == np.float32
    kinds = (like, np.array(like), np.array(like, float).tolist(), np.array(like, float), np.array(like, bool))
    for target in (*kinds, ad.Tensor(np.array(like, float), requires_grad=False)):
        loss = call(ad.Tensor(x), target)
        assert loss.dtype == np.float32
        np.testing.assert_array_equal(loss.data, reference)


def test_a_target_of_another_dtype_gets_a_gradient_in_its_own() -> None:
    x, target = ad.Tensor(np.float32([0.25, 0.5])), ad.Tensor([1.0, 0.0])
    loss = functional.mse_loss(x, target)
    loss.backward()
    assert (loss.dtype, x.grad.dtype, target.grad.dtype) == (np.float32, np.float32, np.float64)
    np.testing.assert_array_equal(target.grad, -x.grad)


@pytest.mark.parametrize("logits", [LOGITS[:, :2], LOGITS], ids=["two classes", "four classes"])
def test_boolean_labels_are_0_and_1(logits: Any) -> None:
    labels = LABELS > 1
    for name, x in (("cross_entropy", ad.Tensor(logits)), ("nll_loss", ad.Tensor(logits))):
        loss = getattr(functional, name)
        expected = loss(logits, labels.astype(int))
        for target in (labels, labels.tolist(), ad.Tensor(labels, requires_grad=False)):
            assert loss(x, target).item() == expected


@pytest.mark.parametrize(
    "call",
    [
        functional.mse_loss,
        functional.l1_loss,
        functional.huber_loss,
        functional.smooth_l1_loss,
        functional.binary_cross_entropy,
        functional.binary_cross_entropy_with_logits,
        functional.kl_div,
        functional.poisson_nll_loss,
        lambda x, t: functional.gaussian_nll_loss(x, t, t),
        lambda x, t: functional.binary_cross_entropy_with_logits(x, t, t, pos_weight=t),
        lambda x, t: functional.mse_loss(x, t, weight=t),
    ],
)
def test_booleans_are_numbers_beside_integers(call: Callable[[Any, Any], Any]) -> None:
    assert call([0, 1], [True, False]) == call([0.0, 1.0], [1.0, 0.0])


@pytest.mark.parametrize(
    "loss",
    [
        functional.cross_entropy,
        lambda x, t: functional.cross_entropy(x, t, [2, 2, 2]),
        lambda x, t: functional.cross_entropy(x, t, label_smoothing=0.5),
        lambda x, t: functional.cross_entropy(x, t, ignore_index=-1),
        lambda x, t: functional.cross_entropy(x, np.full(x.shape, 1 / 3, np.float16)),
        lambda x, t: functional.nll_loss(functional.log_softmax(x), t),
        lambda x, t: functional.nll_loss(functional.log_softmax(x), t, ignore_index=-1),
    ],
)
def test_a_mean_of_float16_may_have_a_sum_that_has_none(loss: Callable[[Any, Any], Any]) -> None:
    assert loss(np.zeros((70_000, 3), np.float16), np.zeros(70_000, int)) == pytest.approx(np.log(3), rel=1e-3)


def test_class_weights_of_integer_logits_are_not_rounded() -> None:
    x = np.array([[1, 2], [3, 1]])
    weights = np.array([0.5, 0.25])
    assert functional.cross_entropy(x, [0, 1], weights) == functional.cross_entropy(x.astype(float), [0, 1], weights)


def test_element_weights_can_be_learned() -> None:
    w = ad.Tensor(WEIGHTS[:, :1])
    functional.binary_cross_entropy_with_logits(LOGITS, UNIT, w, reduction="sum").backward()
    losses = functional.binary_cross_entropy_with_logits(LOGITS, UNIT, reduction="none")
    np.testing.assert_allclose(w.grad, losses.sum(axis=1, keepdims=True))


def test_a_batch_mean_of_a_scalar_is_the_scalar() -> None:
    assert functional.kl_div(-1.0, 1.0, reduction="batchmean") == 1
