"""The Tensor: an array, its gradient, and the NumPy call that made it.

NumPy hands every function that is called with a Tensor to ``__array_ufunc__`` or ``__array_function__`` below, and
both hand it to `record`, which runs the function on the arrays and remembers the call. Operators and methods are
short for the NumPy function of the same name. What a call's derivative is stands in ``autodiff/rules``; how the
derivatives are chained stands in ``autodiff/tape.py``.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar

import numpy as np

from autodiff.activations import relu, sigmoid
from autodiff.anomaly import WATCHES, current_watch
from autodiff.names import name_of
from autodiff.placement import At
from autodiff.spans import tick
from autodiff.tape import (
    CONSTANT,
    ELEMENTWISE,
    LISTED,
    LISTS,
    PLAIN,
    SIGNATURES,
    VJPS,
    Function,
    Outputs,
    defvjp,
    is_recording,
    load_late_rules,
    pullback,
    recording,
)

Axis = int | tuple[int, ...] | None
F = TypeVar("F", bound=Callable[..., Any])
Operator = Callable[[Any, Any], Any]

_NO_KEYWORDS: Mapping[str, Any] = {}


def _operators(function: np.ufunc, operate: Operator) -> tuple[Operator, Operator]:
    """Make an operator's method and its reflected twin.

    They do what `record` does, for two arguments only and without its loops, since small expressions are made of
    little else. Python's operator gives what the NumPy function gives, and is ten times as fast on scalars.
    """

    def method(self: Tensor, other: Any) -> Tensor:
        x = self._data
        requires_grad = self.requires_grad
        if isinstance(other, Tensor):
            y = other._data
            requires_grad = requires_grad or other.requires_grad
        else:
            y = other = np.asarray(other) if type(other) is list else other
        try:
            data = operate(x, y)
        except ValueError as error:
            raise _refused(error, function, (x, y)) from error.__cause__
        return _result(data, function, (self, other), (x, y), _NO_KEYWORDS, requires_grad)

    def reflected(self: Tensor, other: Any) -> Tensor:
        other = np.asarray(other) if type(other) is list else other
        y = self._data
        try:
            data = operate(other, y)
        except ValueError as error:
            raise _refused(error, function, (other, y)) from error.__cause__
        return _result(data, function, (other, self), (other, y), _NO_KEYWORDS, self.requires_grad)

    return method, reflected


def _method(function: Function, purpose: str) -> Callable[[Tensor], Tensor]:
    """Make the method that applies a function of one argument, as `_operators` does for two."""

    def method(self: Tensor) -> Tensor:
        return _unary(function, self)

    method.__doc__ = purpose
    return method


def _comparison(compare: Operator) -> Operator:
    """Make the method of a comparison, which gives a plain boolean or an array of them."""
    return lambda self, other: compare(self._data, data_of(other))


class Tensor:
    """An array that gradients flow through.

    Every NumPy function and operator works on it and is remembered, until `backward` carries a gradient back through
    all the calls and leaves it in ``grad`` of each Tensor that was made by hand.

    Args:
        data: a number, a list of numbers or an array; it is copied. Numbers become float64, arrays keep their dtype.
            Another array type that speaks NumPy's protocols is held as it is. Zero-dimensional data is held as a
            NumPy scalar, which is what NumPy's own functions return.
        requires_grad: whether gradients are wanted. Without, the Tensor counts as a constant.
        dtype: convert the data to this dtype.
        name: how pictures and messages call it.

    Attributes:
        data: the array. Assigning to it is noticed by a later `backward`; writing into it is not.
        grad: None, until `backward` adds a gradient to it: an array, or a Tensor with ``create_graph=True``. Assign
            None to begin anew.
        requires_grad: whether gradients are wanted; it may be set on a leaf.
        name: how pictures and messages call it, or None.

    Raises:
        TypeError: the data is not real numbers, or an array of integers or booleans that is to have a gradient.
        ValueError: the data is a ragged list.

    Example:
        >>> import numpy as np
        >>> x = Tensor([1.0, 2.0])
        >>> y = np.square(x).sum()
        >>> y.backward()
        >>> x.grad
        array([2., 4.])
    """

    __slots__ = (
        "__weakref__",
        "_args",
        "_data",
        "_function",
        "_kwargs",
        "_order",
        "_values",
        "grad",
        "name",
        "requires_grad",
    )

    _data: Any
    _function: Function | None  # None for a leaf: a Tensor that no recorded call made
    _args: tuple[Any, ...]  # as given, Tensors among them
    _values: tuple[Any, ...]  # as the function got them, arrays for Tensors
    _kwargs: Mapping[str, Any]
    _order: int
    grad: Any
    name: str | None
    requires_grad: bool

    def __init__(self, data: Any, requires_grad: bool = True, *, dtype: Any = None, name: str | None = None) -> None:
        self._data = _as_data(data, requires_grad, dtype)
        self._function = None
        self._order = tick()
        self.grad = None
        self.name = name
        self.requires_grad = requires_grad

    # The array inside

    @property
    def data(self) -> Any:
        """The array itself, without its history. What is assigned is not copied; a later `backward` notices."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        data = self._data
        if not isinstance(value, np.ndarray):
            value = data_of(value)
            if not hasattr(value, "dtype"):
                value = np.asarray(value, dtype=self.dtype)[()]
        if value is not data and (value.shape != data.shape or value.dtype != data.dtype):
            raise ValueError(
                f"data: {self._label()} of dtype {self.dtype} cannot take {value.dtype} of shape {value.shape}; make a "
                "new Tensor for it"
            )
        if self._function is not None:
            self._function = assignment
        self._data = value
        self._order = tick()

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """Type of the elements."""
        return self._data.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._data.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(self._data.size)

    @property
    def nbytes(self) -> int:
        """Bytes that the elements take."""
        return int(self._data.nbytes)

    @property
    def is_leaf(self) -> bool:
        """Whether the Tensor was made by hand and not by a recorded call."""
        return self._function is None

    def item(self, *index: Any) -> Any:
        """Give one element as a Python number; without an index, the only one."""
        if not index and self.size != 1:
            raise ValueError(f"item: {self._label()} is not a single number; give an index, as in x.item(0)")
        return self._data.item(*index)

    def tolist(self) -> Any:
        """Give the elements as nested lists of Python numbers."""
        return self._data.tolist()

    def detach(self) -> Tensor:
        """Give a constant Tensor that shares this one's data and knows nothing of its history.

        A later change of one in place, such as an optimizer's step, shows in the other and is not noticed.
        """
        return constant(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"bool() of a Tensor of shape {self.shape} is ambiguous: use np.any(x), np.all(x) or x.size"
            )
        return bool(self.item())

    def __len__(self) -> int:
        return len(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad:
            raise TypeError(
                f"{self._label()} requires a gradient, which would be lost in a plain array: use x.data or "
                "x.detach(), or np.stack to join Tensors"
            )
        return np.array(self._data, dtype=dtype, copy=copy)

    # Differentiation

    def backward(self, gradient: Any = None, create_graph: bool = False) -> None:
        """Add the gradient of this Tensor to ``grad`` of every leaf that it was computed from.

        Args:
            gradient: gradient of the final quantity with respect to this Tensor, of its shape. Needed unless the
                Tensor has a single element, for which it is one.
            create_graph: record the backward pass too. The gradients are then Tensors that can be differentiated
                again; otherwise they are plain arrays.

        Raises:
            RuntimeError: nothing was recorded, or a Tensor was changed in place since.
            ValueError: the gradient is missing or has another shape.
            TypeError: the gradient is not real numbers.

        Example:
            >>> x = Tensor(2.0)
            >>> (x**3).backward(create_graph=True)
            >>> x.grad
            Tensor(12., call=multiply)
            >>> second = x.grad
            >>> x.grad = None
            >>> second.backward()
            >>> float(x.grad)
            12.0
        """
        if not self.requires_grad:
            raise RuntimeError(
                f"backward: {self._label()} has no graph: nothing that it was computed from requires a gradient, "
                "or it was computed under no_grad()"
            )
        with recording(create_graph):
            for leaf, g in pullback([(self, self._seed(gradient, create_graph))], create_graph).items():
                g = constant(g) if create_graph and not isinstance(g, Tensor) else g
                leaf.grad = g if leaf.grad is None else leaf.grad + g

    def _seed(self, gradient: Any, create_graph: bool) -> Any:
        """Check the gradient that a walk begins with."""
        if self.dtype.kind != "f":
            raise TypeError(f"backward: {self._label()} is {self.dtype}; only real numbers are differentiated")
        if gradient is None:
            if self.size != 1:
                raise ValueError(
                    f"backward: {self._label()} is not a scalar: reduce it, as with .sum(), or give backward(gradient) "
                    "an array of its shape"
                )
            gradient = type(self._data)(1) if isinstance(self._data, np.generic) else np.ones_like(self._data)
        array = gradient._data if isinstance(gradient, Tensor) else gradient
        if not hasattr(array, "shape"):
            array = np.asarray(array)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"backward: the gradient must be real numbers, got dtype {array.dtype}")
        if array.shape != self.shape:
            raise ValueError(f"backward: a gradient of shape {array.shape} does not fit {self._label()}")
        if array.dtype != self.dtype:
            gradient = array = (gradient if create_graph else array).astype(self.dtype)
        if not create_graph:
            return array
        return gradient if isinstance(gradient, Tensor) else constant(array)

    # NumPy's dispatch

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if kwargs or function not in VJPS:
            return _dispatch(function, inputs, kwargs)
        if len(inputs) == 1 and ufunc.nout == 1:
            return _unary(function, self)
        return record(function, inputs)

    def __array_function__(self, function: Function, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _dispatch(function, args, kwargs)

    # Operators

    __add__, __radd__ = _operators(np.add, operator.add)
    __sub__, __rsub__ = _operators(np.subtract, operator.sub)
    __mul__, __rmul__ = _operators(np.multiply, operator.mul)
    __truediv__, __rtruediv__ = _operators(np.divide, operator.truediv)
    __pow__, __rpow__ = _operators(np.power, operator.pow)
    __matmul__, __rmatmul__ = _operators(np.matmul, operator.matmul)
    __floordiv__, __rfloordiv__ = _operators(np.floor_divide, operator.floordiv)
    __mod__, __rmod__ = _operators(np.remainder, operator.mod)

    __neg__ = _method(np.negative, "Negative of each element.")
    __pos__ = _method(np.positive, "Copy of each element.")
    __abs__ = _method(np.absolute, "Absolute value of each element; at zero the gradient is zero.")

    __lt__ = _comparison(operator.lt)
    __le__ = _comparison(operator.le)
    __gt__ = _comparison(operator.gt)
    __ge__ = _comparison(operator.ge)
    __eq__ = _comparison(operator.eq)
    __ne__ = _comparison(operator.ne)

    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Tensor:
        return record(operator.getitem, (self, index))

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "a Tensor cannot be assigned into, since calls that used it need its old values: write "
            "y = x.at[index].set(value), or .add or .multiply, which give a changed copy"
        )

    @property
    def at(self) -> At:
        """Change elements in a copy: ``x.at[index].set(v)``, ``.add(v)`` or ``.multiply(v)``."""
        return At(lambda function, index, values: record(function, (self, index, values)))

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape and not isinstance(self._data, Outputs):
            raise TypeError("iteration over a 0-d Tensor")
        pick = output if isinstance(self._data, Outputs) else operator.getitem
        return (record(pick, (self, position)) for position in range(len(self._data)))

    # Methods, as an array has them

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Sum of the elements over the axes, as `numpy.sum`."""
        return record(PLAIN[total], (self,), {"axis": axis, "keepdims": keepdims})

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Product of the elements over the axes, as `numpy.prod`."""
        return record(np.prod, (self,), {"axis": axis, "keepdims": keepdims})

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Maximum over the axes, as `numpy.max`; equal maxima share the gradient evenly."""
        return record(np.max, (self,), {"axis": axis, "keepdims": keepdims})

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Minimum over the axes, as `numpy.min`; equal minima share the gradient evenly."""
        return record(np.min, (self,), {"axis": axis, "keepdims": keepdims})

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Arithmetic mean over the axes, as `numpy.mean`."""
        return record(np.mean, (self,), {"axis": axis, "keepdims": keepdims})

    def var(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        """Variance over the axes, as `numpy.var`."""
        return record(np.var, (self,), {"axis": axis, "ddof": ddof, "keepdims": keepdims})

    def std(self, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        """Standard deviation over the axes, as `numpy.std`."""
        return record(np.std, (self,), {"axis": axis, "ddof": ddof, "keepdims": keepdims})

    def argmax(self, axis: int | None = None) -> Any:
        """Index of the first maximum, a plain integer or array of them."""
        return np.argmax(self._data, axis=axis)

    def argmin(self, axis: int | None = None) -> Any:
        """Index of the first minimum, a plain integer or array of them."""
        return np.argmin(self._data, axis=axis)

    def argsort(self, axis: int = -1) -> Any:
        """Indices that would sort the Tensor, a plain array."""
        return np.argsort(self._data, axis=axis)

    def all(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """Whether all elements are non-zero, a plain boolean or array of them."""
        return np.all(self._data, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, keepdims: bool = False) -> Any:
        """Whether any element is non-zero, a plain boolean or array of them."""
        return np.any(self._data, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        """Give the same elements another shape, as ``x.reshape(2, 3)`` or ``x.reshape((2, 3))``."""
        return record(np.reshape, (self, shape[0] if len(shape) == 1 else shape))

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes, by default reverse them."""
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = axes[0]
        return record(np.transpose, (self, axes or None))

    @property
    def T(self) -> Tensor:  # noqa: N802 (ndarray's name)
        """The Tensor with its axes reversed."""
        return record(np.transpose, (self,))

    @property
    def mT(self) -> Tensor:  # noqa: N802 (ndarray's name)
        """The Tensor with its last two axes swapped."""
        if self.ndim < 2:
            raise ValueError(f"mT: a matrix has at least two axes, not a {self._label()}")
        return record(np.swapaxes, (self, -1, -2))

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """Exchange two axes."""
        return record(np.swapaxes, (self, axis1, axis2))

    def ravel(self) -> Tensor:
        """Give the elements as one axis."""
        return record(np.ravel, (self,))

    def flatten(self) -> Tensor:
        """Give the elements as one axis, as `ravel` does."""
        return self.ravel()

    def squeeze(self, axis: Axis = None) -> Tensor:
        """Drop the axes of length one."""
        return record(np.squeeze, (self,), {"axis": axis})

    def astype(self, dtype: Any) -> Any:
        """Convert to another floating dtype; the gradient comes back in this one's. Other dtypes give plain arrays."""
        return record(astype, (self, dtype)) if np.dtype(dtype).kind == "f" else self._data.astype(dtype)

    def copy(self) -> Tensor:
        """Give a copy that gradients flow through."""
        return record(np.copy, (self,))

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit the elements to an interval; on its bounds the gradient is one."""
        return record(np.clip, (self, min, max))

    def dot(self, other: Any) -> Tensor:
        """Dot product, as `numpy.dot`."""
        return record(np.dot, (self, other))

    def take(self, indices: Any, axis: int | None = None) -> Tensor:
        """Elements at the indices along an axis, or of the flattened Tensor."""
        return record(np.take, (self, indices), {"axis": axis})

    exp = _method(np.exp, "Exponential of each element.")
    log = _method(np.log, "Natural logarithm of each element.")
    sqrt = _method(np.sqrt, "Square root of each element.")
    tanh = _method(np.tanh, "Hyperbolic tangent of each element.")
    relu = _method(relu, "Each element or zero, whichever is larger; at zero the gradient is zero.")
    sigmoid = _method(sigmoid, "Logistic function of each element.")

    # Text and copies

    def __repr__(self) -> str:
        data = self._data
        shown = np.array2string(data, separator=", ", prefix="Tensor(") if _is_numpy(data) else repr(data)
        parts = [shown]
        if self.dtype != np.float64:
            parts.append(f"dtype={self.dtype}")
        if self.name is not None:
            parts.append(f"name={self.name!r}")
        if self._function is not None:
            parts.append(f"call={name_of(self._function)}")
        elif not self.requires_grad:
            parts.append("requires_grad=False")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def _label(self) -> str:
        """Name the Tensor in a message."""
        made = f" made by {name_of(self._function)}" if self._function is not None and self.name is None else ""
        return f"{type(self).__name__}{f' {self.name!r}' if self.name else ''} of shape {self.shape}{made}"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._function is not None:
            raise TypeError(f"only a leaf can be copied or pickled, not a {self._label()}: use x.data or x.detach()")
        grad = self.grad.detach() if isinstance(self.grad, Tensor) else self.grad
        return _restore, (type(self), self._data, self.requires_grad, self.name, grad)


def data_of(x: Any) -> Any:
    """Give the array inside a Tensor, and anything else as it is."""
    return x._data if isinstance(x, Tensor) else x


def is_variable(x: Any) -> bool:
    """Whether something is a Tensor that requires a gradient."""
    return isinstance(x, Tensor) and x.requires_grad


def is_float(x: Any) -> bool:
    """Whether something can be differentiated by: a Python float, or an array of any kind, or Tensor, of floats."""
    return isinstance(x, float) or getattr(getattr(x, "dtype", None), "kind", "") == "f"


def as_array(x: Any) -> Any:
    """Make lists and numbers arrays, and leave arrays of any kind, Tensors among them, as they are."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def astype(x: Any, dtype: Any) -> Any:
    """Convert an array to a dtype, as its method does."""
    return x.astype(dtype)


