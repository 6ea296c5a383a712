"""The methods that arrays have, made of NumPy's functions: what `Tensor` is put together from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from autodiff.arrays.foreign import taken_in
from autodiff.arrays.sums import Axis
from autodiff.core.record import data_of, dispatch, record, unary
from autodiff.core.rule import Function, name_of

if TYPE_CHECKING:
    from autodiff.core.tensor import Tensor


def _named(method: Callable[..., Any], name: str, purpose: str) -> Callable[..., Any]:
    """Let a method be shown in help and tracebacks as it would be if it were written down by itself."""
    method.__name__, method.__qualname__, method.__doc__ = name, f"Tensor.{name}", purpose
    return method


def element_method(function: Function, name: str, purpose: str) -> Callable[[Tensor], Tensor]:
    """Make the method that applies a function to each element."""
    return _named(lambda self: unary(function, self), name, purpose)


def real_method(function: Function, name: str, purpose: str) -> Callable[[Tensor], Tensor]:
    """Make the method that applies a function of real numbers to each element."""

    def method(self: Tensor) -> Tensor:
        if self._array.dtype.kind == "c":
            raise TypeError(f"{name}: {self._label()} is complex; apply it to x.real, x.imag or abs(x)")
        return unary(function, self)

    return _named(method, name, purpose)


def array_method(function: Function) -> Callable[..., Tensor]:
    """Make the method that is a NumPy function with the Tensor as its first argument."""
    name = name_of(function)
    purpose = f"As `numpy.{name}` of the Tensor, with the same further arguments."
    return _named(lambda self, *args, **kwargs: dispatch(function, (self, *args), kwargs), name, purpose)


def plain_method(function: Function) -> Callable[..., Any]:
    """Make a method like `array_method` whose result is no Tensor: indices, or booleans."""
    return array_method(function)


def refused_method(name: str, instead: str) -> Callable[..., NoReturn]:
    """Make a method of arrays that cannot be, since it would write in place or look into memory."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{name}: a Tensor is not changed in place, nor is its memory looked into: {instead}")

    return _named(method, name, f"Raise a TypeError: {instead}.")


def comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Make the method of a comparison, which gives a plain boolean or an array of them."""
    name = f"__{compare.__name__}__"
    purpose = "Compare each element, as an array does; the result is no Tensor."
    return _named(lambda self, other: compare(self._array, taken_in(data_of(other), compare.__name__)), name, purpose)


def reduction(function: Function, purpose: str) -> Callable[..., Tensor]:
    """Make the method of a sum, a product or a mean."""

    def method(
        self: Tensor, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, **options: Any
    ) -> Tensor:
        if dtype is None and out is None and not options:
            return record(function, (self,), {"axis": axis, "keepdims": keepdims})
        return _reduced(function, self, {"axis": axis, "keepdims": keepdims, "dtype": dtype, "out": out, **options})

    return _named(method, name_of(function), purpose)


def extremum(function: Function, purpose: str) -> Callable[..., Tensor]:
    """Make the method of a maximum or minimum."""

    def method(self: Tensor, axis: Axis = None, out: None = None, keepdims: bool = False, **options: Any) -> Tensor:
        return _reduced(function, self, {"axis": axis, "keepdims": keepdims, "out": out, **options})

    return _named(method, name_of(function), purpose)


def spread(function: Function, purpose: str) -> Callable[..., Tensor]:
    """Make the method of a variance or standard deviation."""

    def method(
        self: Tensor,
        axis: Axis = None,
        dtype: Any = None,
        out: None = None,
        ddof: float = 0,
        keepdims: bool = False,
        **options: Any,
    ) -> Tensor:
        options |= {"dtype": dtype, "out": out, "ddof": ddof, "keepdims": keepdims}
        return _reduced(function, self, {"axis": axis, **options})

    return _named(method, name_of(function), purpose)


def _reduced(function: Function, x: Tensor, options: dict[str, Any]) -> Tensor:
    """Record a reduction; of all its options but the axis, None is no option."""
    given = {key: value for key, value in options.items() if value is not None or key == "axis"}
    return dispatch(function, (x,), given)  # type: ignore[no-any-return]
