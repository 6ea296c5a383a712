"""`detect_anomaly`: the first value or gradient that is not finite, and the line that made it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor, detect_anomaly
from autodiff.core.watch import WATCHES


def test_forward() -> None:
    x = Tensor([[1.0, 0.0], [2.0, 3.0]])
    with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        np.exp(np.log(x)).sum()  # the line
    message = str(caught.value)
    assert message.startswith("log of shape (2, 2) gave -inf at index (0, 1), at File ")
    assert __file__ in message
    assert message.endswith("np.exp(np.log(x)).sum()  # the line")


def test_backward_names_the_line_of_the_call() -> None:
    x, y = Tensor([4.0, 0.0]), Tensor([1.0, 2.0])
    with detect_anomaly():
        z = np.sqrt(x) * y  # made here
        with pytest.raises(FloatingPointError) as caught:
            z.sum().backward()
    message = str(caught.value)
    assert message.startswith(
        "backward: sqrt of shape (2,) gave inf at index (1,) as the gradient of its Tensor of shape (2,), at File "
    )
    assert message.endswith("z = np.sqrt(x) * y  # made here")


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_backward_of_a_call_from_before() -> None:
    y = np.sqrt(Tensor(0.0))
    with detect_anomaly(), pytest.raises(FloatingPointError, match="made before detect_anomaly began"):
        y.backward()


def test_with_create_graph_the_message_is_the_same() -> None:
    x = Tensor([4.0, 0.0])
    with detect_anomaly():
        y = np.sqrt(x).sum()
        with pytest.raises(FloatingPointError, match="backward: sqrt of shape"):
            y.backward(create_graph=True)
        with pytest.raises(FloatingPointError, match=r"backward: sqrt .* File .*test_anomaly.py.*lambda x"):
            ad.grad(ad.grad(lambda x: np.sqrt(x)))(0.0)


def test_complex_numbers_and_gradients_as_they_are_shown() -> None:
    z = Tensor([1j, 0j], name="z")
    with (
        detect_anomaly(),
        pytest.raises(FloatingPointError, match=r"log of shape \(2,\) gave -inf\+0j at index \(1,\)"),
    ):
        np.log(z)
    ad.defvjp(steep := ad.primitive(lambda z: z * 1), lambda g, out, z: g * complex(1, np.inf))
    y = steep(Tensor(np.array([1j, 0j])))
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"backward: .* gave nan-infj at index \(0,\)"):
        y.real.sum().backward()  # inside, what is shown as a - bj is a + bj


def test_inputs_that_hold_one_already_are_told() -> None:
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"multiply .* gave nan .* as its input held one"):
        Tensor([1.0, np.nan]) * 2


def test_scalars_lists_and_several_outputs() -> None:
    with detect_anomaly():
        with pytest.raises(FloatingPointError, match=r"divide of shapes \(\) and \(\) gave inf at index \(\)"):
            Tensor(1.0) / Tensor(0.0)
        with pytest.raises(FloatingPointError, match=r"stack of shapes \(\) and \(\) gave nan at index \(1,\)"):
            np.stack([Tensor(1.0), np.float64("nan")])
        with pytest.raises(FloatingPointError, match=r"split of shape \(2,\) gave inf"):
            np.split(Tensor([1.0, np.inf]), 2)


def test_what_is_finite_passes() -> None:
    x = Tensor([1.0, 2.0])
    with detect_anomaly():
        (np.log(x) * x).sum().backward()
        np.where(x > 1, x, 0.0).sum().backward(create_graph=True)
        assert np.argmax(x) == 1
    assert x.grad is not None


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_the_watch_ends_with_the_block_and_is_for_its_own_thread() -> None:
    results: list[Any] = []

    def elsewhere() -> None:
        with np.errstate(divide="ignore"):
            results.append(float(np.log(Tensor(0.0))))

    with detect_anomaly():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        with detect_anomaly(), pytest.raises(FloatingPointError):
            np.log(Tensor(0.0))
        with pytest.raises(FloatingPointError):
            np.log(Tensor(0.0))
    assert results == [-np.inf]
    assert not WATCHES
    assert float(np.log(Tensor(0.0))) == -np.inf


def test_every_line_of_a_model_is_found_through_the_librarys_own_frames() -> None:
    import nn

    model = nn.MLP([2, 3, 1], rng=0)
    for p in model.parameters():
        p.data = np.full_like(p.data, 3e38)
    with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        model(np.full((1, 2), 1e3, np.float32))  # called here
    assert str(caught.value).endswith("# called here")


def test_calls_with_several_outputs_are_looked_at() -> None:
    def root(a: Any) -> Any:
        w, v = np.linalg.eigh(a)
        return ((v * np.sqrt(w)) @ v.T)[0, 1]

    with ad.detect_anomaly():
        for a in (np.diag([1.0, 2.0]), 2 * np.eye(2)):
            assert np.isfinite(ad.grad(root)(a)).all()
            assert np.isfinite(ad.hessian(root)(a)).all()
        with pytest.raises(FloatingPointError, match=r"sqrt of .* gave inf"):
            ad.grad(lambda a: np.sqrt(np.linalg.eigh(a).eigenvalues).sum())(np.diag([0.0, 1.0]))
