"""The estimators keep scikit-learn's contract, and learn what its own perceptrons learn."""

from __future__ import annotations

import inspect
import math
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nn

pytest.importorskip("sklearn")

from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# With as many iterations as scikit-learn checks its own with
ESTIMATORS = [nn.Classifier(max_iter=100), nn.Regressor(max_iter=100)]
LEFT_OUT = {
    "check_array_api_input",  # needs SciPy switched to other array types
    "check_classifiers_multilabel_output_format_decision_function",  # which scikit-learn's perceptron has not either
}


def checks() -> Iterator[Any]:
    """Give scikit-learn's checks, but those that would be skipped."""
    for number, estimator in enumerate(ESTIMATORS):
        for each, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            if name not in LEFT_OUT:
                yield pytest.param(each, check, id=f"{number} {name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(("ours", "theirs"), [(nn.Classifier, MLPClassifier), (nn.Regressor, MLPRegressor)])
def test_parameters_and_what_is_known_afterwards_are_scikit_learns(ours: Any, theirs: Any) -> None:
    mine, wanted = ours().get_params(), theirs().get_params()
    assert {name: mine.get(name, "missing") for name in wanted} == wanted
    X, y = line() if ours is nn.Regressor else iris()
    for options in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        one, other = (kind(max_iter=2, random_state=0, **options).fit(X, y) for kind in (ours, theirs))
        known = {name for name in dir(other) if name.endswith("_") and not name.startswith("_")}
        assert known <= {name for name in dir(one) if name.endswith("_")}
        for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
            if name != "t_" or options != {"solver": "lbfgs"}:
                assert getattr(one, name) == getattr(other, name), name
        assert [w.shape for w in one.coefs_ + one.intercepts_] == [w.shape for w in other.coefs_ + other.intercepts_]


# Data


def iris() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def line() -> tuple[Any, Any]:
    X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    return X, X @ np.array([2.0, -1.0]) + 0.5


def small(kind: Any, **options: Any) -> Any:
    given = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.02, "max_iter": 20, "random_state": 0}
    return kind(**given | options)


RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
TARGETS = {
    "two classes": (nn.Classifier, MLPClassifier, np.where(X[:, 0] > 0.3, "yes", "no"), {}),
    "three classes": (nn.Classifier, MLPClassifier, (X[:, 0] > 0.3).astype(int) + (X[:, 1] > 0), {}),
    "labels": (nn.Classifier, MLPClassifier, (X[:, :3] > 0.2).astype(int), {}),
    "numbers": (nn.Regressor, MLPRegressor, X[:, 0] * X[:, 1] + 2, {}),
    "columns": (nn.Regressor, MLPRegressor, X[:, :2] ** 2, {}),
    "counts": (nn.Regressor, MLPRegressor, RNG.poisson(np.exp(X[:, 0])), {"loss": "poisson"}),
}
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"alpha": 0.5},
    "adam, other numbers": {"beta_1": 0.8, "beta_2": 0.99, "activation": "tanh", "alpha": 0.0},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "alpha": 0.5},
    "sgd without Nesterov": {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False, "alpha": 0.0},
    "sgd without momentum": {
        "solver": "sgd",
        "learning_rate_init": 0.1,
        "momentum": 0.0,
        "activation": "logistic",
        "alpha": 0.0,
    },
}


