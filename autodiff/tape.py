"""The tape: which derivative rule belongs to which NumPy function, and the walk that applies the rules backward.

The rules themselves stand in ``autodiff/rules``; how a call gets onto the tape stands in ``autodiff/tensor.py``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.anomaly import WATCHES, Watch, current_watch
from autodiff.names import name_of

if TYPE_CHECKING:
    from autodiff.tensor import Tensor

Function = Callable[..., Any]
Rule = Callable[..., Any]

VJPS: dict[Function, tuple[Any, ...]] = {}  # one rule an argument, None for no derivative
ELEMENTWISE: set[Function] = set()
SIGNATURES: dict[Function, tuple[int, frozenset[str]]] = {}  # how many positions, and which keywords, the rules know
CONSTANT: set[Function] = set()  # functions whose derivative is zero or does not exist: they give plain arrays
PLAIN: dict[Function, Function] = {}  # what `primitive` made -> the function it was made from
LISTED: dict[Function, tuple[int, Function]] = {}  # f(a, *xs) -> after how many arguments xs begin, and g(a, [*xs])
LISTS: set[Function] = set()  # NumPy's functions of several arrays in a list; any other makes one array of a list
# Rules of libraries that are slow to import, and so are not imported for their rules' sake: library -> its rules.
LATE = {"scipy.special": "autodiff.rules.special"}

is_recording: ContextVar[bool] = ContextVar("is_recording", default=True)

# Every Tensor is stamped when its contents are made. The clock counts down, so that a heap, which gives the smallest
# first, gives the newest first.
tick = itertools.count(-1, -1).__next__


def defvjp(function: Function, *rules: Rule | None, elementwise: bool = False, variadic: bool = False) -> None:
    """Give a function its derivative: one vector-Jacobian product for each of its leading arguments.

    A rule is called as ``rule(g, out, *args, **kwargs)`` with the gradient ``g`` of the output, the output and the
    call's own arguments. It returns the gradient of its argument, of that argument's shape, written in NumPy calls
    (so that it can be differentiated itself). Where the argument is a list of arrays, it returns a list. A function
    that returns several arrays hands its rules a tuple ``g`` of as many gradients. ``None`` in place of a rule says
    that the argument is not differentiable.

    Args:
        function: a NumPy function, or one made by `primitive`.
        rules: one rule an argument, in order; trailing arguments without a rule are not differentiable.
        elementwise: the function broadcasts its arguments as a ufunc does. The tape then sums a gradient over the
            axes along which its argument was broadcast, so that the rule needs no word about shapes. Implied for
            ufuncs.
        variadic: the function takes any number of arrays. The last rule is then for all arguments from its own place
            on, which it is given as one list, and it returns the list of their gradients.

    Raises:
        TypeError: something given is not callable, or there is no rule at all.
        ValueError: there are more rules than the function has arguments.

    Example:
        >>> import numpy as np, autodiff as ad
        >>> @ad.primitive
        ... def cube(x):
        ...     return x**3
        >>> ad.defvjp(cube, lambda g, out, x: g * 3 * x**2)
        >>> float(ad.grad(cube)(2.0))
        12.0
    """
    if not callable(function):
        raise TypeError(f"defvjp: the function must be callable, got {function!r}")
    for rule in rules:
        if rule is not None and not callable(rule):
            raise TypeError(f"defvjp({name_of(function)}): a rule is a function or None, got {rule!r}")
    written = [rule for rule in rules if rule is not None]
    if not written:
        raise TypeError(f"defvjp({name_of(function)}): give at least one rule: lambda g, out, x: ...")
    function = PLAIN.get(function, function)
    parameters = list(inspect.signature(written[0]).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][2:]
    unlimited = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(rules) > len(positional) and not unlimited:
        raise ValueError(
            f"defvjp({name_of(function)}): {len(rules)} rules for {len(positional)} arguments; "
            "a rule takes (g, out) and then the arguments of the function"
        )
    if variadic:
        LISTED[function] = len(rules) - 1, _listing(function, len(rules) - 1)
        function = LISTED[function][1]
        LISTS.add(function)
    VJPS[function] = rules
    SIGNATURES[function] = (
        sys.maxsize if unlimited else len(positional),
        frozenset(p.name for p in parameters[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)),
    )
    if elementwise or isinstance(function, np.ufunc):
        ELEMENTWISE.add(function)


def load_late_rules() -> None:
    """Load the rules of the libraries that the program has imported by now.

    A function of such a library can only be called once the library is there, so it is soon enough to look when a
    function without a rule is met. Rules that `defvjp` was given before are kept.
    """
    for library in [library for library in list(LATE) if library in sys.modules]:
        given = VJPS.copy(), SIGNATURES.copy()
        importlib.import_module(LATE[library])
        VJPS.update(given[0])
        SIGNATURES.update(given[1])
        LATE.pop(library, None)


def _listing(function: Function, first: int) -> Function:
    """Make the same function with its arguments from ``first`` on in one list."""

    def listing(*args: Any, **kwargs: Any) -> Any:
        return function(*args[:first], *args[first], **kwargs)

    listing.__name__ = name_of(function)
    listing.__module__ = function.__module__
    return listing


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


class Outputs(tuple[Any, ...]):
    """The several outputs of one call as a single value on the tape, or their gradients, ``None`` where none came."""

    shape = dtype = None  # the same on both sides, so that a gradient conforms to its value as any other does

    def __add__(self, other: tuple[Any, ...]) -> Outputs:
        return Outputs(b if a is None else a if b is None else a + b for a, b in zip(self, other, strict=True))

    def filled(self, outputs: Outputs) -> Outputs:
        """Put zeros where no gradient came, so that a rule need not ask."""
        return Outputs(np.zeros_like(out) if g is None else g for g, out in zip(self, outputs, strict=True))


def pullback(
    seeds: Iterable[tuple[Tensor, Any]], create_graph: bool = False, inputs: Sequence[Tensor] = ()
) -> dict[Tensor, Any]:
    """Carry gradients of outputs back to the leaves of their graph, or only to the given inputs.

    Args:
        seeds: where the walk begins: outputs, each with the gradient of the final quantity with respect to it, of its
            shape and dtype.
        create_graph: let Tensors flow through the rules instead of arrays, so that the result has a graph of its own.
        inputs: where the walk ends. Parts of the graph that are older than all of them are not visited.

    Returns:
        The gradient of every leaf (or input) that was reached.
    """
    watch = current_watch() if WATCHES else None
    if watch is None:
        return _walk(seeds, create_graph, inputs, None)
    with watch.walking():
        return _walk(seeds, create_graph, inputs, watch)


def _walk(
    seeds: Iterable[tuple[Tensor, Any]], create_graph: bool, inputs: Sequence[Tensor], watch: Watch | None
) -> dict[Tensor, Any]:
    ends = {node._order for node in inputs}
    oldest = max(ends, default=0)
    # Order of a Tensor -> the Tensor, the sum of the gradients that came so far, and whether that sum is ours alone.
    pending: dict[int, tuple[Tensor, Any, bool]] = {}
    for output, gradient in seeds:
        order = output._order
        if order in pending:
            gradient = pending[order][1] + gradient
        pending[order] = output, gradient, False
    handed_out = {id(gradient) for _, gradient, _ in pending.values()}
    # Leaves and inputs only collect; in the heap are those whose gradients are to be carried on.
    heap = sorted(order for order, (node, *_) in pending.items() if node._function is not None and order not in ends)

    while heap:
        order = heappop(heap)
        node, g, _ = pending.pop(order)
        function: Any = node._function
        out = node._data
        args = values = node._values
        parents = node._args
        kwargs = node._kwargs
        if create_graph:
            out, args = node, parents
        if type(g) is Outputs:
            g = g.filled(node._data)
            out = tuple(node) if create_graph else out
        try:
            rules = VJPS[function]
        except KeyError:
            raise RuntimeError(
                f"backward: {node._label()} was given other data after it had been computed, so its own gradient is "
                "lost; compute it again"
            ) from None
        binary = len(args) == 2 and not kwargs
        lists: list[tuple[Any, Any, Any]] | None = None
        while True:
            position = -1  # counted by hand, since zip and enumerate cost a tenth of a walk over scalars
            for parent in parents:
                position += 1
                value = values[position]
                # An argument differs from its value where it is a Tensor, or a list with Tensors in it.
                if parent is value:
                    continue
                try:
                    rule = rules[position]
                    parent_order = parent._order
                except IndexError:
                    break  # there are no rules from here on, only constants
                except AttributeError:
                    # Of a list, each Tensor takes its piece of what the rule returns, in a further round.
                    pieces = zip(rule(g, out, *args, **kwargs), parent, strict=True)
                    lists = [*(lists or ()), ([_constantly(piece) for piece, _ in pieces], parent, value)]
                    continue
                if parent_order < order:
                    raise _changed_since(parent, function)
                if parent_order > oldest or not parent.requires_grad:
                    continue
                # Unpacking arguments is slow: put in their places, two take a tenth off a walk over scalars, and
                # appended to a tuple, one takes off as much.
                d = rule(g, out, args[0], args[1]) if binary else rule(*(g, out) + args, **kwargs)  # noqa: RUF005
                # A NumPy scalar's type says its shape and dtype, and is there sooner by a tenth of the walk.
                if not (type(d) is type(value) is np.float64):
                    try:
                        conforms = d.shape == value.shape and d.dtype is value.dtype
                    except AttributeError:
                        conforms = False
                    if not conforms:
                        d = _conform(d, value, function, position)
                if watch is not None:
                    watch.see_gradient(node, parent, d)
                if parent_order not in pending:
                    pending[parent_order] = parent, d, False
                    if parent._function is not None and parent_order not in ends:
                        heappush(heap, parent_order)
                else:
                    # What a rule returned may be a view, or shared; only a sum may be added into in place.
                    _, total, ours = pending[parent_order]
                    if ours:
                        total += d
                    else:
                        total = total + d
                    pending[parent_order] = parent, total, True
            if not lists:
                break
            rules, parents, values = lists.pop()

    leaves: dict[Tensor, Any] = {}
    for order, (node, g, _) in pending.items():
        if ends and order not in ends:
            continue
        # The caller may write into what it is given, so a view, or an array that two leaves share, is copied.
        array = getattr(g, "_data", g) if create_graph else g
        if id(g) in handed_out or getattr(array, "base", None) is not None:
            g = g.copy()
        handed_out.add(id(g))
        leaves[node] = g
    return leaves


def _constantly(gradient: Any) -> Rule:
    """Make the rule of a piece of a list, whose gradient is known already."""
    return lambda *args, **kwargs: gradient


def unbroadcast(gradient: Any, shape: tuple[int, ...]) -> Any:
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
    sum_over = np.add.reduce if isinstance(gradient, np.ndarray) else np.sum  # other arrays know only np.sum
    return np.reshape(sum_over(gradient, axis=axes, keepdims=True), shape)


def _conform(gradient: Any, value: Any, function: Function, position: int) -> Any:
    """Give what a rule returned the shape and dtype of its argument, or say why that cannot be."""
    if not hasattr(gradient, "dtype"):
        if not isinstance(gradient, int | float):
            raise TypeError(
                f"a rule of {name_of(function)} returned {gradient!r} for argument {position}, not an array: see defvjp"
            )
        gradient = np.asarray(gradient)
    if gradient.shape != value.shape:
        problem = (
            f"a rule of {name_of(function)} returned a gradient of shape {gradient.shape} "
            f"for argument {position} of shape {value.shape}"
        )
        if function not in ELEMENTWISE:
            raise ValueError(problem + "; a function that broadcasts is declared with defvjp(..., elementwise=True)")
        try:
            gradient = unbroadcast(gradient, value.shape)
        except ValueError:
            raise ValueError(problem) from None
    if gradient.dtype == value.dtype:
        return gradient
    if gradient.dtype.kind not in "fiub":
        raise TypeError(
            f"a rule of {name_of(function)} returned a gradient of dtype {gradient.dtype} "
            f"for argument {position} of dtype {value.dtype}; only real numbers are differentiated"
        )
    return gradient.astype(value.dtype)


def _changed_since(tensor: Tensor, function: Function) -> RuntimeError:
    return RuntimeError(
        f"backward: {tensor._label()} was changed after {name_of(function)} had used it, so the gradient would mix "
        "old and new values; call backward() before the change, or compute the output again"
    )
