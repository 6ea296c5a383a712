"""Fifty epochs of the digits job, in this library, PyTorch and scikit-learn, each as its users write it.

The images are the three quarters that the demo ``digits`` trains on; the network, the batches and the optimizer are
the demo's as well. Every training starts from weights of its own library's kind. What it learned is measured on the
last quarter, outside the time.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError

HIDDEN = 128
BATCH_SIZE = 32
LEARNING_RATE = 3e-3
EPOCHS = 50
TRAININGS = 5  # in a process, each with a seed of its own
LOWEST_ACCURACY = 0.95

Array = np.ndarray[Any, Any]
Predict = Callable[[Array], Array]
Train = Callable[[], Predict]


def this_library(X: Array, y: Array, seed: int) -> Train:
    """`nn.fit` with its defaults."""
    import nn

    def train() -> Predict:
        model = nn.MLP([X.shape[1], HIDDEN, 10], activation="relu", rng=seed)
        optimizer = nn.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        nn.fit(
            model, X, y, loss="cross_entropy", optimizer=optimizer, epochs=EPOCHS, batch_size=BATCH_SIZE, rng=seed
        )  # fmt: skip
        return lambda images: model(images).data.argmax(axis=1)

    return train


def torch(X: Array, y: Array, seed: int) -> Train:
    """PyTorch's loop as its tutorials write it, without a loader: a new order an epoch, cut into batches."""
    import torch
    from torch import nn

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    images, labels = torch.from_numpy(X), torch.from_numpy(y)

    def train() -> Predict:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(X.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        loss_of = nn.CrossEntropyLoss()
        for _ in range(EPOCHS):
            order = torch.randperm(len(images))
            for start in range(0, len(images), BATCH_SIZE):
                rows = order[start : start + BATCH_SIZE]
                optimizer.zero_grad()
                loss = loss_of(model(images[rows]), labels[rows])
                loss.backward()
                optimizer.step()
        return lambda images: model(torch.from_numpy(images)).argmax(dim=1).numpy()

    return train


def scikit_learn(X: Array, y: Array, seed: int) -> Train:
    """`MLPClassifier` without its penalty and its early end; it computes in the dtype of the images."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    def train() -> Predict:
        classifier = MLPClassifier(
            (HIDDEN,), solver="adam", alpha=0, batch_size=BATCH_SIZE, learning_rate_init=LEARNING_RATE,
            max_iter=EPOCHS, tol=0, n_iter_no_change=EPOCHS + 1, random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it warns that it did all of its epochs
            classifier.fit(X, y)
        if classifier.n_iter_ != EPOCHS or classifier.coefs_[0].dtype != X.dtype:
            raise WrongResultError(f"{classifier.n_iter_} epochs in {classifier.coefs_[0].dtype}")
        return classifier.predict

    return train


OURS = "this library, fit"
CONTENDERS: dict[str, tuple[Callable[[Array, Array, int], Train], Any]] = {
    OURS: (this_library, np.float32),
    "PyTorch, eager": (torch, np.float32),
    "scikit-learn, MLPClassifier": (scikit_learn, np.float32),
    "scikit-learn, MLPClassifier in float64": (scikit_learn, np.float64),
}
LIMITS = {"PyTorch, eager": 0.5, "scikit-learn, MLPClassifier": 0.5, "scikit-learn, MLPClassifier in float64": 0.5}


def measure(contender: str, seed: int, trainings: int) -> dict[str, Any]:
    """Time trainings of one library with seeds from ``seed`` on, in this process.

    Returns:
        Of each training the ``"seconds"`` from making the network to the end of the last epoch, and the
        ``"accuracies"`` on the test images.

    Raises:
        WrongResultError: an accuracy is so low that something else was trained.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    make, dtype = CONTENDERS[contender]
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(dtype), y, train_size=0.75, stratify=y, random_state=0
    )
    seconds, accuracies = [], []
    for number in range(seed, seed + trainings):
        train = make(X_train, y_train, number)
        start = time.perf_counter()
        predict = train()
        seconds.append(time.perf_counter() - start)
        accuracies.append(float(np.mean(predict(X_test) == y_test)))
        if accuracies[-1] < LOWEST_ACCURACY:
            raise WrongResultError(f"accuracy {accuracies[-1]:.3f} on the test images, seed {number}")
    return {"seconds": seconds, "accuracies": accuracies}
