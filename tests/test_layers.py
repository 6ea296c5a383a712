"""Activations, normalization and embeddings: values, gradients and state are PyTorch's, over their options."""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.testing import check_gradients
from nn import functional

DTYPES = (np.float64, np.float32)
TOLERANCE = {np.float64: {"rtol": 1e-11, "atol": 1e-12}, np.float32: {"rtol": 3e-5, "atol": 5e-6}}
POINTS = np.array([-30.0, -9.0, -2.5, -1.0, -0.3, 0.0, 0.2, 1.0, 1.7, 6.0, 25.0])
SMOOTH = np.array([-2.5, -0.7, -0.2, 0.3, 0.8, 1.9])  # away from kinks

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])


def activations() -> Iterator[Any]:
    """Give a module, its name in PyTorch and the options of both."""
    for name in ("Sigmoid", "Tanh", "ReLU", "SiLU", "LogSigmoid"):
        yield pytest.param(name, {}, id=name)
    for name, grid in {
        "LeakyReLU": [{}, {"negative_slope": 0.3}, {"negative_slope": 0}, {"negative_slope": -0.5}],
        "ELU": [{}, {"alpha": 0.3}, {"alpha": 2}],
        "GELU": [{}, {"approximate": "tanh"}],
        "Softplus": [{}, {"beta": 0.5}, {"beta": 3, "threshold": 2}, {"threshold": -1}],
        "Hardtanh": [{}, {"min_val": 0, "max_val": 6}, {"min_val": -0.3, "max_val": 0.2}],
    }.items():
        for options in grid:
            yield pytest.param(name, options, id=f"{name} {options}")


every_activation = pytest.mark.parametrize(("name", "options"), list(activations()))


def compare(call: Any, torch_call: Any, x: Any, dtype: Any) -> Any:
    """Assert that two functions have the same values and gradients; gives ours, for what else it is to be."""
    import torch

    ours, theirs = ad.Tensor(x.astype(dtype)), torch.tensor(x.astype(dtype), requires_grad=True)
    out, expected = call(ours), torch_call(theirs)
    assert out.dtype == dtype
    np.testing.assert_allclose(out.data, expected.detach().numpy(), **TOLERANCE[dtype])
    weights = np.random.default_rng(9).uniform(0.5, 1.5, out.shape).astype(dtype)
    (out * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    assert ours.grad.dtype == dtype
    np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), **TOLERANCE[dtype])
    return ours


# Activations


@every_activation
@every_dtype
def test_activations_are_pytorchs(name: str, options: dict[str, Any], dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    for shape in ((-1,), (11, 1), (1, 11, 1)):
        compare(ours, theirs, POINTS.reshape(shape), dtype)
    plain = ours(POINTS.astype(dtype))
    assert not isinstance(plain, ad.Tensor)
    assert plain.dtype == dtype
    assert np.shape(ours(0.5)) == ()


@every_activation
def test_activations_to_second_order(name: str, options: dict[str, Any]) -> None:
    check_gradients(getattr(nn, name)(**options), SMOOTH, order=2)


@every_activation
@every_dtype
def test_activations_of_large_numbers(name: str, options: dict[str, Any], dtype: Any) -> None:
    x = ad.Tensor(np.array([-1e4, 1e4], dtype))
    out = getattr(nn, name)(**options)(x)
    assert np.isfinite(out.data).all()
    out.sum().backward(create_graph=True)
    assert np.isfinite(x.grad.data).all()
    first, x.grad = x.grad, None
    if first.requires_grad:
        first.sum().backward()
        assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_modules(axis: int) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(3, 4))
    compare(nn.Softmax(axis), torch.nn.Softmax(axis), x, np.float64)
    compare(nn.LogSoftmax(axis), torch.nn.LogSoftmax(axis), x, np.float64)
    assert repr(nn.LogSoftmax(axis)) == f"LogSoftmax(axis={axis})"


