"""Complex parameters: layers, optimizers, training and files are PyTorch's; what has no meaning is refused by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.testing import check_gradients
from nn import functional

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


X, TRUE = normal(40, 3), normal(3, 2)
Y = X @ TRUE + (0.1 - 0.2j)


def squared(outputs: Any, targets: Any) -> Any:
    return np.mean(np.abs(outputs - targets) ** 2)


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.9}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1}),
]


@pytest.mark.parametrize(
    ("name", "options", "dtype"), [*((*one, np.complex128) for one in OPTIMIZERS), (*OPTIMIZERS[3], np.complex64)]
)
def test_twenty_steps_of_a_layer_are_pytorchs(name: str, options: dict[str, Any], dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    layer = nn.Linear(3, 2, rng=0, dtype=dtype)
    parameters = list(layer.parameters())
    theirs = [torch.tensor(parameter.data.copy(), requires_grad=True) for parameter in parameters]
    ours, their = getattr(nn.optim, name)(parameters, **options), getattr(torch.optim, name)(theirs, **options)
    x, y = torch.tensor(X.astype(dtype)), torch.tensor(Y.astype(dtype))
    rtol = 1e-10 if dtype == np.complex128 else 1e-4
    for step in range(20):
        ours.zero_grad()
        squared(layer(X), Y.astype(dtype)).backward()
        their.zero_grad()
        (x @ theirs[0] + theirs[1] - y).abs().square().mean().backward()
        if step % 2:
            expected = torch.nn.utils.clip_grad_norm_(theirs, 1.0).item()
            assert nn.optim.clip_grad_norm_(parameters, 1.0) == pytest.approx(expected, rel=rtol)
        ours.step()
        their.step()
    for parameter, other in zip(parameters, theirs, strict=True):
        assert parameter.data.dtype == dtype
        np.testing.assert_allclose(parameter.data, other.detach().numpy(), rtol)


@pytest.mark.parametrize("kind", [nn.optim.SGD, nn.optim.Adam, nn.optim.RMSprop, nn.optim.Adagrad])
def test_numbers_large_arrays_and_columns_take_the_same_steps(kind: Any) -> None:
    one = ad.Tensor(1 + 2j)
    others = [ad.Tensor(np.full(shape, 1 + 2j)) for shape in ((1,), (300, 200))]
    others.append(ad.Tensor(np.full((200, 300), 1 + 2j).T))
    optimizer = kind([one, *others], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        for z in (one, *others):
            np.sum(np.abs(z - 0.5j) ** 2).backward()
        optimizer.step()
    assert type(one.data) is np.complex128
    for z in others:
        np.testing.assert_allclose(z.data, one.data, rtol=1e-14)
    state = optimizer.state_dict()
    again = kind([one, *others])
    again.load_state_dict(state)
    assert all(np.array_equal(value, state[name]) for name, value in again.state_dict().items())


def test_what_overflows_in_one_part_leaves_the_other_alone() -> None:
    z = ad.Tensor(np.array([1 + 1j], np.complex64))
    optimizer = nn.optim.Adam([z], lr=0.1)
    z.grad = np.array([1 + 1e30j], np.complex64)
    with np.errstate(over="ignore"):
        optimizer.step()
    assert z.data[0] == pytest.approx(0.9 + 1j, rel=1e-6)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_compiled_training(backend: Any) -> None:
    pytest.importorskip("numba")

    def training() -> tuple[Any, Any]:
        layer, factor = nn.Linear(3, 2, rng=0, dtype=np.complex128), ad.Tensor(1 + 0j)
        kind: Any = nn.optim.Adam if backend == "numpy" else nn.optim.Adagrad  # of which machine code is made sooner
        optimizer = kind([*layer.parameters(), factor], lr=0.05)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = squared(layer(x) * factor, y)
            loss.backward()
            nn.optim.clip_grad_norm_(optimizer.parameters, 5.0)
            optimizer.step()
            return loss.data

        return step, (layer, factor, optimizer)

    (eager, _), (step, state) = training(), training()
    compiled = ad.compile(step, state=state, backend=backend)
    losses = [(compiled(X, Y), eager(X, Y)) for _ in range(20)]
    np.testing.assert_allclose(*np.transpose(losses), rtol=1e-8)
    assert losses[-1][0] < losses[0][0] / 1.5


@pytest.mark.parametrize("compile", [False, True])
def test_a_linear_regression_by_fit(compile: bool) -> None:
    layer = nn.Linear(3, 2, rng=0, dtype=np.complex128)
    optimizer = nn.optim.Adam(layer.parameters(), lr=0.1)
    history = nn.fit(
        layer, X, Y, loss=squared, optimizer=optimizer, epochs=60, batch_size=10, rng=0, compile=compile, clip_norm=5.0,
        validation_data=(X, Y),
    )  # fmt: skip
    assert history.loss[-1] < 1e-8
    np.testing.assert_allclose(layer.weight.data, TRUE, atol=1e-4)
    assert nn.evaluate(layer, X, Y, loss=squared)[0] < 1e-8
    real = nn.fit(layer, X.real, Y.real, loss=squared, optimizer=optimizer, epochs=1)  # which are complex numbers too
    assert np.isfinite(real.loss).all()


def test_layers_and_their_derivatives() -> None:
    x, layer = normal(4, 3), nn.Linear(3, 2, rng=0, dtype=np.complex128)
    weight, bias = layer.weight.data, layer.bias.data if layer.bias is not None else None
    np.testing.assert_allclose(layer(x).data, x @ weight + bias)
    for inputs, shift in ((x, weight[0]), (x.real, weight.real[0])):
        check_gradients(lambda *given: squared(functional.linear(*given), 1j), inputs, weight, shift, order=2)
    check_gradients(lambda x: squared(functional.sigmoid(functional.tanh(x)), 1j), x, order=2)
    model = nn.MLP([3, 4, 2], "tanh", rng=0, dtype=np.complex64)
    assert model(x).dtype == np.complex64
    batched = ad.vmap(model)(normal(5, 4, 3))
    assert batched.shape == (5, 4, 2)
    np.testing.assert_array_equal(nn.Flatten()(normal(2, 3, 4)).shape, (2, 12))


def test_first_weights_have_the_variance_of_real_ones() -> None:
    for draw, variance in (
        (nn.init.xavier_uniform, 2 / 500),
        (nn.init.xavier_normal, 2 / 500),
        (nn.init.kaiming_uniform, 2 / 200),
        (nn.init.kaiming_normal, 2 / 200),
    ):
        weights = draw((200, 300), rng=0, dtype=np.complex64)
        assert weights.dtype == np.complex64
        for part in (weights.real, weights.imag):
            assert np.var(part) == pytest.approx(variance / 2, rel=0.02)
        assert abs(np.mean(weights.real * weights.imag)) < 0.01 * variance
        assert np.array_equal(draw((2, 3), rng=0), draw((2, 3), rng=0, dtype=np.float64).astype(np.float32))


def test_files(tmp_path: Path) -> None:
    path, layer = tmp_path / "layer.safetensors", nn.Linear(3, 2, rng=0, dtype=np.complex64)
    nn.save(layer, path)
    np.testing.assert_array_equal(nn.load(nn.Linear(3, 2, dtype=np.complex64), path).weight.data, layer.weight.data)
    with pytest.raises(ValueError, match=r"weight has dtype complex64, the model's float32"):
        nn.load(nn.Linear(3, 2), path)
    with pytest.raises(TypeError, match=r"safetensors files have complex64 only, and weight, bias of more digits"):
        nn.save(nn.Linear(3, 2, dtype=np.complex128), path)
    copy = nn.Linear(3, 2, dtype=np.complex128)
    copy.load_state_dict(nn.Linear(3, 2, rng=0).state_dict())  # real numbers are complex ones
    assert copy.weight.dtype == np.complex128


REFUSED: dict[str, Any] = {
    "relu: x": lambda: functional.relu(X),
    "gelu: x": lambda: functional.gelu(ad.Tensor(X)),
    "softmax: x": lambda: functional.softmax(X),
    "logsumexp: x": lambda: functional.logsumexp(X),
    "linear: x": lambda: nn.Linear(3, 2)(X),
    "BatchNorm1d: x": lambda: nn.BatchNorm1d(3)(X),
    "layer_norm: x": lambda: nn.LayerNorm(3)(X),
    "batch_norm: x": lambda: functional.batch_norm(X, None, None, training=True),
    "dropout: x": lambda: nn.Dropout()(X),
    "embedding: weight": lambda: functional.embedding([0], X),
    "mse_loss: predictions": lambda: functional.mse_loss(ad.Tensor(X), X),
    "mse_loss: targets": lambda: functional.mse_loss(X.real, X),
    "l1_loss: predictions": lambda: functional.l1_loss(X, X),
    "binary_cross_entropy_with_logits: predictions": lambda: functional.binary_cross_entropy_with_logits(X, X.real),
    "cross_entropy: logits": lambda: functional.cross_entropy(X, np.zeros(40, int)),
    "fit: inputs": lambda: nn.fit(nn.Linear(3, 2), X, Y.real, loss="mse_loss"),
    "fit: targets": lambda: nn.fit(nn.Linear(3, 2), X.real, Y, loss="mse_loss"),
    "Normal: loc": lambda: nn.distributions.Normal(1j, 1.0),
    "plots.weights: the weight": lambda: nn.plots.weights(nn.Linear(4, 2, dtype=np.complex64)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_where_real_numbers_are_needed_the_message_names_the_way_out(what: str) -> None:
    with pytest.raises(
        TypeError, match=rf"^{what} must be real numbers, got .*; make them real first, as by np.abs\(z - w\)"
    ):
        REFUSED[what]()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: nn.BatchNorm1d(3, dtype=np.complex64),
            "BatchNorm1d: dtype must be floating-point, such as np.float32",
        ),
        (lambda: nn.Embedding(3, 2, dtype=np.complex64), "Embedding: dtype must be floating-point"),
        (lambda: nn.Linear(3, 2, dtype=int), "Linear: dtype must be floating-point or complex, such as np.float32"),
        (lambda: nn.optim.minimize(lambda: squared(z, 0), [z]), "is complex: take its real and its imaginary part as"),
        (lambda: nn.optim.clip_grad_value_([z], 1.0), "is complex, and has no order: use clip_grad_norm_"),
        (lambda: nn.fit(nn.Linear(3, 2, dtype=np.complex64), X, Y, loss=lambda o, t: (o - t).mean()), "backward: "),
        (
            lambda: nn.evaluate(nn.Linear(3, 2), X.real, Y.real, loss=lambda o, t: 1j),
            "evaluate: the loss must return a",
        ),
    ],
)
def test_what_complex_numbers_do_not_have(act: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        act()


z = ad.Tensor(normal(2))
z.grad = normal(2)
