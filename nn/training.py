"""The training loop, and what it measures on the way."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

import autodiff as ad
from autodiff.arrays.whole import require
from autodiff.core.record import data_of
from autodiff.core.watch import WATCHES
from nn import functional
from nn.checkpoint import Checkpoint, Progress
from nn.checks import check_count, check_dataset, check_number, check_real, check_rows
from nn.data import batches
from nn.history import History
from nn.init import Seed, generator
from nn.module import Module
from nn.optim import Adam, Optimizer, ReduceLROnPlateau, Schedule, clip_grad_norm_

Loss = Callable[[Any, Any], Any]
Metric = Callable[[Any, Any], Any]
Step = Callable[[Any, Any], tuple[Any, ...]]
Callback = Callable[[int, Module, History], Any]

LOSSES: dict[str, Loss] = {
    "cross_entropy": functional.cross_entropy,
    "mse_loss": functional.mse_loss,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
}

# A program takes about as long to make as this many steps.
_WORTHWHILE = 500
# Rows are evaluated, and looked at, a block of this many bytes at a time, so that a file need not fit into memory.
_BLOCK_BYTES = 2**24


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
    metrics: Sequence[str | Metric] = (),
    schedule: Schedule | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    compile: bool | None = None,
    rng: Seed = None,
) -> History:
    """Train a model by mini-batches, and show the progress on a terminal.

    After each epoch come, in this order: the validation data, ``patience``, ``schedule``, ``callbacks`` and
    ``checkpoint``.

    Ctrl-C (KeyboardInterrupt) ends the training early: the history of the finished epochs is returned, and the model
    stays as it is at that moment, in the middle of an epoch.

    Args:
        model: maps a batch of inputs to predictions (logits, for the losses that take them).
        X: inputs, of shape ``(N, ...)``; real numbers are converted to the model's dtype. Of a memory-mapped array, as
            ``np.load("X.npy", mmap_mode="r")`` gives, only a batch at a time is in memory; so it is for ``y``.
        y: targets, of shape ``(N, ...)``; integers stay integers, other numbers are converted as X is.
        loss: "cross_entropy", "mse_loss", "binary_cross_entropy_with_logits", or a function of predictions and
            targets that gives a scalar.
        optimizer: over the model's parameters; by default `Adam` with its defaults.
        epochs: how often every row is seen, positive.
        batch_size: rows a step, positive.
        validation_data: inputs and targets to measure loss (and accuracy, for classes) on after each epoch. Inputs may
            be memory-mapped; predictions and targets are in memory.
        metrics: "accuracy", or functions of predictions and targets, both arrays, that give a number. `History` has
            them under their names.
        schedule: of the optimizer's learning rate, stepped once an epoch; `ReduceLROnPlateau` is given the validation
            loss, or the training loss without validation data.
        clip_norm: the largest norm that the gradients of a step may have together, positive; see `clip_grad_norm_`.
        patience: stop after so many epochs in a row in which the validation loss was not less than the smallest so
            far; positive. However the training ends, but by Ctrl-C or an error, the model then gets the weights of the
            last epoch that was better by ``min_delta``.
        min_delta: by how much a validation loss must be less than the smallest to count for ``patience``; at least 0.
        callbacks: functions of the epoch (1, 2, ...), the model and the `History` so far. One that returns True, and
            nothing else, ends the training after this epoch.
        checkpoint: a safetensors file, written at the start and after each epoch, at every moment whole, with model,
            optimizer, schedule, history and generators (also those of the model's layers). If it exists, the training
            continues from it and ends bit for bit as if it had never been interrupted, however it was. The weights,
            the optimizer's state and the position of ``rng`` given are then replaced. ``epochs`` may be raised, which
            does not revive a run that was stopped; all other arguments must be those of the file. Not in it are the
            data, and what callbacks remember.
        compile: whether steps run as programs, as `autodiff.compile` makes them. With True they do, rounded as they
            may be. By default they do where that pays and changes not a bit: where a batch of one shape comes often
            enough, and model, loss and optimizer are made of nothing but this package's own classes and functions.
        rng: a Generator or a seed for the order of the rows.

    Returns:
        The `History`. The model is left in evaluation mode.

    Raises:
        TypeError: an argument is of the wrong type, the loss returns no scalar Tensor, or a metric no number.
        ValueError: a loss or metric is unknown, the optimizer belongs to another model or the schedule to another
            optimizer, inputs and targets are not as many or none, they are not finite, ``patience`` comes without
            validation data, a number is outside its domain, or the checkpoint is of another run.
        FloatingPointError: a loss is not finite. The model is as it was before that step.
        OSError: the checkpoint cannot be read or written.

    Example:
        >>> import nn
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> model = nn.MLP([1, 16, 1], activation="tanh", rng=0)
        >>> optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
        >>> history = nn.fit(model, X, X**2, loss="mse_loss", optimizer=optimizer, epochs=50, batch_size=16, rng=0)
        >>> history.loss[0] > 0.1 > 0.01 > history.loss[-1]
        True
        >>> def good_enough(epoch, model, history):
        ...     return history.loss[-1] < 0.1
        >>> model = nn.MLP([1, 16, 1], activation="tanh", rng=0)
        >>> history = nn.fit(model, X, X**2, loss="mse_loss", epochs=1000, callbacks=[good_enough], rng=0)
        >>> len(history.loss) < 1000
        True
    """
    measure = _loss("fit", loss)
    measured = _metrics(metrics)
    check_count("fit", "epochs", epochs)
    check_count("fit", "batch_size", batch_size)
    if clip_norm is not None:
        check_number("fit", "clip_norm", clip_norm, lambda norm: norm > 0, "positive, or None")
    if patience is not None:
        check_count("fit", "patience", patience)
        if validation_data is None:
            raise ValueError("fit: patience is about the validation loss; give validation_data=(inputs, targets)")
    if not (compile is None or isinstance(compile, bool)):
        raise TypeError(f"fit: compile must be True, False or None, got {compile!r}")
    check_number("fit", "min_delta", min_delta, lambda delta: delta >= 0, "at least 0")
    if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
        raise TypeError(f"fit: callbacks must be a list of functions, got {callbacks!r}")
    _check_model("fit", model)
    parameters = model.parameters()
    optimizer = _optimizer(parameters, optimizer, schedule)
    if validation_data is not None and (not isinstance(validation_data, list | tuple) or len(validation_data) != 2):
        raise TypeError("fit: validation_data must be a pair (inputs, targets)")
    dtype = _dtype(model)
    X, y = _dataset("fit", X, y, dtype)
    validation = None if validation_data is None else _dataset("fit: validation_data", *validation_data, dtype)
    for inputs, targets in [(X, y)] + ([validation] if validation else []):
        _check_outputs(model, measure, measured, inputs, targets, batch_size, dtype)
    order = generator(rng)
    progress = Progress(History(samples=len(X), metrics={name: [] for name in measured}))
    if validation is not None:
        progress.history.validation_metrics = {name: [] for name in measured}
    file = None
    if checkpoint is not None:
        settings = {
            "loss": _name(measure),
            "metrics": list(measured),
            "batch_size": int(batch_size),
            "clip_norm": None if clip_norm is None else float(clip_norm),
            "patience": None if patience is None else int(patience),
            "min_delta": float(min_delta),
            "rng": int(rng) if isinstance(rng, int | np.integer) else type(rng).__name__,
            "shapes of the data": [part.shape for part in (X, y, *(validation or ()))],
        }
        file = Checkpoint(checkpoint, model, optimizer, schedule, order, settings)
        if not file.path.exists():
            file.save(progress)
        # Also what was written just now, so that the arrays lie in memory as they will when it is read again: sums of
        # an array in another order may end in other bits.
        progress = file.load(epochs)
    history = progress.history
    take_step = _stepper(model, measure, optimizer, clip_norm, bool(measured), compile, epochs * (len(X) // batch_size))
    in_memory = not isinstance(X, np.memmap) and not isinstance(y, np.memmap)
    try:
        with tqdm(initial=len(history.loss), total=epochs, unit="epoch", disable=None, dynamic_ncols=True) as bar:
            while len(history.loss) < epochs and not progress.stopped:
                epoch = len(history.loss) + 1
                history.lr.append(optimizer.param_groups[0]["lr"])
                start = time.perf_counter()
                pieces = batches(X, y, batch_size, rng=order)
                pieces = pieces if in_memory else _converted_batches(pieces, X, y, dtype)
                value, means = _epoch(model, take_step, measured, pieces, epoch)
                seconds = time.perf_counter() - start
                history.loss.append(value)
                for name, mean in means.items():
                    history.metrics[name].append(mean)
                shown = {"loss": value} | means
                if validation is not None:
                    value, outputs, targets = _evaluated("fit", model, measure, *validation, dtype)
                    if not math.isfinite(value):
                        raise _not_finite(f"validation loss is {value} after epoch {epoch}")
                    history.validation_loss.append(value)
                    shown["validation loss"] = value
                    for name, number in _numbers(measured, outputs, targets).items():
                        history.validation_metrics[name].append(number)
                        shown[f"validation {name}"] = number
                    accuracy = _accuracy(outputs, targets)
                    if accuracy is not None:
                        history.validation_accuracy.append(accuracy)
                        shown["validation accuracy"] = accuracy
                # The last list to grow: an epoch that is in it is whole in all of them, whenever Ctrl-C comes.
                history.seconds.append(seconds)
                if patience is not None:
                    _watch(progress, model, patience, min_delta)
                if isinstance(schedule, ReduceLROnPlateau):
                    schedule.step(value)
                elif schedule is not None:
                    schedule.step()
                answers = [callback(epoch, model, history) for callback in callbacks]
                progress.stopped |= any(isinstance(answer, bool | np.bool) and answer for answer in answers)
                if file is not None:
                    file.save(progress)
                bar.set_postfix({name: f"{number:.4f}" for name, number in shown.items()}, refresh=False)
                bar.update()
        if progress.best is not None:
            model.load_state_dict(progress.best)
    except KeyboardInterrupt:
        for values in history.columns().values():
            del values[len(history.seconds) :]
    finally:
        model.eval()
    return history


def _epoch(
    model: Module, take_step: Step, metrics: dict[str, Metric], pieces: Iterable[tuple[Any, Any]], epoch: int
) -> tuple[float, dict[str, float]]:
    """Take one step for each batch, and give the means of the loss and of the metrics."""
    model.train()
    total = rows = 0.0
    totals = dict.fromkeys(metrics, 0.0)
    for step, (inputs, targets) in enumerate(pieces, start=1):
        try:
            value, *outputs = take_step(inputs, targets)
        except _NotFiniteError as error:
            raise _not_finite(f"loss is {error} at epoch {epoch}, step {step}") from None
        total += value.item() * len(inputs)
        rows += len(inputs)
        if metrics:
            for name, result in _numbers(metrics, outputs[0], targets).items():
                totals[name] += result * len(inputs)
    return total / rows, {name: result / rows for name, result in totals.items()}


def _stepper(
    model: Module,
    measure: Loss,
    optimizer: Optimizer,
    clip_norm: float | None,
    with_outputs: bool,
    compile: bool | None,
    steps: int,
) -> Step:
    """Make the function that takes a step, and gives its loss and, if they are wanted, the predictions."""

    def step(inputs: Any, targets: Any) -> tuple[Any, ...]:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = measure(outputs, targets)
        if not isinstance(loss, ad.Tensor) or loss.size != 1:
            raise TypeError(f"fit: the loss must return a scalar Tensor computed from the predictions, got {loss!r}")
        require(np.isfinite(loss), _NotFiniteError, "{}", data_of(loss))
        loss.backward()
        if clip_norm is not None:
            clip_grad_norm_(optimizer.parameters, clip_norm)
        optimizer.step()
        return (data_of(loss), data_of(outputs)) if with_outputs else (data_of(loss),)

    if compile:
        return ad.compile(step, state=(model, optimizer))
    if compile is False or WATCHES or steps < _WORTHWHILE or not _all_own(model, measure, optimizer):
        return step
    compiled = ad.compile(step, state=(model, optimizer), exact=True)
    whole: list[tuple[int, ...]] = []

    def compiled_where_worthwhile(inputs: Any, targets: Any) -> tuple[Any, ...]:
        if not whole:
            whole.append(inputs.shape)
        return (compiled if inputs.shape == whole[0] else step)(inputs, targets)

    return compiled_where_worthwhile


def _all_own(model: Module, measure: Loss, optimizer: Optimizer) -> bool:
    """Whether all that a step calls is defined in this package, so that nothing in it is a surprise to a compiler."""
    parts = [*map(type, model.modules()), type(optimizer)]
    return measure in LOSSES.values() and all(part.__module__.partition(".")[0] == "nn" for part in parts)


class _NotFiniteError(FloatingPointError):
    """A step was not taken, since its loss is no finite number."""


def _watch(progress: Progress, model: Module, patience: int, min_delta: float) -> None:
    """Keep the weights of the smallest validation loss, and stop when there has been none for too long."""
    value = progress.history.validation_loss[-1]
    if value < progress.best_loss - min_delta:
        progress.best_loss, progress.waited, progress.best = value, 0, model.state_dict()
    else:
        progress.waited += 1
    progress.stopped = progress.waited >= patience


def _not_finite(problem: str) -> FloatingPointError:
    return FloatingPointError(
        f"fit: the {problem}. A smaller learning rate or clip_norm= may help; to see the call that went wrong, run fit "
        "under autodiff.detect_anomaly()"
    )


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
        TypeError: the model is no Module, inputs or targets are not real numbers, or the loss returns no number.
        ValueError: the loss is unknown, or inputs and targets do not fit or are not finite.

    Example:
        >>> import nn
        >>> model = nn.MLP([2, 3], rng=0)
        >>> value, accuracy = nn.evaluate(model, np.zeros((4, 2)), np.array([0, 0, 1, 2]))
        >>> round(value, 4), accuracy
        (1.0986, 0.5)
    """
    measure = _loss("evaluate", loss)
    _check_model("evaluate", model)
    dtype = _dtype(model)
    X, y = _dataset("evaluate", X, y, dtype)
    value, outputs, targets = _evaluated("evaluate", model, measure, X, y, dtype)
    return value, _accuracy(outputs, targets)


def _evaluated(caller: str, model: Module, measure: Loss, X: Any, y: Any, dtype: Any) -> tuple[float, Any, Any]:
    """Give a model's loss on a dataset, its predictions as an array, and the targets."""
    with _evaluating(model):
        outputs = [model(_converted(caller, "inputs", X[rows], dtype, X)) for rows in _blocks(X)]
        predictions = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        targets = _converted(caller, "targets", y, dtype, y)
        return _number(f"{caller}: the loss", measure(predictions, targets)), data_of(predictions), targets


def _accuracy(outputs: Any, targets: Any) -> float | None:
    """Give the share of rows whose largest logit is that of their label, where there are labels."""
    if targets.ndim == 1 and np.ndim(outputs) == 2 and targets.dtype.kind in "iu":
        return float(np.mean(np.argmax(outputs, axis=1) == targets))
    return None


def _accuracy_metric(outputs: Any, targets: Any) -> float:
    accuracy = _accuracy(outputs, targets)
    if accuracy is None:
        raise ValueError(
            f"fit: the metric 'accuracy' is of logits (N, C) and labels, integers (N,), got shapes {np.shape(outputs)} "
            f"and {targets.shape} of {targets.dtype}; give a function of predictions and targets instead"
        )
    return accuracy


def _numbers(metrics: dict[str, Metric], outputs: Any, targets: Any) -> dict[str, float]:
    """Give the value of each metric."""
    return {name: _number(f"fit: the metric {name!r}", metric(outputs, targets)) for name, metric in metrics.items()}


def _number(what: str, value: Any) -> float:
    """Give what a loss or a metric returned as a Python number."""
    value = data_of(value)
    number = value.item() if getattr(value, "size", 0) == 1 else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{what} must return a number, got {value!r}")
    return float(number)


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


def _check_outputs(
    model: Module, measure: Loss, metrics: dict[str, Metric], X: Any, y: Any, batch_size: int, dtype: Any
) -> None:
    """Let loss and metrics refuse what does not fit the model's predictions before the first step changes the model.

    Metrics are tried on the first batch. A loss that is known looks at all targets, with the predictions of one row.
    """
    with _evaluating(model):
        if metrics:
            first = slice(0, batch_size)
            targets = _converted("fit", "targets", y[first], dtype, y)
            _numbers(metrics, data_of(model(_converted("fit", "inputs", X[first], dtype, X))), targets)
        if measure in LOSSES.values():
            prediction = data_of(model(_converted("fit", "inputs", X[:1], dtype, X)))
            # Of a file, batch by batch: later targets are looked at when it is their turn.
            for rows in [slice(0, batch_size)] if isinstance(y, np.memmap) else _blocks(y, prediction.nbytes):
                targets = _converted("fit", "targets", y[rows], dtype, y)
                measure(np.broadcast_to(prediction, (len(targets), *prediction.shape[1:])), targets)


def _optimizer(parameters: list[Any], optimizer: Optimizer | None, schedule: Schedule | None) -> Optimizer:
    """Give the optimizer, and refuse one that has nothing to do with the model or the schedule."""
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: the optimizer must be one of nn.optim over model.parameters(), got {optimizer!r}")
    if optimizer is not None and not {id(p) for p in parameters} & {id(p) for p in optimizer.parameters}:
        raise ValueError("fit: the optimizer has none of this model's parameters; make it with model.parameters()")
    if schedule is not None and not isinstance(schedule, Schedule):
        raise TypeError(f"fit: the schedule must be one of nn.optim, got {schedule!r}")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("fit: the schedule is of another optimizer; give optimizer= the one that it was made with")
    return Adam(parameters) if optimizer is None else optimizer


def _check_model(caller: str, model: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"{caller}: the model must be a Module, got {model!r}")


def _loss(caller: str, loss: str | Loss) -> Loss:
    """Give the loss of a name, or the function that it is."""
    if callable(loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"{caller}: unknown loss {loss!r}; known: {', '.join(LOSSES)}, or a function")
    return LOSSES[loss]


def _metrics(metrics: Any) -> dict[str, Metric]:
    """Give the functions of the metrics by their names, which are to be columns of the history beside its own."""
    if not isinstance(metrics, list | tuple):
        raise TypeError(f'fit: metrics must be a list, such as ["accuracy"], got {metrics!r}')
    found: dict[str, Metric] = {}
    for metric in metrics:
        if not callable(metric) and not (isinstance(metric, str) and metric == "accuracy"):
            raise ValueError(f"fit: unknown metric {metric!r}; known: accuracy, or a function")
        name = _name(metric) if callable(metric) else metric
        if name in found or name in ("epoch", "loss", "lr", "seconds") or (name == "accuracy" and callable(metric)):
            raise ValueError(f"fit: there is something else called {name!r} in the history; give the metric a new name")
        found[name] = metric if callable(metric) else _accuracy_metric
    return found


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _dtype(model: Module) -> Any:
    """Give the dtype of a model, that of its first parameter."""
    parameters = model.parameters()
    return parameters[0].dtype if parameters else np.dtype(np.float32)


# Rows of numbers


def _dataset(caller: str, X: Any, y: Any, dtype: Any) -> tuple[Any, Any]:
    """Give inputs and targets as arrays of the model's dtype, labels and memory-mapped arrays as they are."""
    X, y = (check_rows(caller, name, check_real(caller, name, rows)) for name, rows in (("inputs", X), ("targets", y)))
    check_dataset(caller, X, y)
    X, y = (
        rows if isinstance(rows, np.memmap) else _converted(caller, name, rows, dtype, rows)
        for name, rows in (("inputs", X), ("targets", y))
    )
    return X, y


def _converted_batches(pieces: Iterable[tuple[Any, Any]], X: Any, y: Any, dtype: Any) -> Iterator[tuple[Any, Any]]:
    for inputs, targets in pieces:
        yield _converted("fit", "inputs", inputs, dtype, X), _converted("fit", "targets", targets, dtype, y)


def _converted(caller: str, name: str, rows: Any, dtype: Any, whole: Any) -> Any:
    """Give rows of a dataset in the model's dtype, labels as they are, and refuse numbers that are not finite."""
    rows = np.asarray(rows)
    if name == "targets" and rows.dtype.kind in "iu":
        return rows
    with np.errstate(over="ignore"):  # what is too large is found below
        converted = rows.astype(dtype, copy=False)
    if not _all_finite(converted):
        raise ValueError(f"{caller}: {name} hold {_first_not_finite(whole, dtype)}; repair or leave out such rows")
    return converted


def _all_finite(array: Any) -> bool:
    with np.errstate(all="ignore"):  # a sum is fast, and finite only if all numbers are; it may overflow without that
        return bool(np.isfinite(np.add.reduce(array, axis=None))) or bool(np.isfinite(array).all())


def _first_not_finite(whole: Any, dtype: Any) -> str:
    """Say which number of a dataset is the first that the dtype has not."""
    for block in _blocks(whole):
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(np.asarray(whole[block]).astype(dtype, copy=False))
        if bad.any():
            row, *rest = (int(k) for k in np.argwhere(bad)[0])
            row += block.start
            column = "" if not rest else f", column {rest[0] if len(rest) == 1 else tuple(rest)}"
            return f"{whole[(row, *rest)]} at row {row}{column}, which is no finite {np.dtype(dtype)}"
    raise AssertionError("the data changed while they were read")


def _blocks(rows: Any, row_bytes: int | None = None) -> list[slice]:
    """Cut a dataset into slices of some megabytes."""
    size = max(1, _BLOCK_BYTES // max(1, rows[:1].nbytes if row_bytes is None else row_bytes))
    return [slice(start, start + size) for start in range(0, len(rows), size)]
