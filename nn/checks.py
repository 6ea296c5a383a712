"""What every layer, optimizer and loop asks of its arguments, and how it says what is wrong."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from autodiff import Tensor, defvjp, primitive
from autodiff.arrays.foreign import is_of_unknown_shape, is_sparse, meaning_else
from autodiff.arrays.lazy import checked
from autodiff.batching.array import Batched
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from autodiff.elsewhere import said_of_option

F = TypeVar("F", bound=Callable[..., Any])

NUMBERED = "np.unique(labels, return_inverse=True)[1]"  # for messages: numbers in place of texts


def to_array(caller: str, name: str, x: Any) -> Array:
    """Make arrays of lists, numbers and other libraries' tables, and leave what speaks NumPy's protocols as it is.

    What means something else than its numbers, such as a masked array, is refused.
    """
    if kind := meaning_else(x):
        raise TypeError(f"{caller}: {name} must not be {kind}")
    if hasattr(x, "__array_function__"):
        return x
    try:
        return np.asarray(x)
    except ValueError:
        raise ValueError(f"{caller}: {name} must not be ragged; every row must have the same shape") from None


def has_dtype(x: Any) -> bool:
    """Whether something has a dtype of its own, as arrays and tables have, and numbers and lists have not."""
    return hasattr(x, "dtype") or hasattr(x, "__array__")


def check_real(caller: str, name: str, x: Any, kinds: str = "fiub") -> Array:
    """Refuse what is not real numbers, and give it as an array or a Tensor.

    Args:
        caller: what the message begins with.
        name: of the argument.
        x: what was given.
        kinds: of dtypes; without "b" for arithmetic that booleans do not have, with "c" for complex numbers too.
    """
    array = x if type(x) is np.ndarray or isinstance(x, Tensor) else to_array(caller, name, x)  # spares most a call
    if array.dtype.kind not in kinds:
        ways_out = {
            "b": "; convert it with .astype(float)",
            "U": f"; {NUMBERED} numbers texts",
            "c": "; make them real first, as by np.abs(z - w) ** 2, or give z.real and z.imag",
        }
        way_out = ways_out.get(array.dtype.kind, "")
        got = f"dtype {array.dtype}" if array.shape else repr(x)
        raise TypeError(f"{caller}: {name} must be real numbers, got {got}{way_out}")
    return array


def check_known(caller: str, x: Array, name: str = "x") -> None:
    """Refuse an array of Dask that does not know how long it is."""
    if is_of_unknown_shape(x):
        raise ValueError(
            f"{caller}: {name} has the unknown shape {x.shape}; let Dask find it out, by compute_chunk_sizes()"
        )


def check_values(x: Array, check: Callable[..., None], *args: Any) -> Array:
    """Refuse an array whose numbers a check refuses, and give it; a lazy one, as one that is checked when computed.

    Args:
        x: an array or a Tensor.
        check: raises where an array, which may be a block of a lazy one, holds what it must not.
        args: what else the check is given.
    """
    values = data_of(x)
    if type(values) is np.ndarray:
        check(values, *args)
        return x
    passed = checked(values, check, *args)
    if passed is values:
        return x
    return _stands_for(x, passed) if isinstance(x, Tensor) else passed


@primitive
def _stands_for(x: Array, passed: Array) -> Array:
    return passed


defvjp(_stands_for, lambda g, out, x, passed: g)


def in_dtype_of(parameter: Tensor | None, caller: str, x: Any) -> Array:
    """Give the input of a layer in the dtype of its parameters, complex only if they are; as it is without any."""
    if parameter is None or getattr(x, "dtype", None) is parameter.dtype:
        return x
    kinds = "fiubc" if parameter.dtype.kind == "c" else "fiub"
    if is_sparse(x):
        check_real(caller, "x", np.empty(0, x.dtype), kinds)
    else:
        x = check_real(caller, "x", x, kinds)
    return x if x.dtype == parameter.dtype else x.astype(parameter.dtype)


def check_dtype(caller: str, dtype: Any, kinds: str = "f") -> Any:
    """Refuse what is not a floating-point dtype, or with "c" among the kinds a complex one, and give it."""
    try:
        kind = np.dtype(dtype).kind
    except TypeError:
        kind = None
    if kind is None or kind not in kinds:
        known = "floating-point or complex" if "c" in kinds else "floating-point"
        raise TypeError(f"{caller}: dtype must be {known}, such as np.float32, got {dtype!r}")
    return np.dtype(dtype)


def check_options(caller: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that a function has not, and name the one that is meant; a TypeError as Python's, that says more.

    Args:
        caller: what the message begins with.
        function: whose options they are.
        options: names and values; what else the function is given is not looked at.
    """
    code = getattr(function, "__code__", None)
    if not options or (
        code is not None and {*options} <= {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
    ):
        return  # most often
    try:
        known = inspect.signature(function, follow_wrapped=False).parameters  # a decorator may take more
    except (TypeError, ValueError):
        return
    if any(one.kind is one.VAR_KEYWORD for one in known.values()):
        return
    for name, value in options.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}=?" if near else ""
            raise TypeError(f"{caller}: there is no option {name}={said_of_option(name, value) or hint}")


