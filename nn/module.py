"""Parameter, a Tensor to be learned, Buffer, one to be kept, and Module, a function with parameters."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, MutableSequence, Set, ValuesView
from reprlib import recursive_repr
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple, NoReturn, ParamSpec, Protocol, Self, TypeVar
from weakref import WeakKeyDictionary, ref

import numpy as np

import autodiff as ad
from autodiff.arrays.foreign import meaning_else
from autodiff.compiler.state import Place, form_of, views_of, watch_of
from autodiff.core.clock import note, tick
from autodiff.core.rule import Array
from autodiff.core.tape import running
from autodiff.elsewhere import explained
from nn.checks import WithKnownOptions, check_flag

P = ParamSpec("P")
Outputs = TypeVar("Outputs", covariant=True)

_ABSENT = object()
_set_data = vars(ad.Tensor)["data"].__set__


class _Forward(Protocol[P, Outputs]):
    """What type checkers know of a Module that is called: the types of its `forward`."""

    _hooks: dict[int, _Hook]

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
        TypeError: the data is not numbers.
        ValueError: the data is a ragged list.

    Example:
        >>> nn.Buffer([0.5, 1.0])
        Buffer([0.5, 1. ], requires_grad=False)
    """

    __slots__ = ()

    def __init__(self, data: Any, *, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(data, requires_grad=False, dtype=dtype, name=name)

    @property
    def data(self) -> Any:
        """The array itself; see `autodiff.Tensor`. Under `ad.vmap`, it is kept as it is."""
        return self._array

    @data.setter
    def data(self, value: Array) -> None:
        if any(level.age < self._age for level in running.get()):
            raise RuntimeError(f"{self._label()} is changed under vmap, by all members at once: evaluate the model")
        _set_data(self, value)


class _Hook(NamedTuple):
    """A function that is called before or after the `forward` of a Module."""

    function: Callable[..., Any]
    is_before: bool


class ForwardHook:
    """What `Module.register_forward_hook` gives: ``remove()`` takes the function off the Module again."""

    def __init__(self, module: Module, caller: str, function: Any, is_before: bool) -> None:
        if not callable(function) or isinstance(function, Module):
            raise TypeError(f"{caller}: a hook is a function of the module and what goes through it, got {function!r}")
        self._module: ref[Module] | None = ref(module)
        self._key = max(module._hooks, default=-1) + 1
        module._hooks = {**module._hooks, self._key: _Hook(function, is_before)}

    def remove(self) -> None:
        """Let the Module compute as if the function had not been registered; a second time does nothing."""
        module = None if self._module is None else self._module()
        if module is not None:
            module._hooks = {key: hook for key, hook in module._hooks.items() if key != self._key}
        self._module = None


class LoadedKeys(NamedTuple):
    """What `Module.load_state_dict` gives: the paths that the state lacked, and those of it that the Module has not."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module(WithKnownOptions):
    """A function with parameters: a layer, or a model made of layers.

    A subclass assigns Parameters, Buffers and other Modules to attributes, also in lists, tuples and dicts, and defines
    ``forward``. Nothing is registered: what belongs to a Module is found by looking at its attributes. What is found
    twice, such as a shared layer, is given once, by the first path, and a Module may refer to one that it is part of.

    A layer converts its input to the dtype of its parameters, and a loss its target to that of the predictions. So a
    model of float32 computes in float32, whatever real numbers it is given; a gradient by the input has the input's
    dtype. A ``forward`` of NumPy calls alone converts nothing, and NumPy's rules for mixed dtypes hold in it.

    Attributes:
        training: whether the Module is being trained; `Dropout` behaves differently then. Set by `train` and `eval`.

    Raises:
        TypeError: when an attribute that is a Parameter, Buffer or Module is given something else than one, or None;
            or one that holds some is given something that holds none, or holds them in a set or the like.

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
    _hooks: dict[int, _Hook] = {}  # noqa: RUF012 (another dict takes its place with the first hook)
    _nameless: ClassVar[str | None] = None  # an attribute whose items have paths without its name
    _assigned: ClassVar[list[object]] = [object()]  # another one since an attribute of any Module was assigned to

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the inputs; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def __call__(self: _Forward[P, Outputs], *args: P.args, **kwargs: P.kwargs) -> Outputs:
        """Compute the outputs from the inputs, by `forward`, whose types are those of the call."""
        start = tick()
        outputs = self.forward(*args, **kwargs) if not self._hooks else _hooked(self, args, kwargs)
        note(self, start)
        return outputs

    def register_forward_hook(self, function: Callable[[Any, tuple[Any, ...], Any], Any]) -> ForwardHook:
        """Show what goes through the Module to a function, after each call of `forward`.

        A compiled step computes what the function computes, and runs its other code, such as appending to a list, only
        when it is recorded. `nn.fit` calls it in every step unless it is told ``compile=True``.

        Args:
            function: takes the Module, the tuple of the positional arguments and the output. What it returns takes the
                place of the output; None leaves it as it is.

        Returns:
            An object whose ``remove()`` takes the function off again.

        Raises:
            TypeError: ``function`` is not callable, or is a Module.

        Example:
            >>> layer = nn.Linear(2, 1, rng=0)
            >>> hook = layer.register_forward_hook(lambda module, args, output: print(args[0].shape, output.shape))
            >>> _ = layer(np.zeros((3, 2)))
            (3, 2) (3, 1)
            >>> hook.remove()
        """
        return ForwardHook(self, "register_forward_hook", function, is_before=False)

    def register_forward_pre_hook(self, function: Callable[[Any, tuple[Any, ...]], Any]) -> ForwardHook:
        """Show what goes into the Module to a function, before each call of `forward`.

        It is as `register_forward_hook`, but the function takes the Module and the tuple of the positional arguments,
        and gives another tuple, or the only argument, or None.

        Example:
            >>> layer = nn.Identity()
            >>> hook = layer.register_forward_pre_hook(lambda module, args: args[0] + 1)
            >>> layer(1.0)
            2.0
        """
        return ForwardHook(self, "register_forward_pre_hook", function, is_before=True)

    def __setattr__(self, name: str, value: Any) -> None:
        members = list(_members(value, name))
        if name == self._nameless:
            members = [(path.removeprefix(f"{name}."), member) for path, member in members]
        before = vars(self).get(name, _ABSENT)
        if before is not _ABSENT:
            _check_place(type(self), name, before, value, bool(members))
        object.__setattr__(self, name, value)
        if before is not value:
            self._assigned[0] = object()
        ids: set[int] = set()
        parts = [part for path, member in members for part in _parts(member, path, ids)]
        named = [(path, part) for path, part in parts if not isinstance(part, Module)]
        # The first path counts of a part that has several, and only a walk through all attributes finds it.
        if id(self) in ids or any(self._has_elsewhere(part, name) for _, part in named):
            named = [(path, part) for path, part in self._named_tensors() if id(part) in ids]
        # A model is built from the inside out, so the last name a parameter gets is its path from the outermost module.
        for path, part in named:
            part.name = path

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._assigned[0] = object()

    def _has_elsewhere(self, part: Parameter | Buffer, name: str) -> bool:
        """Whether a parameter or buffer has a name that is its path here, from another attribute than the one named."""
        keys = (part.name or "").split(".")
        found: Any = self if keys[0] != name else None
        for key in keys:
            if isinstance(found, Module) and found._nameless is not None:
                found = vars(found).get(found._nameless)
            if isinstance(found, Module | dict):
                found = (vars(found) if isinstance(found, Module) else found).get(key)
            elif isinstance(found, list | tuple):
                found = found[int(key)] if key.isdecimal() and int(key) < len(found) else None
        return found is part

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Give the path and the Module of each Module that is an attribute, or stands in a list or dict that is one."""
        return ((path, member) for path, member in _held(self, "") if isinstance(member, Module))

    def children(self) -> Iterator[Module]:
        """Give each Module that is an attribute, or stands in a list or dict that is one, once."""
        return iter({id(child): child for _, child in self.named_children()}.values())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Give the path and the Module of the Module itself, whose path is empty, and of all Modules in it."""
        return ((path, part) for path, part in _parts(self, "", set()) if isinstance(part, Module))

    def modules(self) -> Iterator[Module]:
        """Give the Module itself and all Modules in it."""
        return (module for _, module in self.named_modules())

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call a function with every Module in this one, and then with the Module itself; returns the Module.

        Example:
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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with False make them zeros.

        Raises:
            TypeError: ``set_to_none`` is neither True nor False.
        """
        check_flag("zero_grad", "set_to_none", set_to_none)
        for parameter in self.parameters():
            parameter.grad = None if set_to_none or parameter.grad is None else np.zeros_like(parameter.data)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters, with False, or let them learn again; returns the Module.

        A frozen parameter gets no gradient, and an optimizer leaves it as it is. ``requires_grad`` of a single
        parameter does the same for that one.

        Example:
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
            if module.training is not mode:
                module.training = mode
        return self

    def eval(self) -> Self:
        """Set the Module and all Modules in it to evaluation; returns the Module."""
        return self.train(False)

    def state_dict(self) -> dict[str, Array]:
        """Give a copy of the array of every parameter and buffer by its path.

        Example:
            >>> {path: array.shape for path, array in nn.MLP([4, 3, 2]).state_dict().items()}
            {'layers.0.weight': (4, 3), 'layers.0.bias': (3,), 'layers.2.weight': (3, 2), 'layers.2.bias': (2,)}
        """
        return {path: tensor.data.copy() for path, tensor in self.by_path().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Copy arrays, by their paths, into the parameters and buffers. Each keeps its dtype.

        Args:
            state: as `state_dict` gives it.
            strict: whether all paths must be there, and no others. Without, what is missing stays as it is.

        Returns:
            The paths that were missing from the state, and those that the Module has not, as ``missing_keys`` and
            ``unexpected_keys``.

        Raises:
            TypeError: the state is no dict, or ``strict`` neither True nor False.
            ValueError: entries are missing, unexpected, of another shape or not real numbers, or not integers for a
                buffer of integers. The message names all of them, and nothing is loaded.

        Example:
            >>> nn.Linear(2, 1).load_state_dict({"bias": [1.0], "scale": 2.0}, strict=False)
            LoadedKeys(missing_keys=['weight'], unexpected_keys=['scale'])
        """
        check_flag("load_state_dict", "strict", strict)
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: expected a dict of arrays by path, got {type(state).__name__}")
        own = self.by_path()
        keys = LoadedKeys([path for path in own if path not in state], [path for path in state if path not in own])
        given = state if strict else {path: value for path, value in state.items() if path in own}
        arrays, problems = fitted(own, given, lambda value: np.asarray(ad.stop_gradient(value)), is_whole=strict)
        if problems:
            raise ValueError(f"load_state_dict: nothing was loaded into {type(self).__name__}: {'; '.join(problems)}")
        for path, array in arrays.items():
            own[path].data = np.array(array, dtype=own[path].dtype)[()]
        return keys

    def _named_tensors(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        return ((path, part) for path, part in _parts(self, "", set()) if not isinstance(part, Module))

    def by_path(self) -> dict[str, ad.Tensor]:
        """Give the parameters and buffers by their path, which two of them must not share."""
        named = list(self._named_tensors())
        shared = sorted(path for path, count in Counter(path for path, _ in named).items() if count > 1)
        if shared:
            raise ValueError(f"{type(self).__name__}: several parameters have the path {', '.join(shared)}")
        return dict(named)

    def places(self) -> list[Place]:
        """List where a compiled step finds the Module's state: parameters, buffers, generators, and Python floats."""
        places = [Place.of_tensor(path.replace(".", "_"), tensor) for path, tensor in self.by_path().items()]
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, np.random.Generator) or type(value) is float:
                    of_kind = Place.of_setting if type(value) is float else Place.of_attribute
                    places.append(of_kind(f"{path}.{name}".strip(".").replace(".", "_"), module, name))
        return places

    def settings(self) -> Hashable:
        """Give all else that the Module computes with: a compiled step is another one with other settings."""
        named = [(path, module, type(module)) for path, module in self.named_modules()]
        attributes = [
            {"training": module.training} | {k: float if type(v) is float else v for k, v in vars(module).items()}
            for _, module, _ in named
        ]
        methods = {kind: _methods(kind) for _, _, kind in named}
        return form_of([named, attributes, methods])

    def watch(self) -> Callable[[], bool]:
        """Give a function that says whether attributes, what is in lists and dicts there, and methods are as then."""
        modules = list(self.modules())
        views = [view for module in modules for value in vars(module).values() for view in views_of(value)]
        kinds = {f"kind_{k}": kind for k, kind in enumerate(dict.fromkeys(map(type, modules)))}
        methods = [f"{name}.{method}" for name, kind in kinds.items() for method in _methods(kind)]
        return watch_of([self._assigned, *views], SimpleNamespace(**kinds), *methods)

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


explained(Module)


def check_model(caller: str, model: Any) -> None:
    """Refuse a model that is no Module."""
    if not isinstance(model, Module):
        raise TypeError(f"{caller}: the model must be a Module, got {model!r}")


def _hooked(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a Module's `forward` with the hooks before and after it."""
    hooks = list(module._hooks.values())
    for hook in hooks:
        if hook.is_before and (others := hook.function(module, args)) is not None:
            args = others if isinstance(others, tuple) else (others,)
    outputs = module.forward(*args, **kwargs)
    for hook in hooks:
        if not hook.is_before and (other := hook.function(module, args, outputs)) is not None:
            outputs = other
    return outputs


def _methods(kind: type[Any]) -> dict[str, Any]:
    """Give `forward` and, of classes that are not of this package, all functions, properties and the like."""
    users = [base for base in kind.__mro__ if base.__module__.partition(".")[0] not in ("nn", "builtins")]
    names = [name for base in users for name, value in vars(base).items() if hasattr(type(value), "__get__")]
    names = [name for name in names if not name.startswith("__") or name == "__call__"]
    return {name: getattr(kind, name) for name in ("forward", *names)}


def _check_place(kind: Any, name: str, before: Any, value: Any, has_members: bool) -> None:
    """Refuse what would take the place of parameters, buffers or Modules and has none: they would be lost unseen."""
    place = type(before) if isinstance(before, Parameter | Buffer) else _declared(kind).get(name)
    if value is None or isinstance(value, Module | Parameter):
        return
    if place is not None and not (issubclass(place, Buffer) and isinstance(value, Buffer)):
        raise TypeError(
            f"{kind.__name__}.{name} is a {place.__name__}, which {type(value).__name__} cannot take the place of: "
            f"write {name}.data = ... for other numbers, or assign a new {place.__name__}"
        )
    is_empty = isinstance(value, list | tuple | dict) and not value
    if not has_members and not is_empty and any(_members(before, name)):
        held = "a Module" if isinstance(before, Module) else f"a {type(before).__name__} of parameters or Modules"
        raise TypeError(
            f"{kind.__name__}.{name} is {held}, which {type(value).__name__} cannot take the place of: assign a Module "
            "or None; a function is one as the forward of a Module"
        )


def fitted(
    own: Mapping[str, ad.Tensor], state: Mapping[str, Any], take: Callable[[Any], Any], is_whole: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Give the arrays that ``take`` makes of a state, by path, and list what does not fit the Module's own."""
    arrays: dict[str, Any] = {}
    problems = []
    for path, value in state.items():
        if kind := meaning_else(value):
            problems.append(f"{path} is {kind}")
        try:
            arrays[path] = take(value)
        except ValueError:
            problems.append(f"{path} is ragged")
    problems += [f"missing {path} of shape {own[path].shape}" for path in own if is_whole and path not in state]
    problems += [f"unexpected {path}" for path in arrays if path not in own]
    for path in (path for path in own if path in arrays):
        if arrays[path].dtype.kind not in "fiubc":
            problems.append(f"{path} has dtype {arrays[path].dtype}, not numbers")
        elif not np.can_cast(arrays[path].dtype, own[path].dtype, "same_kind"):
            problems.append(f"{path} has dtype {arrays[path].dtype}, the model's {own[path].dtype}")
        elif arrays[path].shape != own[path].shape:
            problems.append(f"{path} has shape {arrays[path].shape}, the model's {own[path].shape}")
    return arrays, problems


_declarations: WeakKeyDictionary[type[Any], dict[str, type[Parameter | Buffer]]] = WeakKeyDictionary()


def _declared(kind: type[Any]) -> dict[str, type[Parameter | Buffer]]:
    """Give the attributes that a class says are a Parameter or a Buffer, and that may be None now."""
    if kind not in _declarations:
        bases = [inspect.get_annotations(base) for base in reversed(kind.__mro__)]
        texts = {name: str(text) for annotations in bases for name, text in annotations.items()}
        found = {name: re.fullmatch(r"(?:\w+\.)*(Parameter|Buffer)(?: \| None)?", text) for name, text in texts.items()}
        kinds = {"Parameter": Parameter, "Buffer": Buffer}
        _declarations[kind] = {name: kinds[match[1]] for name, match in found.items() if match}
    return _declarations[kind]


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
    elif hasattr(value, "__iter__") and isinstance(value, _OTHER_CONTAINERS):
        items = value.values() if isinstance(value, Mapping) else value
        if any(isinstance(item, Parameter | Buffer | Module) for item in items):
            raise TypeError(
                f"{path} is a {type(value).__name__} with parameters or Modules in it, which are found in lists, "
                "tuples and dicts only: make it one of them"
            )


_OTHER_CONTAINERS = (Set, MutableSequence, Mapping, ValuesView)
_PLAIN = {bool, int, float, str, type(None), np.ndarray}  # attributes of these types hold no parts


def _parts(
    member: Parameter | Buffer | Module, path: str, ids: set[int]
) -> Iterator[tuple[str, Parameter | Buffer | Module]]:
    """Give a Parameter, Buffer or Module and all that it is made of, each once, with its path."""
    waiting = [iter([(path, member)])]
    while waiting:
        for inner, part in waiting[-1]:
            if id(part) not in ids:
                ids.add(id(part))
                yield inner, part
                if isinstance(part, Module):
                    waiting.append(_held(part, inner))
                    break
        else:
            waiting.pop()


def _held(module: Module, path: str) -> Iterator[tuple[str, Parameter | Buffer | Module]]:
    """Give what a Module's attributes hold, with its path."""
    start = f"{path}." if path else ""
    for name, value in vars(module).items():
        if type(value) in _PLAIN:
            continue
        if name == module._nameless:
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _members(item, f"{start}{key}")
        else:
            yield from _members(value, start + name)


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
