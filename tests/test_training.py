"""The training loop with its options, the history it keeps, and evaluation."""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import functional

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
LABELS = (X[:, 0] + X[:, 1] > 0).astype(np.int64) + (X[:, 2] > 0)


def mlp(seed: int = 0, sizes: tuple[int, ...] = (4, 16, 3), **options: Any) -> nn.MLP:
    return nn.MLP(sizes, rng=seed, **options)


def bits(model: nn.Module) -> list[bytes]:
    return [array.tobytes() for array in model.state_dict().values()]


# Learning


def test_fit_learns_classes() -> None:
    model = mlp()
    optimizer = nn.optim.Adam(model.parameters(), lr=0.02)
    history = nn.fit(model, X, LABELS, optimizer=optimizer, epochs=60, batch_size=10, rng=0)
    assert history.loss[0] > 0.8
    assert history.loss[-1] < 0.05
    loss, accuracy = nn.evaluate(model, X, LABELS)
    assert loss < 0.05
    assert accuracy == 1.0


def test_fit_learns_numbers() -> None:
    model = mlp(sizes=(4, 1))
    W = np.array([[1.0], [-2.0], [3.0], [0.5]], np.float32)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    history = nn.fit(model, X, X @ W + 1, loss="mse_loss", optimizer=optimizer, epochs=100, batch_size=10, rng=0)
    assert history.loss[-1] < 1e-6
    weight, bias = model.parameters()
    np.testing.assert_allclose(weight.data, W, atol=1e-3)
    np.testing.assert_allclose(bias.data, [1], atol=1e-3)


def test_fit_learns_yes_or_no() -> None:
    model = mlp(sizes=(4, 1))
    target = (X[:, :1] > 0.2).astype(float)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.2)
    name = "binary_cross_entropy_with_logits"
    history = nn.fit(model, X, target, loss=name, optimizer=optimizer, epochs=100, rng=0)
    assert history.loss[-1] < 0.1
    assert ((model(X).data > 0) == (target > 0)).all()


# The same seed, the same bits


def trained(weights: int = 0, order: int = 0, **options: Any) -> list[bytes]:
    model = mlp(weights, dropout=0.2)
    nn.fit(model, X, LABELS, epochs=3, batch_size=8, rng=order, **options)
    return bits(model)


def test_same_seed_same_bits() -> None:
    assert trained() == trained()
    assert trained() == trained(order=np.random.default_rng(0))


def test_another_seed_other_bits() -> None:
    assert trained(weights=1) != trained()
    assert trained(order=1) != trained()


def test_watching_changes_nothing() -> None:
    assert trained(validation_data=(X[:7], LABELS[:7])) == trained()


@pytest.mark.parametrize("epochs", [1, 3])
def test_fit_is_the_loop_written_by_hand(epochs: int) -> None:
    fitted, model = mlp(), mlp()
    history = nn.fit(
        fitted,
        X,
        LABELS,
        optimizer=nn.optim.SGD(fitted.parameters(), lr=0.1, momentum=0.9),
        epochs=epochs,
        batch_size=16,
        rng=7,
    )
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    rng = np.random.default_rng(7)
    losses = []
    for _ in range(epochs):
        total = 0.0
        order = rng.permutation(50)
        for rows in (order[:16], order[16:32], order[32:48], order[48:]):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(X[rows]), LABELS[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / 50)
    assert bits(fitted) == bits(model)
    assert history.loss == losses


def test_default_optimizer_is_adam() -> None:
    default, given = mlp(), mlp()
    nn.fit(default, X, LABELS, epochs=2, rng=0)
    nn.fit(given, X, LABELS, optimizer=nn.optim.Adam(given.parameters()), epochs=2, batch_size=32, rng=0)
    assert bits(default) == bits(given)


def test_an_optimizer_over_some_parameters_leaves_the_others() -> None:
    model = mlp()
    before = bits(model)
    optimizer = nn.optim.SGD(model.layers[2].parameters(), lr=0.1)
    nn.fit(model, X, LABELS, optimizer=optimizer, epochs=1, rng=0)
    assert bits(model)[:2] == before[:2]
    assert bits(model)[2] != before[2]


# Losses and dtypes


def test_a_loss_of_ones_own() -> None:
    seen = []

    def absolute(prediction: Any, target: Any) -> Any:
        seen.append((prediction.shape, target.shape))
        return np.abs(prediction - target).mean()

    model = mlp(sizes=(4, 1))
    y = X[:, :1] * 2
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    validation = (X[:5], y[:5])
    history = nn.fit(
        model, X, y, loss=absolute, optimizer=optimizer, epochs=40, batch_size=20, validation_data=validation, rng=0
    )
    assert seen[:4] == [((20, 1), (20, 1)), ((20, 1), (20, 1)), ((10, 1), (10, 1)), ((5, 1), (5, 1))]
    assert history.loss[-1] < 0.1 < history.loss[0]
    assert history.validation_accuracy == []
    assert nn.evaluate(model, X, y, loss=absolute)[0] == pytest.approx(np.abs(model(X).data - y).mean())


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_data_are_converted_to_the_dtype_of_the_model(dtype: Any) -> None:
    seen = set()

    class Watched(nn.MLP):
        def forward(self, x: Any) -> Any:
            seen.add(x.dtype)
            return super().forward(x)

    def loss(prediction: Any, target: Any) -> Any:
        seen.update((prediction.dtype, target.dtype))
        return functional.mse_loss(prediction, target)

    model = Watched([4, 2, 1], rng=0, dtype=dtype)
    nn.fit(model, X.astype(np.float64), X[:, :1].astype(np.float64), loss=loss, epochs=1, validation_data=(X, X[:, :1]))
    assert seen == {np.dtype(dtype)}
    assert {parameter.grad.dtype for parameter in model.parameters()} == {np.dtype(dtype)}


def test_targets_of_probabilities() -> None:
    soft, hard = mlp(), mlp()
    nn.fit(soft, X, np.eye(3)[LABELS], epochs=2, rng=0)
    nn.fit(hard, X, LABELS, epochs=2, rng=0)
    for one, other in zip(soft.parameters(), hard.parameters(), strict=True):
        np.testing.assert_allclose(one.data, other.data, atol=1e-4)


def test_lists_and_integers_are_taken() -> None:
    model = mlp(sizes=(2, 2))
    history = nn.fit(model, [[0, 1], [1, 0], [1, 1]], [0, 1, 1], epochs=2, batch_size=2, rng=0)
    assert len(history.loss) == 2
    assert all(parameter.dtype == np.float32 for parameter in model.parameters())


# Losses and the targets they are for


YES = X[:, 0] > 0