def stop_gradient(x: Any) -> Any:
    """Give the value of ``x`` as a constant: no gradient flows back through it.

    A Tensor gives a Tensor that shares its data, anything else is returned as it is.

    Example:
        >>> x = Tensor(3.0)
        >>> (x * stop_gradient(x)).backward()
        >>> float(x.grad)
        3.0
    """
    return x.detach() if isinstance(x, Tensor) else x


def record(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any] = _NO_KEYWORDS) -> Tensor:
    """Run a function on the arrays inside its arguments and remember the call, if a gradient is to flow through it.

    Raises:
        NotImplementedError: the function, or the argument that requires a gradient, has no derivative rule.
        ValueError: the function refuses its arguments; where NumPy's message is only about shapes, the call is named.
    """
    rules = VJPS.get(function)
    if rules is None:
        if function in LISTED:
            first, listing = LISTED[function]
            arrays = [record(np.stack, (arg,)) if _holds_tensors(arg) else arg for arg in args[first:]]
            return record(listing, (*args[:first], arrays), kwargs)
        load_late_rules()
        if function in VJPS:
            return record(function, args, kwargs)
        raise NotImplementedError(
            f"{name_of(function)} has no derivative rule: give it one with autodiff.defvjp, call it on x.data, or "
            "write it in functions that have one"
        )
    if kwargs or len(args) > len(rules):
        args, kwargs = _check_call(function, args, kwargs)
    requires_grad = False
    values: list[Any] = []
    # A list is kept as a copy, since the caller may change it before the backward pass.
    for arg in args:
        position = len(values)
        if isinstance(arg, Tensor):
            values.append(arg._data)
            if not arg.requires_grad:
                continue
        elif type(arg) not in (list, tuple):
            values.append(arg)
            continue
        elif _holds_tensors(arg) and _joins(function):
            return record(function, (*args[:position], record(np.stack, (arg,)), *args[position + 1 :]), kwargs)
        elif _holds_tensors(arg):
            values.append(_plain(arg))
            args = (*args[:position], _copied(arg), *args[position + 1 :])
            if not any(tensor.requires_grad for tensor in _tensors_in(arg)):
                continue
        else:
            if type(arg) is list:
                arg = arg.copy()
                args = (*args[:position], arg, *args[position + 1 :])
            values.append(arg)
            continue
        if position >= len(rules) or rules[position] is None:
            raise NotImplementedError(
                f"{name_of(function)} has no derivative with respect to argument {position}: "
                "pass it as an array or detach() it"
            )
        requires_grad = True
    try:
        data = function(*values, **kwargs) if kwargs else function(*values)
    except ValueError as error:
        raise _refused(error, function, values) from error.__cause__
    if not hasattr(data, "shape"):
        if isinstance(data, list | tuple):
            whole = _result(Outputs(data), function, args, tuple(values), kwargs, requires_grad)
            return data._make(whole) if hasattr(data, "_make") else type(data)(whole)  # type: ignore[return-value]
        data = np.asarray(data)[()]
    return _result(data, function, args, tuple(values), kwargs, requires_grad)