def pair(target: str, **options: Any) -> tuple[Any, Any, Any]:
    """Make an estimator of ours and scikit-learn's, with the same first weights, and give their targets."""
    kind, theirs, y, more = TARGETS[target]
    both = [
        each(**({"hidden_layer_sizes": (4,), "shuffle": False, "warm_start": True, "random_state": 0} | more | options))
        for each in (kind, theirs)
    ]
    for one in both:
        one.set_params(max_iter=1).fit(X, y)
    ours, other = both
    for mine, their in zip(ours.coefs_ + ours.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        their[...] = mine
    ours.best_loss_ = other.best_loss_ = np.inf  # they began elsewhere
    ours._waited = other._no_improvement_count = 0
    return ours, other, y


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("target", TARGETS)
def test_steps_are_scikit_learns(target: str, solver: str) -> None:
    if target != "three classes" and "sgd " in solver:
        return
    ours, theirs, y = pair(target, **SOLVERS[solver])
    for one in (ours, theirs):
        one.set_params(max_iter=12).fit(X, y)  # all rows at once
    is_adam = "adam" in solver  # theirs adds epsilon before the bias is taken out, ours after it
    for mine, their in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(mine, their, rtol=1e-4 if is_adam else 1e-9, atol=5e-4 if is_adam else 1e-12)
    predict = "predict_proba" if hasattr(ours, "classes_") else "predict"
    np.testing.assert_allclose(getattr(ours, predict)(X), getattr(theirs, predict)(X), rtol=1e-3, atol=1e-3)
    if target not in ("columns", "counts"):  # of which theirs is not the loss that is minimized, or has a constant
        rtol = 0.02 if SOLVERS[solver]["alpha"] else 1e-5  # the penalty is of the end of the epoch
        np.testing.assert_allclose(ours.loss_curve_[1:], theirs.loss_curve_[1:], rtol=rtol)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)


@pytest.mark.parametrize("target", ["two classes", "columns"])
def test_batches_in_order_are_scikit_learns(target: str) -> None:
    weights = RNG.integers(1, 4, 60).astype(float)
    for alpha, given in ((0.3, None), (0.0, weights)):
        ours, theirs, y = pair(target, batch_size=20, alpha=alpha)
        ours._optimizer = None
        del theirs._optimizer
        for one in (ours, theirs):
            for _ in range(4):
                one.partial_fit(X, y, sample_weight=given)
        for mine, their in zip(ours.coefs_, theirs.coefs_, strict=True):
            np.testing.assert_allclose(mine, their, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"tol": 0.01, "learning_rate_init": 0.05},
        {"tol": 0.01, "n_iter_no_change": 3, "learning_rate_init": 0.05},
        {"tol": 0.02, "solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 2, "learning_rate_init": 0.1},
        {"tol": 1e-3, "solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.5},
    ],
)
def test_the_end_comes_when_scikit_learns_does(options: dict[str, Any]) -> None:
    ours, theirs, y = pair("three classes", alpha=0.0, **options)
    for one in (ours, theirs):
        one.set_params(max_iter=300).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_ < 300
    np.testing.assert_allclose(ours.loss_curve_[1:], theirs.loss_curve_[1:], rtol=1e-4)
    np.testing.assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-3)


@pytest.mark.parametrize("target", TARGETS)
def test_lbfgs_ends_where_scikit_learns_does(target: str) -> None:
    given = {"solver": "lbfgs", "alpha": 0.1, "activation": "tanh"}
    ours, theirs, y = pair(target, **given)
    weights = RNG.integers(0, 3, 60).astype(float)
    for one in (ours, theirs):
        one.set_params(max_iter=5).fit(X, y, sample_weight=weights)
    if target not in ("columns", "counts"):
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-6)
    if target != "columns":  # theirs minimizes another function than the gradient's
        for mine, their in zip(ours.coefs_, theirs.coefs_, strict=True):
            np.testing.assert_allclose(mine, their, rtol=1e-3, atol=1e-4)
    assert len(ours.loss_curve_) >= ours.n_iter_ > 0


@pytest.mark.parametrize(
    ("load", "ours", "theirs"),
    [
        (load_iris, nn.Classifier, MLPClassifier),
        (load_wine, nn.Classifier, MLPClassifier),
        (load_breast_cancer, nn.Classifier, MLPClassifier),
        (load_digits, nn.Classifier, MLPClassifier),
        (load_diabetes, nn.Regressor, MLPRegressor),
    ],
)
def test_scores_are_scikit_learns(load: Any, ours: Any, theirs: Any) -> None:
    data, y = load(return_X_y=True)
    options = {"hidden_layer_sizes": 30, "learning_rate_init": 0.01, "max_iter": 40}
    scores = np.array(
        [[_score(kind(**options, random_state=seed), data, y, seed) for seed in (0, 1)] for kind in (ours, theirs)]
    )
    assert abs(np.diff(scores.mean(axis=1))) < 0.05, scores


