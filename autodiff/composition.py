"""Derivatives of functions that are made of others: the backward pass runs the composition again and walks through it.

Nothing needs to be kept of the forward pass but the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any

import numpy as np

from autodiff.tape import Function, defvjp, pullback, recording
from autodiff.tensor import Tensor, alias, constant, data_of, is_float, variable
from autodiff.tree import flatten


def defcomposition(
    function: Function, composition: Callable[..., Any], arguments: int = 1, variadic: bool = False
) -> None:
    """Give a function the derivative of a composition of differentiable functions that computes the same.

    The function itself is what runs forward, and what a picture shows.

    Args:
        function: a NumPy function, or one made by `primitive`.
        composition: takes the function's arguments and gives its result, in functions that have a derivative.
        arguments: how many leading arguments are differentiable.
        variadic: as for `defvjp`; the composition takes the last differentiable argument as one list.

    Example:
        >>> from autodiff import Tensor, primitive
        >>> @primitive
        ... def norm(x):
        ...     return np.sqrt(np.sum(x * x))
        >>> defcomposition(norm, lambda x: np.sqrt(np.sum(x * x)))
        >>> x = Tensor([3.0, 4.0])
        >>> norm(x).backward()
        >>> x.grad
        array([0.6, 0.8])
    """
    rules: list[Any] = [partial(_rule, composition, position) for position in range(arguments)]
    parameters = signature(composition).parameters.values()
    leading = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in ("g", "out")]
    for rule in rules:
        # What `defvjp` reads off a rule: which arguments and options the function may be called with.
        rule.__signature__ = signature(composition).replace(parameters=[*leading, *parameters])
    defvjp(function, *rules, variadic=variadic)


def _rule(composition: Callable[..., Any], position: int, g: Any, out: Any, *args: Any, **kwargs: Any) -> Any:
    """Give the gradient of one argument, an array or a list of them."""
    gradients = pull_through(composition, g, args, kwargs, (position,))
    return gradients[0]


def pull_through(
    function: Callable[..., Any],
    g: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    positions: Sequence[int],
    others: Sequence[Tensor] = (),
) -> list[Any]:
    """Run a function again and carry the gradient of its output back to the arguments at some positions.

    Args:
        function: the function, of Tensors.
        g: the gradient of its output, or a tuple of those of its outputs. Where it is a Tensor, so is the result.
        args: the arguments, which may be nested containers of arrays.
        kwargs: the function's options.
        positions: which arguments the gradient is wanted of.
        others: Tensors that the function uses without being given them, whose gradients are wanted too.

    Returns:
        The gradient of each chosen argument, in the same container, and then those of the others.
    """
    create_graph = any(isinstance(one, Tensor) for one in flatten(g)[0])
    variables: list[Tensor] = []

    def open_up(leaf: Any) -> Any:
        if not is_float(leaf):
            return leaf
        hangs = create_graph and isinstance(leaf, Tensor) and leaf.requires_grad
        variables.append(alias(leaf) if hangs else variable(data_of(leaf)))
        return variables[-1]

    prepared = list(args)
    places = []
    with recording(True):
        for position in positions:
            leaves, rebuild = flatten(args[position])
            opened = [open_up(leaf) for leaf in leaves]
            prepared[position] = rebuild(opened)
            places.append((opened, rebuild))
        outputs = flatten(function(*prepared, **kwargs))[0]
        seeds = [
            (output, one if create_graph else data_of(one))
            for output, one in zip(outputs, flatten(g)[0], strict=True)
            if isinstance(output, Tensor) and output.requires_grad
        ]
        if create_graph:
            seeds = [(output, one if isinstance(one, Tensor) else constant(one)) for output, one in seeds]
        with recording(create_graph):
            reached = pullback(seeds, create_graph, [*variables, *others])

    def gradient_of(leaf: Any) -> Any:
        found = reached.get(leaf) if isinstance(leaf, Tensor) else None
        return np.zeros_like(data_of(leaf)) if found is None else found

    return [rebuild([gradient_of(leaf) for leaf in opened]) for opened, rebuild in places] + [
        gradient_of(other) for other in others
    ]
