"""Gradients of what calls made: kept, shown to functions, and replaced by them."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.core.hooks import HOOKS
from autodiff.drawing.gradients import gradients_of_all
from autodiff.drawing.nodes import nodes_of


def test_reading_the_gradient_of_a_call_warns_and_says_retain_grad() -> None:
    x = Tensor(3.0)
    y = x * x
    y.backward()
    with pytest.warns(UserWarning, match=r"made by multiply keeps no gradient.*retain_grad\(\) before backward"):
        assert y.grad is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert x.grad == 6
        assert (x.detach() * 2).grad is None  # a constant
        assert Tensor(1.0).grad is None


def test_retained_gradients_add_up_as_those_of_leaves() -> None:
    x = Tensor([1.0, 2.0])
    y = x * x
    y.retain_grad()
    y.retain_grad()
    assert y.grad is None
    y.sum().backward()
    (3 * y).sum().backward()
    np.testing.assert_array_equal(y.grad, [4, 4])
    np.testing.assert_array_equal(x.grad, [8, 16])
    y.grad *= 0
    np.testing.assert_array_equal(x.grad, [8, 16])
    x.retain_grad()  # of a leaf: nothing changes
    np.testing.assert_array_equal(x.grad, [8, 16])


def test_a_retained_gradient_of_an_output_is_its_own_array() -> None:
    y = Tensor([1.0, 2.0]) * 2
    y.retain_grad()
    seed = np.ones(2)
    y.backward(seed)
    y.grad[0] = 7
    assert seed[0] == 1


def test_retained_gradients_with_a_graph() -> None:
    x = Tensor(2.0)
    y = x**3
    y.retain_grad()
    (y * y).backward(create_graph=True)
    assert isinstance(y.grad, Tensor)
    assert float(y.grad) == 16
    x.grad = None
    y.grad.backward()
    assert float(x.grad) == 24  # d(2 x³)/dx


def test_only_backward_keeps_gradients() -> None:
    kept = []

    def f(x: Any) -> Any:
        y = x * x
        y.retain_grad()
        kept.append(y)
        return y * 3

    assert ad.grad(f)(2.0) == 12
    assert kept[0].grad is None


def test_a_hook_sees_the_whole_gradient_once() -> None:
    seen: list[Any] = []
    x = Tensor([1.0, 2.0])
    y = x * 2
    y.register_hook(seen.append)
    (y * y + 3 * y).sum().backward()
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], [7, 11])
    np.testing.assert_array_equal(x.grad, [14, 22])


def test_what_a_hook_gives_flows_on() -> None:
    x = Tensor([1.0, 2.0])
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: np.clip(g, None, 8))
    y.register_hook(lambda g: -g)
    (y * y + 3 * y).sum().backward()
    np.testing.assert_array_equal(y.grad, [-7, -8])
    np.testing.assert_array_equal(x.grad, [-14, -16])


def test_a_hook_of_a_leaf_and_its_removal() -> None:
    x = Tensor(3.0)
    hook = x.register_hook(lambda g: 10 * g)
    (x * x).backward()
    assert x.grad == 60
    hook.remove()
    hook.remove()
    (x * x).backward()
    assert x.grad == 66


def test_hooks_with_a_graph() -> None:
    x = Tensor(2.0)
    x.register_hook(lambda g: g * g)
    (x**3).backward(create_graph=True)
    assert float(x.grad) == 144  # (3 x²)²
    first = x.grad
    x.grad = None
    first.backward()
    # d(9 x⁴)/dx = 36 x³ = 288, whose own gradient goes through the hook too.
    assert float(x.grad) == 288**2


def test_hooks_in_transforms() -> None:
    def f(x: Any) -> Any:
        y = x * x
        y.register_hook(lambda g: 5 * g)
        return y.sum()

    np.testing.assert_array_equal(ad.grad(f)(np.array([1.0, 2.0])), [10, 20])
    np.testing.assert_array_equal(ad.hessian(f)(np.array([1.0, 2.0])), [[10, 0], [0, 10]])


def test_hooks_on_pieces_of_lists_and_outputs() -> None:
    x = Tensor([3.0, 4.0])
    left, right = np.split(x, 2)
    left.register_hook(lambda g: 10 * g)
    both = np.concatenate([left, right, left])
    both.sum().backward()
    np.testing.assert_array_equal(x.grad, [20, 1])


def test_a_hook_keeps_dtype_and_shape() -> None:
    x = Tensor(np.ones(2, np.float32))
    x.register_hook(lambda g: g.astype(np.float64) * 2)
    x.sum().backward()
    assert x.grad.dtype == np.float32
    y = Tensor(np.ones(2), name="y")
    y.register_hook(lambda g: g[0])
    with pytest.raises(ValueError, match=r"register_hook: the gradient of Tensor 'y' of shape \(2,\) cannot become"):
        y.sum().backward()
    assert y.grad is None
    z = Tensor(np.ones(2) * 1j)
    z.register_hook(lambda g: g[0])
    with pytest.raises(ValueError, match="the function gives an array of numbers of its shape, or None"):
        abs(z).sum().backward()


def test_bad_hooks() -> None:
    with pytest.raises(TypeError, match="must be a function of the gradient, got 3"):
        Tensor(1.0).register_hook(3)  # type: ignore[arg-type]
    constant = Tensor(1.0, requires_grad=False)
    with pytest.raises(RuntimeError, match=r"register_hook: .*requires no gradient"):
        constant.register_hook(print)
    with pytest.raises(RuntimeError, match=r"retain_grad: .*requires no gradient"):
        constant.retain_grad()


def test_hooks_go_with_their_tensor() -> None:
    before = len(HOOKS)
    gc.disable()
    try:
        for _ in range(10):
            y = Tensor(1.0) * 2
            y.register_hook(lambda g: g)
            y.retain_grad()
            y.backward()
        del y
        assert len(HOOKS) == before
    finally:
        gc.enable()


def test_hooks_in_pictures() -> None:
    x = Tensor(3.0, name="x")
    y = x * x
    y.name = "y"
    y.retain_grad()
    y.register_hook(lambda g: 100 * g)
    z = y * 2
    nodes = nodes_of([z])
    gradients = gradients_of_all(nodes, [z])
    assert [gradients[node.key] for node in nodes if node.name in ("x", "y")] == [1200, 200]
    assert y.grad is None  # drawing is no backward()


def test_hooks_in_compiled_steps() -> None:
    w = Tensor(np.array([1.0, 2.0]), name="w")

    def step(x: Any) -> Any:
        w.grad = None
        h = w * x
        h.register_hook(lambda g: np.clip(g, -1, 1))
        h.retain_grad()
        (h * h).sum().backward()
        w.data = w.data - 0.1 * w.grad
        return h.grad

    compiled = ad.compile(step, state=w)
    x = np.array([0.1, 3.0])
    for _ in range(3):
        before = w.data.copy()
        kept = compiled(x)
        np.testing.assert_allclose(kept, np.clip(2 * before * x, -1, 1))
        np.testing.assert_allclose(w.data, before - 0.1 * np.clip(2 * before * x, -1, 1) * x)


def test_hooks_with_checkpoint_are_called_once() -> None:
    w, x = Tensor(3.0), Tensor(2.0)
    w.register_hook(lambda g: 10 * g)
    x.register_hook(lambda g: 100 * g)
    ad.checkpoint(lambda x: x * w)(x).backward()
    assert (w.grad, x.grad) == (20, 300)


def test_forward_mode_and_jacobians_do_without_hooks() -> None:
    def f(x: Any) -> Any:
        y = x * x
        y.register_hook(lambda g: np.clip(g, -1, 1))
        return 5 * y

    assert ad.grad(f)(3.0) == 6
    assert ad.jvp(f, (3.0,), (1.0,))[1] == 30
    assert ad.jvp(lambda x: np.linalg.det(f(x) * np.eye(1)), (3.0,), (1.0,))[1] == pytest.approx(30)
    np.testing.assert_array_equal(ad.jacobian(lambda x: np.stack([f(x), f(x)]))(3.0), [30, 30])
    np.testing.assert_array_equal(ad.jacobian(f)(np.array([3.0])), [[30]])


@pytest.mark.parametrize(
    ("give", "message"),
    [
        pytest.param(lambda g: np.ma.array(g, mask=True), "numpy.MaskedArray cannot be used", id="masked"),
        pytest.param(lambda g: g * 1j, "cannot become array", id="complex"),
        pytest.param(lambda g: [1.0, 2.0], "cannot become", id="list"),
        pytest.param(lambda g: "text", "cannot become 'text'", id="text"),
    ],
)
def test_what_a_hook_must_not_give(give: Any, message: str) -> None:
    x = Tensor([1.0, 2.0])
    x.register_hook(give)
    with pytest.raises(TypeError, match=message):
        (x * x).sum().backward()
    assert x.grad is None


def test_what_a_hook_gives_stays_its_own() -> None:
    own = np.array([7.0, 8.0])
    x = Tensor([1.0, 2.0])
    x.register_hook(lambda g: own)
    x.sum().backward()
    x.grad *= 0
    np.testing.assert_array_equal(own, [7, 8])


def test_anomalies_made_by_hooks_are_named() -> None:
    x = Tensor([1.0, 2.0], name="x")
    x.register_hook(lambda g: g * np.nan)
    with (
        ad.detect_anomaly(),
        pytest.raises(FloatingPointError, match=r"a function registered for .*gave nan"),
    ):
        (x * x).sum().backward()
