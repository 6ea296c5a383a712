"""The Tensor: what it is made from, its operators and methods, what it turns into, and what it refuses."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor

OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
}
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def matrix() -> Tensor:
    return Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


# Construction


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(3, np.float64(3), id="integer"),
        pytest.param(2.5, np.float64(2.5), id="float"),
        pytest.param([1, 2], np.array([1.0, 2.0]), id="list of integers"),
        pytest.param([[1, 2.5]], np.array([[1.0, 2.5]]), id="nested list"),
        pytest.param((1.0, 2.0), np.array([1.0, 2.0]), id="tuple"),
        pytest.param([], np.array([]), id="empty list"),
        pytest.param(np.float32(1.5), np.float32(1.5), id="numpy scalar"),
        pytest.param(np.array(1.5), np.float64(1.5), id="0-d array"),
        pytest.param(np.ones(2, np.float16), np.ones(2, np.float16), id="half precision"),
        pytest.param([np.ones(2), [2.0, 3.0]], np.array([[1.0, 1.0], [2.0, 3.0]]), id="list of arrays"),
    ],
)
def test_data_and_dtype(data: Any, expected: Any) -> None:
    x = Tensor(data)
    assert x.requires_grad
    assert x.grad is None
    assert type(x.data) is type(expected)
    assert x.dtype == expected.dtype
    assert x.shape == expected.shape
    np.testing.assert_array_equal(x.data, expected)


def test_data_is_copied() -> None:
    array = np.ones(2)
    x = Tensor(array)
    array[0] = 5
    np.testing.assert_array_equal(x.data, [1, 1])


def test_dtype_name_and_requires_grad() -> None:
    x = Tensor([1, 2], dtype=np.float32, name="x")
    assert (x.dtype, x.name, x.requires_grad) == (np.float32, "x", True)
    labels = Tensor(np.array([1, 2]), requires_grad=False)
    assert (labels.dtype.kind, labels.requires_grad) == ("i", False)
    assert Tensor([True, False], requires_grad=False).dtype == bool
    assert [Tensor(x).dtype for x in (1j, np.ones(2, complex), np.complex64(1j))] == [complex, complex, np.complex64]
    assert Tensor([1.0], dtype=complex).dtype == complex
    assert Tensor(3, requires_grad=False).dtype.kind == "i"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        pytest.param(lambda: Tensor("abc"), TypeError, "must be numbers, got str", id="string"),
        pytest.param(lambda: Tensor(["1", "2"]), TypeError, "must be numbers, got list", id="list of strings"),
        pytest.param(lambda: Tensor(["a"], dtype=float), ValueError, "not numbers", id="strings as floats"),
        pytest.param(lambda: Tensor(None), TypeError, "must be numbers, got NoneType", id="None"),
        pytest.param(lambda: Tensor({"a": 1}), TypeError, "must be numbers, got dict", id="dictionary"),
        pytest.param(lambda: Tensor([[1.0], [1.0, 2.0]]), ValueError, "ragged", id="ragged list"),
        pytest.param(lambda: Tensor(np.array(["2020-01-01"], "M8")), TypeError, "must be numbers", id="dates"),
        pytest.param(lambda: Tensor(np.arange(3)), TypeError, r"int64 has no gradient.*astype\(float\)", id="integers"),
        pytest.param(lambda: Tensor(np.ones(3, np.uint8)), TypeError, "uint8 has no gradient", id="unsigned integers"),
        pytest.param(lambda: Tensor(np.array([True])), TypeError, "bool has no gradient", id="booleans"),
        pytest.param(lambda: Tensor(True), TypeError, "bool has no gradient", id="boolean"),
        pytest.param(lambda: Tensor([1.0], dtype=int), TypeError, "int64 has no gradient", id="dtype int"),
        pytest.param(lambda: Tensor(Tensor(1.0)), TypeError, "Tensor already.*detach", id="Tensor"),
        pytest.param(lambda: Tensor([Tensor(1.0), Tensor(2.0)]), TypeError, "np.stack", id="list of Tensors"),
    ],
)
def test_bad_data(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# The array inside


def test_properties_are_the_arrays() -> None:
    x = matrix()
    for name in ("shape", "dtype", "ndim", "size", "nbytes"):
        assert getattr(x, name) == getattr(x.data, name)
    scalar = Tensor(2.0, dtype=np.float32)
    assert (scalar.shape, scalar.ndim, scalar.size, scalar.nbytes) == ((), 0, 1, 4)


def test_item_and_tolist() -> None:
    x = matrix()
    assert x.item(1, 2) == 6.0
    assert x.item(1) == 2.0
    assert type(Tensor(2.0).item()) is float
    assert x.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    with pytest.raises(ValueError, match="is not a single number"):
        x.item()


def test_data_can_be_assigned() -> None:
    x = Tensor([1.0, 2.0])
    x.data = np.array([3.0, 4.0])
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [6, 8])
    x.data = [5.0, 6.0]
    np.testing.assert_array_equal(x.data, [5, 6])
    x.data -= np.array([1.0, 1.0])
    np.testing.assert_array_equal(x.data, [4, 5])
    scalar = Tensor(1.0, dtype=np.float32)
    scalar.data = 2
    assert (scalar.data, scalar.dtype) == (2, np.float32)


def test_data_assigned_from_a_tensor_is_its_array() -> None:
    x = Tensor([1.0, 2.0])
    x.data = x * 2
    assert type(x.data) is np.ndarray
    np.testing.assert_array_equal(x.data, [2, 4])


@pytest.mark.parametrize(
    "value", [np.ones(3), np.ones(2, np.float32), np.ones((2, 1)), [1.0], 1.0, np.ones(2, int), Tensor(np.ones(3))]
)
def test_data_of_another_shape_or_dtype_is_refused(value: Any) -> None:
    x = Tensor([1.0, 2.0], name="weights")
    with pytest.raises(ValueError, match=r"data: Tensor 'weights' of shape \(2,\) of dtype float64 cannot take"):
        x.data = value
    np.testing.assert_array_equal(x.data, [1, 2])


# Operators


@pytest.mark.together("operate", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.together(
    "other",
    [
        3,
        2.0,
        True,
        np.float64(2.0),
        np.float32(2.0),
        np.int64(2),
        np.array(2.0),
        np.array([1.0, 2.0, 3.0]),
        np.ones((4, 1, 1)),
        np.array([1, 2, 3]),
        [1.0, 2.0, 3.0],
    ],
    ids=lambda other: f"{type(other).__name__}-{np.shape(other)}",
)
def test_operators_with_anything_on_either_side(operate: Callable[..., Any], other: Any) -> None:
    for call in (lambda x: operate(x, other), lambda x: operate(other, x)):
        x = matrix()
        y = call(x)
        expected = call(x.data)
        assert type(y) is Tensor
        assert y.requires_grad
        assert y.dtype == expected.dtype
        np.testing.assert_array_equal(y.data, expected)
        constant = call(x.detach())
        assert type(constant) is Tensor
        assert not constant.requires_grad
        y.sum().backward()
        assert x.grad.shape == x.shape


@pytest.mark.parametrize("operate", OPERATORS.values(), ids=OPERATORS)
@pytest.mark.parametrize("other", [3, 2.0, np.float64(2.0), np.array([1.0, 2.0])], ids=repr)
def test_operators_of_scalars(operate: Callable[..., Any], other: Any) -> None:
    x = Tensor(1.5)
    for call in (lambda x: operate(x, other), lambda x: operate(other, x)):
        np.testing.assert_array_equal(call(x).data, call(np.float64(1.5)))


def test_matmul_on_both_sides() -> None:
    x, array = matrix(), np.arange(6.0).reshape(3, 2)
    for y, expected in ((x @ array, x.data @ array), (array @ x, array @ x.data), (x @ x.T, x.data @ x.data.T)):
        assert type(y) is Tensor
        np.testing.assert_array_equal(y.data, expected)


def test_augmented_operators_make_new_tensors() -> None:
    x = Tensor([1.0, 2.0])
    y = x
    y += 1
    y *= 3
    y -= x
    y /= 2.0
    y **= 2
    np.testing.assert_array_equal(x.data, [1, 2])
    y.sum().backward()
    np.testing.assert_allclose(x.grad, 2 * (x.data + 1.5))  # y = (x + 1.5)²


def test_operator_of_an_unknown_type() -> None:
    for other in ("abc", None, object()):
        with pytest.raises(TypeError):
            Tensor([1.0]) + other  # type: ignore[operator]


# Comparisons and questions give plain arrays


@pytest.mark.parametrize("compare", COMPARISONS.values(), ids=COMPARISONS)
def test_comparisons_are_plain(compare: Callable[..., Any]) -> None:
    x, array = matrix(), np.array([2.0, 2.0, 3.0])
    for result, expected in (
        (compare(x, array), compare(x.data, array)),
        (compare(array, x), compare(array, x.data)),
        (compare(x, 2), compare(x.data, 2)),
        (compare(2, x), compare(2, x.data)),
        (compare(x, Tensor(array)), compare(x.data, array)),
    ):
        assert type(result) is np.ndarray
        assert result.dtype == bool
        np.testing.assert_array_equal(result, expected)
    assert type(compare(Tensor(1.0), Tensor(2.0))) is np.bool_


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda x: x.argmax(), id="argmax()"),
        pytest.param(lambda x: x.argmax(axis=1), id="argmax(axis)"),
        pytest.param(lambda x: x.argmin(0), id="argmin()"),
        pytest.param(lambda x: x.argsort(axis=0), id="argsort()"),
        pytest.param(lambda x: (x > 2).any(), id="comparison.any()"),
        pytest.param(lambda x: x.all(axis=1), id="all()"),
        pytest.param(lambda x: x.any(axis=0, keepdims=True), id="any()"),
        pytest.param(lambda x: np.argmax(x, axis=1), id="argmax"),
        pytest.param(lambda x: np.argsort(x), id="argsort"),
        pytest.param(lambda x: np.all(x, axis=0), id="all"),
        pytest.param(lambda x: np.isnan(x), id="isnan"),
        pytest.param(lambda x: np.isfinite(x), id="isfinite"),
        pytest.param(lambda x: np.allclose(x, x), id="allclose"),
        pytest.param(lambda x: np.array_equal(x, x), id="array_equal"),
        pytest.param(lambda x: np.nonzero(x)[1], id="nonzero"),
        pytest.param(lambda x: np.shape(x), id="shape"),
        pytest.param(lambda x: np.ndim(x), id="ndim"),
        pytest.param(lambda x: np.size(x), id="size"),
        pytest.param(lambda x: np.result_type(x, np.float32), id="result_type"),
        pytest.param(lambda x: np.zeros_like(x), id="zeros_like"),
        pytest.param(lambda x: np.ones_like(x, dtype=np.float32), id="ones_like"),
        pytest.param(lambda x: np.searchsorted(x[0], 1.5), id="searchsorted"),
        pytest.param(lambda x: np.logical_and(x, x > 1), id="logical_and"),
        pytest.param(lambda x: np.lexsort((x[0], x[1])), id="list of Tensors"),
        pytest.param(lambda x: np.isclose(a=x, b=1.0), id="keywords"),
    ],
)
def test_questions_are_answered_plainly(ask: Callable[..., Any]) -> None:
    x = matrix()
    answer, expected = ask(x), ask(x.data)
    assert type(answer) is type(expected)
    np.testing.assert_array_equal(answer, expected)


# What a Tensor turns into


@pytest.mark.parametrize(
    "convert",
    [
        np.asarray,
        np.array,
        np.ascontiguousarray,
        lambda x: np.array([x, x]),
        lambda x: np.asarray(x, dtype=np.float32),
    ],
    ids=["asarray", "array", "ascontiguousarray", "array of a list", "asarray with a dtype"],
)
def test_a_tensor_that_requires_a_gradient_does_not_become_an_array(convert: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"shape \(2, 3\) requires a gradient.*x\.data or x\.detach\(\)"):
        convert(matrix())


def test_a_constant_becomes_an_array() -> None:
    x = matrix().detach()
    array = np.asarray(x)
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, x.data)
    assert np.array(x) is not x.data
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.array([x, x]), np.stack([x.data, x.data]))


def test_numbers() -> None:
    x = Tensor(2.75)
    assert (float(x), int(x), bool(x)) == (2.75, 2, True)
    assert float(Tensor([[2.5]])) == 2.5
    assert not bool(Tensor(0.0))
    assert not bool(Tensor([0.0]))


@pytest.mark.parametrize("convert", [float, int, bool])
def test_several_elements_are_no_number(convert: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"single number|ambiguous"):
        convert(matrix())
    with pytest.raises(ValueError, match=r"single number|ambiguous"):
        convert(Tensor([]))


def test_truth_says_what_to_use() -> None:
    with pytest.raises(ValueError, match=r"bool\(\) of a Tensor of shape \(2, 3\).*np.any"):
        not matrix()


def test_length_and_iteration() -> None:
    x = matrix()
    assert len(x) == 2
    rows = list(x)
    assert [row.data.tolist() for row in rows] == x.tolist()
    (rows[1] * 3).sum().backward()
    np.testing.assert_array_equal(x.grad, [[0, 0, 0], [3, 3, 3]])
    a, b = Tensor([1.0, 2.0])
    assert (a.shape, float(b)) == ((), 2.0)
    assert list(Tensor([])) == []
    with pytest.raises(TypeError, match="0-d"):
        iter(Tensor(1.0))
    with pytest.raises(TypeError):
        len(Tensor(1.0))


def test_tensors_are_keys() -> None:
    x, y = Tensor(1.0), Tensor(1.0)
    assert {x: "x", y: "y"}[y] == "y"


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (Tensor(2.0), "Tensor(2.)"),
        (Tensor([1.0, 2.5]), "Tensor([1. , 2.5])"),
        (Tensor([1.0], dtype=np.float32), "Tensor([1.], dtype=float32)"),
        (Tensor([1.0], name="w"), "Tensor([1.], name='w')"),
        (Tensor([1.0], requires_grad=False), "Tensor([1.], requires_grad=False)"),
        (np.tanh(Tensor(0.0)), "Tensor(0., call=tanh)"),
        (Tensor([1.0]).sum(), "Tensor(1., call=sum)"),
        (matrix(), "Tensor([[1., 2., 3.],\n        [4., 5., 6.]])"),
    ],
)
def test_repr(tensor: Tensor, text: str) -> None:
    assert repr(tensor) == str(tensor) == f"{tensor}" == text


def test_format() -> None:
    assert f"{Tensor(3.14159):.2f}" == "3.14"
    assert f"{Tensor([2.5]):>6}" == "   2.5"
    with pytest.raises(ValueError, match="is not a single number"):
        f"{matrix():.2f}"


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
    ids=["deepcopy", "pickle"],
)
@pytest.mark.parametrize(
    "leaf",
    [Tensor([1.0, 2.0], name="w"), Tensor(3.0), Tensor(np.array([1]), requires_grad=False, name="labels")],
    ids=["vector", "number", "constant"],
)
def test_leaves_can_be_copied(leaf: Tensor, duplicate: Callable[[Tensor], Tensor]) -> None:
    leaf.grad = np.full(leaf.shape, 5.0)
    twin = duplicate(leaf)
    assert twin is not leaf
    assert (twin.name, twin.requires_grad, twin.dtype) == (leaf.name, leaf.requires_grad, leaf.dtype)
    np.testing.assert_array_equal(twin.data, leaf.data)
    np.testing.assert_array_equal(twin.grad, leaf.grad)
    assert not np.shares_memory(twin.data, leaf.data)
    if twin.requires_grad:
        (twin * 2).sum().backward()
        np.testing.assert_array_equal(twin.grad, np.full(leaf.shape, 7.0))
        np.testing.assert_array_equal(leaf.grad, np.full(leaf.shape, 5.0))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_computed_tensors_cannot_be_copied(duplicate: Callable[[Tensor], Any]) -> None:
    with pytest.raises(TypeError, match=r"only a leaf.*made by tanh.*detach\(\)"):
        duplicate(np.tanh(matrix()))


# Methods that are not NumPy's


def test_detach_and_stop_gradient() -> None:
    x = Tensor([1.0, 2.0])
    for constant in (x.detach(), ad.stop_gradient(x), (x * 1).detach()):
        assert type(constant) is Tensor
        assert not constant.requires_grad
        np.testing.assert_array_equal(constant.data, x.data)
    assert x.detach().data is x.data
    array = np.ones(2)
    assert ad.stop_gradient(array) is array


def test_methods_refuse_what_the_function_refuses() -> None:
    with pytest.raises(ValueError, match="mT: a matrix has at least two axes"):
        _ = Tensor([1.0]).mT
    with pytest.raises(np.exceptions.AxisError):
        matrix().sum(axis=2)
    with pytest.raises(np.exceptions.AxisError):
        matrix().take([0], axis=2)
    with pytest.raises(IndexError):
        matrix()[2]


# What is refused


def test_assignment_into_a_tensor() -> None:
    x = matrix()
    with pytest.raises(TypeError, match=r"cannot be assigned into.*x\.at\[index\]\.set"):
        x[0, 0] = 5.0
    with pytest.raises(TypeError, match="cannot be assigned into"):
        x[0] += 1


def test_out_is_refused() -> None:
    x, array = matrix(), np.zeros((2, 3))
    for call in (
        lambda: np.exp(x, out=array),
        lambda: np.add(x, 1, array),
        lambda: np.add(array, 1, out=x),
        lambda: np.sum(x, out=np.zeros(())),
        lambda: np.sum(array, out=x),
        lambda: np.clip(x, 0, 1, out=array),
        lambda: np.concatenate([x], out=array),
    ):
        with pytest.raises(TypeError, match="out= cannot be used with a Tensor"):
            call()
    with pytest.raises(TypeError, match=r"\+="):
        array += x
    np.testing.assert_array_equal(array, np.zeros((2, 3)))


def test_out_none_is_no_out() -> None:
    x = matrix()
    (np.sum(x, axis=0, out=None) * np.array([1.0, 2.0, 3.0])).sum().backward()
    np.testing.assert_array_equal(x.grad, [[1, 2, 3], [1, 2, 3]])
    assert np.argmax(x, out=None) == 5


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.add.reduceat(x, [0, 1]), "add.reduceat"),
        (lambda x: np.unique(x), "unique"),
        (lambda x: np.add.at(np.zeros(3), [0], x), "add.at"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_functions_without_a_rule_are_named(call: Callable[..., Any], name: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"^{name} has no derivative rule: .*autodiff\.defvjp.*x\.data"):
        call(matrix())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.add(x, 1.0, where=x > 2), r"add with where= has no .*: it takes no .* np.where\(mask, x"),
        (lambda x: np.exp(x, dtype=np.float32), "exp with dtype= has no derivative rule: .* astype"),
        (
            lambda x: np.median(x, overwrite_input=True),
            "median with overwrite_input= .*, only axis=, keepdims= .* x.data",
        ),
    ],
    ids=["where", "dtype", "overwrite_input"],
)
def test_keywords_without_a_rule_are_named(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(NotImplementedError, match=message):
        call(matrix())


def test_tensors_by_keyword() -> None:
    x = matrix()
    for y, expected in (
        (np.sum(a=x, axis=0), [[1, 1, 1], [1, 1, 1]]),
        (np.clip(np.full((2, 3), 2.5), a_min=x, a_max=None), [[0, 0, 1], [1, 1, 1]]),
        (np.clip(np.full((2, 3), 2.5), min=x), [[0, 0, 1], [1, 1, 1]]),
        (np.stack(arrays=[x, x]), [[2, 2, 2], [2, 2, 2]]),
    ):
        x.grad = None
        y.sum().backward()
        np.testing.assert_array_equal(x.grad, expected)
    with pytest.raises(
        TypeError, match=r"sum has no derivative with respect to initial= given by keyword: .* its \.data"
    ):
        np.sum(x, initial=x[0, 0])
    assert np.sum(x, initial=x[0, 0].detach()).data == x.data.sum() + x.data[0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x + np.ones(4), r"add of shapes \(2, 3\) and \(4,\)"),
        (lambda x: np.ones(4) - x, r"subtract of shapes \(4,\) and \(2, 3\)"),
        (lambda x: x * Tensor(np.ones((3, 1))), r"multiply of shapes \(2, 3\) and \(3, 1\)"),
        (lambda x: [1.0, 2.0] / x, r"divide of shapes .*\(2, 3\)"),
        (lambda x: np.maximum(x, np.ones(2)), r"maximum of shapes \(2, 3\) and \(2,\)"),
        (lambda x: x @ x, r"matmul of shapes \(2, 3\) and \(2, 3\)"),
        (lambda x: np.ones(4) @ x, r"matmul of shapes \(4,\) and \(2, 3\)"),
        (lambda x: x @ Tensor(1.0), r"matmul of shapes \(2, 3\) and \(\)"),
        (lambda x: np.dot(x, x), r"dot of shapes \(2, 3\) and \(2, 3\)"),
        (lambda x: np.concatenate([x, np.ones(3)]), r"concatenate of shapes \(2, 3\) and \(3,\)"),
        (lambda x: np.stack([x, x.T]), r"stack of shapes \(2, 3\) and \(3, 2\)"),
        (lambda x: x.reshape(4, 2), r"reshape of shapes \(2, 3\)"),
        (lambda x: np.where(np.ones(2, bool), x, 0), r"where of shapes \(2,\) and \(2, 3\)"),
        (lambda x: np.broadcast_to(x, (3, 3)), r"broadcast_to of shapes \(2, 3\)"),
        (lambda x: np.split(x, 2, axis=1), r"split of shapes \(2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(matrix())


def test_a_list_that_changes_after_the_call_changes_no_gradient() -> None:
    x, index = Tensor([1.0, 2.0, 3.0]), [0, 1]
    y = x[index]
    index[0] = 2
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1, 0])


@pytest.mark.parametrize("function", [np.multiply, np.dot, np.matmul])
def test_a_list_of_tensors_counts_as_the_array_it_makes(function: Callable[..., Any]) -> None:
    M = np.array([[1.0, 10.0], [100.0, 1000.0]])
    a, b = Tensor(1.0), Tensor(2.0)
    function(Tensor(M, requires_grad=False), [a, b]).sum().backward()
    assert (float(a.grad), float(b.grad)) == (101.0, 1010.0)


def test_an_integer_constant_times_a_list_is_no_repetition() -> None:
    x = Tensor(2, requires_grad=False, dtype=int)
    np.testing.assert_array_equal((x * [1, 2]).data, [2, 4])
    np.testing.assert_array_equal(([1, 2] * x).data, [2, 4])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.full_like(np.zeros(2), x),
        lambda x: np.histogram(np.zeros(1), weights=x.reshape(1)),
    ],
)
def test_nothing_that_depends_on_a_tensor_becomes_a_constant(call: Callable[..., Any]) -> None:
    with pytest.raises((NotImplementedError, TypeError)):
        call(Tensor(3.0))


def test_a_leaf_with_a_recorded_gradient_can_be_copied() -> None:
    x = Tensor(3.0)
    (x**2).backward(create_graph=True)
    assert float(copy.deepcopy(x).grad) == 6.0


# Changed copies, in place of assignment


def test_at_gives_changed_copies() -> None:
    x, v = Tensor(np.arange(6.0).reshape(2, 3)), Tensor([10.0, 20.0])
    y = x.at[:, 1].set(v)
    np.testing.assert_array_equal(y.data, [[0, 10, 2], [3, 20, 5]])
    np.testing.assert_array_equal(x.data, np.arange(6.0).reshape(2, 3))
    y = y.at[0].multiply(2).at[[1, 1], [0, 0]].add(v)
    np.testing.assert_array_equal(y.data, [[0, 20, 4], [33, 20, 5]])
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad, [[0, 0, 16], [66, 0, 10]])
    np.testing.assert_array_equal(v.grad, [2 * 20 * 2 + 66, 40 + 66])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(lambda x: x.at[5].set(1.0), IndexError, "index 5 is out of bounds", id="index"),
        pytest.param(lambda x: x.at[0].set([1.0, 2.0]), ValueError, "could not broadcast", id="shape"),
        pytest.param(lambda x: x.at[0].add(Tensor(np.ones((2, 3)))), ValueError, "broadcast", id="too many axes"),
        pytest.param(lambda x: x.at[0].multiply("a"), (TypeError, ValueError), "a|str", id="text"),
    ],
)
def test_at_refuses_what_does_not_fit(call: Callable[..., Any], error: Any, message: str) -> None:
    x = matrix()
    before = x.data.copy()
    with pytest.raises(error, match=message):
        call(x)
    np.testing.assert_array_equal(x.data, before)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda x, y: np.inner(x, [y, y]), id="inner"),
        pytest.param(lambda x, y: np.outer([y, 1.0], x), id="outer"),
        pytest.param(lambda x, y: np.einsum("i,i", x, [y, y]), id="einsum"),
        pytest.param(lambda x, y: np.kron(x, [y, 2.0]), id="kron"),
        pytest.param(lambda x, y: np.linalg.solve(np.eye(2) * x, [y, y]), id="solve"),
        pytest.param(lambda x, y: np.append(x, [y, y]), id="append"),
        pytest.param(lambda x, y: np.hypot(x, [y, y]), id="hypot"),
        pytest.param(lambda x, y: np.linalg.multi_dot([np.eye(2) * x, np.eye(2), x * y]), id="multi_dot"),
    ],
)
def test_a_list_with_tensors_is_the_array_that_numpy_makes_of_it(call: Callable[..., Any]) -> None:
    ad.testing.check_gradients(call, np.array([1.5, 2.0]), np.array(0.5), order=2)


# Primitives


def test_a_primitive_hands_its_call_to_an_array_type_that_asks_for_it() -> None:
    @ad.primitive
    def scaled(x: Any, factor: float = 2.0) -> Any:
        return x * factor

    class Noting:
        def __array_call__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
            return function.__name__, args, kwargs

    x = Noting()
    assert scaled(x, factor=3.0) == ("scaled", (x,), {"factor": 3.0})
    assert scaled(1.0, x) == ("scaled", (1.0, x), {})
    assert scaled(np.ones(2)).tolist() == [2.0, 2.0]
