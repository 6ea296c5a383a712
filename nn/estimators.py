"""Multi-layer perceptrons as scikit-learn estimators, which work in its pipelines, searches and validations."""

from __future__ import annotations

import copy
import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np

from autodiff.core.rule import Array
from autodiff.extras import install
from nn import functional, optim
from nn.activations import Activation
from nn.checks import check_functions
from nn.history import History
from nn.layers import MLP, BatchNorm1d, Identity, Linear
from nn.module import Module
from nn.optim.base import AT_LEAST_0, COUNT, FLAG, POSITIVE, SHARE, Check, choice, number
from nn.training import Callback, evaluating, fit
from nn.weights import by_class, check_sample_weight, weighted_mean

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.metrics import accuracy_score, r2_score  # type: ignore[import-untyped]
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
    from sklearn.utils import check_random_state, column_or_1d  # type: ignore[import-untyped]
    from sklearn.utils.metaestimators import available_if  # type: ignore[import-untyped]
    from sklearn.utils.multiclass import check_classification_targets, type_of_target  # type: ignore[import-untyped]
    from sklearn.utils.validation import (  # type: ignore[import-untyped]
        _check_sample_weight,
        check_is_fitted,
        validate_data,
    )
except ImportError:
    raise ImportError(f"nn.Classifier and nn.Regressor need scikit-learn: {install('demos', 'scikit-learn')}") from None

Name = Activation | Literal["logistic", "identity"] | Module | type[Module] | Callable[[Any], Any]
Solver = Literal["adam", "sgd", "lbfgs"]
Rate = Literal["constant", "invscaling", "adaptive"]


# Parameters: the domain of each


def _or(other: Any, check: Check) -> Check:
    return lambda caller, name, value: value if value == other else check(caller, name, value)


def _sizes(caller: str, name: str, value: Any) -> list[int]:
    sizes = value if hasattr(value, "__len__") and not isinstance(value, str) else [value]
    return [COUNT(caller, f"a size in {name}", size) for size in sizes]


_DOMAINS: dict[str, Check] = {
    "hidden_layer_sizes": _sizes,
    "loss": choice("squared_error", "poisson"),
    "solver": choice("adam", "sgd", "lbfgs"),
    "alpha": AT_LEAST_0,
    "batch_size": _or("auto", COUNT),
    "learning_rate": choice("constant", "invscaling", "adaptive"),
    "learning_rate_init": POSITIVE,
    "power_t": AT_LEAST_0,
    "max_iter": COUNT,
    "shuffle": FLAG,
    "tol": AT_LEAST_0,
    "warm_start": FLAG,
    "momentum": SHARE,
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": number(lambda share: 0 < share < 1, "a share between 0 and 1"),
    "beta_1": SHARE,
    "beta_2": SHARE,
    "epsilon": POSITIVE,
    "n_iter_no_change": _or(math.inf, COUNT),
    "max_fun": COUNT,
    "batch_norm": FLAG,
    "callbacks": check_functions,
}
_ACTIVATIONS: dict[str, Any] = {"logistic": "sigmoid", "identity": Identity}  # by scikit-learn's names
_RENAMED = {"optimizer": "solver", "lr": "learning_rate_init", "epochs": "max_iter", "weight_decay": "alpha"}


class _Task(NamedTuple):
    """What the network has to learn, and by which loss."""

    targets: Array
    outputs: int
    loss: Any
    scale: float  # of the loss, to be a sum over the outputs of a row: half the square, for numbers
    strata: Array  # what a part that is held back is to have of all, or None
    weights: Array  # of rows, or None for ones


