"""Inputs and targets of a model: checked, in its dtype, and in memory only as far as they are small or needed."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autodiff.arrays.foreign import is_sparse
from autodiff.arrays.whole import is_lazy
from autodiff.core.rule import Array
from nn.checks import all_finite, check_dataset, check_known, check_real, check_rows
from nn.data import Pairs, in_order
from nn.io import digest
from nn.weights import by_class, check_sample_weight

# Rows are evaluated, and looked at, a block of this many bytes at a time, so that a file need not fit into memory.
_BLOCK_BYTES = 2**24


class Rows:
    """The inputs or the targets of a dataset: in memory they are converted at once, and from a file piece by piece.

    Sparse inputs stay sparse, as rows of SciPy's CSR.

    Args:
        caller: what messages begin with.
        name: "inputs" or "targets".
        rows: what was given.
        dtype: of the model.
    """

    def __init__(self, caller: str, name: str, rows: Any, dtype: Any) -> None:
        self.caller = caller
        self.name = name
        self.dtype = dtype
        self.is_sparse = name == "inputs" and is_sparse(rows)
        kinds = f"fiub{np.dtype(dtype).kind}"
        if self.is_sparse:
            if rows.ndim != 2:
                raise ValueError(f"{caller}: sparse {name} must be of shape (N, features), got {rows.shape}")
            self.whole = rows.tocsr()
            check_real(caller, name, self.whole.data, kinds)
        else:
            self.whole = check_rows(caller, name, check_real(caller, name, rows, kinds))
        check_known(caller, self.whole, name)
        self.in_memory = not (isinstance(self.whole, np.memmap) or is_lazy(self.whole))

    def __len__(self) -> int:
        return int(self.whole.shape[0])

    def __getitem__(self, rows: slice | Array) -> Array:
        return self.converted(self.whole[rows])

    def converted(self, rows: Array) -> Array:
        """Give rows in the model's dtype, integers as they are, and refuse numbers that are not finite."""
        if not self.is_sparse:
            rows = np.asarray(rows)
        if self.name == "targets" and rows.dtype.kind == "b":
            return rows.astype(np.int64)  # labels 0 and 1
        if rows.dtype.kind in "iu" and not self.is_sparse:
            return rows
        with np.errstate(over="ignore"):  # what is too large is found below
            converted = rows.astype(self.dtype, copy=False)
        if not all_finite(_numbers(converted)):
            problem = self._first_not_finite()
            raise ValueError(f"{self.caller}: {self.name} hold {problem}; repair or leave out such rows")
        return converted

    def blocks(self, part: slice | None = None, row_bytes: int | None = None) -> list[slice]:
        """Cut the rows, or a part of them, into slices of some megabytes."""
        start, stop, _ = (part or slice(None)).indices(len(self))
        if row_bytes is None:
            row_bytes = _numbers(self.whole).nbytes // max(1, len(self))
        size = max(1, _BLOCK_BYTES // max(1, row_bytes))
        return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]

    def described(self) -> str:
        """Tell dtype and a digest of the numbers, in a file of a thousand rows that are spread over it."""
        every = 1 if self.in_memory else max(1, len(self) // 1000)
        rows = self.whole[::every]
        parts = [rows.indptr, rows.indices, rows.data] if self.is_sparse else [rows]
        return f"{rows.dtype} with digest {' '.join(digest(part)[:16] for part in parts)}"

    def _first_not_finite(self) -> str:
        """Say which number is the first that the dtype has not."""
        for block in self.blocks():
            with np.errstate(over="ignore"):
                rows = self.whole[block].tocoo() if self.is_sparse else self.whole[block]
                bad = ~np.isfinite(np.asarray(_numbers(rows)).astype(self.dtype, copy=False))
            if bad.any() and self.is_sparse:
                k = int(np.argmax(bad))
                where = f"at row {rows.row[k] + block.start}, column {rows.col[k]}"
                return f"{rows.data[k]} {where}, which is no finite {np.dtype(self.dtype)}"
            if bad.any():
                row, *rest = (int(k) for k in np.argwhere(bad)[0])
                row += block.start
                column = "" if not rest else f", column {rest[0] if len(rest) == 1 else tuple(rest)}"
                return f"{self.whole[(row, *rest)]} at row {row}{column}, which is no finite {np.dtype(self.dtype)}"
        raise AssertionError("the data changed while they were read")


class Dataset:
    """Inputs and targets, as many and at least one, with weights or without.

    Rows of weight 0 are not among its batches, and do not count in its length. Lazy rows, as Dask's, are computed a
    block at a time in their order, and refused where batches of them are to be learned from.
    """

    weights: Array = None  # of all rows
    kept: Array = None  # the places of those that count

    def __init__(self, caller: str, X: Any, y: Any, dtype: Any, in_batches: bool = False) -> None:
        self.inputs, self.targets = Rows(caller, "inputs", X, dtype), Rows(caller, "targets", y, dtype)
        for rows in (self.inputs, self.targets):
            if in_batches and is_lazy(rows.whole):
                raise TypeError(
                    f"{caller}: {rows.name} are a lazy array, of which each batch of rows at random would compute "
                    'nearly all chunks: give what compute() returns, or a file by np.load(path, mmap_mode="r"), or '
                    "take steps on all rows at once, as demos.larger_than_memory does"
                )
        check_dataset(caller, self.inputs, self.targets)
        for rows in (self.inputs, self.targets):
            if rows.in_memory:
                rows.whole = rows[:]

    def weigh(self, sample_weight: Any, class_weight: Any) -> None:
        """Say how much each row counts, and each class."""
        caller = self.inputs.caller
        if sample_weight is not None:
            self.weights = check_sample_weight(caller, sample_weight, len(self.targets))
        if class_weight is not None:
            labels = self.targets[:]
            is_column = labels.ndim == 1 or labels.shape[1:] == (1,)
            if not is_column or not (labels.dtype.kind in "iu" or np.isin(labels, (0, 1)).all()):
                raise ValueError(
                    f"{caller}: class_weight is of classes, and the targets are {labels.dtype} of shape "
                    f"{labels.shape}; give labels (N,), or sample_weight"
                )
            self.weights = by_class(caller, class_weight, labels.reshape(-1), self.weights)
        if self.weights is not None and not self.weights.all():
            self.kept = np.flatnonzero(self.weights)

    def __len__(self) -> int:
        return len(self.inputs) if self.kept is None else len(self.kept)

    def batches(
        self, batch_size: int, rng: np.random.Generator | None, joined: bool, own: Callable[[int], slice]
    ) -> Iterator[tuple[Array, ...]]:
        """Give all rows that count once, a batch at a time, and of each its own part.

        The order is random if there is a generator. Weights come third, in each batch with a mean of one. A single last
        row may join the batch before it.
        """
        batch_size = min(batch_size, len(self))
        rest = len(self) % batch_size
        size, last = (len(range(count)[own(count)]) for count in (batch_size, rest))
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        order = order if self.kept is None else self.kept[order]
        pieces = in_order(self.inputs.whole, self.targets.whole, _own_part(order, batch_size, own), size)
        if rest and not last:
            pieces = itertools.chain(pieces, [(self.inputs.whole[:0], self.targets.whole[:0])])
        if joined and rest == 1:
            pieces = _last_joined(pieces, len(self) // batch_size)
        if not (self.inputs.in_memory and self.targets.in_memory):
            pieces = ((self.inputs.converted(inputs), self.targets.converted(targets)) for inputs, targets in pieces)
        if self.weights is None:
            return pieces
        shares = _shares(self.weights[order], batch_size, joined and rest == 1)
        return _with_weights(pieces, _own_part(shares, batch_size, own))


def _own_part(order: Array, batch_size: int, own: Callable[[int], slice]) -> Array:
    """Give the own part of each batch."""
    if own(batch_size) == slice(0, batch_size):
        return order
    whole = len(order) // batch_size * batch_size
    batches, rest = order[:whole].reshape(-1, batch_size), order[whole:]
    return np.concatenate([batches[:, own(batch_size)].reshape(-1), rest[own(len(rest))]])


def _shares(weights: Array, batch_size: int, joined: bool) -> Array:
    """Scale the weights of each batch to a mean of one, by way of a largest of one, since a sum may overflow."""
    starts = np.arange(0, len(weights), batch_size)
    if joined:
        starts = starts[:-1]
    counts = np.diff(starts, append=len(weights))
    weights = weights / np.repeat(np.maximum.reduceat(weights, starts), counts)
    return weights * np.repeat(counts / np.add.reduceat(weights, starts), counts)


def _with_weights(pieces: Pairs, weights: Array) -> Iterator[tuple[Array, ...]]:
    start = 0
    for inputs, targets in pieces:
        yield inputs, targets, weights[start : start + len(targets)]
        start += len(targets)


def _numbers(rows: Any) -> Array:
    """Give the numbers that are there of sparse rows, and other rows as they are."""
    return rows.data if is_sparse(rows) else rows


def _last_joined(pieces: Pairs, count: int) -> Pairs:
    """Give so many batches, the last of them with all that comes after it."""
    yield from itertools.islice(pieces, count - 1)
    inputs, targets = zip(*pieces, strict=True)
    yield _vstack(inputs), np.concatenate(targets)


def _vstack(pieces: Sequence[Array]) -> Array:
    return importlib.import_module("scipy.sparse").vstack(pieces) if is_sparse(pieces[0]) else np.concatenate(pieces)
