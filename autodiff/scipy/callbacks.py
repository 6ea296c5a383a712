"""Functions that SciPy calls back, and all Tensors that they depend on: among their arguments, and from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any

import numpy as np

from autodiff.arrays.whole import looked_at
from autodiff.core.clock import tick
from autodiff.core.keywords import holds_tensors
from autodiff.core.record import constant, data_of, is_variable, variable
from autodiff.core.rule import Array, Function, name_of
from autodiff.core.tape import is_recording
from autodiff.core.tensor import Tensor, as_array
from autodiff.scipy.calls import call_of_arrays
from autodiff.transforms.checkpoint import as_one_call
from autodiff.transforms.containers import flatten
from autodiff.transforms.run import used_from_outside


class Callback:
    """A user's function with its arguments.

    Attributes:
        name: the call, as messages name it.
        function: what is called, with a point and then the arguments.
        arrays: what is in the arguments, as arrays where there are Tensors.
        constants: those that are no Tensors which require a gradient.
        rebuild: puts as many others into their containers.
        plain: gives what the function gave as SciPy takes it.
        others: the Tensors that the function uses without being given them, once `solved` has looked.
        value: what it gave there.
    """

    def __init__(self, caller: str, function: Function, args: Any, called: Function | None = None) -> None:
        if not callable(function):
            raise TypeError(f"{caller}: the first argument must be a function, got {function!r}")
        self.name = f"{caller}({name_of(function)})"
        self.function = called or function
        self._leaves, rebuild = flatten(args)
        self._are_variables = list(map(is_variable, self._leaves))
        self.arrays = list(map(data_of, self._leaves))
        self.constants = [array for array, one in zip(self.arrays, self._are_variables, strict=True) if not one]
        self.rebuild = flatten(rebuild(range(len(self._leaves))))[1]  # which keeps no Tensor
        self.seen = [True for leaf in self._leaves if isinstance(leaf, Tensor)]  # not empty where Tensors take part
        self.plain = _taker(self.name, self.seen)
        self.others: list[Tensor] = []
        self.value: Any = None

    def at(self, variables: Sequence[Array], *point: Array, constants: Sequence[Any] | None = None) -> Any:
        """Call the function at a point, with others in place of its variables, and perhaps of its constants."""
        of_kind = {True: iter(variables), False: iter(self.constants if constants is None else constants)}
        return joined(self.function(*point, *self.rebuild([next(of_kind[one]) for one in self._are_variables])))

    def solved(self, function: Function, x: Array, given: Sequence[Array], point: Sequence[Array], *recipe: Any) -> Any:
        """Give what SciPy made of the function as the result of one call on the tape.

        Args:
            function: whose rule is given a list of Tensors, those in ``given``, the function's variables and the
                others; and the pair of this callback and the recipe.
            x: what SciPy gave.
            given: what it depends on beside the function.
            point: where the function is called once more, to see what it uses.
            recipe: for the rule.
        """
        if not self.seen and not any(isinstance(one, Tensor) for one in given):
            return x
        variables = list(compress(self._leaves, self._are_variables))
        if is_recording.get():
            began = tick()
            self._point = [variable(as_array(data_of(one))) for one in point]
            value = self.at(variables, *self._point)
            self.value = data_of(value)
            self.others = list(used_from_outside([value], began, [*self._point, *variables], leaves=True))
        tensors = [*given, *variables, *self.others]
        self._count = len(variables)
        is_differentiated = any(map(is_variable, tensors))
        return as_one_call(function, variable(x), tensors, (self, *recipe)) if is_differentiated else constant(x)

    def variables(self, tensors: Sequence[Array]) -> list[Any]:
        """Give the function's variables among those that a rule is given, if it still gives what it gave."""
        end = len(tensors) - len(self.others)
        variables = list(tensors[end - self._count : end])
        again = self.at([variable(data_of(one)) for one in variables], *self._point)
        before, after = looked_at(self.value), looked_at(data_of(again))
        if before is not None and after is not None and not np.array_equal(before, after, equal_nan=True):
            raise RuntimeError(
                f"{self.name}: the function gave another result in the backward pass than before; what it draws at "
                "random, counts or loops over must come from its arguments, and what it uses must not be changed"
            )
        return variables


def _taker(name: str, seen: list[bool]) -> Function:
    """Make the function that gives an array of what a function gave, and puts down in a list that it was a Tensor."""

    def plain(result: Any) -> Any:
        result = joined(result)
        if isinstance(result, Tensor):
            seen[:], result = [True], data_of(result)
        if _is_other(result):
            raise TypeError(
                f"{name}: SciPy calls the function with arrays, and it uses a {type(result).__name__} that it is not "
                "given: pass it in args="
            )
        return result

    return plain


def joined(result: Any) -> Any:
    """Give what a function gave as one array, also of a list of Tensors."""
    return np.stack(result) if holds_tensors(result) else as_array(result)


def solution(solve: Callable[..., tuple[Any, Any, Any]], *arrays: Array) -> Any:
    """Let SciPy solve something: the solution, whether that succeeded, and details, or None where there are many.

    It is done for each member of a batch, and again in each run of a program.
    """
    if not any(map(_is_other, arrays)):
        return solve(*arrays)
    return (*_call_scipy(lambda *arrays: solve(*arrays)[:2], *arrays), None)


@call_of_arrays
def _call_scipy(solve: Function, *arrays: Array) -> Any:
    return solve(*arrays)


def _is_other(x: Any) -> bool:
    """Whether something is no array of NumPy's own: a batch, one that records calls, or one of another library."""
    return hasattr(x, "__array_function__") and not isinstance(x, np.ndarray | np.generic)