class WithKnownOptions:
    """A class whose subclasses say which option is meant where one is made with an option that it has not."""

    if not TYPE_CHECKING:  # or checkers would take the options of every subclass for these

        def __new__(cls, *args: Any, **options: Any) -> Self:  # noqa: D102
            if (args or options) and cls.__init__ is object.__init__:  # which does not say so itself below a __new__
                raise TypeError(f"{cls.__name__}: it takes no arguments, got {len(args) + len(options)}")
            check_options(cls.__name__, cls.__init__, options)
            return super().__new__(cls)


def with_known_options(function: F) -> F:
    """Let a function say which option is meant where it is given one that it has not."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except TypeError:
            try:
                check_options(function.__name__, function, options)
            except TypeError as error:
                raise error from None
            raise

    return call  # type: ignore[return-value]


def check_integer(caller: str, name: str, value: Any, domain: str = "an integer") -> None:
    """Refuse what is not an integer; where None is one more choice, the text of the domain says so."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{caller}: {name} must be {domain}, got {value!r}")


def check_count(caller: str, name: str, value: Any, least: int = 1) -> None:
    """Refuse what is not a positive integer, or one from ``least`` on."""
    domain = "a positive integer" if least == 1 else f"an integer, {least} or more"
    check_integer(caller, name, value, domain)
    if value < least:
        raise ValueError(f"{caller}: {name} must be {domain}, got {value!r}")


def check_flag(caller: str, name: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool | np.bool):
        raise TypeError(f"{caller}: {name} must be True or False, got {value!r}")


def check_functions(caller: str, name: str, value: Any) -> Any:
    """Refuse what is no list of functions, and give it."""
    if not isinstance(value, list | tuple) or not all(map(callable, value)):
        raise TypeError(f"{caller}: {name} must be a list of functions, got {value!r}")
    return value


def all_finite(array: Array) -> bool:
    """Whether all numbers are finite."""
    with np.errstate(all="ignore"):  # a sum is fast, and finite only if all numbers are; it may overflow without that
        return bool(np.isfinite(np.add.reduce(array, axis=None))) or bool(np.isfinite(array).all())


def check_number(caller: str, name: str, value: Any, inside: Callable[[float], bool], domain: str) -> None:
    """Refuse what is not a number, not finite, or outside its domain; one that is being recorded has no value yet."""
    if type(value) is Batched and not value.shape:
        for one in value.array:  # of each member
            check_number(caller, name, one, inside, domain)
        return
    if hasattr(value, "__array_call__") and type(value) is not Batched:
        return
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{caller}: {name} must be a number, {domain}, got {value!r}")
    if not math.isfinite(value) or not inside(float(value)):
        raise ValueError(f"{caller}: {name} must be {domain}, got {value!r}")


def check_choice(caller: str, name: str, value: Any, known: Any) -> None:
    """Refuse what is no text, and a name that is not one of those known."""
    if not isinstance(value, str):
        raise TypeError(f"{caller}: {name} must be one of the texts {', '.join(known)}; got {value!r}")
    if value not in known:
        raise ValueError(f"{caller}: unknown {name} {value!r}; known: {', '.join(known)}")


def check_probability(caller: str, p: Any) -> None:
    """Refuse a dropout probability outside [0, 1)."""
    check_number(caller, "p", p, lambda p: 0 <= p < 1, "a probability below 1, 0 <= p < 1")


def check_path(caller: str, path: Any) -> Path:
    """Refuse what is not the path of a file, and give it."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{caller}: expected the path of a file, got {path!r}")
    return Path(path)


def check_rows(caller: str, name: str, rows: Any) -> Array:
    """Refuse what is not one row for each sample, all of them whole, and give it as an array."""
    rows = to_array(caller, name, rows)
    if rows.ndim == 0:
        check_real(caller, name, rows)
        raise ValueError(f"{caller}: {name} must have one row for each sample, got a scalar")
    return rows


def check_dataset(caller: str, X: Any, y: Any) -> None:
    """Refuse inputs and targets that are not as many, or none."""
    if len(X) != len(y):
        raise ValueError(f"{caller}: {len(X)} rows of inputs but {len(y)} targets")
    if len(X) == 0:
        raise ValueError(f"{caller}: the dataset is empty")


def check_shape(caller: str, name: str, shape: Any) -> tuple[int, ...]:
    """Refuse what is neither a positive integer nor a list of them, and give it as a tuple."""
    lengths = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    if not lengths:
        raise ValueError(f"{caller}: {name} must have a length for one axis at least, got {shape!r}")
    for length in lengths:
        check_count(caller, f"{name}, or each length in it,", length)
    return tuple(map(int, lengths))


def check_padding(caller: str, index: Any, rows: int) -> None:
    """Refuse a padding index that is not that of a row."""
    check_integer(caller, "padding_idx", index, "an integer or None")
    if not -rows <= index < rows:
        raise IndexError(f"{caller}: padding_idx must lie from {-rows} to {rows - 1} for {rows} rows, got {index}")
