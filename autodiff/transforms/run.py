"""A function run on variables that stand for its arguments, and the walk back from what it gave.

All derivatives are such a run and what is made of its walks; each result comes out in the container, and of the kind,
array or Tensor, in which its argument went in.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakSet

import numpy as np

from autodiff.batching.array import innermost
from autodiff.core.clock import tick
from autodiff.core.leaving import in_transform
from autodiff.core.record import constant, data_of, is_variable, unary, variable
from autodiff.core.rule import Array, name_of
from autodiff.core.tape import Hooks, conj, is_recording, pullback
from autodiff.core.tensor import Tensor, alias, is_complex, is_inexact, stop_gradient
from autodiff.core.watch import user_frame
from autodiff.transforms.composition import seeds_of
from autodiff.transforms.containers import Rebuild, flatten, pairs, walk

Argnums = int | Sequence[int]
Function = Callable[..., Any]

_KINDS = ("f", "i", "u", "b", "c")  # of dtypes
_INTEGERS = (int, np.integer)
_NUMBERS = (int, float, complex)  # booleans are among them
_NUMPYS = (np.ndarray, np.memmap)  # without the subclasses, whose operators mean something else or whose parts are lost
_warned: WeakSet[Function] = WeakSet()


class Plan:
    """What is differentiated by what, checked once, when the transform is made."""

    def __init__(
        self, caller: str, function: Function, argnums: Argnums, has_aux: bool = False, holomorphic: bool = False
    ) -> None:
        if not callable(function):
            raise TypeError(f"{caller}: the first argument must be a function, got {function!r}")
        self.is_single = isinstance(argnums, _INTEGERS)
        positions = tuple(argnums) if isinstance(argnums, Sequence) else (argnums,)
        if not positions or not all(isinstance(position, _INTEGERS) for position in positions):
            raise TypeError(f"{caller}: argnums must be an integer or several, got {argnums!r}")
        self.caller, self.function, self.argnums, self.has_aux = caller, function, argnums, has_aux
        self.holomorphic = holomorphic
        self.positions: tuple[int, ...] = positions

    @property
    def called(self) -> str:
        """The call, as messages name it."""
        return f"{self.caller}({name_of(self.function)})"


class Run:
    """A function run on variables in place of its arguments, ready to be differentiated."""

    def __init__(self, plan: Plan, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.plan = plan
        self.inputs: list[Tensor] = []
        self._parts: list[tuple[int, Rebuild]] = []  # how many of the inputs are in an argument, and how
        self._gives_tensors = self._has_graph = False
        is_recorded = is_recording.get()
        began = tick()
        arguments = self._open(args, is_recorded)
        token = in_transform.set(True)
        try:
            result = with_recording(True, plan.function, *arguments, **kwargs)
        finally:
            in_transform.reset(token)
        self.aux: Any = None
        aux_leaves: list[Any] = []
        if plan.has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError(
                    f"{plan.called}: with has_aux the function must return a pair (output, aux), got "
                    f"{type(result).__name__}"
                )
            result, aux = result
            aux_leaves, rebuild_aux = flatten(aux)
        self.output = result
        self.outputs, self.rebuild_output = flatten(result)
        # Gradients are to flow through the result where the function used a Tensor from outside that requires one,
        # given or not, unless recording is off. What came into being during the run is of its own, or of one inside.
        if is_recorded and not self._has_graph:
            outsiders = used_from_outside(self.outputs + aux_leaves, began, self.inputs)
            self._has_graph = next(outsiders, None) is not None
        self._gives_tensors = self._gives_tensors or self._has_graph
        if plan.has_aux:
            self.aux = rebuild_aux(self.given_out(aux_leaves))

    def _open(self, args: Sequence[Any], is_recorded: bool) -> list[Any]:
        """Put variables in place of the arguments that are differentiated by."""
        plan = self.plan
        arguments = list(args)
        variables_of: dict[int, tuple[list[Tensor], Rebuild]] = {}
        for argnum in plan.positions:
            if not -len(args) <= argnum < len(args):
                raise ValueError(
                    f"{plan.called}: argnums {plan.argnums} is out of range for {len(args)} positional arguments"
                )
            position = argnum % len(args)
            if position not in variables_of:
                leaves, rebuild = flatten(args[position])
                variables: list[Tensor] = []
                for leaf in leaves:
                    try:
                        variables.append(_opened(leaf, is_recorded))
                    except (TypeError, ValueError) as error:
                        path = list(walk(args[position]))[len(variables)][0]
                        raise type(error)(f"{plan.called}: argument {position}{path}: {error}") from None
                    if isinstance(leaf, Tensor):
                        self._gives_tensors = True
                        self._has_graph = self._has_graph or not variables[-1].is_leaf
                arguments[position] = rebuild(variables)
                variables_of[position] = variables, rebuild
            variables, rebuild = variables_of[position]
            self.inputs += variables
            self._parts.append((len(variables), rebuild))
        if not self.inputs:
            raise TypeError(f"{plan.called}: there is no array in argument {plan.argnums} to differentiate by")
        return arguments

    def check_outputs(self) -> None:
        """Refuse results that are not numbers, or not of a kind that gradients flow through."""
        for leaf in self.outputs:
            data = data_of(leaf)
            # Another kind of array is known from the inputs, or records calls; any other might hide a Tensor.
            is_known = (
                isinstance(leaf, (Tensor, np.generic, *_NUMBERS))
                or type(data) in _NUMPYS
                or hasattr(data, "__array_call__")
                or type(data) in {type(x._array) for x in self.inputs}
            )
            if not is_known or (hasattr(data, "dtype") and data.dtype.kind not in _KINDS):
                raise TypeError(f"{self.plan.called}: the function must return Tensors of numbers, got {_named(data)}")
        if self.plan.holomorphic and not all(map(is_complex, self.inputs + self.outputs)):
            raise TypeError(
                f"{self.plan.called}: with holomorphic=True arguments and results are complex numbers; here are "
                f"{', '.join(str(np.result_type(data_of(leaf))) for leaf in self.inputs + self.outputs)}"
            )

    def check_scalar(self) -> None:
        """Refuse results that are not one number."""
        output = self.output
        if not hasattr(output, "dtype") and not isinstance(output, _NUMBERS):
            raise TypeError(f"{self.plan.called}: the function must return a scalar Tensor, got {_named(output)}")
        shape = np.shape(data_of(output))
        if math.prod(shape) != 1:
            raise ValueError(
                f"{self.plan.called}: the function must return a scalar, got shape {shape}; reduce it, as with .sum(), "
                "or use jacobian for the derivative of every output"
            )

    # The walk back

    def slopes(self, create_graph: bool = False) -> list[Any]:
        """Give the gradient of every input, of the sum of the outputs: as it flows, or the derivative of what is so.

        The derivative of a holomorphic function is a number; the gradient by a complex one is shown conjugated.
        """
        self.check_outputs()
        for leaf in self.outputs:
            if is_complex(leaf) and not self.plan.holomorphic:
                raise TypeError(
                    f"{self.plan.called}: the function must return real numbers to differentiate, got "
                    f"{np.result_type(data_of(leaf))}: take abs(y) or y.real, or say holomorphic=True, which "
                    "grad, value_and_grad, jacobian and hessian take, for the derivative of a complex function"
                )
            if isinstance(leaf, bool) or getattr(leaf, "dtype", None) == np.bool_:
                raise TypeError(
                    f"{self.plan.called}: the function must return a number to differentiate, got a boolean, as a "
                    "comparison gives it"
                )
        seeds = list(map(ones, self.outputs))
        slopes = self.pull(seeds, create_graph, of_number=True)
        if self.plan.holomorphic:
            self.check_holomorphic(seeds, slopes)
        return slopes

    def check_holomorphic(self, seeds: list[Any], slopes: list[Any]) -> None:
        """Refuse functions whose derivative is not linear in complex numbers, as far as arrays of NumPy's tell it."""
        turned = self.pull([seed * 1j for seed in seeds], hooks="none")
        for slope, other in zip(map(innermost, slopes), map(innermost, turned), strict=True):
            if isinstance(slope, np.ndarray | np.generic):
                error = np.abs(np.multiply(1j, slope) - other)
                scale = np.max(np.abs(slope), initial=0) + np.max(np.abs(other), initial=0)
                if (error > 100 * np.finfo(slope.dtype).eps ** 0.75 * scale).any():
                    raise ValueError(
                        f"{self.plan.called}: the function is not holomorphic, so it has no complex derivative: it "
                        "takes conjugates, absolute values, real or imaginary parts; differentiate by x.real and x.imag"
                    )

    def pull(
        self, cotangents: Sequence[Array], create_graph: bool = False, of_number: bool = False, hooks: Hooks = "all"
    ) -> list[Any]:
        """Give the gradient of every input, for a gradient of every output."""
        gradients = self.pull_from(self.outputs, cotangents, self.inputs, create_graph, hooks)
        return gradients or self.none_arrived(of_number)

    def pull_from(
        self,
        outputs: Sequence[Array],
        cotangents: Sequence[Array],
        by: Sequence[Tensor],
        create_graph: bool = False,
        hooks: Hooks = "all",
    ) -> list[Any]:
        """Give the gradient of Tensors ``by``, for a gradient of each of the outputs; an empty list if none arrives."""
        create_graph = create_graph or self.wants_graph(cotangents)
        seeds = seeds_of(outputs, cotangents, create_graph)
        gradients = with_recording(create_graph, pullback, seeds, create_graph, by, hooks)
        return [gradients[x] if x in gradients else zeros(x) for x in by] if gradients else []

    def none_arrived(self, of_number: bool = False) -> list[Any]:
        """Give zeros for all inputs, and warn unless the outputs tell by themselves that they have no gradient."""
        for leaf in self.outputs:
            if not (isinstance(leaf, Tensor) and not leaf.requires_grad) and (of_number or is_inexact(leaf)):
                self._warn()
                break
        return list(map(zeros, self.inputs))

    def _warn(self) -> None:
        function = self.plan.function
        with contextlib.suppress(TypeError):  # what has no hash or cannot be referred to weakly is told each time
            if function in _warned:
                return
            _warned.add(function)
        frame = user_frame()
        warnings.warn_explicit(
            f"{self.plan.called}: the result does not depend on the argument, so the derivative is zero; was the "
            "argument turned into a number, or written into a plain array?",
            UserWarning,
            frame.filename,
            frame.lineno or 0,
        )

    def wants_graph(self, vectors: Sequence[Array]) -> bool:
        """Whether gradients are to flow back through a product with vectors."""
        return is_recording.get() and (self._has_graph or any(map(is_variable, vectors)))

    # What goes in and comes out

    def vectors(self, what: str, expected: Any, given: Any) -> list[Any]:
        """Check that vectors have the form, shapes and dtypes of the arrays they belong to, and list them."""
        paired = pairs(expected, given)
        if paired is None:
            raise ValueError(
                f"{self.plan.called}: the {what} must have {_described(expected)}, got {_described(given)}"
            )
        vectors: list[Array] = []
        for leaf, vector in paired:
            data, array = data_of(leaf), data_of(vector)
            shape, dtype = (data.shape, data.dtype) if hasattr(data, "dtype") else ((), np.dtype(float))
            if isinstance(array, _NUMBERS) and not isinstance(array, bool | np.generic):
                kind = dtype if dtype.kind == "c" or (dtype.kind == "f" and not isinstance(array, complex)) else None
                array = vector = np.asarray(array, kind or np.result_type(array, float))[()]
            if not _is_array(array) or array.shape != shape or array.dtype != dtype:
                path = list(walk(expected))[len(vectors)][0]
                _check_vector(f"{self.plan.called}: the {what} {path}".rstrip(), vector, shape, dtype)
            vectors.append(vector)
        return vectors

    def in_arguments(self, leaves: Sequence[Array]) -> list[Any]:
        """Put one array for every input into the containers of the arguments."""
        packed, start = [], 0
        for count, rebuild in self._parts:
            packed.append(rebuild(leaves[start : start + count]))
            start += count
        return packed

    def pack_gradients(self, leaves: Sequence[Array], vectors: Sequence[Array] = ()) -> Any:
        """Give out a gradient for every input, as it is shown: conjugated, but for that of a holomorphic function."""
        return self.pack(leaves if self.plan.holomorphic else list(map(conj, leaves)), vectors)

    def pack(self, leaves: Sequence[Array], vectors: Sequence[Array] = ()) -> Any:
        """Give out one array for every input, in the containers of the arguments."""
        if len(leaves) > 1 and len(set(map(id, leaves))) < len(leaves):
            # An argument was named twice, and its gradients are not to share an array.
            leaves = [leaf.copy() for leaf in leaves]
        packed = self.in_arguments(self.given_out(leaves, vectors))
        return packed[0] if self.plan.is_single else tuple(packed)

    def pack_output(self, leaves: Sequence[Array], vectors: Sequence[Array] = ()) -> Any:
        """Give out one array for every output, in the containers of the output."""
        return self.rebuild_output(self.given_out(leaves, vectors))

    def given_out(self, leaves: Sequence[Array], vectors: Sequence[Array] = ()) -> list[Any]:
        """Give results as Tensors where Tensors went in, also as vectors to be multiplied, else the arrays inside."""
        if not self._gives_tensors and not any(isinstance(vector, Tensor) for vector in vectors):
            return list(map(_array, leaves))
        if not self._has_graph and not any(map(is_variable, vectors)):
            leaves = list(map(stop_gradient, leaves))
        return [constant(leaf) if hasattr(leaf, "dtype") and not isinstance(leaf, Tensor) else leaf for leaf in leaves]