def _unary(function: Function, x: Tensor) -> Tensor:
    """Do what `record` does, for one argument."""
    value = x._data
    return _result(function(value), function, (x,), (value,), _NO_KEYWORDS, x.requires_grad)


_new = Tensor.__new__
_is_recording = is_recording.get


def _result(
    data: Any,
    function: Function | None,
    args: tuple[Any, ...],
    values: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    requires_grad: bool,
) -> Tensor:
    """Make the Tensor that a call gives, with the call if it is to be remembered."""
    tensor = _new(Tensor)
    tensor._data = data
    tensor._order = tick()
    tensor.grad = tensor.name = None
    if requires_grad and _is_recording():
        tensor.requires_grad = True
        tensor._function = function
        tensor._args = args
        tensor._values = values
        tensor._kwargs = kwargs
    else:
        tensor.requires_grad = False
        tensor._function = None
    if WATCHES and function is not None:
        watch = current_watch()
        if watch is not None:
            watch.see_call(tensor, function, values)
    return tensor


def called(
    function: Function,
    data: Any,
    args: tuple[Any, ...],
    values: tuple[Any, ...],
    kwargs: Mapping[str, Any] = _NO_KEYWORDS,
) -> Tensor:
    """Give the Tensor of a call that was run already, with its result."""
    return _result(data, function, args, values, kwargs, True)


