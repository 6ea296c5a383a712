"""Compiled steps give what the step gives: every rule, layer, loss, optimizer and transform."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from autodiff.core.record import data_of
from autodiff.transforms.containers import walk
from nn import functional
from tests.cases import CASES, Case
from tests.compiler.trainings import LABELS, ROWS, TRAININGS, X
from tests.test_rules import CHOSEN, is_float, several, weighted_sum

# Every rule


def gradient_step(case: Case) -> Callable[..., Any]:
    """Make the step that computes a case's values and its gradients by all arguments that have one."""
    positions = [k for k, arg in enumerate(case.args) if is_float(arg)]

    def step(*arrays: Any) -> Any:
        args = list(case.args)
        variables = [Tensor(array) for array in arrays]
        for position, variable in zip(positions, variables, strict=True):
            args[position] = variable
        outputs = several(case.function(*args))
        weighted_sum(outputs).backward()
        return list(outputs), [variable.grad for variable in variables]

    return step


# The check of a program tries its calls with numbers that these refuse.
PARTICULAR = ("scipy.stats.dirichlet",)


@pytest.mark.together("case", [case for case in CHOSEN if not case.name.startswith(PARTICULAR)], ids=str)
def test_exact_programs_give_cases_of_each_kind_to_the_last_bit(case: Case) -> None:
    step = gradient_step(case)
    compiled = ad.compile(step, exact=True)  # the first call compares two steps bit by bit
    arrays = [arg for arg in case.args if is_float(arg)]
    if is_refused(compiled, arrays):
        return
    for found, wanted in zip(flat(compiled(*arrays)), flat(step(*arrays)), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def is_refused(compiled: Callable[..., Any], arrays: Any) -> bool:
    """Take a compiled step, and say whether it was refused, as it gives real or complex numbers by values."""
    try:
        compiled(*arrays)
    except TypeError as error:
        if "complex numbers depends on values" not in str(error):
            raise
        return True
    return False


def flat(results: Any) -> Iterator[Any]:
    outputs, gradients = results
    return (np.asarray(data_of(result)) for result in (*outputs, *gradients))


@pytest.mark.together("case", CASES[::7], ids=str)
def test_simplified_programs_give_the_cases_to_rounding(case: Case) -> None:
    step = gradient_step(case)
    arrays = [arg for arg in case.args if is_float(arg)]
    compiled = ad.compile(step, check=False)
    if is_refused(compiled, arrays):
        return
    for found, wanted in zip(flat(compiled(*arrays)), flat(step(*arrays)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "function",
    [
        lambda sp, x: np.ldexp(x, 2),
        lambda sp, x: sp.eval_legendre(2, x) + sp.eval_hermite(3, x),
        lambda sp, x: sp.beta(1.5, x),  # float64 of a Python number and float32
        lambda sp, x: sp.xlogy(2, x) * sp.jv(1, x),
    ],
)
def test_numbers_beside_arrays_are_what_they_are_to_each_ufunc(function: Callable[..., Any], dtype: Any) -> None:
    special = pytest.importorskip("scipy.special")
    x = np.array([0.3, 0.7], dtype)
    compiled = ad.compile(lambda x: function(special, x), exact=True)
    for _ in range(2):
        found, wanted = compiled(x), function(special, x)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_operators_of_integers() -> None:
    def step(x: Any) -> Any:
        return x << 1, x >> 1, *divmod(x, 3)

    for found, wanted in zip(ad.compile(step, exact=True)(np.arange(9)), step(np.arange(9)), strict=True):
        np.testing.assert_array_equal(found, wanted)


# Layers, losses, optimizers


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_compiled_is_the_training(name: str, exact: bool) -> None:
    make, inputs, targets = TRAININGS[name]
    model, state, step = make()
    reference, _, eager = make()
    compiled = ad.compile(step, state, exact=exact)
    for _ in range(6):
        found, wanted = compiled(inputs, targets), eager(inputs, targets)
        assert type(found) is type(wanted)
        agree(found.data, wanted.data, exact)
    for path, array in reference.state_dict().items():
        agree(model.state_dict()[path], array, exact)


def agree(found: Any, wanted: Any, exact: bool) -> None:
    if exact:
        np.testing.assert_array_equal(found, wanted)
    else:
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_float64_and_a_penalty_on_the_gradient() -> None:
    def make() -> tuple[nn.Module, Any, Callable[..., Any]]:
        model = nn.MLP([6, 8, 4], activation="tanh", rng=0, dtype=np.float64)
        optimizer = nn.optim.Adam(model.parameters())

        def step(inputs: Any, labels: Any) -> Any:
            optimizer.zero_grad()
            x = Tensor(inputs)
            model(x).sum().backward(create_graph=True)
            slope = x.grad
            optimizer.zero_grad()
            loss = (slope * slope).sum() + functional.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            return loss

        return model, (model, optimizer), step

    model, state, step = make()
    reference, _, eager = make()
    compiled = ad.compile(step, state, exact=True)
    inputs = X.astype(np.float64)
    for _ in range(3):
        assert compiled(inputs, LABELS).item() == eager(inputs, LABELS).item()
    for path, array in reference.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[path], array)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: ad.value_and_grad(lambda x: np.tanh(x).sum() ** 2)(x), id="value_and_grad"),
        pytest.param(lambda x: ad.grad(lambda x: ad.grad(lambda x: np.sum(x**4))(x).sum())(x), id="grad of grad"),
        pytest.param(lambda x: ad.jacobian(lambda x: np.tanh(x) * x.sum())(x[0]), id="jacobian"),
        pytest.param(lambda x: ad.hvp(lambda x: np.tanh(x).sum() ** 2)(x[0], x[1]), id="hvp"),
        pytest.param(lambda x: ad.jvp(np.tanh, (x,), (x,)), id="jvp"),
        pytest.param(lambda x: ad.grad(ad.checkpoint(lambda x: np.sum(np.exp(np.sin(x)))))(x), id="checkpoint"),
        pytest.param(lambda x: {"mean": x.mean(axis=0), "rest": [x - 1, (x > 0, 3, None)]}, id="containers"),
        pytest.param(lambda x: np.linalg.eigh(x.T @ x), id="several outputs"),
    ],
)
def test_transforms_and_containers(function: Callable[[Any], Any]) -> None:
    x = X.astype(np.float64)
    compiled = ad.compile(function, exact=True)
    for scale in (1.0, 2.0):
        found, wanted = (list(walk(f(scale * x))) for f in (compiled, function))
        assert [path for path, _ in found] == [path for path, _ in wanted]
        for (_, one), (_, other) in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_compiled_step_in_a_compiled_step() -> None:
    inner = ad.compile(lambda x: np.tanh(x) + 1)
    outer = ad.compile(lambda x: inner(x) * 2)
    np.testing.assert_array_equal(outer(ROWS), (np.tanh(ROWS) + 1) * 2)
    assert "tanh" in outer.source


