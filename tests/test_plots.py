"""The pictures of a training: what is drawn is what was measured, and texts do not overlap."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn import plots
from nn.figures import COLORS

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from PIL import Image

NAN, INF = float("nan"), float("inf")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2)).astype(np.float32)
LABELS = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def overlaps(first: Any, second: Any) -> bool:
    return bool(first.x0 < second.x1 and second.x0 < first.x1 and first.y0 < second.y1 and second.y0 < first.y1)


def assert_apart(texts: Sequence[Any]) -> None:
    """No text stands on the one before, in a picture that is laid out."""
    for first, second in itertools.pairwise(text.get_window_extent() for text in texts if text.get_text()):
        assert not overlaps(first, second)


def assert_inside(ax: Axes) -> None:
    """Lay the picture out; nothing of it sticks out of it."""
    figure = ax.figure.canvas.figure
    figure.draw_without_rendering()
    whole = figure.bbox
    for drawn in figure.axes:
        box = drawn.get_tightbbox()
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1
        assert box.y0 >= whole.y0 - 1
        assert box.y1 <= whole.y1 + 1


# History.plot


def history_to_draw(**changes: Any) -> nn.History:
    fields = {"loss": [1.0, 0.5], "validation_loss": [1.1, 0.7], "validation_accuracy": [0.5, 0.75]} | changes
    return nn.History(**fields, seconds=[0.1] * len(fields["loss"]), samples=10)


def curves_of(ax: Axes) -> dict[str, Any]:
    """The lines of the legend by their names, from all axes that lie on the same place."""
    lines = {line.get_label(): line for axes in ax.get_figure().axes for line in axes.get_lines()}
    named = {name: line for name, line in lines.items() if not name.startswith("_")}
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == sorted(named)
    return named


def test_history_on_a_figure_of_its_own() -> None:
    ax = history_to_draw().plot()
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "loss", "log")
    curves = curves_of(ax)
    assert list(curves) == ["training loss", "validation loss", "best epoch: 2", "validation accuracy"]
    np.testing.assert_array_equal(curves["training loss"].get_xydata(), [[1, 1], [2, 0.5]])
    np.testing.assert_array_equal(curves["validation loss"].get_xydata(), [[1, 1.1], [2, 0.7]])
    np.testing.assert_array_equal(curves["validation accuracy"].get_xydata(), [[1, 0.5], [2, 0.75]])
    styles = [curves[name].get_linestyle() for name in ("training loss", "validation loss", "validation accuracy")]
    assert styles == ["--", "-", "-"]
    picture = io.BytesIO()
    ax.figure.savefig(picture)
    assert picture.getvalue().startswith(b"\x89PNG")
    shown = [label.get_text() for label in ax.get_yticklabels(which="both") if label.get_text()]
    assert shown == [f"{float(text):g}" for text in shown] != []


def test_history_on_given_axes() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    history = history_to_draw(validation_loss=[], validation_accuracy=[])
    assert history.plot(right) is right
    assert [line.get_label() for line in right.get_lines()] == ["training loss"]
    assert not left.get_lines()
    assert len(figure.axes) == 2


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [([3.0, 1.0, 2.0], 2), ([1.0, 1.0, 1.0], 1), ([NAN, 2.0, 1.0], 3), ([NAN, 2.0, NAN], 2), ([-1.0, -3.0, -INF], 2)],
)
def test_the_best_epoch_has_the_smallest_finite_validation_loss(losses: list[float], epoch: int) -> None:
    ax = history_to_draw(loss=[0.3, 0.2, 0.1], validation_loss=losses, validation_accuracy=[]).plot()
    star = curves_of(ax)[f"best epoch: {epoch}"]
    np.testing.assert_array_equal(star.get_xydata(), [[epoch, losses[epoch - 1]]])
    assert star.get_marker() == "*"
    assert [epoch, epoch] in [list(line.get_xdata()) for line in ax.get_lines()]  # the line across the picture


@pytest.mark.parametrize("losses", [[], [NAN, NAN]])
def test_without_validation_losses_no_epoch_is_the_best(losses: list[float]) -> None:
    ax = history_to_draw(validation_loss=losses).plot()
    assert not [name for name in curves_of(ax) if name.startswith("best")]


def test_the_best_epoch_is_the_one_whose_weights_patience_keeps() -> None:
    model = nn.MLP([2, 32, 2], rng=0)
    train, held_out = (X[:20], 1 - LABELS[:20]), (X[20:], LABELS[20:])
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    history = nn.fit(model, *train, optimizer=optimizer, epochs=50, validation_data=held_out, patience=4, rng=0)
    name = next(name for name in curves_of(history.plot()) if name.startswith("best"))
    assert name == f"best epoch: {len(history.loss) - 4}"
    assert nn.evaluate(model, *held_out)[0] == history.validation_loss[-5]


def test_metrics_of_training_and_validation_data() -> None:
    history = history_to_draw(
        metrics={"accuracy": [0.4, 0.7], "f1": [0.3, 0.6]},
        validation_metrics={"accuracy": [0.5, 0.75], "f1": [0.35, 0.65]},
    )
    ax = history.plot()
    curves = curves_of(ax)
    assert sorted(curves) == sorted(
        [f"{part} {name}" for name in ("loss", "accuracy", "f1") for part in ("training", "validation")]
        + ["best epoch: 2"]
    )
    np.testing.assert_array_equal(curves["training f1"].get_ydata(), [0.3, 0.6])
    np.testing.assert_array_equal(curves["validation f1"].get_ydata(), [0.35, 0.65])
    assert curves["training f1"].get_color() == curves["validation f1"].get_color() == COLORS[2]
    assert [axes.get_ylabel() for axes in ax.figure.axes] == ["loss", "accuracy, f1"]
    assert curves["training accuracy"].axes is curves["validation f1"].axes is not ax


def test_a_metric_whose_name_begins_as_that_of_a_list() -> None:
    history = history_to_draw(
        metrics={"validation_error": [3.0, 2.0]}, validation_metrics={"validation_error": [5.0, 4]}
    )
    curves = curves_of(history.plot())
    np.testing.assert_array_equal(curves["training validation_error"].get_ydata(), [3, 2])
    np.testing.assert_array_equal(curves["validation validation_error"].get_ydata(), [5, 4])


def test_metrics_of_different_scales_have_axes_of_their_own() -> None:
    metrics = {"accuracy": [0.4, 0.9], "error": [60.0, 10.0], "top3": [0.6, 1.0], "mae": [0.02, NAN], "none": [0, 0]}
    ax = history_to_draw(metrics=metrics).plot()
    axes = ax.figure.axes
    assert [part.get_ylabel() for part in axes] == ["loss", "accuracy, top3", "error", "mae", "none"]
    assert [part.yaxis.label.get_color() for part in axes] == [COLORS[0], "black", COLORS[2], COLORS[4], COLORS[5]]
    assert [part.spines["right"].get_position()[1] for part in axes[1:]] == [0, 65, 130, 195]
    assert_inside(ax)
    for left, right in itertools.pairwise(part.yaxis.get_tightbbox() for part in axes[1:]):
        assert left.x1 < right.x0
    curves = curves_of(ax)
    for name, values in metrics.items():
        low, high = curves[f"training {name}"].axes.get_ylim()
        assert np.nanmax(values) - np.nanmin(values) >= 0.1 * (high - low) or name in ("mae", "none")


def test_one_epoch_is_seen() -> None:
    ax = nn.History(loss=[0.5], validation_loss=[0.7], metrics={"accuracy": [0.9]}).plot()
    curves = curves_of(ax)
    for name in ("training loss", "validation loss", "training accuracy"):
        assert (curves[name].get_marker(), curves[name].get_markevery()) == ("o", [0]), name
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


def test_numbers_that_are_not_finite_are_gaps() -> None:
    ax = nn.History(loss=[1.0, 0.5, NAN, 0.4, INF, 0.3, 0.2]).plot()
    assert ax.get_yscale() == "log"
    (line,) = curves_of(ax).values()
    np.testing.assert_array_equal(line.get_ydata(), [1, 0.5, NAN, 0.4, INF, 0.3, 0.2])
    assert (line.get_marker(), line.get_markevery()) == ("o", [3])  # the only number without a neighbour
    ax.figure.draw_without_rendering()
    assert ax.get_ylim()[1] < 2

    nothing = nn.History(loss=[NAN, NAN]).plot()
    nothing.figure.draw_without_rendering()
    assert nothing.get_yscale() == "linear"


@pytest.mark.parametrize(("losses", "scale"), [([1.0, 0.0], "linear"), ([1.0, -0.5], "linear"), ([1.0, 1e-9], "log")])
def test_the_scale_of_the_losses(losses: list[float], scale: str) -> None:
    assert history_to_draw(loss=losses).plot().get_yscale() == scale
    assert history_to_draw(validation_loss=losses).plot().get_yscale() == scale


ONE, FOUR = ["accuracy"], ["accuracy", "mean_absolute_logit", "error_percent", "f1"]


@pytest.mark.parametrize(
    ("epochs", "metrics", "size"),
    [  # each number of epochs with each number of metrics and in each size, and so for each two of the three
        (1, [], None), (1, ONE, (9, 3)), (1, FOUR, (6, 8)),
        (40, [], (9, 3)), (40, ONE, (6, 8)), (40, FOUR, None),
        (3000, [], (6, 8)), (3000, ONE, None), (3000, FOUR, (9, 3)),
    ],
)  # fmt: skip
def test_texts_of_a_history_do_not_overlap(epochs: int, metrics: list[str], size: tuple[float, float] | None) -> None:
    values = {name: list(np.linspace(1, 2, epochs) * 20.0**k) for k, name in enumerate(metrics)}
    losses = list(np.linspace(1, 0.1, epochs))
    history = nn.History(loss=losses, validation_loss=losses, metrics=values, validation_metrics=values)
    axes = [None] if size is None else Figure(size, layout="constrained").subplots(1, 2 if len(metrics) < 2 else 1)
    for ax in np.ravel(axes):
        ax = history.plot(ax)
        ax.set_title("a title of the user's")
    assert_inside(ax)
    legend, axis = ax.get_legend().get_window_extent(), ax.xaxis.get_tightbbox()
    assert legend.y1 < axis.y0
    assert ax.title.get_window_extent().y0 > ax.bbox.y1
    assert_apart(ax.get_legend().get_texts())
    assert_apart(ax.get_xticklabels())


@pytest.mark.parametrize(
    ("history", "message"),
    [
        pytest.param(nn.History(), "there are no epochs to draw", id="empty"),
        pytest.param(
            nn.History(loss=[1.0, 2.0], validation_loss=[1.0]),
            "the lists have different lengths: loss 2, validation_loss 1",
            id="different lengths",
        ),
        pytest.param(
            nn.History(loss=[1.0], metrics={"accuracy": [0.5, 0.6]}),
            "the lists have different lengths: loss 1, accuracy 2",
            id="a longer metric",
        ),
    ],
)
def test_histories_that_cannot_be_drawn(history: nn.History, message: str) -> None:
    ax = Figure().subplots()
    with pytest.raises(ValueError, match=re.escape(f"History.plot: {message}")):
        history.plot(ax)
    assert not ax.get_lines()
    assert len(ax.figure.axes) == 1


# confusion_matrix


def counts_of(ax: Axes, number: int) -> Any:
    """The numbers in the cells."""
    counts = np.zeros((number, number), int)
    for text in ax.texts:
        column, row = text.get_position()
        counts[row, column] = int(text.get_text())
    return counts


@pytest.mark.parametrize("number", [2, 3, 10, 26])
def test_the_counts_are_those_of_scikit_learn(number: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(number)
    labels = rng.integers(0, number, 400)
    predictions = np.where(rng.random(400) < 0.6, labels, rng.integers(0, number, 400))
    labels[labels == number - 2] = 0  # a class that no label has
    ax = plots.confusion_matrix(labels, predictions)
    wanted = metrics.confusion_matrix(labels, predictions, labels=range(number))
    np.testing.assert_array_equal(counts_of(ax, number), wanted)
    shares = metrics.confusion_matrix(labels, predictions, labels=range(number), normalize="true")
    np.testing.assert_allclose(ax.images[0].get_array(), shares)
    assert ax.images[0].get_clim() == (0, 1)
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("label", "prediction")
    assert [label.get_text() for label in ax.get_xticklabels()] == [str(k) for k in range(number)]


def test_labels_and_predictions_of_every_kind() -> None:
    labels, predictions = np.array([0, 1, 2, 2]), np.array([0, 2, 2, 1])
    one_hot = np.eye(3)
    wanted = [[1, 0, 0], [0, 0, 1], [0, 1, 1]]
    for right in (labels, list(labels), labels.astype(np.uint8), labels.astype(np.uint64), one_hot[labels]):
        for said in (predictions, tuple(predictions), predictions.astype(np.int8), ad.Tensor(one_hot[predictions] - 9)):
            np.testing.assert_array_equal(counts_of(plots.confusion_matrix(right, said), 3), wanted)
    yes = plots.confusion_matrix([True, False, True], np.array([2.0, -1.0, -3.0]) > 0)
    np.testing.assert_array_equal(counts_of(yes, 2), [[1, 0], [1, 1]])


def test_small_integers_do_not_overflow() -> None:
    labels = np.arange(100, dtype=np.int8)
    ax = plots.confusion_matrix(labels, labels[::-1])
    np.testing.assert_array_equal(ax.images[0].get_array(), np.eye(100)[::-1])


def test_a_model_that_gives_minus_infinity_for_a_class() -> None:
    ax = plots.confusion_matrix([0, 1], [[0.0, -INF], [-INF, -5.0]])
    np.testing.assert_array_equal(counts_of(ax, 2), np.eye(2))


def test_names_of_classes_are_shown_as_they_are() -> None:
    names = ["$a_1$", r"$\frac$", "<b>", "{c}_d", "é ∂"]
    figure = Figure(layout="constrained")
    ax = figure.subplots()
    assert plots.confusion_matrix([0, 1], [1, 0], classes=names, ax=ax) is ax
    figure.draw_without_rendering()
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    assert not any(label.get_parse_math() for label in (*ax.get_yticklabels(), *ax.get_xticklabels()))
    assert counts_of(ax, 5).sum() == 2


@pytest.mark.parametrize("names", ["short", "long"])
@pytest.mark.parametrize("number", [2, 3, 10, 26, 150])
@pytest.mark.parametrize("size", [None, (3, 3)])
def test_texts_of_a_confusion_matrix_do_not_overlap(names: str, number: int, size: tuple[float, float] | None) -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, number, (2, 100_000))
    classes = None if names == "short" else [f"a class called {k}" for k in range(number)]
    ax = None if size is None else Figure(size, layout="constrained").subplots()
    ax = plots.confusion_matrix(labels, predictions, classes=classes, ax=ax)
    assert_inside(ax)
    assert_apart(ax.get_yticklabels())
    if ax.get_xticklabels()[0].get_rotation() == 0:
        assert_apart(ax.get_xticklabels())
    else:  # parallel lines of text: their distance must be more than the height of the letters
        first, second = ax.get_xticklabels()[:2]
        step = (ax.transData.transform([second.get_position()[0], 0]) - ax.transData.transform([0, 0]))[0]
        assert step * np.sin(np.pi / 4) > 0.7 * first.get_fontsize() * ax.figure.dpi / 72
    cell = abs(np.diff(ax.transData.transform([[0, 0], [1, 1]]), axis=0))[0]
    for box in (text.get_window_extent() for text in ax.texts[:50]):
        assert box.width < cell[0]
        assert box.height < 1.2 * cell[1]
    assert bool(ax.texts) == (number <= (26 if size is None else 3))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param(([0, 1, 1], [0, 1]), ValueError, "3 labels but 2 predictions", id="lengths"),
        pytest.param(([0, 1], np.zeros((3, 2))), ValueError, "2 labels but 3 predictions", id="lengths of outputs"),
        pytest.param((np.zeros(0, int), np.zeros(0, int)), ValueError, "there are no labels", id="empty"),
        pytest.param(([0, -1], [0, 1]), ValueError, "labels must be from 0 to 1, got -1 at row 1", id="negative"),
        pytest.param(([0, 2], [0, 1], ["a", "b"]), ValueError, "labels must be from 0 to 1, got 2", id="unnamed label"),
        pytest.param(([0, 1], [3, 1], list("abc")), ValueError, "predictions must be from 0 to 2, got 3", id="unnamed"),
        pytest.param(
            ([5, 1], np.eye(2)), ValueError, "labels must be from 0 to 1, got 5 at row 0", id="no such output"
        ),
        pytest.param(
            ([0, 1], np.eye(2), list("abc")), ValueError, "classes differ: 2 in predictions, 3 in classes", id="names"
        ),
        pytest.param(
            (np.eye(3), np.ones((3, 2))), ValueError, "classes differ: 3 in labels, 2 in predictions", id="one-hot"
        ),
        pytest.param(([0, 1], [[NAN, 1], [0, 1]]), ValueError, "predictions hold nan at row 0", id="nan"),
        pytest.param(([0.0, 1.0], [0, 1]), TypeError, "labels must be integers of shape (N,)", id="floats"),
        pytest.param((["a", "b"], [0, 1]), TypeError, "labels must be integers", id="texts"),
        pytest.param(
            ([0, 1], [[0.5], [2.0]]), TypeError, "of one logit a row, give logits.ravel() > 0", id="one logit"
        ),
        pytest.param(([[0], [1]], [0, 1]), TypeError, "got int64 of shape (2, 1)", id="a column"),
        pytest.param(([0, 1], np.zeros((2, 2, 2))), TypeError, "got float64 of shape (2, 2, 2)", id="three axes"),
        pytest.param((0, 1), TypeError, "got int64 of shape ()", id="scalars"),
        pytest.param((None, [0]), TypeError, "labels must be integers", id="None"),
        pytest.param(([0, 1], [[0, 1], [1]]), ValueError, "predictions must not be ragged", id="ragged"),
        pytest.param(([0, 1], [0, 1], "ab"), TypeError, "classes must list the names", id="one name"),
        pytest.param(([0, 1], [0, 1], 2), TypeError, "classes must list the names", id="number of classes"),
        pytest.param(([0, 1], [0, 1], []), ValueError, "classes must list the names", id="no names"),
        pytest.param(([0, 10**12], [0, 1]), ValueError, "at most 1,000 classes can be drawn, got 1,000,000,000,001"),
    ],
)
def test_bad_input_of_a_confusion_matrix(arguments: Any, error: type[Exception], message: str) -> None:
    ax = Figure().subplots()
    with pytest.raises(error, match=re.escape("plots.confusion_matrix: ") + ".*" + re.escape(message)):
        plots.confusion_matrix(*arguments, *[None] * (3 - len(arguments)), ax)
    assert not ax.images
    assert len(ax.figure.axes) == 1


# decision_boundary


class Lines(nn.Module):
    """Logits that are known: affine in the features."""

    def __init__(self, W: Any, b: Any) -> None:
        self.W, self.b = nn.Parameter(np.asarray(W, float)), nn.Parameter(np.asarray(b, float))

    def forward(self, x: Any) -> Any:
        return x @ self.W + self.b


def mesh_of(ax: Axes) -> tuple[Any, Any]:
    """The points of the plane, of shape ``(N, 2)``, and their colours."""
    (image,) = ax.images
    assert image.origin == "lower"
    left, right, bottom, top = image.get_extent()
    lines, columns, _ = image.get_array().shape
    x1 = left + (np.arange(columns) + 0.5) * (right - left) / columns
    x2 = bottom + (np.arange(lines) + 0.5) * (top - bottom) / lines
    points = np.stack(np.meshgrid(x1, x2), axis=-1).reshape(-1, 2)
    return points, np.asarray(image.get_array()).reshape(-1, 3)


def tint(probabilities: Any) -> Any:
    """The colour of a point, by its probabilities."""
    number = probabilities.shape[1]
    colors = np.array([to_rgb(color) for color in COLORS])[probabilities.argmax(axis=1) % 7]
    certainty = (probabilities.max(axis=1) * number - 1) / (number - 1)
    return 1 - 0.35 * certainty[:, None] * (1 - colors)


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_the_plane_has_the_colours_of_the_models_probabilities(classes: int) -> None:
    model = nn.MLP([2, 16, classes], activation="tanh", rng=0)
    y = np.arange(60) % classes
    nn.fit(model, X, y, optimizer=nn.optim.Adam(model.parameters(), lr=0.05), epochs=10, rng=0)
    points, colors = mesh_of(plots.decision_boundary(model, X, y))
    assert (points.min(axis=0) < X.min(axis=0)).all()
    assert (points.max(axis=0) > X.max(axis=0)).all()
    probabilities = nn.functional.softmax(model(points.astype(np.float32)).data)
    np.testing.assert_allclose(colors, tint(probabilities), atol=1e-5)
    assert len(np.unique(probabilities.argmax(axis=1))) > 1


@pytest.mark.parametrize("flat", [True, False])
def test_one_logit_is_of_class_1_against_class_0(flat: bool) -> None:
    one = Lines([3.0, -2.0], 0.5) if flat else Lines([[3.0], [-2.0]], [0.5])
    two = Lines([[0, 3.0], [0, -2.0]], [0, 0.5])
    points, colors = mesh_of(plots.decision_boundary(one, X, LABELS))
    np.testing.assert_allclose(colors, mesh_of(plots.decision_boundary(two, X, LABELS))[1], rtol=1e-12)
    p = 1 / (1 + np.exp(-(points @ [3.0, -2.0] + 0.5)))
    np.testing.assert_allclose(colors, tint(np.stack([1 - p, p], axis=1)), atol=1e-12)


def contours_of(ax: Axes) -> list[Any]:
    sets = [artist for artist in ax.get_children() if type(artist).__name__ == "QuadContourSet"]
    return [path.vertices for lines in sets for path in lines.get_paths()]


def test_the_border_is_where_two_logits_are_equal() -> None:
    (vertices,) = contours_of(plots.decision_boundary(Lines([[0, 3.0], [0, -2.0]], [0, 0.5]), X, LABELS))
    np.testing.assert_allclose(vertices @ [3.0, -2.0] + 0.5, 0, atol=1e-9)

    W, b = RNG.normal(size=(2, 4)), RNG.normal(size=4) / 5
    border = np.concatenate(contours_of(plots.decision_boundary(Lines(W, b), X, LABELS)))
    second, first = np.sort(border @ W + b, axis=1)[:, -2:].T
    np.testing.assert_allclose(first - second, 0, atol=0.1)
    assert len(border) > 100


@pytest.mark.parametrize(("W", "b"), [(np.zeros((2, 3)), np.zeros(3)), (np.zeros((2, 2)), [1.0, -1.0])])
def test_a_plane_without_a_border(W: Any, b: Any) -> None:
    ax = plots.decision_boundary(Lines(W, b), X, LABELS)
    assert contours_of(ax) == []
    _, colors = mesh_of(ax)
    p = np.exp(b) / np.sum(np.exp(b))
    np.testing.assert_allclose(colors, np.broadcast_to(tint(p[None]), colors.shape))


def test_logits_that_are_huge() -> None:
    _, colors = mesh_of(plots.decision_boundary(Lines([[0, 1e5], [0, 0]], [0, 0]), X, LABELS))
    assert {to_hex(color) for color in np.unique(colors, axis=0)} == {to_hex(tint(np.eye(2))[k]) for k in (0, 1)}


def test_the_data_stand_on_the_plane() -> None:
    y = np.arange(60) % 9
    model = nn.MLP([2, 4, 9], rng=0)
    ax = plots.decision_boundary(model, X, y)
    marks = {marks.get_label(): marks for marks in ax.collections if marks.get_label().isdigit()}
    for k in range(9):
        np.testing.assert_array_equal(marks[str(k)].get_offsets(), X[y == k])
        assert to_hex(marks[str(k)].get_facecolor()[0]) == COLORS[k % 7].lower()
    shapes = {(to_hex(mark.get_facecolor()[0]), mark.get_paths()[0].vertices.tobytes()) for mark in marks.values()}
    assert len(shapes) == 9
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(marks)
    (x_low, x_high), (y_low, y_high) = ax.get_xlim(), ax.get_ylim()
    assert (x_low < X[:, 0]).all()
    assert (x_high > X[:, 0]).all()
    assert (y_low < X[:, 1]).all()
    assert (y_high > X[:, 1]).all()


def test_the_model_computes_in_evaluation_and_stays_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(2, 8, rng=0), nn.BatchNorm1d(8), nn.Dropout(0.5, rng=0), nn.Linear(8, 2, rng=1))
    model.layers[1].eval()
    before = {path: array.tobytes() for path, array in model.state_dict().items()}
    state = model.layers[2].rng.bit_generator.state
    points, colors = mesh_of(plots.decision_boundary(model, X, LABELS))
    assert [layer.training for layer in model.layers] == [True, False, True, True]
    assert {path: array.tobytes() for path, array in model.state_dict().items()} == before
    assert model.layers[2].rng.bit_generator.state == state
    assert all(parameter.grad is None for parameter in model.parameters())
    outputs = model.eval()(points.astype(np.float32)).data
    np.testing.assert_allclose(colors, tint(nn.functional.softmax(outputs)), atol=1e-5)


@pytest.mark.parametrize("rows", [[[1.0, 2.0]], [[1.0, 2.0], [1.0, 3.0]], [[0, 0], [0, 1], [1, 0], [1, 1]]])
def test_few_data(rows: Any) -> None:
    ax = plots.decision_boundary(nn.MLP([2, 4, 2], rng=0), rows, [0] * len(rows))
    points, _ = mesh_of(ax)
    assert np.isfinite(points).all()
    assert (np.ptp(points, axis=0) > 0.9).all()
    ax.figure.draw_without_rendering()


class Rows(nn.Module):
    """Outputs of a shape that is given, whatever the inputs are."""

    def __init__(self, shape: tuple[int, ...], value: float = 0.0) -> None:
        self.outputs = np.full(shape, value)

    def forward(self, x: Any) -> Any:
        return self.outputs


@pytest.mark.parametrize(
    ("model", "inputs", "labels", "error", "message"),
    [
        pytest.param(lambda x: x, X, LABELS, TypeError, "the model must be a Module", id="a function"),
        pytest.param(None, X[:, [0, 1, 1]], LABELS, ValueError, "two features", id="three features"),
        pytest.param(None, X[:, 0], LABELS, ValueError, "two features, .* got (60,)", id="one axis"),
        pytest.param(None, X[:0], LABELS[:0], ValueError, "the dataset is empty", id="empty"),
        pytest.param(None, X, LABELS[:-1], ValueError, "60 rows of inputs but 59 targets", id="lengths"),
        pytest.param(None, X, LABELS + 1, ValueError, "y must be from 0 to 1, got 2 at row", id="label out of range"),
        pytest.param(None, X, LABELS - 1, ValueError, "y must be from 0 to 1, got -1 at row", id="negative label"),
        pytest.param(None, X, LABELS * 0.5, TypeError, "y must be integers", id="floats"),
        pytest.param(None, X, LABELS[:, None], TypeError, "y must be integers", id="a column"),
        pytest.param(None, np.where(X > 1, NAN, X), LABELS, ValueError, "inputs hold nan at row", id="nan"),
        pytest.param(None, np.where(X > 1, INF, X), LABELS, ValueError, "inputs hold inf at row", id="inf"),
        pytest.param(None, X.astype(str), LABELS, TypeError, "inputs must be real numbers", id="texts"),
        pytest.param(None, [[1.0, 2.0], [1.0]], [0, 1], ValueError, "inputs must not be ragged", id="ragged"),
        pytest.param(Rows((200, 2), NAN), X, LABELS, ValueError, "outputs are not all finite", id="nan outputs"),
        pytest.param(Rows((2, 200)), X, LABELS, ValueError, "got (2, 200) for 200 rows", id="turned outputs"),
        pytest.param(Rows((200, 2, 1)), X, LABELS, ValueError, "got (200, 2, 1) for 200 rows", id="three axes"),
        pytest.param(Rows((200, 0)), X, LABELS, ValueError, "got (200, 0) for 200 rows", id="no outputs"),
        pytest.param(Rows(()), X, LABELS, ValueError, "got () for 200 rows", id="a scalar"),
    ],
)
def test_bad_input_of_a_decision_boundary(
    model: Any, inputs: Any, labels: Any, error: type[Exception], message: str
) -> None:
    ax = Figure().subplots()
    wanted = "plots.decision_boundary: .*" + re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(error, match=wanted):
        plots.decision_boundary(model or nn.MLP([2, 4, 2], rng=0), inputs, labels, ax)
    assert not [*ax.images, *ax.collections]


def test_a_model_of_other_inputs_says_so_and_stays_as_it_was() -> None:
    model = nn.MLP([3, 4, 2], rng=0)
    with pytest.raises(ValueError, match="3"):
        plots.decision_boundary(model, X, LABELS)
    assert model.training


# weights


@pytest.mark.parametrize(
    ("inputs", "units", "shape", "grid"),
    [
        (64, 32, None, (4, 8)),
        (64, 128, None, (8, 16)),
        (64, 37, None, (5, 8)),
        (12, 3, (2, 6), (2, 2)),
        (12, 5, (6, 2), (1, 5)),
        (9, 1, None, (1, 1)),
        (784, 10, [28, 28], (2, 5)),
        (1, 4, None, (1, 4)),
    ],
)
def test_each_unit_is_an_image(inputs: int, units: int, shape: Any, grid: tuple[int, int]) -> None:
    layer = nn.Linear(inputs, units, rng=0)
    ax = plots.weights(layer, shape)
    height, width = shape or [int(inputs**0.5)] * 2
    gap = 3 if inputs == 784 else 1
    lines, columns = grid
    sheet = np.ma.filled(ax.images[0].get_array(), NAN)
    assert sheet.shape == (lines * (height + gap) - gap, columns * (width + gap) - gap)
    for unit in range(units):
        top, left = unit // columns * (height + gap), unit % columns * (width + gap)
        np.testing.assert_array_equal(
            sheet[top : top + height, left : left + width].ravel(), layer.weight.data[:, unit], err_msg=str(unit)
        )
    assert np.isfinite(sheet).sum() == layer.weight.size
    largest = float(np.abs(layer.weight.data).max())
    assert ax.images[0].get_clim() == (-largest, largest)
    assert_inside(ax)


def with_weight(value: float) -> nn.Linear:
    layer = nn.Linear(4, 2, dtype=np.float64)
    layer.weight.data = np.full((4, 2), value)
    return layer


def test_the_colours_of_weights_are_centred_at_zero() -> None:
    layer = nn.Linear(4, 1, dtype=np.float64)
    layer.weight.data = np.array([[3.0], [0.0], [-1.0], [-3.0]])
    image = plots.weights(layer).images[0]
    colors = image.cmap(image.norm(image.get_array())).reshape(-1, 4)
    assert (colors[1, :3] > 0.95).all()
    assert colors[0, 0] > 2 * colors[0, 2]
    assert colors[3, 2] > 2 * colors[3, 0]
    assert colors[3, :3].sum() < colors[2, :3].sum()


def test_weights_that_are_zero() -> None:
    assert plots.weights(with_weight(0.0)).images[0].get_clim() == (-1, 1)


def test_the_first_linear_layer_is_drawn() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm1d(4)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, rng=0))
            self.head = nn.Linear(9, 1, rng=1)

    model = Net()
    ax = Figure().subplots()
    assert plots.weights(model, ax=ax) is ax
    np.testing.assert_array_equal(ax.images[0].get_array().ravel(), model.body.layers[1].weight.data[:, 0])


@pytest.mark.parametrize(
    ("model", "shape", "error", "message"),
    [
        pytest.param(nn.Linear(8, 2), None, ValueError, "8 inputs are not a square; give shape=", id="no square"),
        pytest.param(nn.Linear(8, 2), (3, 3), ValueError, "(height, width) of 8 inputs, got (3, 3)", id="too large"),
        pytest.param(nn.Linear(8, 2), (2, 2, 2), ValueError, "(height, width) of 8 inputs", id="three lengths"),
        pytest.param(nn.Linear(8, 2), 8, ValueError, "(height, width) of 8 inputs, got 8", id="a number"),
        pytest.param(nn.Linear(8, 2), (-2, -4), ValueError, "positive integer, got -2", id="negative"),
        pytest.param(nn.Linear(8, 2), (2.0, 4.0), TypeError, "positive integer, got 2.0", id="floats"),
        pytest.param(nn.Linear(8, 2), "ab", TypeError, "positive integer, got 'ab'", id="text"),
        pytest.param(nn.Sequential(nn.Tanh()), None, ValueError, "no Linear layer in Sequential", id="no layer"),
        pytest.param(np.zeros((4, 2)), None, TypeError, "a Linear layer or a Module with one, got array", id="array"),
        pytest.param(with_weight(NAN), None, ValueError, "a weight is not finite", id="nan"),
        pytest.param(with_weight(INF), None, ValueError, "a weight is not finite", id="inf"),
    ],
)
def test_bad_input_of_weights(model: Any, shape: Any, error: type[Exception], message: str) -> None:
    ax = Figure().subplots()
    with pytest.raises(error, match="plots.weights: .*" + re.escape(message)):
        plots.weights(model, shape, ax)
    assert not ax.images


# gradient_flow


def after_backward(sizes: Sequence[int], activation: str, **options: Any) -> nn.MLP:
    model = nn.MLP(sizes, activation=activation, rng=0)
    rows = np.random.default_rng(1).normal(size=(20, sizes[0])).astype(np.float32)
    nn.functional.cross_entropy(model(rows), np.arange(20) % sizes[-1]).backward(**options)
    return model


def bars_of(ax: Axes) -> dict[str, float]:
    """The lengths of the bars by the names beside them."""
    names = dict(zip(ax.get_yticks(), (label.get_text() for label in ax.get_yticklabels())))
    return {names[round(bar.get_y() + bar.get_height() / 2)]: bar.get_width() for bar in ax.patches}


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_the_bars_are_as_long_as_the_norms(activation: str) -> None:
    model = after_backward([4, *[16] * 10, 3], activation)
    ax = plots.gradient_flow(model)
    bars = bars_of(ax)
    assert list(bars) == [path for path, _ in model.named_parameters()]
    for path, parameter in model.named_parameters():
        assert bars[path] == pytest.approx(np.linalg.norm(parameter.grad.astype(float))), path
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "gradient norm")
    low, high = ax.get_xlim()
    assert low < min(bars.values())
    assert max(bars.values()) <= high
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first parameters are at the top
    ratio = bars["layers.20.weight"] / bars["layers.0.weight"]
    assert ratio > 1e4 if activation == "sigmoid" else 0.1 < ratio < 10
    assert {to_hex(bar.get_facecolor()) for bar in ax.patches[::2]} == {COLORS[0].lower()}
    assert {to_hex(bar.get_facecolor()) for bar in ax.patches[1::2]} == {COLORS[1].lower()}


def notes_of(ax: Axes) -> dict[str, str]:
    names = [label.get_text() for label in ax.get_yticklabels()]
    return {names[text.get_position()[1]]: text.get_text() for text in ax.texts}


def test_what_has_no_bar_says_why() -> None:
    model = after_backward([4, 3, 3, 3], "relu")
    model.unused = nn.Linear(2, 2)
    first, second, third = (layer for layer in model.layers if isinstance(layer, nn.Linear))
    first.weight.grad = np.full((4, 3), NAN)
    first.bias.grad = np.array([NAN, INF, 1])
    second.weight.grad = np.full((3, 3), -INF)
    second.bias.grad = np.zeros(3)
    third.bias.requires_grad = False
    ax = plots.gradient_flow(model)
    assert notes_of(ax) == {
        "layers.0.weight": "nan",
        "layers.0.bias": "nan",
        "layers.2.weight": "inf",
        "layers.2.bias": "0",
        "unused.weight": "no gradient",
        "unused.bias": "no gradient",
    }
    assert list(bars_of(ax)) == ["layers.4.weight"]
    assert_inside(ax)


@pytest.mark.parametrize("size", [1e-30, 1e-200, 1e200])
def test_norms_neither_vanish_nor_overflow(size: float) -> None:
    model = nn.MLP([4, 3], rng=0, dtype=np.float32 if size == 1e-30 else np.float64)
    for parameter in model.parameters():
        parameter.grad = np.full(parameter.shape, size, parameter.dtype)
    ax = plots.gradient_flow(model)
    assert bars_of(ax) == pytest.approx({"layers.0.weight": size * 12**0.5, "layers.0.bias": size * 3**0.5})
    low, high = ax.get_xlim()
    assert low < size * 3**0.5 < size * 12**0.5 < high
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize("value", [0.0, NAN, 1e-320, 1e308])
def test_gradients_beyond_the_ends_of_the_scale(value: float) -> None:
    model = nn.MLP([1, 1], rng=0, dtype=np.float64)
    for parameter in model.parameters():
        parameter.grad = np.full(parameter.shape, value)
    ax = plots.gradient_flow(model)
    ax.figure.draw_without_rendering()
    assert notes_of(ax) == dict.fromkeys(["layers.0.weight", "layers.0.bias"], f"{value:g}")
    assert not ax.patches


def test_gradients_that_have_a_graph() -> None:
    model = after_backward([4, 3], "relu", create_graph=True)
    assert isinstance(model.layers[0].weight.grad, ad.Tensor)
    ax = Figure().subplots()
    assert plots.gradient_flow(model, ax) is ax
    assert bars_of(ax)["layers.0.weight"] == pytest.approx(np.linalg.norm(model.layers[0].weight.grad.data))


@pytest.mark.parametrize("layers", [1, 10, 40, 150])
@pytest.mark.parametrize("size", [None, (4, 2)])
def test_texts_of_a_gradient_flow_do_not_overlap(layers: int, size: tuple[float, float] | None) -> None:
    model = after_backward([2, *[4] * layers, 2], "tanh")
    ax = plots.gradient_flow(model, None if size is None else Figure(size, layout="constrained").subplots())
    assert len(ax.patches) == 2 * (layers + 1)
    assert ax.get_yticklabels()[0].get_text() == "layers.0.weight"
    assert_inside(ax)
    assert_apart(ax.get_yticklabels())
    assert_apart(ax.get_xticklabels())


def frozen() -> nn.Module:
    return after_backward([2, 2], "relu").requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        pytest.param(
            nn.MLP([2, 2]), RuntimeError, "no parameter has a gradient; call loss.backward() first", id="early"
        ),
        pytest.param(frozen(), ValueError, "MLP has no parameter that requires a gradient", id="frozen"),
        pytest.param(nn.Tanh(), ValueError, "Tanh has no parameter that requires a gradient", id="no parameters"),
        pytest.param([1], TypeError, "the model must be a Module, got [1]", id="a list"),
    ],
)
def test_bad_input_of_a_gradient_flow(model: Any, error: type[Exception], message: str) -> None:
    ax = Figure().subplots()
    with pytest.raises(error, match="plots.gradient_flow: " + re.escape(message)):
        plots.gradient_flow(model, ax)
    assert ax.get_xscale() == "linear"


def test_after_zero_grad_there_is_nothing_to_draw() -> None:
    model = after_backward([2, 2], "relu")
    plots.gradient_flow(model)
    nn.optim.SGD(model.parameters(), lr=0.1).zero_grad()
    with pytest.raises(RuntimeError, match=r"call loss\.backward\(\) first"):
        plots.gradient_flow(model)


# All of them

PICTURES: dict[str, Callable[..., Axes]] = {
    "History.plot": lambda ax=None: history_to_draw().plot(ax=ax),
    "plots.confusion_matrix": lambda ax=None: plots.confusion_matrix([0, 1], [0, 1], ax=ax),
    "plots.decision_boundary": lambda ax=None: plots.decision_boundary(nn.MLP([2, 2], rng=0), X, LABELS, ax=ax),
    "plots.weights": lambda ax=None: plots.weights(nn.Linear(4, 2), ax=ax),
    "plots.gradient_flow": lambda ax=None: plots.gradient_flow(after_backward([2, 2], "relu"), ax=ax),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("ax", [0, "ax", Figure(), Figure().subplots(1, 2)], ids=["number", "text", "figure", "array"])
def test_ax_must_be_axes(name: str, ax: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"{name}: ax must be a matplotlib Axes")):
        PICTURES[name](ax=ax)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.axes", "matplotlib.figure"])
def test_without_matplotlib(name: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == "matplotlib"]:
        if missing == "matplotlib" or module == missing:
            monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=re.escape(f'{name} needs matplotlib: pip install -e ".[demos]"')):
        PICTURES[name]()


def test_pictures_in_a_part_of_a_figure() -> None:
    figure = Figure(figsize=(12, 8), layout="constrained")
    parts = figure.subfigures(2, 3).ravel()
    for part, draw in zip(parts, PICTURES.values()):
        ax = part.subplots()
        assert draw(ax=ax) is ax
    figure.draw_without_rendering()


def test_no_display_and_no_pyplot(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
import nn
assert not [name for name in sys.modules if name.split(".")[0] in ("matplotlib", "sklearn")]
model = nn.MLP([4, 2], rng=0)
nn.functional.cross_entropy(model(np.eye(4, dtype=np.float32)), np.array([0, 1, 0, 1])).backward()
pictures = [
    nn.History(loss=[1.0], validation_loss=[1.0], seconds=[1.0]).plot(),
    nn.plots.confusion_matrix([0, 1], [1, 1]),
    nn.plots.decision_boundary(nn.MLP([2, 3, 2], rng=0), np.eye(2), [0, 1]),
    nn.plots.weights(model),
    nn.plots.gradient_flow(model),
]
for k, ax in enumerate(pictures):
    ax.figure.savefig(f"{sys.argv[1]}/{k}.png")
assert not [name for name in sys.modules if name in ("matplotlib.pyplot", "sklearn")]
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes()[:4] for path in sorted(tmp_path.iterdir())] == [b"\x89PNG"] * 5


# A training as it goes


def trained(callbacks: Sequence[Any] = (), features: int = 2, **options: Any) -> nn.History:
    inputs = np.column_stack([X, X])[:, :features]
    model = nn.Sequential(nn.Linear(features, 8, rng=0), nn.ReLU(), nn.Dropout(0.2, rng=0), nn.Linear(8, 2, rng=1))
    return nn.fit(model, inputs, LABELS, validation_data=(inputs, LABELS), callbacks=callbacks, rng=0, **options)


def test_a_film_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(plots, "_MOST_FRAMES", 2)
    live = plots.Live(X, LABELS)
    trained([live], epochs=2)  # another training begins another film
    seen, drawn = [], plots.decision_boundary

    def boundary(model: Any, *data: Any, ax: Axes) -> Axes:
        seen.append((ax.figure.axes[0].get_title(), model.state_dict()["layers.0.weight"]))
        return drawn(model, *data, ax=ax)

    learned = []
    history = trained([live, lambda *now: learned.append(now[1].state_dict()["layers.0.weight"])], epochs=9)
    assert history.loss == trained(epochs=9).loss  # to the last bit
    monkeypatch.setattr(plots, "decision_boundary", boundary)
    path = live.save(tmp_path / "training.gif")
    with Image.open(path) as film:
        assert (film.format, film.n_frames, film.size) == ("GIF", 3, (1080, 420))
    assert [title for title, _ in seen] == ["epoch 1", "epoch 8", "epoch 9"]
    for (_, weight), epoch in zip(seen, (1, 8, 9)):
        np.testing.assert_array_equal(weight, learned[epoch - 1])
    assert capfd.readouterr() == ("", "")


def test_a_film_of_curves_only(tmp_path: Path) -> None:
    for live in (plots.Live(), plots.Live(np.column_stack([X, X]), LABELS)):
        trained([live], features=4, epochs=2, metrics=["accuracy"])
        with Image.open(live.save(str(tmp_path / "training.GIF"))) as film:
            assert (film.n_frames, film.size) == (2, (540, 420))


def test_films_that_cannot_be(tmp_path: Path) -> None:
    live = plots.Live(X, LABELS)
    with pytest.raises(RuntimeError, match=r"plots\.Live\.save: there was no epoch yet; train by fit"):
        live.save(tmp_path / "training.gif")
    with pytest.raises(ValueError, match=r"plots\.Live\.save: .* must end with \.gif, got '.*training\.mp4'"):
        live.save(tmp_path / "training.mp4")
    with pytest.raises(TypeError, match=r"plots\.Live\.save: expected the path of a file, got 3"):
        live.save(3)
    trained([live], epochs=1)
    with pytest.raises(FileNotFoundError):
        live.save(tmp_path / "missing" / "training.gif")
    assert not list(tmp_path.iterdir())

    class Odd(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x)[:, None]

    with pytest.raises(ValueError, match="the model must give logits"):  # after the first of the epochs
        nn.fit(Odd(2, 2, rng=0), X, X[:, None], loss="mse_loss", callbacks=[live])
    bad: list[tuple[Any, type[Exception], str]] = [
        ((X, None), TypeError, "plots.Live: give both X and y, or neither"),
        ((None, LABELS), TypeError, "plots.Live: give both X and y, or neither"),
        ((X, X[:, 0]), TypeError, "plots.Live: y must be integers"),
        ((X, LABELS[:-1]), ValueError, "plots.Live: 60 rows of inputs but 59 targets"),
        ((X * NAN, LABELS), ValueError, "plots.Live: "),
    ]
    for arguments, kind, message in bad:
        with pytest.raises(kind, match=re.escape(message)):
            plots.Live(*arguments)
    for seconds, kind in ((-1, ValueError), (NAN, ValueError), ("often", TypeError)):
        with pytest.raises(kind, match=r"plots\.Live: seconds must be"):
            plots.Live(seconds=seconds)  # type: ignore[arg-type]


# A history, told in few lines


def test_a_history_is_a_small_table() -> None:
    losses = [1 / epoch for epoch in range(1, 101)]
    history = nn.History(loss=losses, validation_loss=[*losses[:80], *[1.0] * 20], lr=[0.1] * 100, seconds=[0.5] * 100)
    text = """History of 100 epochs in 50 s; * has the smallest validation loss