def _score(estimator: Any, data: Any, y: Any, seed: int) -> float:
    if isinstance(estimator, nn.Regressor | MLPRegressor):
        estimator = TransformedTargetRegressor(estimator, transformer=StandardScaler())
    train, test, y_train, y_test = train_test_split(data[:450], y[:450], random_state=seed)
    return float(make_pipeline(StandardScaler(), estimator).fit(train, y_train).score(test, y_test))


# What is learned


def test_labels_of_any_type_come_back() -> None:
    X, y = iris()
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]
    for labels in (names, y * 10 - 7, y.astype(bool)):
        estimator = small(nn.Classifier, max_iter=100).fit(X, labels)
        assert list(estimator.classes_) == sorted(set(labels))
        assert estimator.score(X, labels) > 0.9
        probabilities = estimator.predict_proba(X)
        assert probabilities.shape == (150, len(estimator.classes_))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
        np.testing.assert_allclose(estimator.predict_log_proba(X), np.log(probabilities), rtol=1e-9, atol=1e-12)
        assert np.all(estimator.classes_[probabilities.argmax(axis=1)] == estimator.predict(X))


def test_several_labels_and_several_numbers() -> None:
    y = (X[:, :3] > 0.2).astype(int)
    estimator = small(nn.Classifier, max_iter=200).fit(X, csr_array(y))
    assert estimator.score(X, y) > 0.9
    assert estimator.predict(X).shape == estimator.predict_proba(X).shape == (60, 3)
    assert np.all((estimator.predict_proba(X) > 0.5) == estimator.predict(X))
    A, b = line()
    linear = small(nn.Regressor, hidden_layer_sizes=(), solver="lbfgs", alpha=0.0).fit(A, b)
    np.testing.assert_allclose(linear.coefs_[0][:, 0], [2, -1], rtol=1e-3)
    for targets in (b, b[:, None], np.column_stack([b, -b])):
        regressor = small(nn.Regressor, max_iter=100).fit(A, targets)
        assert regressor.predict(A).shape == targets.shape
        assert regressor.score(A, targets) > 0.95


def test_it_is_the_mlp_that_fit_trains() -> None:
    """In single precision where a batch is a part of the rows, in double for all rows and for predictions."""
    X, y = iris()
    seen = []

    def watch(epoch: int, model: Any, history: nn.History) -> bool:
        seen.append((epoch, model.parameters()[0].dtype, type(model), len(history.loss)))
        return epoch == 3

    options: Any = {"activation": "elu", "callbacks": [watch], "dropout": 0.1, "batch_norm": True, "random_state": 3}
    for rows, dtype in ((150, np.float64), (32, np.float32)):
        estimator = nn.Classifier((5, 4), batch_size=rows, **options).fit(X, y)
        assert seen == [(epoch, dtype, nn.MLP, epoch) for epoch in (1, 2, 3)]
        assert len(estimator.history_.loss) == estimator.n_iter_ == 3
        assert estimator.model_.sizes == (4, 5, 4, 3)
        kinds = [type(layer).__name__ for layer in estimator.model_.layers]
        assert kinds == ["Linear", "BatchNorm1d", "ELU", "Dropout"] * 2 + ["Linear"]
        assert estimator.coefs_[0].dtype == np.float64
        seen.clear()
    assert not np.array_equal(estimator.model_.layers[1].running_mean.data, np.zeros(5))