@pytest.mark.parametrize(
    "loss", ["cross_entropy", functional.cross_entropy, partial(functional.cross_entropy, label_smoothing=0.1)]
)
@pytest.mark.parametrize(
    ("outputs", "y", "error", "message"),
    [
        (1, X[:, :1] ** 2, ValueError, "the cross-entropy of a single column of predictions is 0 whatever they are"),
        (1, X[:, 0] ** 2, ValueError, "the cross-entropy of a single column"),
        (1, YES, ValueError, "the cross-entropy of a single column"),
        (1, np.zeros(50, int), ValueError, "the cross-entropy of a single column"),
        (3, X[:, 0], TypeError, "class labels must be integers, got float32"),
        (3, LABELS.astype(float), TypeError, r"class labels must be integers.* give y\.astype\(int\)"),
        (3, np.abs(X[:, :3]), ValueError, r"probabilities that sum to 1 in a row, got a row that sums to [3-9]\.\d+:"),
        (3, X[:, :3] > 0, ValueError, "got a row that sums to [03]:"),
        (3, np.zeros((50, 3), int), ValueError, "got a row that sums to 0:"),
    ],
)
def test_targets_that_another_loss_is_meant_for(loss: Any, outputs: int, y: Any, error: Any, message: str) -> None:
    model = mlp(sizes=(4, 8, outputs), dropout=0.5)
    before = bits(model)
    others = 'loss="mse_loss" is for numbers, "binary_cross_entropy_with_logits" for two classes'
    with pytest.raises(error, match=f"^fit: .*{message}") as caught:
        nn.fit(model, X, y, loss=loss, batch_size=8, rng=0)
    assert others in str(caught.value)
    with pytest.raises(error, match=f"^evaluate: .*{message}"):
        nn.evaluate(model, X, y, loss=loss)
    if outputs == 3:
        with pytest.raises(error, match=f"^fit: validation_data: .*{message}"):
            nn.fit(model, X, LABELS, loss=loss, validation_data=(X, y), rng=0)
    assert bits(model) == before
    assert model.training


def test_the_default_loss_is_not_for_numbers() -> None:
    inputs = np.linspace(-1, 1, 64)[:, None]
    with pytest.raises(ValueError, match='loss="mse_loss" is for numbers'):
        nn.fit(nn.MLP([1, 16, 1], rng=0), inputs, inputs**2)


@pytest.mark.parametrize("y", [np.eye(3)[LABELS].astype(int), np.float16(np.eye(3) * 0.9 + 1 / 30)[LABELS]])
def test_probabilities_sum_to_one_but_for_rounding(y: Any) -> None:
    assert nn.fit(mlp(), X, y, epochs=1, rng=0).loss[0] > 0


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (
            functional.l1_loss,
            X[:, 0],
            r"l1_loss: prediction and target must have the same shape, got \(50, 1\) and",
        ),
        ("mse_loss", X[:, 0], r"mse_loss: prediction and target must have the same shape"),
        ("binary_cross_entropy_with_logits", np.where(YES, 1, -1)[:, None], "must be probabilities .* got -1"),
        ("binary_cross_entropy_with_logits", LABELS[:, None], "must be probabilities between 0 and 1, got 2"),
        (functional.binary_cross_entropy, YES[:, None], "input must be probabilities .* got -.*apply sigmoid"),
        (functional.poisson_nll_loss, np.arange(49, -1, -1)[:, None] - 1, "targets are counts .* got -1"),
    ],
)
def test_losses_of_ours_look_at_all_targets_before_the_first_step(loss: Any, y: Any, message: str) -> None:
    model = mlp(sizes=(4, 1))
    model.layers[-1].bias.data -= 10
    before = bits(model)
    with pytest.raises(ValueError, match=message):
        nn.fit(model, X, y, loss=loss, batch_size=8, rng=0)
    assert bits(model) == before


@pytest.mark.parametrize("loss", ["cross_entropy", lambda p, y: functional.cross_entropy(p, y)])
def test_validation_inputs_of_another_kind_are_found_before_the_first_step(loss: Any) -> None:
    model = mlp()
    before = bits(model)
    with pytest.raises(ValueError, match=r"linear: x of shape \(1, 3\) needs a weight"):
        nn.fit(model, X, LABELS, loss=loss, epochs=1, validation_data=(X[:, :3], LABELS))
    words = nn.Sequential(nn.Embedding(3, 3, rng=0))
    with pytest.raises(TypeError, match="embedding: indices must be integers, got float32"):
        nn.fit(words, LABELS, LABELS, loss=loss, epochs=1, validation_data=(LABELS * 1.0, LABELS))
    assert bits(model) == before
    assert bits(words) == bits(nn.Sequential(nn.Embedding(3, 3, rng=0)))


def test_an_option_of_a_loss_may_be_of_the_shape_of_a_batch() -> None:
    loss = partial(functional.mse_loss, weight=np.linspace(0, 1, 10)[:, None])
    assert len(nn.fit(mlp(sizes=(4, 1)), X, X[:, :1], loss=loss, epochs=2, batch_size=10).loss) == 2


def test_booleans_are_labels() -> None:
    ours, theirs = mlp(sizes=(4, 8, 2)), mlp(sizes=(4, 8, 2))
    history = nn.fit(ours, X, YES, epochs=2, validation_data=(X, YES.tolist()), metrics=["accuracy"], rng=0)
    expected = nn.fit(theirs, X, YES.astype(int), epochs=2, validation_data=(X, YES.astype(int)), rng=0)
    assert bits(ours) == bits(theirs)
    assert history.validation_accuracy == expected.validation_accuracy != []
    assert len(history.metrics["accuracy"]) == 2
    one, other = mlp(sizes=(4, 1)), mlp(sizes=(4, 1))
    nn.fit(one, X, YES[:, None], loss="binary_cross_entropy_with_logits", epochs=2, rng=0)
    nn.fit(other, X, YES[:, None] * 1.0, loss="binary_cross_entropy_with_logits", epochs=2, rng=0)
    assert bits(one) == bits(other)


class Column(nn.Module):
    """Gives the numbers of one column, by a parameter that is one."""

    def __init__(self, *after: nn.Module) -> None:
        self.scale = nn.Parameter(np.ones((1, 1), np.float32))
        self.after = after

    def forward(self, x: Any) -> Any:
        x = x @ self.scale
        for layer in self.after:
            x = layer(x)
        return x


@pytest.mark.parametrize("kind", [np.int64, np.bool, np.float64])
@pytest.mark.parametrize("flat", [False, True], ids=["column", "flat"])
@pytest.mark.parametrize(
    ("loss", "after"),
    [
        ("binary_cross_entropy_with_logits", ()),
        (functional.binary_cross_entropy_with_logits, ()),
        (partial(functional.binary_cross_entropy_with_logits, pos_weight=2.0), ()),
        (functional.binary_cross_entropy, (nn.Sigmoid(),)),
    ],
)
def test_accuracy_of_yes_or_no(loss: Any, after: Any, flat: bool, kind: Any) -> None:
    logits = np.array([[-3.0], [-0.1], [0.0], [0.1], [2.0]])
    labels = np.array([0, 1, 0, 1, 0]).astype(kind)
    y = labels if flat else labels[:, None]
    model = Column(*after, nn.Flatten(0)) if flat else Column(*after)
    assert nn.evaluate(model, logits, y, loss=loss)[1] == 0.6
    optimizer = nn.optim.SGD(model.parameters(), lr=1e-9)
    history = nn.fit(
        model, logits, y, loss=loss, optimizer=optimizer, epochs=2, validation_data=(logits, y), metrics=["accuracy"]
    )
    assert history.validation_accuracy == history.validation_metrics["accuracy"] == [0.6, 0.6]
    assert history.metrics["accuracy"] == [0.6, 0.6]


def test_where_one_number_a_row_has_no_accuracy() -> None:
    logits, labels = np.array([[-3.0], [2.0]]), np.array([[0], [1]])
    for loss in ("mse_loss", functional.l1_loss, lambda p, y: functional.mse_loss(p, y)):
        assert nn.evaluate(Column(), logits, labels, loss=loss)[1] is None
    # A column of predictions is no column of classes, whatever a loss of one's own makes of it.
    assert nn.evaluate(Column(), logits, np.array([0, 0]), loss=lambda p, y: functional.mse_loss(p[:, 0], y))[1] is None
    soft = nn.evaluate(Column(), logits, labels * 0.5, loss="binary_cross_entropy_with_logits")
    assert soft[1] is None
    two = nn.evaluate(nn.Sequential(), np.eye(2), np.eye(2), loss="binary_cross_entropy_with_logits")
    assert two[1] is None


