"""What is to be drawn, as Tensors with a graph: some that are there, or what a function gives for example inputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autodiff.compiler import Compiled
from autodiff.core.record import data_of, is_variable, variable
from autodiff.core.rule import name_of
from autodiff.core.tape import recording
from autodiff.core.tensor import Tensor, is_inexact
from autodiff.core.watch import watching
from autodiff.drawing.words import Words
from autodiff.transforms.containers import flatten, walk

Names = dict[int, str]  # identity of a Tensor or an array -> how the user calls it


def outputs_of(
    what: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: Sequence[str]
) -> tuple[list[Tensor], Names]:
    """Give the Tensors to draw, and the names of the inputs.

    Args:
        what: a Tensor, a list or tuple of Tensors, a compiled step, or a function of example inputs, such as a model.
        args: the example inputs.
        kwargs: those given by keyword.
        options: keywords that were taken as options of `draw`, which the function must not have too.

    Raises:
        TypeError: it is none of these, or the function does not take these inputs.
        ValueError: nothing was recorded, or the list is empty.
    """
    if isinstance(what, Compiled):
        if args or kwargs:
            raise TypeError("draw: of a compiled step, the program is drawn that was made last; give no example inputs")
        with recording(True):
            return what.graph(), {}
    if callable(what) and not isinstance(what, type):
        return _called(what, args, kwargs, options)
    outputs = [what] if isinstance(what, Tensor) else what
    if not isinstance(outputs, list | tuple):
        raise TypeError(
            "draw: expected a Tensor, a list of Tensors, or a function or model with example inputs, got "
            + (f"the class {what.__name__}" if isinstance(what, type) else type(what).__name__)
        )
    if args or kwargs:
        raise TypeError("draw: example inputs are for a function; to draw several Tensors, give ad.draw([y, z])")
    if not outputs:
        raise ValueError("draw: the list of Tensors is empty, so there is nothing to draw")
    for one in outputs:
        if not isinstance(one, Tensor):
            raise TypeError(f"draw: expected a list of Tensors, got one with a {type(one).__name__}")
        if not one.requires_grad:
            raise ValueError(
                f"draw: {one._label()} has no graph: compute it from a Tensor with requires_grad=True, and not under "
                "no_grad()"
            )
    return list(outputs), {}


def _called(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], options: Sequence[str]
) -> tuple[list[Tensor], Names]:
    """Call a function with Tensors in place of its inputs, so that all that is done with them is recorded."""
    is_model = hasattr(function, "named_modules")
    name = name_of(function) if not is_model else type(function).__name__
    short = "model" if is_model else name if name.isidentifier() else "f"
    bound = _bound(function, short, args, kwargs, options)
    names: Names = {}
    for argument, value in bound.arguments.items():
        if bound.signature.parameters[argument].kind is inspect.Parameter.VAR_KEYWORD:
            wrapped = {key: _with_tensors(item, key, names) for key, item in value.items()}
        else:
            wrapped = _with_tensors(value, argument, names)
        bound.arguments[argument] = wrapped
    words = Words()
    with recording(True), watching(words):
        result = function(*bound.args, **bound.kwargs)
    outputs = [leaf for leaf in flatten(result)[0] if is_variable(leaf)]
    inputs = [leaf for leaf in flatten([*bound.args, *bound.kwargs.values()])[0] if isinstance(leaf, Tensor)]
    words.name(outputs, [*names.values(), *(leaf.name for leaf in inputs if leaf.name)])
    if not outputs:
        raise ValueError(
            f"draw: {name} gave a {type(result).__name__} that has no graph: it must compute with NumPy functions "
            "from its inputs or from Tensors with requires_grad=True, and not under no_grad(); of the inputs only "
            "floats are followed, so give 2.0 in place of 2"
        )
    return outputs, names


def _bound(
    function: Callable[..., Any], short: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Sequence[str]
) -> inspect.BoundArguments:
    """Find out which input is which argument."""
    try:
        signature = inspect.signature(getattr(function, "forward", function))
    except ValueError:  # some functions written in C do not tell
        signature = inspect.signature(lambda *inputs, **options: None)
    inputs = ", ".join(signature.parameters)
    for option in options:
        if option in signature.parameters:
            raise TypeError(
                f"draw: {option}= is an option of draw, and {short} has an argument of this name: draw a function "
                f"without it, as with functools.partial({short}, {option}=...)"
            )
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"draw: {short}({inputs}) needs example inputs that it takes, as in ad.draw({short}, {inputs}): {error}"
        ) from None


def _with_tensors(value: Any, path: str, names: Names) -> Any:
    """Give an input with a Tensor for each float or array of floats in it, and note the names of the others."""
    leaves = []
    for place, leaf in walk(value, path):
        if is_inexact(leaf) and not is_variable(leaf):
            name = leaf.name if isinstance(leaf, Tensor) else None
            leaf = variable(data_of(leaf)) if isinstance(leaf, Tensor) else Tensor(leaf)
            leaf.name = name or place
        else:
            names[id(leaf)] = place
        leaves.append(leaf)
    return flatten(value)[1](leaves)