def used_from_outside(
    outputs: Sequence[Array], began: int, given: Sequence[Tensor], leaves: bool = False
) -> Iterator[Tensor]:
    """Give the Tensors that require a gradient, took part in the outputs and were there before, other than those given.

    What is behind them is not looked at, nor what is behind those given.
    """
    ages = {tensor._age for tensor in given}
    pending = list(outputs)
    for tensor in pending:
        if is_variable(tensor) and (age := tensor._age) not in ages:
            ages.add(age)
            if age > began or (leaves and tensor._function is None):
                yield tensor
            elif tensor._function is not None:
                pending += tensor._args


def with_recording(on: bool, function: Function, *args: Any, **kwargs: Any) -> Any:
    """Call a function with recording on or off."""
    if is_recording.get() is on:
        return function(*args, **kwargs)
    token = is_recording.set(on)
    try:
        return function(*args, **kwargs)
    finally:
        is_recording.reset(token)


def ones(leaf: Array) -> Any:
    """Give ones of the shape and dtype of an output."""
    data = data_of(leaf)
    if isinstance(data, np.inexact):
        return type(data)(1)
    return np.ones(data.shape, data.dtype) if type(data) is np.ndarray else np.ones_like(data)


def zeros(leaf: Array) -> Any:
    """Give zeros of the shape and dtype of an input or output, floats for one of integers or booleans."""
    return np.zeros_like(data_of(leaf), dtype=None if is_inexact(leaf) else float)[()]


