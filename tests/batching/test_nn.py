"""Functions, layers and distributions of nn on a batch: what each member gives alone, values and gradients."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import distributions, functional

SIZE = 3
LABELS, BINARY, INDICES = ("labels", 5), ("binary", 5), ("labels", 2, 4)
ACTIVATIONS: list[Any] = [
    "elu", "gelu", "hardtanh", "leaky_relu", "log_sigmoid", "log_softmax", "relu", "sigmoid", "silu", "softmax",
    "softplus", "tanh",
]  # fmt: skip


def drawn(form: Any, seed: int) -> Any:
    """Draw an array for each member: normal numbers of a shape, or what the first word of the form says."""
    rng = np.random.default_rng(seed)
    kind, *lengths = form if form and isinstance(form[0], str) else ("normal", *form)
    shape = (SIZE, *lengths)
    if kind == "normal":
        return rng.normal(size=shape)
    if kind == "labels":
        return rng.integers(0, 3, shape)
    if kind == "binary":
        return rng.integers(0, 2, shape)
    if kind == "rows":
        weights = rng.uniform(0.1, 1, shape)
        return weights / weights.sum(axis=-1, keepdims=True)
    return rng.uniform(0.05, 0.95, shape) if kind == "unit" else rng.uniform(0.5, 2, shape)


@dataclass(frozen=True)
class Case:
    """A function, and of which form its arguments are; those that are integers are constants."""

    name: str
    function: Callable[..., Any]
    forms: tuple[Any, ...]

    def __str__(self) -> str:
        return self.name

    def args(self) -> list[Any]:
        return [drawn(form, seed) for seed, form in enumerate(self.forms)]


def of(name: str, *forms: Any, **options: Any) -> Case:
    listed = "".join(f", {key}={value}" for key, value in options.items())
    call = getattr(functional, name)
    return Case(f"{name} of {', '.join(map(str, forms))}{listed}", lambda *args: call(*args, **options), forms)


LOSSES: list[tuple[str, Any, dict[str, Any]]] = [
    ("mse_loss", ((), ()), {}),
    ("mse_loss", ((4,), (4,)), {}),
    ("mse_loss", ((4, 2), (4, 2)), {}),
    ("l1_loss", ((4,), (4,)), {}),
    ("huber_loss", ((4,), (4,)), {"delta": 0.5}),
    ("smooth_l1_loss", ((4,), (4,)), {"beta": 0.5}),
    ("smooth_l1_loss", ((4,), (4,)), {"beta": 0.0}),
    ("binary_cross_entropy", (("unit", 4), ("unit", 4)), {}),
    ("binary_cross_entropy", (("unit", 4), ("unit", 4), ("positive", 4)), {}),
    ("binary_cross_entropy_with_logits", ((5,), BINARY), {}),
    ("binary_cross_entropy_with_logits", ((5,), ("unit", 5), ("positive", 5)), {"pos_weight": 2.0}),
    ("kl_div", ((2, 3), ("rows", 2, 3)), {}),
    ("kl_div", ((2, 3), ("rows", 2, 3)), {"log_target": True}),
    ("gaussian_nll_loss", ((4,), (4,), ("positive", 4)), {"full": True}),
    ("gaussian_nll_loss", ((2, 4), (2, 4), ("positive", 2)), {}),
    ("poisson_nll_loss", ((5,), LABELS), {"full": True}),
    ("poisson_nll_loss", (("positive", 5), LABELS), {"log_input": False}),
    ("cross_entropy", ((5, 3), LABELS), {}),
    ("cross_entropy", ((3,), ("labels",)), {}),
    ("cross_entropy", ((5, 3, 2), ("labels", 5, 2)), {}),
    ("cross_entropy", ((5, 3), ("rows", 5, 3)), {"label_smoothing": 0.1}),
    ("cross_entropy", ((5, 3), LABELS), {"label_smoothing": 0.1, "ignore_index": 1}),
    ("cross_entropy", ((5, 3), LABELS), {"weight": np.array([1.0, 2.0, 0.5]), "ignore_index": 1}),
    ("nll_loss", ((5, 3), LABELS), {}),
    ("nll_loss", ((3,), ("labels",)), {}),
    ("nll_loss", ((5, 3), LABELS), {"ignore_index": 1}),
]
FUNCTIONS = [
    *(of(name, shape) for name in ACTIVATIONS for shape in [(), (4,), (2, 3)] if shape or "softmax" not in name),
    of("elu", (4,), alpha=0.5),
    of("gelu", (4,), approximate="tanh"),
    of("hardtanh", (4,), min_val=-0.5, max_val=0.25),
    of("leaky_relu", (4,), negative_slope=0.3),
    of("softplus", (4,), beta=2.0, threshold=1.0),
    *(of(name, (2, 3, 2), axis=axis) for name in ("softmax", "log_softmax") for axis in (0, 1, -1)),
    *(of("logsumexp", (2, 3), axis=axis, keepdims=k) for axis in (0, -1, None, (0, 1)) for k in (False, True)),
    *(of("linear", shape, (4, 2), *bias) for shape in [(4,), (5, 4), (2, 3, 4)] for bias in [(), ((2,),)]),
    Case("layer_norm of rows", lambda x, w, b: functional.layer_norm(x, 4, w, b), ((2, 4), (4,), (4,))),
    of("layer_norm", (4,), normalized_shape=4),
    Case("layer_norm of two axes", lambda x, w: functional.layer_norm(x, (3, 4), w), ((2, 3, 4), (3, 4))),
    of("batch_norm", (5, 3), (3,), ("positive", 3), (3,), (3,)),
    of("batch_norm", (5, 3, 2), (3,), ("positive", 3), (3,), (3,)),
    of("embedding", INDICES, (3, 2)),
    of("embedding", ("labels",), (3, 2)),
    of("embedding", INDICES, (3, 2), padding_idx=1),
    of("dropout", (4,), training=False),
    *(
        of(name, *forms, reduction=reduction, **options)
        for reduction in ("mean", "sum", "none")
        for name, forms, options in LOSSES
    ),
    of("kl_div", (2, 3), ("rows", 2, 3), reduction="batchmean"),
    Case("mse_loss with weights", lambda x, y, w: functional.mse_loss(x, y, weight=w), ((4,), (4,), ("positive", 4))),
    Case("huber_loss of a delta", lambda x, y, d: functional.huber_loss(x, y, delta=d + 1), ((4,), (4,), ("labels",))),
]


def _gaussian(loc: Any, root: Any) -> Any:
    return distributions.MultivariateNormal(loc, root @ root.T + np.eye(3))


LOCATED = [distributions.Normal, distributions.Laplace]
DISTRIBUTIONS = [
    *(
        Case(f"{d.__name__} log_prob", lambda v, m, s, d=d: d(m, s).log_prob(v), ((4,), (), ("positive",)))
        for d in LOCATED
    ),
    *(Case(f"{d.__name__} cdf", lambda v, m, s, d=d: d(m, s).cdf(v), ((), (), ("positive",))) for d in LOCATED),
    *(Case(f"{d.__name__} entropy", lambda m, s, d=d: d(m, s).entropy(), ((2,), ("positive", 2))) for d in LOCATED),
    Case("Uniform", lambda v, a: distributions.Uniform(-a, a + 1).log_prob(v), (("unit", 4), ("unit",))),
    Case("Exponential", lambda v, r: distributions.Exponential(r).log_prob(v), (("unit", 4), ("positive",))),
    Case("Bernoulli", lambda v, p: distributions.Bernoulli(logits=p).log_prob(v), (BINARY, ())),
    Case("Bernoulli of probabilities", lambda v, p: distributions.Bernoulli(p).log_prob(v), (BINARY, ("unit",))),
    Case("Categorical", lambda v, p: distributions.Categorical(logits=p).log_prob(v), (LABELS, (3,))),
    Case("Categorical entropy", lambda p: distributions.Categorical(p).entropy(), (("rows", 3),)),
    Case("StudentT", lambda v, d, s: distributions.StudentT(d, v, s).log_prob(v[::-1]), ((4,), *(("positive",),) * 2)),
    Case("Gamma", lambda v, a: distributions.Gamma(a, a).log_prob(v), (("positive", 4), ("positive",))),
    Case("Beta", lambda v, a, b: distributions.Beta(a, b).log_prob(v), (("unit", 4), *(("positive",),) * 2)),
    Case("Poisson", lambda r: distributions.Poisson(r).log_prob(np.arange(4)), (("positive",),)),
    Case("Dirichlet", lambda v, a: distributions.Dirichlet(a).log_prob(v), (("rows", 4, 3), ("positive", 3))),
    Case("MultivariateNormal", lambda m, r: _gaussian(m, r).log_prob(m[::-1]), ((3,), (3, 3))),
    Case(
        "entropy of vectors",
        lambda a, r: distributions.Dirichlet(a).entropy() + _gaussian(a, r).entropy(),
        (("positive", 3), (3, 3)),
    ),
    Case(
        "divergence of normal distributions",
        lambda m, s: distributions.kl_divergence(distributions.Normal(m, s), distributions.Normal(0.0, 1.0)),
        ((), ("positive",)),
    ),
]


def alone(function: Callable[..., Any], args: list[Any], axes: tuple[int | None, ...]) -> Any:
    """Give what the function gives for each member, one after the other."""
    results = [
        function(*(x if axis is None else x[k] for x, axis in zip(args, axes, strict=True))) for k in range(SIZE)
    ]
    if isinstance(results[0], tuple):
        return [np.stack(parts) for parts in zip(*results, strict=True)]
    return np.stack(results)


def close(result: Any, expected: Any) -> None:
    for one, other in zip(result, expected, strict=True) if isinstance(expected, list) else [(result, expected)]:
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.together("case", [*FUNCTIONS, *DISTRIBUTIONS], ids=str)
def test_each_member_has_its_value_and_gradient(case: Case) -> None:
    stacked = case.args()
    floats = tuple(k for k, x in enumerate(stacked) if x.dtype.kind == "f")
    for axes in itertools.product((0, None), repeat=len(stacked)):
        if set(axes) == {None}:
            continue
        args = [x[0] if axis is None else x for x, axis in zip(stacked, axes, strict=True)]
        close(ad.vmap(case.function, axes)(*args), alone(case.function, args, axes))
        if not floats:
            continue

        def number(*args: Any) -> Any:
            out = case.function(*args)
            return (out * np.linspace(0.5, 1.5, out.size).reshape(out.shape)).sum()

        gradient = ad.grad(number, floats)
        each = alone(gradient, args, axes)
        close(list(ad.vmap(gradient, axes)(*args)), each)
        total = ad.grad(lambda *args: ad.vmap(number, axes)(*args).sum(), floats)(*args)  # noqa: B023
        close(list(total), [g.sum(axis=0) if axes[k] is None else g for k, g in zip(floats, each, strict=True)])


def test_every_function_has_a_case() -> None:
    assert {case.name.split()[0] for case in FUNCTIONS} == set(functional.__all__) - {"one_hot"}  # of integers


def test_one_hot_of_a_batch() -> None:
    labels = drawn(("labels", 4), 0)
    batch = ad.vmap(lambda labels: functional.one_hot(labels, 3))(labels)
    np.testing.assert_array_equal(batch, functional.one_hot(labels, 3))


# Layers, as functions of their parameters


def affine(layer: nn.Module) -> nn.Module:
    """Give parameters that begin as zeros and ones other numbers."""
    rng = np.random.default_rng(9)
    for tensor in [*layer.parameters(), *layer.buffers()]:
        if tensor.dtype.kind == "f":
            tensor.data = np.asarray(rng.uniform(0.5, 2, tensor.shape), tensor.dtype)
    return layer


LAYERS = {
    **{kind.__name__: (kind(), (2, 4)) for kind in map(nn.activations.ACTIVATIONS.get, ACTIVATIONS) if kind},
    "Linear": (affine(nn.Linear(4, 3, rng=0, dtype=np.float64)), (5, 4)),
    "Linear without bias": (nn.Linear(4, 3, bias=False, rng=0, dtype=np.float64), (4,)),
    "Identity": (nn.Identity(), (4,)),
    "Flatten": (nn.Flatten(), (2, 3, 4)),
    "Dropout in evaluation": (nn.Dropout(0.5, rng=0).eval(), (4,)),
    "BatchNorm1d in evaluation": (affine(nn.BatchNorm1d(4, dtype=np.float64)).eval(), (5, 4)),
    "BatchNorm1d without running numbers": (
        affine(nn.BatchNorm1d(4, track_running_stats=False, dtype=np.float64)),
        (5, 4),
    ),
    "LayerNorm": (affine(nn.LayerNorm(4, dtype=np.float64)), (5, 4)),
    "Embedding": (nn.Embedding(3, 2, rng=0, dtype=np.float64), INDICES),
    "Embedding with padding": (nn.Embedding(3, 2, padding_idx=1, rng=0, dtype=np.float64), INDICES),
    "Sequential": (
        nn.Sequential(
            nn.Embedding(3, 2, rng=0, dtype=np.float64), nn.Flatten(), affine(nn.LayerNorm(8, dtype=np.float64)),
            nn.Linear(8, 2, rng=1, dtype=np.float64),
        ),
        INDICES,
    ),
    **{
        f"MLP of {name}": (nn.MLP([4, 5, 3], name, rng=0, dtype=np.float64), shape)
        for name in ACTIVATIONS
        for shape in [(2, 4)]
    },
    "MLP of one row": (nn.MLP([4, 5, 3], rng=0, dtype=np.float64), (4,)),
    "MLP with dropout in evaluation": (nn.MLP([4, 5, 3], dropout=0.5, rng=0, dtype=np.float64).eval(), (4,)),
}  # fmt: skip


def state(model: nn.Module) -> dict[str, Any]:
    return {path: array for path, array in model.state_dict().items() if array.dtype.kind == "f"}


@pytest.mark.parametrize("name", LAYERS)
def test_each_example_has_its_own_gradient(name: str) -> None:
    layer, form = LAYERS[name]
    parameters, X = state(layer), drawn(form, 0)

    def loss(parameters: Any, x: Any) -> Any:
        out = nn.functional_call(layer, parameters, x)
        return (out * np.linspace(0.5, 1.5, out.size).reshape(out.shape)).sum() * 1.0

    def member(arg: Any, axis: int | None, k: int) -> Any:
        if axis is None:
            return arg
        return {path: x[k] for path, x in arg.items()} if isinstance(arg, dict) else arg[k]

    def compared(by: int, axes: tuple[int | None, ...], *args: Any) -> None:
        gradient = ad.grad(loss, by)
        batch = ad.vmap(gradient, axes)(*args)
        for k in range(SIZE):
            one = gradient(*(member(arg, axis, k) for arg, axis in zip(args, axes, strict=True)))
            for path in parameters if by == 0 else [...]:
                np.testing.assert_allclose(batch[path][k], one[path], rtol=1e-11, atol=1e-13, err_msg=str(path))

    if X.dtype.kind == "f":
        compared(1, (None, 0), parameters, X)
    if parameters:
        stacked = {path: np.stack([array * (1 + k / 7) for k in range(SIZE)]) for path, array in parameters.items()}
        compared(0, (None, 0), parameters, X)
        compared(0, (0, None), stacked, X[0])
        compared(0, (0, 0), stacked, X)


def test_every_layer_has_a_case() -> None:
    kinds = {
        kind.__name__
        for kind in map(nn.__dict__.get, nn.__all__)
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    losses = {name for name in kinds if issubclass(getattr(nn, name), nn.losses.LossModule)}  # are functions, above
    assert {name.split()[0] for name in LAYERS} == kinds - losses - {"Module", "ModuleDict", "ModuleList"}


# Ensembles


@pytest.mark.parametrize("optimizer", [nn.optim.SGD, nn.optim.Adam], ids=lambda kind: kind.__name__)
def test_an_ensemble_trained_at_once_is_what_its_members_are_alone(optimizer: Any) -> None:
    X, y = drawn((8, 4), 0)[0], drawn(("labels", 8), 1)[0]
    models = [nn.MLP([4, 6, 3], "tanh", rng=seed, dtype=np.float64) for seed in range(SIZE)]
    states = [model.state_dict() for model in models]
    stacked = {path: nn.Parameter(np.stack([state[path] for state in states])) for path in states[0]}
    template = nn.MLP([4, 6, 3], "tanh", rng=9, dtype=np.float64)

    def loss(parameters: Any, X: Any, y: Any) -> Any:
        return functional.cross_entropy(nn.functional_call(template, parameters, X), y)

    at_once = optimizer(list(stacked.values()), lr=0.1)
    for _ in range(5):
        at_once.zero_grad()
        ad.vmap(loss, in_axes=(0, None, None))(stacked, X, y).sum().backward()
        at_once.step()
    for k, model in enumerate(models):
        alone = optimizer(model.parameters(), lr=0.1)
        for _ in range(5):
            alone.zero_grad()
            functional.cross_entropy(model(X), y).backward()
            alone.step()
        for path, parameter in model.named_parameters():
            np.testing.assert_allclose(stacked[path].data[k], parameter.data, rtol=1e-11, atol=1e-13, err_msg=path)
    assert all(parameter.grad is None for parameter in template.parameters())


def test_each_member_of_an_ensemble_has_its_own_examples() -> None:
    model = nn.Linear(2, 1, rng=0, dtype=np.float64)
    weights, X = drawn((2, 1), 0), drawn((4, 2), 1)
    out = ad.vmap(lambda w, X: nn.functional_call(model, {"weight": w}, X))(weights, X)
    np.testing.assert_allclose(out.data, X @ weights + model.state_dict()["bias"], rtol=1e-14)


# What draws, and what changes buffers


def test_dropout_is_refused_unless_it_is_said_who_draws() -> None:
    layer = nn.Dropout(0.5, rng=0)
    for x in (np.ones((SIZE, 40)), ad.Tensor(np.ones((SIZE, 40)))):
        with pytest.raises(RuntimeError, match=r'vmap: .*draws random.*randomness="different".*"same"'):
            ad.vmap(layer)(x)
    with pytest.raises(RuntimeError, match="randomness"):
        ad.vmap(lambda x, y: y + layer(x), in_axes=(None, 0))(np.ones(40), np.ones((SIZE, 40)))  # shared, too
    same = ad.vmap(layer, randomness="same")(np.ones((SIZE, 40)))
    assert set(np.unique(same)) == {0, 2}
    np.testing.assert_array_equal(same, same[[0, 0, 0]])
    different = ad.vmap(layer, randomness="different")(np.ones((SIZE, 40)))
    assert set(np.unique(different)) == {0, 2}
    assert len({tuple(row) for row in different}) == SIZE


def test_what_members_drop_of_something_shared() -> None:
    def f(x: Any, y: Any) -> Any:
        return y + functional.dropout(x, rng=rng)

    rng, args = np.random.default_rng(0), (np.ones(40), np.zeros((SIZE, 40)))
    same = ad.vmap(f, in_axes=(None, 0), randomness="same")(*args)
    assert len({tuple(row) for row in same}) == 1
    different = ad.vmap(f, in_axes=(None, 0), randomness="different")(*args)
    assert len({tuple(row) for row in different}) == SIZE


def test_gradients_of_dropout_are_those_of_what_was_kept() -> None:
    rng, X = np.random.default_rng(0), drawn((30,), 0)
    of_each = ad.vmap(ad.value_and_grad(lambda x: functional.dropout(x, 0.3, rng=rng).sum()), randomness="different")
    out, gradient = of_each(X)
    np.testing.assert_allclose((X * gradient).sum(axis=1), out, rtol=1e-12)
    assert len({tuple(row) for row in gradient}) == SIZE


@pytest.mark.parametrize("outer", ["same", "different"])
@pytest.mark.parametrize("inner", ["same", "different"])
def test_dropout_in_a_batch_of_batches(outer: Any, inner: Any) -> None:
    rng, X = np.random.default_rng(0), np.ones((SIZE, 4, 30))
    out = ad.vmap(ad.vmap(lambda x: functional.dropout(x, rng=rng), randomness=inner), randomness=outer)(X)
    assert len({tuple(row) for row in out.reshape(-1, 30)}) == (SIZE if outer == "different" else 1) * (
        4 if inner == "different" else 1
    )
    assert len({tuple(row) for row in out[:, 0]}) == (SIZE if outer == "different" else 1)


@pytest.mark.parametrize(
    "p",
    [
        distributions.Normal(0.0, 1.0),
        distributions.Laplace(0.0, 1.0),
        distributions.Uniform(0.0, 1.0),
        distributions.Exponential(1.0),
        distributions.Bernoulli(0.5),
        distributions.Categorical(np.full(9, 1 / 9)),
        distributions.StudentT(3.0),
        distributions.Gamma(0.5, 2.0),
        distributions.Poisson(5.0),
        distributions.Beta(0.5, 2.0),
    ],
    ids=lambda p: type(p).__name__,
)
def test_samples_in_a_batch(p: Any) -> None:
    def sample(x: Any) -> Any:
        return x + p.sample(20, rng=rng)

    rng, zeros = np.random.default_rng(0), np.zeros((SIZE, 1))
    with pytest.raises(RuntimeError, match="randomness"):
        ad.vmap(sample)(zeros)
    assert len({tuple(row) for row in ad.vmap(sample, randomness="same")(zeros)}) == 1
    assert len({tuple(row) for row in ad.vmap(sample, randomness="different")(zeros)}) == SIZE


def test_samples_of_distributions_with_parameters_in_a_batch() -> None:
    rng, loc = np.random.default_rng(0), np.array([0.0, 100.0, 200.0])
    samples = ad.vmap(lambda m: distributions.Normal(m, 1.0).rsample(50, rng=rng), randomness="different")(loc)
    np.testing.assert_allclose(samples.mean(axis=1), loc, atol=1)
    slopes = ad.vmap(ad.grad(lambda m: distributions.Normal(m, 1.0).rsample(4, rng=rng).sum()), randomness="same")(loc)
    np.testing.assert_allclose(slopes, 4)
    for draw in (
        lambda m, rng: distributions.Gamma(m + 1, 1.0).rsample(4, rng=rng),
        lambda m, rng: distributions.Dirichlet(m + np.ones(2)).rsample(2, rng=rng),
        lambda m, rng: distributions.MultivariateNormal(m * np.ones(2), np.eye(2)).rsample(2, rng=rng),
        lambda m, rng: distributions.Poisson(m).sample(4, rng=rng),
    ):
        alone = np.stack([draw(m, np.random.default_rng(3)) for m in loc])
        at_once = ad.vmap(lambda m, draw=draw: draw(m, np.random.default_rng(3)), randomness="same")(loc)
        np.testing.assert_allclose(at_once, alone, rtol=1e-12)
    probs = np.array([[1.0, 0.0], [0.0, 1.0]])
    drawn_classes = ad.vmap(lambda p: distributions.Categorical(p).sample(5, rng=rng), randomness="different")(probs)
    np.testing.assert_array_equal(drawn_classes, [[0] * 5, [1] * 5])


def test_first_weights_in_a_batch() -> None:
    def out(x: Any) -> Any:
        return nn.MLP([2, 3, 2], "tanh")(x)

    X = np.ones((SIZE, 2), np.float32)
    with pytest.raises(RuntimeError, match="randomness"):
        ad.vmap(out)(X)
    assert len({tuple(row) for row in ad.vmap(out, randomness="same")(X).data}) == 1
    assert len({tuple(row) for row in ad.vmap(out, randomness="different")(X).data}) == SIZE
    table = ad.vmap(lambda k: nn.Embedding(2, 8)(k), randomness="different")(np.zeros(SIZE, int))
    assert len({tuple(row) for row in table.data}) == SIZE


def test_running_numbers_are_not_changed_in_a_batch() -> None:
    model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.BatchNorm1d(3))
    before = model.state_dict()
    X = drawn((5, 4), 0)
    shared = {"layers.1.weight": np.ones((SIZE, 3)), "layers.1.bias": np.zeros((SIZE, 3))}
    calls: list[Any] = [
        lambda: ad.vmap(model)(X),
        lambda: ad.vmap(lambda p: nn.functional_call(model, p, X[0]))(shared),
        lambda: ad.vmap(lambda p: nn.functional_call(model, p, X[0]))({"layers.1.running_mean": np.zeros((SIZE, 3))}),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match=r"batch_norm: under vmap, .*model.eval\(\).*track_running_stats=False"):
            call()
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path], err_msg=path)
    model.eval()
    np.testing.assert_allclose(ad.vmap(model)(X).data, np.stack([model(x).data for x in X]), rtol=1e-6)


def test_no_buffer_is_changed_in_a_batch() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            self.count = nn.Buffer(0.0)

        def forward(self, x: Any) -> Any:
            self.count.data = self.count.data + 1
            return x * self.count

    counter = Counter()
    with pytest.raises(RuntimeError, match=r"Buffer 'count' of shape .* is changed under vmap"):
        ad.vmap(counter)(np.ones(3))
    assert counter.count.data == 0

    def fresh(x: Any) -> Any:
        return Counter()(x)

    np.testing.assert_array_equal(ad.vmap(fresh)(np.ones(3)).data, np.ones(3))
    counter(1.0)
    assert counter.count.data == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: functional.cross_entropy(x, y), r"labels must lie from 0 to 2 for 3 classes, got 7"),
        (lambda x, y: functional.binary_cross_entropy(x, x), "targets must be probabilities between 0 and 1, got 9.0"),
        (lambda x, y: functional.embedding(y, x), "indices must lie from 0 to 1 for 2 rows, got 7"),
        (lambda x, y: functional.mse_loss(x, y), r"must have the same shape, got \(2, 3\) and \(2,\)"),
        (lambda x, y: functional.huber_loss(x, x, delta=-y[0]), "delta must be positive, got np.int64"),
        (lambda x, y: functional.huber_loss(x, x, delta=y), "delta must be a number, positive, got <batch of 3 arrays"),
        (lambda x, y: distributions.Normal(0.0, x).log_prob(1.0), "scale must be positive"),
    ],
    ids=range(7),
)
def test_what_is_wrong_for_one_member_is_refused(call: Any, message: str) -> None:
    X, y = np.zeros((SIZE, 2, 3)), np.ones((SIZE, 2), int)
    X[2, 0, 1], y[1, 1] = 9, 7
    with pytest.raises((ValueError, IndexError, TypeError), match=message):
        ad.vmap(call)(X, y)
