"""Parameter, a Tensor to be learned, Buffer, one to be kept, and Module, a function with parameters."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from reprlib import recursive_repr
from typing import Any, ClassVar, NoReturn, ParamSpec, Protocol, Self, TypeVar

import numpy as np

import autodiff as ad
from autodiff.arrays.foreign import meaning_else
from autodiff.compiler.state import Place
from autodiff.core.clock import note, tick
from autodiff.core.rule import Array
from nn.checks import check_flag

P = ParamSpec("P")
Outputs = TypeVar("Outputs", covariant=True)


class _Forward(Protocol[P, Outputs]):
    """What type checkers know of a Module that is called: the types of its `forward`."""

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> Outputs: ...


class Parameter(ad.Tensor):
    """A Tensor that a Module learns; assigning it to an attribute of a Module is all it takes.

    Arguments and errors are those of `autodiff.Tensor`. Its ``name`` becomes its path in the Module that it, or the
    Module around it, was last assigned to.

    Example:
        >>> nn.Parameter([0.5, 1.0])
        Parameter([0.5, 1. ])
    """

    __slots__ = ()

    def _refuse(self, other: Any) -> NoReturn:
        raise TypeError(
            f"{self._label()} is not changed in place by -= and the like, which would only give its name to another "
            "Tensor: write p.data -= ..., or let an optimizer do it"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _refuse


class Buffer(ad.Tensor):
    """A Tensor that belongs to the state of a Module but is not learned, such as a running mean.

    Assigning it to an attribute of a Module is all it takes: `Module.state_dict` has it, and `Module.parameters` has
    not.

    Args:
        data: a number, a list of numbers or an array; it is copied.
        dtype: convert the data to this dtype.
        name: how pictures and messages call it; see `Parameter`.

    Raises:
        TypeError: the data is not real numbers.
        ValueError: the data is a ragged list.

    Example:
        >>> nn.Buffer([0.5, 1.0])
        Buffer([0.5, 1. ], requires_grad=False)
    """

    __slots__ = ()

    def __init__(self, data: Any, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(data, requires_grad=False, dtype=dtype, name=name)


class Module:
    """A function with parameters: a layer, or a model made of layers.

    A subclass assigns Parameters, Buffers and other Modules to attributes, also in lists, tuples and dicts, and defines
    ``forward``. Nothing is registered: what belongs to a Module is found by looking at its attributes. What is found
    twice, such as a shared layer, is given once, by the first path, and a Module may refer to one that it is part of.

    Attributes:
        training: whether the Module is being trained; `Dropout` behaves differently then. Set by `train` and `eval`.

    Example:
        >>> class Line(nn.Module):
        ...     def __init__(self):
        ...         self.slope, self.offset = nn.Parameter(2.0), nn.Parameter(1.0)
        ...     def forward(self, x):
        ...         return self.slope * x + self.offset
        >>> line = Line()
        >>> line(3.0)
        Tensor(7., call=add)
        >>> [name for name, parameter in line.named_parameters()]
        ['slope', 'offset']
    """

    training: bool = True
    _assignments: ClassVar[int] = 0  # to attributes of all Modules

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the inputs; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def __call__(self: _Forward[P, Outputs], *args: P.args, **kwargs: P.kwargs) -> Outputs:
        """Compute the outputs from the inputs, by `forward`, whose types are those of the call."""
        start = tick()
        outputs = self.forward(*args, **kwargs)
        note(self, start)
        return outputs

    def __setattr__(self, name: str, value: Any) -> None:
        before = vars(self).get(name)
        if isinstance(before, Parameter | Buffer) and not (value is None or isinstance(value, ad.Tensor | Module)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a {type(before).__name__}, which {type(value).__name__} cannot take "
                f"the place of: write {name}.data = ... for other numbers, or assign a new {type(before).__name__}"
            )
        object.__setattr__(self, name, value)
        Module._assignments += 1
        # A model is built from the inside out, so the last name a parameter gets is its path from the outermost module.
        assigned = {id(part) for _, member in _members(value, name) for _, part in _parts(member, "", set())}
        if assigned:
            for path, part in _parts(self, "", set()):
                if id(part) in assigned and not isinstance(part, Module):
                    part.name = path

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Give the path and the Module of each Module that is an attribute, or stands in a list or dict that is one."""
        for name, value in vars(self).items():
            for path, member in _members(value, name):
                if isinstance(member, Module):
                    yield path, member

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Give the path and the Module of the Module itself, whose path is empty, and of all Modules in it."""
        return ((path, part) for path, part in _parts(self, "", set()) if isinstance(part, Module))

    def modules(self) -> Iterator[Module]:
        """Give the Module itself and all Modules in it."""
        return (module for _, module in self.named_modules())

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every Module in this one, and then with the Module itself; returns the Module.

        Example:
            >>> import nn
            >>> def show(module):
            ...     print(type(module).__name__)
            >>> model = nn.Sequential(nn.Linear(2, 1), nn.Tanh()).apply(show)
            Linear
            Tanh
            Sequential
        """
        for module in _inside_out(self, set()):
            function(module)
        return self

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Give the path and the Parameter of each parameter, in order of assignment."""
        return ((path, part) for path, part in _parts(self, "", set()) if isinstance(part, Parameter))

    def parameters(self) -> list[Parameter]:
        """List the parameters, as an optimizer takes them."""
        return [parameter for _, parameter in self.named_parameters()]

    def num_parameters(self) -> int:
        """Count the numbers in all parameters, frozen ones among them."""
        return sum(parameter.size for parameter in self.parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Give the path and the Buffer of each buffer, in order of assignment."""
        return ((path, part) for path, part in _parts(self, "", set()) if isinstance(part, Buffer))

    def buffers(self) -> list[Buffer]:
        """List the buffers."""
        return [buffer for _, buffer in self.named_buffers()]

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters, with False, or let them learn again; returns the Module.

        A frozen parameter gets no gradient, and an optimizer leaves it as it is. ``requires_grad`` of a single
        parameter does the same for that one.

        Example:
            >>> import nn
            >>> model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))
            >>> [path for path, parameter in model.named_parameters() if parameter.requires_grad]
            ['layers.1.weight', 'layers.1.bias']
        """
        check_flag("requires_grad_", "requires_grad", requires_grad)
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the Module and all Modules in it to training, or to evaluation with False; returns the Module.

        Raises:
            TypeError: the mode is neither True nor False.
        """
        check_flag("train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set the Module and all Modules in it to evaluation; returns the Module."""
        return self.train(False)

    def state_dict(self) -> dict[str, Array]:
        """Give a copy of the array of every parameter and buffer by its path.

        Example:
            >>> import nn
            >>> {path: array.shape for path, array in nn.MLP([4, 3, 2]).state_dict().items()}
            {'layers.0.weight': (4, 3), 'layers.0.bias': (3,), 'layers.2.weight': (3, 2), 'layers.2.bias': (2,)}
        """
        return {path: tensor.data.copy() for path, tensor in self._by_path().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy arrays, by their paths, into the parameters and buffers. Each keeps its dtype.

        Raises:
            TypeError: the state is no dict.
            ValueError: entries are missing, unexpected, of another shape or not real numbers, or not integers for a
                buffer of integers. The message names all of them, and nothing is loaded.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: expected a dict of arrays by path, got {type(state).__name__}")
        own = self._by_path()
        arrays: dict[str, Array] = {}
        problems = []
        for path, value in state.items():
            if kind := meaning_else(value):
                problems.append(f"{path} is {kind}")
            try:
                arrays[path] = np.asarray(ad.stop_gradient(value))
            except ValueError:
                problems.append(f"{path} is ragged")
        problems += [f"missing {path} of shape {own[path].shape}" for path in own if path not in state]
        problems += [f"unexpected {path}" for path in arrays if path not in own]
        for path in (path for path in own if path in arrays):
            if arrays[path].dtype.kind not in "fiub":
                problems.append(f"{path} has dtype {arrays[path].dtype}, not real numbers")
            elif not np.can_cast(arrays[path].dtype, own[path].dtype, "same_kind"):
                problems.append(f"{path} has dtype {arrays[path].dtype}, the model's {own[path].dtype}")
            elif arrays[path].shape != own[path].shape:
                problems.append(f"{path} has shape {arrays[path].shape}, the model's {own[path].shape}")
        if problems:
            raise ValueError(f"load_state_dict: nothing was loaded into {type(self).__name__}: {'; '.join(problems)}")
        for path, tensor in own.items():
            tensor.data = np.array(arrays[path], dtype=tensor.dtype)[()]

    def _by_path(self) -> dict[str, ad.Tensor]:
        """Give the parameters and buffers by their path, which two of them must not share."""
        named = [(path, part) for path, part in _parts(self, "", set()) if not isinstance(part, Module)]
        paths = [path for path, _ in named]
        shared = sorted({path for path in paths if paths.count(path) > 1})
        if shared:
            raise ValueError(f"{type(self).__name__}: several parameters have the path {', '.join(shared)}")
        return dict(named)

    def places(self) -> list[Place]:
        """List where a compiled step finds the Module's state: parameters, buffers and generators."""
        places = [Place.of_tensor(path.replace(".", "_"), tensor) for path, tensor in self._by_path().items()]
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, np.random.Generator):
                    places.append(Place.of_attribute(f"{path}.{name}".strip(".").replace(".", "_"), module, name))
        return places

    def settings(self) -> Hashable:
        """Give all else that the Module computes with: a compiled step is another one with other settings."""
        return tuple(
            (path, name, value if isinstance(value, bool | int | float | str) else id(value))
            for path, module in self.named_modules()
            for name, value in {"training": module.training, **vars(module)}.items()
        )

    def watch(self) -> Callable[[], bool]:
        """Give a function that says whether no attribute of any Module was assigned to since then."""
        before = Module._assignments
        return lambda: Module._assignments == before

    def _arguments(self) -> str:
        """Say in the text of the Module how it was made."""
        return ""

    @recursive_repr()
    def __repr__(self) -> str:
        children = [f"\n  {path}: {_indent(repr(child))}" for path, child in self.named_children()]
        details = [f"{name} {value.shape}" for name, value in vars(self).items() if isinstance(value, Parameter)]
        if details or children:
            details.append(f"{self.num_parameters():,} parameters")
        text = f"{type(self).__name__}({self._arguments()})"
        return ": ".join([text, ", ".join(details)] if details else [text]) + "".join(children)


def _members(value: Any, path: str) -> Iterator[tuple[str, Parameter | Buffer | Module]]:
    """Find Parameters, Buffers and Modules in a value, through lists, tuples and dicts, each with its path."""
    if isinstance(value, Parameter | Buffer | Module):
        yield path, value
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _members(item, f"{path}.{position}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _members(item, f"{path}.{key}")


def _parts(
    member: Parameter | Buffer | Module, path: str, ids: set[int]
) -> Iterator[tuple[str, Parameter | Buffer | Module]]:
    """Give a Parameter, Buffer or Module and all that it is made of, each once, with its path."""
    if id(member) in ids:
        return
    ids.add(id(member))
    yield path, member
    if isinstance(member, Module):
        for name, value in vars(member).items():
            for inner, part in _members(value, f"{path}.{name}" if path else name):
                yield from _parts(part, inner, ids)


def _inside_out(module: Module, ids: set[int]) -> Iterator[Module]:
    """Give the Modules in a Module, each after those in it and once, and the Module itself at last."""
    if id(module) in ids:
        return
    ids.add(id(module))
    for _, child in module.named_children():
        yield from _inside_out(child, ids)
    yield module


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")
