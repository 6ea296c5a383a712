"""Batches within transforms and transforms within batches, at any depth, against derivatives by hand and loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from scipy.sparse import csr_array

import autodiff as ad
from autodiff import Tensor

Function = Callable[[Any], Any]
SHIFTS = np.array([0.0, 1.0, -0.5])


def over_shifts(f: Function) -> Function:
    """Add the values at several points, which are members of a batch."""
    return lambda x: np.sum(ad.vmap(f)(x + SHIFTS))


# Each makes, of a function of a number, one of its derivatives, or the sum over a batch.
TRANSFORMS: dict[str, tuple[Callable[[Function], Function], int]] = {
    "grad": (ad.grad, 1),
    "jvp": (lambda f: lambda x: ad.jvp(f, (x,), (1.0,))[1], 1),
    "vjp": (lambda f: lambda x: ad.vjp(f, x)[1](1.0)[0], 1),
    "jacobian": (ad.jacobian, 1),
    "hessian": (ad.hessian, 2),
    "hvp": (lambda f: lambda x: ad.hvp(f)(x, 1.0), 2),
    "vmap": (over_shifts, 0),
}
X = Polynomial([0.0, 1.0])


def by_hand(name: str, f: Polynomial) -> Polynomial:
    """Do to a polynomial what a transform does to a function."""
    order = TRANSFORMS[name][1]
    return f.deriv(order) if order else sum((f(X + shift) for shift in SHIFTS), Polynomial([0.0]))


@pytest.mark.together("outer", TRANSFORMS)
@pytest.mark.together("inner", TRANSFORMS)
def test_every_pair(outer: str, inner: str) -> None:
    d, e = TRANSFORMS[outer][0], TRANSFORMS[inner][0]
    # The variable of the outer one is used within the inner one, and is where that is taken.
    found = d(lambda x: x**2 * e(lambda y: x**3 * y**5 + y)(x))(1.5)
    # In the inner function, x is another letter: a number that stands before the derivative of y⁵.
    expected = by_hand(outer, X**2 * (X**3 * by_hand(inner, X**5) + by_hand(inner, X)))(1.5)
    assert type(found) is np.float64
    assert found == pytest.approx(expected, rel=1e-12)
    # It does not reach the inner function, or only the place
    assert d(lambda x: x**2 * e(lambda y: y**5)(2.0))(1.5) == pytest.approx(
        by_hand(outer, X**2 * by_hand(inner, X**5)(2.0))(1.5), rel=1e-12
    )
    assert d(e(lambda y: y**6))(1.5) == pytest.approx(by_hand(outer, by_hand(inner, X**6))(1.5), rel=1e-12)


@pytest.mark.together("outer", TRANSFORMS)
@pytest.mark.together("inner", TRANSFORMS)
def test_every_pair_with_a_tensor_from_outside(outer: str, inner: str) -> None:
    d, e = TRANSFORMS[outer][0], TRANSFORMS[inner][0]
    w = Tensor(0.75)

    def f(w: Any) -> Any:
        return d(lambda x: w * x**2 * e(lambda y: x**3 * w**2 * y**5 + w * y)(x))(1.5)

    found = f(w)
    found.backward()
    a = by_hand(outer, X**2 * X**3 * by_hand(inner, X**5))(1.5)
    b = by_hand(outer, X**2 * by_hand(inner, X))(1.5)
    assert float(found.data) == pytest.approx(a * 0.75**3 + b * 0.75**2, rel=1e-12)
    assert float(w.grad) == pytest.approx(3 * a * 0.75**2 + 2 * b * 0.75, rel=1e-12)
    # And in a batch of these
    ws = np.array([0.5, 0.75, 2.0])
    np.testing.assert_allclose(ad.vmap(f)(ws), a * ws**3 + b * ws**2, rtol=1e-12)
    np.testing.assert_allclose(ad.vmap(ad.grad(f))(ws), 3 * a * ws**2 + 2 * b * ws, rtol=1e-12)
    np.testing.assert_allclose(ad.grad(lambda ws: ad.vmap(f)(ws).sum())(ws), 3 * a * ws**2 + 2 * b * ws, rtol=1e-12)


THREE = [names for names in itertools.product(TRANSFORMS, repeat=3) if "vmap" in names]


@pytest.mark.together("names", THREE, ids="-".join)
def test_three_deep(names: tuple[str, str, str]) -> None:
    d, e, f = (TRANSFORMS[name][0] for name in names)
    found = d(lambda x: x * e(lambda y: x * y**2 * f(lambda z: x * y * z**5 + z * y)(y + x))(x + 1))(0.5)
    expected = three_by_hand(names)
    assert found == pytest.approx(expected, rel=1e-10)


def three_by_hand(names: tuple[str, str, str]) -> float:
    """The same in polynomials: those of y have polynomials of x as factors, which is why y is written x + 1 + t."""
    outer, middle, inner = names
    of_z, plain = by_hand(inner, X**5), by_hand(inner, X)

    def of_x(x: float) -> float:
        at = x * X**2 * (x * X * of_z(X + x) + X * plain(X + x))
        return x * float(by_hand(middle, at)(x + 1))

    # It is a polynomial of x of a degree below 16: which, its values say.
    points = 0.5 + 2.5 * np.cos(np.pi * (np.arange(17) + 0.5) / 17)
    fitted = Polynomial.fit(points, [of_x(x) for x in points], 16).convert()
    return float(by_hand(outer, fitted)(0.5))


# Walks, within the function and from outside

POINTS = np.linspace(0.5, 2.0, 12).reshape(4, 3)
WEIGHTS = np.linspace(-1.0, 1.0, 6).reshape(3, 2)


def per_member(f: Function, points: Any = POINTS) -> Any:
    return np.stack([f(x) for x in points])


def test_backward_within_the_function_adds_the_gradient_of_each_member() -> None:
    w = Tensor(WEIGHTS)

    def f(x: Any) -> Any:
        h = x @ w
        h.retain_grad()
        np.tanh(h).sum().backward()
        np.square(w).sum().backward()  # which does not depend on the batch, and is there once for each all the same
        return h.grad

    found = ad.vmap(f)(POINTS)
    slopes = 1 - np.tanh(POINTS @ WEIGHTS) ** 2
    np.testing.assert_allclose(found, slopes, rtol=1e-12)
    np.testing.assert_allclose(w.grad, POINTS.T @ slopes + 4 * 2 * WEIGHTS, rtol=1e-12)


def test_backward_with_a_graph_within_the_function() -> None:
    w = Tensor(2.0)

    def f(x: Any) -> Any:
        ad.vmap(lambda y: (w**3 * y).backward(create_graph=True) or y)(x)
        return x

    ad.vmap(f)(POINTS)
    assert float(w.grad) == pytest.approx(3 * 4.0 * POINTS.sum())
    first, w.grad = w.grad, None
    first.backward()
    assert float(w.grad) == pytest.approx(12.0 * POINTS.sum())


def test_descent_within_the_function() -> None:
    def f(x: Any) -> Any:
        p = Tensor(np.ones(3))
        for _ in range(3):
            p.grad = None
            np.sum((p - x) ** 2).backward()
            p.data = p.data - 0.1 * p.grad
        return p.data

    np.testing.assert_allclose(ad.vmap(f)(POINTS), per_member(f), rtol=1e-12)


def test_what_members_share_has_no_gradient_and_no_data_of_one() -> None:
    w = Tensor(WEIGHTS)

    def imperative(x: Any) -> Any:
        w.grad = None
        np.tanh(x @ w).sum().backward()
        return w.grad

    with pytest.raises(RuntimeError, match="is the same for all members, and so are its data and grad: take a member"):
        ad.vmap(imperative)(POINTS)

    def assigned(x: Any) -> Any:
        w.data = w.data * x[0]
        return x

    with pytest.raises(RuntimeError, match="is the same for all members"):
        ad.vmap(assigned)(POINTS)
    np.testing.assert_array_equal(w.data, WEIGHTS)
    np.testing.assert_array_equal(ad.vmap(lambda x: x @ w.data)(POINTS), POINTS @ WEIGHTS)


def test_hooks_see_the_gradient_of_each_member() -> None:
    def total(batch: Callable[..., Any]) -> Any:
        w = Tensor(3.0)

        def f(x: Any) -> Any:
            y = w * 1.0 + x[0]
            y.register_hook(lambda g: np.float64(10.0))
            z = w * 2.0
            z.register_hook(lambda g: g * np.abs(g))
            return np.sum(y * z * x)

        np.sum(batch(f)).backward()
        return w.grad

    def loop(f: Function) -> Any:
        return np.stack([f(x) for x in POINTS])

    hooks_of_the_loop = total(loop)
    assert total(lambda f: ad.vmap(f)(POINTS)) == pytest.approx(hooks_of_the_loop)


def test_a_gradient_of_ones_own_that_forgets_the_batch_is_there_for_each_member() -> None:
    @ad.custom_vjp
    def scaled(w: Any, x: Any) -> Any:
        return w * x

    scaled.defvjp(lambda w, x: (scaled(w, x), None), lambda saved, g: (np.float64(1.0), g))
    w = Tensor(3.0)
    ad.vmap(lambda x: scaled(w, x[0]))(Tensor(POINTS)).sum().backward()
    assert w.grad == 4.0
    of_each = ad.vmap(ad.grad(lambda w, x: scaled(w, x[0])), in_axes=(None, 0))(3.0, POINTS)
    np.testing.assert_array_equal(of_each, np.ones(4))


def test_what_a_walk_runs_again_keeps_the_gradient_of_each_member() -> None:
    # Within the checkpoint a gradient is taken by what has no batch, when the function of the batch has ended.
    @ad.checkpoint
    def f(x: Any) -> Any:
        return x * ad.grad(lambda v: v * v * x)(2.0)

    found = ad.grad(lambda xs: ad.vmap(f)(xs).sum())(np.arange(3.0))
    np.testing.assert_allclose(found, 8 * np.arange(3.0))


# Other transforms and tools


@ad.custom_vjp
def halved(x: Any) -> Any:
    return np.sin(x)


halved.defvjp(lambda x: (halved(x), x), lambda x, g: (g * np.cos(x) / 2,))


@ad.primitive
def cubed(x: Any) -> Any:
    return x**3


ad.defvjp(cubed, lambda g, out, x: g * 3 * x**2)


@ad.primitive
def norm_of(x: Any) -> Any:
    return np.sqrt(x @ x)


ad.defvjp(norm_of, lambda g, out, x: g * x / out)
ad.defbatch(norm_of, lambda batched, x: np.sqrt(np.vecdot(x, x)))

W = Tensor(WEIGHTS)
CONSTANT = np.array([0.5, 1.5, -0.5])


def eigenvalues(x: Any) -> Any:
    return np.linalg.eigvalsh(np.outer(x, x) + np.diag(x))


PIECES: dict[str, Function] = {
    "custom_vjp": lambda x: halved(x @ W).sum(),
    "checkpoint": lambda x: ad.checkpoint(lambda y: np.tanh(y @ W) * 2)(x).sum(),
    "primitive": lambda x: cubed(x @ W).sum(),
    "batch rule": lambda x: norm_of(np.concatenate([x, x @ W])),
    "no_grad": lambda x: np.sum(x @ W) * ad.no_grad()(np.sum)(x * x),
    "stop_gradient": lambda x: np.sum(x @ W) * ad.stop_gradient(np.sum(x * x)),
    "detach": lambda x: np.sum(x @ W) * (np.sum(x).detach() if isinstance(x, Tensor) else np.sum(x)),
    "value_and_grad": lambda x: sum(np.sum(one) for one in ad.value_and_grad(lambda y: np.sum(np.tanh(y @ W)))(x)),
    "has_aux": lambda x: np.sum(np.stack(ad.grad(lambda y: (np.sum(y**3), y * y), has_aux=True)(x)) @ W),
    "linearize": lambda x: np.sum(ad.linearize(lambda y: np.tanh(y @ W), x)[1](np.ones(3))),
    "elementwise_grad": lambda x: np.sum(ad.elementwise_grad(np.tanh)(x) @ W),
    "vjp twice": lambda x: np.sum(sum(ad.vjp(lambda y: y * y, x)[1](np.ones(3)))) + np.sum(x @ W),
    "jacobian": lambda x: np.sum(ad.jacobian(lambda y: np.tanh(y @ W))(x)),
    "hessian": lambda x: np.sum(ad.hessian(lambda y: np.sum(np.tanh(y @ W)))(x)),
    "eigenvalues": lambda x: np.sum(ad.jvp(eigenvalues, (x,), (CONSTANT,))[1]) + np.sum(x @ W),
}


@pytest.mark.filterwarnings("ignore:.*does not depend on the argument")  # where a second derivative is zero
@pytest.mark.parametrize("kind", PIECES)
def test_other_transforms_within_a_batch(kind: str) -> None:
    f = PIECES[kind]

    def gradients(batch: Callable[..., Any]) -> list[Any]:
        W.grad = None
        x = Tensor(POINTS)
        values = batch(f)(x)
        np.sum(values * np.arange(1.0, 5.0)).backward()
        found = [values.data, x.grad, W.grad]
        second = ad.grad(lambda x: np.sum(ad.grad(lambda x: np.sum(batch(f)(x)))(x) ** 2))(Tensor(POINTS))
        return [*found, second.data, ad.jvp(lambda x: batch(f)(x), (POINTS,), (POINTS,))[1].data]

    for one, other in zip(gradients(ad.vmap), gradients(lambda f: lambda x: per_member(f, x)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


def test_anomalies_are_found_in_any_member() -> None:
    with ad.detect_anomaly():
        ad.vmap(lambda x: np.tanh(x @ W).sum())(POINTS).sum().backward()
        with pytest.raises(FloatingPointError, match=r"sqrt of shape .* gave inf"):
            ad.vmap(ad.grad(lambda x: np.sqrt(x[0] - 0.5)))(POINTS)
        with pytest.raises(FloatingPointError, match=r"log of shape .* gave nan"):
            ad.vmap(lambda x: np.log(x[0] - 1.0))(Tensor(POINTS))


@pytest.mark.filterwarnings("default")
def test_numbers_without_a_gradient_are_refused_as_in_the_loop() -> None:
    for x, text in (
        (np.arange(3), "argument 0: Tensor: "),
        (np.arange(3) * 1j, "must return real numbers"),
        (np.arange(3) > 1, "argument 0: Tensor: "),
    ):
        with pytest.raises(TypeError, match=text):
            ad.vmap(ad.grad(lambda x: x * x))(x)


def test_arrays_of_other_libraries() -> None:
    pd: Any = pytest.importorskip("pandas")
    da: Any = pytest.importorskip("dask.array")
    sparse, frame = csr_array(np.arange(9.0).reshape(3, 3)), pd.DataFrame(POINTS)
    dense = sparse.toarray()
    for make in (np.asarray, Tensor):
        for f, g in (
            (lambda x: sparse @ x, lambda x: dense @ x),
            (lambda x: x @ sparse, lambda x: x @ dense),
            (lambda x: np.outer(x, x) @ sparse, lambda x: np.outer(x, x) @ dense),
            (lambda x: pd.Series([1.0, 2.0, 3.0]) * x, lambda x: np.array([1.0, 2.0, 3.0]) * x),
            (lambda x: x - pd.Series([1.0, 2.0, 3.0]), lambda x: x - np.array([1.0, 2.0, 3.0])),
        ):
            found: Any = ad.vmap(f)(make(POINTS))
            np.testing.assert_allclose(found.data if make is Tensor else found, per_member(g))
    np.testing.assert_array_equal(ad.vmap(lambda x: x * 2)(frame), POINTS * 2)
    lazy = ad.vmap(lambda x: np.tanh(x).sum())(da.from_array(POINTS, chunks=(2, 3)))
    assert isinstance(lazy, da.Array)
    np.testing.assert_allclose(lazy.compute(), np.tanh(POINTS).sum(1))
    refused: tuple[tuple[Any, str], ...] = (
        (sparse, "operators are not NumPy's"),
        (np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False]), "mask would be lost"),
    )
    for array, text in refused:
        with pytest.raises(TypeError, match=text):
            ad.vmap(lambda x, array=array: x * array)(POINTS)


# Random programs, under random nestings

ROWS = np.array([[0.2, 0.5, -0.4], [1.0, -0.3, 0.6]])
STEPS: list[Function] = [
    np.tanh,
    np.sort,
    lambda x: x * x,
    lambda x: x[::-1],
    lambda x: np.concatenate([x[:1], x[1:] * 2]),
    lambda x: np.where(x > 0.1, x, x * x),
    lambda x: np.outer(x, x) @ CONSTANT,
    lambda x: np.linalg.solve(np.eye(3) * 3 + np.outer(x, x), x),
    lambda x: np.stack([x[0], x[2], x[1]]),
    lambda x: x / (1 + np.linalg.norm(x)),
    lambda x: x * ad.stop_gradient(np.sum(x)),
    lambda x: ad.checkpoint(lambda y: np.tanh(y) * y[::-1])(x),
    halved,
    cubed,
]


def random_function(rng: np.random.Generator, depth: int, around: list[Any], weights: Any, batch: Any) -> Function:
    """Make a function of three numbers to one, which uses the variables of those around it, and weights."""
    steps = [STEPS[k] for k in rng.integers(len(STEPS), size=3)]
    kind, place, seed = rng.integers(10), rng.random() < 0.5, rng.integers(1 << 30)

    def program(x: Any) -> Any:
        for step in steps:
            x = step(x) + 0.1 * x
            x = x @ weights * np.sum(around[-1]) if around else x @ weights
        return np.sum(x * CONSTANT)

    def nested(x: Any) -> Any:
        inner = random_function(np.random.default_rng(seed), depth - 1, [*around, x], weights, batch)
        at = x * 0.8 if place else CONSTANT / 2
        ways: list[Callable[[], Any]] = [
            lambda: np.sum(ad.grad(inner)(at) * x),
            lambda: ad.jvp(inner, (at,), (x * 0.5 + CONSTANT,))[1],
            lambda: np.sum(ad.vjp(inner, at)[1](0.5 * x[0])[0]),
            lambda: np.sum(ad.jacobian(lambda y: y * inner(y))(at) @ x),
            lambda: np.sum(ad.hessian(inner)(at) @ x),
            lambda: np.sum(ad.hvp(inner)(at, x)),
            lambda: np.sum(batch(inner)(ROWS + at)),
            lambda: np.sum(batch(lambda y, k: inner(y) * y[0] * k)((ROWS * at), np.stack([x[0], x[1]]))),
            lambda: np.sum(batch(lambda a: a * inner(x))(CONSTANT)),
            lambda: np.sum(batch(lambda a: batch(lambda b: inner(at * a * b) * a)(CONSTANT))(CONSTANT)),
        ]
        return program(x) * 0.1 + ways[kind]()

    return nested if depth else program


def looped(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *columns: np.stack([f(*row) for row in zip(*columns, strict=True)])


@pytest.mark.filterwarnings("ignore:.*does not depend on the argument")
@pytest.mark.parametrize("seed", range(40))
def test_random_programs_give_what_loops_give(seed: int) -> None:
    depth = 1 + seed % 2
    start = np.linspace(-0.7, 0.9, 9).reshape(3, 3)

    def results(batch: Any) -> list[Any]:
        def total(weights: Any, x: Any = ROWS) -> Any:
            f = random_function(np.random.default_rng(seed), depth, [], weights, batch)
            return np.sum(batch(f)(x) * np.array([1.0, 2.0]))

        weights = Tensor(start)
        total(weights).backward()
        return [
            total(start),
            weights.grad,
            ad.grad(total, argnums=1)(start, ROWS),
            ad.jvp(total, (start,), (start[::-1],), argnums=0)[1],
            ad.hvp(total)(start, start[::-1]) if depth == 1 else 0.0,
            np.sum(batch(ad.grad(total))(np.stack([start, start / 2])), 0),
        ]

    for found, expected in zip(results(ad.vmap), results(looped), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8 * (1 + np.max(np.abs(expected))))


def test_products_with_what_was_run_before_are_those_of_each_member() -> None:
    x, vectors = np.array([0.1, 0.2, 0.3]), np.eye(3)

    def f(x: Any) -> Any:
        return np.tanh(x) * np.sum(x)

    jacobian = ad.jacobian(f)(x)
    _, pull = ad.vjp(f, x)
    _, push = ad.linearize(f, x)
    np.testing.assert_allclose(ad.vmap(pull)(vectors)[0], jacobian, rtol=1e-14)
    np.testing.assert_allclose(ad.vmap(push)(vectors), jacobian.T, rtol=1e-14)

    def squares(x: Any) -> Any:
        _, pull = ad.vjp(f, x)
        return (ad.vmap(pull)(vectors)[0] ** 2).sum()

    def squares_of_rows(x: Any) -> Any:
        _, pull = ad.vjp(f, x)
        return sum((pull(v)[0] ** 2).sum() for v in vectors)

    np.testing.assert_allclose(ad.grad(squares)(x), ad.grad(squares_of_rows)(x), rtol=1e-12)
    np.testing.assert_allclose(ad.hessian(squares)(x), ad.hessian(squares_of_rows)(x), rtol=1e-12)


def test_a_backward_pass_within_the_function_adds_the_gradient_of_every_member() -> None:
    w, shown = Tensor(np.array([1.0, 2.0])), []
    w.register_hook(lambda g: shown.append(g.shape))

    def f(x: Any) -> Any:
        loss = (np.tanh(w) * x).sum()
        loss.backward()
        return loss

    ad.vmap(f)(np.arange(6.0).reshape(3, 2))
    np.testing.assert_allclose(w.grad, (1 - np.tanh([1.0, 2.0]) ** 2) * [6.0, 9.0], rtol=1e-14)
    assert shown == [(2,)]
