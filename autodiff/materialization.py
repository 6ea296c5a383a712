"""Lazy arrays computed: all of Dask's in a nest of containers, Tensors and modules, in one pass of its scheduler."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, MappingView, MutableSequence, Set
from typing import Any

import numpy as np

from autodiff.compiler.state import Stateful
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import flatten

_CLOSED = (Iterator, Mapping, MappingView, MutableSequence, Set)  # what is not looked into, dicts and lists aside


def materialize(tree: Any) -> Any:
    """Compute all lazy arrays in a nest, which are Dask's, in one pass of its scheduler; all else stays as it is.

    What several of them need is computed once: a loss and all its gradients take one walk over the data. It runs where
    Dask says, on threads or on the workers of the cluster that a ``dask.distributed.Client`` was made for.

    Computing changes no value. So a Tensor stays the same Tensor, with its history, and holds in memory what it held
    lazily; so does its ``grad``. Modules, optimizers and schedules stay, too, and the state in them is computed: of a
    module the parameters, their ``grad`` and the buffers, of an optimizer the arrays that it keeps.

    Args:
        tree: lists, tuples, dicts and dataclasses of arrays, Tensors, modules, optimizers and anything else.

    Returns:
        Such a nest, with arrays of NumPy (or what else the chunks are) in place of Dask's. Tensors, modules and
        optimizers in it are those that were given.

    Raises:
        TypeError: something in the nest is an iterator, a set or the like, which is not looked into; or the elements
            are of another kind than Dask had been told, as in ``map_blocks(..., dtype=float)``.
        ValueError: an array has another shape than Dask had been told.
        Exception: whatever the computation raises. In all of these cases nothing has changed.

    Example:
        >>> import dask.array as da
        >>> X, w = da.ones((1000, 2), chunks=(100, 2)), ad.Tensor([1.0, -3.0])
        >>> loss = ((X @ w) ** 2).mean()
        >>> loss.backward()
        >>> ad.materialize({"loss": loss, "gradient": w.grad})
        {'loss': Tensor(4., call=mean), 'gradient': array([-4., -4.])}
    """
    leaves, rebuild = flatten(tree)
    lazy: list[Any] = []
    puts: list[Callable[[Any], None]] = []

    def take(value: Any, put: Callable[[Any], None]) -> None:
        if _is_lazy(value):
            lazy.append(value)
            puts.append(put)

    def take_tensor(tensor: Tensor) -> None:
        # Not by assigning to `data`, of which a later backward would say that the Tensor was changed.
        take(tensor._array, lambda value: setattr(tensor, "_array", value))
        if isinstance(tensor._grad, Tensor):
            take_tensor(tensor._grad)
        else:
            take(tensor._grad, lambda value: setattr(tensor, "_grad", value))

    for position, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            take_tensor(leaf)
        elif isinstance(leaf, Stateful):
            for place in leaf.places():
                if place.tensor is None:
                    take(place.get(), place.set)
                else:
                    take_tensor(place.tensor)
        elif _is_lazy(leaf):
            take(leaf, lambda value, position=position: leaves.__setitem__(position, value))  # type: ignore[misc]
        elif isinstance(leaf, _CLOSED):
            kind = type(leaf).__name__
            raise TypeError(f"materialize: a {kind} is not looked into: make a list, tuple or dict of it")
    if lazy:
        values = list(map(_as_promised, lazy, _dask().compute(*lazy, traverse=False)))
        taken: set[int] = set()
        for put, value in zip(puts, values, strict=True):
            # Dask gives one array for two that are computed alike, such as zeros; each place has its own to write into.
            put(value.copy() if id(value) in taken else value)
            taken.add(id(value))
    return rebuild(leaves)


def _is_lazy(value: Any) -> bool:
    """Whether it is for Dask to compute, which need not be installed where nothing is."""
    return hasattr(type(value), "__dask_graph__") and bool(_dask().is_dask_collection(value))


def _dask() -> Any:
    return importlib.import_module("dask")


def _as_promised(lazy: Any, value: Any) -> Any:
    """Give what was computed with the shape and dtype of the array that it was to be, or say that it has others."""
    if not hasattr(type(lazy), "chunks"):  # of the type, since a task has attributes of all names
        return value  # a table, say
    value = value if hasattr(value, "dtype") else np.asarray(value)
    # A length that Dask does not know is NaN, and equals nothing.
    if value.ndim != lazy.ndim or any(size != n and size == size for size, n in zip(lazy.shape, value.shape)):
        raise ValueError(
            f"materialize: what was to be an array of shape {lazy.shape} has shape {value.shape}: give what made it, "
            "such as map_blocks, the chunks that come out"
        )
    if value.dtype != lazy.dtype:
        if not np.can_cast(value.dtype, lazy.dtype, "same_kind"):
            raise TypeError(
                f"materialize: what was to be an array of {lazy.dtype} has {value.dtype}: give what made it, such as "
                "map_blocks, the dtype that comes out"
            )
        value = value.astype(lazy.dtype)
    return value if value.shape else value[()]
