"""`vmap`: a function of one example, made one of a whole batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np

from autodiff.arrays.draws import Sources
from autodiff.arrays.foreign import taken_in
from autodiff.batching import elementwise, fourier, indexing, linalg, reductions, shape  # noqa: F401 (fill the table)
from autodiff.batching.array import Level, Randomness, inside, levels_of, outside
from autodiff.core.clock import tick
from autodiff.core.record import data_of
from autodiff.core.rule import Array, Function, name_of
from autodiff.core.tape import running
from autodiff.transforms.containers import flatten, is_leaf, is_record, walk

Axes = Any  # an axis, None, or containers of them

_FIELDS = "__dataclass_fields__"


def vmap(
    function: Function,
    in_axes: Axes = 0,
    out_axes: Axes = 0,
    *,
    kwargs_axes: Axes = None,
    randomness: Randomness = "error",
    chunk_size: int | None = None,
) -> Function:
    """Make a function of one example one of a whole batch: each of its NumPy calls is made once, for all members.

    Args:
        function: takes and returns arrays or Tensors, or nested containers of them. Its Python code runs once, so that
            it cannot branch on values: `np.where` does.
        in_axes: which axis of each argument lies the batch along: an integer for all, or a tuple or list with one for
            each positional argument. For a container it may be a container of the same form, or an integer for all
            that is in it. None says that an argument is the same for each member.
        out_axes: along which axis of the output the batch is to lie, in the same way. None, for what does not depend on
            the batch, gives it once.
        kwargs_axes: the axes of keyword arguments: one for all, or a dict of them by name. Those that are not in it,
            and by default all, are the same for each member.
        randomness: what becomes of random numbers that are drawn within the function, as by dropout. They are refused
            ("error"), drawn once for all members ("same"), or for each of them ("different"). What the function draws
            by itself, from a generator of NumPy's, can only be the same for all.
        chunk_size: how many members are computed at once, at most; by default all.

    Returns:
        A function of the same arguments with one more axis. It gives arrays where arrays go in, and can be
        differentiated, and batched again. What it uses from outside is the same for each member, and its gradient the
        sum of theirs.

    Raises:
        TypeError: ``function`` is not callable, an axis is not an integer or None, an argument has no axes; or, within
            the function, a number or a plain array is made of a batched array, or it is written into.
        ValueError: nothing is batched, an axis is out of range, lengths differ, containers have other forms, or an
            output that depends on the batch is to come once.
        RuntimeError: the function draws random numbers otherwise than ``randomness`` says. The generators of NumPy's
            that it was seen to draw from by itself then stand as before.

    Example:
        >>> import numpy as np
        >>> X, w = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([1.0, -1.0])
        >>> ad.vmap(np.dot, in_axes=(0, None))(X, w)
        array([-1., -1., -1.])
        >>> ad.vmap(ad.grad(lambda w, x: np.square(x @ w)), in_axes=(None, 0))(w, X)
        array([[ -2.,  -4.],
               [ -6.,  -8.],
               [-10., -12.]])
    """
    if not callable(function):
        raise TypeError(f"vmap: the first argument must be a function, got {function!r}")
    if randomness not in get_args(Randomness):
        raise ValueError(f"vmap: randomness must be one of {', '.join(get_args(Randomness))}, got {randomness!r}")
    if chunk_size is not None and (not _is_integer(chunk_size) or chunk_size < 1):
        raise ValueError(f"vmap: chunk_size must be a positive integer or None, got {chunk_size!r}")

    @functools.wraps(function)
    def of_batch(*args: Any, **kwargs: Any) -> Any:
        called = f"vmap({name_of(function)})"
        arguments, size = _arguments(called, in_axes, kwargs_axes, args, kwargs)
        step = max(1, size) if chunk_size is None else chunk_size
        is_whole = step >= size
        sources = None
        if not is_whole or randomness != "same":
            sources = Sources(function, [leaf for argument in arguments for leaf in argument.leaves])
        pieces = []
        for start in range(0, max(1, size), step):
            part = slice(start, min(start + step, size))
            level = Level(part.stop - part.start, None, randomness, sources)
            if start and sources and randomness == "same":
                sources.put_back()
            pieces.append(_run(called, function, arguments, out_axes, level, None if is_whole else part))
            if sources:
                sources.look()
        if sources and sources.drawn_from and randomness != "same":
            sources.put_back()
            raise RuntimeError(_drawn(called, sources, randomness))
        outputs, out, put_together = pieces[0]
        if len(pieces) > 1:
            columns = zip(*(outputs for outputs, _, _ in pieces), strict=True)
            outputs = [
                items[0] if axis is None else np.concatenate(items, axis=axis)
                for items, axis in zip(columns, out, strict=True)
            ]
        return put_together(outputs)

    return of_batch


class _Argument(NamedTuple):
    """An argument, taken apart, with the axis of each array that is in it."""

    key: int | str  # its position or name
    value: Any
    leaves: list[Any]
    rebuild: Callable[..., Any]
    axes: list[int | None]

    def entered(self, level: Level, part: slice | None) -> Any:
        """Give it with batched arrays, of all members or some; they hang on the Tensors among its arrays."""
        if all(axis is None for axis in self.axes):
            return self.value
        return self.rebuild(
            [
                leaf if axis is None else _entered(leaf, axis, level, part)
                for leaf, axis in zip(self.leaves, self.axes, strict=True)
            ]
        )


def _entered(leaf: Any, axis: int, level: Level, part: slice | None) -> Any:
    if part is not None:
        leaf = leaf[(slice(None),) * axis + (part,)]
    return inside(leaf, axis, level)


def _run(
    called: str,
    function: Function,
    arguments: Sequence[_Argument],
    out_axes: Axes,
    level: Level,
    part: slice | None,
) -> tuple[list[Any], list[int | None], Callable[..., Any]]:
    """Run the function on all members or some: its outputs, their axes, and how they are put into its containers."""
    token = running.set((*running.get(), level))
    try:
        entered = {argument.key: argument.entered(level, part) for argument in arguments}
        positional = [value for key, value in entered.items() if isinstance(key, int)]
        result = function(*positional, **{key: value for key, value in entered.items() if isinstance(key, str)})
        outputs, put_together = flatten(result)
        out = list(_spread(called, "out_axes", out_axes, result, "the output"))
        given = {id(leaf) for argument in arguments for leaf in argument.leaves}
        taken_out = [
            _left(called, leaf, axis, level, path, given)
            for leaf, axis, (path, _) in zip(outputs, out, walk(result), strict=True)
        ]
    except ValueError as error:
        if isinstance(error.__cause__, TypeError) and "sequence" in str(error):
            raise error.__cause__ from None  # of out[i] = x, of which NumPy says less
        raise
    finally:
        running.reset(token)
        level.end = tick()
    return taken_out, out, put_together


def _left(called: str, leaf: Any, axis: int | None, level: Level, path: str, given: set[int]) -> Any:
    """Give the arrays of all members for an output."""
    data = data_of(leaf)
    if axis is None:
        if level in levels_of(data):
            raise ValueError(f"{called}: the output{path} depends on the batch, so its out_axes cannot be None")
        return _own(leaf, given)
    if not hasattr(data, "dtype"):
        if not isinstance(data, bool | int | float):
            raise TypeError(
                f"{called}: the function must return arrays, Tensors or numbers, got {type(data).__name__} for the "
                f"output{path}"
            )
        leaf = np.asarray(data)
    ndim = np.ndim(leaf) + 1
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"{called}: out_axes {axis} is out of range for the output{path}, which has {ndim} axes with the batch"
        )
    axis %= ndim
    return _own(outside(leaf, axis, level), given)


def _own(array: Any, others: set[int]) -> Any:
    """Give an array that shares no memory with others: the caller may write into it."""
    if isinstance(array, np.ndarray) and (array.base is not None or id(array) in others):
        array = array.copy()
    others.add(id(array))
    return array


def _drawn(called: str, sources: Sources, randomness: Randomness) -> str:
    """Say that the function has drawn numbers by itself."""
    from_where = " and ".join(sorted(sources.drawn_from))
    way_out = "draw before, and give the numbers as an argument with a batch"
    if randomness == "error":
        way_out += ', or write randomness="same"'
    return (
        f"{called}: the function draws random numbers from {from_where}, once, so that they are the same for all "
        f"members: {way_out}"
    )


def _arguments(
    called: str, in_axes: Axes, kwargs_axes: Axes, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[_Argument], int]:
    """Take the arguments apart, and give the size of the batch."""
    given: dict[int | str, Any] = {**dict(enumerate(args)), **kwargs}  # type: ignore[dict-item]
    axes_of: dict[int | str, Axes] = dict.fromkeys(given, in_axes)
    if isinstance(in_axes, tuple | list):
        if len(in_axes) != len(args):
            raise ValueError(
                f"{called}: in_axes {in_axes!r} has {len(in_axes)} entries for {len(args)} positional arguments"
            )
        axes_of.update(enumerate(in_axes))
    axes_of.update(dict.fromkeys(kwargs, kwargs_axes))
    if isinstance(kwargs_axes, dict):
        if not kwargs_axes.keys() <= kwargs.keys():
            raise ValueError(
                f"{called}: kwargs_axes {kwargs_axes!r} names other arguments than the keywords of this call: "
                f"{', '.join(kwargs) or 'none'}"
            )
        axes_of.update({**dict.fromkeys(kwargs), **kwargs_axes})
    sizes: dict[str, int] = {}
    arguments = []
    for key, value in given.items():
        what = "in_axes" if isinstance(key, int) else "kwargs_axes"
        leaves, rebuild = flatten(value)
        wanted = _spread(called, what, axes_of[key], value, f"argument {key}")
        axes = []
        for place, (axis, (path, leaf)) in enumerate(zip(wanted, walk(value), strict=True)):
            name = f"argument {key}{path}"
            if axis is not None:
                leaves[place] = leaf = taken_in(leaf, called)
                axis = _axis_of(called, what, axis, leaf, name)
                sizes[name] = leaf.shape[axis]
            axes.append(axis)
        arguments.append(_Argument(key, value, leaves, rebuild, axes))
    if not sizes:
        raise ValueError(f"{called}: no argument is batched; give an axis for at least one array in in_axes")
    if len(set(sizes.values())) > 1:
        lengths = ", ".join(f"{size} of {name}" for name, size in sizes.items())
        raise ValueError(f"{called}: the lengths of the batched axes differ: {lengths}")
    return arguments, next(iter(sizes.values()))


def _axis_of(called: str, what: str, axis: int, leaf: Any, name: str) -> int:
    """Give the axis of an array among the arguments, not negative."""
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise TypeError(
            f"{called}: {name} is a {type(leaf).__name__}, which has no axis {axis}: give an array, or None in {what} "
            "if it is the same for each member"
        )
    ndim = len(leaf.shape)
    if not -ndim <= axis < ndim:
        raise ValueError(f"{called}: {what} {axis} is out of range for {name} of shape {leaf.shape}")
    return axis % ndim


def _spread(called: str, what: str, axes: Axes, tree: Any, where: str) -> Iterator[int | None]:
    """Give an axis for each leaf of a container, of one axis for all or of a container of the same form."""
    if axes is None or _is_integer(axes):
        yield from [None if axes is None else int(axes)] * len(flatten(tree)[0])
        return
    parts, items = _items(axes), _items(tree)
    if parts is None and not isinstance(axes, tuple | list | dict) and not is_record(axes):
        raise TypeError(f"{called}: {what} must be integers, None or containers of them, got {axes!r} for {where}")
    if parts is None or items is None or is_leaf(tree) or parts.keys() != items.keys():
        raise ValueError(f"{called}: {what} {axes!r} has another form than {where}: {_form(tree)}")
    for key, item in items.items():
        yield from _spread(called, what, parts[key], item, where)


def _is_integer(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool)


def _items(tree: Any) -> dict[Any, Any] | None:
    """Give what a container holds, by position, key or name."""
    if isinstance(tree, list | tuple):
        return dict(enumerate(tree))
    if isinstance(tree, dict):
        return tree
    return {name: getattr(tree, name) for name in getattr(type(tree), _FIELDS)} if is_record(tree) else None


def _form(tree: Array) -> str:
    paths = [path for path, _ in walk(tree)]
    return f"one array, a {type(tree).__name__}" if is_leaf(tree) else f"arrays at {', '.join(paths) or 'no place'}"
