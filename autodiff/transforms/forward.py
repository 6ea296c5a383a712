"""Forward mode: the function that multiplies by the Jacobian from the right, and the product with a Hessian.

It needs no rules of its own. A call of each element has a diagonal Jacobian, which is its own transpose, so that its
rule serves here as well; a linear call is its own derivative. Where there are others, the whole is transposed twice:
the gradient is linear in what it is given for the output, and a walk through the walk back multiplies by that.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.arrays.activations import relu, sigmoid
from autodiff.arrays.sums import total
from autodiff.arrays.whole import is_numpy
from autodiff.core.record import constant, data_of, variable
from autodiff.core.rule import Array, facts_of, name_of
from autodiff.core.tape import as_dtype
from autodiff.core.tensor import Tensor, alias, astype, is_complex, is_inexact
from autodiff.core.watch import current_watch
from autodiff.transforms.reverse import copied
from autodiff.transforms.run import Argnums, Function, Plan, Run, ones, with_recording, zeros

_SEQUENCES = (tuple, list)
_OF_EACH_ELEMENT: set[Function] = {np.where, np.clip, relu, sigmoid}  # and ufuncs
# Linear in each argument that has a rule, and zero where it is zero.
_LINEAR: set[Function] = {
    *(np.dot, np.matmul, np.inner, np.outer, np.tensordot, np.vecdot, np.diagonal),
    *(np.sum, total, np.mean, np.cumsum, operator.getitem, np.take, np.copy, astype, alias),
    *(np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.squeeze, np.expand_dims, np.broadcast_to),
}


def jvp(
    function: Function,
    primals: Sequence[Any],
    tangents: Sequence[Array],
    *,
    argnums: Argnums | None = None,
    has_aux: bool = False,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Give a function's output and the product of its Jacobian with a vector: the derivative in one direction.

    For an output of integers or booleans it is zero, in floating-point numbers.

    Args:
        function: takes and returns arrays or Tensors of any shape, or nested containers of them.
        primals: the point: a tuple or list of the arguments.
        tangents: the direction: a tuple or list with one for each argument, of its form, shape and dtype.
        argnums: which positional arguments the tangents are for; by default all.
        has_aux: the function returns a pair, of which only the first is differentiated; the second comes third.
        kwargs: handed on to the function.

    Raises:
        TypeError: primals or tangents are not a tuple or list, or hold something else than numbers, or a tangent
            has another dtype than its argument.
        ValueError: an argnum is out of range, or a tangent has another form or shape than its argument.

    Example:
        >>> import numpy as np
        >>> y, dy = ad.jvp(np.sin, (0.0,), (2.0,))
        >>> float(y), float(dy)
        (0.0, 2.0)
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, _SEQUENCES):
            raise TypeError(f"jvp: the {name} must be a tuple or list, one for each argument, got {given!r}")
    argnums = tuple(range(len(primals))) if argnums is None else argnums
    run = Run(Plan("jvp", function, argnums, has_aux), primals, kwargs)
    run.check_outputs()
    vectors = run.vectors("tangent", run.in_arguments(run.inputs), list(tangents))
    tangent = run.pack_output(linear_map(run)(vectors), vectors)
    value = run.pack_output(run.outputs)
    return (value, tangent, run.aux) if has_aux else (value, tangent)


def linearize(
    function: Function, *args: Any, argnums: Argnums | None = None, has_aux: bool = False, **kwargs: Any
) -> tuple[Any, ...]:
    """Run a function, and give the function that multiplies its Jacobian by a vector: ``v -> J v``.

    Arguments are those of `vjp`. The Jacobian is not formed: a product costs about as much as the function.

    Returns:
        The function's output, and a function that takes one tangent for each argument, of its form, and returns the
        tangent of the output. It may be called again. With ``has_aux``, what is handed on comes third.

    Raises:
        TypeError: an argument or tangent is not numbers, or a tangent has another dtype than its argument.
        ValueError: an argnum is out of range, or a tangent has another form or shape than its argument.

    Example:
        >>> y, push = ad.linearize(lambda x, y: x * y, 2.0, 3.0)
        >>> float(y), float(push(1.0, 0.0)), float(push(0.0, 1.0))
        (6.0, 3.0, 2.0)
    """
    argnums = tuple(range(len(args))) if argnums is None else argnums
    run = Run(Plan("linearize", function, argnums, has_aux), args, kwargs)
    run.check_outputs()
    multiply = linear_map(run)

    def push(*tangents: Any) -> Any:
        vectors = run.vectors("tangent", run.in_arguments(run.inputs), list(tangents))
        return run.pack_output(multiply(vectors), vectors)

    value = copied(run.pack_output(run.outputs))
    return (value, push, copied(run.aux)) if has_aux else (value, push)


def hvp(function: Function, argnums: Argnums = 0) -> Function:
    """Make the function that multiplies the Hessian of a scalar-valued function by a vector, without forming it.

    Args:
        function: as for `grad`.
        argnums: which positional argument to differentiate by, or a tuple or list of several.

    Returns:
        A function of the same arguments and, last, the vector: in the form of the argument, or one for each of several
        in a tuple or list. The product has the same form. It costs a few times as much as the function.

    Raises:
        TypeError: ``function`` is not callable, an argument or vector is not numbers, the result not a real one, or the
            vector has another dtype than the argument.
        ValueError: an argnum is out of range, the result is not a scalar, or the vector has another form or shape than
            the argument.

    Example:
        >>> import numpy as np
        >>> ad.hvp(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
        array([4., 2.])
    """
    plan = Plan("hvp", function, argnums)

    @functools.wraps(function)
    def product(*args: Any, **kwargs: Any) -> Any:
        if len(args) < 2:
            raise TypeError(f"hvp({name_of(function)}): give the arguments and, last, the vector; got {len(args)}")
        *point, vector = args
        run = Run(plan, point, kwargs)
        run.check_scalar()
        if not plan.is_single and not isinstance(vector, tuple | list):
            raise TypeError(f"{plan.called}: give one vector for each of argnums {argnums} in a tuple, got {vector!r}")
        vectors = run.vectors("vector", run.in_arguments(run.inputs), [vector] if plan.is_single else list(vector))
        gradients = run.slopes(create_graph=True)
        # As they flow, gradients times a vector are a change of the result, so that the vector is not conjugated.
        return run.pack_gradients(
            run.pull_from(gradients, vectors, run.inputs, hooks="none") or list(map(zeros, run.inputs)), vectors
        )

    return product


def linear_map(run: Run) -> Callable[[Sequence[Any]], list[Any]]:
    """Make the function that multiplies the Jacobian by a vector: from one of every input to one of every output."""
    transposed: list[Any] = []

    def push(tangents: Sequence[Array]) -> list[Any]:
        calls = _calls(run)
        if calls is not None:
            create_graph = run.wants_graph(tangents)
            return with_recording(create_graph, _push, run, calls, tangents, create_graph)  # type: ignore[no-any-return]
        if not transposed:
            # The derivative by what is linear is the same at any value. It is not zero, so that nothing infinite is
            # multiplied by zero, and not the same everywhere: the sum of an eigenvector's squares is constant, say,
            # while each of them changes.
            weights = [variable(uneven(leaf)) if is_inexact(leaf) else constant(zeros(leaf)) for leaf in run.outputs]
            transposed.extend((run.pull(weights, create_graph=True, hooks="none"), weights))
        gradients, weights = transposed
        return run.pull_from(gradients, tangents, weights, hooks="none") or list(map(zeros, weights))

    return push


def uneven(leaf: Any) -> Any:
    """Give numbers between 1/2 and 3/2, for what takes an array of NumPy's beside it, and ones for another array."""
    same = ones(leaf)
    if not is_numpy(same) or not same.ndim:
        return same
    return (1 + np.sin(np.arange(1.0, same.size + 1)).reshape(same.shape) / 2).astype(same.dtype)


def _calls(run: Run) -> list[Tensor] | None:
    """List the calls from the inputs to the outputs, oldest first; None if tangents cannot be pushed through one."""
    ages = {x._age for x in run.inputs}
    oldest = max(ages)
    calls = []
    pending = [leaf for leaf in run.outputs if isinstance(leaf, Tensor)]
    for tensor in pending:
        age, function = tensor._age, tensor._function
        if function is None or age in ages or age > oldest:
            continue  # what is older does not depend on the inputs
        is_ufunc = isinstance(function, np.ufunc) and function.signature is None and function.nout == 1
        if (
            not is_ufunc
            and function not in _OF_EACH_ELEMENT
            and (function not in _LINEAR or "initial" in tensor._kwargs)  # which is added to a sum
        ):
            return None
        if tensor._array.dtype.kind not in "fc":
            return None  # what is cut to integers, say, has gradient zero
        if function is np.sign and is_complex(tensor):
            return None  # z/|z| has a Jacobian in real and imaginary part that is not its own transpose
        ages.add(age)
        calls.append(tensor)
        for arg in tensor._args:
            if isinstance(arg, Tensor):
                if arg._age < age:
                    return None  # it was changed since, which the walk back refuses
                pending.append(arg)
    watch = current_watch()
    return None if watch is not None and watch.needs_walks else sorted(calls, key=lambda tensor: -tensor._age)


def _push(run: Run, calls: list[Tensor], tangents: Sequence[Array], create_graph: bool) -> list[Any]:
    """Carry tangents of the inputs through calls to the outputs."""
    by_age: dict[int, Any] = {}
    for x, tangent in zip(run.inputs, tangents):
        if not create_graph:
            tangent = data_of(tangent)
        elif not isinstance(tangent, Tensor):
            tangent = constant(tangent)
        by_age[x._age] = by_age[x._age] + tangent if x._age in by_age else tangent
    for call in calls:
        function: Any = call._function
        is_linear = function in _LINEAR
        if function is np.matmul and not call._kwargs:
            function = operator.matmul  # which takes sparse matrices too
        args, out = (call._args, call) if create_graph else (call._values, call._array)
        total = None
        for position, parent in enumerate(call._args):
            if not isinstance(parent, Tensor) or parent._age not in by_age:
                continue
            tangent = by_age[parent._age]
            if is_linear:
                d = (facts_of(function).precisely or function)(
                    *args[:position], tangent, *args[position + 1 :], **call._kwargs
                )
            else:
                if tangent.shape != out.shape:
                    tangent = np.broadcast_to(tangent, out.shape)
                rule: Any = facts_of(function).rules[position]
                d = rule(tangent, out, *args, **call._kwargs)
            total = d if total is None else total + d
        if total is not None:
            if not hasattr(total, "dtype"):
                total = np.asarray(total)
            if total.shape != out.shape:
                total = np.broadcast_to(total, out.shape)
            by_age[call._age] = as_dtype(total, out.dtype)
    outputs = [by_age.get(leaf._age) if isinstance(leaf, Tensor) else None for leaf in run.outputs]
    arrived = False
    for position, tangent in enumerate(outputs):
        if tangent is None:
            outputs[position] = zeros(run.outputs[position])
            continue
        arrived = True
        if isinstance(tangent, np.ndarray):
            outputs[position] = tangent.copy()  # it may be a view, also of what the caller gave
    if not arrived:
        run.none_arrived()
    return outputs