@dataclass(eq=False, repr=False)
class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: the parameters, kept as they are given, the training, and what is known after it."""

    hidden_layer_sizes: int | Sequence[int] = (100,)
    activation: Name = "relu"
    _: KW_ONLY
    solver: Solver = "adam"
    alpha: float = 1e-4
    batch_size: int | Literal["auto"] = "auto"
    learning_rate: Rate = "constant"
    learning_rate_init: float = 1e-3
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    random_state: Any = None
    tol: float = 1e-4
    verbose: bool = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float = 10
    max_fun: int = 15000
    dropout: float = 0.0
    batch_norm: bool = False
    callbacks: Sequence[Callback] = ()
    optimizer: str = "deprecated"
    lr: float | str = "deprecated"
    epochs: int | str = "deprecated"
    weight_decay: float | str = "deprecated"

    if not TYPE_CHECKING:  # or checkers would take the parameters of every estimator for these

        def __new__(cls, *args: Any, **given: Any) -> Self:
            known = [*inspect.signature(cls.__init__).parameters][1:]
            for name in given.keys() - {*known}:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise TypeError(f"{cls.__name__}: there is no parameter {name!r}; {hint}")
            return super().__new__(cls)

    def _options(self) -> SimpleNamespace:
        """Give the parameters, checked, under their new names."""
        caller, given = type(self).__name__, self.get_params(deep=False)
        for old, new in _RENAMED.items():
            value = given.pop(old)
            if isinstance(value, str) and value == "deprecated":
                continue
            if given[new] != getattr(_Estimator, new):
                raise ValueError(f"{caller}: {old} is the old name of {new}; give {new} alone")
            note = ""
            if old == "weight_decay":
                note = ", which is divided by batch_size and leaves biases as they are"
                rows = 200 if given["batch_size"] == "auto" else given["batch_size"]
                value = AT_LEAST_0(caller, old, value) * COUNT(caller, "batch_size", rows)
            warnings.warn(
                f"{caller}: {old} is called {new} now{note}, as in scikit-learn; the old name will go with the next "
                "release",
                FutureWarning,
                stacklevel=4,
            )
            given[new] = value
        options = {name: _DOMAINS[name](caller, name, x) if name in _DOMAINS else x for name, x in given.items()}
        if options["solver"] == "lbfgs" and (options["dropout"] or options["batch_norm"] or options["callbacks"]):
            raise ValueError(
                f'{caller}: solver="lbfgs" has no epochs, and needs a loss that is the same whenever it is computed: '
                "leave out dropout, batch_norm and callbacks"
            )
        return SimpleNamespace(**options)

    def _learn(self, X: Any, y: Any, sample_weight: Any, incremental: bool = False, classes: Any = None) -> Self:
        """Check all that is given, make the network or take the one that is there, and train it."""
        caller = type(self).__name__
        options = self._options()
        if incremental and options.early_stopping:
            raise ValueError(f"{caller}: partial_fit holds no rows back, so that there is no early_stopping=True")
        goes_on = (incremental or options.warm_start) and hasattr(self, "model_")
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=(np.float64, np.float32), multi_output=True,
            y_numeric=isinstance(self, RegressorMixin), reset=not goes_on,
        )  # fmt: skip
        if sample_weight is not None:
            sample_weight = check_sample_weight(caller, _check_sample_weight(sample_weight, X), X.shape[0])
        task = self._task(y, sample_weight, options, goes_on, incremental, classes)
        if not goes_on:
            # scikit-learn's generators are of another kind than the network's
            self._rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        rows = np.arange(X.shape[0]) if task.weights is None else np.flatnonzero(task.weights)
        held = rows[:0]
        if options.early_stopping and options.solver != "lbfgs":
            rows, held = train_test_split(
                rows,
                test_size=options.validation_fraction,
                random_state=int(self._rng.integers(2**31)),
                stratify=None if task.strata is None else task.strata[rows],
            )
            if len(held) < 2:
                raise ValueError(
                    f"{caller}: early_stopping holds back {len(held)} of {len(rows) + len(held)} rows, and a score "
                    "needs two; raise validation_fraction, or give more rows"
                )
        batch_size = min(200 if options.batch_size == "auto" else options.batch_size, len(rows))
        # One step on all rows is computed in double precision. The noise of smaller batches is far above the rounding
        # of single precision, which takes half the time.
        is_double = options.solver == "lbfgs" or incremental or (batch_size == len(rows) and X.dtype == np.float64)
        sizes = (X.shape[1], *options.hidden_layer_sizes, task.outputs)
        if not goes_on:
            self._begin(options, sizes)
        elif self.model_.sizes != sizes:
            raise ValueError(
                f"{caller}: the network has the layers {self.model_.sizes}, and cannot go on as one of {sizes}; fit "
                "with warm_start=False makes a new one"
            )
        elif self._form != _form(options):
            raise ValueError(
                f"{caller}: the network has the activation, dropout and batch_norm {self._form}, and cannot go on with "
                f"{_form(options)}; fit with warm_start=False makes a new one"
            )
        elif (self.validation_scores_ is not None) != options.early_stopping:
            self._begin_watch(options)
        data = _Data(X, y, task, rows, held, batch_size)
        if options.solver == "lbfgs":
            self._minimize(options, data)
        elif is_double:
            self._descend(options, data, self.model_, incremental)
        else:
            model = self._network(options, sizes, np.float32)
            model.load_state_dict(self.model_.state_dict())
            self._descend(options, data, model, incremental)
            self.model_.load_state_dict(model.state_dict())
        return self

    def _begin(self, options: SimpleNamespace, sizes: tuple[int, ...]) -> None:
        """Make the network, and begin the curves."""
        # Double precision: a row's prediction must not depend on the rows beside it, to scikit-learn's 1e-7
        self.model_ = self._network(options, sizes, np.float64)
        for layer in _linear(self.model_):  # as in scikit-learn, so that as many iterations lead as far
            bound = math.sqrt((2 if options.activation in ("logistic", "sigmoid") else 6) / sum(layer.weight.shape))
            for parameter in (layer.weight, layer.bias):
                parameter.data = self._rng.uniform(-bound, bound, parameter.shape)
        self.n_layers_, self.n_outputs_ = len(sizes), sizes[-1]
        self._form = _form(options)
        self.n_iter_ = self.t_ = 0
        self.loss_curve_: list[float] = []
        self._begin_watch(options)
        self._optimizer: optim.Optimizer | None = None

    def _begin_watch(self, options: SimpleNamespace) -> None:
        """Begin to look for the best score, or the least loss."""
        self._waited = 0
        self.validation_scores_: list[float] | None = [] if options.early_stopping else None
        self.best_validation_score_: Any = -math.inf if options.early_stopping else None
        self.best_loss_ = None if options.early_stopping else math.inf

    def _network(self, options: SimpleNamespace, sizes: tuple[int, ...], dtype: Any) -> MLP:
        activation = options.activation
        if isinstance(activation, str):
            activation = _ACTIVATIONS.get(activation, activation)
        elif isinstance(activation, Module):  # a parameter of the estimator, which no training is to change
            activation = copy.deepcopy(activation)
        model = MLP(sizes, activation, dropout=options.dropout, rng=self._rng, dtype=dtype)
        layers: list[Module] = []
        for layer in model.layers:
            layers.append(layer)
            if options.batch_norm and isinstance(layer, Linear) and layer is not model.layers[-1]:
                layers.append(BatchNorm1d(layer.out_features, dtype=dtype))
        model.layers = layers
        return model

    def _make_optimizer(self, options: SimpleNamespace, model: MLP, decay: float, scale: float) -> optim.Optimizer:
        """Make the optimizer: of a loss that is the scale's part of what is meant, and weights that are to decay."""
        weights = _weights(model)
        others = [p for p in model.parameters() if all(p is not weight for weight in weights)]
        parameters: Any = [{"params": weights, "weight_decay": decay / scale}, {"params": others}]
        if options.solver == "sgd":
            nesterov = options.nesterovs_momentum and options.momentum > 0
            return optim.SGD(
                parameters, options.learning_rate_init * scale, momentum=options.momentum, nesterov=nesterov
            )
        betas = options.beta_1, options.beta_2
        return optim.Adam(parameters, options.learning_rate_init, betas, options.epsilon / scale)

    def _descend(self, options: SimpleNamespace, data: _Data, network: MLP, incremental: bool) -> None:
        """Train by steps of Adam or SGD."""
        of_rows = data.weights(data.rows)
        decay = options.alpha / (data.batch_size * (1.0 if of_rows is None else float(of_rows.mean())))
        scale, weights = data.task.scale, _weights(network)
        optimizer = self._optimizer if incremental else None
        if optimizer is None:
            optimizer = self._make_optimizer(options, network, decay, scale)
        optimizer.param_groups[0]["weight_decay"] = decay / scale  # these rows may be more, or fewer, than the last
        self._optimizer = optimizer if incremental else None  # that of fit may be of a network in single precision
        best = None if self.best_validation_score_ in (None, -math.inf) else network.state_dict()
        is_over = False

        def after_epoch(epoch: int, model: Module, history: History) -> bool:
            nonlocal best, is_over
            self.n_iter_, self.t_ = epoch, self.t_ + len(data.rows)
            penalty = decay / 2 * sum(float(np.vdot(weight.data, weight.data)) for weight in weights)
            self.loss_ = scale * history.loss[-1] + penalty
            self.loss_curve_.append(self.loss_)
            if options.verbose:
                print(f"Iteration {epoch}, loss = {self.loss_:.8f}")
            if self.validation_scores_ is None:
                improved = self.loss_ <= self.best_loss_ - options.tol
                self.best_loss_ = min(self.loss_, self.best_loss_)
            else:
                score = self._score(model, data)
                self.validation_scores_.append(score)
                if options.verbose:
                    print(f"Validation score: {score:.6f}")
                improved = score >= self.best_validation_score_ + options.tol
                if score > self.best_validation_score_:
                    self.best_validation_score_, best = score, model.state_dict()
            self._waited = 0 if improved else self._waited + 1
            if options.solver == "sgd" and options.learning_rate == "invscaling":
                _change_rate(optimizer, scale * options.learning_rate_init / (self.t_ + 1) ** options.power_t)
            if self._waited > options.n_iter_no_change:
                if options.solver == "sgd" and options.learning_rate == "adaptive" and optimizer.lr > 1e-6 * scale:
                    _change_rate(optimizer, optimizer.lr / 5)
                    self._waited = 0
                else:
                    is_over = True
            answers = [callback(epoch, model, history) for callback in options.callbacks]
            is_over |= any(isinstance(answer, bool | np.bool) and answer for answer in answers)
            return is_over

        epochs = 1 if incremental else options.max_iter
        self.history_ = fit(
            network,
            data.inputs(),
            data.task.targets[data.rows],
            sample_weight=data.weights(data.rows),
            loss=data.task.loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=data.batch_size,
            shuffle=options.shuffle,
            callbacks=[after_epoch],
            progress=False,
            rng=self._rng,
        )
        if best is not None:
            network.load_state_dict(best)
        if not incremental and not is_over:
            caller = type(self).__name__
            if len(self.history_.loss) < epochs:
                warnings.warn(f"{caller}: the training was interrupted", stacklevel=4)
            else:
                message = f"{caller}: the loss still fell after max_iter={epochs} iterations; give it more"
                warnings.warn(message, ConvergenceWarning, stacklevel=4)

    def _minimize(self, options: SimpleNamespace, data: _Data) -> None:
        """Train by SciPy's L-BFGS on all rows at once."""
        weights, scale = _weights(self.model_), data.task.scale
        inputs, targets = data.inputs().astype(np.float64, copy=False), data.task.targets[data.rows]
        rows = data.weights(data.rows)
        rows = np.ones(len(data.rows)) if rows is None else rows
        with np.errstate(over="ignore"):
            decay, rows = options.alpha / rows.sum(), rows / rows.max()
        rows /= rows.mean()

        def closure() -> Any:
            loss = scale * weighted_mean(data.task.loss, self.model_(inputs), targets, rows)
            return loss + decay / 2 * sum(np.square(weight).sum() for weight in weights) if decay else loss

        def after_iteration(intermediate_result: Any) -> None:
            self.loss_curve_.append(float(intermediate_result.fun))
            if options.verbose:
                print(f"Iteration {len(self.loss_curve_)}, loss = {self.loss_curve_[-1]:.8f}")

        result = optim.minimize(
            closure,
            self.model_.parameters(),
            "L-BFGS-B",
            maxiter=options.max_iter,
            maxfun=options.max_fun,
            gtol=options.tol,
            callback=after_iteration,
        )
        self.model_.eval()
        self.loss_ = self.best_loss_ = float(result.fun)
        self.n_iter_, self.t_ = int(result.nit), self.t_ + len(rows)
        if not result.success:
            message = f"{type(self).__name__}: L-BFGS ended before the gradient was as small as tol: {result.message}"
            warnings.warn(message, ConvergenceWarning, stacklevel=4)

    def _score(self, model: Module, data: _Data) -> float:
        """Give the score of the rows that are held back, NaN if the network has gone astray."""
        with evaluating(model):
            outputs = model(data.X[data.held]).data
        if not np.isfinite(outputs).all():
            return math.nan
        score = r2_score if isinstance(self, RegressorMixin) else accuracy_score
        return float(score(data.y[data.held], self._predicted(outputs), sample_weight=data.weights(data.held)))

    def _outputs(self, X: Any) -> Any:
        """Give the network's outputs for inputs that scikit-learn has checked."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        with evaluating(self.model_):
            return self.model_(X).data

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on inputs ``(N, features)`` and labels or targets, ``(N,)`` or ``(N, targets)``; returns the estimator.

        Predictions have their shape. ``sample_weight`` of shape ``(N,)`` says how much each row counts; a row of weight
        0 is left out.
        """
        return self._learn(X, y, sample_weight)

    def predict(self, X: Any) -> Any:
        """Give what the network says of each row, in the form of the targets."""
        return self._predicted(self._outputs(X))

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, of shape ``(inputs, outputs)``."""
        return [weight.data for weight in _weights(self.model_)]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer."""
        return [layer.bias.data for layer in _linear(self.model_)]

    def _is_stepwise(self) -> bool:
        """Whether the solver can go on with further rows."""
        if self.solver == "lbfgs":
            raise AttributeError(f'{type(self).__name__}: partial_fit needs steps, which solver="lbfgs" does not take')
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


