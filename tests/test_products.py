"""Jacobians and Hessians of a batch of unit vectors are those of one unit vector after the other, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.core.record import data_of
from autodiff.transforms import products
from autodiff.transforms.containers import flatten
from tests.cases import CASES, Case
from tests.cases.points import parts

RNG = np.random.default_rng(0)
# Where a zero may have another sign, since another product is made first.
REORDERED = "einsum, optimize="


class NotAtOnceError(Exception):
    pass


@contextmanager
def one_by_one() -> Iterator[None]:
    """Let no Jacobian take a batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_at_once", lambda *args: 1 / 0)
        yield


@contextmanager
def at_once() -> Iterator[None]:
    """Let no Jacobian do without a batch."""

    def refuse(*args: Any) -> Any:
        raise NotAtOnceError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_one_by_one", refuse)
        yield


def assert_same_bits(found: Any, wanted: Any, with_signs: bool = True) -> None:
    found, wanted = flatten(found)[0], flatten(wanted)[0]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert type(a) is type(b)
        a, b = data_of(a), data_of(b)
        assert type(a) is type(b)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=isinstance(b, np.ndarray))
        if with_signs:
            np.testing.assert_array_equal(*(np.signbit(parts(one)) for one in (a, b)))
        if isinstance(a, np.ndarray):
            assert a.flags.writeable
            assert a.flags.owndata or (a.base is not None and a.base.flags.writeable)


def check(derivative: Callable[[], Any], with_signs: bool = True) -> Any:
    """Compute a derivative in both ways and compare."""
    with one_by_one():
        wanted = derivative()
    with at_once():
        found = derivative()
    assert_same_bits(found, wanted, with_signs)
    return found


def is_floats(x: Any) -> bool:
    return getattr(x, "dtype", np.dtype(int)).kind == "f"


def numbers_of(case: Case) -> tuple[int, ...]:
    return tuple(position for position, arg in enumerate(case.args) if is_floats(arg))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.together("case", CASES, ids=str)
def test_jacobian_of_every_case(case: Case) -> None:
    check(lambda: ad.jacobian(case.function, numbers_of(case))(*case.args), not case.name.startswith(REORDERED))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.together("case", [case for case in CASES if case.order > 1], ids=str)
def test_hessian_of_every_case(case: Case) -> None:
    def weighted(*args: Any) -> Any:
        total: Any = 0.0
        for out in flatten(case.function(*args))[0]:
            for part in parts(out):
                total = (
                    total + (np.cos(np.arange(1.0, 1 + np.size(data_of(part)))).reshape(np.shape(part)) * part).sum()
                )
        return total

    def derivative() -> Any:
        return ad.hessian(weighted, numbers_of(case))(*case.args)

    check(derivative, not case.name.startswith(REORDERED))


# Programs of a user's


W, U = RNG.normal(size=(7, 5)), RNG.normal(size=(5, 9))
X = RNG.normal(size=7)
EIGHT = RNG.normal(size=8).astype(np.float32)


def network(x: Any) -> Any:
    return np.tanh(np.tanh(x @ W) @ U)


def rosenbrock(x: Any) -> Any:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def long_sums(x: Any) -> Any:
    table = np.outer(np.tanh(x), np.arange(1.0, 301.0))
    return table.sum(axis=0) / table.sum() + table.T.mean(axis=0).sum() - np.transpose(table).sum(axis=1).max()


@pytest.mark.parametrize("f", [network, long_sums, lambda x: network(x)[:3], lambda x: rosenbrock(network(x))])
def test_jacobian_of_jacobian(f: Any) -> None:
    check(lambda: ad.jacobian(f)(X))
    check(lambda: ad.jacobian(ad.jacobian(f))(X))
    through = ad.jacobian(lambda x: np.sin(ad.jacobian(f)(x)).sum())
    with one_by_one():
        wanted = through(X)
    with at_once():  # gradients of all rows are summed in another order
        np.testing.assert_allclose(through(X), wanted, rtol=1e-12, atol=1e-12)


def test_hessian_of_hessian() -> None:
    check(lambda: ad.hessian(rosenbrock)(X))
    check(lambda: ad.hessian(lambda x: (ad.hessian(rosenbrock)(x) ** 2).sum())(X))
    check(lambda: ad.jacobian(lambda x, v: ad.hvp(rosenbrock)(x, v), (0, 1))(X, X))
    check(lambda: ad.jacobian(lambda x: ad.jvp(network, (x,), (x,))[1])(X))
    check(lambda: ad.jacobian(lambda x: ad.linearize(network, x)[1](x))(X[:7]))
    check(lambda: ad.jacobian(lambda x: ad.vjp(network, x)[1](np.tanh(x @ W @ U))[0])(X))


