"""`nn.Classifier` and `nn.Regressor` beside scikit-learn's own perceptrons: what they learn, and how long they take.

Scores are those of test rows, with the defaults of either, on data that come with scikit-learn, standardized; the times
are of a fixed number of iterations over float64 rows with many features: a dense table, and sparse rows as a vectorizer
makes of texts. Seconds are the processor's, of one thread, since trainings are too long to wait for a quiet machine.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError

OURS, REFERENCE = "this library", "scikit-learn"
CONTENDERS = (OURS, REFERENCE)
DATA = ("digits", "iris", "wine", "breast_cancer", "diabetes")
SEEDS = 5  # in a process: two rounds make ten
LIMITS = {"dense": 0.5, "sparse": 1.0}
ITERATIONS = {"dense": 40, "sparse": 3}
ROWS = {"dense": 10_000, "sparse": 4_000}
FEATURES = {"dense": 100, "sparse": 20_000}
WORDS = 80  # in a text
LOWEST_SCORE = {"diabetes": 0.2}  # of others 0.8

Estimator = Callable[..., Any]


def kinds(contender: str) -> tuple[Estimator, Estimator]:
    """Give the classifier and the regressor of a library."""
    if contender == OURS:
        import nn

        return nn.Classifier, nn.Regressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return MLPClassifier, MLPRegressor


def score(contender: str, name: str, seed: int) -> tuple[float, float]:
    """Give the score on a quarter of a data set, and the seconds of the training on the rest."""
    from sklearn import datasets
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    scaler = StandardScaler().fit(X)
    classifier, regressor = kinds(contender)
    estimator = classifier(random_state=seed)
    if name == "diabetes":
        estimator = TransformedTargetRegressor(regressor(random_state=seed), transformer=StandardScaler())
    start = time.process_time()
    estimator.fit(scaler.transform(X), y)
    seconds = time.process_time() - start
    found = float(estimator.score(scaler.transform(X_test), y_test))
    if found < LOWEST_SCORE.get(name, 0.8):
        raise WrongResultError(f"score {found:.3f} on {name}, seed {seed}")
    return found, seconds


def rows(job: str) -> tuple[Any, Any]:
    """Give inputs and labels: a dense table, or counts of words, of which a few tell the class."""
    rng = np.random.default_rng(0)
    count, features = ROWS[job], FEATURES[job]
    labels = rng.integers(0, 4, count)
    if job == "dense":
        return rng.normal(size=(count, features)) + rng.normal(size=(4, features))[labels] / 4, labels
    from scipy.sparse import csr_array

    words = (features * rng.random((count, WORDS)) ** 3).astype(np.int64)  # a few are frequent
    words[:, :6] = labels[:, None] * 500 + rng.integers(0, 500, (count, 6))
    X = csr_array((np.ones(words.size), words.ravel(), np.arange(count + 1) * WORDS), shape=(count, features))
    X.sum_duplicates()
    return X, labels


def measure(contender: str, seed: int, seeds: int) -> dict[str, Any]:
    """Train on all data sets with so many seeds from ``seed`` on, and time the two jobs, in this process.

    Returns:
        Under ``"scores"`` and ``"seconds"`` of each data set a list, of the seeds, and under ``"jobs"`` the seconds of
        each job.

    Raises:
        WrongResultError: a score is so low that something else was trained.
    """
    from sklearn.exceptions import ConvergenceWarning

    found: dict[str, Any] = {"scores": {}, "seconds": {}, "jobs": {}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name in DATA:
            scores, seconds = zip(*(score(contender, name, number) for number in range(seed, seed + seeds)))
            found["scores"][name], found["seconds"][name] = list(scores), list(seconds)
        for job, iterations in ITERATIONS.items():
            X, y = rows(job)
            estimator = kinds(contender)[0](max_iter=iterations, n_iter_no_change=np.inf, random_state=seed)
            start = time.process_time()
            estimator.fit(X, y)
            found["jobs"][job] = time.process_time() - start
            if estimator.n_iter_ != iterations or estimator.score(X, y) < 0.9:
                raise WrongResultError(f"{job}: {estimator.n_iter_} iterations, score {estimator.score(X, y):.3f}")
    return found