@pytest.mark.parametrize(("kind", "data"), [(nn.Classifier, iris), (nn.Regressor, line)])
def test_same_random_state_same_bits(kind: Any, data: Any) -> None:
    X, y = data()
    options = {"batch_size": 32, "early_stopping": True, "max_iter": 5}
    one, two, other = (small(kind, random_state=seed, **options).fit(X, y) for seed in (0, 0, 1))
    assert one.loss_curve_ == two.loss_curve_ != other.loss_curve_
    assert one.predict(X).tobytes() == two.predict(X).tobytes()
    generators = [np.random.RandomState(4) for _ in range(2)]
    one, two = (small(kind, random_state=generator).fit(X, y) for generator in generators)
    assert one.loss_curve_ == two.loss_curve_


@pytest.mark.parametrize(("kind", "data"), [(nn.Classifier, iris), (nn.Regressor, line)])
def test_pickles_and_clones_go_on(kind: Any, data: Any) -> None:
    X, y = data()
    estimator = small(kind, dropout=0.2, batch_size=32)
    estimator.partial_fit(X, y, **({"classes": [0, 1, 2]} if kind is nn.Classifier else {}))
    again = pickle.loads(pickle.dumps(estimator))
    for one in (estimator, again):
        one.partial_fit(X, y).partial_fit(X, y)
    assert again.predict(X).tobytes() == estimator.predict(X).tobytes()
    assert len(again.loss_curve_) == 3
    assert clone(estimator).get_params() == estimator.get_params()
    assert not hasattr(clone(estimator), "model_")
    assert not hasattr(clone(estimator), "coefs_")


def test_early_stopping_keeps_the_best() -> None:
    A, y = load_digits(return_X_y=True)
    A, y = A[:400] / 16, y[:400]
    options = {"early_stopping": True, "validation_fraction": 0.25, "n_iter_no_change": 4, "max_iter": 200}
    estimator = small(nn.Classifier, **options).fit(A, y)
    scores = estimator.validation_scores_
    assert len(scores) == estimator.n_iter_ == len(estimator.loss_curve_) < 200
    assert estimator.best_validation_score_ == max(scores) > 0.7
    assert estimator.best_loss_ is None
    assert scores.index(max(scores)) < len(scores) - 4


def test_sparse_rows_are_learned_as_dense_ones() -> None:
    A = np.where(RNG.random((90, 40)) < 0.1, RNG.random((90, 40)), 0.0)
    y = (A[:, :20].sum(axis=1) > A[:, 20:].sum(axis=1)).astype(int)
    weights = RNG.integers(0, 3, 90)
    for options in ({}, {"batch_size": 16, "early_stopping": True}, {"solver": "lbfgs", "max_iter": 5}):
        dense, sparse = (small(nn.Classifier, **options).fit(rows, y, weights) for rows in (A, csr_array(A)))
        np.testing.assert_allclose(sparse.predict_proba(csr_array(A)), dense.predict_proba(A), rtol=1e-3)
    rows = csr_array(A)
    one, two = (small(nn.Regressor).partial_fit(each, y * 1.0).partial_fit(each, y) for each in (rows.tocsc(), A))
    np.testing.assert_allclose(one.predict(rows), two.predict(A), rtol=1e-6)


def test_weights_whose_sum_is_no_number() -> None:
    A, y = iris()
    options: dict[str, Any] = {"solver": "lbfgs", "alpha": 0.0, "max_iter": 5}
    found, expected = (small(nn.Classifier, **options).fit(A, y, np.full(len(y), w)) for w in (1e308, 1.0))
    np.testing.assert_allclose(found.predict_proba(A), expected.predict_proba(A), rtol=1e-9)


