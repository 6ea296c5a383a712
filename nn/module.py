"""Parameter, a Tensor to be learned, and Module, a function with parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

import autodiff as ad


class Parameter(ad.Tensor):
    """A Tensor that a Module learns; assigning it to an attribute of a Module is all it takes.

    Arguments and errors are those of `autodiff.Tensor`. Its ``name`` becomes its path in the Module that it, or the
    Module around it, was last assigned to.

    Example:
        >>> Parameter([0.5, 1.0])
        Parameter([0.5, 1. ])
    """

    __slots__ = ()


class Module:
    """A function with parameters: a layer, or a model made of layers.

    A subclass assigns Parameters and other Modules to attributes, also in lists, tuples and dicts, and defines
    ``forward``. Nothing is registered: what belongs to a Module is found by looking at its attributes.

    Attributes:
        training: whether the Module is being trained; `Dropout` behaves differently then. Set by `train` and `eval`.

    Example:
        >>> class Line(Module):
        ...     def __init__(self):
        ...         self.slope, self.offset = Parameter(2.0), Parameter(1.0)
        ...     def forward(self, x):
        ...         return self.slope * x + self.offset
        >>> line = Line()
        >>> line(3.0)
        Tensor(7., call=add)
        >>> [name for name, parameter in line.named_parameters()]
        ['slope', 'offset']
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the inputs; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the inputs, by `forward`."""
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        # A model is built from the inside out, so the last name a parameter gets is its path from the outermost module.
        for path, parameter in _parameters_in(value, name):
            parameter.name = path

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Give the path and the Module of each Module that is an attribute, or stands in a list or dict that is one."""
        for name, value in vars(self).items():
            for path, member in _members(value, name):
                if isinstance(member, Module):
                    yield path, member

    def modules(self) -> Iterator[Module]:
        """Give the Module itself and all Modules in it."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Give the path and the Parameter of each parameter, in order of assignment; a shared one is given once."""
        seen = set()
        for name, value in vars(self).items():
            for path, parameter in _parameters_in(value, name):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield path, parameter

    def parameters(self) -> list[Parameter]:
        """List the parameters, as an optimizer takes them."""
        return [parameter for _, parameter in self.named_parameters()]

    def num_parameters(self) -> int:
        """Count the numbers that are learned."""
        return sum(parameter.size for parameter in self.parameters())

    def train(self, mode: bool = True) -> Self:
        """Set the Module and all Modules in it to training; returns the Module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set the Module and all Modules in it to evaluation; returns the Module."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """Give a copy of every parameter's array by its path.

        Example:
            >>> import nn
            >>> {path: array.shape for path, array in nn.MLP([4, 3, 2]).state_dict().items()}
            {'layers.0.weight': (4, 3), 'layers.0.bias': (3,), 'layers.2.weight': (3, 2), 'layers.2.bias': (2,)}
        """
        return {path: parameter.data.copy() for path, parameter in self._by_path().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy arrays, by their paths, into the parameters. Each keeps its dtype.

        Raises:
            ValueError: entries are missing, unexpected, of another shape or not real numbers. The message names all
                of them, and nothing is loaded.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: expected a dict of arrays by path, got {type(state).__name__}")
        own = self._by_path()
        arrays: dict[str, Any] = {}
        problems = []
        for path, value in state.items():
            try:
                arrays[path] = np.asarray(ad.stop_gradient(value))
            except ValueError:
                problems.append(f"{path} is ragged")
        problems += [f"missing {path} of shape {own[path].shape}" for path in own if path not in state]
        problems += [f"unexpected {path}" for path in arrays if path not in own]
        for path in (path for path in own if path in arrays):
            if arrays[path].dtype.kind not in "fiu":
                problems.append(f"{path} has dtype {arrays[path].dtype}, not real numbers")
            elif arrays[path].shape != own[path].shape:
                problems.append(f"{path} has shape {arrays[path].shape}, the model's {own[path].shape}")
        if problems:
            raise ValueError(f"load_state_dict: nothing was loaded into {type(self).__name__}: {'; '.join(problems)}")
        for path, parameter in own.items():
            parameter.data = np.array(arrays[path], dtype=parameter.dtype)[()]

    def _by_path(self) -> dict[str, Parameter]:
        """Give the parameters by their path, which two of them must not share."""
        named = list(self.named_parameters())
        paths = [path for path, _ in named]
        shared = sorted({path for path in paths if paths.count(path) > 1})
        if shared:
            raise ValueError(f"{type(self).__name__}: several parameters have the path {', '.join(shared)}")
        return dict(named)

    def _arguments(self) -> str:
        """Say in the text of the Module how it was made."""
        return ""

    def __repr__(self) -> str:
        children = [f"\n  {path}: {_indent(repr(child))}" for path, child in self.named_children()]
        details = [f"{name} {value.shape}" for name, value in vars(self).items() if isinstance(value, Parameter)]
        if details or children:
            details.append(f"{self.num_parameters():,} parameters")
        text = f"{type(self).__name__}({self._arguments()})"
        return ": ".join([text, ", ".join(details)] if details else [text]) + "".join(children)


def _members(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Find the Parameters and Modules in a value, through lists, tuples and dicts, each with its path."""
    if isinstance(value, Parameter | Module):
        yield path, value
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _members(item, f"{path}.{position}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _members(item, f"{path}.{key}")


def _parameters_in(value: Any, path: str) -> Iterator[tuple[str, Parameter]]:
    for inner, member in _members(value, path):
        if isinstance(member, Parameter):
            yield inner, member
        else:
            for rest, parameter in member.named_parameters():
                yield f"{inner}.{rest}", parameter


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