# Integers


def test_integers_stay_integers_for_a_table(tmp_path: Path) -> None:
    words = np.random.default_rng(1).integers(0, 7, (40, 3))
    labels = (words.sum(axis=1) > 9).astype(int)

    def trained(words: Any, **options: Any) -> tuple[list[bytes], nn.History, nn.Module]:
        model = nn.Sequential(nn.Embedding(7, 4, rng=0), nn.Flatten(), nn.Linear(12, 2, rng=1))
        optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
        history = nn.fit(
            model, words, labels, optimizer=optimizer, epochs=20, validation_data=(words, labels), rng=0, **options
        )
        return bits(model), history, model

    expected, history, model = trained(words)
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert nn.evaluate(model, words, labels) == (history.validation_loss[-1], history.validation_accuracy[-1])
    for kind in (words.tolist(), words.astype(np.uint8)):
        assert trained(kind)[0] == expected
    np.save(tmp_path / "words.npy", words)
    assert trained(np.load(tmp_path / "words.npy", mmap_mode="r"))[0] == expected
    compiled = nn.Sequential(nn.Embedding(7, 4, rng=0), nn.Flatten(), nn.Linear(12, 2, rng=1))
    compiled.load_state_dict(model.state_dict())
    losses = trained(words, compile=True)[1].loss
    np.testing.assert_allclose(losses, history.loss, rtol=1e-5)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.bool])
@pytest.mark.parametrize("compile", [False, True])
def test_layers_convert_integers(kind: Any, compile: bool) -> None:
    whole = (X > 0).astype(kind)

    def trained(inputs: Any) -> list[bytes]:
        model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 8, rng=0), nn.ReLU(), nn.Linear(8, 3, rng=1))
        nn.fit(model, inputs, LABELS, epochs=2, rng=0, compile=compile)
        assert compile or all(p.grad.dtype == np.float32 for p in model.parameters())
        assert nn.evaluate(model, inputs, LABELS) == nn.evaluate(model, inputs.astype(np.float32), LABELS)
        return bits(model)

    assert trained(whole) == trained(whole.astype(np.float32))


# A last row that is alone


@pytest.mark.parametrize(("rows", "batch_size", "expected"), [
    (33, 32, [33]), (50, 7, [7, 7, 7, 7, 7, 7, 8]), (5, 2, [2, 3]), (34, 32, [32, 2]), (33, 11, [11, 11, 11]),
])  # fmt: skip
def test_a_last_row_joins_the_batch_before_it_for_batch_norm(
    rows: int, batch_size: int, expected: list[int], tmp_path: Path
) -> None:
    seen: list[Any] = []

    class Watched(nn.BatchNorm1d):
        def forward(self, x: Any) -> Any:
            if self.training:
                seen.append(np.array(ad.stop_gradient(x)))
            return super().forward(x)

    def trained(inputs: Any, *layers: nn.Module) -> nn.History:
        seen.clear()
        model = nn.Sequential(*layers, nn.Linear(4, 3, rng=0))
        return nn.fit(
            model, inputs, LABELS[:rows], epochs=2, batch_size=batch_size, validation_data=(X[:1], LABELS[:1])
        )

    trained(X[:rows], Watched(4))
    assert [len(x) for x in seen] == 2 * expected
    for epoch in (seen[: len(expected)], seen[len(expected) :]):
        np.testing.assert_array_equal(np.sort(np.concatenate(epoch), axis=0), np.sort(X[:rows], axis=0))
    np.save(tmp_path / "X.npy", X[:rows])
    trained(np.load(tmp_path / "X.npy", mmap_mode="r"), Watched(4))
    assert [len(x) for x in seen] == 2 * expected


def test_a_last_row_stays_alone_where_it_may() -> None:
    seen: list[int] = []

    class Watched(nn.Linear):
        def forward(self, x: Any) -> Any:
            seen.append(len(x))
            return super().forward(x)

    nn.fit(Watched(4, 3), X[:33], LABELS[:33], epochs=1)
    assert seen == [1, 32, 1]  # at first to check the targets


@pytest.mark.parametrize(("rows", "batch_size"), [(1, 32), (5, 1)])
def test_a_single_row_is_refused_by_batch_norm_before_the_first_step(rows: int, batch_size: int) -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3, rng=0))
    before = bits(model)
    with pytest.raises(ValueError, match="a training batch needs more than one number for each feature"):
        nn.fit(model, X[:rows], LABELS[:rows], batch_size=batch_size)
    assert bits(model) == before


# Metrics


def spread(outputs: Any, targets: Any) -> Any:
    """Give a number that is not linear in the rows."""
    assert type(outputs) is type(targets) is np.ndarray
    return np.std(outputs)


def test_metrics_are_recorded_for_both_datasets() -> None:
    model = mlp()
    validation = (X[:20], LABELS[:20])
    history = nn.fit(
        model, X, LABELS, epochs=3, batch_size=50, validation_data=validation, metrics=["accuracy", spread], rng=0
    )
    assert {name: len(values) for name, values in history.metrics.items()} == {"accuracy": 3, "spread": 3}
    assert history.validation_metrics["accuracy"] == history.validation_accuracy
    assert history.validation_metrics["spread"][-1] == float(np.std(model(X[:20]).data))
    # One batch: the metrics of the first epoch are those of the model before its step.
    assert history.metrics["accuracy"][0] == nn.evaluate(mlp(), X, LABELS)[1]
    assert history.metrics["spread"][0] == pytest.approx(np.std(mlp()(X).data))
    assert all(type(value) is float for values in history.metrics.values() for value in values)


def test_training_metrics_are_means_over_the_rows() -> None:
    model = mlp()
    optimizer = nn.optim.SGD(model.parameters(), lr=1e-9)
    history = nn.fit(model, X, LABELS, optimizer=optimizer, epochs=1, batch_size=16, metrics=("accuracy",), rng=0)
    assert history.metrics["accuracy"][0] == pytest.approx(nn.evaluate(mlp(), X, LABELS)[1])
    assert history.validation_metrics == {}


@pytest.mark.parametrize(
    "number",
    [1, 0.5, np.float32(0.5), np.int64(1), np.array(0.5), ad.Tensor(0.5)],
    ids=lambda number: type(number).__name__,
)
def test_what_is_a_number(number: Any) -> None:
    history = nn.fit(mlp(), X, LABELS, epochs=1, metrics=[lambda outputs, targets: number], rng=0)
    assert history.metrics == {"<lambda>": [pytest.approx(float(number))]}


@pytest.mark.parametrize("value", [None, "0.5", True, np.zeros(2), [0.5], 1j], ids=repr)
def test_metrics_that_give_no_number(value: Any) -> None:
    model = mlp(dropout=0.5)
    before = bits(model)
    with pytest.raises(TypeError, match="fit: the metric 'bad' must return a number, got "):
        nn.fit(model, X, LABELS, metrics=[named("bad", lambda outputs, targets: value)], rng=0)
    assert bits(model) == before
    assert model.training