def test_weights_of_rows_and_classes() -> None:
    y = TARGETS["two classes"][2]
    counts = {name: int((y == name).sum()) for name in ("no", "yes")}
    estimators = [
        small(nn.Classifier, class_weight="balanced").fit(X, y),
        small(nn.Classifier, class_weight={name: 30 / count for name, count in counts.items()}).fit(X, y),
        small(nn.Classifier).fit(X, y, sample_weight=[30 / counts[name] for name in y]),
    ]
    for other in estimators[1:]:
        np.testing.assert_allclose(other.predict_proba(X), estimators[0].predict_proba(X), rtol=1e-9)
    assert not np.allclose(small(nn.Classifier).fit(X, y).predict_proba(X), estimators[0].predict_proba(X), rtol=1e-3)
    wrong = small(nn.Classifier, max_iter=2).fit(X, y)
    right = wrong.predict(X) == y
    assert wrong.score(X, y, sample_weight=right) == 1
    # An early end is by the weighted score of the rows that are held back
    small(nn.Classifier, early_stopping=True, class_weight={"yes": 0.5}).fit(X, y, np.where(np.arange(60) % 2, 1, 0))


def test_partial_fit_knows_all_classes_from_the_first_call() -> None:
    A, y = iris()
    estimator = small(nn.Classifier, learning_rate_init=0.05)
    for _ in range(40):
        for start in range(3):
            estimator.partial_fit(A[start::3][:50], y[start::3][:50], classes=[0, 1, 2])
    assert estimator.score(A, y) > 0.9
    assert estimator.n_iter_ == 1
    assert estimator.t_ == 40 * 150
    with pytest.raises(ValueError, match=r"Classifier: the network is of the classes \[0, 1, 2\], and y has \[0, 7\]"):
        estimator.partial_fit(A[:2], [0, 7])
    with pytest.raises(ValueError, match=r"Classifier: classes were \[0, 1, 2\] at first, and are now \[0, 1\]"):
        estimator.partial_fit(A[:2], [0, 1], classes=[0, 1])
    with pytest.raises(ValueError, match="the first partial_fit needs classes="):
        small(nn.Classifier).partial_fit(A, y)
    with pytest.raises(ValueError, match="Classifier: partial_fit holds no rows back"):
        small(nn.Classifier, early_stopping=True).partial_fit(A, y, classes=[0, 1, 2])
    with pytest.raises(
        ValueError, match="Classifier: partial_fit does not see all rows, which class_weight='balanced'"
    ):
        small(nn.Classifier, class_weight="balanced").partial_fit(A, y, classes=[0, 1, 2])
    assert not hasattr(nn.Classifier(solver="lbfgs"), "partial_fit")
    assert hasattr(nn.Regressor(), "partial_fit")


def test_warm_start_goes_on() -> None:
    A, y = iris()
    begun = small(nn.Classifier, batch_size=32, solver="sgd").fit(A, y)
    before = begun.loss_
    assert begun.partial_fit(A, y).partial_fit(A, y).loss_ < before
    assert (len(begun.loss_curve_), begun.n_iter_) == (22, 1)
    estimator = small(nn.Classifier, warm_start=True, max_iter=4).fit(A, y)
    before = estimator.loss_
    estimator.fit(A, y)
    assert estimator.loss_ < before
    assert (len(estimator.loss_curve_), estimator.n_iter_) == (8, 4)
    with pytest.raises(ValueError, match="warm_start the same ones each time"):
        estimator.fit(A[:100], y[:100])
    with pytest.raises(
        ValueError, match=r"the network has the layers \(4, 8, 3\), and cannot go on as one of \(4, 5, 3"
    ):
        estimator.set_params(hidden_layer_sizes=5).fit(A, y)


@pytest.mark.parametrize("changed", [{"activation": "tanh"}, {"dropout": 0.5}, {"batch_norm": True}])
def test_another_network_does_not_go_on(changed: dict[str, Any]) -> None:
    A, y = iris()
    estimator = small(nn.Classifier, warm_start=True, max_iter=1, batch_size=50).fit(A, y)
    with pytest.raises(ValueError, match="the network has the activation, dropout and batch_norm"):
        estimator.set_params(**changed).fit(A, y)
    with pytest.raises(ValueError, match="Classifier: the network has the activation"):
        estimator.partial_fit(A, y)


class Slope(nn.Module):
    def __init__(self) -> None:
        self.slope, self.drop = nn.Parameter(0.25), nn.Dropout(0.2, rng=0)

    def forward(self, x: Any) -> Any:
        return self.drop(np.where(x > 0, x, self.slope * x))


