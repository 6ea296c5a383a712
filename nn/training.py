"""The training loop, and the record it keeps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

import autodiff as ad
from autodiff.tensor import data_of
from nn import functional
from nn.checks import check_count, check_dataset
from nn.data import batches
from nn.init import Seed, generator
from nn.module import Module
from nn.optim import Adam, Optimizer

Loss = Callable[[Any, Any], Any]

LOSSES: dict[str, Loss] = {
    "cross_entropy": functional.cross_entropy,
    "mse_loss": functional.mse_loss,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
}


@dataclass
class History:
    """What `fit` saw, one entry an epoch.

    Attributes:
        loss: mean training loss over the epoch's batches, each taken before its step.
        validation_loss: loss on the validation data at the end of the epoch; empty without such data.
        validation_accuracy: share of the validation data that is classified rightly; empty without such data or
            without classes.
        seconds: time the epoch took, without its validation.
        samples: rows trained on in an epoch.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    samples: int = 0

    @property
    def samples_per_second(self) -> float:
        """Rows trained on in a second, validation not counted."""
        return self.samples * len(self.seconds) / sum(self.seconds) if self.seconds else 0.0

    def plot(self, ax: Any = None) -> Any:
        """Draw the learning curves: losses on a log scale and, on the right, the accuracy.

        Args:
            ax: the matplotlib Axes to draw on; by default those of a new figure.

        Returns:
            The Axes.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: there are no epochs to draw.
        """
        if not self.loss:
            raise ValueError("History.plot: there are no epochs to draw")
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError('History.plot needs matplotlib: pip install "autodiff[demos]"') from None
        if ax is None:
            ax = Figure(figsize=(6.4, 4), layout="constrained").subplots()
        epochs = range(1, len(self.loss) + 1)
        lines = ax.plot(epochs, self.loss, color="#0072B2", label="training loss")
        if self.validation_loss:
            lines += ax.plot(epochs, self.validation_loss, color="#D55E00", label="validation loss")
        if min(self.loss + self.validation_loss) > 0:
            ax.set_yscale("log")
        ax.set(xlabel="epoch", ylabel="loss")
        ax.spines["top"].set_visible(False)
        if self.validation_accuracy:
            right = ax.twinx()
            lines += right.plot(epochs, self.validation_accuracy, color="#009E73", ls="--", label="validation accuracy")
            right.set(ylabel="accuracy")
            right.spines["top"].set_visible(False)
        ax.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
        return ax


def fit(
    model: Module,
    X: Any,
    y: Any,
    *,
    loss: str | Loss = "cross_entropy",
    optimizer: Optimizer | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: tuple[Any, Any] | None = None,
    rng: Seed = None,
) -> History:
    """Train a model by mini-batches, and show the progress on a terminal.

    Args:
        model: maps a batch of inputs to predictions (logits, for the losses that take them).
        X: inputs, of shape ``(N, ...)``; real numbers are converted to the model's dtype.
        y: targets, of shape ``(N, ...)``; integers stay integers, other numbers are converted as X is.
        loss: "cross_entropy", "mse_loss", "binary_cross_entropy_with_logits", or a function of predictions and
            targets that gives a scalar.
        optimizer: over the model's parameters; by default `Adam` with its defaults.
        epochs: how often every row is seen, positive.
        batch_size: rows a step, positive.
        validation_data: inputs and targets to measure loss (and accuracy, for classes) on after each epoch.
        rng: a Generator or a seed for the order of the rows.

    Returns:
        The `History`. The model is left in evaluation mode.

    Raises:
        TypeError: model, optimizer or validation_data is something else, or the loss returns no Tensor.
        ValueError: the loss is unknown, the optimizer belongs to another model, inputs and targets are not as many or
            none, the inputs are not real numbers, or a count is not a positive integer.

    Example:
        >>> import nn
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> model = nn.MLP([1, 16, 1], activation="tanh", rng=0)
        >>> optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
        >>> history = nn.fit(model, X, X**2, loss="mse_loss", optimizer=optimizer, epochs=50, batch_size=16, rng=0)
        >>> history.loss[0] > 0.1 > 0.01 > history.loss[-1]
        True
    """
    measure = _loss("fit", loss)
    check_count("fit", "epochs", epochs)
    check_count("fit", "batch_size", batch_size)
    if not isinstance(model, Module):
        raise TypeError(f"fit: the model must be a Module, got {model!r}")
    parameters = model.parameters()
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: the optimizer must be one of nn.optim over model.parameters(), got {optimizer!r}")
    if optimizer is not None and not {id(p) for p in parameters} & {id(p) for p in optimizer.parameters}:
        raise ValueError("fit: the optimizer has none of this model's parameters; make it with model.parameters()")
    if validation_data is not None and (not isinstance(validation_data, list | tuple) or len(validation_data) != 2):
        raise TypeError("fit: validation_data must be a pair (inputs, targets)")
    dtype = parameters[0].dtype if parameters else np.dtype(np.float32)
    X, y = _dataset("fit", X, y, dtype)
    validation = None if validation_data is None else _dataset("fit: validation_data", *validation_data, dtype)
    if measure in LOSSES.values():
        for inputs, targets in [(X, y)] + ([validation] if validation else []):
            _check_targets(model, measure, inputs, targets)
    optimizer = Adam(parameters) if optimizer is None else optimizer
    rng = generator(rng)
    history = History(samples=len(X))
    try:
        with tqdm(range(epochs), unit="epoch", disable=None, dynamic_ncols=True) as progress:
            for _ in progress:
                start = time.perf_counter()
                history.loss.append(_epoch(model, measure, optimizer, batches(X, y, batch_size, rng=rng)))
                history.seconds.append(time.perf_counter() - start)
                shown = {"loss": f"{history.loss[-1]:.4f}"}
                if validation is not None:
                    value, accuracy = evaluate(model, *validation, loss=measure)
                    history.validation_loss.append(value)
                    shown["validation loss"] = f"{value:.4f}"
                    if accuracy is not None:
                        history.validation_accuracy.append(accuracy)
                        shown["validation accuracy"] = f"{accuracy:.4f}"
                progress.set_postfix(shown)
    finally:
        model.eval()
    return history