def _opened(leaf: Array, is_recorded: bool) -> Tensor:
    """Give the Tensor to differentiate by, which hangs on the argument only where a gradient is to pass through."""
    data = data_of(leaf)
    if is_recorded and is_variable(leaf):
        return unary(alias, leaf)
    if type(data) is float:
        return variable(np.float64(data))
    if type(data) is np.ndarray and data.dtype.kind in "fc" and data.ndim:
        return variable(data.copy("K"))
    return Tensor(data)


def _is_array(x: Array) -> bool:
    """Whether something is an array of NumPy's own, or of a kind that answers NumPy's functions with its own kind."""
    if isinstance(x, np.ndarray):
        return type(x) in _NUMPYS
    return hasattr(x, "dtype") and (isinstance(x, np.generic) or hasattr(x, "__array_function__"))


def _array(leaf: Array) -> Any:
    """Give the array inside a Tensor; one without axes as a number of NumPy's."""
    data = data_of(leaf)
    return data[()] if isinstance(data, np.ndarray) and not data.ndim else data


def _named(x: Array) -> str:
    """Say of what kind a result is that is refused, and what to do."""
    kind = type(x)
    if not hasattr(x, "dtype"):
        return kind.__name__
    if isinstance(x, np.generic) or (kind in _NUMPYS and x.dtype.kind != "O"):
        return f"dtype {x.dtype}"
    name = "an array of objects" if kind in _NUMPYS else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    return f"{name}, through which no gradient flows; return the Tensors themselves, joined by np.stack if need be"


def _check_vector(what: str, vector: Array, shape: tuple[int, ...], dtype: Any) -> None:
    """Refuse what is no array of numbers of the shape and dtype; for integers and booleans, any real dtype does."""
    array = data_of(vector)
    kinds = _KINDS if dtype.kind == "c" else _KINDS[:-1]
    if not _is_array(array) or array.dtype.kind not in kinds or (array.dtype.kind == "b" != dtype.kind):
        raise TypeError(
            f"{what} must be {'complex' if dtype.kind == 'c' else 'real'} numbers of shape {shape}, got {vector!r}"
        )
    if array.shape != shape:
        raise ValueError(f"{what} must have shape {shape}, got {array.shape}")
    if dtype.kind in "fc" and array.dtype != dtype:
        raise TypeError(f"{what} must have dtype {dtype}, got {array.dtype}; convert it, as with astype({dtype})")


def _described(tree: Any) -> str:
    paths = [path for path, _ in walk(tree)]
    if not paths:
        return "no arrays"
    return "one array" if not paths[0] else f"arrays at {', '.join(paths)}"
