"""Inputs and targets of a model: checked, in its dtype, and in memory only as far as they are small or needed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.rule import Array
from nn.checks import check_dataset, check_real, check_rows
from nn.data import Pairs, in_order
from nn.io import digest

# Rows are evaluated, and looked at, a block of this many bytes at a time, so that a file need not fit into memory.
_BLOCK_BYTES = 2**24


class Rows:
    """The inputs or the targets of a dataset: in memory they are converted at once, and from a file piece by piece.

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
        self.whole = check_rows(caller, name, check_real(caller, name, rows, f"fiub{np.dtype(dtype).kind}"))
        self.in_memory = not isinstance(self.whole, np.memmap)

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, rows: slice | Array) -> Array:
        return self.converted(self.whole[rows])

    def converted(self, rows: Array) -> Array:
        """Give rows in the model's dtype, integers as they are, and refuse numbers that are not finite."""
        rows = np.asarray(rows)
        if self.name == "targets" and rows.dtype.kind == "b":
            return rows.astype(np.int64)  # labels 0 and 1
        if rows.dtype.kind in "iu":
            return rows
        with np.errstate(over="ignore"):  # what is too large is found below
            converted = rows.astype(self.dtype, copy=False)
        if not _all_finite(converted):
            problem = self._first_not_finite()
            raise ValueError(f"{self.caller}: {self.name} hold {problem}; repair or leave out such rows")
        return converted

    def blocks(self, part: slice | None = None, row_bytes: int | None = None) -> list[slice]:
        """Cut the rows, or a part of them, into slices of some megabytes."""
        start, stop, _ = (part or slice(None)).indices(len(self))
        size = max(1, _BLOCK_BYTES // max(1, self.whole[:1].nbytes if row_bytes is None else row_bytes))
        return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]

    def described(self) -> str:
        """Tell dtype and a digest of the numbers, in a file of a thousand rows that are spread over it."""
        every = 1 if self.in_memory else max(1, len(self) // 1000)
        return f"{self.whole.dtype} with digest {digest(self.whole[::every])[:16]}"

    def _first_not_finite(self) -> str:
        """Say which number is the first that the dtype has not."""
        for block in self.blocks():
            with np.errstate(over="ignore"):
                bad = ~np.isfinite(np.asarray(self.whole[block]).astype(self.dtype, copy=False))
            if bad.any():
                row, *rest = (int(k) for k in np.argwhere(bad)[0])
                row += block.start
                column = "" if not rest else f", column {rest[0] if len(rest) == 1 else tuple(rest)}"
                return f"{self.whole[(row, *rest)]} at row {row}{column}, which is no finite {np.dtype(self.dtype)}"
        raise AssertionError("the data changed while they were read")


class Dataset:
    """Inputs and targets, as many and at least one."""

    def __init__(self, caller: str, X: Any, y: Any, dtype: Any) -> None:
        self.inputs, self.targets = Rows(caller, "inputs", X, dtype), Rows(caller, "targets", y, dtype)
        check_dataset(caller, self.inputs, self.targets)
        for rows in (self.inputs, self.targets):
            if rows.in_memory:
                rows.whole = rows[:]

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(self, batch_size: int, rng: np.random.Generator, joined: bool, own: Callable[[int], slice]) -> Pairs:
        """Give all rows once, in random order, a batch at a time, and of each its own part.

        A single last row may join the batch before it.
        """
        batch_size = min(batch_size, len(self))
        rest = len(self) % batch_size
        size, last = (len(range(count)[own(count)]) for count in (batch_size, rest))
        order = _own_part(rng.permutation(len(self)), batch_size, own)
        pieces = in_order(self.inputs.whole, self.targets.whole, order, size)
        if rest and not last:
            pieces = itertools.chain(pieces, [(self.inputs.whole[:0], self.targets.whole[:0])])
        if joined and rest == 1:
            pieces = _last_joined(pieces, len(self) // batch_size)
        if self.inputs.in_memory and self.targets.in_memory:
            return pieces
        return ((self.inputs.converted(inputs), self.targets.converted(targets)) for inputs, targets in pieces)


def _own_part(order: Array, batch_size: int, own: Callable[[int], slice]) -> Array:
    """Give the own part of each batch."""
    if own(batch_size) == slice(0, batch_size):
        return order
    whole = len(order) // batch_size * batch_size
    batches, rest = order[:whole].reshape(-1, batch_size), order[whole:]
    return np.concatenate([batches[:, own(batch_size)].reshape(-1), rest[own(len(rest))]])


def _last_joined(pieces: Pairs, count: int) -> Pairs:
    """Give so many batches, the last of them with all that comes after it."""
    yield from itertools.islice(pieces, count - 1)
    inputs, targets = zip(*pieces, strict=True)
    yield np.concatenate(inputs), np.concatenate(targets)


def _all_finite(array: Array) -> bool:
    with np.errstate(all="ignore"):  # a sum is fast, and finite only if all numbers are; it may overflow without that
        return bool(np.isfinite(np.add.reduce(array, axis=None))) or bool(np.isfinite(array).all())
