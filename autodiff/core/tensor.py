"""The Tensor: an array, its gradient, and the NumPy call that made it; operators and methods as an array has them.

Operators and methods are short for the NumPy function of the same name. How a call becomes a Tensor stands in
``record.py``, how derivatives are chained in ``tape.py``.
"""

from __future__ import annotations

import copy
import operator
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from autodiff.arrays import placement
from autodiff.arrays.activations import relu, sigmoid
from autodiff.arrays.foreign import refuse_unknown_shape, taken_in
from autodiff.arrays.sums import total
from autodiff.arrays.whole import is_numpy
from autodiff.core.clock import tick
from autodiff.core.hooks import Hook, hooks_of
from autodiff.core.leaving import in_transform, is_formatting, is_operator_of_sparse, is_store, warn_of_number, way_out
from autodiff.core.methods import (
    array_method,
    comparison,
    element_method,
    extremum,
    plain_method,
    real_method,
    reduction,
    refused_method,
    spread,
)
from autodiff.core.record import constant, data_of, dispatch, operators, record, results_are, unary, variable
from autodiff.core.rule import FACTS, Array, Function, defvjp, name_of
from autodiff.core.tape import Entry, Outputs, assignment, conj, pick, pullback, recording, running
from autodiff.elsewhere import explained

if TYPE_CHECKING:
    # To type checkers a Tensor is a number too: NumPy's functions then take it, and give Any or an array in its place.
    class _Base(Entry, complex):  # type: ignore[misc]
        def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
        def __add__(self, other: Any, /) -> Tensor: ...
        def __radd__(self, other: Any, /) -> Tensor: ...
        def __sub__(self, other: Any, /) -> Tensor: ...
        def __rsub__(self, other: Any, /) -> Tensor: ...
        def __mul__(self, other: Any, /) -> Tensor: ...
        def __rmul__(self, other: Any, /) -> Tensor: ...
        def __truediv__(self, other: Any, /) -> Tensor: ...
        def __rtruediv__(self, other: Any, /) -> Tensor: ...
        def __pow__(self, other: Any, modulo: None = None, /) -> Tensor: ...
        def __rpow__(self, other: Any, modulo: None = None, /) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __pos__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...  # type: ignore[override]
        def conjugate(self) -> Tensor: ...
else:
    _Base = Entry