def named(name: str, function: Any) -> Any:
    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ("accuracy", TypeError, "fit: metrics must be a list, such as [\"accuracy\"], got 'accuracy'"),
        (spread, TypeError, "fit: metrics must be a list"),
        (["recall"], ValueError, "fit: unknown metric 'recall'; known: accuracy, or a function"),
        ([None], TypeError, "fit: a metric must be a function, or accuracy; got None"),
        (["accuracy", "accuracy"], ValueError, "something else called 'accuracy' in the history"),
        ([spread, spread], ValueError, "something else called 'spread'"),
        ([named("loss", lambda p, y: 0)], ValueError, "something else called 'loss'"),
        ([named("validation_loss", lambda p, y: 0)], ValueError, "something else called 'validation_loss'"),
        ([named("validation accuracy", lambda p, y: 0)], ValueError, "something else called 'validation accuracy'"),
        ([named("accuracy", lambda p, y: 0)], ValueError, "something else called 'accuracy'"),
    ],
)
def test_bad_metrics(metrics: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        nn.fit(mlp(), X, LABELS, metrics=metrics)


def test_accuracy_needs_labels() -> None:
    with pytest.raises(ValueError, match=r"'accuracy' is of logits .* got shapes \(32, 3\) and \(32, 3\) of float32"):
        nn.fit(mlp(), X, np.eye(3)[LABELS], metrics=["accuracy"])


# Clipping and schedules


def test_gradients_are_clipped() -> None:
    model = mlp()
    before = model.state_dict()
    optimizer = nn.optim.SGD(model.parameters(), lr=1.0)
    nn.fit(model, X, LABELS, optimizer=optimizer, epochs=1, batch_size=50, clip_norm=0.01, rng=0)
    moved = np.sqrt(sum(np.sum((array - before[path]) ** 2) for path, array in model.state_dict().items()))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_a_schedule_is_stepped_once_an_epoch() -> None:
    model = mlp()
    optimizer = nn.optim.SGD(model.parameters(), lr=0.4)
    schedule = nn.optim.ExponentialLR(optimizer, gamma=0.5)
    history = nn.fit(model, X, LABELS, optimizer=optimizer, schedule=schedule, epochs=3, batch_size=10, rng=0)
    assert history.lr == [0.4, 0.2, 0.1]
    assert optimizer.lr == 0.05


@pytest.mark.parametrize("validated", [True, False])
def test_a_plateau_is_one_of_the_validation_loss_if_there_is_one(
    validated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mlp()
    optimizer = nn.optim.SGD(model.parameters(), lr=0.4)
    schedule = nn.optim.ReduceLROnPlateau(optimizer)
    given: list[float] = []
    monkeypatch.setattr(schedule, "step", given.append)
    data = (X[:7], LABELS[:7]) if validated else None
    history = nn.fit(model, X, LABELS, optimizer=optimizer, schedule=schedule, epochs=2, validation_data=data, rng=0)
    assert given == (history.validation_loss if validated else history.loss)


def test_learning_rate_of_the_first_group() -> None:
    model = mlp()
    first, *others = model.parameters()
    optimizer = nn.optim.SGD([{"params": [first], "lr": 0.25}, {"params": others}], lr=0.1)
    assert nn.fit(model, X, LABELS, optimizer=optimizer, epochs=2, rng=0).lr == [0.25, 0.25]


# Ends


def validation_losses(*losses: float) -> Any:
    """Give a loss that is a usual one in training, and one of the given numbers on the validation data."""
    left = iter(losses)

    def loss(prediction: Any, target: Any) -> Any:
        return functional.cross_entropy(prediction, target) if len(target) > 7 else next(left)

    return loss


def stopped(losses: list[float], **options: Any) -> tuple[nn.Module, nn.History, list[Any]]:
    model, weights = mlp(), []

    def remember(epoch: int, model: nn.Module, history: nn.History) -> None:
        weights.append(bits(model))

    history = nn.fit(
        model, X, LABELS, loss=validation_losses(*losses), epochs=len(losses), batch_size=10,
        validation_data=(X[:7], LABELS[:7]), callbacks=[remember], rng=0, **options,
    )  # fmt: skip
    return model, history, weights


@pytest.mark.parametrize(
    ("losses", "options", "epochs", "best"),
    [
        pytest.param([3, 2, 2.5, 2, 1, 1], {"patience": 2}, 4, 2, id="stops"),
        pytest.param([3, 2, 2.5, 1, 2, 1.5], {"patience": 3}, 6, 4, id="ends before"),
        pytest.param([3, 2, 1], {"patience": 1}, 3, 3, id="last is best"),
        pytest.param([1, 2, 3], {"patience": 1}, 2, 1, id="first is best"),
        pytest.param([3, 2.9, 2.8, 2.4, 2.3], {"patience": 2, "min_delta": 0.5}, 3, 1, id="too little"),
        pytest.param([3, 2.9, 2.4, 2.3, 2.2, 1], {"patience": 2, "min_delta": 0.5}, 5, 3, id="enough"),
        pytest.param([-1, -2, -2.1, -2.4, -3], {"patience": 2, "min_delta": 0.5}, 4, 2, id="negative"),
    ],
)
def test_early_stopping(losses: list[float], options: dict[str, Any], epochs: int, best: int) -> None:
    model, history, weights = stopped(losses, **options)
    assert history.validation_loss == losses[:epochs]
    assert bits(model) == weights[best - 1]
    assert not model.training


def test_without_patience_the_last_weights_stay() -> None:
    model, history, weights = stopped([1, 2, 3])
    assert len(history.loss) == 3
    assert bits(model) == weights[-1]


def test_callbacks_are_called_after_each_epoch() -> None:
    calls = []

    def first(*arguments: Any) -> None:
        calls.append((first, *arguments, len(arguments[2].validation_loss)))

    def second(epoch: int, given: nn.Module, history: nn.History) -> str:
        calls.append((second, epoch, given, history, len(history.loss)))
        return "not True"

    model = mlp()
    data = (X[:7], LABELS[:7])
    history = nn.fit(model, X, LABELS, epochs=2, validation_data=data, callbacks=(first, second), rng=0)
    assert calls == [(callback, epoch, model, history, epoch) for epoch in (1, 2) for callback in (first, second)]


@pytest.mark.parametrize("answer", [True, np.True_], ids=["bool", "NumPy's"])
def test_a_callback_ends_the_training(answer: Any) -> None:
    calls = []
    history = nn.fit(
        mlp(), X, LABELS, epochs=9, rng=0,
        callbacks=[lambda epoch, model, history: epoch == 3 and answer, lambda epoch, *_: calls.append(epoch)],
    )  # fmt: skip
    assert len(history.loss) == 3
    assert calls == [1, 2, 3]


@pytest.mark.parametrize("answer", [None, False, np.False_, 1, "stop", np.ones(2)], ids=repr)
def test_only_true_ends_the_training(answer: Any) -> None:
    assert len(nn.fit(mlp(), X, LABELS, epochs=2, callbacks=[lambda *_: answer], rng=0).loss) == 2


@pytest.mark.parametrize("where", ["step", "validation", "callback"])
def test_ctrl_c_gives_the_history_so_far(where: str) -> None:
    """Two epochs are finished; one that was interrupted only in a callback is finished too."""
    model, steps = mlp(), 0

    class Interrupted(nn.optim.SGD):
        def step(self) -> None:
            nonlocal steps
            steps += 1
            if where == "step" and steps == 13:
                raise KeyboardInterrupt
            super().step()

    def metric(outputs: Any, targets: Any) -> float:
        if where == "validation" and steps == 15 and len(outputs) == 7:
            raise KeyboardInterrupt
        return 0.0

    def callback(epoch: int, model: nn.Module, history: nn.History) -> None:
        if where == "callback" and epoch == 2:
            raise KeyboardInterrupt

    history = nn.fit(
        model, X, LABELS, optimizer=Interrupted(model.parameters(), lr=0.1), epochs=9, batch_size=10, rng=0,
        validation_data=(X[:7], LABELS[:7]), metrics=["accuracy", metric], patience=5, callbacks=[callback],
    )  # fmt: skip
    assert {name: len(values) for name, values in history.columns().items()} == dict.fromkeys(
        ["loss", "validation_loss", "accuracy", "metric", "validation_accuracy", "validation_metric", "lr", "seconds"],
        2,
    )
    assert not model.training
    # The weights are those of that moment, not the best.
    by_hand = mlp()
    optimizer = nn.optim.SGD(by_hand.parameters(), lr=0.1)
    rng = np.random.default_rng(0)
    pieces = [piece for _ in range(3) for piece in nn.data.batches(X, LABELS, 10, rng=rng)]
    for inputs, labels in pieces[: {"step": 12, "validation": 15, "callback": 10}[where]]:
        optimizer.zero_grad()
        functional.cross_entropy(by_hand(inputs), labels).backward()
        optimizer.step()
    assert bits(model) == bits(by_hand)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_stops_before_its_step(number: float) -> None:
    model, before = mlp(), []

    def loss(prediction: Any, target: Any) -> Any:
        before.append(bits(model))
        return prediction.sum() * 0 + (number if len(before) == 8 else 1.0)

    with pytest.raises(FloatingPointError) as caught:
        nn.fit(model, X, LABELS, loss=loss, epochs=3, batch_size=10, rng=0)
    assert f"fit: the loss is {number} at epoch 2, step 3" in str(caught.value)
    assert "autodiff.detect_anomaly()" in str(caught.value)
    assert bits(model) == before[-1]


def test_a_validation_loss_that_is_not_finite() -> None:
    with pytest.raises(FloatingPointError, match="fit: the validation loss is nan after epoch 2"):
        stopped([1.0, np.nan, 1.0])


def sparse(rows: Any) -> Any:
    return pytest.importorskip("scipy.sparse").csr_array(np.array(rows, ndmin=2))


# Numbers that are none


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["inputs", "targets"])
@pytest.mark.parametrize("validation", [False, True])
def test_data_that_are_not_finite(validation: bool, name: str, number: float) -> None:
    data = {"inputs": X.astype(np.float64), "targets": X[:, :2].copy()}
    data[name][41, 1] = data[name][44, 0] = number
    good, bad = (X, X[:, :2]), (data["inputs"], data["targets"])
    model = mlp(sizes=(4, 2))
    before = bits(model)
    caller = "fit: validation_data" if validation else "fit"
    message = f"{caller}: {name} hold {number} at row 41, column 1, which is no finite float32"
    with pytest.raises(ValueError, match=message):
        nn.fit(model, *(good if validation else bad), loss="mse_loss", validation_data=bad if validation else good)
    assert bits(model) == before
    with pytest.raises(ValueError, match=message.replace(caller, "evaluate")):
        nn.evaluate(model, *bad, loss="mse_loss")


def test_where_a_number_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nn.dataset._BLOCK_BYTES", 100)
    images = np.zeros((10, 3, 4))
    images[7, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"inputs hold nan at row 7, column \(2, 1\), which is no finite float32"):
        nn.fit(mlp(), images, np.zeros(10, int))
    targets = np.zeros(10)
    targets[9] = np.nan
    with pytest.raises(ValueError, match="targets hold nan at row 9, which is no finite float32"):
        nn.fit(mlp(), X[:10], targets)


def test_numbers_too_large_for_the_model() -> None:
    large = X.astype(np.float64)
    large[3, 2] = 1e300
    with pytest.raises(ValueError, match=r"inputs hold 1e\+300 at row 3, column 2, which is no finite float32"):
        nn.fit(mlp(), large, LABELS)
    nn.fit(mlp(dtype=np.float64), large * 1e-300, LABELS, epochs=1)


def test_a_sum_that_overflows_is_of_finite_numbers() -> None:
    large = np.full((50, 4), 3e38, np.float32)
    history = nn.fit(nn.Sequential(nn.Tanh(), nn.Linear(4, 3)), large, LABELS, epochs=1, rng=0)
    assert np.isfinite(history.loss).all()


# Modes


def test_dropout_is_on_in_training_and_off_in_validation_and_afterwards() -> None:
    modes = []

    class Watched(nn.MLP):
        def forward(self, x: Any) -> Any:
            modes.append((len(x), self.training, self.layers[-1].training))
            return super().forward(x)

    model = Watched([4, 3], rng=0).eval()
    nn.fit(model, X, LABELS, epochs=2, batch_size=25, validation_data=(X[:7], LABELS[:7]), rng=0)
    first, epochs = modes[:2], modes[2:]
    assert first == [(1, False, False)] * 2  # one row of each dataset, to check the targets against
    assert epochs == [(25, True, True), (25, True, True), (7, False, False)] * 2
    assert not model.training


@pytest.mark.parametrize("bad", [-1, 3, 100])
def test_a_bad_label_is_found_before_the_first_step(bad: int) -> None:
    model = mlp(dropout=0.5)
    before = bits(model)
    labels = LABELS.copy()
    labels[-1] = bad
    with pytest.raises(ValueError, match=f"labels must lie from 0 to .* got {bad}"):
        nn.fit(model, X, labels, batch_size=8, rng=0)
    assert bits(model) == before
    assert model.training


def test_a_layer_set_to_evaluation_stays_so() -> None:
    model = mlp(dropout=0.5)
    frozen = model.layers[0].eval()
    nn.evaluate(model, X, LABELS)
    assert model.training
    assert not frozen.training


# History


def test_history_without_validation() -> None:
    history = nn.fit(mlp(), X, LABELS, epochs=3, batch_size=16, rng=0)
    assert isinstance(history, nn.History)
    assert [len(entries) for entries in (history.loss, history.seconds)] == [3, 3]
    assert all(type(loss) is float for loss in history.loss)
    assert all(seconds > 0 for seconds in history.seconds)
    assert (history.validation_loss, history.validation_accuracy) == ([], [])
    assert history.samples == 50
    assert history.samples_per_second == pytest.approx(150 / sum(history.seconds))


def test_history_with_validation() -> None:
    model = mlp()
    validation = (X[:20], LABELS[:20])
    history = nn.fit(model, X[20:], LABELS[20:], epochs=3, batch_size=16, validation_data=validation, rng=0)
    assert [len(entries) for entries in (history.validation_loss, history.validation_accuracy)] == [3, 3]
    assert history.samples == 30
    logits = model(X[:20]).data
    assert history.validation_accuracy[-1] == np.mean(logits.argmax(axis=1) == LABELS[:20])
    assert history.validation_loss[-1] == pytest.approx(functional.cross_entropy(logits, LABELS[:20]))
    assert (history.validation_loss[-1], history.validation_accuracy[-1]) == nn.evaluate(model, *validation)


def test_no_epochs_no_speed() -> None:
    assert nn.History().samples_per_second == 0


def test_a_table_of_the_history(tmp_path: Path) -> None:
    history = nn.fit(
        mlp(), X, LABELS, epochs=3, validation_data=(X[:7], LABELS[:7]), metrics=["accuracy", spread], rng=0
    )
    history.to_csv(tmp_path / "run.csv")
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("epoch") for row in rows] == ["1", "2", "3"]
    table = {name: [float(row[name]) for row in rows] for name in rows[0]}
    assert table == history.columns()
    assert list(table) == [
        "loss", "validation_loss", "accuracy", "spread", "validation_accuracy", "validation_spread", "lr", "seconds",
    ]  # fmt: skip


