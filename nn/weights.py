"""Weights of rows and of classes in a training: what they may be, and the mean that they make."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.arrays.whole import is_lazy
from autodiff.core.rule import Array
from nn.checks import check_number, check_real


def weighted_mean(measure: Callable[..., Any], outputs: Array, targets: Array, weights: Array) -> Array:
    """Give the mean of the rows' losses times their weights, which have a mean of one; of a row, that of its elements.

    Raises:
        TypeError: for ``reduction="none"``, the loss does not give an array with a first axis of the rows.

    Example:
        >>> from nn.functional import mse_loss
        >>> float(weighted_mean(mse_loss, np.array([1.0, 2.0]), np.array([0.0, 0.0]), np.array([1.5, 0.5])))
        1.75
    """
    losses = measure(outputs, targets, reduction="none")
    shape = np.shape(losses)
    if shape[:1] != weights.shape:
        raise TypeError(
            f'fit: with weights, a loss must give a number a row for reduction="none", got the shape {shape} for '
            f"{len(weights)} rows"
        )
    return (losses * weights.astype(losses.dtype).reshape(-1, *(1,) * (len(shape) - 1))).mean()


def check_reduction(caller: str, measure: Callable[..., Any]) -> None:
    """Refuse a loss that cannot give the loss of each row, or has a mean of its own."""
    others = {"weight", "ignore_index", "reduction"} & (
        measure.keywords.keys() if isinstance(measure, partial) else set()
    )
    if others:
        raise ValueError(
            f"{caller}: with weights of rows or classes the mean is theirs; give the loss without {', '.join(others)}"
        )
    try:
        known = inspect.signature(getattr(measure, "forward", measure)).parameters.values()  # a Module's call takes all
    except ValueError:  # a function of C
        return
    if not any(p.name == "reduction" or p.kind is p.VAR_KEYWORD for p in known):
        raise TypeError(
            f'{caller}: weights need a loss that takes reduction="none", as those of nn.functional do, got {measure!r}'
        )


def check_sample_weight(caller: str, weights: Any, rows: int) -> Array:
    """Give the weights of rows as float64 of shape ``(rows,)``, and refuse what cannot be one."""
    if is_lazy(weights):
        raise TypeError(f"{caller}: sample_weight is a lazy array; give what its compute() returns")
    weights = np.asarray(ad.stop_gradient(check_real(caller, "sample_weight", weights)), dtype=np.float64)
    if weights.shape != (rows,):
        raise ValueError(f"{caller}: sample_weight must be of shape ({rows},), a number a row, got {weights.shape}")
    wrong = ~np.isfinite(weights) | (weights < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{caller}: sample_weight must be finite and not negative, got {weights[row]} at row {row}")
    if not weights.any():
        raise ValueError(f"{caller}: the sample weights are all zero, and there is nothing to learn")
    return weights


def by_class(caller: str, class_weight: Any, labels: Array, weights: Array | None, names: Any = None) -> Array:
    """Multiply weights of rows by the weight of each row's class.

    Args:
        caller: what messages begin with.
        class_weight: a dict of a weight for each class, 1 for those that are not in it; or "balanced", by which all
            classes weigh as much together: ``sum(w) / (C sum(w of the class))``.
        labels: integers of shape ``(N,)``, booleans or 0.0 and 1.0.
        weights: of shape ``(N,)``, or None for ones.
        names: of the classes 0, 1, ..., if they have others; those that may be in the dict.

    Example:
        >>> by_class("fit", "balanced", np.array([0, 0, 0, 1]), None).round(3).tolist()
        [0.667, 0.667, 0.667, 2.0]
        >>> by_class("fit", {1: 5.0}, np.array([0, 1]), np.array([2.0, 2.0])).tolist()
        [2.0, 10.0]
    """
    weights = np.ones(len(labels)) if weights is None else weights
    classes, places = np.unique(labels, return_inverse=True)
    known = [name.item() if hasattr(name, "item") else name for name in (classes if names is None else names)]
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(places, weights)
        factors = weights.sum() / (np.count_nonzero(totals) * np.where(totals == 0, 1, totals))
        return weights * factors[places]
    if not isinstance(class_weight, Mapping):
        raise TypeError(f'{caller}: class_weight must be a dict of a weight for each class, or "balanced", got '
                        f"{class_weight!r}")  # fmt: skip
    for name, weight in class_weight.items():
        if name not in known:
            raise ValueError(f"{caller}: class_weight has {name!r}, which is none of the classes {known}")
        check_number(caller, f"the weight of class {name!r}", weight, lambda w: w >= 0, "at least 0")
    places = places if names is None else labels
    with np.errstate(over="ignore", under="ignore"):
        weights = weights * np.array([float(class_weight.get(name, 1)) for name in known])[places]
    if not weights.any() or not np.isfinite(weights).all():
        problem = "infinite for some row" if weights.any() else "zero for all rows"
        raise ValueError(f"{caller}: sample_weight times class_weight is {problem}")
    return weights
