"""The training loop, and what it measures on the way."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import autodiff as ad
from autodiff.arrays.whole import is_lazy, require
from autodiff.compiler.state import numbers_of, views_of, watch_of
from autodiff.core.hooks import HOOKS, hooks_of
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.core.watch import WATCHES
from autodiff.files import held
from autodiff.transforms.containers import walk
from nn import functional
from nn.checkpoint import Checkpoint, Progress, State
from nn.checks import check_count, check_flag, check_functions, check_number
from nn.dataset import Dataset
from nn.history import History
from nn.init import Seed, generator
from nn.io import digest
from nn.layers import BatchNorm1d
from nn.losses import LossModule
from nn.module import Module, check_model
from nn.optim import Adam, Optimizer, ReduceLROnPlateau, Schedule, clip_grad_norm_
from nn.parallel import Alone, NotFiniteError, Step, group_of
from nn.progress import progress
from nn.weights import check_reduction, weighted_mean

if TYPE_CHECKING:
    from mpi4py import MPI

Loss = Callable[[Any, Any], Any]
LossName = Literal["cross_entropy", "mse_loss", "binary_cross_entropy_with_logits"]
Metric = Callable[[Any, Any], Any]
Callback = Callable[[int, Module, History], Any]

LOSSES: dict[str, Loss] = {
    "cross_entropy": functional.cross_entropy,
    "mse_loss": functional.mse_loss,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
}

# A program takes about as long to make as this many steps.
_WORTHWHILE = 500
_MOST_PROGRAMS = 16  # at once


def fit(
    model: Module,
    X: Array,
    y: Array,
    *,
    loss: LossName | Loss = "cross_entropy",
    optimizer: Optimizer | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    validation_data: tuple[Array, Array] | None = None,
    metrics: Sequence[Literal["accuracy"] | Metric] = (),
    schedule: Schedule | None = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    compile: bool | None = None,
    rng: Seed = None,
    shuffle: bool = True,
    sample_weight: Array = None,
    class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
    progress: bool = True,
    comm: MPI.Intracomm | None = None,
) -> History:
    """Train a model by mini-batches, and show the progress.

    After each epoch come, in this order: the validation data, ``patience``, ``schedule``, ``callbacks`` and
    ``checkpoint``.

    Ctrl-C (KeyboardInterrupt) ends the training early (of ranks that mpiexec started it ends mpiexec, and so all; a
    checkpoint stays): the history of the finished epochs is returned, and the model
    stays as it is at that moment, in the middle of an epoch.

    Args:
        model: maps a batch of inputs to predictions (logits, for the losses that take them).
        X: inputs, of shape ``(N, ...)``, a table of pandas too. Integers stay integers, which `Embedding` looks up and
            other layers convert; other real numbers are converted to the model's dtype. Of a memory-mapped array, as
            ``np.load("X.npy", mmap_mode="r")`` gives, only a batch at a time is in memory; so it is for ``y``. A sparse
            matrix of SciPy stays sparse, for a first layer that is `Linear`; steps of it are not compiled.
        y: targets, of shape ``(N, ...)``, converted as X is; booleans are the labels 0 and 1.
        loss: "cross_entropy", "mse_loss", "binary_cross_entropy_with_logits", or a function of predictions and
            targets that gives a scalar. `CrossEntropyLoss` and its like have the options that they have at the start.
        optimizer: over the model's parameters; by default `Adam` with its defaults.
        epochs: how often every row is seen, positive.
        batch_size: rows a step, positive. The last batch of an epoch has what is left; a single row joins the batch
            before it if there is a `BatchNorm1d` in the model, which cannot standardize one row.
        validation_data: inputs and targets to measure loss (and accuracy, as `evaluate` does) on after each epoch.
            Inputs may be memory-mapped; predictions and targets are in memory.
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
            nothing else, ends the training after this epoch; of ranks, on the first. `plots.Live` draws the training.
        checkpoint: a safetensors file, written at the start and after each epoch, at every moment whole, with model,
            optimizer, schedule, history and generators (also those of the model's layers and of the loss). If it
            exists, the training continues from it and ends bit for bit as if it had never been interrupted, however it
            was. The weights, the optimizer's state and the position of ``rng`` given are then replaced. ``epochs`` may
            be raised, which does not revive a run that was stopped, and ``callbacks`` may be others. All else must be
            as it was: the arguments, the numbers in the data (of a memory-mapped array: of a thousand rows), the code,
            defaults, closures and globals of loss and metrics, the attributes of Modules, and which parameters learn.
            Not in the file, and not compared, are the code of classes, such as ``forward``, what callbacks remember,
            and what else changes during the run. No other run may write the file at the same time.
        compile: whether steps run as programs, as `autodiff.compile` makes them. With True they do, rounded as they
            may be. By default they do where that pays and changes not a bit: where a batch of one shape comes often
            enough, and model, loss and optimizer are made of nothing but this package's own classes and functions,
            which is looked at again whenever callbacks, metrics or a schedule have run, as is all that they may change.
        rng: a Generator or a seed for the order of the rows.
        shuffle: whether an epoch takes the rows in random order, or as they come.
        sample_weight: how much each row counts, of shape ``(N,)``, not negative. The loss of a step is then the mean
            ``sum(w l) / sum(w)`` of the losses ``l`` of the rows of the batch; a row of weight 0 is left out. The loss
            must take ``reduction="none"``. Neither metrics nor the validation loss are weighted.
        class_weight: for targets that are labels, a dict of how much each class counts, 1 for those that are not in
            it; or "balanced", by which all classes count as much together. It multiplies ``sample_weight``.
        progress: whether to show the progress on stderr, or below a notebook's cell: as a bar on a terminal and in a
            notebook, elsewhere by a line for the last epoch, and every five seconds for one before. The variable
            ``TQDM_DISABLE=1`` of the environment turns it off too; of ranks, the first shows it.
        comm: a communicator of mpi4py, such as ``MPI.COMM_WORLD``: its processes train together, as one would alone but
            for rounding; None, or a single process, is one. See `nn.parallel`. All call this, with the same arguments.
            Start them by ``mpiexec -n 4 python -m mpi4py script.py``: without ``-m mpi4py``, an error of one of them
            anywhere else has the others wait for ever.

    Returns:
        The `History`. The model is left in evaluation mode.

    Raises:
        TypeError: an argument is of the wrong type, the loss returns no scalar Tensor, or a metric no number.
        ValueError: a loss or metric is unknown, the targets are not what the loss is for, the optimizer belongs to
            another model or the schedule to another optimizer, inputs and targets are not as many or none, they are not
            finite, ``patience`` comes without validation data, a number is outside its domain, or the checkpoint is of
            another run or damaged.
        FloatingPointError: a loss is not finite. The model is as it was before that step.
        OSError: the checkpoint cannot be read or written, or another run is writing it (BlockingIOError).

    Example:
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
    with group_of("fit", comm) as group:
        measure = _loss("fit", loss)
        settings = _Settings(
            loss=measure,
            metrics=_metrics(metrics, measure),
            epochs=epochs,
            batch_size=batch_size,
            clip_norm=clip_norm,
            patience=patience,
            min_delta=min_delta,
            callbacks=callbacks,
            compile=compile,
            shuffle=shuffle,
            progress=progress,
        )
        if patience is not None and validation_data is None:
            raise ValueError("fit: patience is about the validation loss; give validation_data=(inputs, targets)")
        _check_model("fit", model)
        optimizer = _optimizer(model.parameters(), optimizer, schedule)
        if validation_data is not None and (not isinstance(validation_data, list | tuple) or len(validation_data) != 2):
            raise TypeError("fit: validation_data must be a pair (inputs, targets)")
        dtype = dtype_of(model)
        data = Dataset("fit", X, y, dtype, in_batches=True)
        data.weigh(sample_weight, class_weight)
        if data.weights is not None:
            check_reduction("fit", measure)
        if data.inputs.is_sparse and compile:
            raise ValueError("fit: compile=True makes programs of arrays, which sparse inputs are not; leave it out")
        validation = None if validation_data is None else Dataset("fit: validation_data", *validation_data, dtype)
        for dataset in filter(None, (data, validation)):
            _check_outputs(model, settings, dataset)
        if group.size > 1:
            _check_parts(model, settings, data, group)
        run = _Run(model, settings, optimizer, schedule, data, validation, generator(rng), group)
        with run.kept(checkpoint, int(rng) if isinstance(rng, int | np.integer) else type(rng).__name__):
            return run.finish()


@dataclass(frozen=True)
class _Settings:
    """The arguments of `fit` that are numbers and functions, checked."""

    loss: Loss
    metrics: dict[str, Metric]
    epochs: int
    batch_size: int
    clip_norm: float | None
    patience: int | None
    min_delta: float
    callbacks: Sequence[Callback]
    compile: bool | None
    shuffle: bool
    progress: bool

    def __post_init__(self) -> None:
        check_count("fit", "epochs", self.epochs)
        check_count("fit", "batch_size", self.batch_size)
        if self.clip_norm is not None:
            check_number("fit", "clip_norm", self.clip_norm, lambda norm: norm > 0, "positive, or None")
        if self.patience is not None:
            check_count("fit", "patience", self.patience)
        if not (self.compile is None or isinstance(self.compile, bool)):
            raise TypeError(f"fit: compile must be True, False or None, got {self.compile!r}")
        check_flag("fit", "shuffle", self.shuffle)
        check_flag("fit", "progress", self.progress)
        check_number("fit", "min_delta", self.min_delta, lambda delta: delta >= 0, "at least 0")
        check_functions("fit", "callbacks", self.callbacks)

    def described(self) -> dict[str, Any]:
        """Say which they are, as numbers and texts, but those that another run may change."""
        return {
            "loss": _name(self.loss),
            "metrics": list(self.metrics),
            "batch_size": int(self.batch_size),
            "clip_norm": None if self.clip_norm is None else float(self.clip_norm),
            "patience": None if self.patience is None else int(self.patience),
            "min_delta": float(self.min_delta),
            "shuffle": bool(self.shuffle),
        }

    def given(self) -> dict[str, Any]:
        """Give those that say more than their text, and whether results are rounded as a program's."""
        metrics = {f"metric {name}": metric for name, metric in self.metrics.items()}
        return {"loss": self.loss, **metrics, "compile": self.compile is True}


@dataclass(eq=False)
class _Run:
    """One training: what it changes, what it learns from, and how far it has come."""

    model: Module
    settings: _Settings
    optimizer: Optimizer
    schedule: Schedule | None
    data: Dataset
    validation: Dataset | None
    rng: np.random.Generator
    group: Alone
    state: State | None = None  # for a run that is kept

    def __post_init__(self) -> None:
        names = self.settings.metrics
        history = History(samples=len(self.data), metrics={name: [] for name in names})
        if self.validation is not None:
            history.validation_metrics = {name: [] for name in names}
        self.progress = Progress(history)

    @cached_property
    def choose_step(self) -> Callable[[], Step]:
        """Gives the function that takes a step of the model and the optimizer as they are now."""
        steps = self.settings.epochs * (len(self.data) // self.settings.batch_size)
        if self.data.inputs.is_sparse:  # which a program does not take
            steps = 0
        return _chooser(self.model, self.settings, self.optimizer, steps, self.group)

    @contextlib.contextmanager
    def kept(self, path: str | os.PathLike[str] | None, seed: int | str) -> Iterator[None]:
        """Hold a file for the run, if it has one, and continue from it or begin it; all ranks as the first."""
        if path is None and self.group.size == 1:
            yield
            return
        names = ("inputs", "targets", "validation inputs", "validation targets")
        datasets = filter(None, (self.data, self.validation))
        rows = dict(zip(names, (rows for dataset in datasets for rows in (dataset.inputs, dataset.targets))))
        shapes = [part.whole.shape for part in rows.values()]
        settings = self.settings.described() | {"rng": seed, "shapes of the data": shapes}
        given = self.settings.given() | {name: part.described() for name, part in rows.items()}
        if self.data.weights is not None:
            given["weights of rows"] = digest(self.data.weights)
        arguments = self.model, self.optimizer, self.schedule, self.rng, settings, given
        state = State(*arguments) if path is None or self.group.rank else Checkpoint(path, *arguments)
        others: dict[str, Any] = {"epochs": self.settings.epochs, "callbacks": len(self.settings.callbacks)}
        others |= {"checkpoint": "none" if path is None else "a path"}
        self.group.compare("fit: the arguments", lambda: state.texts() | others)
        with held("fit", state.path) if isinstance(state, Checkpoint) else contextlib.nullcontext():
            if isinstance(state, Checkpoint):
                if not state.path.exists():
                    state.save(self.progress)
                # Also what was written just now, so that the arrays lie in memory as they will when it is read again:
                # sums of an array in another order may end in other bits.
                self.progress = state.load(self.progress.history, self.settings.epochs)
            if self.group.size > 1:
                self.progress = state.share(self.group, self.progress)
            self.state = None if path is None else state
            yield

    def finish(self) -> History:
        """Train for the epochs that are left."""
        history, epochs = self.progress.history, self.settings.epochs
        try:
            is_quiet = not self.settings.progress or self.group.rank > 0
            with progress(len(history.loss), epochs, is_quiet) as show:
                while len(history.loss) < epochs and not self.progress.stopped:
                    show(self.epoch())
            if self.progress.best is not None:
                self.model.load_state_dict(self.progress.best)
            self.group.settle(self.model, self.optimizer, "fit: after the last epoch, model and optimizer")
            self.group.end()
        except KeyboardInterrupt as error:
            self.group.interrupt(error, self.model)
            for values in history.columns().values():
                del values[len(history.seconds) :]
        finally:
            self.model.eval()
        return history

    def epoch(self) -> dict[str, float]:
        """Train for one epoch, do all that comes after it, and give the numbers to show by their names."""
        history = self.progress.history
        epoch = len(history.loss) + 1
        history.lr.append(self.optimizer.param_groups[0]["lr"])
        start = time.perf_counter()
        numbers = self.steps(epoch)
        seconds = time.perf_counter() - start
        history.loss.append(numbers["loss"])
        for name in self.settings.metrics:
            history.metrics[name].append(numbers[name])
        if self.validation is not None:
            numbers |= self.validate(self.validation, epoch)
        # The last list to grow: an epoch that is in it is whole in all of them, whenever Ctrl-C comes.
        history.seconds.append(self.group.of_first(seconds))
        if self.settings.patience is not None:
            self.watch(self.settings.patience)
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(numbers["loss" if self.validation is None else "validation loss"])
        elif self.schedule is not None:
            self.schedule.step()
        answers = [callback(epoch, self.model, history) for callback in self.settings.callbacks]
        self.progress.stopped |= any(isinstance(answer, bool | np.bool) and answer for answer in answers)
        self.progress.stopped = self.group.of_first(self.progress.stopped)
        if self.state is not None:
            self.state.others = self.group.of_all(self.state.states())[1:]
            if isinstance(self.state, Checkpoint):
                self.state.save(self.progress)
        return numbers

    def steps(self, epoch: int) -> dict[str, float]:
        """Take one step for each batch, and give the means of the loss and of the metrics."""
        self.model.train()
        metrics = self.settings.metrics
        totals = dict.fromkeys(("loss", *metrics), 0.0)
        joined = len(self.data) % self.settings.batch_size == 1 and any(
            isinstance(module, BatchNorm1d) for module in self.model.modules()
        )
        self.group.settle(self.model, self.optimizer, f"fit: before epoch {epoch}, model and optimizer")
        rng = self.group.common(self.rng) if self.settings.shuffle else None
        batches = self.data.batches(self.settings.batch_size, rng, joined, self.group.own)
        have_users = _have_users(metrics)
        for step, (inputs, targets, *weights) in enumerate(batches, start=1):
            if step == 1 or have_users:  # functions that may have changed anything
                take_step = self.choose_step()
            try:
                loss, *outputs = take_step(inputs, targets, *weights)
            except NotFiniteError as error:
                raise _not_finite(f"{error} at epoch {epoch}, step {step}") from None
            totals["loss"] += loss.item() * len(targets)
            if metrics and outputs:
                predictions, targets = (*outputs, targets)[:2]  # of all ranks, or of this one
                for name, number in _numbers(metrics, predictions, targets).items():
                    totals[name] += number * len(targets)
        every = self.group.of_all(totals)
        return {name: sum(totals[name] for totals in every) / len(self.data) for name in totals}

    def validate(self, data: Dataset, epoch: int) -> dict[str, float]:
        """Measure the model on the validation data, and give the numbers to show."""
        history = self.progress.history
        loss, metrics, accuracy = self.group.of_first(self.measured(data))
        if not math.isfinite(loss):
            raise _not_finite(f"validation loss is {loss} after epoch {epoch}")
        history.validation_loss.append(loss)
        numbers = {"validation loss": loss}
        for name, number in metrics.items():
            history.validation_metrics[name].append(number)
            numbers[f"validation {name}"] = number
        if accuracy is not None:
            history.validation_accuracy.append(accuracy)
            numbers["validation accuracy"] = accuracy
        return numbers

    def measured(self, data: Dataset) -> tuple[float, dict[str, float], float | None]:
        """Give loss, metrics and accuracy, on rank 0, of the predictions of all ranks."""
        with evaluating(self.model):
            part = self.group.own(len(data))
            own = _predicted(self.model, data, part) if part.stop > part.start else ()
            rows = self.group.rows_of_all(*own)
            if rows is None:
                return math.nan, {}, None
            loss, *arrays = _measured("fit", self.settings.loss, *rows)
        return loss, _numbers(self.settings.metrics, *arrays), _accuracy(self.settings.loss, *arrays)

    def watch(self, patience: int) -> None:
        """Keep the weights of the smallest validation loss, and stop when there has been none for too long."""
        progress = self.progress
        loss = progress.history.validation_loss[-1]
        if loss < progress.best_loss - self.settings.min_delta:
            progress.best_loss, progress.waited, progress.best = loss, 0, self.model.state_dict()
        else:
            progress.waited += 1
        progress.stopped = progress.waited >= patience


def _chooser(model: Module, settings: _Settings, optimizer: Optimizer, steps: int, group: Alone) -> Callable[[], Step]:
    """Make the function that gives what takes a step now, a program where that pays; so many steps are to come.

    By default it is to be asked whenever functions of the user's have run: it looks at all that a step depends on, and
    there is a program for each form of it, as long as steps are to come for which it is worthwhile.
    """
    measure, compile = settings.loss, settings.compile
    halves = _halves(model, measure, optimizer, settings.clip_norm, bool(settings.metrics))
    joined = partial(group.joined, *halves, gathers=_have_users(settings.metrics))
    step = joined(lambda function: function)
    if compile:
        compiled = joined(partial(ad.compile, state=(model, optimizer)))
        return lambda: compiled
    if compile is False or steps < _WORTHWHILE:
        return lambda: step
    whole: list[tuple[int, ...]] = []
    by_form: dict[Hashable, Step] = {}
    made = 0
    chosen: tuple[Callable[[], bool], Step] = (lambda: False), step

    def where_worthwhile(compiled: Step, inputs: Array, *rest: Array) -> tuple[Any, ...]:
        if not whole:
            whole.append(inputs.shape)
        return (compiled if inputs.shape == whole[0] else step)(inputs, *rest)

    def choose() -> Step:
        nonlocal chosen, made
        hooked = HOOKS and any(map(hooks_of, (*model.parameters(), *optimizer.parameters)))
        if WATCHES or hooked or not _is_as_written():
            return step
        if not chosen[0]():
            form = model.settings(), optimizer.settings(), tuple(numbers_of(model.places()).values())
            if form not in by_form and made < steps // _WORTHWHILE and _all_own(model, measure, optimizer):
                made += 1
                if made > _MOST_PROGRAMS:
                    del by_form[next(iter(by_form))]
                program = joined(partial(ad.compile, state=(model, optimizer), exact=True))
                by_form[form] = partial(where_worthwhile, program)
            views = [view for module in model.modules() for view in views_of(vars(module))]
            are_same, is_same = watch_of(views), optimizer.watch()
            chosen = (lambda: are_same() and is_same()), by_form.get(form, step)
        return chosen[1]

    return choose


def _halves(
    model: Module, measure: Loss, optimizer: Optimizer, clip_norm: float | None, with_outputs: bool
) -> tuple[Step, Callable[[], None]]:
    """Make the functions that compute gradients, the loss and, if they are wanted, the predictions; and that update."""

    def compute(inputs: Array, targets: Array, *weights: Array, factor: int | None = None) -> tuple[Any, ...]:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = weighted_mean(measure, outputs, targets, *weights) if weights else measure(outputs, targets)
        if not isinstance(loss, ad.Tensor) or loss.size != 1:
            raise TypeError(f"fit: the loss must return a scalar Tensor computed from the predictions, got {loss!r}")
        value = data_of(loss)
        if (is_finite := np.isfinite(value)) is not np.True_:  # otherwise there is nothing to say, nor to be recorded
            require(is_finite, NotFiniteError, "loss is {}", value)
        loss.backward(None if factor is None else np.full(loss.shape, factor, loss.dtype))
        return (value, data_of(outputs)) if with_outputs else (value,)

    def update() -> None:
        if clip_norm is not None:
            clip_grad_norm_(optimizer.parameters, clip_norm)
        optimizer.step()

    return compute, update


def _all_own(model: Module, measure: Loss, optimizer: Optimizer) -> bool:
    """Whether all that a step calls is defined in this package, so that nothing in it is a surprise to a compiler."""
    parts = [*model.modules(), optimizer]
    are_own = all(type(part).__module__.partition(".")[0] == "nn" for part in parts)
    held = (leaf for part in parts for _, leaf in walk(vars(part)))
    return measure in LOSSES.values() and are_own and not any(callable(x) and not isinstance(x, Module) for x in held)


def _code() -> list[Mapping[str, Any]]:
    """List the names in this package's modules, and in their classes, that a step may read."""
    parts = (
        *("nn.activations", "nn.checks", "nn.containers", "nn.functional", "nn.layers", "nn.module", "nn.optim"),
        "nn.weights",
    )
    spaces = [vars(module) for name, module in sys.modules.items() if name.startswith(parts)]
    kinds = [kind for space in spaces for kind in space.values() if isinstance(kind, type)]
    return [*spaces, *(vars(kind) for kind in dict.fromkeys(kinds) if kind.__module__.startswith(parts))]


_CODE = _code()
_AS_WRITTEN = list(map(dict, _CODE))
_CACHES = {"__slotnames__", "__warningregistry__"}  # which Python adds when something is copied, or warns


def _is_as_written() -> bool:
    """Whether this package's code is what it was when it was imported."""
    if _CODE == _AS_WRITTEN:
        return True
    for now, before in zip(_CODE, _AS_WRITTEN, strict=True):
        if any(now.get(name) is not before.get(name) for name in {*now, *before} - _CACHES):
            return False
    _AS_WRITTEN[:] = map(dict, _CODE)
    return True


def _not_finite(problem: str) -> FloatingPointError:
    return FloatingPointError(
        f"fit: the {problem}. A smaller learning rate or clip_norm= may help; to see the call that went wrong, run fit "
        "under autodiff.detect_anomaly()"
    )


def evaluate(
    model: Module, X: Array, y: Array, *, loss: LossName | Loss = "cross_entropy"
) -> tuple[float, float | None]:
    """Give a model's loss on a dataset and, where the targets are labels of classes, its accuracy.

    Args:
        model: maps inputs to predictions.
        X: inputs, of shape ``(N, ...)``, converted as `fit` does; of a lazy array, as Dask's are, a block at a time.
        y: targets, converted as `fit` does.
        loss: as in `fit`.

    Returns:
        The loss, and the share of rows that are classified rightly: of labels ``(N,)`` and several logits those whose
        largest logit is that of their label; of labels 0 and 1 and one number a row, with a binary cross-entropy, those
        whose logit is positive, or probability above 1/2, where the label is 1, and only there. None for others.

    Raises:
        TypeError: the model is no Module, inputs or targets are not real numbers, or the loss returns no number.
        ValueError: the loss is unknown, or inputs and targets do not fit or are not finite.

    Example:
        >>> model = nn.MLP([2, 3], rng=0)
        >>> value, accuracy = nn.evaluate(model, np.zeros((4, 2)), np.array([0, 0, 1, 2]))
        >>> round(value, 4), accuracy
        (1.0986, 0.5)
    """
    measure = _loss("evaluate", loss)
    _check_model("evaluate", model)
    data = Dataset("evaluate", X, y, dtype_of(model))
    with evaluating(model):
        value, *arrays = _measured("evaluate", measure, *_predicted(model, data, slice(0, len(data))))
    return value, _accuracy(measure, *arrays)


def _predicted(model: Module, data: Dataset, part: slice) -> tuple[Any, Array]:
    """Give a model's predictions for some rows of a dataset, and the targets."""
    outputs = [model(data.inputs[rows]) for rows in data.inputs.blocks(part)]
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs), data.targets[part]


def _measured(caller: str, measure: Loss, predictions: Any, targets: Array) -> tuple[float, Array, Array]:
    """Give the loss of predictions, then them and the targets as arrays."""
    _check_targets(caller, _function(measure), data_of(predictions), targets)
    return _number(f"{caller}: the loss", measure(predictions, targets)), data_of(predictions), targets


def _accuracy(loss: Loss, outputs: Array, targets: Array) -> float | None:
    """Give the share of rows that are classified rightly, where there are labels of classes."""
    if targets.ndim == 1 and np.ndim(outputs) == 2 and outputs.shape[1] > 1 and targets.dtype.kind in "iu":
        return float(np.mean(np.argmax(outputs, axis=1) == targets))
    is_yes_or_no = np.shape(outputs) in ((len(targets),), (len(targets), 1)) and np.size(outputs) == targets.size
    bounds = {functional.binary_cross_entropy_with_logits: 0, functional.binary_cross_entropy: 0.5}
    bound = next((bound for function, bound in bounds.items() if function is _function(loss)), None)
    if bound is not None and is_yes_or_no and np.isin(targets, (0, 1)).all():
        return float(np.mean((outputs > bound).ravel() == targets.ravel()))
    return None


def _accuracy_metric(loss: Loss, outputs: Array, targets: Array) -> float:
    accuracy = _accuracy(loss, outputs, targets)
    if accuracy is None:
        raise ValueError(
            f"fit: the metric 'accuracy' is of logits (N, C) and labels, integers (N,), or of one number a row and "
            f"labels 0 and 1 with a binary cross-entropy, got shapes {np.shape(outputs)} and {targets.shape} of "
            f"{targets.dtype}; give a function of predictions and targets instead"
        )
    return accuracy


def _have_users(metrics: dict[str, Metric]) -> bool:
    return any(getattr(metric, "func", None) is not _accuracy_metric for metric in metrics.values())


def _numbers(metrics: dict[str, Metric], outputs: Array, targets: Array) -> dict[str, float]:
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
def evaluating(model: Module) -> Iterator[None]:
    """Set a model to evaluation, without recording; afterwards every Module in it is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with ad.no_grad():
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def _check_outputs(model: Module, settings: _Settings, data: Dataset) -> None:
    """Let loss and metrics refuse what does not fit the model's predictions before the first step changes the model.

    Metrics are tried on the first batch, and the model on one row. A loss of ours looks at all targets, with its
    predictions.
    """
    first = slice(0, settings.batch_size)
    with evaluating(model):
        if settings.metrics:
            targets = data.targets[first]
            _numbers(settings.metrics, data_of(model(data.inputs[first])), targets)
        prediction = data_of(model(data.inputs[:1]))
        function = _function(settings.loss)
        if str(getattr(function, "__module__", None)).startswith(functional.__name__):
            # Of a file, batch by batch: later targets are looked at when it is their turn.
            for rows in data.targets.blocks(row_bytes=prediction.nbytes) if data.targets.in_memory else [first]:
                targets = data.targets[rows]
                predictions = np.broadcast_to(prediction, (len(targets), *prediction.shape[1:]))
                _check_targets(data.targets.caller, function, predictions, targets)
                if function is settings.loss:  # an option may be of the shape of a batch
                    function(predictions, targets)


def _check_parts(model: Module, settings: _Settings, data: Dataset, group: Alone) -> None:
    """Refuse what would learn otherwise in parts: too few rows, rows that see others, losses that are no means."""
    size = settings.batch_size
    for name, count in (("rows", len(data)), ("rows a batch", size)):
        if count < group.size:
            raise ValueError(f"fit: there are {group.size} ranks, and only {count} {name}; start fewer processes")
    if any(isinstance(module, BatchNorm1d) for module in model.modules()):
        raise ValueError(
            "fit: BatchNorm1d would standardize the rows of each rank by themselves; use LayerNorm, which looks at one "
            "row at a time, or train in one process"
        )
    outputs = _check_rows(model, data.inputs[: min(size, len(data))])
    if settings.loss in LOSSES.values():
        return
    own, order = group.own(len(data)), np.random.default_rng(0).permutation(len(data))
    with evaluating(model):
        for start in range(own.start, own.stop, size):  # some labels may be rare, and rows be sorted by them
            targets = data.targets[np.sort(order[start : min(start + size, own.stop)])]
            rows = len(targets)
            whole, *parts = (
                _number("fit: the loss", settings.loss(outputs[part], targets[part])) * len(targets[part])
                for part in (slice(rows), slice(rows // 3 + 1), slice(rows // 3 + 1, rows))
                if len(targets[part])
            )
            if math.isfinite(whole) and abs(whole - sum(parts)) > 1e-4 * sum(map(abs, parts)):
                raise ValueError(
                    f"fit: the loss of {rows} rows is {whole / rows}, and {sum(parts) / rows} as the mean over two "
                    "parts of them; with comm= it must be a mean over rows that all count as much, and draw nothing at "
                    "random"
                )


def _check_rows(model: Module, inputs: Array) -> Any:
    """Refuse a model that predicts something else for a row if other rows are beside it, and give its predictions.

    What is drawn at random hides that: with Generators, only the model that does not train is looked at.
    """
    draws = any(isinstance(leaf, np.random.Generator) for part in model.modules() for _, leaf in walk(vars(part)))
    buffers = [(buffer, np.copy(buffer.data)) for buffer in model.buffers()]
    middle = inputs.shape[0] // 2  # of sparse rows there is no length
    with evaluating(model):
        try:
            for is_training in (False,) if draws else (True, False):
                model.train(is_training)
                outputs = model(inputs)
                once, again = data_of(outputs), data_of(model(inputs))
                parts = np.concatenate([data_of(model(rows)) for rows in (inputs[:middle], inputs[middle:])])
                error = np.abs(parts - once).max(initial=0)
                if np.array_equal(once, again) and error > 1e-3 * np.abs(once).max(initial=0):
                    raise ValueError(
                        f"fit: the predictions for rows differ by {error:.3g} if the model is given half of them, and "
                        "with comm= each rank has a part of each batch: a row must not see others"
                    )
        finally:
            for buffer, array in buffers:
                buffer.data = array[()]
    return outputs


def _check_targets(caller: str, loss: Loss, outputs: Array, targets: Array) -> None:
    """Refuse targets that a cross-entropy learns nothing from, or does not take, and name the loss that is meant."""
    if loss is not functional.cross_entropy or np.ndim(outputs) != 2:
        return
    others = 'loss="mse_loss" is for numbers, "binary_cross_entropy_with_logits" for two classes, 0 and 1, of a column'
    if outputs.shape[1] == 1:
        raise ValueError(
            f"{caller}: the cross-entropy of a single column of predictions is 0 whatever they are: {others}, and the "
            "cross-entropy for a column a class"
        )
    if targets.ndim == 1 and targets.dtype.kind == "f":
        raise TypeError(
            f"{caller}: class labels must be integers, got {targets.dtype}: {others}; for classes give y.astype(int)"
        )
    if targets.shape == outputs.shape and targets.size:
        totals = np.add.reduce(targets, axis=1, dtype=np.float64)
        row = int(np.argmax(np.abs(totals - 1)))
        if abs(totals[row] - 1) > 0.01:  # more than rounding
            raise ValueError(
                f"{caller}: the targets of a cross-entropy are labels, or probabilities that sum to 1 in a row, got a "
                f"row that sums to {totals[row]:.6g}: {others}"
            )


def _function(loss: Loss) -> Any:
    """Give a loss without the options that `functools.partial` has given it."""
    return loss.func if isinstance(loss, partial) else loss


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


def _loss(caller: str, loss: Any) -> Loss:
    """Give the loss of a name, or the function that it is."""
    if isinstance(loss, LossModule):
        return loss.as_function()
    if callable(loss):
        return loss  # type: ignore[no-any-return]
    if not isinstance(loss, str):
        raise TypeError(f"{caller}: the loss must be a function, or one of {', '.join(LOSSES)}; got {loss!r}")
    if loss not in LOSSES:
        raise ValueError(f"{caller}: unknown loss {loss!r}; known: {', '.join(LOSSES)}, or a function")
    return LOSSES[loss]


def _metrics(metrics: Any, loss: Loss) -> dict[str, Metric]:
    """Give the functions of the metrics by their names, which are to be columns of the history beside its own."""
    if not isinstance(metrics, list | tuple):
        raise TypeError(f'fit: metrics must be a list, such as ["accuracy"], got {metrics!r}')
    functions: dict[str, Metric] = {}
    for metric in metrics:
        if not callable(metric) and not isinstance(metric, str):
            raise TypeError(f"fit: a metric must be a function, or accuracy; got {metric!r}")
        if isinstance(metric, str) and metric != "accuracy":
            raise ValueError(f"fit: unknown metric {metric!r}; known: accuracy, or a function")
        name = _name(metric) if callable(metric) else metric
        is_own = name in ("epoch", "loss", "lr", "seconds") or name.startswith(("validation_", "validation "))
        if name in functions or is_own or (name == "accuracy" and callable(metric)):
            raise ValueError(f"fit: there is something else called {name!r} in the history; give the metric a new name")
        functions[name] = metric if callable(metric) else partial(_accuracy_metric, loss)
    return functions


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _check_model(caller: str, model: Any) -> None:
    check_model(caller, model)
    if any(is_lazy(tensor.data) for tensor in model.by_path().values()):
        raise TypeError(
            f"{caller}: the model's parameters or buffers are lazy arrays; compute them by ad.materialize(model)"
        )


def dtype_of(model: Module) -> Any:
    """Give the dtype of a model, that of its first parameter."""
    parameters = model.parameters()
    return parameters[0].dtype if parameters else np.dtype(np.float32)
