"""What a case is, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One function at one point.

    ``order`` says up to which derivative central differences are defined there: 0 at a kink, where only the convention
    can be checked. ``torch`` is the same function of torch tensors: its name in ``torch``, or a function that gets the
    module first. ``plain`` is the same function of arrays, where ``function`` is one that only a Tensor knows.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    order: int = 2
    torch: str | Callable[..., Any] | None = None
    plain: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return self.name


class Sampler:
    """Random numbers for one file of cases, each time the same."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng((20240229, seed))

    def normal(self, *shape: int) -> Any:
        return np.array(self.rng.normal(size=shape))

    def positive(self, *shape: int) -> Any:
        return np.array(self.rng.uniform(0.5, 2, shape))

    def nonzero(self, *shape: int) -> Any:
        return np.array(self.positive(*shape) * self.rng.choice([-1.0, 1.0], shape))

    def unit(self, *shape: int) -> Any:
        return np.array(self.rng.uniform(-0.8, 0.8, shape))

    def distinct(self, *shape: int) -> Any:
        """Numbers of which no two are close, for functions that compare them."""
        return self.rng.permutation(int(np.prod(shape))).reshape(shape) / 4 - 1.1