def test_a_table_of_nothing(tmp_path: Path) -> None:
    nn.History().to_csv(tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text() == "epoch\n"


def test_a_table_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cannot write .*missing/run\.csv"):
        nn.History().to_csv(tmp_path / "missing" / "run.csv")


@pytest.mark.parametrize("path", [None, 3, b"run.csv"], ids=repr)
def test_a_table_without_a_path(path: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"History.to_csv: expected the path of a file, got {path!r}")):
        nn.History().to_csv(path)


def test_a_table_of_lists_of_different_lengths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"History\.to_csv: the lists have different lengths: loss 2, lr 1"):
        nn.History(loss=[1.0, 2.0], lr=[0.1]).to_csv(tmp_path / "run.csv")
    assert list(tmp_path.iterdir()) == []


# Evaluation


@pytest.mark.parametrize("training", [True, False])
def test_evaluate_leaves_the_model_as_it_was(training: bool) -> None:
    model = mlp(dropout=0.5).train(training)
    before = bits(model)
    assert nn.evaluate(model, X, LABELS) == nn.evaluate(model, X, LABELS)
    assert model.training is training
    with pytest.raises(ValueError, match="50 rows of inputs but 49 targets"):
        nn.evaluate(model, X, LABELS[:-1])
    assert model.training is training
    assert bits(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluate_numbers() -> None:
    model = mlp(sizes=(4, 1))
    loss, accuracy = nn.evaluate(model, X, X[:, :1], loss="mse_loss")
    assert type(loss) is float
    assert loss == pytest.approx(np.mean((model(X).data - X[:, :1]) ** 2))
    assert accuracy is None


def test_evaluate_probabilities_has_no_accuracy() -> None:
    assert nn.evaluate(mlp(), X, np.eye(3)[LABELS])[1] is None


def test_accuracy_counts_the_largest_logit() -> None:
    model = nn.Sequential()
    loss, accuracy = nn.evaluate(model, np.array([[1.0, 0], [0, 1], [2, 1], [0, 3]]), np.array([0, 1, 1, 1]))
    assert accuracy == 0.75
    assert loss > 0


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"loss": "hinge"},
            "unknown loss 'hinge'; known: cross_entropy, mse_loss, binary_cross_entropy_with_logits, or a function",
            id="unknown loss",
        ),
        pytest.param({"epochs": 0}, "fit: epochs must be a positive integer, got 0", id="no epochs"),
        pytest.param({"epochs": -1}, "fit: epochs must be a positive integer, got -1", id="negative epochs"),
        pytest.param({"batch_size": 0}, "fit: batch_size must be a positive integer, got 0", id="empty batches"),
        pytest.param({"batch_size": -5}, "fit: batch_size must be a positive integer, got -5", id="negative batches"),
        pytest.param({"patience": 3}, "fit: patience is about the validation loss; give validation_data", id="no data"),
        pytest.param({"patience": 0}, "fit: patience must be a positive integer, got 0", id="no patience"),
        pytest.param({"min_delta": -1}, "fit: min_delta must be at least 0, got -1", id="negative min_delta"),
        pytest.param({"min_delta": np.nan}, "fit: min_delta must be at least 0, got nan", id="min_delta is none"),
        pytest.param({"clip_norm": 0}, "fit: clip_norm must be positive, or None, got 0", id="no norm"),
        pytest.param({"clip_norm": np.inf}, "fit: clip_norm must be positive, or None, got inf", id="infinite norm"),
        pytest.param({"y": LABELS[:-1]}, "fit: 50 rows of inputs but 49 targets", id="lengths differ"),
        pytest.param({"X": X[:0], "y": LABELS[:0]}, "fit: the dataset is empty", id="no rows"),
        pytest.param({"X": [[1.0], [2.0, 3.0]]}, "fit: inputs must not be ragged", id="ragged inputs"),
        pytest.param({"X": 3.0}, "fit: inputs must have one row for each sample, got a scalar", id="a scalar"),
        pytest.param(
            {"validation_data": (X[:5], LABELS[:4])},
            "fit: validation_data: 5 rows of inputs but 4 targets",
            id="validation lengths",
        ),
        pytest.param(
            {"validation_data": (X[:0], LABELS[:0])},
            "fit: validation_data: the dataset is empty",
            id="no validation rows",
        ),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    model = mlp()
    before = bits(model)
    arguments = {"X": X, "y": LABELS, "rng": 0} | change
    with pytest.raises(ValueError, match=re.escape(message)):
        nn.fit(model, arguments.pop("X"), arguments.pop("y"), **arguments)
    assert bits(model) == before
    assert model.training