def constant(data: Any) -> Tensor:
    """Give a Tensor without history that shares the data and wants no gradient."""
    return _result(data, None, (), (), _NO_KEYWORDS, False)


def variable(data: Any) -> Tensor:
    """Give a leaf that shares the data and wants a gradient."""
    tensor = constant(data)
    tensor.requires_grad = True
    return tensor


def _dispatch(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer NumPy's protocols."""
    if "out" in kwargs:
        if kwargs["out"] is not None:
            raise TypeError(
                f"{name_of(function)}: out= cannot be used with a Tensor, nor can an array take one in by += and the "
                "like; write y = function(x)"
            )
        kwargs = {key: value for key, value in kwargs.items() if key != "out"}
    if function in CONSTANT:
        return function(*(_plain(arg) for arg in args), **{key: _plain(value) for key, value in kwargs.items()})
    return record(function, args, kwargs)


def _plain(arg: Any) -> Any:
    """Give an argument with the arrays inside its Tensors, also those in lists."""
    return type(arg)(map(_plain, arg)) if type(arg) in (list, tuple) else data_of(arg)


def _copied(arg: Any) -> Any:
    return type(arg)(map(_copied, arg)) if type(arg) in (list, tuple) else arg


def _tensors_in(arg: Any) -> Iterator[Tensor]:
    """Give the Tensors in an argument, also those in lists of lists."""
    if isinstance(arg, Tensor):
        yield arg
    elif type(arg) in (list, tuple):
        for item in arg:
            yield from _tensors_in(item)


def _holds_tensors(arg: Any) -> bool:
    """Whether an argument is a list or tuple with a Tensor in it, however deep."""
    return type(arg) in (list, tuple) and any(True for _ in _tensors_in(arg))


def _joins(function: Function) -> bool:
    """Whether NumPy makes one array of a list that the function is given; then a Tensor is made of one of Tensors."""
    return function in ELEMENTWISE or (
        function not in LISTS and (getattr(function, "__module__", None) or "").startswith("numpy")
    )


def _check_call(
    function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Refuse arguments that the rules do not know, and move Tensors given by keyword to their position."""
    for value in kwargs.values():
        if isinstance(value, Tensor) or _holds_tensors(value):
            try:
                bound = inspect.signature(function).bind(*args, **kwargs)
                _fill_in(bound)
            except ValueError:
                bound = None
            if bound is None or any(isinstance(v, Tensor) or _holds_tensors(v) for v in bound.kwargs.values()):
                raise TypeError(f"{name_of(function)}: pass Tensors by position, not by keyword")
            args, kwargs = bound.args, bound.kwargs
            break
    positions, keywords = SIGNATURES[function]
    if len(args) > positions or not keywords.issuperset(kwargs):
        if "where" in kwargs and "where" not in keywords:
            raise NotImplementedError(
                f"{name_of(function)}: where= cannot be used with a Tensor: call np.where(mask, x, other) on what goes "
                "in or on what comes out"
            )
        what = ", ".join(f"{key}=" for key in kwargs if key not in keywords) or f"{len(args)} arguments"
        rule = next(rule for rule in VJPS[function] if rule is not None)
        options = [f"{name}=" for name in list(inspect.signature(rule).parameters)[2 + len(VJPS[function]) :]]
        raise NotImplementedError(
            f"{name_of(function)} with {what} has no derivative rule: "
            f"{'of its options, only ' + ', '.join(options) + ' can be used' if options else 'it takes no options'}"
        )
    return args, kwargs


def _fill_in(bound: inspect.BoundArguments) -> None:
    """Put the defaults in place of what was left out before the last Tensor, so that it can go by position."""
    parameters = list(bound.signature.parameters.values())
    while parameters and not _holds_tensors([bound.arguments.get(parameters[-1].name)]):
        parameters.pop()
    for parameter in parameters:
        if parameter.default is not parameter.empty and parameter.default is not np._NoValue:
            bound.arguments.setdefault(parameter.name, parameter.default)


def _items(value: Any) -> tuple[Any, ...] | list[Any]:
    return value if type(value) in (list, tuple) else (value,)


def _refused(error: ValueError, function: Function, values: Any) -> ValueError:
    """Add the call and the shapes to what NumPy says of a call it refuses."""
    if type(error) is not ValueError:
        return error
    shapes = " and ".join(str(v.shape) for value in values for v in _items(value) if hasattr(v, "shape"))
    return ValueError(f"{name_of(function)} of shapes {shapes}: {error}")


def primitive(function: F) -> F:
    """Make a function of arrays one call on the tape, whose derivative `defvjp` gives.

    Without Tensors among its arguments the function runs as it is. An array type of another kind that wants to be
    handed the call whole, as NumPy's protocols hand it NumPy's functions, says so by a method
    ``__array_primitive__(function, args, kwargs)``.

    Example:
        >>> @primitive
        ... def softplus(x):
        ...     return np.logaddexp(x, 0)
        >>> defvjp(softplus, lambda g, out, x: g / (1 + np.exp(-x)))
        >>> softplus(Tensor(0.0))
        Tensor(0.69314718, call=softplus)
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values()) if kwargs else args
        is_recorded = False
        for arg in given:
            if isinstance(arg, Tensor) or _holds_tensors(arg):
                is_recorded = True
            elif isinstance(arg, dict) and _holds_tensors(list(arg.values())):
                raise TypeError(f"{name_of(function)}: pass Tensors by position or in lists, not in a dict")
        if is_recorded:
            return record(function, args, kwargs)
        for arg in given:
            if hasattr(arg, "__array_primitive__"):
                return arg.__array_primitive__(function, args, kwargs)
        return function(*args, **kwargs)

    PLAIN[call] = function
    return call  # type: ignore[return-value]


def _as_data(data: Any, requires_grad: bool, dtype: Any) -> Any:
    """Check and copy what a Tensor is to hold."""
    if isinstance(data, Tensor):
        raise TypeError("Tensor: the data is a Tensor already; use it as it is, or x.detach() for one without history")
    if isinstance(data, np.ma.MaskedArray):
        raise TypeError("Tensor: a masked array would lose its mask; use its .data, and np.where with its .mask")
    if hasattr(data, "__array_function__") and not _is_numpy(data):
        return data if dtype is None else data.astype(dtype)
    try:
        array = np.array(data, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"Tensor: the data is ragged or not numbers: {error}") from None
    if requires_grad and array.dtype.kind == "i" and dtype is None and not _is_numpy(data):
        array = array.astype(np.float64)
    if array.dtype.kind == "c":
        raise TypeError(f"Tensor: complex data ({array.dtype}) is not supported; use its real and imaginary parts")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"Tensor: the data must be real numbers, got {type(data).__name__} of dtype {array.dtype}")
    if requires_grad and array.dtype.kind != "f":
        raise TypeError(
            f"Tensor: an array of {array.dtype} has no gradient; convert it, as with x.astype(float), or say "
            "requires_grad=False"
        )
    return array[()]