def test_an_activation_that_learns_begins_anew() -> None:
    A, y = iris()
    estimator = small(nn.Classifier, activation=Slope(), batch_size=32, max_iter=3)
    first = estimator.fit(A, y).predict_proba(A)
    assert estimator.activation.slope.item() == 0.25 != estimator.model_.layers[1].slope.item()
    np.testing.assert_array_equal(estimator.fit(A, y).predict_proba(A), first)


def test_warm_start_with_another_end() -> None:
    A, y = iris()
    estimator = small(nn.Classifier, warm_start=True, max_iter=3).fit(A, y)
    estimator.set_params(early_stopping=True).fit(A, y)
    assert len(estimator.validation_scores_) == 3
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    before, best = estimator.predict_proba(A), estimator.best_validation_score_
    estimator.set_params(learning_rate_init=10.0).fit(A, y)  # no epoch is as good
    assert estimator.best_validation_score_ == best
    np.testing.assert_array_equal(estimator.predict_proba(A), before)
    estimator.set_params(early_stopping=False, learning_rate_init=0.01).fit(A, y)
    assert estimator.validation_scores_ is None
    assert math.isfinite(estimator.best_loss_)


def test_partial_fit_decays_by_the_rows_that_are_given() -> None:
    y = X[:, 0]
    options: dict[str, Any] = {"solver": "sgd", "alpha": 10.0, "momentum": 0.0, "shuffle": False}
    ours, theirs = small(nn.Regressor, **options), small(MLPRegressor, **options)
    for one in (ours, theirs):
        one.partial_fit(X[:4], y[:4])
    for mine, their in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        their[...] = mine
    for _ in range(3):
        ours.partial_fit(X, y)
        theirs.partial_fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-9)


# In scikit-learn's tools


def test_texts_in_a_grid_search_with_two_jobs() -> None:
    words = np.array(["ham", "egg", "spam", "rice", "tea", "milk"])
    texts = [" ".join(RNG.choice(words, 6)) for _ in range(80)]
    y = np.array(["spam" in text for text in texts])
    pipeline = make_pipeline(TfidfVectorizer(), small(nn.Classifier, max_iter=60))
    grid = {"classifier__hidden_layer_sizes": [4, (6, 4)], "classifier__learning_rate_init": [1e-5, 0.05]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(texts, y)
    assert search.best_params_["classifier__learning_rate_init"] == 0.05
    assert search.best_score_ > 0.9
    assert search.predict(["spam and eggs", "egg and tea"]).tolist() == [True, False]


def test_calibration_learning_curves_and_cross_validation() -> None:
    A, y = iris()
    calibrated = CalibratedClassifierCV(small(nn.Classifier, max_iter=60), cv=3).fit(A, y, sample_weight=np.ones(150))
    assert calibrated.score(A, y) > 0.9
    sizes, train, test = learning_curve(small(nn.Classifier, max_iter=60), A, y, cv=3, shuffle=True, random_state=0)
    assert train.shape == test.shape == (len(sizes), 3)
    assert test[-1].mean() > 0.85
    assert cross_val_score(small(nn.Regressor, max_iter=80), *line(), cv=3).min() > 0.95


def test_names_of_columns() -> None:
    pandas = pytest.importorskip("pandas")
    A, y = iris()
    table = pandas.DataFrame(A, columns=list("abcd"))
    estimator = small(nn.Classifier).fit(table, y)
    assert estimator.feature_names_in_.tolist() == list("abcd")
    assert estimator.predict(table).shape == (150,)
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(table[["b", "a", "c", "d"]])


def test_targets_far_from_one_are_for_a_transformer() -> None:
    A, y = make_regression(100, 3, random_state=0)
    estimator = TransformedTargetRegressor(small(nn.Regressor, max_iter=150), transformer=StandardScaler())
    assert estimator.fit(A, 1000 + 50 * y).score(A, 1000 + 50 * y) > 0.95


# What is said


def test_quiet_unless_asked(capsys: Any) -> None:
    A, y = iris()
    with pytest.warns(ConvergenceWarning, match="Classifier: the loss still fell after max_iter=3 iterations"):
        small(nn.Classifier, max_iter=3).fit(A, y)
    with pytest.warns(ConvergenceWarning, match="Classifier: L-BFGS ended before the gradient was as small as tol"):
        small(nn.Classifier, solver="lbfgs", max_iter=3).fit(A, y)
    assert capsys.readouterr() == ("", "")
    small(nn.Classifier, max_iter=2, verbose=True, early_stopping=True).fit(A, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" = ")[0] for line in lines[::2]] == ["Iteration 1, loss", "Iteration 2, loss"]
    assert lines[1].startswith("Validation score: ")