@pytest.mark.parametrize("value", [None, "0.5", np.zeros(2), True], ids=repr)
def test_evaluate_with_a_loss_that_gives_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"evaluate: the loss must return a number, got {value!r}")):
        nn.evaluate(mlp(), X, LABELS, loss=lambda outputs, targets: value)


@pytest.mark.parametrize("model", [None, nn.MLP, np.tanh], ids=["None", "class", "function"])
def test_only_a_module_is_evaluated(model: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"evaluate: the model must be a Module, got {model!r}")):
        nn.evaluate(model, X, LABELS)


def test_evaluate_with_an_unknown_loss() -> None:
    with pytest.raises(ValueError, match="evaluate: unknown loss 'hinge'; known: cross_entropy, mse_loss"):
        nn.evaluate(mlp(), X, LABELS, loss="hinge")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"evaluate: the loss must be a function, or one of cross_entropy, .* got None"):
        nn.evaluate(mlp(), X, LABELS, loss=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adam"}, TypeError, "fit: the optimizer must be one of nn.optim"),
        ({"loss": None}, TypeError, "fit: the loss must be a function, or one of cross_entropy, mse_loss, .* got None"),
        ({"epochs": 2.0}, TypeError, "fit: epochs must be a positive integer, got 2.0"),
        ({"epochs": True}, TypeError, "fit: epochs must be a positive integer, got True"),
        ({"batch_size": 8.0}, TypeError, "fit: batch_size must be a positive integer, got 8.0"),
        ({"batch_size": "8"}, TypeError, "fit: batch_size must be a positive integer, got '8'"),
        ({"patience": 1.5, "validation_data": (X, LABELS)}, TypeError, "fit: patience must be a positive integer"),
        ({"clip_norm": "1"}, TypeError, "fit: clip_norm must be a number, positive, or None, got '1'"),
        ({"callbacks": print}, TypeError, "fit: callbacks must be a list of functions, got <built-in"),
        ({"callbacks": ["print"]}, TypeError, r"fit: callbacks must be a list of functions, got \['print'\]"),
        ({"schedule": "cosine"}, TypeError, "fit: the schedule must be one of nn.optim, got 'cosine'"),
        (
            {"schedule": nn.optim.StepLR(nn.optim.SGD([ad.Tensor(1.0)]), 2)},
            ValueError,
            "fit: the schedule is of another optimizer; give optimizer= the one that it was made with",
        ),
        ({"rng": "0"}, TypeError, "rng must be a numpy.random.Generator"),
        ({"optimizer": nn.optim.Adam}, TypeError, "fit: the optimizer must be one of nn.optim"),
        ({"validation_data": (X, LABELS, X)}, TypeError, "fit: validation_data must be a pair"),
        ({"loss": lambda p, y: p.sum(axis=0)}, TypeError, "fit: the loss must return a scalar Tensor"),
        ({"loss": lambda p, y: 1.0}, TypeError, "fit: the loss must return a scalar Tensor"),
        ({"optimizer": nn.optim.SGD([ad.Tensor(1.0)])}, ValueError, "fit: the optimizer has none of this model's"),
        ({"validation_data": (X[:2], np.array([0, 9]))}, ValueError, "labels must lie from 0"),
    ],
)
def test_things_that_are_something_else(options: dict[str, Any], error: type[Exception], message: str) -> None:
    model = mlp()
    before = bits(model)
    with pytest.raises(error, match=message):
        nn.fit(model, X, LABELS, **options)
    assert bits(model) == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(lambda rows: rows.astype(str), "must be real numbers, got dtype <U", id="text"),
        pytest.param(lambda rows: rows + 1j, "must be real numbers, got dtype complex", id="complex"),
        pytest.param(lambda rows: rows.astype(object), "must be real numbers, got dtype object", id="objects"),
        pytest.param(lambda rows: None, "must be real numbers, got None", id="None"),
        pytest.param(lambda rows: (row for row in rows), "must be real numbers, got <generator", id="generator"),
        pytest.param(
            lambda rows: np.ma.masked_array(rows, rows > 0), "must not be a numpy.MaskedArray: its mask", id="masked"
        ),
        pytest.param(
            lambda rows: np.array(rows, ndmin=2).view(np.matrix), "must not be a numpy.matrix: its *", id="matrix"
        ),
    ],
)
@pytest.mark.parametrize("name", ["inputs", "targets"])
def test_data_that_are_no_numbers(wrong: Any, message: str, name: str) -> None:
    data = (wrong(X), LABELS) if name == "inputs" else (X, wrong(LABELS))
    with pytest.raises(TypeError, match=f"fit: {name} {re.escape(message)}"):
        nn.fit(mlp(), *data)