def test_tails_keep_their_relative_precision() -> None:
    x = np.array([-30.0, -20.0])
    np.testing.assert_allclose(functional.gelu(x), [v / 2 * math.erfc(-v / math.sqrt(2)) for v in x], rtol=1e-12)
    np.testing.assert_allclose(functional.softplus(x), np.exp(x), rtol=1e-8)
    np.testing.assert_allclose(functional.silu(x), x * np.exp(x), rtol=1e-8)
    np.testing.assert_allclose(functional.log_sigmoid(-x), -np.exp(x), rtol=1e-8)


@pytest.mark.parametrize("name", sorted(nn.activations.ACTIVATIONS))
def test_every_activation_stands_in_an_mlp(name: str) -> None:
    model = nn.MLP([4, 5, 3], activation=name, rng=0)
    loss = functional.cross_entropy(model(np.ones((2, 4), np.float32)), [0, 2])
    loss.backward()
    assert loss.dtype == np.float32
    assert all(np.isfinite(parameter.grad).all() for parameter in model.parameters())
    np.testing.assert_array_equal(
        model.layers[1](np.array([0.5, -1.0])), getattr(functional, name)(np.array([0.5, -1.0]))
    )


def test_gelu_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for call in (lambda: functional.gelu(1.0), nn.GELU):
        with pytest.raises(ImportError, match=r'gelu needs SciPy: pip install -e "\.\[special\]"; gelu\(x, approx'):
            call()
    assert functional.gelu(1.0, approximate="tanh") == pytest.approx(0.8412, abs=1e-4)


def test_text_of_activations() -> None:
    assert repr(nn.Softplus(2)) == "Softplus(beta=2, threshold=20.0)"
    assert repr(nn.GELU("tanh")) == "GELU(approximate='tanh')"
    assert repr(nn.SiLU()) == "SiLU()"


@pytest.mark.parametrize("kind", nn.activations.ACTIVATIONS.values(), ids=lambda kind: kind.__name__)
def test_an_activation_has_the_signature_of_its_function(kind: type[nn.Module]) -> None:
    function = getattr(functional, next(name for name, value in nn.activations.ACTIVATIONS.items() if value is kind))
    options = [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()][1:]
    assert [p.replace(annotation=p.empty) for p in inspect.signature(kind).parameters.values()] == options
    module = kind()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert type(twin) is kind
        assert repr(twin) == repr(module)
    assert "Example:" in (kind.__doc__ or "")


def test_activations_by_name() -> None:
    assert list(nn.activations.ACTIVATIONS) == list(get_args(nn.activations.Activation))


def test_an_activation_may_be_derived_from() -> None:
    class Scaled(nn.LeakyReLU):
        scale: nn.Parameter

        def __init__(self, slope: float) -> None:
            super().__init__(slope)
            self.scale = nn.Parameter(2.0)

        def forward(self, x: Any) -> Any:
            return self.scale * super().forward(x)

    module = Scaled(0.5)
    assert module(-1.0).item() == -1.0
    assert [path for path, _ in module.named_parameters()] == ["scale"]


# Identity and Flatten


