"""The batches that a dataset is cut into, from arrays and from files that are larger than memory."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from nn.data import batches

ROWS = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
LABELS = np.arange(50) % 3


@pytest.mark.parametrize("size", [1, 3, 10, 100])
def test_each_row_comes_once(size: int) -> None:
    rows, targets = np.arange(20).reshape(10, 2), np.arange(10)
    pieces = list(batches(rows, targets, size, rng=0))
    lengths = [len(inputs) for inputs, _ in pieces]
    assert lengths == [min(size, 10 - start) for start in range(0, 10, size)]
    inputs, labels = (np.concatenate(parts) for parts in zip(*pieces))
    assert sorted(labels) == list(range(10))
    assert list(labels) != list(range(10))
    np.testing.assert_array_equal(inputs, rows[labels])


def order(rng: Any) -> list[Any]:
    return [int(label) for _, labels in batches(np.zeros(20), np.arange(20), 6, rng=rng) for label in labels]


def test_seeds_give_orders() -> None:
    assert order(0) == order(0) == order(np.random.default_rng(0))
    assert order(0) != order(1)
    rng = np.random.default_rng(0)
    assert [order(rng), order(rng)] == [order(0), order(rng_after_one())]


def rng_after_one() -> np.random.Generator:
    rng = np.random.default_rng(0)
    rng.permutation(20)
    return rng


@pytest.mark.parametrize(("rows", "lengths"), [(10, [4, 4]), (8, [4, 4]), (3, [])])
def test_a_smaller_last_batch_can_be_dropped(rows: int, lengths: list[int]) -> None:
    assert [len(X) for X, _ in batches(np.zeros(rows), np.zeros(rows), 4, rng=0, drop_last=True)] == lengths


def test_lists_are_cut_too() -> None:
    assert sorted(int(x) for inputs, _ in batches([5, 6, 7], [0, 1, 0], 2, rng=0) for x in inputs) == [5, 6, 7]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batches(ROWS, LABELS[1:], 5), ValueError, "batches: 50 rows of inputs but 49 targets"),
        (lambda: batches(ROWS[:0], LABELS[:0], 5), ValueError, "batches: the dataset is empty"),
        (lambda: batches(ROWS, LABELS, 0), ValueError, "batches: batch_size must be a positive integer, got 0"),
        (lambda: batches(ROWS, LABELS, 2.5), TypeError, "batches: batch_size must be a positive integer, got 2.5"),
        (lambda: batches(ROWS, LABELS, True), TypeError, "batches: batch_size must be a positive integer, got True"),
        (lambda: batches(ROWS, LABELS, 5, drop_last="no"), TypeError, "batches: drop_last must be True or False"),
        (
            lambda: batches([[1], [2, 3]], [0, 1], 1),
            ValueError,
            "batches: inputs must not be ragged; every row",
        ),
        (lambda: batches(ROWS, LABELS, 5, rng=-1), ValueError, "rng: a seed must not be negative, got -1"),
    ],
    ids=["lengths differ", "no rows", "zero", "float", "boolean", "flag", "ragged", "negative seed"],
)
def test_bad_batches_are_refused_at_once(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_mask_is_not_lost() -> None:
    with pytest.raises(
        TypeError, match=r"batches: targets must not be a numpy\.MaskedArray: its mask would be lost; use"
    ):
        batches(ROWS, np.ma.masked_array(LABELS, LABELS > 0), 5)


def test_tables_of_pandas_are_cut_by_position() -> None:
    pandas = pytest.importorskip("pandas")
    index = np.random.default_rng(1).permutation(len(ROWS))  # as a split of a table leaves it
    table, labels = pandas.DataFrame(ROWS, index), pandas.Series(LABELS, index)
    for (X, y), (rows, targets) in zip(batches(table, labels, 8, rng=0), batches(ROWS, LABELS, 8, rng=0), strict=True):
        assert type(X) is type(y) is np.ndarray
        np.testing.assert_array_equal(X, rows)
        np.testing.assert_array_equal(y, targets)


def test_scalars_are_refused() -> None:
    with pytest.raises(ValueError, match="batches: inputs must have one row for each sample, got a scalar"):
        batches(3.0, [1], 1)
    with pytest.raises(ValueError, match="batches: targets must have one row for each sample, got a scalar"):
        batches([1], 3.0, 1)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(np.asfortranarray(ROWS), id="in Fortran order"),
        pytest.param(ROWS[::-1], id="backwards"),
        pytest.param(ROWS.astype(">f4"), id="other byte order"),
        pytest.param(ROWS.reshape(50, 2, 2), id="three axes"),
        pytest.param(ad.Tensor(ROWS, requires_grad=False), id="Tensor"),
    ],
)
def test_arrays_of_any_layout(rows: Any) -> None:
    for inputs, chosen in batches(rows, np.arange(50), 7, rng=0):
        assert inputs.dtype == rows.dtype
        np.testing.assert_array_equal(np.asarray(ad.stop_gradient(inputs)), np.asarray(ad.stop_gradient(rows))[chosen])


def test_a_batch_is_a_copy() -> None:
    rows = ROWS.copy()
    for inputs, _ in batches(rows, LABELS, 50, rng=0):
        inputs[:] = 0
    np.testing.assert_array_equal(rows, ROWS)


def test_a_strided_array_is_not_copied_as_a_whole() -> None:
    rows = np.zeros((1000, 2000), np.float32).T
    assert peak(lambda: next(batches(rows, np.zeros(2000), 4, rng=0))) < rows.nbytes / 20


# Files that are larger than memory


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a dataset of 32 MB, whose rows say which they are: the first number of row k is k."""
    folder = tmp_path_factory.mktemp("rows")
    inputs = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (4000, 2000))
    inputs[:, 0] = np.arange(4000)
    inputs.flush()
    np.save(folder / "y.npy", np.arange(4000) % 3)
    return folder / "X.npy", folder / "y.npy"