epoch                 1      26      50      75     *80     100
loss             1.0000  0.0385  0.0200  0.0133  0.0125  0.0100
validation_loss  1.0000  0.0385  0.0200  0.0133  0.0125  1.0000"""
    assert repr(history) == text
    metrics = {"<b>": losses}
    assert "<th>&lt;b&gt;</th><td>1.0000</td><td>0.0385" in nn.History(loss=losses, metrics=metrics)._repr_html_()
    assert repr(nn.History()) == "History of 0 epochs"
    assert nn.History()._repr_html_() == "<p>History of 0 epochs</p><table></table>"
    uneven = nn.History(loss=[1.0, NAN], seconds=[1.0], lr=[0.1, 0.01])
    assert repr(uneven).splitlines()[1:] == ["epoch       1       2", "loss   1.0000     nan", "lr     0.1000  0.0100"]
    assert "<img" not in uneven._repr_html_()


def test_a_history_without_matplotlib_is_the_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    history = history_to_draw()
    assert "<img" in history._repr_html_()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert history._repr_html_().startswith("<p>History of 2 epochs in 0.2000 s")


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_themselves(name: str) -> None:
    ax = PICTURES[name]()
    for shown in (ax, ax.figure):
        content, facts = shown._repr_png_()
        assert content.startswith(b"\x89PNG")
        assert facts == {"width": round(ax.figure.get_figwidth() * 96)}
    assert type(pickle.loads(pickle.dumps(ax.figure))) is type(ax.figure)
