"""`vmap`: a function of one example, made one of a whole batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from autodiff.arrays.foreign import taken_in
from autodiff.batching import elementwise, indexing, linalg, reductions, shape  # noqa: F401 (they fill the table)
from autodiff.batching.array import Batched, Level, inside, outside
from autodiff.core.record import data_of, record
from autodiff.core.rule import Array, Function, name_of
from autodiff.core.tensor import Tensor
from autodiff.transforms.containers import flatten, is_leaf, is_record, walk

Axes = Any  # an axis, None, or containers of them

_FIELDS = "__dataclass_fields__"


def vmap(function: Function, in_axes: Axes = 0, out_axes: Axes = 0, *, chunk_size: int | None = None) -> Function:
    """Make a function of one example one of a whole batch: each of its NumPy calls is made once, for all members.

    Args:
        function: takes and returns arrays or Tensors, or nested containers of them. Its Python code runs once, so that
            it cannot branch on values: `np.where` does.
        in_axes: which axis of each argument lies the batch along: an integer for all, or a tuple or list with one for
            each positional argument. For a container it may be a container of the same form, or an integer for all
            that is in it. None says that an argument is the same for each member. Keyword arguments are, too.
        out_axes: along which axis of the output the batch is to lie, in the same way. None, for what does not depend on
            the batch, gives it once.
        chunk_size: how many members are computed at once, at most; by default all.

    Returns:
        A function of the same arguments with one more axis. It gives arrays where arrays go in, and can be
        differentiated, and batched again. What it uses from outside is the same for each member, and its gradient the
        sum of theirs.

    Raises:
        TypeError: ``function`` is not callable, an axis is not an integer or None, an argument has no axes; or, within
            the function, a number or a plain array is made of a batched array.
        ValueError: nothing is batched, an axis is out of range, lengths differ, or containers have other forms.

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
    if chunk_size is not None and (not isinstance(chunk_size, int | np.integer) or chunk_size < 1):
        raise ValueError(f"vmap: chunk_size must be a positive integer or None, got {chunk_size!r}")

    @functools.wraps(function)
    def of_batch(*args: Any, **kwargs: Any) -> Any:
        called = f"vmap({name_of(function)})"
        leaves, rebuild = flatten(args)
        axes, size = _axes(called, in_axes, args, leaves)
        step = max(1, size) if chunk_size is None else chunk_size
        pieces = []
        for start in range(0, max(1, size), step):
            part = slice(start, min(start + step, size))
            pieces.append(_run(called, function, leaves, rebuild, kwargs, axes, out_axes, part, size))
        outputs, out, put_together = pieces[0]
        if len(pieces) > 1:
            columns = zip(*(outputs for outputs, _, _ in pieces), strict=True)
            outputs = [
                items[0] if axis is None else np.concatenate(items, axis=axis)
                for items, axis in zip(columns, out, strict=True)
            ]
        return put_together(outputs)

    return of_batch


def _run(
    called: str,
    function: Function,
    leaves: Sequence[Any],
    rebuild: Callable[..., Any],
    kwargs: dict[str, Any],
    axes: Sequence[int | None],
    out_axes: Axes,
    part: slice,
    size: int,
) -> tuple[list[Any], list[int | None], Callable[..., Any]]:
    """Run the function on some of the members: its outputs, their axes, and how they are put into its containers."""
    level = Level(part.stop - part.start)
    is_all = level.size == size
    try:
        opened = [
            leaf if axis is None else _entered(leaf if is_all else _taken(leaf, axis, part), axis, level)
            for leaf, axis in zip(leaves, axes, strict=True)
        ]
        result = function(*rebuild(opened), **kwargs)
        outputs, put_together = flatten(result)
        out = list(_spread(called, "out_axes", out_axes, result, "the output"))
        given = {id(leaf) for leaf in leaves}
        taken_out = [
            _left(called, leaf, axis, level, path, given)
            for leaf, axis, (path, _) in zip(outputs, out, walk(result), strict=True)
        ]
    finally:
        level.is_over = True
    return taken_out, out, put_together