FORMS: dict[str, Callable[[], Any]] = {
    "several arguments": lambda: ad.jacobian(lambda x, y: np.outer(x, y) @ y, (1, 0))(X, X[:3]),
    "one argument twice": lambda: ad.jacobian(lambda x: x * x, (0, 0))(X),
    "the argument itself": lambda: ad.jacobian(lambda x: (x, x, x[::-1]))(X),
    "containers": lambda: ad.jacobian(
        lambda p, k: {"s": p["a"] * p["b"][0] * k, "t": [p["b"][0] ** 2, p["a"].sum(), 3.0]}, (0, 1)
    )({"a": X, "b": (3.0,)}, 2.0),
    "aux": lambda: ad.jacobian(lambda x: (x * x, x.sum()), has_aux=True)(X),
    "a number": lambda: ad.jacobian(lambda x: x**3)(2.0),
    "of a number": lambda: ad.jacobian(lambda x: x * X)(2.0),
    "to a number": lambda: ad.jacobian(lambda x: x @ X)(X),
    "without axes": lambda: ad.jacobian(lambda x: x**3)(np.array(2.0)),
    "integers": lambda: ad.jacobian(lambda x: (np.argsort(x), np.tanh(x), x > 0))(X),
    "integers alone": lambda: ad.jacobian(np.argsort)(X),
    "empty": lambda: ad.jacobian(lambda x: x**2)(np.zeros((0, 2), np.float32)),
    "empty output": lambda: ad.jacobian(lambda x: (x[:0], x))(np.zeros(3, np.float32)),
    "one of two empty": lambda: ad.jacobian(lambda x, y: x[0] * np.append(y, 1.0), (0, 1))(X, np.zeros(0)),
    "independent": lambda: ad.jacobian(lambda x: (np.ones(2), x))(X),
    "partly independent": lambda: ad.jacobian(lambda x, y: (x.sum(), y * 2), (0, 1))(X, X[:2]),
    "float32": lambda: ad.jacobian(lambda x: np.tanh(x) * x.sum())(EIGHT),
    "mixed dtypes": lambda: ad.jacobian(lambda x, y: np.tanh(x[:7] * y), (0, 1))(EIGHT, X),
    "mixed dtypes, columns": lambda: ad.jacobian(lambda x, y: np.outer(np.tanh(x), y), (0, 1))(EIGHT, X),
    "float16": lambda: ad.jacobian(lambda x: np.cumsum(np.tanh(x)))(EIGHT.astype(np.float16)),
    "columns": lambda: ad.jacobian(lambda x: np.stack([x, np.sin(x)], axis=1))(X.reshape(7, 1) * [1, 2]),
    "columns of an eigenvector": lambda: ad.jacobian(lambda t: np.linalg.eigh(np.outer(X, X) * t + np.diag(X))[1])(0.5),
    "not finite": lambda: ad.jacobian(lambda x: np.sqrt(x) * np.log(x))(np.array([0.0, 1.0, np.inf])),
    "zeros with a sign": lambda: ad.jacobian(lambda x: -x * np.array([0.0, -0.0, 1.0]))(np.array([1.0, 2.0, -0.0])),
    "checkpoint": lambda: ad.jacobian(ad.checkpoint(network))(X),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("derivative", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("bytes_at_once", [2**28, 1000, 1])
def test_forms(derivative: Any, bytes_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "BYTES_AT_ONCE", bytes_at_once)
    check(derivative)


@pytest.mark.parametrize("bytes_at_once", [2**28, 1000])
@pytest.mark.parametrize("f", [network, lambda x: network(x)[:3], rosenbrock])
def test_gradients_flow_through_a_jacobian(f: Any, bytes_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "BYTES_AT_ONCE", bytes_at_once)
    weights: dict[str, Any] = {}

    def gradients() -> Any:
        x, a = ad.Tensor(X), ad.Tensor(2.0)
        j = ad.jacobian(lambda x: f(x * a))(x)
        h = ad.hessian(lambda x: np.sin(f(x)).sum() * a)(x)
        assert type(j) is type(h) is ad.Tensor
        weights.setdefault("j", RNG.normal(size=j.shape))
        ((j * weights["j"]).sum() + (h**2).sum()).backward()
        return x.grad, a.grad, j.data, h.data

    with one_by_one():
        wanted = gradients()
    with at_once():
        found = gradients()
    assert_same_bits(found[2:], wanted[2:])
    for a, b in zip(found, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_vmap_of_jacobian_and_jacobian_of_vmap() -> None:
    rows = RNG.normal(size=(4, 7))
    for f in (network, lambda x: network(x)[:3], lambda x: rosenbrock(x)[None], long_sums):
        with one_by_one():
            wanted = np.stack([ad.jacobian(f)(row) for row in rows])
        with at_once():
            found = ad.vmap(ad.jacobian(f))(rows)
            whole = ad.jacobian(ad.vmap(f))(rows)
        assert_same_bits(found, wanted)
        np.testing.assert_array_equal(np.moveaxis(np.diagonal(whole, 0, 0, 2), -1, 0), wanted)
        assert np.count_nonzero(whole) == np.count_nonzero(wanted)
    with one_by_one():
        wanted = np.stack([ad.hessian(rosenbrock)(row) for row in rows])
    with at_once():
        assert_same_bits(ad.vmap(ad.hessian(rosenbrock))(rows), wanted)
        total = ad.hessian(lambda rows: ad.vmap(rosenbrock)(rows).sum())(rows)
    np.testing.assert_array_equal(total[np.arange(4), :, np.arange(4), :], wanted)


def test_products_with_vectors_under_vmap() -> None:
    rows, directions = RNG.normal(size=(2, 4, 7))
    for f in (network, lambda x: np.linalg.eigvalsh(np.outer(x, x) + np.diag(x))):
        found = ad.vmap(lambda x, v, f=f: ad.jvp(f, (x,), (v,))[1])(rows, directions)
        np.testing.assert_array_equal(found, [ad.jvp(f, (x,), (v,))[1] for x, v in zip(rows, directions)])
        found = ad.vmap(lambda x, v, f=f: ad.linearize(f, x)[1](v))(rows, directions)
        np.testing.assert_array_equal(found, [ad.linearize(f, x)[1](v) for x, v in zip(rows, directions)])
    found = ad.vmap(ad.hvp(rosenbrock))(rows, directions)
    np.testing.assert_array_equal(found, [ad.hvp(rosenbrock)(x, v) for x, v in zip(rows, directions)])
    found = ad.vmap(ad.hvp(rosenbrock), in_axes=(None, 0))(X, directions)
    np.testing.assert_array_equal(found, [ad.hvp(rosenbrock)(X, v) for v in directions])
    vectors = ad.vmap(lambda x: ad.jvp(lambda x: np.linalg.eigh(np.diag(x) + 1.0)[1], (x,), (x,))[1])(rows)
    wanted = [ad.jvp(lambda x: np.linalg.eigh(np.diag(x) + 1.0)[1], (x,), (x,))[1] for x in rows]
    np.testing.assert_allclose(vectors, wanted, rtol=1e-12, atol=1e-13)


# What takes no batch


def primitive(rule: Any) -> Any:
    @ad.primitive
    def twice(x: Any) -> Any:
        return 2 * x

    ad.defvjp(twice, rule)
    return twice


def in_place(g: Any, out: Any, x: Any) -> Any:
    g = g.copy()
    g *= 2
    return g


def into_zeros(g: Any, out: Any, x: Any) -> Any:
    result = np.zeros(len(x))
    for k in range(len(x)):
        result[k] = 2 * g[k]
    return result


REFUSING = {
    "in place": in_place,
    "into zeros": into_zeros,
    "bool": lambda g, out, x: 2 * g if g[0] > 0.5 else g + g,
    "asarray": lambda g, out, x: 2 * np.asarray(g),
    "array": lambda g, out, x: np.array([2 * one for one in g]),
    "tolist": lambda g, out, x: np.array(g.tolist()) * 2,
    "attribute": lambda g, out, x: g.view() * 2,
}


@pytest.mark.parametrize("rule", REFUSING.values(), ids=REFUSING)
def test_rules_that_take_no_batch_are_given_arrays(rule: Any) -> None:
    twice = primitive(rule)
    for f in (twice, lambda x: np.tanh(twice(np.sin(x)))[2:4]):
        with pytest.raises(NotAtOnceError), at_once():
            ad.jacobian(f)(X)
        wanted = ad.jacobian(lambda x, f=f: f(x))(X)
        with one_by_one():
            assert_same_bits(ad.jacobian(f)(X), wanted)


def test_errors_are_those_of_one_product() -> None:
    def rule(g: Any, out: Any, x: Any) -> Any:
        raise ValueError(f"of {type(g).__name__}, {g[0]}")

    with pytest.raises(ValueError, match=r"^of ndarray, 1.0$"):
        ad.jacobian(primitive(rule))(X)
    message = r"sqrt of shape \(3,\) gave nan at index \(1,\) as the gradient of"
    with pytest.raises(FloatingPointError, match=message), ad.detect_anomaly():
        ad.jacobian(np.sqrt)(np.array([1.0, 0.0, 2.0]))


def test_warnings_come_once() -> None:
    with pytest.warns(UserWarning, match="does not depend") as caught:
        assert not ad.jacobian(lambda x: np.ones(3))(X).any()
    assert len(caught) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def rule(g: Any, out: Any, x: Any) -> Any:
        seen.append(g.array.shape)
        return 2 * g

    twice = primitive(rule)
    ad.jacobian(twice)(np.ones(1000))
    assert seen == [(1000, 1000)]
    monkeypatch.setattr(products, "BYTES_AT_ONCE", 100 * 2 * 8000)  # input and output
    found = ad.jacobian(twice)(np.ones(1000))
    assert seen[1:] == [(100, 1000)] * 10
    np.testing.assert_array_equal(found, 2 * np.eye(1000))
