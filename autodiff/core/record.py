"""How a NumPy call becomes a Tensor: the function runs on the arrays inside, and the tape remembers the call.

NumPy hands every function that is called with a Tensor to the Tensor, and that hands it to `record`. Operators, and
ufuncs of one argument, do the same on a shorter way, since small expressions are made of little else.
"""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from autodiff.arrays.foreign import PLAIN, is_sparse, refuse_unknown_shape, taken_in
from autodiff.arrays.options import has_option
from autodiff.arrays.sums import is_short
from autodiff.arrays.whole import offered, taken_whole
from autodiff.core.clock import tick
from autodiff.core.keywords import bare, checked_call, holds_tensors, is_listing, refuse_dict, tensors_in
from autodiff.core.rule import FACTS, NOTHING_KNOWN, Array, Facts, Function, facts_of, name_of, share
from autodiff.core.tape import Entry, Outputs, is_recording, pack
from autodiff.core.watch import WATCHES, current_watch
from autodiff.elsewhere import said_of_option

if TYPE_CHECKING:
    from autodiff.core.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])
Operator = Callable[[Any, Any], Any]

_ndarray = np.ndarray
NO_KEYWORDS: Mapping[str, Any] = {}


def operators(function: np.ufunc, operate: Operator) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Make an operator's method and its reflected twin.

    They do what `record` does, for two arguments only and without its loops. Python's operator gives what the NumPy
    function gives, and is ten times as fast on scalars.
    """

    def method(self: Tensor, other: Any) -> Any:
        x = self._array
        requires_grad = self.requires_grad
        if isinstance(other, Entry):
            y = other._array
            requires_grad = requires_grad or other.requires_grad
        elif (kind := type(other)) is _ndarray or kind is float or kind in PLAIN:
            y = other
        else:
            other = _operand(function, other, self)
            if other is NotImplemented:
                return other
            y = data_of(other)
            requires_grad = requires_grad or is_variable(other)
        try:
            data = operate(x, y)
        except ValueError as error:
            raise _refused(error, function, (x, y)) from error.__cause__
        return result(data, function, (self, other), (x, y), NO_KEYWORDS, requires_grad)

    def reflected(self: Tensor, other: Any) -> Any:
        if (kind := type(other)) is not _ndarray and kind is not float and kind not in PLAIN:
            other = _operand(function, other, self)
            if other is NotImplemented:
                return other
            if isinstance(other, Entry):
                return method(other, self)  # type: ignore[arg-type]
        y = self._array
        try:
            data = operate(other, y)
        except ValueError as error:
            raise _refused(error, function, (other, y)) from error.__cause__
        return result(data, function, (other, self), (other, y), NO_KEYWORDS, self.requires_grad)

    return method, reflected


def _operand(function: np.ufunc, other: Any, beside: Tensor) -> Any:
    """Give the other operand of an operator as an array or number, or NotImplemented where it may know better."""
    if holds_tensors(other):
        return record(np.stack, (other,))
    if is_listing(other) or isinstance(other, range | memoryview):
        return np.asarray(other)
    if function is np.matmul and is_sparse(other):
        return other  # here the operator is the function
    if isinstance(other, numbers.Real) and not hasattr(other, "dtype"):
        return float(other)  # a fraction, say
    if type(other) is complex and isinstance(beside._array, float):
        return np.complex128(other)  # beside a float of NumPy's too, what Python computes is a complex of its own
    other = taken_in(other, name_of(function))
    if beside.requires_grad and _is_recording():
        refuse_unknown_shape(name_of(function), other)
    return other if hasattr(other, "dtype") or isinstance(other, numbers.Number) else NotImplemented


def unary(function: Function, x: Tensor) -> Tensor:
    """Do what `record` does, for one argument."""
    value = x._array
    return result(function(value), function, (x,), (value,), NO_KEYWORDS, x.requires_grad)


def record(function: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any] = NO_KEYWORDS) -> Tensor:
    """Run a function on the arrays inside its arguments and remember the call, if a gradient is to flow through it.

    Raises:
        NotImplementedError: the function, or the argument that requires a gradient, has no derivative rule.
        ValueError: the function refuses its arguments; where NumPy's message is only about shapes, the call is named.
        TypeError: an argument is of a kind that computes in another way than arrays do.
    """
    facts = FACTS.get(function, NOTHING_KNOWN)  # does not tell of functions made within others
    if not facts.rules:
        facts = facts_of(function)
        if facts.variadic is not None:
            first, function = facts.variadic
            arrays = [record(np.stack, (arg,)) if holds_tensors(arg) else arg for arg in args[first:]]
            return record(function, (*args[:first], arrays), kwargs)
        if facts.recorded_as is not None:
            return facts.recorded_as(*args, **kwargs)  # type: ignore[no-any-return]
        if not facts.rules:
            for arg in args:
                refuse_dict(function, arg)
            raise NotImplementedError(
                f"{name_of(function)} has no derivative rule: give it one with autodiff.defvjp, call it on x.data, or "
                "write it in functions that have one"
            )
    if kwargs or len(args) > len(facts.rules):
        args, kwargs = checked_call(function, facts, args, kwargs)
    requires_grad = False
    values: list[Any] = []
    for arg in args:
        if not isinstance(arg, Entry):
            if type(arg) not in PLAIN:
                position = len(values)
                arg = _argument(function, facts, arg, position)
                args = (*args[:position], arg, *args[position + 1 :])
            if not isinstance(arg, Entry):
                values.append(arg)
                continue
        values.append(arg._array)
        if arg.requires_grad:
            if not facts.has_rule(len(values) - 1) and _is_recording():
                raise NotImplementedError(
                    f"{name_of(function)} has no derivative with respect to argument {len(values) - 1}: "
                    "pass it as an array or detach() it"
                )
            requires_grad = True
    compute = function if facts.precisely is None or is_short(values[0]) else facts.precisely
    try:
        data = compute(*values, **kwargs) if kwargs else compute(*values)
    except ValueError as error:
        raise _refused(error, function, values) from error.__cause__
    except TypeError:
        data = taken_whole(function, tuple(values), kwargs)  # as of an array that another one is indexed by
        if data is NotImplemented:
            raise
    if requires_grad and facts.refuses is not None and _is_recording():
        facts.refuses(*values, **kwargs)  # only now, since what NumPy says of a call that it refuses comes first
    if type(data) not in PLAIN:
        data = _closed(data, function)
        if requires_grad and _is_recording():
            refuse_unknown_shape(name_of(function), data)
    if hasattr(data, "shape"):
        return result(data, function, args, tuple(values), kwargs, requires_grad)
    if not isinstance(data, list | tuple):
        return result(np.asarray(data)[()], function, args, tuple(values), kwargs, requires_grad)
    outputs = Outputs(_closed(one, function) for one in data)
    whole = result(outputs, function, args, tuple(values), kwargs, requires_grad)
    return data._make(whole) if hasattr(data, "_make") else type(data)(whole)  # type: ignore[return-value]


def _argument(function: Function, facts: Facts, arg: Any, position: int) -> Any:
    """Give an argument that is neither a Tensor nor plain as what the tape keeps."""
    refuse_dict(function, arg)
    if not is_listing(arg):
        return taken_in(arg, name_of(function))
    if not holds_tensors(arg):
        arg = taken_in(arg, name_of(function))
        return np.array(arg) if facts.broadcasts else arg
    of_numpy = (getattr(function, "__module__", None) or "").startswith(("numpy", "autodiff.scipy"))
    if facts.has_rule(position) and (facts.broadcasts or (of_numpy and not facts.takes_list)):
        return record(np.stack, (arg,))  # of a list, this function makes one array
    if not facts.has_rule(position) and not any(map(is_variable, tensors_in(arg))):
        return bare(arg)  # an index, say
    return packed(taken_in(arg, name_of(function)))


def packed(items: Any) -> Tensor:
    """Put a list of arrays, with Tensors in it, on the tape as one value."""
    parts = tuple(packed(item) if holds_tensors(item) else item for item in items)
    values = tuple(map(data_of, parts))
    if isinstance(items, tuple):
        data: Any = items._make(values) if hasattr(items, "_make") else values
    else:
        data = list(values)
    return result(data, pack, parts, values, NO_KEYWORDS, any(map(is_variable, parts)))


def _closed(data: Array, function: Function) -> Any:
    """Give what a function returned, and refuse what it made of a Tensor that it was not given."""
    if not isinstance(data, Entry):
        return taken_in(data, name_of(function)) if isinstance(data, np.ndarray) else data
    if data.requires_grad:
        raise TypeError(
            f"{name_of(function)}: it uses a Tensor that it is not given, so no gradient would flow to it; pass it as "
            "an argument, or use its .data"
        )
    return data._array


_new = Entry.__new__
_is_recording = is_recording.get
_tensor: type[Tensor]  # what a call becomes: tensor.py, which stands on this file, says it


def results_are(kind: type[Tensor]) -> None:
    """Say of which class the results of calls are."""
    global _tensor
    _tensor = kind


def result(
    data: Array,
    function: Function | None,
    args: tuple[Any, ...],
    values: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    requires_grad: bool,
) -> Tensor:
    """Make the Tensor that a call gives, with the call if it is to be remembered."""
    tensor = _new(_tensor)
    tensor._array = data
    tensor._age = tick()
    tensor._grad = tensor.name = None
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
            watch.see_call(tensor, function, args)
    return tensor


def constant(data: Array) -> Tensor:
    """Give a Tensor without history that shares the data and wants no gradient."""
    return result(data, None, (), (), NO_KEYWORDS, False)


def variable(data: Array) -> Tensor:
    """Give a leaf that shares the data and wants a gradient."""
    tensor = constant(data)
    tensor.requires_grad = True
    return tensor


def dispatch(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer NumPy's protocols."""
    if kwargs.pop("out", None) is not None:
        raise TypeError(
            f"{name_of(function)}: out= cannot be used with a Tensor, nor can an array take one in by += and the "
            "like; write y = function(x)"
        )
    if facts_of(function).is_constant:
        for key in kwargs:
            if not has_option(function, key) and (hint := said_of_option(key, kwargs[key])):
                raise TypeError(f"{name_of(function)} has no option {key}={hint}")
        return function(*map(bare, args), **{key: bare(value) for key, value in kwargs.items()})
    return record(function, args, kwargs)