def _taken(leaf: Any, axis: int, part: slice) -> Any:
    return leaf[(slice(None),) * axis + (part,)]


def _entered(leaf: Any, axis: int, level: Level) -> Any:
    """Give the batched array for an argument, in a Tensor that hangs on it if that is one."""
    return record(inside, (leaf, axis, level)) if isinstance(leaf, Tensor) else inside(leaf, axis, level)


def _left(called: str, leaf: Any, axis: int | None, level: Level, path: str, given: set[int]) -> Any:
    """Give the arrays of all members for an output."""
    data = data_of(leaf)
    is_batched = type(data) is Batched and data.level is level
    if axis is None:
        if is_batched:
            raise ValueError(f"{called}: the output{path} depends on the batch, so its out_axes cannot be None")
        return leaf
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
    if isinstance(leaf, Tensor):
        return record(outside, (leaf, axis, level))
    array = outside(leaf, axis, level)
    # The caller may write into what it is given, which must not show what it gave.
    is_shared = isinstance(array, np.ndarray) and (array.base is not None or id(array) in given)
    return array.copy() if is_shared else array


def _axes(called: str, in_axes: Axes, args: Sequence[Any], leaves: Sequence[Any]) -> tuple[list[int | None], int]:
    """Give the axis of each array among the arguments, not negative, and the size of the batch."""
    if isinstance(in_axes, tuple | list):
        if len(in_axes) != len(args):
            raise ValueError(
                f"{called}: in_axes {in_axes!r} has {len(in_axes)} entries for {len(args)} positional arguments"
            )
        wanted = [
            axis
            for position, (axes, arg) in enumerate(zip(in_axes, args, strict=True))
            for axis in _spread(called, "in_axes", axes, arg, f"argument {position}")
        ]
    else:
        wanted = list(_spread(called, "in_axes", in_axes, tuple(args), "the arguments"))
    names = [f"argument {path[1:].replace(']', '', 1)}" for path, _ in walk(tuple(args))]
    axes: list[int | None] = []
    sizes: dict[str, int] = {}
    for leaf, axis, name in zip(leaves, wanted, names, strict=True):
        if axis is not None:
            taken_in(leaf, called)
            shape = getattr(leaf, "shape", None)
            if shape is None or not hasattr(leaf, "dtype"):
                raise TypeError(
                    f"{called}: {name} is a {type(leaf).__name__}, which has no axis {axis}: give an array, or None in "
                    "in_axes if it is the same for each member"
                )
            if not -len(shape) <= axis < len(shape):
                raise ValueError(f"{called}: in_axes {axis} is out of range for {name} of shape {shape}")
            axis %= len(shape)
            sizes[name] = shape[axis]
        axes.append(axis)
    if not sizes:
        raise ValueError(f"{called}: no argument is batched; give an axis for at least one array in in_axes")
    if len(set(sizes.values())) > 1:
        given = ", ".join(f"{size} of {name}" for name, size in sizes.items())
        raise ValueError(f"{called}: the lengths of the batched axes differ: {given}")
    return axes, next(iter(sizes.values()))


def _spread(called: str, what: str, axes: Axes, tree: Any, where: str) -> Iterator[int | None]:
    """Give an axis for each leaf of a container, of one axis for all or of a container of the same form."""
    if axes is None or (isinstance(axes, int | np.integer) and not isinstance(axes, bool)):
        yield from [None if axes is None else int(axes)] * len(flatten(tree)[0])
        return
    parts, items = _items(axes), _items(tree)
    if parts is None and not isinstance(axes, tuple | list | dict) and not is_record(axes):
        raise TypeError(f"{called}: {what} must be integers, None or containers of them, got {axes!r} for {where}")
    if parts is None or items is None or is_leaf(tree) or parts.keys() != items.keys():
        raise ValueError(f"{called}: {what} {axes!r} has another form than {where}: {_form(tree)}")
    for key, item in items.items():
        yield from _spread(called, what, parts[key], item, where)


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
