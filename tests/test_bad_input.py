"""Mistakes that users make: each gets an exception of the standard type, whose message says what is wrong with what."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import functional

x = ad.Tensor(np.ones((2, 3)))
LOGITS = np.zeros((4, 3))
REDUCTIONS = "mean, sum, none"


def refuse(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    """Assert that a call raises an exception of exactly this type, with this text in its message."""
    with pytest.raises(error, match=re.escape(message)) as caught:
        call()
    assert caught.type is error


# Shapes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: x + np.ones(2), "add of shapes (2, 3) and (2,)", id="+"),
        pytest.param(lambda: np.ones(2) - x, "subtract of shapes (2,) and (2, 3)", id="- reflected"),
        pytest.param(lambda: x * x.T, "multiply of shapes (2, 3) and (3, 2)", id="*"),
        pytest.param(lambda: x / ad.Tensor(np.ones(4)), "divide of shapes (2, 3) and (4,)", id="/"),
        pytest.param(lambda: x ** np.ones(2), "power of shapes (2, 3) and (2,)", id="**"),
        pytest.param(lambda: x @ x, "matmul of shapes (2, 3) and (2, 3)", id="@"),
        pytest.param(lambda: np.ones(4) @ x, "matmul of shapes (4,) and (2, 3)", id="@ reflected"),
        pytest.param(lambda: x @ np.ones(2), "matmul of shapes (2, 3) and (2,)", id="matrix @ vector"),
        pytest.param(lambda: np.add(x, np.ones(2)), "add of shapes (2, 3) and (2,)", id="np.add"),
        pytest.param(lambda: np.multiply(np.ones(2), x), "multiply of shapes (2,) and (2, 3)", id="np.multiply"),
        pytest.param(lambda: np.maximum(x, np.ones(2)), "maximum of shapes (2, 3) and (2,)", id="np.maximum"),
        pytest.param(lambda: np.logaddexp(x, np.ones(2)), "logaddexp of shapes (2, 3) and (2,)", id="np.logaddexp"),
        pytest.param(lambda: np.matmul(x, x), "matmul of shapes (2, 3) and (2, 3)", id="np.matmul"),
        pytest.param(lambda: np.dot(x, x), "dot of shapes (2, 3) and (2, 3)", id="np.dot"),
        pytest.param(lambda: np.concatenate([x, x.T]), "concatenate of shapes (2, 3) and (3, 2)", id="np.concatenate"),
        pytest.param(lambda: np.stack([x, x.T]), "stack of shapes (2, 3) and (3, 2)", id="np.stack"),
        pytest.param(lambda: np.where(np.ones(2, bool), x, 0), "where of shapes (2,) and (2, 3)", id="np.where"),
        pytest.param(lambda: np.reshape(x, (4, 2)), "reshape of shapes (2, 3)", id="np.reshape"),
        pytest.param(lambda: np.broadcast_to(x, (3, 3)), "broadcast_to of shapes (2, 3)", id="np.broadcast_to"),
        pytest.param(
            lambda: nn.Linear(4, 2)(np.ones((5, 3), np.float32)),
            "x of shape (5, 3) needs a weight of shape (3, out) and a bias of shape (out,), got (4, 2) and (2,)",
            id="Linear",
        ),
        pytest.param(
            lambda: nn.Linear(4, 2)(x),
            "linear: x of shape (2, 3) needs a weight of shape (3, out)",
            id="Linear of a Tensor",
        ),
        pytest.param(
            lambda: nn.MLP([4, 2, 1])(np.ones(3, np.float32)),
            "linear: x of shape (3,) needs a weight of shape (3, out) and a bias of shape (out,), got (4, 2) and (2,)",
            id="MLP of one row",
        ),
        pytest.param(
            lambda: nn.Linear(1, 2, bias=False)(np.float32(1)),
            "linear: x of shape () needs a weight of shape (in, out) and a bias of shape (out,), got (1, 2) and None",
            id="Linear of a scalar",
        ),
        pytest.param(
            lambda: functional.linear(np.ones((5, 4)), np.ones((4, 2)), np.ones(3)),
            "got (4, 2) and (3,)",
            id="linear with a bias that does not fit",
        ),
        pytest.param(
            lambda: functional.linear(np.ones((5, 4)), np.ones((4, 2)), np.ones((1, 2))),
            "got (4, 2) and (1, 2)",
            id="linear with a bias of two axes",
        ),
        pytest.param(
            lambda: functional.linear(np.ones((5, 4)), np.ones(4)),
            "got (4,) and None",
            id="linear with a vector of weights",
        ),
        pytest.param(
            lambda: functional.mse_loss(x, np.ones(3)),
            "mse_loss: prediction and target must have the same shape, got (2, 3) and (3,)",
            id="mse_loss, which would broadcast",
        ),
        pytest.param(
            lambda: functional.mse_loss(np.ones((2, 1)), np.ones(2)),
            "mse_loss: prediction and target must have the same shape, got (2, 1) and (2,)",
            id="mse_loss of a column and a row",
        ),
        pytest.param(
            lambda: functional.binary_cross_entropy_with_logits(x, np.ones((2, 1))),
            "binary_cross_entropy_with_logits: prediction and target must have the same shape, got (2, 3) and (2, 1)",
            id="binary_cross_entropy_with_logits",
        ),
        pytest.param(
            lambda: functional.cross_entropy(np.zeros(3), np.array([0, 1, 2])),
            "cross_entropy: logits of shape (3,) need labels of shape () or probabilities of shape (3,), got (3,), "
            "integers; one logit for each row needs binary_cross_entropy_with_logits, and numbers need mse_loss",
            id="cross_entropy of one logit a row",
        ),
        pytest.param(
            lambda: functional.cross_entropy(np.zeros(3), np.array([0.0, 1.0, 1.0])),
            "cross_entropy: the probabilities of the 3 classes of one row must sum to 1, got 2.0; one logit for each "
            "row needs binary_cross_entropy_with_logits, and numbers need mse_loss",
            id="cross_entropy of one logit a row and floats",
        ),
        pytest.param(
            lambda: functional.cross_entropy(1.0, 0),
            "cross_entropy: logits must have the shape (N, C), (N, C, d1, ...) or (C,), C not 0, got ()",
            id="cross_entropy of a scalar",
        ),
        pytest.param(
            lambda: functional.cross_entropy(np.zeros((2, 3, 4)), np.zeros((2, 3), int)),
            "cross_entropy: logits of shape (2, 3, 4) need labels of shape (2, 4), got (2, 3)",
            id="cross_entropy of further axes",
        ),
        pytest.param(
            lambda: functional.nll_loss(np.zeros((2, 3, 4)), np.zeros((2, 3, 4))),
            "nll_loss: the target must be labels of shape (2, 4), got (2, 3, 4); for probabilities use",
            id="nll_loss of further axes",
        ),
        pytest.param(
            lambda: functional.gaussian_nll_loss(x, np.ones(3), 1),
            "gaussian_nll_loss: prediction and target must have the same shape, got (2, 3) and (3,)",
            id="gaussian_nll_loss of fewer axes",
        ),
        pytest.param(
            lambda: functional.cross_entropy(np.zeros((0, 3)), np.zeros(0, int)),
            "cross_entropy: there is no mean over logits of shape (0, 3)",
            id="cross_entropy of no rows",
        ),
        pytest.param(lambda: functional.softmax(1.0), "softmax: the input needs at least one axis", id="softmax"),
        pytest.param(
            lambda: functional.log_softmax(ad.Tensor(1.0)),
            "log_softmax: the input needs at least one axis",
            id="log_softmax",
        ),
    ],
)
def test_shapes(call: Callable[[], Any], message: str) -> None:
    refuse(call, ValueError, message)


def test_a_shape_that_does_not_fit_leaves_no_trace() -> None:
    model = nn.MLP([4, 2, 1], rng=0)
    before = {path: array.tobytes() for path, array in model.state_dict().items()}
    with pytest.raises(ValueError, match="linear"):
        model(np.ones((5, 3), np.float32))
    assert {path: array.tobytes() for path, array in model.state_dict().items()} == before
    assert all(parameter.grad is None for parameter in model.parameters())


# Truth


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        pytest.param(lambda: bool(x), "(2, 3)", id="bool"),
        pytest.param(lambda: 1 if x.sum(axis=0) else 0, "(3,)", id="if"),
        pytest.param(lambda: not x, "(2, 3)", id="not"),
        pytest.param(lambda: x and 1, "(2, 3)", id="and"),
        pytest.param(lambda: bool(ad.Tensor([])), "(0,)", id="empty"),
    ],
)
def test_truth_of_several_elements(call: Callable[[], Any], shape: str) -> None:
    refuse(call, ValueError, f"bool() of a Tensor of shape {shape} is ambiguous: use np.any(x), np.all(x) or x.size")


# Targets

PROBABILITIES = np.full((4, 3), 1 / 3)


def altered(value: float) -> Any:
    changed = PROBABILITIES.copy()
    changed[2, 1] = value
    return changed


@pytest.mark.parametrize("logits", [LOGITS, ad.Tensor(LOGITS)], ids=["array", "Tensor"])
@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        pytest.param(
            [0, 1, 2, 3], ValueError, "labels must lie from 0 to 2 for 3 classes, got 3", id="label too large"
        ),
        pytest.param(
            [0, -1, 2, 0], ValueError, "labels must lie from 0 to 2 for 3 classes, got -1", id="label negative"
        ),
        pytest.param(
            [-100, 1, 2, 0], ValueError, "labels must lie from 0 to 2 for 3 classes, got -100", id="label far below"
        ),
        pytest.param(
            np.array([0.0, 1, 2, 0]),
            TypeError,
            "class labels must be integers, got float64; convert them with .astype(int), or give probabilities of "
            "shape (4, 3)",
            id="float labels",
        ),
        pytest.param(["a", "b", "c", "d"], TypeError, "got <U1; convert them with np.unique(", id="text labels"),
        pytest.param([0, 1, 2], ValueError, "3 labels for 4 rows of logits", id="too few labels"),
        pytest.param([0, 1, 2, 0, 1], ValueError, "5 labels for 4 rows of logits", id="too many labels"),
        pytest.param(
            [[0], [1], [2], [0]],
            ValueError,
            "logits of shape (4, 3) need labels of shape (4,) or probabilities of shape (4, 3), got (4, 1)",
            id="column of labels",
        ),
        pytest.param(1, ValueError, "need labels of shape (4,) or probabilities of shape (4, 3), got ()", id="a label"),
        pytest.param(
            PROBABILITIES[:, :2],
            ValueError,
            "need labels of shape (4,) or probabilities of shape (4, 3), got (4, 2)",
            id="too few classes",
        ),
        pytest.param(altered(np.nan), ValueError, "must not be negative or NaN, got nan", id="NaN probability"),
        pytest.param(altered(-0.1), ValueError, "must not be negative or NaN, got -0.1", id="negative probability"),
        pytest.param(PROBABILITIES + 0j, TypeError, "probabilities must be real", id="complex probabilities"),
    ],
)
def test_targets_of_cross_entropy(logits: Any, target: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        functional.cross_entropy(logits, target)
    assert str(caught.value).startswith("cross_entropy: ")


@pytest.mark.parametrize(
    "target",
    [
        np.zeros(4, int),
        np.zeros(4, bool),
        np.linspace(0, 1, 4),
        np.linspace(-1, 1, 4)[:, None],
        np.ones((4, 1)),
        np.zeros((4, 1), int),
    ],
    ids=["labels", "booleans", "numbers", "column of numbers", "probabilities", "column of labels"],
)
def test_one_class_is_no_choice(target: Any) -> None:
    refuse(
        lambda: functional.cross_entropy(ad.Tensor(np.zeros((4, 1))), target),
        ValueError,
        "cross_entropy: logits of shape (4, 1) are of one class, whose probability is always 1; one logit for two "
        "classes needs binary_cross_entropy_with_logits, and numbers need mse_loss",
    )
    for shape in ((4, 1, 5), (1,)):
        logits = np.zeros(shape)
        refuse(partial(functional.cross_entropy, logits, target), ValueError, "are of one class, whose probability")


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        pytest.param(-0.1, ValueError, "targets must be probabilities between 0 and 1", id="negative"),
        pytest.param(1.1, ValueError, "targets must be probabilities between 0 and 1", id="above one"),
        pytest.param(np.nan, ValueError, "targets must be probabilities between 0 and 1", id="NaN"),
        pytest.param(1j, TypeError, "targets must be real numbers, got dtype complex128", id="complex"),
        pytest.param("a", TypeError, "targets must be real numbers, got dtype <U32", id="text"),
    ],
)
def test_targets_of_binary_cross_entropy(value: Any, error: type[Exception], message: str) -> None:
    refuse(
        lambda: functional.binary_cross_entropy_with_logits(ad.Tensor([0.0, 0.0]), np.array([0.5, value])),
        error,
        "binary_cross_entropy_with_logits: " + message,
    )


# Names


@pytest.mark.parametrize("name", ["average", "Mean", "", None, 1])
@pytest.mark.parametrize(
    ("loss", "arguments"),
    [
        pytest.param(functional.cross_entropy, (LOGITS, [0, 1, 2, 0]), id="cross_entropy"),
        pytest.param(functional.mse_loss, ([1.0], [1.0]), id="mse_loss"),
        pytest.param(functional.binary_cross_entropy_with_logits, ([1.0], [1.0]), id="binary"),
    ],
)
def test_unknown_reduction(loss: Callable[..., Any], arguments: Any, name: Any) -> None:
    message = f"{loss.__name__}: unknown reduction {name!r}; known: {REDUCTIONS}"
    if not isinstance(name, str):
        message = f"{loss.__name__}: reduction must be one of the texts {REDUCTIONS}; got {name!r}"
    refuse(lambda: loss(*arguments, reduction=name), ValueError if isinstance(name, str) else TypeError, message)


@pytest.mark.parametrize("name", [None, 3, int, ["relu"]], ids=repr)
def test_names_that_are_no_texts(name: Any) -> None:
    optimizer = nn.optim.SGD([ad.Tensor(1.0)])
    for call, problem in (
        (lambda: nn.MLP([2, 2], activation=name), "MLP: activation must be one of the texts relu, tanh, sigmoid"),
        (lambda: nn.Linear(2, 2, nonlinearity=name), "gain: nonlinearity must be one of the texts linear, sigmoid"),
        (lambda: nn.init.gain(name), "gain: nonlinearity must be one of the texts linear, sigmoid, tanh, relu; got"),
        (lambda: nn.GELU(name), "gelu: approximation must be one of the texts none, tanh; got"),
        (lambda: nn.optim.ReduceLROnPlateau(optimizer, name), "ReduceLROnPlateau: mode must be one of the texts"),
        (lambda: nn.optim.minimize(lambda: x.sum(), [x], name), "minimize: method must be one of the texts BFGS"),
    ):  # fmt: skip
        refuse(call, TypeError, problem)


@pytest.mark.parametrize("name", ["swish", "ReLU", ""])
def test_unknown_activation(name: Any) -> None:
    refuse(
        lambda: nn.MLP([2, 2], activation=name),
        ValueError,
        f"MLP: unknown activation {name!r}; known: relu, tanh, sigmoid",
    )
    refuse(
        lambda: nn.Linear(2, 2, nonlinearity=name),
        ValueError,
        f"gain: unknown nonlinearity {name!r}; known: linear, sigmoid, tanh, relu",
    )


@pytest.mark.parametrize("name", ["hinge", "CrossEntropy", ""])
def test_unknown_loss(name: str) -> None:
    known = "cross_entropy, mse_loss, binary_cross_entropy_with_logits, or a function"
    data = np.ones((2, 2), np.float32), np.array([0, 1])
    for call in (nn.fit, nn.evaluate):
        refuse(
            lambda call=call: call(nn.MLP([2, 2]), *data, loss=name),
            ValueError,
            f"{call.__name__}: unknown loss {name!r}; known: {known}",
        )


# Sizes and probabilities


@pytest.mark.parametrize("size", [0, -3, 2.0, "8", True, None, np.float64(4)], ids=repr)
def test_sizes_of_layers(size: Any) -> None:
    problem = f"a layer's size must be a positive integer, got {size!r}"
    error = ValueError if type(size) is int else TypeError
    refuse(lambda: nn.Linear(size, 2), error, f"Linear: {problem}")
    refuse(lambda: nn.Linear(2, size), error, f"Linear: {problem}")
    refuse(lambda: nn.MLP([2, size, 2]), error, f"MLP: {problem}")


def test_integers_of_numpy_are_sizes() -> None:
    assert nn.MLP(np.array([3, 2, 1])).num_parameters() == 11


@pytest.mark.parametrize("sizes", [[], [4], (4,)], ids=repr)
def test_too_few_sizes(sizes: Any) -> None:
    refuse(
        lambda: nn.MLP(sizes),
        ValueError,
        f"MLP: sizes need an input and an output, as in [64, 32, 10], got {sizes!r}",
    )


@pytest.mark.parametrize(
    "sizes", [None, 3, {64, 10}, {64: 10, 10: 1}, iter([2, 1])], ids=["None", "3", "set", "dict", "it"]
)
def test_sizes_that_are_no_list(sizes: Any) -> None:
    refuse(lambda: nn.MLP(sizes), TypeError, f"MLP: sizes must be a list, as in [64, 32, 10], got {sizes!r}")


@pytest.mark.parametrize("p", [1.0, 1, 1.5, -0.1, np.nan, np.inf], ids=repr)
def test_dropout_outside_its_domain(p: Any) -> None:
    problem = f"p must be a probability below 1, 0 <= p < 1, got {p!r}"
    refuse(lambda: nn.Dropout(p), ValueError, f"Dropout: {problem}")
    refuse(lambda: nn.MLP([2, 2], dropout=p), ValueError, f"MLP: {problem}")
    refuse(lambda: functional.dropout(np.ones(3), p), ValueError, f"dropout: {problem}")
    refuse(lambda: functional.dropout(np.ones(3), p, training=False), ValueError, f"dropout: {problem}")


@pytest.mark.parametrize("shape", [(3,), (0, 2), (2, 0), (1, 2, 3), 3, (2.5, 3), ("a", "b"), None], ids=repr)
def test_shapes_of_weights(shape: Any) -> None:
    integers = isinstance(shape, tuple) and all(isinstance(fan, int) for fan in shape)
    for draw in (nn.init.xavier_uniform, nn.init.xavier_normal, nn.init.kaiming_uniform, nn.init.kaiming_normal):
        refuse(
            lambda draw=draw: draw(shape),
            ValueError if integers else TypeError,
            f"weights have the shape (fan_in, fan_out), both positive integers, got {shape!r}",
        )


@pytest.mark.parametrize("gain", [np.nan, np.inf, "a", None], ids=repr)
def test_gains_of_weights(gain: Any) -> None:
    error, text = (ValueError, "") if isinstance(gain, float) else (TypeError, "a number, ")
    for draw in (nn.init.xavier_uniform, nn.init.xavier_normal, nn.init.kaiming_uniform, nn.init.kaiming_normal):
        message = f"initial weights: gain must be {text}finite, got {gain!r}"
        refuse(lambda draw=draw: draw((2, 3), gain=gain), error, message)


@pytest.mark.parametrize("dtype", [int, bool, complex, object, "abc", "U3", 3.0], ids=repr)
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("Linear", lambda dtype: nn.Linear(2, 3, dtype=dtype)),
        ("Linear", lambda dtype: nn.MLP([2, 3], dtype=dtype)),
        ("BatchNorm1d", lambda dtype: nn.BatchNorm1d(3, affine=False, dtype=dtype)),
        ("LayerNorm", lambda dtype: nn.LayerNorm(3, elementwise_affine=False, dtype=dtype)),
        ("Embedding", lambda dtype: nn.Embedding(3, 2, dtype=dtype)),
    ],
    ids=["Linear", "MLP", "BatchNorm1d", "LayerNorm", "Embedding"],
)
def test_dtypes_of_layers(name: str, make: Callable[[Any], Any], dtype: Any) -> None:
    known = "floating-point or complex" if name == "Linear" else "floating-point"
    if dtype is complex and name == "Linear":
        assert make(dtype).parameters()[0].dtype == complex
    else:
        refuse(lambda: make(dtype), TypeError, f"{name}: dtype must be {known}, such as np.float32, got {dtype!r}")


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (np.int64(-3), ValueError), (True, TypeError)], ids=repr)
def test_seeds(seed: Any, error: type[Exception]) -> None:
    problem = f"rng: a seed must not be negative, got {seed}"
    if error is TypeError:
        problem = f"rng must be a numpy.random.Generator, an integer seed or None, got {seed!r}"
    refuse(lambda: nn.Linear(2, 3, rng=seed), error, problem)
    refuse(lambda: nn.Dropout(rng=seed), error, problem)


@pytest.mark.parametrize("layer", [np.tanh, "relu", nn.ReLU], ids=["function", "text", "class"])
def test_layers_that_are_no_modules(layer: Any) -> None:
    refuse(lambda: nn.Sequential(nn.ReLU(), layer), TypeError, "Sequential: a layer must be a Module, got ")


# Dtypes

NOT_REAL = {
    "text": (np.array([["a", "b"], ["c", "d"]]), "got dtype <U1"),
    "objects": (np.array([[1, None], [2, 3]]), "got dtype object"),
    "complex": (np.array([[1j, 2], [3, 4]]), "got dtype complex128"),
    "dates": (np.zeros((2, 2), "datetime64[D]"), "got dtype datetime64[D]"),
    "None": (None, "got None"),
    "a text": ("abc", "got 'abc'"),
    "a dictionary": ({}, "got {}"),
}
TWO = np.full((2, 2), 0.5)

ACTIVATIONS = (
    "relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "silu", "softplus", "log_sigmoid", "hardtanh", "softmax",
    "log_softmax", "logsumexp",
)  # fmt: skip
LOSSES = (
    "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "kl_div", "poisson_nll_loss",
)  # fmt: skip
NUMBERS: dict[str, Callable[[Any], Any]] = {
    **{f"{name}: x": getattr(functional, name) for name in ACTIVATIONS},
    **{f"{name}: predictions": lambda x, name=name: getattr(functional, name)(x, TWO) for name in LOSSES},
    "cross_entropy: logits": lambda x: functional.cross_entropy(x, [0, 1]),
    "nll_loss: logits": lambda x: functional.nll_loss(x, [0, 1]),
    "gaussian_nll_loss: predictions": lambda x: functional.gaussian_nll_loss(x, TWO, 1.0),
}
NUMBERS_OR_BOOLEANS: dict[str, Callable[[Any], Any]] = {
    **{f"{name}: targets": lambda x, name=name: getattr(functional, name)(TWO, x) for name in LOSSES},
    "gaussian_nll_loss: var": lambda x: functional.gaussian_nll_loss(TWO, TWO, x),
    "linear: x": nn.Linear(2, 3),
    "dropout: x": nn.Dropout(0.5),
    "BatchNorm1d: x": nn.BatchNorm1d(2),
    "batch_norm: x": lambda x: functional.batch_norm(x, None, None, training=True),
    "layer_norm: x": nn.LayerNorm(2),
    "embedding: weight": lambda x: functional.embedding([0], x),
}
NUMBERS_OR_NONE: dict[str, Callable[[Any], Any]] = {
    "batch_norm: weight": lambda x: functional.batch_norm(TWO, np.ones(2), np.ones(2), x),
    "batch_norm: running_mean": lambda x: functional.batch_norm(TWO, x, None, training=True),
    "batch_norm: running_var": lambda x: functional.batch_norm(TWO, None, x, training=True),
    "layer_norm: weight": lambda x: functional.layer_norm(TWO, 2, x),
    "cross_entropy: weight": lambda x: functional.cross_entropy(TWO, [0, 1], x),
    "mse_loss: weight": lambda x: functional.mse_loss(TWO, TWO, weight=x),
    "binary_cross_entropy: weight": lambda x: functional.binary_cross_entropy(TWO, TWO, x),
}


@pytest.mark.parametrize(
    ("what", "call"),
    [pytest.param(*item, id=item[0]) for item in (NUMBERS | NUMBERS_OR_BOOLEANS | NUMBERS_OR_NONE).items()],
)
def test_what_is_not_real_numbers(what: str, call: Callable[[Any], Any]) -> None:
    for kind, (x, got) in NOT_REAL.items():
        if kind == "complex" and what in ("tanh: x", "sigmoid: x"):
            assert call(x).dtype == complex
        elif x is not None or what not in NUMBERS_OR_NONE:
            refuse(lambda x=x: call(x), TypeError, f"{what} must be real numbers, {got}")
    if what in NUMBERS:
        message = f"{what} must be real numbers, got dtype bool; convert it with .astype(float)"
        refuse(lambda: call(np.ones((2, 2), bool)), TypeError, message)
    refuse(lambda: call([[1.0], [2.0, 3.0]]), ValueError, f"{what} must not be ragged; every row must have the same")


@pytest.mark.parametrize("running", [[0.0, 0.0], np.zeros(2, int), np.zeros(2, bool)], ids=["list", "int", "bool"])
@pytest.mark.parametrize("name", ["running_mean", "running_var"])
def test_running_numbers_are_written_into(running: Any, name: str) -> None:
    given = {"running_mean": np.zeros(2), "running_var": np.ones(2)} | {name: running}
    message = f"batch_norm: {name} is written into while training, and must be a floating-point array, got {running!r}"
    refuse(lambda: functional.batch_norm(TWO, **given, training=True), TypeError, message)
    functional.batch_norm(TWO, **given)


@pytest.mark.parametrize("name", LOSSES)
def test_no_mean_of_nothing(name: str) -> None:
    loss = getattr(functional, name)
    empty = ad.Tensor(np.zeros((0, 2)))
    refuse(lambda: loss(empty, empty), ValueError, f"{name}: there is no mean over an input of shape (0, 2)")
    assert loss(empty, empty, reduction="sum") == 0
    assert loss(empty, empty, reduction="none").shape == (0, 2)


# Losses, normalization, tables and activations

TABLE = np.zeros((5, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(
            lambda: functional.cross_entropy(LOGITS, [0, 1, 5, 9], ignore_index=9),
            ValueError,
            "cross_entropy: labels must lie from 0 to 2 for 3 classes, got 5; rows of one label are left out with "
            "ignore_index=",
            id="label out of range beside one left out",
        ),
        pytest.param(
            lambda: functional.cross_entropy(LOGITS, [0, 1, 2, 0], ignore_index=1.0),
            TypeError,
            "cross_entropy: ignore_index must be an integer or None, got 1.0",
            id="ignore_index no integer",
        ),
        pytest.param(
            lambda: functional.cross_entropy(LOGITS, PROBABILITIES, ignore_index=1),
            ValueError,
            "cross_entropy: ignore_index=1 is for labels; give probabilities without it",
            id="ignore_index of probabilities",
        ),
        pytest.param(
            lambda: functional.cross_entropy(LOGITS, [0, 1, 2, 0], [1.0, 2.0]),
            ValueError,
            "cross_entropy: weight must have the shape (3,), one for each class, got (2,)",
            id="class weights",
        ),
        pytest.param(
            lambda: functional.nll_loss(LOGITS, [0, 1, 2, 0], [1.0, -2.0, 1.0]),
            ValueError,
            "nll_loss: weight must not be negative or NaN, got -2.0",
            id="negative class weight",
        ),
        pytest.param(
            lambda: functional.nll_loss(LOGITS, [0, 1, 2, 0], ["a", "b", "c"]),
            TypeError,
            "nll_loss: weight must be real numbers, got dtype <U1",
            id="class weights of text",
        ),
        pytest.param(
            lambda: functional.nll_loss(LOGITS, [0, 1, 2, 0], ad.Tensor(np.ones(3))),
            TypeError,
            "nll_loss: class weights are constants; give weight.data",
            id="class weights with a gradient",
        ),
        pytest.param(
            lambda: functional.cross_entropy(LOGITS, [0, 1, 2, 0], label_smoothing=1.5),
            ValueError,
            "cross_entropy: label_smoothing must be a share from 0 to 1, got 1.5",
            id="label_smoothing",
        ),
        pytest.param(
            lambda: functional.nll_loss(LOGITS, PROBABILITIES),
            ValueError,
            "nll_loss: the target must be labels of shape (4,), got (4, 3); for probabilities use cross_entropy on "
            "logits, or kl_div",
            id="nll_loss of probabilities",
        ),
        pytest.param(
            lambda: functional.nll_loss(LOGITS, [["a"] * 3] * 4),
            TypeError,
            "nll_loss: target must be real numbers, got dtype <U1",
            id="nll_loss of text",
        ),
        pytest.param(
            lambda: functional.softmax(LOGITS, 2),
            np.exceptions.AxisError,
            "softmax: there is no axis 2 in an input of shape (4, 3)",
            id="axis of softmax",
        ),
        pytest.param(
            lambda: functional.log_softmax(LOGITS, None),
            TypeError,
            "log_softmax: axis must be an integer, got None",
            id="no axis of log_softmax",
        ),
        pytest.param(lambda: nn.Softmax("0"), TypeError, "Softmax: axis must be an integer, got '0'", id="Softmax"),
        pytest.param(
            lambda: nn.LogSoftmax(1.0), TypeError, "LogSoftmax: axis must be an integer, got 1.0", id="LogSoftmax"
        ),
        pytest.param(
            lambda: nn.Flatten("a"), TypeError, "Flatten: start_dim must be an integer, got 'a'", id="axis of Flatten"
        ),
        pytest.param(
            lambda: nn.Flatten()([[1.0], [2.0, 3.0]]),
            ValueError,
            "Flatten: x must not be ragged; every row must have the same shape",
            id="Flatten of ragged rows",
        ),
        pytest.param(
            lambda: functional.embedding([[0], [1, 2]], TABLE),
            ValueError,
            "embedding: indices must not be ragged",
            id="ragged indices",
        ),
        pytest.param(
            lambda: functional.cross_entropy(LOGITS, [[0], [1, 2]]),
            ValueError,
            "cross_entropy: target must not be ragged",
            id="ragged target",
        ),
        pytest.param(
            lambda: functional.nll_loss(LOGITS, [0.0, 1.0, 2.0, 0.0]),
            TypeError,
            "nll_loss: class labels must be integers, got float64; convert them with .astype(int)",
            id="nll_loss of floats",
        ),
        pytest.param(
            lambda: functional.l1_loss(x, np.ones(3)),
            ValueError,
            "l1_loss: prediction and target must have the same shape, got (2, 3) and (3,)",
            id="l1_loss, which would broadcast",
        ),
        pytest.param(
            lambda: functional.mse_loss(x, [["a"] * 3] * 2),
            TypeError,
            "mse_loss: targets must be real numbers, got dtype <U1",
            id="mse_loss of text",
        ),
        pytest.param(
            lambda: functional.mse_loss(x, x, weight=np.ones(3)),
            ValueError,
            "mse_loss: weight must have the shape of the input, (2, 3), got (3,)",
            id="mse_loss weights",
        ),
        pytest.param(
            lambda: functional.binary_cross_entropy_with_logits(LOGITS, LOGITS, pos_weight=np.ones(4)),
            ValueError,
            "binary_cross_entropy_with_logits: pos_weight must have a shape that broadcasts to that of the input, "
            "(4, 3), got (4,)",
            id="pos_weight",
        ),
        pytest.param(
            lambda: functional.binary_cross_entropy([0.5], [1.0], np.ones((2, 1))),
            ValueError,
            "binary_cross_entropy: weight must have a shape that broadcasts to that of the input, (1,), got (2, 1)",
            id="weights that would broadcast the losses",
        ),
        pytest.param(
            lambda: functional.binary_cross_entropy(ad.Tensor([1.5]), [1.0]),
            ValueError,
            "binary_cross_entropy: input must be probabilities between 0 and 1, got 1.5; apply sigmoid, or use "
            "binary_cross_entropy_with_logits",
            id="binary_cross_entropy of logits",
        ),
        pytest.param(
            lambda: functional.huber_loss([1.0], [1.0], delta=0),
            ValueError,
            "huber_loss: delta must be positive, got 0",
            id="delta",
        ),
        pytest.param(
            lambda: functional.smooth_l1_loss([1.0], [1.0], beta=-1),
            ValueError,
            "smooth_l1_loss: beta must be at least 0, got -1",
            id="beta",
        ),
        pytest.param(
            lambda: functional.kl_div([-1.0], [-1.0]),
            ValueError,
            "kl_div: targets must not be negative or NaN, got -1.0; logarithms need log_target=True",
            id="kl_div of logarithms",
        ),
        pytest.param(
            lambda: functional.mse_loss([-1.0], [-1.0], reduction="batchmean"),
            ValueError,
            "mse_loss: unknown reduction 'batchmean'; known: mean, sum, none",
            id="batchmean of another loss",
        ),
        pytest.param(
            lambda: functional.gaussian_nll_loss([1.0], [1.0], -1.0),
            ValueError,
            "gaussian_nll_loss: var must not be negative",
            id="negative variance",
        ),
        pytest.param(
            lambda: functional.gaussian_nll_loss(LOGITS, LOGITS, np.ones(3)),
            ValueError,
            "gaussian_nll_loss: input of shape (4, 3) needs a var of this shape, or with axes of length one in it, or "
            "without its last axis, or a number, got (3,)",
            id="shape of variances",
        ),
        pytest.param(
            lambda: functional.gaussian_nll_loss([1.0], [1.0], 1.0, eps=0),
            ValueError,
            "gaussian_nll_loss: eps must be positive, got 0",
            id="eps of gaussian_nll_loss",
        ),
        pytest.param(
            lambda: functional.poisson_nll_loss([1.0], [-1]),
            ValueError,
            "poisson_nll_loss: targets are counts and must not be negative",
            id="negative counts",
        ),
        pytest.param(
            lambda: functional.poisson_nll_loss([-1.0], [1], log_input=False),
            ValueError,
            "poisson_nll_loss: rates must not be negative, got -1.0; logarithms of rates need log_input=True",
            id="negative rates",
        ),
        pytest.param(
            lambda: functional.poisson_nll_loss([1.0], [1], eps=-1e-8),
            ValueError,
            "poisson_nll_loss: eps must be at least 0, got -1e-08",
            id="eps of poisson_nll_loss",
        ),
        pytest.param(
            lambda: nn.BatchNorm1d(3)(np.ones((2, 4), np.float32)),
            ValueError,
            "BatchNorm1d: the input must have the shape (N, 3) or (N, 3, L), got (2, 4)",
            id="features of batch norm",
        ),
        pytest.param(
            lambda: nn.BatchNorm1d(3)(np.ones((1, 3), np.float32)),
            ValueError,
            "batch_norm: a training batch needs more than one number for each feature, got x of shape (1, 3)",
            id="batch norm of a row",
        ),
        pytest.param(
            lambda: functional.batch_norm(np.ones((2, 3)), np.ones(2), np.ones(3)),
            ValueError,
            "batch_norm: x of shape (2, 3) needs a running_mean of shape (3,), got (2,)",
            id="running mean",
        ),
        pytest.param(
            lambda: functional.batch_norm(np.ones((2, 3)), None, None),
            ValueError,
            "batch_norm: without training, running_mean and running_var are needed",
            id="no running numbers",
        ),
        pytest.param(
            lambda: functional.batch_norm(np.ones(3), np.ones(3), np.ones(3)),
            ValueError,
            "batch_norm: x must have the shape (N, C) or (N, C, ...), got (3,)",
            id="batch norm of one axis",
        ),
        pytest.param(
            lambda: nn.BatchNorm1d(3, eps=0.0), ValueError, "BatchNorm1d: eps must be positive, got 0.0", id="eps"
        ),
        pytest.param(
            lambda: nn.BatchNorm1d(3, momentum=1.5),
            ValueError,
            "BatchNorm1d: momentum must be from 0 to 1, or None, got 1.5",
            id="momentum",
        ),
        pytest.param(
            lambda: nn.BatchNorm1d(0),
            ValueError,
            "BatchNorm1d: num_features must be a positive integer, got 0",
            id="no features",
        ),
        pytest.param(
            lambda: nn.LayerNorm((3, 0)),
            ValueError,
            "LayerNorm: normalized_shape, or each length in it, must be a positive integer, got 0",
            id="normalized_shape",
        ),
        pytest.param(
            lambda: nn.LayerNorm(()),
            ValueError,
            "LayerNorm: normalized_shape must have a length for one axis at least, got ()",
            id="empty normalized_shape",
        ),
        pytest.param(
            lambda: nn.LayerNorm(3)(np.ones((3, 2))),
            ValueError,
            "layer_norm: x must have a shape that ends with (3,), got (3, 2)",
            id="layer norm",
        ),
        pytest.param(
            lambda: nn.LayerNorm((2, 3))(np.ones(3)),
            ValueError,
            "layer_norm: x must have a shape that ends with (2, 3), got (3,)",
            id="layer norm of too few axes",
        ),
        pytest.param(
            lambda: functional.layer_norm(np.ones((2, 3)), 3, np.ones(2)),
            ValueError,
            "layer_norm: weight must have the shape (3,), got (2,)",
            id="weight of layer norm",
        ),
        pytest.param(
            lambda: nn.LayerNorm(3, eps=-1), ValueError, "LayerNorm: eps must be positive, got -1", id="negative eps"
        ),
        pytest.param(
            lambda: functional.embedding([0, 5], TABLE),
            IndexError,
            "embedding: indices must lie from 0 to 4 for 5 rows, got 5",
            id="index too large",
        ),
        pytest.param(
            lambda: nn.Embedding(5, 2)([-1]),
            IndexError,
            "embedding: indices must lie from 0 to 4 for 5 rows, got -1",
            id="negative index",
        ),
        pytest.param(
            lambda: nn.Embedding(5, 2)(np.ones(3)),
            TypeError,
            "embedding: indices must be integers, got float64; convert them with .astype(int)",
            id="indices of floats",
        ),
        pytest.param(
            lambda: functional.embedding([0], np.zeros(3)),
            ValueError,
            "embedding: weight must have the shape (K, D), got (3,)",
            id="table of one axis",
        ),
        pytest.param(
            lambda: nn.Embedding(5, 2, padding_idx=5),
            IndexError,
            "Embedding: padding_idx must lie from -5 to 4 for 5 rows, got 5",
            id="padding_idx",
        ),
        pytest.param(
            lambda: functional.embedding([0], TABLE, 1.0),
            TypeError,
            "embedding: padding_idx must be an integer or None, got 1.0",
            id="padding_idx no integer",
        ),
        pytest.param(
            lambda: nn.Flatten(2)(np.ones((2, 3))),
            ValueError,
            "Flatten: there are no axes from 2 to -1 in an input of shape (2, 3)",
            id="Flatten",
        ),
        pytest.param(
            lambda: nn.LeakyReLU(np.nan), ValueError, "leaky_relu: negative_slope must be finite, got nan", id="slope"
        ),
        pytest.param(lambda: nn.ELU("1"), TypeError, "elu: alpha must be a number, finite, got '1'", id="alpha"),
        pytest.param(lambda: nn.Softplus(0), ValueError, "softplus: beta must be positive, got 0", id="softplus"),
        pytest.param(
            lambda: nn.Softplus(threshold=np.inf), ValueError, "softplus: threshold must be finite, got inf", id="inf"
        ),
        pytest.param(
            lambda: nn.Hardtanh(1, 0.5),
            ValueError,
            "hardtanh: min_val must be at most max_val, 0.5, got 1",
            id="hardtanh",
        ),
        pytest.param(
            lambda: nn.GELU("erf"), ValueError, "gelu: unknown approximation 'erf'; known: none, tanh", id="gelu"
        ),
    ],
)
def test_layers_and_losses(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    refuse(call, error, message)


# Arrays that are more, or less, than their numbers

NUMBERS_IN_ROWS = np.random.default_rng(0).random((6, 3))
CLASSES = np.array([0, 1, 2, 0, 1, 2])


def of_another_kind(kind: str) -> Any:
    if kind == "a numpy.MaskedArray: its mask would be lost":
        return np.ma.masked_array(NUMBERS_IN_ROWS, NUMBERS_IN_ROWS > 0.5)
    if kind == "a numpy.matrix: its * is a matrix product":
        return NUMBERS_IN_ROWS.view(np.matrix)
    return pytest.importorskip("scipy.sparse").csr_array(NUMBERS_IN_ROWS)


MODEL = nn.MLP([3, 3], rng=0)
TENSOR = ad.Tensor(NUMBERS_IN_ROWS)
DOORS: dict[str, Callable[[Any], Any]] = {
    "linear: x": MODEL,
    "linear: weight": lambda x: functional.linear(np.ones((2, 6)), x),
    "linear: bias": lambda x: functional.linear(np.ones((2, 6)), NUMBERS_IN_ROWS, x),
    "dropout: x": nn.Dropout().eval(),
    "relu: x": nn.ReLU(),
    "softmax: x": nn.Softmax(),
    "Flatten: x": nn.Flatten(),
    "BatchNorm1d: x": nn.BatchNorm1d(3),
    "layer_norm: weight": lambda x: functional.layer_norm(NUMBERS_IN_ROWS, (6, 3), x),
    "batch_norm: running_mean": lambda x: functional.batch_norm(NUMBERS_IN_ROWS, x, None, training=True),
    "embedding: indices": lambda x: functional.embedding(x, NUMBERS_IN_ROWS),
    "mse_loss: predictions": lambda x: functional.mse_loss(x, NUMBERS_IN_ROWS),
    "mse_loss: targets": lambda x: functional.mse_loss(TENSOR, x),
    "mse_loss: weight": lambda x: functional.mse_loss(TENSOR, NUMBERS_IN_ROWS, weight=x),
    "cross_entropy: logits": lambda x: functional.cross_entropy(x, CLASSES),
    "cross_entropy: target": lambda x: functional.cross_entropy(TENSOR, x),
    "cross_entropy: weight": lambda x: functional.cross_entropy(TENSOR, CLASSES, x),
    "nll_loss: target": lambda x: functional.nll_loss(TENSOR, x),
    "gaussian_nll_loss: var": lambda x: functional.gaussian_nll_loss(TENSOR, TENSOR, x),
    "fit: inputs": lambda x: nn.fit(MODEL, x, CLASSES),
    "fit: targets": lambda x: nn.fit(MODEL, NUMBERS_IN_ROWS, x),
    "fit: validation_data: inputs": lambda x: nn.fit(MODEL, NUMBERS_IN_ROWS, CLASSES, validation_data=(x, CLASSES)),
    "evaluate: targets": lambda x: nn.evaluate(MODEL, NUMBERS_IN_ROWS, x),
    "batches: inputs": lambda x: nn.data.batches(x, CLASSES, 2),
    "Normal: loc": lambda x: nn.distributions.Normal(x, 1.0),
    "Normal.log_prob: the value": nn.distributions.Normal(0.0, 1.0).log_prob,
    "plots.confusion_matrix: predictions": lambda x: nn.plots.confusion_matrix(CLASSES, x),
    "from_torch: 0.weight": lambda x: nn.from_torch(MODEL, {"0.weight": x}),
}


SPARSE = "a scipy.csr_array: its operators are not NumPy's"
TAKES_SPARSE = {"linear: x", "fit: inputs", "fit: validation_data: inputs"}


@pytest.mark.together(
    ("door", "kind"),
    [
        (door, kind)
        for door in DOORS
        for kind in ("a numpy.MaskedArray: its mask would be lost", "a numpy.matrix: its * is a matrix product", SPARSE)
        if not (kind == SPARSE and door in TAKES_SPARSE)
    ],
)
def test_arrays_of_another_kind(door: str, kind: str) -> None:
    before = MODEL.state_dict()
    refuse(lambda: DOORS[door](of_another_kind(kind)), TypeError, f"{door} must not be {kind}")
    for path, array in MODEL.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def fitted(X: Any, y: Any) -> Any:
    model = nn.MLP([3, 4, 3], rng=0)
    accuracy = lambda outputs, labels: (outputs.argmax(axis=1) == labels).mean()  # noqa: E731
    history = nn.fit(model, X, y, epochs=2, batch_size=2, validation_data=(X, y), metrics=["accuracy", accuracy], rng=0)
    return [*history.loss, *history.validation_loss, *history.metrics["<lambda>"], *nn.evaluate(model, X, y)]


TABLES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "layers": lambda table, column, labels: MODEL(table),
    "activations": lambda table, column, labels: nn.Softplus()(column),
    "softmax": lambda table, column, labels: functional.softmax(table),
    "batch_norm": lambda table, column, labels: nn.BatchNorm1d(3)(table),
    "layer_norm": lambda table, column, labels: functional.layer_norm(table, 3, column[:3]),
    "dropout": lambda table, column, labels: nn.Dropout(0.5, rng=0)(table),
    "dropout in evaluation": lambda table, column, labels: nn.Dropout(0.5).eval()(table),
    "flatten": lambda table, column, labels: nn.Flatten(0)(table),
    "embedding": lambda table, column, labels: nn.Embedding(3, 2, rng=0)(labels),
    "linear": lambda table, column, labels: functional.linear(np.ones((2, 6)), table, column[:3]),
    "mse_loss": lambda table, column, labels: functional.mse_loss(TENSOR[:, 1], column),
    "mse_loss of float32": lambda table, column, labels: functional.mse_loss(np.zeros((6, 3), np.float32), table),
    "mse_loss of tables": lambda table, column, labels: functional.mse_loss(table, table * 2, weight=table),
    "l1_loss": lambda table, column, labels: functional.l1_loss(table, TENSOR),
    "cross_entropy of labels": lambda table, column, labels: functional.cross_entropy(TENSOR, labels),
    "cross_entropy of probabilities": lambda table, column, labels: functional.cross_entropy(TENSOR, table),
    "cross_entropy with weights": lambda table, column, labels: functional.cross_entropy(table, labels, column[:3]),
    "nll_loss": lambda table, column, labels: functional.nll_loss(TENSOR, labels),
    "binary_cross_entropy": lambda table, column, labels: functional.binary_cross_entropy(table, table),
    "kl_div": lambda table, column, labels: functional.kl_div(TENSOR, table),
    "gaussian_nll_loss": lambda table, column, labels: functional.gaussian_nll_loss(TENSOR[:, 0], column, column),
    "distributions": lambda table, column, labels: nn.distributions.Normal(column, 1.0).log_prob(column),
    "fit and evaluate": lambda table, column, labels: fitted(table, labels),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_pandas_are_their_numbers(name: str) -> None:
    """The index, which is not sorted here, plays no part."""
    pandas = pytest.importorskip("pandas")
    index = [5, 3, 1, 0, 2, 4]
    tables = (
        pandas.DataFrame(NUMBERS_IN_ROWS, index, list("abc")),
        pandas.Series(NUMBERS_IN_ROWS[:, 0], index),
        pandas.Series(CLASSES, index),
    )
    ours, expected = (
        np.asarray(ad.stop_gradient(TABLES[name](*values)))
        for values in (tables, [table.to_numpy() for table in tables])
    )
    assert ours.dtype == expected.dtype
    np.testing.assert_array_equal(ours, expected)


def test_tables_of_texts_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    texts = pandas.Series(["a", "b", "c"] * 2)
    refuse(lambda: functional.mse_loss(TENSOR[:, 0], texts), TypeError, "mse_loss: targets must be real numbers, got")
    refuse(lambda: functional.cross_entropy(TENSOR, texts), TypeError, "cross_entropy: class labels must be integers")
    refuse(lambda: MODEL(pandas.DataFrame({"a": texts})), TypeError, "linear: x must be real numbers, got dtype")
    refuse(lambda: nn.fit(MODEL, NUMBERS_IN_ROWS, texts), TypeError, "fit: targets must be real numbers, got dtype")


@pytest.mark.parametrize("flag", [None, 1, "no", 0.0], ids=repr)
def test_options_that_are_true_or_false(flag: Any) -> None:
    for name, call in {
        "Linear: bias": lambda: nn.Linear(2, 3, flag),
        "BatchNorm1d: affine": lambda: nn.BatchNorm1d(2, affine=flag),
        "BatchNorm1d: track_running_stats": lambda: nn.BatchNorm1d(2, track_running_stats=flag),
        "LayerNorm: elementwise_affine": lambda: nn.LayerNorm(2, elementwise_affine=flag),
        "LayerNorm: bias": lambda: nn.LayerNorm(2, bias=flag),
        "dropout: training": lambda: functional.dropout(TWO, training=flag),
        "batch_norm: training": lambda: functional.batch_norm(TWO, None, None, training=flag),
        "logsumexp: keepdims": lambda: functional.logsumexp(TWO, keepdims=flag),
        "kl_div: log_target": lambda: functional.kl_div(TWO, TWO, log_target=flag),
        "gaussian_nll_loss: full": lambda: functional.gaussian_nll_loss(TWO, TWO, TWO, full=flag),
        "poisson_nll_loss: full": lambda: functional.poisson_nll_loss(TWO, TWO, full=flag),
        "poisson_nll_loss: log_input": lambda: functional.poisson_nll_loss(TWO, TWO, log_input=flag),
    }.items():
        refuse(call, TypeError, f"{name} must be True or False, got {flag!r}")


@pytest.mark.parametrize("target", [None, "a", {}, object], ids=repr)
def test_targets_that_are_no_arrays(target: Any) -> None:
    refuse(lambda: functional.cross_entropy(LOGITS, target), TypeError, "cross_entropy: target must be real numbers")
    refuse(lambda: functional.nll_loss(LOGITS, target), TypeError, "nll_loss: target must be real numbers, got")
    refuse(lambda: nn.data.batches(LOGITS, target, 2), TypeError, "batches: targets must be real numbers, got")
    refuse(lambda: nn.Flatten()(target), TypeError, "Flatten: x must be real numbers, got")
    refuse(lambda: functional.logsumexp(LOGITS, axis="a"), TypeError, "logsumexp: axis must be an integer, a tuple of")
    refuse(lambda: nn.init.xavier_normal((2, 3), dtype=int), TypeError, "initial weights: dtype must be floating-point")


# Complex numbers, where real ones are needed

PAIR = np.array([1.0, 2.0])
COMPLEX_PAIR = np.array([1j, 2.0])


def test_complex_gradients_and_vectors() -> None:
    x = ad.Tensor(PAIR)
    refuse(lambda: (x * x).backward(COMPLEX_PAIR), TypeError, "backward: the gradient must be real numbers, got dtype")
    assert x.grad is None
    refuse(lambda: ad.jvp(np.sin, (PAIR,), (COMPLEX_PAIR,)), TypeError, "jvp(sin): the tangent [0] must be real")
    refuse(lambda: ad.hvp(np.prod)(PAIR, COMPLEX_PAIR), TypeError, "hvp(prod): the vector [0] must be real numbers of")
    z = ad.Tensor(COMPLEX_PAIR)
    refuse(lambda: ad.jvp(np.sin, (z,), (PAIR,)), TypeError, "jvp(sin): the tangent [0] must have dtype complex128")
    refuse(lambda: z.astype(float), TypeError, "cannot become float64 without its imaginary part; write x.real")
    refuse(lambda: z.sum().backward(), TypeError, "no complex number is largest: make it real, as with abs(x) or")
    refuse(lambda: ad.Tensor(PAIR).at[0].set(1j), TypeError, "at: complex values cannot be put into float64")