def data_of(x: Array) -> Any:
    """Give the array inside a Tensor, and anything else as it is."""
    return x._array if isinstance(x, Entry) else x


def is_variable(x: Array) -> bool:
    """Whether something is a Tensor that requires a gradient."""
    return isinstance(x, Entry) and x.requires_grad


def _refused(error: ValueError, function: Function, values: Array) -> ValueError:
    """Add the call and the shapes to what NumPy says of a call it refuses."""
    if type(error) is not ValueError:
        return error
    items = [one for value in values for one in (value if type(value) in (list, tuple) else [value])]
    shapes = " and ".join(str(one.shape) for one in items if hasattr(one, "shape"))
    return ValueError(f"{name_of(function)} of shapes {shapes}: {error}")


def primitive(function: F) -> F:
    """Make a function of arrays one call on the tape, whose derivative `defvjp` gives.

    Without Tensors among its arguments the function runs as it is. An array type of another kind that wants to be
    handed the call whole, as NumPy's protocols hand it NumPy's functions, says so by a method
    ``__array_call__(function, args, kwargs)``, which gives the result, or NotImplemented to let the function run.

    Example:
        >>> import autodiff as ad
        >>> @ad.primitive
        ... def softplus(x):
        ...     return np.logaddexp(x, 0)
        >>> ad.defvjp(softplus, lambda g, out, x: g / (1 + np.exp(-x)))
        >>> softplus(ad.Tensor(0.0))
        Tensor(0.69314718, call=softplus)
    """
    recorded = offered(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        is_plain = True
        for arg in (*args, *kwargs.values()) if kwargs else args:
            if type(arg) not in PLAIN:
                if isinstance(arg, Entry) or holds_tensors(arg):
                    return record(recorded, args, kwargs)
                refuse_dict(function, arg)
                is_plain = False
        return function(*args, **kwargs) if is_plain else recorded(*args, **kwargs)

    share(function, call)
    share(function, recorded)
    return call  # type: ignore[return-value]
