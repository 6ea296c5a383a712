"""The tape: what is remembered of a call, and the walk that carries gradients back through the calls.

How a call gets onto the tape stands in ``record.py``; what its derivative is stands in ``autodiff/rules``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from heapq import heappop, heappush
from operator import iadd
from typing import Any, Literal

import numpy as np

from autodiff.arrays.foreign import refuse_unknown_shape
from autodiff.arrays.sums import is_short, total
from autodiff.core.clock import note, tick
from autodiff.core.hooks import HOOKS, Hook, hooked
from autodiff.core.rule import FACTS, Array, Function, Rule, defvjp, describe, facts_of, name_of
from autodiff.core.watch import WATCHES, Watch, current_watch

Hooks = Literal["all", "between", "none"]
_float64, _ndarray = np.float64, np.ndarray
is_recording: ContextVar[bool] = ContextVar("is_recording", default=True)
# The batches whose functions run, in this thread or task: each member begins a walk of its own.
running: ContextVar[tuple[Any, ...]] = ContextVar("running", default=())


@contextlib.contextmanager
def recording(on: bool) -> Iterator[None]:
    """Turn recording on or off for this thread or task, until the block ends."""
    token = is_recording.set(on)
    try:
        yield
    finally:
        is_recording.reset(token)


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording: in a ``with`` block, or as a decorator ``@no_grad()``.

    Results are still Tensors, with ``requires_grad=False``. The switch holds for the current thread and async task.

    Example:
        >>> import autodiff as ad
        >>> x = ad.Tensor(3.0)
        >>> with ad.no_grad():
        ...     y = x * x
        >>> y.requires_grad
        False
    """
    with recording(False):
        yield


class Entry:
    """An entry of the tape: an array, and the call that made it. Every entry is a Tensor, which has the methods."""

    __slots__ = (
        "__weakref__",
        "_age",
        "_args",
        "_array",
        "_function",
        "_grad",
        "_hooks",
        "_kwargs",
        "_values",
        "name",
        "requires_grad",
    )

    _array: Any  # not `_data`, where NumPy looks for the array inside a masked one
    _age: int  # of its contents
    _function: Function | None  # None for a leaf: a Tensor that no recorded call made
    _args: tuple[Any, ...]  # Tensors and constants
    _values: tuple[Any, ...]  # as the function got them: an array for each Tensor, and the same constants
    _kwargs: Mapping[str, Any]
    _hooks: dict[Hook, Callable[[Any], Any] | None]  # not set where there are none
    _grad: Any
    name: str | None
    requires_grad: bool

    def _label(self) -> str:
        """Name the Tensor in a message."""
        made = f" made by {name_of(self._function)}" if self._function is not None and self.name is None else ""
        shape = getattr(self._array, "shape", None)
        return f"{type(self).__name__}{f' {self.name!r}' if self.name else ''} of shape {shape}{made}"


class Outputs(tuple[Any, ...]):
    """The several outputs of one call as a single value on the tape, or their gradients, ``None`` where none came."""

    shape = dtype = None  # the same on both sides, so that a gradient conforms to its value as any other does

    def __add__(self, other: tuple[Any, ...]) -> Outputs:
        return Outputs(b if a is None else a if b is None else a + b for a, b in zip(self, other, strict=True))

    def filled(self, outputs: Outputs) -> Outputs:
        """Put zeros where no gradient came, so that a rule need not ask."""
        return Outputs(np.zeros_like(out) if g is None else g for g, out in zip(self, outputs, strict=True))


def pick(outputs: Outputs, position: int) -> Any:
    """Give one of the several outputs of a call."""
    return outputs[position]


defvjp(pick, lambda g, out, outputs, position: Outputs(g if k == position else None for k in range(len(outputs))))


def pack(*items: Any) -> list[Any]:
    """Give several arrays as a list: the one argument of a call that takes a list of them."""
    return list(items)


class _Pieces(tuple[Any, ...]):
    """The rules of `pack`: for the argument at any position, the piece of the gradient that stands there."""

    def __getitem__(self, position: Any) -> Any:
        return lambda g, out, *items: g[position]


describe(pack, rules=_Pieces())


def assignment(entry: Entry, label: str) -> Any:
    """Name what made a Tensor whose data was assigned after a call had computed it."""
    return entry


def _lost(g: Array, out: Array, entry: Entry, label: str) -> Any:
    raise RuntimeError(
        f"backward: {label} was given other data after it had been computed, so its own gradient is lost; compute it "
        "again"
    )


defvjp(assignment, _lost)


def arguments(entry: Entry) -> tuple[Any, ...]:
    """Give the arguments of a call as they were given: lists and tuples, where the tape has a pack of them."""
    return tuple(_opened(arg) if isinstance(arg, Entry) and _is_pack(arg._array) else arg for arg in entry._args)


def _opened(packed: Entry) -> Any:
    form = packed._array
    items = form if packed._function is None else arguments(packed)
    return form._make(items) if hasattr(form, "_make") else type(form)(items)


