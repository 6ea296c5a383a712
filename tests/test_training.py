"""The training loop and its history, evaluation, and the batches that a dataset is cut into."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import functional
from nn.data import batches

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


def history_to_draw(**changes: Any) -> nn.History:
    fields = {"loss": [1.0, 0.5], "validation_loss": [1.1, 0.7], "validation_accuracy": [0.5, 0.75]} | changes
    return nn.History(**fields, seconds=[0.1, 0.1], samples=10)


def test_plot_on_a_figure_of_its_own() -> None:
    pytest.importorskip("matplotlib")
    ax = history_to_draw().plot()
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "loss", "log")
    curves = {line.get_label(): line for axes in ax.figure.axes for line in axes.get_lines()}
    assert list(curves) == ["training loss", "validation loss", "validation accuracy"]
    np.testing.assert_array_equal(curves["training loss"].get_xydata(), [[1, 1], [2, 0.5]])
    np.testing.assert_array_equal(curves["validation loss"].get_xydata(), [[1, 1.1], [2, 0.7]])
    np.testing.assert_array_equal(curves["validation accuracy"].get_xydata(), [[1, 0.5], [2, 0.75]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(curves)
    picture = io.BytesIO()
    ax.figure.savefig(picture)
    assert picture.getvalue().startswith(b"\x89PNG")


def test_plot_on_given_axes() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    left, right = figure.subplots(1, 2)
    history = history_to_draw(validation_loss=[], validation_accuracy=[])
    assert history.plot(right) is right
    assert [line.get_label() for line in right.get_lines()] == ["training loss"]
    assert not left.get_lines()
    assert len(figure.axes) == 2


def test_plot_of_losses_that_have_no_logarithm() -> None:
    pytest.importorskip("matplotlib")
    assert history_to_draw(loss=[1.0, 0.0]).plot().get_yscale() == "linear"


def test_plot_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"History\.plot: there are no epochs to draw"):
        nn.History().plot()


def test_plot_needs_no_display_and_no_pyplot(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    code = (
        "import sys, nn; nn.History(loss=[1.0], seconds=[1.0]).plot().figure.savefig(sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    path = tmp_path / "curves.png"
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    done = subprocess.run(
        [sys.executable, "-c", code, path], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(b"\x89PNG")


def test_plot_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "autodiff\[demos\]"'):
        history_to_draw().plot()


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


# The progress bar


def test_nothing_is_printed_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    nn.fit(mlp(), X, LABELS, epochs=3, validation_data=(X, LABELS), rng=0)
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    history = nn.fit(mlp(), X, LABELS, epochs=3, validation_data=(X, LABELS), rng=0)
    last = terminal.getvalue().split("\r")[-1]
    assert "3/3" in last
    assert f"loss={history.loss[-1]:.4f}" in last
    assert f"validation loss={history.validation_loss[-1]:.4f}" in last
    assert f"validation accuracy={history.validation_accuracy[-1]:.4f}" in last


# Bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"loss": "hinge"},
            "unknown loss 'hinge'; known: cross_entropy, mse_loss, binary_cross_entropy_with_logits, or a function",
            id="unknown loss",
        ),
        pytest.param({"loss": None}, "fit: unknown loss None; known: cross_entropy, mse_loss", id="no loss"),
        pytest.param({"epochs": 0}, "fit: epochs must be a positive integer, got 0", id="no epochs"),
        pytest.param({"epochs": -1}, "fit: epochs must be a positive integer, got -1", id="negative epochs"),
        pytest.param({"epochs": 2.0}, "fit: epochs must be a positive integer, got 2.0", id="float epochs"),
        pytest.param({"epochs": True}, "fit: epochs must be a positive integer, got True", id="boolean epochs"),
        pytest.param({"batch_size": 0}, "fit: batch_size must be a positive integer, got 0", id="empty batches"),
        pytest.param({"batch_size": -5}, "fit: batch_size must be a positive integer, got -5", id="negative batches"),
        pytest.param({"batch_size": 8.0}, "fit: batch_size must be a positive integer, got 8.0", id="float batches"),
        pytest.param({"batch_size": "8"}, "fit: batch_size must be a positive integer, got '8'", id="batches in text"),
        pytest.param({"y": LABELS[:-1]}, "fit: 50 rows of inputs but 49 targets", id="lengths differ"),
        pytest.param({"X": X[:0], "y": LABELS[:0]}, "fit: the dataset is empty", id="no rows"),
        pytest.param({"X": X.astype(str)}, "fit: inputs must be real numbers, got dtype <U", id="inputs of text"),
        pytest.param({"X": X + 1j}, "fit: inputs must be real numbers, got dtype complex", id="complex inputs"),
        pytest.param({"y": LABELS.astype(str)}, "fit: targets must be real numbers, got dtype <U", id="text targets"),
        pytest.param({"y": LABELS + 1j}, "fit: targets must be real numbers, got dtype complex", id="complex targets"),
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


@pytest.mark.parametrize("loss", ["hinge", None])
def test_evaluate_with_an_unknown_loss(loss: Any) -> None:
    with pytest.raises(ValueError, match=f"evaluate: unknown loss {loss!r}; known: cross_entropy, mse_loss"):
        nn.evaluate(mlp(), X, LABELS, loss=loss)


# Batches


@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_each_row_comes_once(size: int) -> None:
    rows, targets = np.arange(20).reshape(10, 2), np.arange(10)
    pieces = list(batches(rows, targets, size, rng=0))
    lengths = [len(inputs) for inputs, _ in pieces]
    assert lengths == [min(size, 10 - start) for start in range(0, 10, size)]
    inputs, labels = (np.concatenate(parts) for parts in zip(*pieces))
    assert sorted(labels) == list(range(10))
    assert list(labels) != list(range(10))
    np.testing.assert_array_equal(inputs, rows[labels])


def order(rng: Any) -> list[Any]:
    return [int(label) for _, labels in batches(np.zeros(20), np.arange(20), 6, rng=rng) for label in labels]


def test_seeds_give_orders() -> None:
    assert order(0) == order(0) == order(np.random.default_rng(0))
    assert order(0) != order(1)
    rng = np.random.default_rng(0)
    assert [order(rng), order(rng)] == [order(0), order(rng_after_one())]


def rng_after_one() -> np.random.Generator:
    rng = np.random.default_rng(0)
    rng.permutation(20)
    return rng


@pytest.mark.parametrize(("rows", "lengths"), [(10, [4, 4]), (8, [4, 4]), (3, [])])
def test_a_smaller_last_batch_can_be_dropped(rows: int, lengths: list[int]) -> None:
    assert [len(X) for X, _ in batches(np.zeros(rows), np.zeros(rows), 4, rng=0, drop_last=True)] == lengths


def test_lists_are_cut_too() -> None:
    assert sorted(int(x) for inputs, _ in batches([5, 6, 7], [0, 1, 0], 2, rng=0) for x in inputs) == [5, 6, 7]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batches(X, LABELS[1:], 5), "batches: 50 rows of inputs but 49 targets"),
        (lambda: batches(X[:0], LABELS[:0], 5), "batches: the dataset is empty"),
        (lambda: batches(X, LABELS, 0), "batches: batch_size must be a positive integer, got 0"),
        (lambda: batches(X, LABELS, 2.5), "batches: batch_size must be a positive integer, got 2.5"),
        (lambda: batches(X, LABELS, True), "batches: batch_size must be a positive integer, got True"),
    ],
    ids=["lengths differ", "no rows", "zero", "float", "boolean"],
)
def test_bad_batches_are_refused_at_once(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"optimizer": "adam"}, TypeError, "fit: the optimizer must be one of nn.optim"),
        ({"optimizer": nn.optim.Adam}, TypeError, "fit: the optimizer must be one of nn.optim"),
        ({"validation_data": (X, LABELS, X)}, TypeError, "fit: validation_data must be a pair"),
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


def test_only_a_module_is_fitted() -> None:
    with pytest.raises(TypeError, match="fit: the model must be a Module"):
        nn.fit(lambda x: x, X, LABELS)  # type: ignore[arg-type]
