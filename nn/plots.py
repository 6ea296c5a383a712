"""Pictures of what a model learned and of how its gradients flow, on matplotlib's Axes; `History.plot` has the curves.

Every function draws on the Axes that it is given, or else on those of a new figure, which needs no display and does not
belong to pyplot: ``plots.weights(model).figure.savefig("weights.png")``. In a notebook the Axes show themselves as the
last line of a cell.
"""

from __future__ import annotations

import copy
import io
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.drawing.text import norm
from autodiff.files import write_atomically
from autodiff.notebook import after_cell, notebook_display
from nn import figures
from nn.checks import check_dtype, check_number, check_path, check_real, check_shape, to_array
from nn.dataset import Dataset
from nn.functional import softmax
from nn.history import History
from nn.layers import Linear
from nn.module import Module, check_model
from nn.training import dtype_of, evaluating

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CLASSES = 1000  # of a confusion matrix: more have less than a pixel each
_MESH = 200  # points along each side of a plane
_MOST_FRAMES = 60  # of a film, which then lasts eight seconds
_MARKERS = "o^sDvPX<"  # one more than there are colours, so that 56 classes differ in one of the two


def confusion_matrix(
    labels: Array, predictions: Array, classes: Sequence[Any] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how many rows of each class are taken for which class.

    A label has a row of cells, a prediction a column. The number in a cell counts the data that have both; there is
    none for zero, or where the cells are too small. The colour is its share of the label's data, so that rare classes
    are seen as well as frequent ones.

    Args:
        labels: the right classes, integers from 0 of shape ``(N,)``, or probabilities of shape ``(N, C)``, of which the
            largest counts.
        predictions: the same of the model: classes, or its outputs, such as logits, of shape ``(N, C)``.
        classes: the names of the classes 0, 1, ...; by default these numbers, up to the largest there is.
        ax: the Axes to draw on; by default those of a new figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: labels or predictions are neither integers nor numbers for each class, ``classes`` is no list, or
            ``ax`` is not an Axes.
        ValueError: there are no data, not as many labels as predictions, a NaN among them, a class out of range, more
            than 1,000 classes, or no names in ``classes``.

    Example:
        >>> ax = nn.plots.confusion_matrix([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], classes=["cat", "dog"])
        >>> [text.get_text() for text in ax.texts]
        ['1', '1', '1', '2']
        >>> logits = np.array([[2.0, -1.0], [0.5, 1.0]])
        >>> [text.get_text() for text in nn.plots.confusion_matrix([0, 1], logits).texts]
        ['1', '1']
    """
    caller = "plots.confusion_matrix"
    sides = {"labels": _classes(caller, "labels", labels), "predictions": _classes(caller, "predictions", predictions)}
    if classes is not None:
        problem = f'{caller}: classes must list the names, as in ["cat", "dog"], got {classes!r}'
        if np.ndim(classes) != 1:
            raise TypeError(problem)
        if not len(classes):
            raise ValueError(problem)
    number = _number_of_classes(caller, sides, classes)
    true, said = (column for column, _ in sides.values())
    counts = np.bincount(true * number + said, minlength=number**2).reshape(number, number)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    names = [str(name) for name in (range(number) if classes is None else classes)]
    side, longest = min(7.0, max(1.8, 0.4 * number)), 0.09 * max(map(len, names))  # inches
    ax = figures.axes(caller, ax, side + longest + 1.2, side + 0.7 * longest + 0.6)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=0.03, aspect=30, label="share of the label's data")
    ax.set(xlabel="prediction", ylabel="label")
    _name_classes(ax, names)
    ax.figure.canvas.figure.draw_without_rendering()  # the layout says how large the cells are
    cell = _name_classes(ax, names)
    size = min(10.0, cell / (0.3 + 0.65 * len(str(counts.max()))))
    for row, column in np.argwhere(counts) if size >= 5 else ():
        ax.text(
            column, row, str(counts[row, column]), ha="center", va="center", fontsize=size, in_layout=False,
            color="white" if shares[row, column] > 0.7 else "black",
        )  # fmt: skip
    return ax


def _classes(caller: str, name: str, values: Any) -> tuple[Array, int | None]:
    """Give the class of each row and, where a row has a number for each class, how many classes there are."""
    array = np.asarray(to_array(caller, name, data_of(values)))
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "fiub":
        unknown = np.isnan(array).any(axis=1)
        if unknown.any():
            raise ValueError(f"{caller}: {name} hold nan at row {np.argmax(unknown)}")
        return array.argmax(axis=1), array.shape[1]
    if array.ndim == 1 and array.dtype.kind in "iub":
        return array.astype(np.intp), None
    raise TypeError(
        f"{caller}: {name} must be integers of shape (N,), or numbers for each class of shape (N, C), got "
        f"{array.dtype} of shape {array.shape}; of one logit a row, give logits.ravel() > 0; of labels that are "
        "floats, labels.ravel().astype(int)"
    )


def _number_of_classes(caller: str, sides: dict[str, tuple[Array, int | None]], classes: Sequence[Any] | None) -> int:
    """Give the number of classes that the arguments agree on, and refuse rows that do not fit together or into it."""
    rows = {name: len(column) for name, (column, _) in sides.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"{caller}: {' but '.join(f'{count} {name}' for name, count in rows.items())}")
    if not all(rows.values()):
        raise ValueError(f"{caller}: there are no {' and no '.join(rows)}")
    numbers = {name: number for name, (_, number) in sides.items() if number is not None}
    if classes is not None:
        numbers["classes"] = len(classes)
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{number} in {name}" for name, number in numbers.items())
        raise ValueError(f"{caller}: the numbers of classes differ: {listed}")
    number = next(iter(numbers.values()), 1 + max(int(column.max()) for column, _ in sides.values()))
    for name, (column, _) in sides.items():
        _check_range(caller, name, column, number)
    if number > _MOST_CLASSES:
        raise ValueError(
            f"{caller}: at most {_MOST_CLASSES:,} classes can be drawn, got {number:,}; "
            "np.unique(labels, return_inverse=True)[1] numbers those that occur from 0"
        )
    return number


def _check_range(caller: str, name: str, classes: Array, number: int) -> None:
    """Refuse a class that there is not."""
    outside = (classes < 0) | (classes >= number)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"{caller}: {name} must be from 0 to {number - 1}, got {classes[row]} at row {row}")


def _name_classes(ax: Axes, names: list[str]) -> float:
    """Write the names of classes beside the cells of a matrix, as many as there is room for; gives a cell's points."""
    cell = min(ax.get_window_extent().size) / len(names) * 72 / ax.figure.dpi
    size = min(10.0, max(6.0, 0.6 * cell))
    shown = range(0, len(names), math.ceil(1.6 * size / cell))
    slanted = max(map(len, names)) * 0.65 * size > cell * shown.step
    # Text is shown as it is, a dollar sign too.
    ax.set_yticks(shown, [names[k] for k in shown], fontsize=size, parse_math=False)
    ax.set_xticks(
        shown, [names[k] for k in shown], fontsize=size, parse_math=False, rotation=45 if slanted else 0,
        ha="right" if slanted else "center", rotation_mode="anchor",
    )  # fmt: skip
    return cell


def decision_boundary(model: Module, X: Array, y: Array, ax: Axes | None = None) -> Axes:
    """Draw how a model of two features divides the plane into classes, and the data on it.

    Each point of the plane has the colour of its most probable class: the stronger, the more probable, and white where
    all classes are equally probable. Black lines are where two classes are equally probable and no other is more so.
    From the eighth class on the colours begin again, with other marks. The model computes in evaluation mode.

    Args:
        model: gives logits of shape ``(N, C)``, or one logit a row, of class 1 against class 0, of shape ``(N, 1)`` or
            ``(N,)``.
        X: data, real numbers of shape ``(N, 2)``.
        y: their labels, as for `confusion_matrix`.
        ax: the Axes to draw on; by default those of a new figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: the model is not a Module, X is not real numbers, the labels are not integers, or ``ax`` is not an
            Axes.
        ValueError: there are not two features, not as many data as labels, none, numbers that are not finite, a label
            out of range, or outputs that are not logits.

    Example:
        >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> model = nn.MLP([2, 8, 2], rng=0)
        >>> ax = nn.plots.decision_boundary(model, X, X[:, 0] ^ X[:, 1])
        >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().get_texts()]
        ('$x_1$', ['0', '1'])
    """
    caller = "plots.decision_boundary"
    check_model(caller, model)
    labels, _ = _classes(caller, "y", y)
    dtype = check_dtype(caller, dtype_of(model))
    data = Dataset(caller, X, labels, dtype)
    X, labels = data.inputs[:], data.targets[:]
    if X.ndim != 2 or X.shape[1] != 2:
        raise ValueError(f"{caller}: X must have two features, as the plane has, so be of shape (N, 2), got {X.shape}")
    x1, x2 = (_side(feature) for feature in X.T)
    logits = _logits_on_plane(caller, model, x1, x2, dtype)
    number = logits.shape[2]
    _check_range(caller, "y", labels, number)
    best = logits.argmax(axis=2)

    ax = figures.axes(caller, ax, 4.8, 4)
    halves = (x1[1] - x1[0]) / 2, (x2[1] - x2[0]) / 2  # of a pixel, around its point
    extent = (x1[0] - halves[0], x1[-1] + halves[0], x2[0] - halves[1], x2[-1] + halves[1])
    ax.imshow(_shade(softmax(logits), best), extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    for k in range(number - 1):
        margin = logits[:, :, k] - np.delete(logits, k, axis=2).max(axis=2)
        if margin.min() < 0 < margin.max():
            ax.contour(x1, x2, margin, levels=[0], colors="black", linewidths=1)
    box = ax.get_window_extent()
    size = np.clip(0.2 * box.width * box.height * (72 / ax.figure.dpi) ** 2 / len(X), 4, 30)  # a fifth of the plane
    for k in np.union1d(labels, best):
        ax.scatter(
            X[labels == k, 0], X[labels == k, 1], s=size, color=_color(k), marker=_MARKERS[k % len(_MARKERS)],
            edgecolors="white", linewidths=0.02 * size, label=str(k),
        )  # fmt: skip
    ax.legend(title="class", fontsize="small", title_fontsize="small", borderpad=0.3, handletextpad=0.1)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", xlim=extent[:2], ylim=extent[2:])
    return ax


def _side(feature: Array) -> Array:
    """Give the points of one side of the plane, which goes a little further than the data."""
    low, high = float(feature.min()), float(feature.max())
    pad = 0.1 * (high - low) or 0.5
    return np.linspace(low - pad, high + pad, _MESH)


def _logits_on_plane(caller: str, model: Module, x1: Array, x2: Array, dtype: Any) -> Array:
    """Give the logits of the classes at each point, of shape ``(x2, x1, C)``."""
    with evaluating(model):
        # Line by line: the layers of a wide network would take much memory for all points.
        lines = [data_of(model(np.column_stack([x1, np.full_like(x1, height)]).astype(dtype))) for height in x2]
    shape = np.shape(lines[0])
    if shape == (len(x1),) or (len(shape) == 2 and shape[0] == len(x1) and shape[1] > 0):
        logits = np.reshape(lines, (len(x2), len(x1), -1)).astype(np.float64)
    else:
        raise ValueError(
            f"{caller}: the model must give logits of shape (N, C), or one a row, got {shape} for {len(x1)} rows"
        )
    if not np.isfinite(logits).all():
        raise ValueError(f"{caller}: the model's outputs are not all finite")
    return logits if logits.shape[2] > 1 else np.concatenate([np.zeros_like(logits), logits], axis=2)


def _shade(probabilities: Array, best: Array) -> Array:
    """Give colours, from white where all classes are equally probable to a tint where one is certain."""
    from matplotlib.colors import to_rgb

    number = probabilities.shape[2]
    certainty = (probabilities.max(axis=2, keepdims=True) - 1 / number) / (1 - 1 / number)
    colors = np.array([to_rgb(_color(k)) for k in range(number)])
    return 1 - 0.35 * certainty * (1 - colors[best])


def _color(k: int) -> str:
    return figures.COLORS[k % len(figures.COLORS)]


def weights(model: Module, shape: tuple[int, int] | None = None, ax: Axes | None = None) -> Axes:
    """Draw the weights of each unit of the first linear layer as an image of the inputs that it adds up.

    The images, one for each column of the layer's weight, stand in lines in the order of the units. Red weights are
    positive, blue ones negative, and white is zero.

    Args:
        model: a `Linear` layer, or a Module with one.
        shape: height and width of an image; by default it is a square.
        ax: the Axes to draw on; by default those of a new figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: the model is not a Module, ``shape`` is not a pair of integers, or ``ax`` is not an Axes.
        ValueError: there is no linear layer, its inputs do not make an image of this shape, or a weight is not finite.

    Example:
        >>> ax = nn.plots.weights(nn.MLP([64, 6, 10], rng=0))
        >>> ax.images[0].get_array().shape              # two lines of three images of 8x8, with lines between them
        (17, 26)
    """
    caller = "plots.weights"
    if not isinstance(model, Module):
        raise TypeError(f"{caller}: expected a Linear layer or a Module with one, got {model!r}")
    layer = next((part for part in model.modules() if isinstance(part, Linear)), None)
    if layer is None:
        raise ValueError(f"{caller}: there is no Linear layer in {type(model).__name__}")
    weight = check_real(caller, "the weight", data_of(layer.weight))
    height, width = _image_shape(caller, layer.in_features, shape)
    if not np.isfinite(weight).all():
        raise ValueError(f"{caller}: a weight is not finite; autodiff.detect_anomaly() finds the call that made it so")
    tiles = _tiles(weight.T.reshape(-1, height, width))

    ax = figures.axes(caller, ax, 6.4, min(8.0, max(1.5, 5.4 * tiles.shape[0] / tiles.shape[1])))
    largest = np.abs(weight).max() or 1
    image = ax.imshow(tiles, cmap="RdBu_r", vmin=-largest, vmax=largest)
    image.set_cmap(image.get_cmap().with_extremes(bad="#444444"))  # between the images
    ax.figure.colorbar(image, ax=ax, label="weight")
    ax.set_axis_off()
    return ax


def _image_shape(caller: str, pixels: int, shape: Any) -> tuple[int, int]:
    """Give the height and width of an image of so many pixels."""
    side = math.isqrt(pixels)
    if shape is None:
        if side**2 != pixels:
            raise ValueError(f"{caller}: {pixels} inputs are not a square; give shape=(height, width)")
        return side, side
    lengths = check_shape(caller, "shape", shape)
    if len(lengths) != 2 or math.prod(lengths) != pixels:
        raise ValueError(f"{caller}: shape must be (height, width) of {pixels} inputs, got {shape!r}")
    return lengths[0], lengths[1]


def _tiles(images: Array) -> Array:
    """Set images in lines, with NaN between them, to a sheet that is wider than high, with few free places."""
    number, height, width = images.shape
    gap = math.ceil(min(height, width) / 10)
    fewest = min(number, math.ceil(math.sqrt(1.5 * number * height / width)))
    columns = min(range(fewest, fewest * 4 // 3 + 1), key=lambda columns: -number % columns)
    lines = math.ceil(number / columns)
    sheet = np.full((lines * columns, height + gap, width + gap), np.nan)
    sheet[:number, :-gap, :-gap] = images
    sheet = sheet.reshape(lines, columns, height + gap, width + gap).swapaxes(1, 2)
    return sheet.reshape(lines * (height + gap), columns * (width + gap))[:-gap, :-gap]


def gradient_flow(model: Module, ax: Axes | None = None) -> Axes:
    """Draw the norm of the gradient of each parameter on a log scale, the first parameters at the top.

    Bars that shrink from the last layer up to the first are a gradient that vanishes, bars that grow one that explodes.
    Where there is no bar, a word says why: a norm of 0, NaN or Inf, or no gradient, as for a parameter that the loss
    does not depend on. Frozen parameters are left out. The norm is the Euclidean one, computed in float64.

    Args:
        model: a Module after `Tensor.backward`.
        ax: the Axes to draw on; by default those of a new figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: the model is not a Module, or ``ax`` is not an Axes.
        ValueError: all parameters are frozen, or there are none.
        RuntimeError: there is no gradient, since backward was not called, or `Optimizer.zero_grad` was.

    Example:
        >>> model = nn.MLP([2, 8, 8, 1], activation="sigmoid", rng=0)
        >>> nn.functional.mse_loss(model(np.ones((4, 2), np.float32)), np.zeros((4, 1), np.float32)).backward()
        >>> ax = nn.plots.gradient_flow(model)
        >>> [label.get_text() for label in ax.get_yticklabels()][:2]
        ['layers.0.weight', 'layers.0.bias']
    """
    caller = "plots.gradient_flow"
    check_model(caller, model)
    gradients = {path: parameter.grad for path, parameter in model.named_parameters() if parameter.requires_grad}
    if not gradients:
        raise ValueError(f"{caller}: {type(model).__name__} has no parameter that requires a gradient")
    if all(gradient is None for gradient in gradients.values()):
        raise RuntimeError(f"{caller}: no parameter has a gradient; call loss.backward() first")
    norms = {path: None if gradient is None else norm(gradient) for path, gradient in gradients.items()}

    ax = figures.axes(caller, ax, 6.4, min(9.0, 0.9 + 0.2 * len(norms)))
    places = {path: place for place, path in enumerate(norms)}
    kinds = list(dict.fromkeys(path.rpartition(".")[2] for path in norms))
    bars = {path: value for path, value in norms.items() if value is not None and 1e-300 < value < 1e300}
    ax.barh(
        [places[path] for path in bars], list(bars.values()),
        color=[_color(kinds.index(path.rpartition(".")[2])) for path in bars],
    )  # fmt: skip
    for path in [path for path in norms if path not in bars]:
        text = "no gradient" if norms[path] is None else f"{norms[path]:g}"
        ax.text(
            0.01, places[path], text, transform=ax.get_yaxis_transform(), va="center_baseline", fontsize="small",
            color=figures.GREY,
        )  # fmt: skip
    exponents = np.log10(list(bars.values()) or [0.1, 1])
    ax.set_xlim(10 ** np.floor(exponents.min() - 0.2), 10 ** np.ceil(exponents.max()))
    ax.set_xscale("log")
    _name_places(ax, list(norms))
    return ax


def _name_places(ax: Axes, names: list[str]) -> None:
    """Write names beside the places 0, 1, ... from the top, as many as there is room for."""
    place = ax.get_window_extent().height / len(names) * 72 / ax.figure.dpi  # its height in points
    shown = range(0, len(names), math.ceil(10 / place))
    ax.set_yticks(shown, [names[k] for k in shown], fontsize=8, parse_math=False)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlabel="gradient norm")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="x", color="#DDDDDD")
    ax.set_axisbelow(True)


class Live:
    """A callback of `fit` that draws the curves while they grow and, for two features, how the plane is divided.

    A notebook has one picture below the cell, which is drawn anew from time to time, and at the end. Elsewhere nothing
    is shown. Of up to 60 epochs, evenly spread, and of the last one, it remembers the model for `save`.

    Args:
        X: the data, as for `decision_boundary`. Without them, or with other than two features, there are only curves.
        y: their labels.
        seconds: how long a picture stays in a notebook at least, not negative.

    Raises:
        ImportError: matplotlib is not installed.
        TypeError: X or y are given alone, or are not what `decision_boundary` takes, or ``seconds`` is no number.
        ValueError: X and y are not as many, or not finite, or ``seconds`` is negative.

    Example:
        >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> y = X[:, 0] ^ X[:, 1]
        >>> live = nn.plots.Live(X, y)
        >>> history = nn.fit(nn.MLP([2, 8, 2], rng=0), X, y, epochs=2, callbacks=[live], rng=0)
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(live.save(folder + "/training.gif").name)
        training.gif
    """

    def __init__(self, X: Array = None, y: Array = None, *, seconds: float = 0.5) -> None:
        caller = "plots.Live"
        figures.axes(caller, None, 1, 1)  # to hear before the training that matplotlib is missing
        check_number(caller, "seconds", seconds, lambda seconds: seconds >= 0, "at least 0")
        if (X is None) != (y is None):
            raise TypeError(f"{caller}: give both X and y, or neither for curves only")
        self._seconds = seconds
        self._data: tuple[Array, Array] | None = None
        if np.shape(X)[1:] == (2,):
            data = Dataset(caller, X, _classes(caller, "y", y)[0], np.float64)
            self._data = data.inputs[:], data.targets[:]
        self._history: History | None = None
        self._frames: list[tuple[int, dict[str, Array]]] = []  # epochs, with what the model had learned
        self._every = 1
        self._handle: Any = None

    def __call__(self, epoch: int, model: Module, history: History) -> None:
        """Remember an epoch, and draw it where it is to be seen."""
        display = notebook_display()
        is_first = history is not self._history
        if is_first:
            self._history, self._frames, self._every, self._handle = history, [], 1, None
        self._model, self._last = model, (epoch, {} if self._data is None else model.state_dict())
        if is_first or epoch % self._every == 0:
            self._frames.append(self._last)
        if len(self._frames) > _MOST_FRAMES:
            self._every *= 2
            self._frames = [frame for k, frame in enumerate(self._frames) if k == 0 or frame[0] % self._every == 0]
        if is_first or (display is not None and time.monotonic() - self._time >= self._seconds):
            self._draw(history, display)  # also where it is not seen: the first time, to refuse what cannot be drawn

        def finish() -> None:
            if self._drawn is not self._last:
                self._draw(history, display)

        if is_first and display is not None:
            after_cell(finish)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the training as a film, whole or not at all, and give its path.

        Args:
            path: of the file, which ends with gif.

        Raises:
            OSError: the file cannot be written.
            RuntimeError: there was no epoch yet.
            TypeError: the path is none.
            ValueError: the path has another ending.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from PIL import Image

        path = check_path("plots.Live.save", path)
        if path.suffix.lower() != ".gif":
            raise ValueError(f"plots.Live.save: the film is a GIF, so the path must end with .gif, got {str(path)!r}")
        if self._history is None:
            raise RuntimeError("plots.Live.save: there was no epoch yet; train by fit(..., callbacks=[live]) first")
        figure, curves, planes = self._picture(self._history)
        lines = [
            (line, np.asarray(line.get_xydata())) for ax in figure.axes if ax not in planes for line in ax.get_lines()
        ]
        canvas: Any = FigureCanvasAgg(figure)
        images = []
        for frame in self._frames + [self._last] * (self._frames[-1] is not self._last):
            for line, points in lines:
                line.set_ydata(np.where(points[:, 0] <= frame[0], points[:, 1], np.nan))
            self._fill(curves, planes, *frame)
            canvas.draw()
            figure.set_layout_engine("none")  # it stays as it is
            images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(64))
        file = io.BytesIO()
        durations = [100] * (len(images) - 1) + [2000]
        images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
        write_atomically(path, file.getvalue())
        return path

    def _draw(self, history: History, display: Any) -> None:
        """Draw the last epoch and, in a notebook, put it in the place of the one before."""
        figure, curves, planes = self._picture(history)
        self._fill(curves, planes, *self._last)
        if self._handle is not None:
            self._handle.update(figure)
        elif display is not None:
            self._handle = display(figure, display_id=True)
        self._drawn, self._time = self._last, time.monotonic()

    def _picture(self, history: History) -> tuple[Figure, Axes, list[Axes]]:
        """Draw the curves, and beside them an empty place for the plane, if there is one."""
        from nn.shown import ShownFigure

        parts = 1 if self._data is None else 2
        figure = ShownFigure(figsize=(5.4 * parts, 4.2), layout="constrained")
        curves, *planes = figure.subplots(1, parts, squeeze=False)[0]
        history.plot(curves)
        return figure, curves, planes

    def _fill(self, curves: Axes, planes: list[Axes], epoch: int, state: dict[str, Array]) -> None:
        """Say which epoch it is, and draw the plane as the model was then."""
        curves.set_title(f"epoch {epoch}")
        if self._data is not None:
            model = copy.deepcopy(self._model)
            model.load_state_dict(state)
            planes[0].clear()
            decision_boundary(model, *self._data, ax=planes[0])
