"""Steps compiled to machine code: the same results as the eager step within rounding, the same errors, the same state."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.compiler import compile
from tests.cases import CASES, Case
from tests.test_rules import is_float, several, weighted_sum

F = nn.functional
SAMPLE = 45  # one case in so many of the table


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the machine code of these tests in a folder of their own."""
    folder = tmp_path_factory.mktemp("programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTODIFF_CACHE_DIR", str(folder))
        yield folder


def assert_close(found: Any, wanted: Any, relative: float) -> None:
    wanted, found = np.asarray(wanted), np.asarray(found)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0)) if wanted.dtype.kind == "f" else 0
    np.testing.assert_allclose(found, wanted, rtol=relative, atol=relative * scale)


def assert_same_training(make: Callable[[], tuple[Any, Any, Callable[..., Any]]], *batches: Any, calls: int = 4) -> Any:
    """Train twice from the same start, eagerly and compiled, and compare the losses and the state."""
    model, optimizer, step = make()
    other, other_optimizer, eager = make()
    compiled = compile(step, state=(model, optimizer), backend="numba")
    for _ in range(calls):
        assert_close(compiled(*batches).data, eager(*batches).data, 1e-4)
    wanted = other.state_dict() | {f"optimizer {k}": v for k, v in optimizer_arrays(other_optimizer).items()}
    found = model.state_dict() | {f"optimizer {k}": v for k, v in optimizer_arrays(optimizer).items()}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    return compiled


def optimizer_arrays(optimizer: Any) -> dict[str, Any]:
    return {place.name: place.get() for place in optimizer.places() if isinstance(place.get(), np.ndarray)}


def trainer(
    model: Any, loss: Callable[..., Any], make_optimizer: Callable[[Any], Any]
) -> tuple[Any, Any, Callable[..., Any]]:
    optimizer = make_optimizer(model.parameters())

    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        result = loss(model(x), target)
        result.backward()
        optimizer.step()
        return result

    return model, optimizer, step


def sgd(parameters: Any) -> Any:
    return nn.optim.SGD(parameters, lr=0.1)


RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 7)).astype(np.float32)
LABELS = RNG.integers(0, 5, 12)


# The table of cases


@pytest.mark.parametrize("case", CASES[::SAMPLE], ids=str)
def test_gradients_of_the_table(case: Case) -> None:
    positions = [k for k, arg in enumerate(case.args) if is_float(arg)]

    def step(*floats: Any) -> Any:
        args = list(case.args)
        xs = [Tensor(x) for x in floats]
        for position, x in zip(positions, xs):
            args[position] = x
        outputs = several(case.function(*args))
        weighted_sum(outputs).backward()
        return list(outputs), [x.grad for x in xs]

    compiled = compile(step, backend="numba")
    floats = [case.args[position] for position in positions]
    for found, wanted in zip(ad.tree.walk(compiled(*floats)), ad.tree.walk(step(*floats)), strict=True):
        assert_close(ad.tensor.data_of(found[1]), ad.tensor.data_of(wanted[1]), 1e-9)


# Networks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_network_with_adam(dtype: Any) -> None:
    def make() -> Any:
        model = nn.MLP([7, 6, 5], rng=0)
        model.load_state_dict({name: value.astype(dtype) for name, value in model.state_dict().items()})
        return trainer(model, F.cross_entropy, lambda p: nn.optim.Adam(p, lr=0.01))

    compiled = assert_same_training(make, X.astype(dtype), LABELS)
    assert "for i in range(" in compiled.source
    assert "np.dot(" in compiled.source