def test_only_a_module_is_fitted() -> None:
    with pytest.raises(TypeError, match="fit: the model must be a Module"):
        nn.fit(lambda x: x, X, LABELS)  # type: ignore[arg-type]


# Compiled steps


def trained_for_long(compile: bool | None, **options: Any) -> tuple[dict[str, Any], nn.History]:
    """Train long enough for compiled steps to be worth it, with dropout and a smaller last batch."""
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(101, 3)), generator.integers(0, 2, 101)
    layers = nn.Linear(3, 8, rng=1), nn.ReLU(), nn.Dropout(0.2, rng=2), nn.Linear(8, 2, rng=3)
    model = nn.Sequential(*layers)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    schedule = nn.optim.ExponentialLR(optimizer, 0.99)
    history = nn.fit(
        model, X, y, optimizer=optimizer, epochs=60, batch_size=10, schedule=schedule, clip_norm=1.0, rng=0,
        metrics=["accuracy"], compile=compile, **options,
    )  # fmt: skip
    return model.state_dict(), history


def test_steps_are_compiled_where_it_pays_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def compiling(*args: Any, **kwargs: Any) -> Any:
        made.append(kwargs)
        return ad.compiler.compile(*args, **kwargs)

    monkeypatch.setattr(ad, "compile", compiling)
    eager, history = trained_for_long(compile=False)
    assert made == []
    by_default, same = trained_for_long(compile=None)
    assert [options["exact"] for options in made] == [True]
    assert history.loss == same.loss
    assert history.metrics == same.metrics
    for path, array in eager.items():
        np.testing.assert_array_equal(by_default[path], array)
    compiled, _ = trained_for_long(compile=True)
    assert len(made) == 2
    for path, array in eager.items():
        np.testing.assert_allclose(compiled[path], array, rtol=1e-2, atol=1e-4)


def test_a_layer_that_a_callback_swaps_is_trained_by_another_program() -> None:
    def swap(epoch: int, model: Any, history: nn.History) -> None:
        if epoch == 40:
            model.layers[1] = nn.Tanh()

    eager, default = (
        nn.fit(mlp(), X, LABELS, batch_size=5, epochs=60, callbacks=[swap], compile=compile, rng=0)
        for compile in (False, None)
    )
    assert default.loss == eager.loss


@pytest.mark.parametrize("compile", [None, True])
def test_a_compiled_step_is_not_taken_with_a_loss_that_is_not_finite(compile: bool | None) -> None:
    model = nn.Linear(1, 1, rng=0)
    X = np.array([[1.0]] * 20 + [[1e30]])
    optimizer = nn.optim.SGD(model.parameters(), lr=0.0)
    wanted = pytest.raises(FloatingPointError, match=r"loss is inf at epoch 1, step .*detect_anomaly")
    with np.errstate(all="ignore"), wanted:
        nn.fit(
            model, X, X, loss="mse_loss", optimizer=optimizer, batch_size=1, epochs=100, compile=compile, rng=0,
        )  # fmt: skip
    assert np.isfinite(model.weight.data).all()


def test_what_is_not_known_is_not_compiled_unless_asked_for() -> None:
    class Counting(nn.Module):
        calls = 0

        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1, rng=0)

        def forward(self, x: Any) -> Any:
            type(self).calls += 1
            return self.layer(x)

    X = np.linspace(-1, 1, 20)[:, None]
    nn.fit(Counting(), X, X, loss="mse_loss", epochs=60, batch_size=2, rng=0)
    assert Counting.calls > 600
    Counting.calls = 0
    nn.fit(Counting(), X, X, loss="mse_loss", epochs=60, batch_size=2, rng=0, compile=True)
    assert Counting.calls < 20
    with pytest.raises(TypeError, match="fit: compile must be True, False or None, got 'yes'"):
        nn.fit(Counting(), X, X, compile="yes")  # type: ignore[arg-type]


def test_hooks_of_parameters_are_called_at_every_step() -> None:
    rng = np.random.default_rng(0)
    X, calls = rng.normal(size=(40, 2)), []
    model = nn.MLP([2, 4, 1], rng=0)
    model.parameters()[0].register_hook(lambda g: calls.append(1) or (g if len(calls) < 300 else 0 * g))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.05)
    nn.fit(model, X, X[:, :1], loss="mse_loss", optimizer=optimizer, epochs=300, batch_size=20, rng=0)
    assert len(calls) == 600  # enough steps to be worth a program, were there no hook


# What a function of the user's does to the model, its optimizer or this package between two steps of `fit`.
def _forward_that_counts() -> Any:
    calls: list[int] = []
    return lambda x: calls.append(1) or np.tanh(x) * len(calls)


def _hook_that_counts() -> Any:
    calls: list[int] = []
    return lambda g: calls.append(1) or g / len(calls)


class _Scale(nn.Module):
    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls


def _descended(p: Any, g: Any, *others: Any) -> Any:
    p -= g
    return p


def _replace_weight(model: Any, optimizer: Any, patch: Any) -> None:
    model.layers[0].weight = nn.Parameter(0.5 * model.layers[0].weight.data)
    optimizer.param_groups[0]["params"][0] = model.layers[0].weight


def _add_layer(model: Any, optimizer: Any, patch: Any) -> None:
    model.layers.append(nn.Linear(2, 2, rng=7))
    optimizer.add_param_group({"params": model.layers[-1].parameters(), "lr": 0.003})


