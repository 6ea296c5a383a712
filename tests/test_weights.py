"""Rows and classes that count more than others, and sparse rows, in the training loop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
from nn import functional
from tests.ranks import run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(41, 4))
X[RNG.random(X.shape) < 0.6] = 0
LABELS = RNG.integers(0, 3, 41)
YES = (RNG.random((41, 1)) < 0.3).astype(float)
WEIGHTS = RNG.integers(0, 4, 41).astype(float)
WEIGHTS[:2] = 0, 2.5


def fitted(X: Any = X, y: Any = LABELS, *, outputs: int = 3, lr: float = 0.1, **options: Any) -> tuple[Any, Any]:
    """Train a small network, and give its weights as a vector, and the history."""
    model = nn.MLP([4, 8, outputs], "tanh", rng=0, dtype=np.float64)
    optimizer = nn.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    history = nn.fit(model, X, y, optimizer=optimizer, **({"epochs": 3, "batch_size": 8, "rng": 1} | options))
    return np.concatenate([p.data.ravel() for p in model.parameters()]), history


def by_hand(weights: Any, y: Any, outputs: int, loss: Any, shuffle: bool = True) -> tuple[Any, list[float]]:
    """Train as `fitted` does, by the formula: the sum of the losses times their weights over that of the weights."""
    model = nn.MLP([4, 8, outputs], "tanh", rng=0, dtype=np.float64)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    rng, kept, losses = np.random.default_rng(1), np.flatnonzero(weights), []
    for _ in range(3):
        order = rng.permutation(len(kept)) if shuffle else np.arange(len(kept))
        total = 0.0
        for start in range(0, len(kept), 8):
            rows = kept[order[start : start + 8]]
            optimizer.zero_grad()
            each = loss(model(X[rows]), y[rows], reduction="none").reshape(len(rows))
            value = (each * weights[rows]).sum() / weights[rows].sum()
            value.backward()
            optimizer.step()
            total += float(value) * len(rows)
        losses.append(total / len(kept))
    return np.concatenate([p.data.ravel() for p in model.parameters()]), losses


@pytest.mark.parametrize("compile", [None, True])
@pytest.mark.parametrize("name", ["cross_entropy", "mse_loss", "binary_cross_entropy_with_logits"])
def test_a_step_is_of_the_weighted_mean(name: Any, compile: bool | None) -> None:
    y, outputs = (LABELS, 3) if name == "cross_entropy" else (YES, 1)
    expected, losses = by_hand(WEIGHTS, y, outputs, getattr(functional, name))
    found, history = fitted(y=y, outputs=outputs, loss=name, sample_weight=WEIGHTS.tolist(), compile=compile)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-9)
    assert history.samples == np.count_nonzero(WEIGHTS)


def test_losses_of_a_row_are_its_mean_and_of_long_runs_a_program() -> None:
    y = RNG.normal(size=(41, 2))
    options: Any = {"y": y, "outputs": 2, "loss": "mse_loss", "epochs": 120, "lr": 0.01, "sample_weight": WEIGHTS}
    chosen, eager = fitted(**options), fitted(**options, compile=False)  # 600 steps
    assert chosen[0].tobytes() == eager[0].tobytes()
    # All rows at once: a weight of k is k rows
    whole: Any = {"y": y, "outputs": 2, "loss": "mse_loss", "batch_size": 1000}
    counts = np.floor(WEIGHTS).astype(int)
    repeated = fitted(np.repeat(X, counts, axis=0), **(whole | {"y": np.repeat(y, counts, axis=0)}))
    np.testing.assert_allclose(fitted(**whole, sample_weight=counts)[0], repeated[0], rtol=1e-9, atol=1e-12)


def test_classes_count_as_they_are_told() -> None:
    counts = np.bincount(LABELS)
    balanced, by_dict = fitted(class_weight="balanced")[0], fitted(class_weight={1: 4.0, 2: 0})[0]
    np.testing.assert_allclose(balanced, fitted(sample_weight=41 / 3 / counts[LABELS])[0], rtol=1e-12)
    np.testing.assert_allclose(by_dict, fitted(sample_weight=np.array([1.0, 4.0, 0.0])[LABELS])[0], rtol=1e-12)
    # The weighted counts, so that weights stand for repeated rows here too
    totals = np.bincount(LABELS, WEIGHTS)
    both = fitted(class_weight="balanced", sample_weight=WEIGHTS)[0]
    np.testing.assert_allclose(both, fitted(sample_weight=WEIGHTS / totals[LABELS])[0], rtol=1e-12)
    binary: Any = {"y": YES, "outputs": 1, "loss": "binary_cross_entropy_with_logits"}
    weighted = fitted(**binary, sample_weight=np.where(YES[:, 0] == 1, 3.0, 1.0))
    assert fitted(**binary, class_weight={1: 3})[0].tobytes() == weighted[0].tobytes()


def test_a_single_last_row_joins_the_batch_before_it_with_its_weight() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4, dtype=np.float64), nn.Linear(4, 3, rng=0, dtype=np.float64))
    history = nn.fit(model, X, LABELS, epochs=1, batch_size=8, shuffle=False, sample_weight=np.arange(41) + 1.0)
    data = nn.dataset.Dataset("fit", X, LABELS, np.float64)
    data.weigh(np.arange(41) + 1.0, None)
    *_, (inputs, labels, shares) = data.batches(8, None, True, lambda count: slice(0, count))
    assert inputs.shape == (9, 4)
    assert labels.tolist() == LABELS[32:].tolist()
    np.testing.assert_allclose(shares, np.arange(33, 42) / 37)
    assert np.isfinite(history.loss).all()


def test_weights_whose_sum_is_no_number() -> None:
    expected = fitted()[0]
    for weight in (1e308, 5e-324):
        np.testing.assert_allclose(fitted(sample_weight=np.full(41, weight))[0], expected, rtol=1e-12)
    with pytest.raises(ValueError, match="fit: sample_weight times class_weight is infinite for some row"):
        fitted(sample_weight=np.full(41, 1e308), class_weight={0: 10.0})


def test_a_single_sparse_row_joins_the_batch_before_it() -> None:
    rows = pytest.importorskip("scipy.sparse").csr_array(X)

    def trained(rows: Any) -> Any:
        model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.BatchNorm1d(3), nn.Linear(3, 3, rng=0))
        return nn.fit(model, rows, LABELS, epochs=2, batch_size=8, rng=0).loss

    np.testing.assert_allclose(trained(rows), trained(X), rtol=1e-6)


def test_rows_as_they_come() -> None:
    np.testing.assert_allclose(
        fitted(shuffle=False)[0], by_hand(np.ones(41), LABELS, 3, functional.cross_entropy, False)[0], rtol=1e-9
    )


def as_ranks() -> list[Any]:
    """Train with weights, as a rank; the last batch has a single row."""
    from mpi4py import MPI

    os.environ.pop("TQDM_DISABLE")
    found, history = fitted(sample_weight=WEIGHTS + 1, comm=MPI.COMM_WORLD, metrics=["accuracy"])
    return [found.tolist(), history.loss, history.metrics["accuracy"]]


def test_ranks_weigh_a_batch_together() -> None:
    pytest.importorskip("mpi4py")
    found, history = fitted(sample_weight=WEIGHTS + 1, metrics=["accuracy"])
    outcome = run(2, "tests.test_weights:as_ranks")
    assert outcome.stderr.count("epoch 3/3: ") == 1  # the first rank speaks for all
    for weights, losses, accuracies in outcome.results:
        np.testing.assert_allclose(weights, found, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(losses, history.loss, rtol=1e-5)
        np.testing.assert_allclose(accuracies, history.metrics["accuracy"])


def test_a_checkpoint_is_of_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    options: Any = {"X": mapped, "sample_weight": WEIGHTS, "checkpoint": path}
    fitted(**options, epochs=1)
    assert fitted(**options)[0].tobytes() == fitted(sample_weight=WEIGHTS)[0].tobytes()
    with pytest.raises(ValueError, match="weights of rows"):
        fitted(**options | {"sample_weight": WEIGHTS + 1})


@pytest.mark.parametrize("kind", ["csr_array", "csr_matrix", "csc_array", "coo_matrix"])
def test_sparse_rows_stay_sparse(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    rows = getattr(sparse, kind)(X)
    dense, history = fitted(validation_data=(X[:9], LABELS[:9]), metrics=["accuracy"], sample_weight=WEIGHTS)

    def refuse(self: Any, *args: Any, **options: Any) -> Any:
        raise AssertionError("it was made dense")

    for each in (sparse.csr_array, sparse.csr_matrix):
        monkeypatch.setattr(each, "toarray", refuse)
    validation = rows.tocsr()[:9], LABELS[:9]
    found, history_of_sparse = fitted(rows, validation_data=validation, metrics=["accuracy"], sample_weight=WEIGHTS)
    np.testing.assert_allclose(found, dense, rtol=1e-9)
    np.testing.assert_allclose(history_of_sparse.validation_loss, history.validation_loss, rtol=1e-9)
    assert history_of_sparse.metrics == history.metrics
    model = nn.MLP([4, 3], rng=0)
    of_sparse, of_dense = nn.evaluate(model, rows, LABELS), nn.evaluate(model, X, LABELS)
    np.testing.assert_allclose(of_sparse, of_dense, rtol=1e-6)
    assert model(rows.astype(np.int64)).dtype == np.float32


def test_sparse_rows_and_a_checkpoint(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    options: Any = {"X": sparse.csr_array(X), "checkpoint": tmp_path / "run.safetensors"}
    fitted(**options, epochs=1)
    assert fitted(**options)[0].tobytes() == fitted(sparse.csr_array(X))[0].tobytes()
    with pytest.raises(ValueError, match="inputs"):
        fitted(**options | {"X": sparse.csr_array(np.roll(X, 1, axis=1))})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sample_weight": WEIGHTS[:-1]}, ValueError, r"fit: sample_weight must be of shape \(41,\), .* got \(40,\)"),
        ({"sample_weight": WEIGHTS[:, None]}, ValueError, r"fit: sample_weight must be of shape \(41,\)"),
        ({"sample_weight": -WEIGHTS}, ValueError, "fit: sample_weight must be finite and not negative, got -2.5 at"),
        ({"sample_weight": WEIGHTS * np.nan}, ValueError, "fit: sample_weight must be finite"),
        ({"sample_weight": WEIGHTS * 0}, ValueError, "fit: the sample weights are all zero"),
        ({"sample_weight": "balanced"}, TypeError, "fit: sample_weight must be real numbers"),
        ({"class_weight": "equal"}, TypeError, "fit: class_weight must be a dict .*, or \"balanced\", got 'equal'"),
        ({"class_weight": [1, 2, 3]}, TypeError, "fit: class_weight must be a dict"),
        ({"class_weight": {3: 1.0}}, ValueError, r"class_weight has 3, which is none of the classes \[0, 1, 2\]"),
        ({"class_weight": {0: -1.0}}, ValueError, "fit: the weight of class 0 must be at least 0, got -1.0"),
        ({"class_weight": {0: "2"}}, TypeError, "fit: the weight of class 0 must be a number"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, ValueError, "fit: sample_weight times class_weight is zero"),
        (
            {"y": X[:, :3], "loss": "mse_loss", "class_weight": "balanced"},
            ValueError,
            r"fit: class_weight is of classes, and the targets are float64 of shape \(41, 3\)",
        ),
        (
            {"loss": lambda outputs, y: functional.cross_entropy(outputs, y), "sample_weight": WEIGHTS},
            TypeError,
            'fit: weights need a loss that takes reduction="none"',
        ),
        (
            {"loss": lambda outputs, y, reduction="mean": outputs.mean(), "sample_weight": WEIGHTS},
            TypeError,
            'fit: with weights, a loss must give a number a row for reduction="none"',
        ),
        (
            {"loss": nn.CrossEntropyLoss(weight=np.ones(3)), "class_weight": "balanced"},
            ValueError,
            "fit: with weights of rows or classes the mean is theirs; give the loss without weight",
        ),
        ({"shuffle": 1}, TypeError, "fit: shuffle must be True or False, got 1"),
        ({"progress": "yes"}, TypeError, "fit: progress must be True or False, got 'yes'"),
    ],
)
def test_weights_that_are_none(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fitted(**options)


def test_sparse_rows_that_are_none() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.csr_array(X)
    with pytest.raises(TypeError, match="linear: x must be real numbers, got dtype complex128"):
        nn.Linear(4, 1)(rows * 1j)
    wrong = rows.copy()
    wrong.data[3] = np.inf
    where = tuple(int(k[3]) for k in wrong.nonzero())
    with pytest.raises(ValueError, match=f"fit: inputs hold inf at row {where[0]}, column {where[1]}, which is no fin"):
        fitted(wrong)
    with pytest.raises(TypeError, match="fit: inputs must be real numbers, got dtype complex128"):
        fitted(rows.astype(complex))
    with pytest.raises(ValueError, match="fit: 5 rows of inputs but 41 targets"):
        fitted(rows[:5])
    with pytest.raises(ValueError, match=r"fit: compile=True makes programs of arrays, which sparse inputs are not"):
        fitted(rows, compile=True)
    with pytest.raises(TypeError, match=r"fit: targets must not be a scipy\.csr_array"):
        fitted(X, rows)
    with pytest.raises(ValueError, match=r"linear: x of shape \(1, 3\) needs a weight of shape \(3, out\)"):
        fitted(rows[:, :3])
    with pytest.raises(TypeError, match=r"must not be a scipy\.csr_array"):
        nn.fit(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), rows, LABELS)
