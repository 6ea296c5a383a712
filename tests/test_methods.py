"""Every method and property of arrays is one of Tensors: it gives what the array's gives, or says what to write."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.testing import check_gradients

X = np.array([[3.0, -1.0, 2.5], [0.5, 4.0, -2.0]])

SAME: dict[str, Callable[[Any], Any]] = {
    "all": lambda x: x.all(),
    "all over an axis": lambda x: x.all(axis=0, keepdims=True),
    "any": lambda x: x.any(axis=1),
    "argmax": lambda x: x.argmax(axis=1, keepdims=True),
    "argmin": lambda x: x.argmin(),
    "argpartition": lambda x: x[0].argpartition(1),
    "argsort": lambda x: x.argsort(axis=0, kind="stable"),
    "astype": lambda x: x.astype(np.float32),
    "astype with options": lambda x: x.astype(np.float32, order="C", casting="same_kind", copy=False),
    "astype to integers": lambda x: x.astype(int),
    "choose": lambda x: (x > 0).astype(int)[0].choose([x[0], 2 * x[1]]) if isinstance(x, np.ndarray) else None,
    "clip": lambda x: x.clip(-1, 3),
    "clip by keyword": lambda x: x.clip(max=2.0),
    "compress": lambda x: x.compress([True, False, True], axis=1),
    "conj": lambda x: x.conj(),
    "conjugate": lambda x: x.conjugate(),
    "copy": lambda x: x.copy(),
    "copy in an order": lambda x: x.copy(order="C"),
    "cumprod": lambda x: x.cumprod(axis=1),
    "cumsum": lambda x: x.cumsum(axis=0, dtype=None),
    "cumsum of all": lambda x: x.cumsum(),
    "diagonal": lambda x: x.diagonal(offset=1, axis1=1, axis2=0),
    "dot": lambda x: x.dot(x.T),
    "flat": lambda x: [float(one.item()) for one in x.flat],
    "flatten": lambda x: x.flatten("F"),
    "imag": lambda x: x.imag,
    "item": lambda x: x.item(1, 2),
    "itemsize": lambda x: x.itemsize,
    "max": lambda x: x.max(0),
    "max by keyword": lambda x: x.max(axis=1, keepdims=True),
    "max initial": lambda x: x.max(initial=3.5),
    "mean": lambda x: x.mean(axis=(0, 1), keepdims=True),
    "mean by position": lambda x: x.mean(1, None),
    "min": lambda x: x.min(axis=0, out=None),
    "mT": lambda x: x.mT,
    "nbytes": lambda x: x.nbytes,
    "ndim": lambda x: x.ndim,
    "nonzero": lambda x: x.nonzero(),
    "prod": lambda x: x.prod(axis=1),
    "prod of dtype None": lambda x: x.prod(dtype=None),
    "ravel": lambda x: x.ravel("F"),
    "real": lambda x: x.real,
    "repeat": lambda x: x.repeat(2, axis=1),
    "reshape": lambda x: x.reshape(3, -1),
    "reshape in an order": lambda x: x.reshape((3, 2), order="F"),
    "round": lambda x: x.round(decimals=0),
    "searchsorted": lambda x: x[1].searchsorted([1.0, 5.0]),
    "shape": lambda x: x.shape,
    "size": lambda x: x.size,
    "squeeze": lambda x: x[:, :1].squeeze(axis=1),
    "std": lambda x: x.std(axis=0, ddof=1),
    "strides": lambda x: x.strides,
    "sum": lambda x: x.sum(),
    "sum by position": lambda x: x.sum(0, None),
    "sum of float32": lambda x: x.sum(axis=0, dtype=np.float32),
    "sum where": lambda x: x.sum(axis=1, where=X > 0),
    "sum initial": lambda x: x.sum(initial=2.0),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "T": lambda x: x.T,
    "take": lambda x: x.take([0, 2], axis=1),
    "tobytes": lambda x: x.tobytes(),
    "tolist": lambda x: x.tolist(),
    "trace": lambda x: x.trace(offset=1),
    "transpose": lambda x: x.transpose(1, 0),
    "var": lambda x: x.var(axis=1, ddof=1, keepdims=True),
    "len": len,
    "round()": round,
    "round() to digits": lambda x: round(x, 1),
    "divmod()": lambda x: divmod(x, 2.0),
    "divmod() from the left": lambda x: divmod(7.0, x),
    "in": lambda x: (4.0 in x, 4.5 in x),
}


@pytest.mark.together("name", [name for name in SAME if name not in ("choose", "round()", "round() to digits")])
def test_methods_give_what_the_arrays_give(name: str) -> None:
    use = SAME[name]
    actual, expected = use(Tensor(X)), use(X)
    if not isinstance(expected, tuple | list):
        actual, expected = [actual], [expected]
    for one, other in zip(actual, expected, strict=True):
        one = one.data if isinstance(one, Tensor) else one
        assert type(one) is type(other) or (name == "size" and isinstance(one, int))  # which says more when called
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
        np.testing.assert_array_equal(one, other)


def test_rounding() -> None:
    np.testing.assert_array_equal(round(Tensor([1.26, -0.5])).data, [1, -0.0])
    np.testing.assert_array_equal(round(Tensor([1.26, -0.51]), 1).data, [1.3, -0.5])


def test_choosing() -> None:
    choices = [Tensor([1.0, 2.0]), np.array([3.0, 4.0])]
    numbers = Tensor(np.array([0, 1]), requires_grad=False)
    np.testing.assert_array_equal(numbers.choose(choices).data, [1, 4])


DIFFERENTIABLE: dict[str, Callable[[Any], Any]] = {
    "cumsum": lambda x: x.cumsum(axis=1) ** 2,
    "cumprod": lambda x: x.cumprod(axis=0) ** 2,
    "repeat": lambda x: x.repeat([1, 2, 0], axis=1) ** 2,
    "trace": lambda x: x.trace(1) ** 2,
    "diagonal": lambda x: x.diagonal() ** 2,
    "compress": lambda x: x.compress([True, False, True], axis=1) ** 2,
    "flat": lambda x: x.flat**2,
    "real": lambda x: x.real**2,
    "ravel": lambda x: x.ravel("F") ** 2,
    "reshape": lambda x: x.reshape((3, 2), order="F") ** 2,
    "sum where": lambda x: x.sum(axis=1, where=X > 0) ** 2,
    "divmod": lambda x: divmod(x, 0.7)[1] ** 2,
    "copy": lambda x: x.copy() ** 2,
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_methods_have_gradients(name: str) -> None:
    check_gradients(DIFFERENTIABLE[name], X, order=2)


IN_PLACE = {
    "sort": "np.sort",
    "fill": "np.full_like",
    "put": r"at\[indices\]",
    "partition": "np.partition",
    "resize": "np.resize",
    "byteswap": "x.data.byteswap",
    "view": "astype",
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_methods_that_write_in_place_name_what_does_not(name: str) -> None:
    x = Tensor(X)
    with pytest.raises(TypeError, match=rf"^{name}: .*{IN_PLACE[name]}"):
        getattr(x, name)(0)
    np.testing.assert_array_equal(x.data, X)


def test_out_is_refused() -> None:
    for use in (lambda x, out: x.sum(out=out), lambda x, out: x.cumsum(out=out), lambda x, out: x.max(0, out)):
        with pytest.raises((TypeError, NotImplementedError), match="out"):
            use(Tensor(X), np.zeros(3))


def test_every_method_of_arrays_is_there_or_said_not_to_be() -> None:
    # What has to do with memory, files or bits, and nothing with numbers.
    left_out = {
        "base", "ctypes", "device", "dump", "dumps", "flags", "getfield", "setfield", "setflags", "to_device", "tofile",
    }  # fmt: skip
    missing = {name for name in dir(np.ndarray) if not name.startswith("_") and not hasattr(Tensor, name)}
    assert missing == left_out


def test_complex() -> None:
    assert complex(Tensor(1.0)) == 1
    assert complex(Tensor(1 + 2j)) == 1 + 2j
    with pytest.raises(TypeError, match="complex"):
        float(Tensor(1 + 2j))
    with pytest.warns(UserWarning, match="made a Python number, through which no gradient flows"):
        ad.grad(lambda x: x * abs(complex(x)))(1.0)


def test_casting_is_checked() -> None:
    with pytest.raises(TypeError, match="cannot become float32 by casting='safe'"):
        Tensor(X).astype(np.float32, casting="safe")


# Where numbers leave a Tensor

ROWS = [np.ones(3), np.zeros(3)]
LOST: dict[str, tuple[Callable[[Any], Any], str]] = {
    "array.dot(x)": (lambda x: ROWS[0].dot(x), r"write X @ W"),
    "np.array of a list": (lambda x: np.array([x, x]), r"write np.stack\(\[a, b\]\)"),
    "np.asarray": (lambda x: np.asarray(x), r"or x itself"),
    "np.r_": (lambda x: np.r_[x, x], r"write np.concatenate"),
    "np.c_": (lambda x: np.c_[x, x], r"write np.column_stack"),
    "np.int64": (lambda x: np.int64(x), r"write x\.astype\(int\)"),
    "np.full": (lambda x: np.full((2, 3), x), r"write np.broadcast_to\(x, shape\)"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_numpy_does_not_hand_over_says_what_to_write(name: str) -> None:
    use, message = LOST[name]
    with pytest.raises(TypeError, match=rf"requires a gradient, which would be lost in a plain array: .*{message}"):
        use(Tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("index", [0, slice(0, 1), (Ellipsis, 1), [0, 2]], ids=str)
@pytest.mark.parametrize("x", [2.0, [1.0], [1.0, 2.0]], ids=str)
def test_storing_in_a_plain_array(index: Any, x: Any) -> None:
    out = np.zeros(3)
    with pytest.raises((TypeError, ValueError)) as caught:
        out[index] = Tensor(x)
    # For a single element, NumPy puts an error of its own in front.
    error = caught.value if isinstance(caught.value, TypeError) else caught.value.__cause__
    assert "write np.stack of the elements, or y = x.at[index].set" in str(error)
    np.testing.assert_array_equal(out, np.zeros(3))
    constant = Tensor(2.0, requires_grad=False)
    out[0] = constant
    assert out[0] == 2
    kept = {}
    kept[0] = Tensor(x)  # a dict keeps the Tensor itself
    assert isinstance(kept[0], Tensor)
    numbers = np.zeros(1)
    numbers[0] = Tensor(2.0).item()
    assert numbers[0] == 2


def test_storing_a_sum_in_place() -> None:
    out = np.zeros(3)
    with pytest.raises(ValueError, match="setting an array element") as caught:
        out[0] += Tensor(2.0)
    assert "np.stack" in str(caught.value.__cause__)


NUMBERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "int": int,
    "math.sin": math.sin,
    "math.floor": math.floor,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("transform", [ad.grad, ad.value_and_grad, ad.hessian], ids=lambda one: one.__name__)
def test_numbers_made_in_transforms_warn_once_a_line(name: str, transform: Any) -> None:
    def f(x: Any) -> Any:
        for _ in range(3):
            NUMBERS[name](x)
        return x * x

    with pytest.warns(UserWarning, match=r"made a Python number, through which no gradient flows.*np\.sin") as caught:
        transform(f)(2.0)
    assert caught[0].filename == __file__


def test_numbers_made_elsewhere_do_not_warn() -> None:
    x = Tensor(2.0)
    for convert in NUMBERS.values():
        convert(x * x)

    def f(x: Any) -> Any:
        assert x.item() == 2  # says that a number is meant
        assert f"{x:.1f}" == "%.1f" % x == "2.0"  # noqa: UP031
        assert float(np.sign(x.detach())) == 1
        return x * x

    assert ad.grad(f)(2.0) == 4
    float(x)  # after a transform too
