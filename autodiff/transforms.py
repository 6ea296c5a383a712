"""Functions that turn a function into its derivative.

All of them do the same three things: run the function on variables that stand for its arguments (`_Run`), walk back
from its outputs, and give each result in the container and of the kind, array or Tensor, in which it went in.
Forward mode needs no rules of its own: the gradient is linear in what it is given for the output, so the derivative of
the walk by that is the Jacobian itself, and a walk through the walk multiplies by it.
"""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np

from autodiff.composition import seeds_of
from autodiff.core.record import constant, data_of, is_variable, variable
from autodiff.core.rule import name_of
from autodiff.core.tape import is_recording, pullback, recording
from autodiff.core.tensor import Tensor, alias, is_float, stop_gradient
from autodiff.core.watch import user_frame
from autodiff.tree import Rebuild, flatten, walk

Argnums = int | Sequence[int]
Function = Callable[..., Any]

_REAL = ("f", "i", "u", "b")  # kinds of dtypes
_nested: ContextVar[bool] = ContextVar("nested", default=False)
_warned: WeakSet[Function] = WeakSet()


def grad(function: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """Make the function that gives the gradient of a scalar-valued function.

    Args:
        function: takes arrays or Tensors, or lists, tuples, dicts and dataclasses of them however deep, and returns a
            scalar Tensor (an array of one element).
        argnums: which positional argument to differentiate by, or a tuple or list of several.
        has_aux: the function returns a pair, of which only the first is differentiated; the second is handed on.

    Returns:
        A function of the same arguments that returns the gradient: an array of the argument's shape and dtype, in the
        argument's container, or a tuple of them if ``argnums`` are several; with ``has_aux`` the pair of the gradient
        and what is handed on. It can be differentiated again. For an argument that is a Tensor, or where the function
        uses Tensors from outside that require a gradient, it is a Tensor; gradients flow through it. Where the result
        does not depend on the arguments, it is zero, and a warning says so once.

    Raises:
        TypeError: ``function`` is not callable, an argument is not real numbers, or the result is not a number.
        ValueError: an argnum is out of range, or the result is not a scalar.

    Example:
        >>> import numpy as np
        >>> cube = lambda x: x**3
        >>> float(grad(cube)(2.0)), float(grad(grad(cube))(2.0)), float(grad(grad(grad(cube)))(2.0))
        (12.0, 12.0, 6.0)
        >>> grad(lambda x: np.sin(x).sum())(np.zeros(3))
        array([1., 1., 1.])
        >>> grad(lambda layer: (layer["w"] * layer["b"]).sum())({"w": np.ones(2), "b": np.zeros(2)})
        {'w': array([0., 0.]), 'b': array([1., 1.])}
    """
    both = _value_and_grad("grad", function, argnums, has_aux)

    @functools.wraps(function)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def value_and_grad(function: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """Make the function that gives the value and the gradient of a scalar-valued function, in one pass.

    Arguments, result and errors are those of `grad`, but the result is the pair ``(value, gradient)``, or with
    ``has_aux`` the pair ``((value, aux), gradient)``.

    Example:
        >>> value, (dx, dy) = value_and_grad(lambda x, y: x * x * y, argnums=(0, 1))(3.0, 2.0)
        >>> float(value), float(dx), float(dy)
        (18.0, 12.0, 9.0)
    """
    return functools.wraps(function)(_value_and_grad("value_and_grad", function, argnums, has_aux))


def _value_and_grad(caller: str, function: Function, argnums: Argnums, has_aux: bool) -> Function:
    _check(caller, function, argnums)

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        run = _Run(caller, function, argnums, args, kwargs, has_aux)
        gradients = run.pull([_scalar_seed(run)])
        value = run.give(run.output)
        return (value, run.aux) if has_aux else value, run.pack(gradients)

    return both


def elementwise_grad(function: Function, argnums: Argnums = 0) -> Function:
    """Make the function that gives the derivative of a function which acts on each element by itself.

    It is the gradient of the sum of the outputs. Arguments, result and errors are those of `grad`, but the output may
    be an array of any shape.

    Example:
        >>> import numpy as np
        >>> slope = elementwise_grad(np.tanh)
        >>> slope(np.array([0.0, 20.0])).round(6), elementwise_grad(slope)(np.array([0.0, 20.0])).round(6)
        (array([1., 0.]), array([0., 0.]))
    """
    _check("elementwise_grad", function, argnums)

    @functools.wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        run = _Run("elementwise_grad", function, argnums, args, kwargs)
        return run.pack(run.pull([np.ones_like(data_of(leaf)) for leaf in run.outputs]))

    return derivative


def vjp(
    function: Function, *args: Any, argnums: Argnums | None = None, has_aux: bool = False, **kwargs: Any
) -> tuple[Any, ...]:
    """Run a function, and give the function that multiplies a vector by its Jacobian: ``v -> vᵀ J``.

    Args:
        function: takes and returns arrays or Tensors of any shape, or nested containers of them.
        args: the point.
        argnums: which positional arguments to differentiate by; by default all.
        has_aux: the function returns a pair, of which only the first is differentiated.
        kwargs: handed on to the function.

    Returns:
        The function's output, and a function that takes a cotangent, in the form of that output, and returns the
        tuple of the arguments' gradients (for an integer ``argnums``, that argument's gradient). It may be called
        again. With ``has_aux``, what is handed on comes third.

    Raises:
        TypeError: an argument or the cotangent is not real numbers, or the cotangent has another dtype.
        ValueError: an argnum is out of range, or the cotangent has another form or shape than the output.

    Example:
        >>> import numpy as np
        >>> y, pull = vjp(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x, np.array([1.0, 1.0]))
        >>> y, pull(np.array([1.0, 0.0]))
        (array([3., 7.]), (array([1., 2.]),))
    """
    run = _Run("vjp", function, argnums, args, kwargs, has_aux)

    def pull(cotangent: Any) -> Any:
        vectors = _matching(f"{run.called}: the cotangent", run.output, cotangent)
        return run.pack(run.pull(vectors), vectors)

    value = _copied(run.give(run.output))
    return (value, pull, _copied(run.aux)) if has_aux else (value, pull)


def linearize(
    function: Function, *args: Any, argnums: Argnums | None = None, has_aux: bool = False, **kwargs: Any
) -> tuple[Any, ...]:
    """Run a function, and give the function that multiplies its Jacobian by a vector: ``v -> J v``.

    Arguments are those of `vjp`. The Jacobian is not formed: a product costs about as much as the function.

    Returns:
        The function's output, and a function that takes one tangent for each argument, of its form, and returns the
        tangent of the output. It may be called again. With ``has_aux``, what is handed on comes third.

    Raises:
        TypeError: an argument or tangent is not real numbers, or a tangent has another dtype than its argument.
        ValueError: an argnum is out of range, or a tangent has another form or shape than its argument.

    Example:
        >>> y, push = linearize(lambda x, y: x * y, 2.0, 3.0)
        >>> float(y), float(push(1.0, 0.0)), float(push(0.0, 1.0))
        (6.0, 3.0, 2.0)
    """
    run = _Run("linearize", function, argnums, args, kwargs, has_aux)
    push_leaves = run.linear_map()

    def push(*tangents: Any) -> Any:
        vectors = _matching(f"{run.called}: the tangent", run.point, list(tangents))
        return run.give(run.rebuild_output(push_leaves(vectors)), vectors)

    value = _copied(run.give(run.output))
    return (value, push, _copied(run.aux)) if has_aux else (value, push)


def jvp(
    function: Function,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    argnums: Argnums | None = None,
    has_aux: bool = False,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Give a function's output and the product of its Jacobian with a vector: the derivative in one direction.

    Args:
        function: takes and returns arrays or Tensors of any shape, or nested containers of them.
        primals: the point: a tuple or list of the arguments.
        tangents: the direction: a tuple or list with one for each argument, of its form, shape and dtype.
        argnums: which positional arguments the tangents are for; by default all.
        has_aux: the function returns a pair, of which only the first is differentiated; the second comes third.
        kwargs: handed on to the function.

    Raises:
        TypeError: primals or tangents are not a tuple or list, or hold something else than real numbers, or a tangent
            has another dtype than its argument.
        ValueError: an argnum is out of range, or a tangent has another form or shape than its argument.

    Example:
        >>> import numpy as np
        >>> y, dy = jvp(np.sin, (0.0,), (2.0,))
        >>> float(y), float(dy)
        (0.0, 2.0)
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise TypeError(f"jvp: the {name} must be a tuple or list, one for each argument, got {given!r}")
    run = _Run("jvp", function, argnums, primals, kwargs, has_aux)
    vectors = _matching(f"{run.called}: the tangent", run.point, list(tangents))
    tangent = run.give(run.rebuild_output(run.linear_map()(vectors)), vectors)
    value = run.give(run.output)
    return (value, tangent, run.aux) if has_aux else (value, tangent)


def jacobian(function: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """Make the function that gives the Jacobian: the derivative of every output by every input.

    Args:
        function: takes and returns arrays or Tensors of any shape, or nested containers of them.
        argnums: which positional argument to differentiate by, or a tuple or list of several.
        has_aux: the function returns a pair, of which only the first is differentiated; the second is handed on.

    Returns:
        A function of the same arguments. For an output of shape ``(m, n)`` and an argument of shape ``(k,)`` it gives
        an array of shape ``(m, n, k)``: the output's shape, then the argument's. Containers nest in the same way: the
        output's form, and in place of each of its arrays the form of the argument (or the tuple of several). With
        fewer inputs than outputs it is computed column by column, else row by row.

    Raises:
        TypeError: ``function`` is not callable, or an argument is not real numbers.
        ValueError: an argnum is out of range.

    Example:
        >>> import numpy as np
        >>> jacobian(lambda x: x**2)(np.array([1.0, 2.0, 3.0]))
        array([[2., 0., 0.],
               [0., 4., 0.],
               [0., 0., 6.]])
        >>> jacobian(lambda x: np.outer(x, x))(np.ones(3)).shape
        (3, 3, 3)
    """
    return _jacobian("jacobian", function, argnums, has_aux)


def _jacobian(caller: str, function: Function, argnums: Argnums, has_aux: bool) -> Function:
    _check(caller, function, argnums)

    @functools.wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        run = _Run(caller, function, argnums, args, kwargs, has_aux)
        run.check_outputs()
        outputs = [data_of(leaf) for leaf in run.outputs]
        inputs = [data_of(leaf) for leaf in run.inputs]
        by_column = sum(map(_size, inputs)) < sum(map(_size, outputs))
        if by_column:
            columns = list(map(run.linear_map(), _unit_vectors(inputs)))
            blocks = _blocks(columns, inputs, outputs)
            blocks = [list(row) for row in zip(*blocks, strict=True)]  # by input, by output -> by output, by input
            moved = [[_axes_last(block, np.ndim(x)) for block, x in zip(row, inputs, strict=True)] for row in blocks]
        else:
            moved = _blocks(list(map(run.pull, _unit_vectors(outputs))), outputs, inputs)
        result = run.rebuild_output([run.pack(row) for row in moved])
        return (result, run.aux) if has_aux else result

    return derivative


def _copied(tree: Any) -> Any:
    """Copy the arrays that a caller is given, where the graph that is kept uses them too."""
    leaves, rebuild = flatten(tree)
    return rebuild([leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])


def _size(x: Any) -> int:
    return math.prod(np.shape(data_of(x)))


def _unit_vectors(arrays: Sequence[Any]) -> Iterable[list[Any]]:
    """For each element of some arrays, give arrays like them that are one there and zero elsewhere."""
    for chosen, array in enumerate(arrays):
        for element in range(_size(array)):
            vectors = [np.zeros(np.shape(other), np.result_type(other)) for other in arrays]
            vectors[chosen].flat[element] = 1
            yield [vector[()] for vector in vectors]


def _blocks(rows: list[list[Any]], by: Sequence[Any], of: Sequence[Any]) -> list[list[Any]]:
    """Stack what came for the unit vectors of ``by`` into arrays: the shape of one of ``by``, then one of ``of``."""
    blocks = []
    supply = iter(rows)
    for array in by:
        own = list(itertools.islice(supply, _size(array)))
        blocks.append(
            [
                np.reshape(np.stack([row[k] for row in own]), np.shape(array) + np.shape(other))
                if own
                else np.zeros(np.shape(array) + np.shape(other), np.result_type(other))
                for k, other in enumerate(of)
            ]
        )
    return blocks


def _axes_last(block: Any, count: int) -> Any:
    """Move the leading axes behind the others."""
    return np.moveaxis(block, range(count), range(-count, 0)) if count else block


def hessian(function: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """Make the function that gives the Hessian of a scalar-valued function: all its second derivatives.

    Arguments and errors are those of `grad`.

    Returns:
        A function of the same arguments. For an argument of shape ``(m, n)`` it gives an array of shape
        ``(m, n, m, n)``; for several arguments, or containers, one array for each pair of them, nested.

    Example:
        >>> import numpy as np
        >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
        array([[4., 2.],
               [2., 0.]])
    """
    _check("hessian", function, argnums)
    return _jacobian("hessian", grad(function, argnums, has_aux=has_aux), argnums, has_aux)


def hvp(function: Function, argnums: Argnums = 0) -> Function:
    """Make the function that multiplies the Hessian of a scalar-valued function by a vector, without forming it.

    Args:
        function: as for `grad`.
        argnums: which positional argument to differentiate by, or a tuple or list of several.

    Returns:
        A function of the same arguments and, last, the vector: in the form of the argument, or one for each of several
        in a tuple or list. The product has the same form. It costs a few times as much as the function.

    Raises:
        TypeError: ``function`` is not callable, or an argument, result or vector is not real numbers, or the vector has
            another dtype than the argument.
        ValueError: an argnum is out of range, the result is not a scalar, or the vector has another form or shape than
            the argument.

    Example:
        >>> import numpy as np
        >>> hvp(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
        array([4., 2.])
    """
    _check("hvp", function, argnums)

    @functools.wraps(function)
    def product(*args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            raise TypeError(f"hvp({name_of(function)}): give the arguments and, last, the vector; got {len(args)}")
        *point, vector = args
        run = _Run("hvp", function, argnums, point, kwargs)
        if run.several and not isinstance(vector, tuple | list):
            raise TypeError(f"{run.called}: give one vector for each of argnums {argnums} in a tuple, got {vector!r}")
        vectors = _matching(f"{run.called}: the vector", run.point, list(vector) if run.several else [vector])
        with recording(True):
            gradients = run.pull([_scalar_seed(run)], create_graph=True)
        return run.pack(run.walk_back(gradients, vectors, run.inputs), vectors)

    return product


class _Run:
    """A function run on variables in place of its arguments, ready to be differentiated."""

    def __init__(
        self,
        caller: str,
        function: Function,
        argnums: Argnums | None,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        has_aux: bool = False,
    ) -> None:
        argnums = tuple(range(len(args))) if argnums is None else argnums
        _check(caller, function, argnums)
        self.function = function
        self.called = f"{caller}({name_of(function)})"
        self.several = isinstance(argnums, Sequence)
        positions = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
        for position in positions:
            if not -len(args) <= position < len(args):
                raise ValueError(
                    f"{self.called}: argnums {argnums} is out of range for {len(args)} positional arguments"
                )
        chosen = [position % len(args) for position in positions]
        self.point = [args[position] for position in chosen]
        leaves = {position: list(walk(args[position])) for position in chosen}
        if not any(leaves.values()):
            raise TypeError(f"{self.called}: there is no array in argument {argnums} to differentiate by")

        # Tensors come out where Tensors go in, or take part in the function from outside, and inside of another
        # derivative, which is to pass through this one: then the gradient needs a graph, unless recording is off.
        record_gradient = is_recording.get()
        prepared = list(args)
        variables: dict[int, list[Tensor]] = {}
        rebuilds = {position: flatten(args[position])[1] for position in leaves}
        for position, found in leaves.items():
            opened = [self._open(leaf, f"{position}{path}", record_gradient) for path, leaf in found]
            variables[position] = opened
            prepared[position] = rebuilds[position](opened)
        self.inputs = [tensor for position in chosen for tensor in variables[position]]
        self._rebuilds: list[tuple[int, Rebuild]] = [(len(leaves[position]), rebuilds[position]) for position in chosen]
        token = _nested.set(True)
        try:
            with recording(True):
                result = function(*prepared, **kwargs)
        finally:
            _nested.reset(token)
        aux = None
        if has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError(
                    f"{self.called}: with has_aux the function must return a pair (output, aux), got "
                    f"{type(result).__name__}"
                )
            result, aux = result
        self.output = result
        self.outputs, self.rebuild_output = flatten(result)
        self.create_graph = record_gradient and (_nested.get() or _depends_on_others(self.outputs, self.inputs))
        given = any(isinstance(leaf, Tensor) for found in leaves.values() for _, leaf in found)
        self._gives_tensors = given or self.create_graph or _nested.get()
        self.aux = self._closed(aux)

    def _open(self, leaf: Any, place: str, record_gradient: bool) -> Tensor:
        """Give the Tensor to differentiate by, which hangs on the argument only where a gradient is to pass through."""
        if record_gradient and isinstance(leaf, Tensor) and leaf.requires_grad:
            hanging: Tensor = alias(leaf)
            return hanging
        try:
            tensor: Tensor = Tensor(data_of(leaf))
            return tensor
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.called}: argument {place}: {error}") from None

    def pull(self, cotangents: Sequence[Any], create_graph: bool | None = None) -> list[Any]:
        """Give the gradient of every input, for a gradient of every output."""
        self.check_outputs()
        if create_graph is None:
            create_graph = self.create_graph
        return self.walk_back(self.outputs, cotangents, self.inputs, create_graph, warn=True)

    def check_outputs(self) -> None:
        """Refuse results that are not real numbers."""
        for leaf in self.outputs:
            if not isinstance(leaf, int | float) and getattr(getattr(leaf, "dtype", None), "kind", None) not in _REAL:
                what = f"dtype {leaf.dtype}" if hasattr(leaf, "dtype") else type(leaf).__name__
                raise TypeError(f"{self.called}: the function must return Tensors of real numbers, got {what}")

    def walk_back(
        self,
        outputs: Sequence[Any],
        cotangents: Sequence[Any],
        inputs: Sequence[Tensor],
        create_graph: bool | None = None,
        warn: bool = False,
    ) -> list[Any]:
        """Carry gradients of outputs back to inputs; zeros where none arrives."""
        create_graph = (self.create_graph if create_graph is None else create_graph) or _want_graph(cotangents)
        with recording(create_graph):
            reached = pullback(seeds_of(outputs, cotangents, create_graph), create_graph, inputs)
        if warn and not reached and not all(isinstance(leaf, Tensor) and not leaf.requires_grad for leaf in outputs):
            self._warn()
        return [reached[x] if x in reached else np.zeros_like(data_of(x))[()] for x in inputs]

    def linear_map(self) -> Callable[[Sequence[Any]], list[Any]]:
        """Make the function that multiplies the Jacobian by a vector: from one of every input to one of every output.

        The inputs' gradients, as functions of what they are given for the outputs, are linear, so their derivative is
        the same at any value of it. It is one and not zero only so that nothing infinite is multiplied by zero.
        """
        weights = [
            variable(np.ones_like(data_of(leaf))) if is_float(leaf) else constant(np.ones(np.shape(leaf)))
            for leaf in self.outputs
        ]
        with recording(True):
            gradients = self.pull(weights, create_graph=True)

        def push(tangents: Sequence[Any]) -> list[Any]:
            return self.walk_back(gradients, tangents, weights)

        return push

    def pack(self, leaves: Sequence[Any], vectors: Sequence[Any] = ()) -> Any:
        """Put one array for every input into the containers of the arguments."""
        supply = iter(leaves)
        packed = [
            self.give(rebuild(list(itertools.islice(supply, count))), vectors) for count, rebuild in self._rebuilds
        ]
        return tuple(packed) if self.several else packed[0]

    def give(self, tree: Any, vectors: Sequence[Any] = ()) -> Any:
        """Give results as Tensors where Tensors went in, also as vectors to be multiplied, else the arrays inside."""
        leaves, rebuild = flatten(self._closed(tree, vectors))
        if self._gives_tensors or any(isinstance(vector, Tensor) for vector in vectors):
            leaves = [constant(leaf) if hasattr(leaf, "dtype") and leaf is data_of(leaf) else leaf for leaf in leaves]
        return rebuild(leaves)

    def _closed(self, tree: Any, vectors: Sequence[Any] = ()) -> Any:
        """Take Tensors of this run out of a result, or out of their graph, unless they are to be kept."""
        if self.create_graph or _want_graph(vectors):
            return tree
        leaves, rebuild = flatten(tree)
        if self._gives_tensors:
            return rebuild([stop_gradient(leaf) for leaf in leaves])
        return rebuild([data_of(leaf)[()] if isinstance(leaf, Tensor | np.ndarray) else leaf for leaf in leaves])

    def _warn(self) -> None:
        """Say once for each function that its result does not depend on what it is differentiated by."""
        try:
            if self.function in _warned:
                return
            _warned.add(self.function)
        except TypeError:
            pass  # what has no hash or cannot be referred to weakly is told each time
        frame = user_frame()
        warnings.warn_explicit(
            f"{self.called}: the result does not depend on the argument, so the derivative is zero; was the "
            "argument turned into a number, or written into a plain array?",
            UserWarning,
            frame.filename,
            frame.lineno or 0,
        )


def _check(caller: str, function: Any, argnums: Any) -> None:
    """Refuse what is no function, or no positions of arguments."""
    if not callable(function):
        raise TypeError(f"{caller}: the first argument must be a function, got {function!r}")
    positions = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
    if not positions or not all(isinstance(position, int | np.integer) for position in positions):
        raise TypeError(f"{caller}: argnums must be an integer or several, got {argnums!r}")


def _depends_on_others(outputs: Sequence[Any], inputs: Sequence[Tensor]) -> bool:
    """Whether Tensors that require a gradient took part in the outputs, other than the inputs or through them."""
    found = list(outputs)
    seen = {id(tensor) for tensor in inputs if tensor.is_leaf}
    while found:
        tensor = found.pop()
        if isinstance(tensor, Tensor) and tensor.requires_grad and id(tensor) not in seen:
            if tensor.is_leaf:
                return True
            seen.add(id(tensor))
            found += tensor._args
    return False


def _scalar_seed(run: _Run) -> Any:
    """Check that the result is a scalar, and give the gradient that a walk begins with."""
    output = run.output
    if not hasattr(output, "dtype") and not isinstance(output, int | float):
        raise TypeError(f"{run.called}: the function must return a scalar Tensor, got {type(output).__name__}")
    if _size(output) != 1:
        raise ValueError(
            f"{run.called}: the function must return a scalar, got shape {np.shape(data_of(output))}; reduce it, as "
            "with .sum(), or use jacobian for the derivative of every output"
        )
    return np.ones_like(data_of(output))


def _want_graph(vectors: Sequence[Any]) -> bool:
    """Whether gradients are to flow back to the vectors that a Jacobian is multiplied by."""
    return is_recording.get() and any(map(is_variable, vectors))


class _Leaf(NamedTuple):
    shape: tuple[int, ...]
    dtype: Any


def _expected(leaf: Any) -> _Leaf:
    data = data_of(leaf)
    return _Leaf(data.shape, data.dtype) if hasattr(data, "dtype") else _Leaf((), np.dtype(float))


def _matching(what: str, expected: Any, given: Any) -> list[Any]:
    """Check that vectors have the form, shapes and dtypes of the arrays they belong to, and list them."""
    wanted, got = dict(walk(expected)), dict(walk(given))
    if wanted.keys() != got.keys():
        raise ValueError(f"{what} must have {_described(wanted)}, got {_described(got)}")
    vectors = []
    for path, leaf in wanted.items():
        vector = got[path]
        shape, dtype = _expected(leaf)
        label = f"{what} {path}".rstrip()
        array = data_of(vector)
        if isinstance(array, int | float) and not isinstance(array, bool | np.generic):
            array = vector = np.asarray(vector, dtype=dtype)[()]
        if getattr(getattr(array, "dtype", None), "kind", None) not in ("f", "i", "u"):
            raise TypeError(f"{label} must be real numbers of shape {shape}, got {vector!r}")
        if array.shape != shape:
            raise ValueError(f"{label} must have shape {shape}, got {array.shape}")
        if dtype.kind == "f" and array.dtype != dtype:
            raise TypeError(f"{label} must have dtype {dtype}, got {array.dtype}; convert it, as with astype({dtype})")
        vectors.append(vector)
    return vectors


def _described(leaves: Iterable[str]) -> str:
    paths = list(leaves)
    if not paths:
        return "no arrays"
    return "one array" if not paths[0] else f"arrays at {', '.join(paths)}"
