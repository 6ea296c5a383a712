"""Derivatives of functions that are made of others: the backward pass runs the composition again and walks through it.

Nothing needs to be kept of the forward pass but the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any

import numpy as np

from autodiff.core.record import constant, data_of, is_variable, unary, variable
from autodiff.core.rule import Array, Function, defvjp, facts_of, name_of
from autodiff.core.tape import pullback, recording
from autodiff.core.tensor import Tensor, alias, is_inexact
from autodiff.transforms.containers import flatten


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
        >>> ad.defcomposition(norm, lambda x: np.sqrt(np.sum(x * x)))
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


def composition_of(function: Function) -> Callable[..., Any]:
    """Give the composition that a function was given by `defcomposition`."""
    facts = facts_of(function)
    rule: Any = facts_of(facts.variadic[1] if facts.variadic else function).rules[0]
    return rule.args[0]  # type: ignore[no-any-return]


def _rule(composition: Callable[..., Any], position: int, g: Array, out: Array, *args: Any, **kwargs: Any) -> Any:
    """Give the gradient of one argument, an array or a list of them."""
    return pull_through(composition, g, args, kwargs, position)[0]


def pull_through(
    function: Callable[..., Any],
    g: Array,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    position: int,
    others: Sequence[Tensor] = (),
) -> tuple[Any, list[Any]]:
    """Run a function again and carry the gradient of its output back to one of its arguments.

    Args:
        function: the function, of Tensors.
        g: the gradient of its output, or a tuple of those of its outputs. Where it is a Tensor, so is the result.
        args: the arguments, which may be nested containers of arrays.
        kwargs: the function's options.
        position: which argument the gradient is wanted of.
        others: Tensors that the function uses without being given them, whose gradients are wanted too.

    Returns:
        The gradient of the argument, in the same container, and those of the others.
    """
    gradients = flatten(g)[0]
    create_graph = any(isinstance(one, Tensor) for one in gradients)
    leaves, rebuild = flatten(args[position])
    with recording(True):
        variables = [_opened(leaf, create_graph) for leaf in leaves]
        outputs = flatten(function(*args[:position], rebuild(variables), *args[position + 1 :], **kwargs))[0]
        for output, gradient in zip(outputs, gradients, strict=True):
            if np.shape(data_of(output)) != np.shape(data_of(gradient)):
                raise ValueError(
                    f"{name_of(function)}: it gave shape {np.shape(data_of(output))} in the backward pass, and what it "
                    f"stands for gave {np.shape(data_of(gradient))}; see defcomposition"
                )
        ends = [leaf for leaf in variables if isinstance(leaf, Tensor)]
        with recording(create_graph):
            gradients_by_end = pullback(
                seeds_of(outputs, gradients, create_graph), create_graph, [*ends, *others], "between"
            )

    def gradient_of(leaf: Array) -> Any:
        gradient = gradients_by_end.get(leaf) if isinstance(leaf, Tensor) else None
        return np.zeros_like(data_of(leaf)) if gradient is None else gradient

    return rebuild(list(map(gradient_of, variables))), list(map(gradient_of, others))


def _opened(leaf: Array, create_graph: bool) -> Any:
    """Give the variable that stands for an array; anything else as it is."""
    if not is_inexact(leaf) or not hasattr(leaf, "dtype"):
        return leaf  # a Python float is a constant: what a Tensor holds has a dtype
    return unary(alias, leaf) if create_graph and is_variable(leaf) else variable(data_of(leaf))


def seeds_of(outputs: Sequence[Array], gradients: Sequence[Array], create_graph: bool) -> list[tuple[Tensor, Any]]:
    """Pair outputs that have a graph with their gradients, made Tensors or arrays: what `pullback` begins with."""
    seeds = []
    for output, gradient in zip(outputs, gradients, strict=True):
        if is_variable(output):
            if not create_graph:
                gradient = data_of(gradient)
            elif not isinstance(gradient, Tensor):
                gradient = constant(gradient)
            seeds.append((output, gradient))
    return seeds