@dataclass
class _Data:
    """The rows to learn from, and those that are held back for a score."""

    X: Any
    y: Any
    task: _Task
    rows: Array
    held: Array
    batch_size: int

    def inputs(self) -> Any:
        """Give the rows to learn from, which are most often all."""
        return self.X if len(self.rows) == self.X.shape[0] else self.X[self.rows]

    def weights(self, rows: Array) -> Array:
        """Give the weights of some rows, or None."""
        return None if self.task.weights is None else self.task.weights[rows]


def _change_rate(optimizer: optim.Optimizer, lr: float) -> None:
    """Give SGD another learning rate, and let its momentum be the steps that were taken, as scikit-learn's is."""
    for slots in optimizer.slots:
        for momentum in slots.values():
            momentum *= optimizer.lr / lr
    optimizer.lr = lr


def _form(options: SimpleNamespace) -> tuple[Any, ...]:
    return options.activation, options.dropout, options.batch_norm


def _linear(model: MLP) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, Linear)]


def _weights(model: MLP) -> list[Any]:
    return [layer.weight for layer in _linear(model)]


@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Multi-layer perceptron that classifies, as a scikit-learn estimator.

    What scikit-learn's ``MLPClassifier`` does, under its names, on `MLP` and `fit`. Scale the inputs first, as with its
    ``StandardScaler``. Labels may be of any type, two or more; or a column of 0 and 1 for each of several labels that
    a row may have together. X may be sparse, and stays so.

    Batches of a part of the rows are computed in single precision, all rows at once and predictions in double.

    Args:
        hidden_layer_sizes: size of each hidden layer, or of the only one.
        activation: "relu", "tanh", "logistic", "identity", or any other that `MLP` takes.
        solver: "adam", "sgd", or "lbfgs" for SciPy's L-BFGS-B on all rows at once.
        alpha: not negative; ``alpha / 2`` times the squares of the weights, divided by the rows of a batch, is added to
            the loss.
        batch_size: rows a step, or "auto" for at most 200.
        learning_rate: of "sgd": "constant"; "invscaling", divided by ``t_ ** power_t`` after each epoch; or "adaptive",
            divided by 5 in place of an end.
        learning_rate_init: learning rate of "adam" and "sgd", positive.
        power_t: see ``learning_rate``.
        max_iter: how often every row is seen, at most; iterations of "lbfgs".
        shuffle: whether an epoch takes the rows in random order.
        random_state: a seed, a ``numpy.random.RandomState`` or None, for first weights, order, dropout and split.
        tol: by how much the loss, or the score, must be better to count; of "lbfgs" the largest gradient at the end.
        verbose: print the loss of each epoch.
        warm_start: whether `fit` goes on with the network of the last one.
        momentum: of "sgd", at least 0 and below 1.
        nesterovs_momentum: whether "sgd" looks ahead along the momentum.
        early_stopping: hold rows back, end by their score, and keep the weights of the best one.
        validation_fraction: share of the rows that are held back.
        beta_1: decay of Adam's mean of the gradient.
        beta_2: decay of Adam's mean of its square.
        epsilon: what Adam adds to the denominator, positive.
        n_iter_no_change: the training ends after more than so many epochs in a row that were not better by ``tol``;
            ``np.inf`` for none.
        max_fun: evaluations of the loss by "lbfgs", at most.
        class_weight: a dict of a weight for each class, or "balanced"; see `fit` of nn.
        dropout: probability of `Dropout` after each hidden layer.
        batch_norm: whether a `BatchNorm1d` is before each activation.
        callbacks: functions of epoch, network and `History`, as for `fit` of nn; one that returns True ends it.
        optimizer: the old name of ``solver``.
        lr: the old name of ``learning_rate_init``.
        epochs: the old name of ``max_iter``.
        weight_decay: the old ``alpha``, not divided by the rows of a batch.

    Attributes:
        classes_: the labels, sorted.
        coefs_, intercepts_: weights and biases of each layer.
        loss_, loss_curve_, best_loss_: the loss, with the penalty, at the end, after each epoch, and its least.
        validation_scores_, best_validation_score_: of the rows that are held back, or None.
        n_iter_, t_: epochs of the last training, rows seen in all.
        n_layers_, n_outputs_, out_activation_: what the network is like.
        n_features_in_, feature_names_in_: what an input is like.
        history_: the `History` of the last training by "adam" or "sgd".
        model_: the `MLP`, whose outputs are logits: one for two classes, else in the order of ``classes_``.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: a parameter is unknown, or in `fit` of the wrong type.
        ValueError: in `fit`, a parameter is outside its domain, or X, y or a weight is not what scikit-learn accepts.
        FloatingPointError: in `fit`, the loss is not finite.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> X, y = load_iris(return_X_y=True)
        >>> estimator = make_pipeline(StandardScaler(), nn.Classifier(16, solver="lbfgs", alpha=1, random_state=0))
        >>> estimator.fit(X, y).score(X, y) > 0.95
        True
    """

    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None

    @available_if(_Estimator._is_stepwise)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Go through these rows once, from the network that is there; returns the estimator.

        ``classes`` lists all labels that will ever come, and is needed at the first call; it may have no others later.
        """
        return self._learn(X, y, sample_weight, incremental=True, classes=classes)

    def _task(
        self, y: Any, weights: Any, options: SimpleNamespace, goes_on: bool, incremental: bool, classes: Any
    ) -> _Task:
        """Find the classes, number the labels, and choose the loss."""
        check_classification_targets(y)
        if type_of_target(y) == "multilabel-indicator":
            return self._several_labels(y, weights, options, goes_on)
        if y.ndim == 2 and y.shape[1] > 1:
            raise ValueError(
                f"Classifier: y of shape {y.shape} must hold 0 and 1 only, a column a label; for several questions fit "
                "an estimator for each, as with scikit-learn's MultiOutputClassifier"
            )
        y = column_or_1d(y, warn=True)
        seen = np.unique(y)
        if not goes_on:
            if incremental and classes is None:
                raise ValueError("Classifier: the first partial_fit needs classes=, the list of all labels")
            found = np.unique(classes) if incremental else seen
            if len(found) == 1:
                raise ValueError(
                    f"Classifier: y has only one class, {found.tolist()[0]!r}, and there is nothing to learn"
                )
            self.classes_ = found
        elif self.out_activation_ == "logistic" and self.n_outputs_ > 1:
            raise ValueError(f"Classifier: the network was trained with {self.n_outputs_} columns of labels, got one")
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"Classifier: classes were {self.classes_.tolist()} at first, and are now {classes!r}")
        strangers = np.setdiff1d(seen, self.classes_)
        if len(strangers) or (goes_on and not incremental and len(seen) < len(self.classes_)):
            raise ValueError(
                f"Classifier: the network is of the classes {self.classes_.tolist()}, and y has {seen.tolist()}; "
                "partial_fit needs all in classes= at its first call, and warm_start the same ones each time"
            )
        labels = np.searchsorted(self.classes_, y)
        if options.class_weight is not None:
            if incremental and isinstance(options.class_weight, str):
                raise ValueError(
                    "Classifier: partial_fit does not see all rows, which class_weight='balanced' is about; give a "
                    "dict, as from scikit-learn's compute_class_weight"
                )
            weights = by_class("Classifier", options.class_weight, labels, weights, self.classes_)
        count = len(self.classes_)
        self.out_activation_: str = "logistic" if count == 2 else "softmax"
        if count == 2:
            columns = labels[:, None].astype(np.float32)
            return _Task(columns, 1, functional.binary_cross_entropy_with_logits, 1.0, labels, weights)
        return _Task(labels, count, functional.cross_entropy, 1.0, labels, weights)

    def _several_labels(self, y: Any, weights: Any, options: SimpleNamespace, goes_on: bool) -> _Task:
        y = y.toarray() if hasattr(y, "toarray") else y
        if options.class_weight is not None:
            raise ValueError("Classifier: class_weight is for one label a row; give sample_weight in fit")
        if goes_on and (self.out_activation_ != "logistic" or self.n_outputs_ != y.shape[1]):
            raise ValueError(
                f"Classifier: the network has {self.n_outputs_} outputs, {self.out_activation_}, and y the shape "
                f"{y.shape}, of several labels"
            )
        self.classes_, self.out_activation_ = np.arange(y.shape[1]), "logistic"
        loss, count = functional.binary_cross_entropy_with_logits, y.shape[1]
        return _Task(y.astype(np.float32), count, loss, float(count), None, weights)

    def _predicted(self, outputs: Any) -> Any:
        if self.out_activation_ == "softmax":
            return self.classes_[np.argmax(outputs, axis=1)]
        positive = (outputs > 0).astype(np.int64)
        return self.classes_[positive[:, 0]] if self.n_outputs_ == 1 else positive

    def predict_proba(self, X: Any) -> Any:
        """Give the probability of each class, in the order of ``classes_``, of shape ``(N, classes)``.

        Of several labels that a row may have together, the probability of each.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> Any:
        """Give the logarithms of `predict_proba`, also of probabilities that are too small for a number."""
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return functional.log_softmax(outputs)
        if self.n_outputs_ == 1:
            outputs = np.hstack([-outputs, outputs])
        return functional.log_sigmoid(outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@dataclass(eq=False, repr=False, kw_only=True)
class Regressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Multi-layer perceptron that predicts numbers, as a scikit-learn estimator.

    What scikit-learn's ``MLPRegressor`` does, under its names, on `MLP` and `fit`. Scale the inputs first, and targets
    that are far from 1 too, as with its ``TransformedTargetRegressor``. The loss is half the squared error, summed over
    the targets of a row.

    Args and attributes are those of `Classifier`, but of classes; and

    Args:
        loss: "squared_error"; or "poisson", for counts: the network's output is then the logarithm of the prediction,
            and ``loss_`` half the Poisson deviance up to a number that depends on y alone.

    Raises:
        ImportError: scikit-learn is not installed.
        TypeError: a parameter is unknown, or in `fit` of the wrong type.
        ValueError: in `fit`, a parameter is outside its domain, or X, y or a weight is not what scikit-learn accepts.
        FloatingPointError: in `fit`, the loss is not finite.

    Example:
        >>> X = np.linspace(-1, 1, 100)[:, None]
        >>> estimator = nn.Regressor(32, "tanh", solver="lbfgs", random_state=0)
        >>> estimator.fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.99
        True
    """

    loss: Literal["squared_error", "poisson"] = "squared_error"

    @available_if(_Estimator._is_stepwise)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go through these rows once, from the network that is there; returns the estimator."""
        return self._learn(X, y, sample_weight, incremental=True)

    def _task(
        self, y: Any, weights: Any, options: SimpleNamespace, goes_on: bool, incremental: bool, classes: Any
    ) -> _Task:
        """Give the targets as columns, and choose the loss."""
        self._single = y.ndim == 1
        targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        count = targets.shape[1]
        self.out_activation_ = "identity"
        if options.loss == "poisson":
            self.out_activation_ = "exp"
            return _Task(targets, count, functional.poisson_nll_loss, float(count), None, weights)
        return _Task(targets, count, functional.mse_loss, count / 2, None, weights)

    def _predicted(self, outputs: Any) -> Any:
        predictions = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return predictions[:, 0] if self._single else predictions

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