def _is_pack(value: Any) -> bool:
    return isinstance(value, list | tuple) and type(value) is not Outputs


def pullback(
    seeds: Sequence[tuple[Entry, Array]],
    create_graph: bool = False,
    inputs: Sequence[Entry] = (),
    hooks: Hooks = "all",
) -> dict[Any, Array]:
    """Carry gradients of outputs back to the leaves of their graph, or only to the given inputs.

    Args:
        seeds: where the walk begins: outputs, each with the gradient of the final quantity with respect to it, of its
            shape and dtype.
        create_graph: let Tensors flow through the rules instead of arrays, so that the result has a graph of its own.
        inputs: where the walk ends. Parts of the graph that are older than all of them are not visited.
        hooks: which of the functions that were registered for Tensors are called: "between", all but those of the
            inputs, where another walk goes on from these.

    Returns:
        The gradient of every leaf (or input) that was reached, and of every Tensor on the way that is to keep its own.
    """
    start = tick()
    watch = current_watch() if WATCHES else None
    if watch is None:
        gradients = _walk(seeds, create_graph, inputs, hooks, None)
    else:
        with watch.walking():
            gradients = _walk(seeds, create_graph, inputs, hooks, watch)
    note(pullback, start)
    return gradients


def _walk(
    seeds: Sequence[tuple[Entry, Array]], create_graph: bool, inputs: Sequence[Entry], hooks: str, watch: Watch | None
) -> dict[Any, Array]:
    ends = {entry._age for entry in inputs}
    oldest = max(ends, default=0)
    is_hooked = bool(HOOKS) and hooks != "none"
    # Ages are compared only: the older an entry, the larger its age.
    # Age of an entry -> the entry, the sum of the gradients that came so far, and whether that sum is ours alone.
    pending: dict[int, tuple[Entry, Any, bool]] = {}
    for entry, g in seeds:
        g = _shared(g, entry._array, entry)
        pending[entry._age] = entry, pending[entry._age][1] + g if entry._age in pending else g, False
    not_ours = {id(g) for _, g, _ in pending.values()}
    gradients: dict[Any, Array] = {}
    # Leaves and inputs only collect; in the heap are those whose gradients are to be carried on.
    heap = sorted(age for age, (entry, *_) in pending.items() if entry._function is not None and age not in ends)

    while heap:
        age = heappop(heap)
        entry, g, _ = pending.pop(age)
        if is_hooked:
            g = hooked(entry, g, watch, gradients)
        function: Any = entry._function
        try:
            values, kwargs, rules = entry._values, entry._kwargs, FACTS[function].rules
        except KeyError:  # it was made within another function, and keeps its own
            values, kwargs, rules = entry._values, entry._kwargs, facts_of(function).rules
        out, args = (entry, arguments(entry)) if create_graph else (entry._array, values)
        if type(entry._array) is Outputs:
            rule_with_graph = facts_of(function).rule_with_graph
            if rule_with_graph is None:
                g, out = g.filled(entry._array), tuple(out)  # type: ignore[arg-type]
            elif not create_graph and (other := rule_with_graph(g, entry._array)):
                rules = (_with_graph(other, seeds, entry),)
        binary = len(args) == 2 and not kwargs
        position = -1  # counted by hand, since zip and enumerate cost a tenth of a walk over scalars
        for parent in entry._args:
            position += 1
            value = values[position]
            if parent is value:
                continue  # a constant: where an argument is a Tensor, its value is the array inside
            parent_age = parent._age
            if parent_age < age:
                raise _changed_since(parent, function)
            if parent_age > oldest or not parent.requires_grad:
                continue
            # Unpacking arguments is slow: put in their places, two save a tenth, and appended, one saves as much.
            rule: Any = rules[position]
            d = rule(g, out, args[0], args[1]) if binary else rule(*(g, out) + args, **kwargs)  # noqa: RUF005
            if (kind := type(d)) is not type(value) or (  # a scalar's type says its shape and dtype
                kind is not _float64 and (kind is not _ndarray or d.shape != value.shape or d.dtype is not value.dtype)
            ):
                d = _conformed(d, value, function, position, parent)
            if parent_age not in pending:
                pending[parent_age] = parent, d, False
                if parent._function is not None and parent_age not in ends:
                    heappush(heap, parent_age)
            else:
                _, so_far, ours = pending[parent_age]
                # What a rule returned may be a view, or shared; only a sum may be added into in place.
                so_far = iadd(so_far, d) if ours else so_far + d  # type: ignore[no-untyped-call]
                pending[parent_age] = parent, so_far, type(so_far) is _ndarray
            if watch is not None:
                watch.see_gradient(entry, parent, d)

    for age, (entry, g, _) in pending.items():
        if ends and age not in ends:
            continue
        if is_hooked and hooks == "all":
            g = hooked(entry, g, watch, gradients)
        # The caller may write into what it is given, so a view, and what another has too, is copied.
        array = getattr(g, "_array", g) if create_graph else g
        if id(g) in not_ours or getattr(array, "base", None) is not None:
            g = g.copy()
        not_ours.add(id(g))
        gradients[entry] = g
    return gradients