def test_identity_gives_its_input() -> None:
    x = ad.Tensor([1.0])
    assert nn.Identity()(x) is x


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3, 4), (2, 0, 4)])
@pytest.mark.parametrize("dims", [(), (0,), (1, 2), (0, 1), (-2, -1), (-1,)])
def test_flatten_is_pytorchs(shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    try:
        expected = torch.nn.Flatten(*dims)(torch.tensor(x)).numpy()
    except (IndexError, RuntimeError):
        with pytest.raises(ValueError, match="Flatten: there are no axes from"):
            nn.Flatten(*dims)(x)
        return
    tensor = ad.Tensor(x)
    out = nn.Flatten(*dims)(tensor)
    np.testing.assert_array_equal(out.data, expected)
    out.sum().backward()
    np.testing.assert_array_equal(tensor.grad, np.ones(shape))


# Batch norm


def states_agree(ours: nn.Module, theirs: Any, dtype: Any) -> None:
    state, reference = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(reference)
    for path, array in state.items():
        assert np.shape(array) == tuple(reference[path].shape)
        np.testing.assert_allclose(array, reference[path].numpy(), **TOLERANCE[dtype])


@pytest.mark.together("shape", [(5, 3), (2, 3), (4, 3, 6), (1, 3, 4)])
@pytest.mark.together(
    "options",
    [
        {"momentum": momentum, "affine": affine, "track_running_stats": track}
        for momentum, affine, track in itertools.product((0.1, 0, 1, None), (True, False), (True, False))
    ]
    + [{"eps": 0.5}],
    ids=str,
)
@every_dtype
def test_batch_norm_is_pytorchs(shape: tuple[int, ...], options: dict[str, Any], dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    ours = nn.BatchNorm1d(3, dtype=dtype, **options)
    theirs = torch.nn.BatchNorm1d(3, dtype=getattr(torch, np.dtype(dtype).name), **options)
    states_agree(ours, theirs, dtype)
    rng = np.random.default_rng(0)
    if ours.weight is not None:
        ours.weight.data = rng.normal(size=3).astype(dtype)
        ours.bias.data = rng.normal(size=3).astype(dtype)
        theirs.load_state_dict({path: torch.tensor(array) for path, array in ours.state_dict().items()})
    for training in (False, True, True, False):
        compare(ours.train(training), theirs.train(training), rng.normal(2, 3, shape), dtype)
        states_agree(ours, theirs, dtype)
        for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert parameter.grad.dtype == dtype
            np.testing.assert_allclose(parameter.grad, other.grad.numpy(), **TOLERANCE[dtype])
            parameter.grad = other.grad = None


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_to_second_order(shape: tuple[int, ...], training: bool) -> None:
    rng = np.random.default_rng(0)
    args = (rng.normal(size=shape), rng.normal(size=3), rng.normal(size=3))

    def call(x: Any, weight: Any, bias: Any) -> Any:
        return functional.batch_norm(x, np.full(3, 0.2), np.full(3, 2.0), weight, bias, training)

    check_gradients(call, *args, order=2)


def test_running_numbers_are_written_where_they_are() -> None:
    mean, var = np.zeros(2), np.ones(2)
    functional.batch_norm(np.array([[0.0, 1.0], [2.0, 1.0]]), mean, var, training=True, momentum=0.5)
    np.testing.assert_array_equal(mean, [0.5, 0.5])
    np.testing.assert_array_equal(var, [1.5, 0.5])


def test_training_does_not_disturb_an_evaluation_before_it() -> None:
    layer = nn.BatchNorm1d(2, dtype=np.float64)
    x = ad.Tensor([[1.0, 2.0], [5.0, 3.0]])
    out = layer.eval()(x).sum()
    layer.train()(x)
    out.backward()
    np.testing.assert_allclose(x.grad, np.full((2, 2), 1 / np.sqrt(1 + 1e-5)))


@pytest.mark.parametrize("shape", [(3,), (4, 2), (4, 3, 2, 2), (1, 3), (1, 3, 1), (0, 3)])
def test_batch_norm_refuses_a_batch_and_stays_as_it_was(shape: tuple[int, ...]) -> None:
    layer = nn.BatchNorm1d(3)
    before = {path: array.tobytes() for path, array in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"(BatchNorm1d|batch_norm): .*\bgot .*\("):
        layer(np.ones(shape, np.float32))
    assert {path: array.tobytes() for path, array in layer.state_dict().items()} == before


def test_a_single_row_can_be_evaluated() -> None:
    assert nn.BatchNorm1d(3).eval()(np.ones((1, 3), np.float32)).shape == (1, 3)
    assert nn.BatchNorm1d(3)(np.arange(6, dtype=np.float32).reshape(1, 3, 2)).shape == (1, 3, 2)


# Layer norm


@pytest.mark.together(
    ("shape", "row"), [((5, 3), 3), ((5, 3), (3,)), ((2, 4, 3), [4, 3]), ((4, 3), (4, 3)), ((3,), 3), ((0, 3), 3)]
)
@pytest.mark.together("options", [{}, {"eps": 0.5}, {"bias": False}, {"elementwise_affine": False}], ids=str)
@every_dtype
def test_layer_norm_is_pytorchs(shape: tuple[int, ...], row: Any, options: dict[str, Any], dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    ours = nn.LayerNorm(row, dtype=dtype, **options)
    theirs = torch.nn.LayerNorm(row, dtype=getattr(torch, np.dtype(dtype).name), **options)
    states_agree(ours, theirs, dtype)
    rng = np.random.default_rng(0)
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        parameter.data = rng.normal(size=parameter.shape).astype(dtype)
        other.data = torch.tensor(parameter.data)
    compare(ours, theirs, rng.normal(2, 3, shape), dtype)
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad, other.grad.numpy(), **TOLERANCE[dtype])


def test_layer_norm_to_second_order() -> None:
    rng = np.random.default_rng(0)
    args = rng.normal(size=(2, 2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    check_gradients(lambda x, weight, bias: functional.layer_norm(x, (2, 3), weight, bias), *args, order=2)


# Embedding


@pytest.mark.parametrize("indices", [np.array([1, 3, 1]), np.array([[1, 3], [1, 1]], np.uint8), np.array(2)], ids=str)
@pytest.mark.parametrize("padding_idx", [None, 1, 0, -3, 3])
@every_dtype
def test_embedding_is_pytorchs(indices: Any, padding_idx: Any, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    ours = nn.Embedding(4, 2, padding_idx, rng=0, dtype=dtype)
    theirs = torch.nn.Embedding(4, 2, padding_idx, dtype=getattr(torch, np.dtype(dtype).name))
    if padding_idx is not None:
        assert not ours.weight.data[padding_idx].any()
    theirs.weight.data = torch.tensor(ours.weight.data)
    out, expected = ours(indices), theirs(torch.tensor(indices.astype(int)))
    assert out.dtype == dtype
    np.testing.assert_array_equal(out.data, expected.detach().numpy())
    weights = np.random.default_rng(9).uniform(0.5, 1.5, out.shape).astype(dtype)
    (out * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    assert ours.weight.grad.dtype == dtype
    np.testing.assert_allclose(ours.weight.grad, theirs.weight.grad.numpy(), **TOLERANCE[dtype])


def test_embedding_of_lists_tensors_and_nothing() -> None:
    table = np.arange(6.0).reshape(3, 2)
    for indices in ([2, 0], ad.Tensor(np.array([2, 0]), requires_grad=False)):
        np.testing.assert_array_equal(functional.embedding(indices, table), [[4, 5], [0, 1]])
    assert functional.embedding(np.zeros((0, 3), int), table).shape == (0, 3, 2)


@pytest.mark.parametrize("padding_idx", [None, 0])
def test_embedding_to_second_order(padding_idx: Any) -> None:
    call: Callable[[Any], Any] = lambda w: functional.embedding([0, 2, 2], w, padding_idx) ** 3  # noqa: E731
    if padding_idx is None:
        check_gradients(call, np.random.default_rng(0).normal(size=(3, 2)), order=2)
    else:
        check_gradients(lambda w: call(np.concatenate([np.zeros((1, 2)), w])), np.ones((2, 2)), order=2)


# Together


@pytest.mark.parametrize("copy", ["state_dict", "file"])
def test_a_model_of_every_layer_is_saved_with_its_buffers(copy: str, tmp_path: Any) -> None:
    def build(seed: int) -> nn.Sequential:
        rng = np.random.default_rng(seed)
        return nn.Sequential(
            nn.Embedding(10, 4, 0, rng=rng),
            nn.LayerNorm(4),
            nn.Flatten(),
            nn.Linear(12, 6, rng=rng),
            nn.BatchNorm1d(6),
            nn.GELU("tanh"),
            nn.Dropout(rng=rng),
            nn.Identity(),
            nn.Linear(6, 3, rng=rng),
        )

    model, twin = build(0), build(1)
    words = np.random.default_rng(2).integers(0, 10, (8, 3))
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(words), words[:, 0] % 3)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    if copy == "file":
        nn.save(model, tmp_path / "model.safetensors")
        nn.load(twin, tmp_path / "model.safetensors")
    else:
        twin.load_state_dict(model.state_dict())
    assert twin.layers[4].num_batches_tracked.item() == 30
    assert twin.layers[4].num_batches_tracked.dtype == np.int64
    np.testing.assert_array_equal(twin.eval()(words).data, model.eval()(words).data)


def test_text_of_layers() -> None:
    assert repr(nn.BatchNorm1d(3)) == "BatchNorm1d(3, eps=1e-05, momentum=0.1): weight (3,), bias (3,), 6 parameters"
    assert (
        repr(nn.BatchNorm1d(3, affine=False, track_running_stats=False))
        == "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)"
    )
    assert repr(nn.LayerNorm(3, bias=False)) == "LayerNorm((3,), eps=1e-05, bias=False): weight (3,), 3 parameters"
    assert repr(nn.LayerNorm(3, elementwise_affine=False)) == "LayerNorm((3,), eps=1e-05, elementwise_affine=False)"
    assert repr(nn.Embedding(5, 2, 1)) == "Embedding(5, 2, padding_idx=1): weight (5, 2), 10 parameters"
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"


# One dtype


LAYERS_WITH_ROWS = [
    pytest.param(lambda dtype: nn.Linear(3, 2, rng=0, dtype=dtype), id="linear"),
    pytest.param(lambda dtype: nn.Linear(3, 2, bias=False, rng=0, dtype=dtype), id="linear without bias"),
    pytest.param(lambda dtype: nn.BatchNorm1d(3, dtype=dtype), id="batch norm"),
    pytest.param(lambda dtype: nn.BatchNorm1d(3, dtype=dtype).eval(), id="batch norm in evaluation"),
    pytest.param(lambda dtype: nn.BatchNorm1d(3, affine=False, dtype=dtype), id="batch norm without weight"),
    pytest.param(lambda dtype: nn.LayerNorm(3, dtype=dtype), id="layer norm"),
    pytest.param(lambda dtype: nn.LayerNorm(3, bias=False, dtype=dtype), id="layer norm without bias"),
    pytest.param(lambda dtype: nn.MLP([3, 4, 2], "gelu", dropout=0.5, rng=0, dtype=dtype), id="mlp"),
]


@pytest.mark.together("make", LAYERS_WITH_ROWS)
@pytest.mark.together("own", [np.float16, np.float32, np.float64])
@pytest.mark.together("given", [np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool, list, "Tensor"])
def test_layers_convert_their_input_to_their_dtype(make: Any, own: Any, given: Any) -> None:
    rows = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    expected = make(own)(rows.astype(own))
    if given == "Tensor":
        x: Any = ad.Tensor(rows)
    else:
        x = rows.tolist() if given is list else rows.astype(given)
    out = make(own)(x)
    assert out.dtype == own
    assert np.array_equal(getattr(out, "data", out), getattr(expected, "data", expected))
    if given == "Tensor":
        out.sum().backward()
        assert x.grad.dtype == np.float64


def test_an_integer_tensor_is_converted_too() -> None:
    layer = nn.Linear(2, 1, rng=0)
    indices = ad.Tensor([[1, 2]], requires_grad=False)
    assert layer(indices).dtype == np.float32
    assert nn.Embedding(3, 2, rng=0)(indices).shape == (1, 2, 2)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_loop_of_ones_own_stays_in_the_dtype_of_the_model(compiled: bool) -> None:
    X, y = np.random.default_rng(0).normal(size=(2, 8, 3))
    seen = []

    class Watched(nn.MLP):
        def forward(self, x: Any) -> Any:
            seen.append((out := super().forward(x)).dtype)
            return out

    def losses(X: Any, y: Any) -> list[Any]:
        model = Watched([3, 4, 3], rng=0)
        optimizer = nn.optim.SGD(model.parameters(), lr=0.1)

        def step(X: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = functional.mse_loss(model(X), y)
            loss.backward()
            optimizer.step()
            return loss

        run = ad.compile(step, state=(model, optimizer)) if compiled else step
        return [np.asarray(ad.stop_gradient(run(X, y)).data) for _ in range(3)]

    mixed = losses(X, y)
    assert {loss.dtype for loss in mixed} == {np.dtype(np.float32)}
    np.testing.assert_allclose(mixed, losses(X.astype(np.float32), y.astype(np.float32)), rtol=1e-6)
    assert set(seen) == {np.dtype(np.float32)}
