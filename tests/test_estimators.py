"""The estimators keep scikit-learn's contract, and train the networks that they say."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nn

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

ESTIMATORS = [nn.Classifier(), nn.Regressor(), nn.Classifier((), optimizer="sgd", lr=0.1)]


def checks() -> Iterator[Any]:
    """Give scikit-learn's checks, but the one of other array types, for which SciPy must be switched."""
    for number, estimator in enumerate(ESTIMATORS):
        for each, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            if name != "check_array_api_input":
                yield pytest.param(each, check, id=f"{number} {name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def iris() -> tuple[Any, Any]:
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def line() -> tuple[Any, Any]:
    X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    return X, X @ np.array([2.0, -1.0]) + 0.5


def small(kind: Any, **options: Any) -> Any:
    return kind(**{"hidden_layer_sizes": (8,), "lr": 0.02, "epochs": 5, "random_state": 0} | options)


def test_labels_of_any_type_come_back() -> None:
    X, y = iris()
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]
    for labels in (names, y * 10 - 7, y.astype(bool)):
        estimator = small(nn.Classifier, epochs=30).fit(X, labels)
        assert list(estimator.classes_) == sorted(set(labels))
        assert estimator.score(X, labels) > 0.9
        probabilities = estimator.predict_proba(X)
        assert probabilities.shape == (150, len(estimator.classes_))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
        assert np.all(estimator.classes_[probabilities.argmax(axis=1)] == estimator.predict(X))


def test_it_is_the_mlp_that_fit_trains() -> None:
    X, y = iris()
    estimator = nn.Classifier(
        (5, 4), "tanh", optimizer="sgd", lr=0.1, epochs=3, batch_size=10, weight_decay=0.01, random_state=3
    ).fit(X, y)
    rng = np.random.default_rng(np.random.RandomState(3).randint(2**31))
    model = nn.MLP([4, 5, 4, 3], "tanh", rng=rng, dtype=np.float64)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01)
    history = nn.fit(model, X, y, optimizer=optimizer, epochs=3, batch_size=10, rng=rng)
    assert estimator.history_.loss == history.loss
    assert estimator.model_.sizes == (4, 5, 4, 3)
    for path, array in model.state_dict().items():
        assert estimator.model_.state_dict()[path].tobytes() == array.tobytes()


@pytest.mark.parametrize(("kind", "data"), [(nn.Classifier, iris), (nn.Regressor, line)])
def test_same_random_state_same_bits(kind: Any, data: Any) -> None:
    X, y = data()
    one, two, other = (small(kind, random_state=seed).fit(X, y) for seed in (0, 0, 1))
    assert one.history_.loss == two.history_.loss != other.history_.loss
    assert one.predict(X).tobytes() == two.predict(X).tobytes()
    generators = [np.random.RandomState(4) for _ in range(2)]
    one, two = (small(kind, random_state=generator).fit(X, y) for generator in generators)
    assert one.history_.loss == two.history_.loss


@pytest.mark.parametrize(("kind", "data"), [(nn.Classifier, iris), (nn.Regressor, line)])
def test_pickles_and_clones(kind: Any, data: Any) -> None:
    X, y = data()
    estimator = small(kind).fit(X, y)
    again = pickle.loads(pickle.dumps(estimator))
    assert again.predict(X).tobytes() == estimator.predict(X).tobytes()
    assert clone(estimator).get_params() == estimator.get_params()
    assert not hasattr(clone(estimator), "model_")


def test_a_pipeline_in_a_grid_search() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), small(nn.Classifier, epochs=20))
    grid = {"classifier__hidden_layer_sizes": [(4,), (16, 8)], "classifier__lr": [1e-5, 0.02]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["classifier__lr"] == 0.02
    assert search.best_score_ > 0.9
    assert search.predict(X[:5]).shape == (5,)


def test_cross_validation() -> None:
    X, y = iris()
    assert cross_val_score(small(nn.Classifier, epochs=20), X, y, cv=3).min() > 0.85
    assert cross_val_score(small(nn.Regressor, epochs=40), *line(), cv=3).min() > 0.95


def test_targets_of_either_shape() -> None:
    X, y = line()
    for targets in (y, y[:, None], np.column_stack([y, -y])):
        estimator = small(nn.Regressor, epochs=60).fit(X, targets)
        assert estimator.predict(X).shape == targets.shape
        assert estimator.score(X, targets) > 0.95


def test_targets_far_from_one_are_for_a_transformer() -> None:
    X, y = make_regression(100, 3, random_state=0)
    estimator = TransformedTargetRegressor(small(nn.Regressor, epochs=60), transformer=StandardScaler())
    assert estimator.fit(X, 1000 + 50 * y).score(X, 1000 + 50 * y) > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lbfgs"}, "Classifier: unknown optimizer 'lbfgs'; known: adam, sgd"),
        ({"hidden_layer_sizes": (10, 0)}, "MLP: a layer's size must be a positive integer, got 0"),
        ({"activation": "step"}, "MLP: unknown activation 'step'"),
        ({"lr": -1.0}, "Adam: lr must be .*, got -1.0"),
        ({"weight_decay": -1.0}, "Adam: weight_decay must be at least 0"),
        ({"epochs": 0}, "fit: epochs must be a positive integer, got 0"),
        ({"batch_size": 0}, "fit: batch_size must be a positive integer, got 0"),
        ({"random_state": "a"}, "cannot be used to seed"),
    ],
)
def test_parameters_outside_their_domain(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(nn.Classifier, **options).fit(*iris())


def test_parameters_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match=r"Classifier: hidden_layer_sizes must list the sizes, as in \(100,\), got 10"):
        small(nn.Classifier, hidden_layer_sizes=10).fit(*iris())
    with pytest.raises(TypeError, match="Classifier: optimizer must be one of the texts adam, sgd; got None"):
        small(nn.Classifier, optimizer=None).fit(*iris())


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
    assert run(code) == (
        'nn.Classifier and nn.Regressor need scikit-learn: pip install -e ".[demos]" "scikit-learn>=1.6"'
    )


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


def test_one_class_is_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="Classifier: y has only one class, 'a', and there is nothing to learn"):
        nn.Classifier(epochs=1).fit(np.zeros((4, 2)), ["a"] * 4)