def _is_numpy(data: Any) -> bool:
    return isinstance(data, np.ndarray | np.generic)


def _restore(cls: type[Tensor], data: Any, requires_grad: bool, name: str | None, grad: Any) -> Tensor:
    """Make a copied or unpickled leaf anew: its place in time is now."""
    tensor = cls.__new__(cls)
    tensor._data, tensor._function, tensor._order = data, None, tick()
    tensor.requires_grad, tensor.name, tensor.grad = requires_grad, name, grad
    return tensor


def assignment() -> None:
    """Name what made a Tensor whose data was assigned after a call had computed it; there is no rule for it."""


def output(outputs: Outputs, position: int) -> Any:
    """Give one of the several outputs of a call."""
    return outputs[position]


defvjp(
    output,
    lambda g, out, outputs, position: Outputs(g if k == position else None for k in range(len(outputs))),
)


@primitive
def total(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Sum over axes: NumPy's `sum` without its detours, which other kinds of arrays do not know."""
    sum_over: Any = np.add.reduce if isinstance(x, np.ndarray | np.generic) else np.sum
    return sum_over(x, axis=axis, keepdims=keepdims)


total.__name__ = PLAIN[total].__name__ = "sum"  # as it is called in pictures


@primitive
def alias(x: Any) -> Any:
    """Give ``x`` itself. As a call of its own, it tells the uses of an argument from other uses of the same Tensor."""
    return x


defvjp(alias, lambda g, out, x: g)