def _epoch(model: Module, measure: Loss, optimizer: Optimizer, epoch: Any) -> float:
    """Take one step for each batch, and give the mean loss."""
    model.train()
    total = rows = 0.0
    for inputs, targets in epoch:
        optimizer.zero_grad()
        value = measure(model(inputs), targets)
        if not isinstance(value, ad.Tensor):
            raise TypeError(f"fit: the loss must return a scalar Tensor computed from the predictions, got {value!r}")
        value.backward()
        optimizer.step()
        total += value.item() * len(inputs)
        rows += len(inputs)
    return total / rows


def evaluate(model: Module, X: Any, y: Any, *, loss: str | Loss = "cross_entropy") -> tuple[float, float | None]:
    """Give a model's loss on a dataset and, where the predictions are logits of classes, its accuracy.

    Args:
        model: maps inputs to predictions.
        X: inputs, of shape ``(N, ...)``, converted as `fit` does.
        y: targets; class labels of shape ``(N,)`` for an accuracy.
        loss: as in `fit`.

    Returns:
        The loss, and the share of rows whose largest logit is that of their label; None where y is no labels.

    Raises:
        ValueError: the loss is unknown, or inputs and targets do not fit.

    Example:
        >>> import nn
        >>> model = nn.MLP([2, 3], rng=0)
        >>> value, accuracy = nn.evaluate(model, np.zeros((4, 2)), np.array([0, 0, 1, 2]))
        >>> round(value, 4), accuracy
        (1.0986, 0.5)
    """
    measure = _loss("evaluate", loss)
    parameters = model.parameters()
    X, y = _dataset("evaluate", X, y, parameters[0].dtype if parameters else np.dtype(np.float32))
    with _evaluating(model):
        predictions = model(X)
        value = float(measure(predictions, y))
    labelled = y.ndim == 1 and np.ndim(predictions) == 2 and y.dtype.kind in "iu"
    return value, float(np.mean(np.argmax(predictions, axis=1) == y)) if labelled else None


@contextlib.contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Set a model to evaluation, without recording; afterwards every Module in it is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with ad.no_grad():
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def _check_targets(model: Module, measure: Loss, X: Any, y: Any) -> None:
    """Let the loss refuse targets that do not fit the model's predictions before the first step changes the model."""
    with _evaluating(model):
        prediction = data_of(model(X[:1]))
        measure(np.broadcast_to(prediction, (len(y), *prediction.shape[1:])), y)


def _loss(caller: str, loss: str | Loss) -> Loss:
    """Give the loss of a name, or the function that it is."""
    if callable(loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"{caller}: unknown loss {loss!r}; known: {', '.join(LOSSES)}, or a function")
    return LOSSES[loss]


def _dataset(caller: str, X: Any, y: Any, dtype: Any) -> tuple[Any, Any]:
    """Give inputs and targets as arrays of the model's dtype, labels as they are."""
    arrays = []
    for name, rows in (("inputs", X), ("targets", y)):
        try:
            array = np.asarray(rows)
        except ValueError:
            raise ValueError(f"{caller}: {name} are ragged; every row must have the same shape") from None
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{caller}: {name} must be real numbers, got dtype {array.dtype}")
        if array.ndim == 0:
            raise ValueError(f"{caller}: {name} must have one row for each sample, got a scalar")
        arrays.append(array)
    X, y = arrays
    check_dataset(caller, X, y)
    return X.astype(dtype, copy=False), y if y.dtype.kind in "iu" else y.astype(dtype, copy=False)