def peak(action: Callable[[], Any]) -> int:
    """Give the most memory that an action holds at a time."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def mapped(files: tuple[Path, Path]) -> list[Any]:
    return [np.load(path, mmap_mode="r") for path in files]


def test_only_a_batch_of_a_file_is_in_memory(files: tuple[Path, Path]) -> None:
    X, y = mapped(files)
    seen: list[int] = []

    def read() -> None:
        for inputs, labels in batches(X, y, 16, rng=0):
            assert type(inputs) is np.ndarray
            assert inputs.shape[1:] == (2000,)
            np.testing.assert_array_equal(inputs[:, 0] % 3, labels)
            seen.extend(inputs[:, 0].astype(int))

    assert peak(read) < 1e6 < X.nbytes / 30
    assert sorted(seen) == list(range(4000))


def test_a_file_gives_the_batches_of_its_array(files: tuple[Path, Path]) -> None:
    X, y = mapped(files)
    pairs = zip(batches(X, y, 300, rng=5), batches(np.array(X), np.array(y), 300, rng=5), strict=True)
    for (inputs, labels), (other_inputs, other_labels) in pairs:
        np.testing.assert_array_equal(inputs, other_inputs)
        np.testing.assert_array_equal(labels, other_labels)


def test_fit_and_evaluate_read_a_file_piece_by_piece(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nn.dataset._BLOCK_BYTES", 2**19)
    X, y = mapped(files)

    def train(X: Any, y: Any) -> nn.MLP:
        model = nn.MLP([2000, 2, 3], rng=0)
        optimizer = nn.optim.SGD(model.parameters(), lr=1e-6)
        nn.fit(
            model, X, y, optimizer=optimizer, epochs=1, batch_size=16, validation_data=(X, y),
            metrics=["accuracy"], rng=1,
        )  # fmt: skip
        nn.evaluate(model, X, y)
        return model

    models = []
    assert peak(lambda: models.append(train(X, y))) < 3e6 < X.nbytes / 10
    models.append(train(np.array(X), np.array(y)))
    first, second = ([array.tobytes() for array in model.state_dict().values()] for model in models)
    assert first == second


def test_a_file_of_another_dtype_is_converted_batch_by_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", ROWS.astype(np.float64))
    np.save(tmp_path / "y.npy", ROWS[:, :1].astype(np.float16))
    seen = set()

    def loss(prediction: Any, target: Any) -> Any:
        seen.update((prediction.dtype, target.dtype, type(target)))
        return nn.functional.mse_loss(prediction, target)

    X, y = mapped((tmp_path / "X.npy", tmp_path / "y.npy"))
    nn.fit(nn.MLP([4, 1], rng=0), X, y, loss=loss, epochs=1, rng=0)
    assert seen == {np.dtype(np.float32), np.ndarray}


@pytest.mark.parametrize("name", ["inputs", "targets"])
def test_a_number_that_is_none_is_found_in_its_batch(name: str, tmp_path: Path) -> None:
    data = {"inputs": ROWS.copy(), "targets": ROWS[:, :1].copy()}
    data[name][43, 0] = np.nan
    data[name][47, 0] = np.inf
    np.save(tmp_path / "X.npy", data["inputs"])
    np.save(tmp_path / "y.npy", data["targets"])
    X, y = mapped((tmp_path / "X.npy", tmp_path / "y.npy"))
    with pytest.raises(ValueError, match=f"fit: {name} hold nan at row 43, column 0, which is no finite float32"):
        nn.fit(nn.MLP([4, 1], rng=0), X, y, loss="mse_loss", batch_size=5, rng=0)