class Tensor(_Base):
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
            None to begin anew. What a call made keeps its gradient only after `retain_grad`.
        requires_grad: whether gradients are wanted; it may be set on a leaf.
        name: how pictures and messages call it, or None.

    Raises:
        TypeError: the data is not numbers, or an array of integers or booleans that is to have a gradient.
        ValueError: the data is a ragged list.

    Example:
        >>> import numpy as np
        >>> x = ad.Tensor([1.0, 2.0])
        >>> y = np.square(x).sum()
        >>> y.backward()
        >>> x.grad
        array([2., 4.])
    """

    __slots__ = ()
    __pandas_priority__ = 5000  # so that the operators of pandas' tables leave the call to the Tensor

    def __init__(self, data: Array, requires_grad: bool = True, *, dtype: Any = None, name: str | None = None) -> None:
        self._array = _as_data(data, requires_grad, dtype)
        self._function = None
        self._age = tick()
        self._grad = None
        self.name = name
        self.requires_grad = requires_grad

    @property
    def grad(self) -> Any:
        """The gradient that `backward` left, or None."""
        if self._grad is None and self._function is not None and None not in hooks_of(self).values():
            warnings.warn(
                f"grad: {self._label()} keeps no gradient, since a call made it: say retain_grad() before backward(), "
                "or look at the grad of a leaf",
                UserWarning,
                stacklevel=2,
            )
        for batch in running.get() if self._grad is not None else ():
            batch.check_own(self)
        return self._grad

    @grad.setter
    def grad(self, value: Array) -> None:
        if value is not None:
            value = taken_in(value, "grad")
            if is_complex(value) and not is_complex(self):
                raise TypeError(
                    f"grad: {self._label()} is {self.dtype}, and has no complex gradient: give its real part"
                )
        self._grad = value

    # The array inside

    @property
    def data(self) -> Any:
        """The array itself, without its history. What is assigned is not copied; a later `backward` notices."""
        return self._array

    @data.setter
    def data(self, value: Array) -> None:
        data = self._array
        if type(value) is not np.ndarray:
            value = taken_in(data_of(value), "data")
            if not hasattr(value, "dtype"):
                value = np.asarray(value, dtype=self.dtype)[()]
        if value is not data:
            value = value[()] if type(value) is np.ndarray and not value.shape else value  # held as a number
            if value.shape != data.shape or value.dtype != data.dtype:
                raise ValueError(
                    f"data: {self._label()} of dtype {self.dtype} cannot take {value.dtype} of shape {value.shape}; "
                    "make a new Tensor for it"
                )
        for batch in running.get():
            batch.check_own(self, value)
        if self._function is not None:
            stand_in = variable(data)
            self._args, self._values = (stand_in, self._label()), (data, self._label())
            self._function, self._kwargs = assignment, {}
        self._array = value
        self._age = tick()

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return self._array.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._array.shape)

    @property
    def size(self) -> int:
        """Number of elements; NaN where a lazy array does not know it."""
        size = self._array.size
        return _Size(size) if size == size else size

    dtype = property(lambda self: self._array.dtype, doc="Type of the elements.")
    nbytes = property(lambda self: int(self._array.nbytes), doc="Bytes that the elements take.")
    itemsize = property(lambda self: int(self._array.itemsize), doc="Bytes that one element takes.")
    strides = property(lambda self: self._array.strides, doc="Bytes from one element to the next along each axis.")
    is_leaf = property(lambda self: self._function is None, doc="Whether no recorded call made it.")

    def item(self, *index: Any) -> Any:
        """Give one element as a Python number; without an index, the only one."""
        if not index and self.size != 1:
            raise ValueError(f"item: {self._label()} is not a single number; give an index, as in x.item(0)")
        return self._in_memory("item").item(*index)

    def tolist(self) -> Any:
        """Give the elements as nested lists of Python numbers."""
        return self._in_memory("tolist").tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        """Give the bytes of the elements."""
        return self._in_memory("tobytes").tobytes(order)  # type: ignore[no-any-return]

    def _in_memory(self, method: str) -> Any:
        """Give the array, or what a lazy one, which has no such method, is when it is computed."""
        return self._array if hasattr(self._array, method) else np.asarray(self._array)

    def detach(self) -> Tensor:
        """Give a constant Tensor that shares this one's data and knows nothing of its history.

        A later change of one in place, such as an optimizer's step, shows in the other and is not noticed.
        """
        return constant(self._array)

    def _number(self) -> Any:
        """Give the only element for Python's own functions, such as float() and math.sin, where no gradient is lost."""
        if self.requires_grad:
            frame = sys._getframe(2)
            if is_store(frame):
                raise TypeError(
                    f"{self._label()} is stored in a plain array, where its gradient is lost: {way_out(frame)}"
                )
            if in_transform.get() and not is_formatting(frame):
                warn_of_number(self._label(), frame)
        return self.item()

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"bool() of a Tensor of shape {self.shape} is ambiguous: use np.any(x), np.all(x) or x.size"
            )
        return bool(self.item())

    def __len__(self) -> int:
        return len(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        frame = sys._getframe(1)
        if is_operator_of_sparse(frame):
            # SciPy's sparse arrays ask what the other operand is, and leave the call to one that is no array.
            return np.array(None, dtype=object)
        if self.requires_grad:
            raise TypeError(
                f"{self._label()} requires a gradient, which would be lost in a plain array: {way_out(frame)}"
            )
        return np.array(self._array, dtype=dtype, copy=copy)

    # Differentiation

    def backward(self, gradient: Array = None, create_graph: bool = False, *, retain_graph: bool | None = None) -> None:
        """Add the gradient of this Tensor to ``grad`` of every leaf that it was computed from.

        Args:
            gradient: gradient of the final quantity with respect to this Tensor, of its shape. Needed unless the
                Tensor has a single real element, for which it is one. That by a complex number ``x + iy`` is, as in
                PyTorch, ``∂L/∂x + i ∂L/∂y``: the direction in which L grows fastest.
            create_graph: record the backward pass too. The gradients are then Tensors that can be differentiated
                again; otherwise they are plain arrays.
            retain_graph: for programs written for PyTorch; whatever it is, the graph is kept, for as long as somebody
                holds the Tensor, and can be walked again.

        Raises:
            RuntimeError: nothing was recorded, or a Tensor was changed in place since.
            ValueError: the gradient is missing or has another shape.
            TypeError: the gradient is not numbers, or missing for a complex Tensor, or complex for a real one.

        Example:
            >>> x = ad.Tensor(2.0)
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
            seed = self._seed(gradient, create_graph)
            for batch in running.get():
                seed = batch.for_each(seed)
            for tensor, g in pullback([(self, seed)], create_graph).items():
                if type(g) is not np.float64 and g.dtype.kind == "c":
                    g = conj(g)
                for batch in running.get():
                    g = batch.total(g, tensor)
                g = constant(g) if create_graph and not isinstance(g, Tensor) else g
                tensor._grad = g if tensor._grad is None else tensor._grad + g

    def _seed(self, gradient: Array, create_graph: bool) -> Any:
        """Check the gradient that a walk begins with."""
        kind = self._array.dtype.kind
        if kind not in "fc":
            raise TypeError(f"backward: {self._label()} is {self.dtype}; only floats and complex ones have a gradient")
        if gradient is None:
            if kind == "c":
                raise TypeError(
                    f"backward: {self._label()} is {self.dtype}, and no complex number is largest: make it real, as "
                    "with abs(x) or x.real, or give backward(gradient) an array of its shape"
                )
            if self.size != 1:
                raise ValueError(
                    f"backward: {self._label()} is not a scalar: reduce it, as with .sum(), or give backward(gradient) "
                    "an array of its shape"
                )
            one = type(self._array)(1) if isinstance(self._array, np.generic) else np.ones_like(self._array)
            return constant(one) if create_graph else one
        gradient = taken_in(gradient, "backward")
        array = data_of(gradient)
        if not hasattr(array, "shape"):
            array = np.asarray(array)
        if array.dtype.kind not in "fiub" and not array.dtype.kind == kind == "c":
            numbers = "numbers" if kind == "c" else "real numbers"
            raise TypeError(f"backward: the gradient must be {numbers}, got dtype {array.dtype}")
        if array.shape != self.shape:
            raise ValueError(f"backward: a gradient of shape {array.shape} does not fit {self._label()}")
        if array.dtype != self.dtype:
            gradient = array = (gradient if create_graph else array).astype(self.dtype)
        gradient = array if not create_graph else gradient if isinstance(gradient, Tensor) else constant(array)
        return conj(gradient) if kind == "c" else gradient

    def retain_grad(self) -> None:
        """Let `backward` leave the gradient in ``grad`` also of this Tensor, which a call made.

        Raises:
            RuntimeError: it requires no gradient.

        Example:
            >>> x = ad.Tensor(3.0)
            >>> y = x * x
            >>> y.retain_grad()
            >>> (2 * y).backward()
            >>> float(y.grad)
            2.0
        """
        self._check_hook("retain_grad")
        if self._function is not None and None not in hooks_of(self).values():
            self.grad = None
            Hook(self, None)

    def register_hook(self, function: Callable[[Any], Any]) -> Hook:
        """Show every gradient of this Tensor to a function, as soon as it is complete, and let it give another one.

        Args:
            function: takes the gradient, a Tensor with ``create_graph=True`` and else an array, which it must not write
                into. What it returns flows on in its place; None leaves it as it is. `jvp`, `linearize`, Jacobians and
                second derivatives, which are no gradients on their way back, do without it.

        Returns:
            An object whose ``remove()`` takes the function off again.

        Raises:
            TypeError: ``function`` is not callable.
            RuntimeError: the Tensor requires no gradient.

        Example:
            >>> x = ad.Tensor(3.0)
            >>> hook = x.register_hook(lambda g: 10 * g)
            >>> (x * x).backward()
            >>> float(x.grad)
            60.0
        """
        if not callable(function):
            raise TypeError(f"register_hook: the argument must be a function of the gradient, got {function!r}")
        self._check_hook("register_hook")
        return Hook(self, function)

    def _check_hook(self, caller: str) -> None:
        if not self.requires_grad:
            raise RuntimeError(f"{caller}: {self._label()} requires no gradient")

    # NumPy's dispatch

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if kwargs or function not in FACTS or not FACTS[function].rules:
            return dispatch(function, inputs, kwargs)
        if len(inputs) == 1 and ufunc.nout == 1 and function is ufunc:
            return unary(function, self)
        return record(function, inputs)

    def __array_function__(self, function: Function, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return dispatch(function, args, kwargs)

    # Operators

    __add__, __radd__ = operators(np.add, operator.add)
    __sub__, __rsub__ = operators(np.subtract, operator.sub)
    __mul__, __rmul__ = operators(np.multiply, operator.mul)
    __truediv__, __rtruediv__ = operators(np.divide, operator.truediv)
    __pow__, __rpow__ = operators(np.power, operator.pow)
    __matmul__, __rmatmul__ = operators(np.matmul, operator.matmul)
    __floordiv__, __rfloordiv__ = operators(np.floor_divide, operator.floordiv)
    __mod__, __rmod__ = operators(np.remainder, operator.mod)

    __neg__ = element_method(np.negative, "__neg__", "Negative of each element.")
    __pos__ = element_method(np.positive, "__pos__", "Copy of each element.")
    __abs__ = element_method(np.absolute, "__abs__", "Absolute value of each element; at zero the gradient is zero.")

    __lt__ = comparison(operator.lt)
    __le__ = comparison(operator.le)
    __gt__ = comparison(operator.gt)
    __ge__ = comparison(operator.ge)
    __eq__ = comparison(operator.eq)
    __ne__ = comparison(operator.ne)

    __hash__ = object.__hash__

    def __divmod__(self, other: Any) -> Any:
        return record(np.divmod, (self, other))

    def __rdivmod__(self, other: Any) -> Any:
        return record(np.divmod, (other, self))

    def __round__(self, digits: int | None = None) -> Tensor:
        return record(np.round, (self, digits or 0))

    def __contains__(self, value: Array) -> bool:
        return bool(np.any(self == value))

    def __getitem__(self, index: Any) -> Tensor:
        return record(operator.getitem, (self, index))

    def __setitem__(self, index: Any, value: Array) -> NoReturn:
        raise TypeError(
            "a Tensor cannot be assigned into, since calls that used it need its old values: write "
            "y = x.at[index].set(value), or .add or .multiply, which give a changed copy"
        )

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape and type(self._array) is not Outputs:
            raise TypeError("iteration over a 0-d Tensor")
        one = pick if type(self._array) is Outputs else operator.getitem
        return (record(one, (self, position)) for position in range(len(self._array)))

    @property
    def at(self) -> At:
        """Change elements in a copy: ``x.at[index].set(v)``, ``.add(v)`` or ``.multiply(v)``."""
        return At(self)

    # Methods, as an array has them

    sum = reduction(total, "Sum of the elements over the axes, as `numpy.sum`; a long one of float32 keeps its digits.")
    prod = reduction(np.prod, "Product of the elements over the axes, as `numpy.prod`.")
    mean = reduction(np.mean, "Arithmetic mean over the axes, as `numpy.mean`; its sum is that of `sum`.")
    max = extremum(np.max, "Maximum over the axes, as `numpy.max`; equal maxima share the gradient evenly.")
    min = extremum(np.min, "Minimum over the axes, as `numpy.min`; equal minima share the gradient evenly.")
    var = spread(np.var, "Variance over the axes, as `numpy.var`.")
    std = spread(np.std, "Standard deviation over the axes, as `numpy.std`.")

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> Tensor:
        """Give the same elements another shape, as ``x.reshape(2, 3)`` or ``x.reshape((2, 3))``."""
        options = {} if order == "C" else {"order": order}
        return record(np.reshape, (self, shape[0] if len(shape) == 1 else shape), options)

    def transpose(self, *axes: Any) -> Tensor:
        """Permute the axes, by default reverse them."""
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = () if axes[0] is None else tuple(axes[0])
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

    def astype(
        self, dtype: Any, order: Any = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """Convert to floats or complex numbers of another dtype, and the gradient back; other dtypes give plain arrays.

        Raises:
            TypeError: ``casting`` does not allow the conversion, or it is one of complex numbers to real ones.
        """
        if not np.can_cast(self.dtype, dtype, casting):  # type: ignore[arg-type]
            raise TypeError(
                f"astype: {self._label()} of {self.dtype} cannot become {np.dtype(dtype)} by casting={casting!r}"
            )
        kind = np.dtype(dtype).kind
        if self.dtype.kind == "c" and kind in "fiu":
            raise TypeError(
                f"astype: {self._label()} of {self.dtype} cannot become {np.dtype(dtype)} without its imaginary part; "
                "write x.real, x.imag or abs(x)"
            )
        return record(astype, (self, dtype)) if kind in "fc" else self._array.astype(dtype)

    def clip(self, min: Any = None, max: Any = None, out: Array = None) -> Tensor:
        """Limit the elements to an interval; on its bounds the gradient is one."""
        return dispatch(np.clip, (self, min, max), {"out": out})  # type: ignore[no-any-return]

    def compress(self, condition: Any, axis: int | None = None, out: Array = None) -> Tensor:
        """Give the slices along an axis where a condition holds."""
        return dispatch(np.compress, (condition, self), {"axis": axis, "out": out})  # type: ignore[no-any-return]

    def flatten(self, order: Any = "C") -> Tensor:
        """Give the elements as one axis, as `ravel` does."""
        return self.ravel() if order == "C" else self.ravel(order)

    real: Any = property(lambda self: record(np.real, (self,)), doc="Real part of each element.")
    imag: Any = property(lambda self: record(np.imag, (self,)), doc="Imaginary part of each element.")
    flat = property(lambda self: self.ravel(), doc="The elements as one axis.")

    abs = element_method(np.absolute, "abs", "Absolute value of each element, also of complex ones.")
    angle = array_method(np.angle)
    conj = conjugate = array_method(np.conjugate)
    copy = array_method(np.copy)
    cumprod = array_method(np.cumprod)
    cumsum = array_method(np.cumsum)
    diagonal = array_method(np.diagonal)
    dot = array_method(np.dot)
    ravel = array_method(np.ravel)
    repeat = array_method(np.repeat)
    round = array_method(np.round)
    squeeze = array_method(np.squeeze)
    swapaxes = array_method(np.swapaxes)
    take = array_method(np.take)
    trace = array_method(np.trace)

    all = plain_method(np.all)
    any = plain_method(np.any)
    argmax = plain_method(np.argmax)
    argmin = plain_method(np.argmin)
    argpartition = plain_method(np.argpartition)
    argsort = plain_method(np.argsort)
    choose = plain_method(np.choose)
    nonzero = plain_method(np.nonzero)
    searchsorted = plain_method(np.searchsorted)

    byteswap = refused_method("byteswap", "use x.data.byteswap()")
    fill = refused_method("fill", "use np.full_like(x, value)")
    partition = refused_method("partition", "use np.partition(x, kth)")
    put = refused_method("put", "use y = x.reshape(-1).at[indices].set(values)")
    resize = refused_method("resize", "use np.resize(x, shape), or x.reshape(shape)")
    sort = refused_method("sort", "use np.sort(x)")
    view = refused_method("view", "use x.reshape(shape), x.astype(dtype), or x.data.view(dtype)")

    exp = element_method(np.exp, "exp", "Exponential of each element.")
    log = element_method(np.log, "log", "Natural logarithm of each element.")
    sqrt = element_method(np.sqrt, "sqrt", "Square root of each element.")
    tanh = element_method(np.tanh, "tanh", "Hyperbolic tangent of each element.")
    relu = real_method(relu, "relu", "Each element or zero, whichever is larger; at zero the gradient is zero.")
    sigmoid = element_method(sigmoid, "sigmoid", "Logistic function of each element.")

    # Text and copies

    def __repr__(self) -> str:
        data = self._array
        shown = (
            np.array2string(np.asarray(data), separator=", ", prefix="Tensor(")
            if isinstance(data, np.ndarray | np.generic)
            else repr(data)
        )
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

    def __reduce__(self) -> tuple[Any, ...]:
        if self._function is not None:
            raise TypeError(f"only a leaf can be copied or pickled, not a {self._label()}: use x.data, or x.detach()")
        grad = self.grad.detach() if isinstance(self.grad, Tensor) else self.grad
        return _restore, (type(self), self._array, self.requires_grad, self.name, grad)


results_are(Tensor)
explained(Tensor)


class _Size(int):
    """The number of a Tensor's elements, which says what to write to those who call it."""

    __slots__ = ()

    def __call__(self, *axis: Any) -> NoReturn:
        where = f"[{axis[0]}]" if axis else ""
        raise TypeError(f"size: it is a number, that of all elements; write x.shape{where}")


class At:
    """What ``x.at`` gives: ``x.at[index].set(v)``, ``.add(v)`` and ``.multiply(v)`` make a changed copy of ``x``.

    Gradients flow to ``x`` and ``v``. They take the place of ``x[index] = v``, ``x[index] += v`` and
    ``x[index] *= v``, and broadcast ``v`` in the same way. Where an index selects an element twice, ``set`` takes the
    last value, ``add`` and ``multiply`` take all of them.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def __getitem__(self, index: Any) -> Selection:
        return Selection(self._tensor, index)


class Selection:
    """The elements of a Tensor that an index selects."""

    def __init__(self, tensor: Tensor, index: Any) -> None:
        self._tensor, self._index = tensor, index

    def set(self, values: Array) -> Tensor:
        """Give a copy of the Tensor with the values at this place."""
        return record(placement.set_at, (self._tensor, self._index, values))

    def add(self, values: Array) -> Tensor:
        """Give a copy of the Tensor with the values added at this place."""
        return record(placement.add_at, (self._tensor, self._index, values))

    def multiply(self, values: Array) -> Tensor:
        """Give a copy of the Tensor multiplied by the values at this place."""
        return record(placement.multiply_at, (self._tensor, self._index, values))


def is_inexact(x: Array) -> bool:
    """Whether something can be differentiated by: a number, array of any kind, or Tensor, of floats or complex ones."""
    try:
        return x.dtype.kind in "fc"
    except AttributeError:
        return isinstance(x, (float, complex))


def is_complex(x: Array) -> bool:
    """Whether something is a complex number, or an array of any kind, or Tensor, of them."""
    try:
        return x.dtype.kind == "c"  # type: ignore[no-any-return]
    except AttributeError:
        return isinstance(x, complex)


def as_array(x: Array) -> Any:
    """Make lists and numbers arrays, and leave arrays of any kind, Tensors among them, as they are."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def astype(x: Array, dtype: Any) -> Any:
    """Convert an array to a dtype, as its method does."""
    return x.astype(dtype)


def stop_gradient(x: Array) -> Any:
    """Give the value of ``x`` as a constant: no gradient flows back through it.

    A Tensor gives a Tensor that shares its data, anything else is returned as it is.

    Example:
        >>> x = ad.Tensor(3.0)
        >>> (x * ad.stop_gradient(x)).backward()
        >>> float(x.grad)
        3.0
    """
    return x.detach() if isinstance(x, Tensor) else x


def _as_data(data: Array, requires_grad: bool, dtype: Any) -> Any:
    """Check and copy what a Tensor is to hold."""
    if isinstance(data, Tensor):
        raise TypeError("Tensor: the data is a Tensor already; use it as it is, or x.detach() for one without history")
    data = taken_in(data, "Tensor")
    of_numpy = isinstance(data, np.ndarray | np.generic)
    if hasattr(data, "__array_function__") and not of_numpy:
        if requires_grad:
            refuse_unknown_shape("Tensor", data)
        if dtype is not None:
            return data.astype(dtype)
        if is_numpy(data):
            _check_dtype(data, data.dtype, requires_grad)
            return copy.copy(data)
        return data  # others are not written into
    try:
        array = np.array(data, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"Tensor: the data is ragged or not numbers: {error}") from None
    if requires_grad and array.dtype.kind == "i" and dtype is None and not of_numpy:
        array = array.astype(np.float64)
    _check_dtype(data, array.dtype, requires_grad)
    return array[()]


def _check_dtype(data: Array, dtype: Any, requires_grad: bool) -> None:
    """Refuse what is not numbers, or has no gradient where one is wanted."""
    if dtype.kind not in "fciub":
        raise TypeError(f"Tensor: the data must be numbers, got {type(data).__name__} of dtype {dtype}")
    if requires_grad and dtype.kind not in "fc":
        raise TypeError(
            f"Tensor: an array of {dtype} has no gradient; convert it, as with x.astype(float), or say "
            "requires_grad=False"
        )


def _restore(cls: type[Tensor], data: Array, requires_grad: bool, name: str | None, grad: Any) -> Tensor:
    """Make a copied or unpickled leaf anew: its place in time is now."""
    tensor = cls.__new__(cls)
    tensor._array, tensor._function, tensor._age = data, None, tick()
    tensor.requires_grad, tensor.name, tensor._grad = requires_grad, name, grad
    return tensor


def alias(x: Array) -> Array:
    """Give ``x`` itself. As a call of its own, it tells the uses of an argument from other uses of the same Tensor."""
    return x


defvjp(alias, lambda g, out, x: g)