def _with_graph(rule: Rule, seeds: Sequence[tuple[Entry, Array]], entry: Entry) -> Rule:
    """Give a call's rule the gradient of its outputs with a graph, for which that is carried to it once more."""
    with recording(True):
        g = _walk(seeds, True, (entry,), "between", None)[entry]
        d = rule(g, entry, *arguments(entry), **entry._kwargs)
    return lambda *_, **options: getattr(d, "_array", d)


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which an array of ``shape`` was broadcast.

    Raises:
        ValueError: an array of ``shape`` does not broadcast to the gradient's shape.

    Example:
        >>> import numpy as np
        >>> unbroadcast(np.ones((2, 3)), (3,))
        array([2., 2., 2.])
    """
    if np.broadcast_shapes(shape, gradient.shape) != gradient.shape:
        raise ValueError(f"shape {shape} does not broadcast to {gradient.shape}")
    padded = (1,) * (gradient.ndim - len(shape)) + shape
    axes = tuple(axis for axis, size in enumerate(padded) if size == 1 != gradient.shape[axis])
    sum_over = np.add.reduce if is_short(gradient) else total
    return np.reshape(sum_over(gradient, axis=axes, keepdims=True), shape)


def _shared(gradient: Array, value: Array, entry: Entry) -> Any:
    """Sum the gradients of the members of a batch, if they share the entry; what else is a gradient, give as it is."""
    sum_for = getattr(getattr(gradient, "_array", gradient), "summed_for", None)
    return gradient if sum_for is None else sum_for(gradient, value, entry)


def _conformed(gradient: Array, value: Array, function: Function, position: int, entry: Entry | None = None) -> Any:
    """Give what a rule returned the shape and dtype of its argument, or say why that cannot be."""
    if entry is not None:
        gradient = _shared(gradient, value, entry)
    if _is_pack(value):
        return Outputs(
            _conformed(one, item, function, position) if _is_pack(item) or hasattr(item, "dtype") else None
            for one, item in zip(gradient, value, strict=True)
        )
    if not hasattr(gradient, "dtype"):
        if not isinstance(gradient, int | float | complex):
            raise TypeError(
                f"a rule of {name_of(function)} returned {gradient!r} for argument {position}, not an array: see defvjp"
            )
        gradient = np.asarray(gradient)
    if gradient.shape != value.shape:
        if type(value) is not np.ndarray:
            refuse_unknown_shape(name_of(function), value)
        problem = (
            f"a rule of {name_of(function)} returned a gradient of shape {gradient.shape} "
            f"for argument {position} of shape {value.shape}"
        )
        if not (FACTS.get(function) or facts_of(function)).broadcasts:
            raise ValueError(problem + "; a function that broadcasts is declared with defvjp(..., elementwise=True)")
        try:
            gradient = unbroadcast(gradient, value.shape)
        except ValueError:
            raise ValueError(problem) from None
    if gradient.dtype == value.dtype:
        return gradient
    if gradient.dtype.kind not in "fcbiu":
        raise TypeError(
            f"a rule of {name_of(function)} returned a gradient of dtype {gradient.dtype} "
            f"for argument {position} of dtype {value.dtype}; only numbers are differentiated"
        )
    if entry is not None and entry._function is None and value.dtype.kind not in "fc":
        raise TypeError(
            f"backward: {entry._label()} holds {value.dtype}, which has no gradient; make it of floats, or set "
            "requires_grad = False"
        )
    return as_dtype(gradient, value.dtype)


def as_dtype(gradient: Array, dtype: Any) -> Any:
    """Give a gradient the dtype of its value: for a real one, the real part of it.

    A gradient flows as the derivative ``∂L/∂x - i ∂L/∂y`` by the complex variable ``x + iy``, so that the rule of a
    holomorphic function is the one of real numbers, and what is multiplied by a change gives that of the result.
    """
    if gradient.dtype.kind == "c" != dtype.kind:
        gradient = np.real(gradient)
    return gradient if gradient.dtype == dtype else gradient.astype(dtype)


def conj(x: Array) -> Any:
    """Conjugate what is complex, such as a gradient that is shown as ``∂L/∂x + i ∂L/∂y``; give the rest as it is."""
    try:
        is_complex = x.dtype.kind == "c"
    except AttributeError:  # a number of Python's, or several outputs
        is_complex = isinstance(x, complex)
    return np.conjugate(x) if is_complex else x


def _changed_since(entry: Entry, function: Function) -> RuntimeError:
    user = "a list" if function is pack else name_of(function)
    return RuntimeError(
        f"backward: {entry._label()} was changed after {user} had used it, so the gradient would mix "
        "old and new values; call backward() before the change, or compute the output again"
    )
