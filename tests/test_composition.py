"""Functions whose derivative is that of the calls they are made of, is computed again, or is given by hand."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor, checkpoint, custom_vjp, defcomposition, defvjp, grad, primitive
from autodiff.testing import check_gradients
from tests.strict import StrictArray, reveal

rng = np.random.default_rng(0)


# Compositions


@primitive
def divided(x: Any, y: Any, axis: int = 0, *, scale: float = 1.0) -> Any:
    total = x.sum(axis) if isinstance(x, np.ndarray) else np.sum(x, axis=axis)
    return scale * total / y


defcomposition(divided, lambda x, y, axis=0, *, scale=1.0: scale * np.sum(x, axis=axis) / y, arguments=2)


@primitive
def halves(x: Any) -> tuple[Any, Any]:
    return x[: len(x) // 2] ** 2, np.sin(x[len(x) // 2 :])


defcomposition(halves, lambda x: (x[: x.shape[0] // 2] ** 2, np.sin(x[x.shape[0] // 2 :])))


@primitive
def product_of_all(first: float, *factors: Any) -> Any:
    return first * np.prod(np.stack(factors), axis=0)


defcomposition(
    product_of_all, lambda first, factors: first * np.prod(np.stack(factors), axis=0), arguments=2, variadic=True
)


def test_composition_is_one_call() -> None:
    y = divided(Tensor(np.ones((2, 3))), 2.0)
    assert repr(y) == "Tensor([1., 1., 1.], call=divided)"


def test_composition_has_derivatives_of_any_order() -> None:
    check_gradients(lambda x, y: divided(x, y, 1, scale=3.0), rng.normal(size=(2, 3)), np.array([1.5, 2.0]), order=3)
    check_gradients(halves, rng.normal(size=5), order=3)
    check_gradients(lambda x: halves(x)[1] * 2, rng.normal(size=5), order=2)
    check_gradients(lambda x, y: product_of_all(2.0, x, y, x), rng.normal(size=2), rng.normal(size=2), order=3)
    check_gradients(lambda x, y: product_of_all(x, y, np.ones(2)), rng.normal(size=()), rng.normal(size=2), order=2)


def test_composition_flows_on_other_arrays() -> None:
    x = Tensor(StrictArray([1.0, 2.0, 3.0]))
    first, second = halves(x)
    (first.sum() + second.sum()).backward()
    np.testing.assert_allclose(reveal(x.grad), [2.0, np.cos(2.0), np.cos(3.0)])


def test_composition_takes_what_its_signature_says() -> None:
    with pytest.raises(NotImplementedError, match="divided with dtype= has no derivative rule"):
        divided(Tensor(np.ones((2, 2))), 2.0, dtype=float)


# Checkpoints


def layer(x: Any, w: Any) -> Any:
    return np.tanh(x @ w) + x


@pytest.mark.parametrize("create_graph", [False, True])
def test_checkpoint_gives_the_same_gradients(create_graph: bool) -> None:
    data, weights = rng.normal(size=(2, 3)), rng.normal(size=(3, 3))

    def gradients(wrap: Callable[..., Any]) -> list[Any]:
        x, w = Tensor(data), Tensor(weights)
        y = wrap(layer)(wrap(lambda x: layer(x, w) * 2)(x), w)  # one weight given, and one used from outside
        (y**2).sum().backward(create_graph=create_graph)
        first = [x.grad, w.grad]
        if not create_graph:
            return first
        x.grad = w.grad = None
        (first[0].sum() + (first[1] ** 2).sum()).backward()
        return [*(g.data for g in first), x.grad, w.grad]

    for actual, expected in zip(gradients(checkpoint), gradients(lambda f: f), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-10)


def test_checkpoint_of_containers_and_several_results() -> None:
    def f(p: Any, scale: float = 1.0) -> Any:
        return {"y": np.sin(p["x"]) * p["k"], "n": 3}, [p["x"] ** 2 * scale, np.ones(2)]

    x, k = Tensor(np.array([0.5, 1.0])), 2
    first, (second, constant) = checkpoint(f)({"x": x, "k": k}, scale=3.0)
    assert first["n"] == 3
    assert type(constant) is np.ndarray
    (first["y"].sum() + (second**2).sum()).backward()
    np.testing.assert_allclose(x.grad, 2 * np.cos(x.data) + 36 * x.data**3)


def test_checkpoint_within_transforms() -> None:
    f = checkpoint(lambda x: np.sin(x) * x)
    assert grad(grad(f))(0.7) == pytest.approx(2 * np.cos(0.7) - 0.7 * np.sin(0.7))
    assert ad.jvp(f, (0.7,), (2.0,))[1] == pytest.approx(2 * (np.cos(0.7) * 0.7 + np.sin(0.7)))
    assert f(0.7) == np.sin(0.7) * 0.7
    with ad.no_grad():
        assert not f(Tensor(0.7)).requires_grad
    check_gradients(checkpoint(checkpoint(lambda x: np.exp(x) * x)), rng.normal(size=3), order=3)


def test_checkpoint_keeps_only_what_it_is_given() -> None:
    size, layers, piece = 50_000, 64, 8
    one = 8 * size  # bytes of one result

    def run(x: Any, count: int) -> Any:
        for _ in range(count):
            x = np.tanh(x)
        return x

    def peak(whole: Callable[[Any], Any]) -> float:
        x = Tensor(rng.normal(size=size))
        tracemalloc.start()
        whole(x).sum().backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / one

    def in_pieces(x: Any) -> Any:
        for _ in range(layers // piece):
            x = checkpoint(lambda x: run(x, piece))(x)
        return x

    # A chain keeps every result; in pieces, one result each and all of the piece that is being computed again. The
    # backward pass needs a few arrays more: the gradient, the one before, and what is between.
    extra = 5
    assert layers <= peak(lambda x: run(x, layers)) <= layers + extra
    assert peak(in_pieces) <= layers // piece + piece + extra


def test_checkpoint_notices_a_function_that_is_not_the_same_twice() -> None:
    noise = np.random.default_rng(0)
    y = checkpoint(lambda x: x * noise.normal())(Tensor(2.0))
    with pytest.raises(RuntimeError, match=r"checkpoint: the function gave another result .* random"):
        y.backward()


def test_checkpoint_notices_changes_in_place() -> None:
    x, w = Tensor(2.0), Tensor(3.0)
    y = checkpoint(lambda x: x * w)(x)
    w.data = 4.0
    with pytest.raises(RuntimeError, match=r"another result .* what it uses must not be changed"):
        y.backward()


# Derivatives given by hand


@custom_vjp
def log1pexp(x: Any, scale: float = 1.0) -> Any:
    """Softplus."""
    return np.log(1 + np.exp(x)) * scale


def log1pexp_forward(x: Any, scale: float = 1.0) -> Any:
    return np.logaddexp(x, 0) * scale, (x, scale)


log1pexp.defvjp(log1pexp_forward, lambda saved, g: (g * saved[1] / (1 + np.exp(-saved[0])),))


def test_custom_vjp_is_numerically_better() -> None:
    assert log1pexp.__name__ == "log1pexp"
    assert log1pexp.__doc__ == "Softplus."
    assert log1pexp(0.0) == np.log(2)
    assert grad(log1pexp)(1000.0) == 1.0
    assert ad.value_and_grad(log1pexp)(1000.0) == (1000.0, 1.0)
    assert grad(log1pexp)(0.0, scale=4.0) == 2.0
    check_gradients(log1pexp, rng.normal(size=(2, 3)), order=3)
    assert ad.jvp(log1pexp, (0.0,), (4.0,))[1] == 2.0
    assert repr(log1pexp(Tensor(1000.0))) == "Tensor(1000., call=log1pexp)"


def test_custom_vjp_of_several_arguments_and_results() -> None:
    @custom_vjp
    def polar(point: Any, turn: Any, unit: str) -> Any:
        return np.hypot(point["x"], point["y"]), np.arctan2(point["y"], point["x"]) + turn

    def forward(point: Any, turn: Any, unit: str) -> Any:
        radius = np.sqrt(point["x"] ** 2 + point["y"] ** 2)
        return (radius, np.arctan2(point["y"], point["x"]) + turn), (point, radius)

    def backward(saved: Any, gs: Any) -> Any:
        (point, r), (g, h) = saved, gs
        x, y = point["x"], point["y"]
        return {"x": g * x / r - h * y / r**2, "y": g * y / r + h * x / r**2}, h, None

    polar.defvjp(forward, backward)
    check_gradients(
        lambda x, y, t: polar({"x": x, "y": y}, t, "rad"), *(rng.uniform(1, 2, 3) for _ in range(3)), order=2
    )
    check_gradients(lambda x: polar({"x": x, "y": x * 2}, 1.0, "rad")[1] * x, rng.uniform(1, 2, 3), order=2)


def test_custom_vjp_may_leave_an_argument_without_gradient() -> None:
    @custom_vjp
    def straight_through(x: Any) -> Any:
        return np.round(x)

    straight_through.defvjp(lambda x: (np.rint(x), None), lambda saved, g: (g,))
    np.testing.assert_array_equal(grad(lambda x: (straight_through(x) * 2).sum())(np.array([0.4, 1.6])), [2, 2])
    with ad.no_grad():
        assert float(straight_through(Tensor(1.6).data)) == 2.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(lambda: checkpoint(3), TypeError, "checkpoint: the argument must be a function, got 3", id="int"),
        pytest.param(lambda: custom_vjp(None), TypeError, "custom_vjp: the argument must be a function", id="None"),
        pytest.param(
            lambda: custom_vjp(layer)(Tensor(1.0)), RuntimeError, r"say layer.defvjp\(forward, backward\)", id="bare"
        ),
        pytest.param(
            lambda: custom_vjp(layer).defvjp(layer, 3), TypeError, "layer.*: backward must be a function", id="backward"
        ),
    ],
)
def test_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("forward", "backward", "error", "message"),
    [
        pytest.param(lambda x: x * x, lambda s, g: (g,), TypeError, "forward must return the pair", id="no pair"),
        pytest.param(
            lambda x: (x * x, x), lambda s, g: g, TypeError, "tuple with one gradient for each of 1", id="one"
        ),
        pytest.param(lambda x: (x * x, x), lambda s, g: (g, g), TypeError, "1 arguments, got 2", id="too many"),
        pytest.param(
            lambda x: (x * x, x),
            lambda s, g: (g.sum(),),
            ValueError,
            r"a rule of square returned a gradient of shape \(\) for argument 0 of shape \(2,\)",
            id="shape",
        ),
    ],
)
def test_custom_vjp_says_what_is_wrong_with_it(forward: Any, backward: Any, error: Any, message: str) -> None:
    @custom_vjp
    def square(x: Any) -> Any:
        return x * x

    square.defvjp(forward, backward)
    with pytest.raises(error, match=message):
        grad(lambda x: square(x).sum())(np.ones(2))


def test_custom_vjp_refuses_tensors_that_its_backward_could_not_serve() -> None:
    w = Tensor([3.0, 4.0])
    f = custom_vjp(lambda x, y=None: x * w)
    f.defvjp(lambda x, y=None: (x * w, x), lambda s, g: (g * w,))
    with pytest.raises(TypeError, match=r"forward uses a Tensor of shape \(2,\) that it is not given"):
        f(Tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="pass Tensors by position; keyword arguments are constants"):
        f(Tensor([1.0, 2.0]), y=w)


def test_custom_vjp_gives_gradients_of_containers_by_key_and_none_for_none() -> None:
    f = custom_vjp(lambda d: d["p"] * d["q"])
    f.defvjp(lambda d: (f(d), d), lambda d, g: ({"q": g * d["p"], "p": g * d["q"]},))
    found = grad(lambda d: f(d).sum())({"p": np.array([1.0, 2.0]), "q": np.array([5.0, 6.0])})
    np.testing.assert_array_equal(found["p"], [5, 6])
    np.testing.assert_array_equal(found["q"], [1, 2])
    f = custom_vjp(lambda pair: pair[0] * pair[1])
    f.defvjp(lambda pair: (pair[0] * pair[1], pair), lambda pair, g: ([g * pair[1], None],))
    assert grad(f)([2.0, 3.0]) == [3.0, 0.0]
    f.defvjp(lambda pair: (pair[0] * pair[1], pair), lambda pair, g: ([g, g, g],))
    with pytest.raises(TypeError, match=r"backward gave gradients at \[0\], \[1\], \[2\]"):
        grad(f)([2.0, 3.0])


def test_primitive_refuses_tensors_in_a_dict() -> None:
    f = primitive(lambda x, options: x * options["k"])
    with pytest.raises(TypeError, match="pass Tensors by position or in lists, not in a dict"):
        f(Tensor(1.0), {"k": Tensor(2.0)})
    defvjp(f, lambda g, out, x, options: g * options["k"])
    for call in (lambda x, k: f(x, {"k": k}), lambda x, k: f(x, options={"k": k}), lambda x, k: f(1.0, {"k": k})):
        with pytest.raises(TypeError, match="pass Tensors by position or in lists, not in a dict"):
            call(Tensor(1.0), Tensor(2.0))


def test_containers_may_be_changed_after_the_call() -> None:
    given = [Tensor([1.0, 2.0])]
    y = checkpoint(lambda items: items[0] * 2)(given)
    given.append(given[0])
    y.sum().backward()
    np.testing.assert_array_equal(given[0].grad, [2, 2])


def test_functions_may_change_the_containers_they_are_given() -> None:
    def taken(p: Any) -> Any:
        return p.pop("w") ** 2

    w = Tensor([1.0, 2.0])
    checkpoint(taken)({"w": w}).sum().backward()
    np.testing.assert_array_equal(w.grad, [2, 4])
    f = custom_vjp(lambda p: p["w"] ** 2)
    f.defvjp(lambda p: (taken(p), w.detach()), lambda w, g: ({"w": 2 * g * w},))
    w.grad, given = None, {"w": w}
    y = f(given)
    given["v"] = w
    y.sum().backward()
    np.testing.assert_array_equal(w.grad, [2, 4])


def test_a_composition_of_another_shape_is_refused() -> None:
    total = primitive(lambda x: np.sum(x, keepdims=True))
    defcomposition(total, lambda x: x * x)
    with pytest.raises(ValueError, match=r"gave shape \(3,\) in the backward pass, and what it stands for gave \(1,\)"):
        total(Tensor([1.0, 2.0, 3.0])).backward()


def test_checkpoint_with_a_parameter_that_is_made_when_it_is_first_needed() -> None:
    made: dict[str, Tensor] = {}

    def f(x: Any) -> Any:
        if "w" not in made:
            made["w"] = Tensor(3.0)
        return x * made["w"]

    checkpoint(f)(Tensor(2.0)).backward()
    assert made["w"].grad == 2