def test_ctrl_c_ends_it_with_a_warning() -> None:
    def interrupt(epoch: int, model: Any, history: Any) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    A, y = iris()
    with pytest.warns(UserWarning, match="Classifier: the training was interrupted"):
        estimator = small(nn.Classifier, callbacks=[interrupt]).fit(A, y)
    assert estimator.predict(A).shape == (150,)


OLD = {"optimizer": "sgd", "lr": 0.1, "epochs": 7, "weight_decay": 0.01}
NEW = {"solver": "sgd", "learning_rate_init": 0.1, "max_iter": 7, "alpha": 0.01 * 30}


@pytest.mark.parametrize("name", OLD)
def test_old_names_are_taken_with_a_warning(name: str) -> None:
    A, y = iris()
    new = dict(zip(OLD, NEW, strict=True))[name]
    with pytest.warns(FutureWarning, match=f"Classifier: {name} is called {new} now"):
        old = nn.Classifier(4, batch_size=30, random_state=0, **{"max_iter": 9} | {name: OLD[name]} if name != "epochs"
                            else {name: 7}).fit(A, y)  # fmt: skip
    given = {"max_iter": 9} | {new: NEW[new]}
    assert nn.Classifier(4, batch_size=30, random_state=0, **given).fit(A, y).loss_curve_ == old.loss_curve_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        with pytest.raises(ValueError, match=f"Classifier: {name} is the old name of {new}; give {new} alone"):
            nn.Classifier(**{name: OLD[name], new: NEW[new]}).fit(A, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "adamw"}, "Classifier: unknown solver 'adamw'; known: adam, sgd, lbfgs"),
        ({"hidden_layer_sizes": (10, 0)}, "Classifier: a size in hidden_layer_sizes must be a positive integer, got 0"),
        ({"activation": "step"}, "MLP: unknown activation 'step'"),
        ({"learning_rate": "cosine"}, "Classifier: unknown learning_rate 'cosine'; known: constant, invscaling"),
        ({"learning_rate_init": -1.0}, "Classifier: learning_rate_init must be positive, got -1.0"),
        ({"alpha": -1.0}, "Classifier: alpha must be at least 0"),
        ({"max_iter": 0}, "Classifier: max_iter must be a positive integer, got 0"),
        ({"batch_size": 0}, "Classifier: batch_size must be a positive integer, got 0"),
        ({"momentum": 1.0}, "Classifier: momentum must be at least 0 and below 1"),
        ({"validation_fraction": 1.0}, "Classifier: validation_fraction must be a share between 0 and 1"),
        ({"n_iter_no_change": 0}, "Classifier: n_iter_no_change must be a positive integer"),
        ({"dropout": 1.0}, "MLP: .*"),
        ({"random_state": "a"}, "cannot be used to seed"),
        ({"solver": "lbfgs", "dropout": 0.5}, 'Classifier: solver="lbfgs" has no epochs.* leave out dropout'),
        ({"early_stopping": True, "validation_fraction": 0.001}, "early_stopping holds back|should be greater"),
        ({"class_weight": {9: 1.0}}, r"Classifier: class_weight has 9, which is none of the classes \[0, 1, 2\]"),
    ],
)
def test_parameters_outside_their_domain(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(nn.Classifier, **options).fit(*iris())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_layer_sizes": "10"}, "Classifier: a size in hidden_layer_sizes must be a positive integer, got '10'"),
        ({"solver": None}, "Classifier: solver must be one of the texts adam, sgd, lbfgs; got None"),
        ({"batch_size": 8.0}, "Classifier: batch_size must be a positive integer, got 8.0"),
        ({"shuffle": "no"}, "Classifier: shuffle must be True or False"),
        ({"callbacks": print}, "Classifier: callbacks must be a list of functions"),
        ({"class_weight": "equal"}, "Classifier: class_weight must be a dict"),
        ({"learning_rate_init": "0.1"}, "Classifier: learning_rate_init must be a number"),
    ],
)
def test_parameters_of_the_wrong_type(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        small(nn.Classifier, **options).fit(*iris())


def test_names_that_are_none() -> None:
    with pytest.raises(
        TypeError, match=r"Classifier: there is no parameter 'learning_rat'; did you mean learning_rate\?"
    ):
        nn.Classifier(learning_rat=0.1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Regressor: there is no parameter 'class_weight'; known: hidden_layer_sizes, "):
        nn.Regressor(class_weight="balanced")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="Invalid parameter 'size' for estimator Classifier"):
        nn.Classifier().set_params(size=3)
    assert [*inspect.signature(nn.Classifier).parameters][:3] == ["hidden_layer_sizes", "activation", "solver"]


def test_targets_that_are_none() -> None:
    A, y = iris()
    with pytest.raises(ValueError, match="Classifier: y has only one class, 'a', and there is nothing to learn"):
        nn.Classifier(max_iter=1).fit(A, ["a"] * 150)
    with pytest.raises(ValueError, match=r"Classifier: y of shape \(150, 2\) must hold 0 and 1 only, a column a label"):
        nn.Classifier().fit(A, np.column_stack([y, y]))
    with pytest.raises(ValueError, match="Classifier: class_weight is for one label a row"):
        nn.Classifier(class_weight="balanced").fit(A, np.column_stack([y > 0, y > 1]))
    with pytest.raises(ValueError, match="poisson_nll_loss: targets are counts and must not be negative"):
        nn.Regressor(loss="poisson").fit(A, y - 1.0)
    with pytest.raises(
        ValueError, match=r"Classifier: sample_weight must be finite and not negative, got -1\.0 at row 0"
    ):
        nn.Classifier().fit(A, y, sample_weight=-np.ones(150))


# Importing


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_scikit_learn_is_imported_when_it_is_asked_for() -> None:
    assert run("import sys, nn; print('sklearn' in sys.modules, nn.Classifier.__name__, 'sklearn' in sys.modules)") == (
        "False Classifier True"
    )


def test_without_scikit_learn_the_message_says_how_to_get_it() -> None:
    code = """
import sys
sys.modules["sklearn"] = None
import nn
try:
    nn.Regressor
except ImportError as error:
    print(error)
"""
    assert run(code) == ('nn.Classifier and nn.Regressor need scikit-learn: pip install -e ".[demos]"')


def test_the_public_names_are_listed() -> None:
    assert dir(nn) == sorted(nn.__all__)
    assert {"Classifier", "Regressor", "Linear", "fit"} < set(dir(nn))
    assert all(hasattr(nn, name) for name in dir(nn))
    code = """
import sys
sys.modules["sklearn"] = None
from nn import *
import nn
print(Linear is nn.Linear, dir(nn) == sorted(nn.__all__), "Classifier" in nn.__all__)
"""
    assert run(code) == "True True False"
    assert run("from nn import *; print(Classifier.__name__, Regressor.__name__)") == "Classifier Regressor"


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="module 'nn' has no attribute 'Clusterer'"):
        nn.Clusterer  # type: ignore[attr-defined] # noqa: B018