@pytest.mark.parametrize(("backend", "count"), [("numpy", 200), ("numba", 40)])
def test_long_chains_of_numbers(backend: str, count: int) -> None:
    weights = [Tensor(np.ones(3) * k) for k in range(count)]

    def chain(x: Any) -> Any:
        total = abs(x.sum())
        for _ in range(count):
            total = total * 0.9 + 1
        return total + sum((w**2).sum() for w in weights)

    found = ad.compile(chain, weights, backend=backend)(-ROWS)
    assert found.item() == pytest.approx(chain(-ROWS).item(), rel=1e-12)


# Products to the last bit


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("gaps", [np.s_[:, ::2], np.s_[::2], np.s_[::-1], np.s_[:, ::-1]], ids=str)
@pytest.mark.parametrize("where", ["input", "state", "view"])
def test_exact_products_of_arrays_with_gaps(where: str, gaps: Any, width: int) -> None:
    numbers = np.random.default_rng(0).normal(size=(66, 6)).astype(np.float32)
    x = numbers[gaps]

    def make() -> tuple[Any, Callable[..., Any]]:
        w, held = nn.Linear(x.shape[1], width, rng=0), numbers.copy()[gaps]

        def step(given: Any) -> Any:
            w.weight.grad = w.bias.grad = None
            batch = {"input": given, "state": held, "view": (given.sum() + numbers)[gaps]}[where]
            loss = (w(batch) ** 2).sum()
            loss.backward()
            w.weight.data = w.weight.data - np.float32(0.01) * w.weight.grad
            return loss

        return [w, held], step

    (state, step), (_, eager) = make(), make()
    compiled = ad.compile(step, state, exact=True)
    for batch in (x, x.copy(), x):
        assert compiled(batch).data == eager(batch).data


@pytest.mark.parametrize("seed", range(8))
def test_exact_products_of_an_array_of_one_number_in_all_places(seed: int) -> None:
    # not 5 columns: with 2 or 3 rows more than a multiple of 4, OpenBLAS 0.3.31 for AVX-512 multiplies float32 numbers
    # that it never wrote and does not use, and where they happen to be signalling NaNs NumPy warns of an invalid value
    generator = np.random.default_rng(seed)
    w = Tensor(generator.normal(size=(6, 1)).astype(np.float32))

    def step(h: Any) -> Any:
        w.grad = None
        loss = -(h @ w).mean()
        loss.backward()
        w.data = w.data - 0.1 * w.grad
        return loss

    h, before = generator.normal(size=(6, 6)).astype(np.float32), w.data.copy()
    assert ad.compile(step, w, exact=True)(h).item() == -(h @ before).mean().item()