CHANGES: dict[str, Any] = {
    "layer": lambda m, o, p: m.layers.__setitem__(1, nn.Tanh()),
    "more layers": lambda m, o, p: m.layers.insert(3, nn.SiLU()),
    "fewer layers": lambda m, o, p: m.layers.pop(2),
    "other list": lambda m, o, p: setattr(m, "layers", [m.layers[0], nn.Tanh(), m.layers[4]]),
    "new parameters": _add_layer,
    "replaced parameter": lambda m, o, p: setattr(m.layers[0], "bias", nn.Parameter(np.ones(8))),
    "replaced parameter of both": _replace_weight,
    "no bias": lambda m, o, p: setattr(m.layers[4], "bias", None),
    "numbers in parameters": lambda m, o, p: m.load_state_dict({k: x + x for k, x in m.state_dict().items()}),
    "numbers in place": lambda m, o, p: np.multiply(m.layers[0].weight.data, 0.5, out=m.layers[0].weight.data),
    "buffer": lambda m, o, p: setattr(m.layers[3].running_var, "data", np.full(8, 9, np.float32)),
    "replaced buffer": lambda m, o, p: setattr(m.layers[3], "running_mean", nn.Buffer(np.ones(8))),
    "frozen": lambda m, o, p: m.layers[0].requires_grad_(False),
    "dropout": lambda m, o, p: setattr(m.layers[2], "p", 0.6),
    "attribute, unseen": lambda m, o, p: vars(m.layers[2]).update(p=0.6),
    "generator": lambda m, o, p: setattr(m.layers[2], "rng", np.random.default_rng(5)),
    "slope": lambda m, o, p: setattr(m.layers[1], "negative_slope", 0.5),
    "momentum of a layer": lambda m, o, p: setattr(m.layers[3], "momentum", 0.9),
    "class of a layer": lambda m, o, p: setattr(m.layers[1], "__class__", nn.Tanh),
    "evaluation": lambda m, o, p: m.eval(),
    "layer of the user's": lambda m, o, p: m.layers.__setitem__(1, _Scale()),
    "function as a layer": lambda m, o, p: m.layers.__setitem__(1, _forward_that_counts()),
    "forward of a layer": lambda m, o, p: setattr(m.layers[1], "forward", _forward_that_counts()),
    "forward of a class": lambda m, o, p: p.setattr(nn.Linear, "forward", lambda self, x: 2 * x @ self.weight),
    "forward of an activation": lambda m, o, p: p.setattr(nn.LeakyReLU, "function", staticmethod(np.multiply)),
    "function": lambda m, o, p: p.setattr(functional, "linear", lambda x, w, b: 2 * x @ w),
    "other function of ours": lambda m, o, p: p.setattr(functional.layers, "_linear", lambda x, w, b: x @ w),
    "hook": lambda m, o, p: m.layers[0].weight.register_hook(_hook_that_counts()),
    "learning rate": lambda m, o, p: setattr(o, "lr", 0.3),
    "weight decay": lambda m, o, p: o.param_groups[0].update(weight_decay=0.3),
    "betas": lambda m, o, p: o.param_groups[0].update(betas=(0.5, 0.6)),
    "amsgrad": lambda m, o, p: o.param_groups[0].update(amsgrad=True),
    "state of the optimizer": lambda m, o, p: o.load_state_dict(nn.optim.Adam(o.parameters, lr=0.02).state_dict()),
    "update of the optimizer": lambda m, o, p: setattr(o, "update", _descended),
    "step of the optimizer": lambda m, o, p: setattr(o, "step", lambda: None),
    "update of its class": lambda m, o, p: p.setattr(nn.optim.Adam, "update", lambda self, *args: _descended(*args)),
    "steps of the optimizer": lambda m, o, p: o.steps.__setitem__(0, 0),
}  # fmt: skip


def changed_on_the_way(change: Any, place: str, compile: bool | None) -> tuple[Any, ...]:
    """Train a model, and change something in the 4th of 8 epochs, after it or in the middle."""
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(48, 3)), generator.integers(0, 2, 48)
    layers = nn.Linear(3, 8, rng=1), nn.LeakyReLU(), nn.Dropout(0.2, rng=2), nn.BatchNorm1d(8), nn.Linear(8, 2, rng=3)
    model = nn.Sequential(*layers)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    calls: list[int] = []
    with pytest.MonkeyPatch.context() as patch:

        def metric(outputs: Any, targets: Any) -> float:
            calls.append(1)
            if place == "metric" and len(calls) == 24:
                change(model, optimizer, patch)
            return float(outputs.sum())

        def callback(epoch: int, model: nn.Module, history: Any) -> None:
            if epoch == 4 and place == "callback":
                change(model, optimizer, patch)

        metrics = [metric] if place == "metric" else []
        history = nn.fit(
            model, X, y, optimizer=optimizer, epochs=8, batch_size=8, metrics=metrics, callbacks=[callback],
            compile=compile, rng=0,
        )  # fmt: skip
        return history.loss, history.metrics, bits(model), optimizer.steps


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `autodiff.compile` makes from now on."""
    made, compiling = [], ad.compile
    monkeypatch.setattr(ad, "compile", lambda *args, **kwargs: made.append(compiling(*args, **kwargs)) or made[-1])
    return made


@pytest.mark.parametrize(
    ("name", "place"),
    # Whether something is seen before the first step of an epoch does not depend on what it is.
    [*((name, "metric") for name in CHANGES), *((name, "callback") for name in list(CHANGES)[::4])],
)
def test_steps_compiled_by_default_are_of_what_is_there_now(
    name: str, place: str, programs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nn.training._WORTHWHILE", 12)
    eager = changed_on_the_way(CHANGES[name], place, compile=False)
    assert not programs
    by_default = changed_on_the_way(CHANGES[name], place, compile=None)
    assert programs
    assert by_default == eager


def test_what_a_schedule_or_a_loss_with_options_changes_is_seen_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nn.training._WORTHWHILE", 12)

    class Thawing(nn.optim.Schedule):
        def following(self, lr: float, base: float, epoch: int) -> float:
            model.layers[1] = nn.Tanh() if epoch % 2 else nn.SiLU()
            weight[epoch % 3] += 1
            return lr * 0.9

    losses = []
    for loss in ("cross_entropy", partial(functional.cross_entropy, weight=(weight := np.ones(3, np.float32)))):
        for compile in (False, None):
            weight[:] = 1
            model = mlp()
            optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
            history = nn.fit(
                model, X, LABELS, loss=loss, optimizer=optimizer, schedule=Thawing(optimizer), epochs=8, batch_size=10,
                validation_data=(X, LABELS), compile=compile, rng=0,
            )  # fmt: skip
            losses.append((history.loss, history.validation_loss, bits(model)))
    assert losses[0] == losses[1] != losses[2] == losses[3]


def test_programs_are_made_by_default_as_long_as_they_are_worthwhile(
    programs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nn.training._WORTHWHILE", 10)
    model = mlp()
    model.layers.append(nn.Dropout(0.5, rng=0))

    def anneal(epoch: int, model: Any, history: Any) -> None:
        model.layers[-1].p = 0.5 / epoch

    nn.fit(model, X, LABELS, epochs=8, batch_size=10, callbacks=[anneal], rng=0)
    assert len(programs) == 4  # 40 steps, and 8 forms


def test_what_python_notes_on_a_class_is_no_change_of_its_code(
    programs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nn.training._WORTHWHILE", 10)
    monkeypatch.setattr(nn.Tanh, "__slotnames__", [], raising=False)  # as the first copy of one does
    nn.fit(mlp(), X, LABELS, epochs=8, batch_size=10, rng=0)
    assert len(programs) == 1


def test_an_option_that_a_callback_breaks_is_refused_by_the_same_words() -> None:
    def fail(compile: bool | None) -> str:
        model = mlp()
        optimizer = nn.optim.Adam(model.parameters())
        callback = lambda epoch, *_: optimizer.param_groups[0].update(weight_decay=-1) if epoch == 3 else None  # noqa: E731
        with pytest.raises(ValueError, match="weight_decay") as caught:
            nn.fit(
                model, X, LABELS, optimizer=optimizer, epochs=200, batch_size=10, callbacks=[callback], compile=compile,
            )  # fmt: skip
        return str(caught.value)

    assert fail(None) == fail(False) == fail(True)
