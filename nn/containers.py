"""Modules that hold others: one after the other, in a list, or by names."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self, overload

from autodiff.core.rule import Array
from autodiff.elsewhere import said
from nn.module import Module


class _Row(Module):
    """What `Sequential` and `ModuleList` share: Modules in an order."""

    _attribute: ClassVar[str]  # which holds them: a list, or a dict where they have names

    def _checked(self, module: Any) -> Module:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: a layer must be a Module, got {module!r}")
        return module

    def _pairs(self) -> list[tuple[str, Module]]:
        held = getattr(self, self._attribute)
        return list(held.items()) if isinstance(held, dict) else [(str(k), module) for k, module in enumerate(held)]

    def _put(self, pairs: list[tuple[str, Module]]) -> None:
        has_names = isinstance(getattr(self, self._attribute), dict)
        setattr(self, self._attribute, dict(pairs) if has_names else [module for _, module in pairs])

    def __len__(self) -> int:
        return len(getattr(self, self._attribute))

    def __bool__(self) -> bool:
        return True  # as any other Module, also without layers

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._pairs())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module:
        if not isinstance(index, slice):
            return self._pairs()[index][1]
        held = getattr(self, self._attribute)
        kind = Sequential if isinstance(self, Sequential) else type(self)
        part = kind.__new__(kind)
        items = dict(list(held.items())[index]) if isinstance(held, dict) else held[index]
        vars(part)[self._attribute] = items  # not assigned, which would give the parameters other names
        part.training = self.training
        return part

    def __setitem__(self, index: int, module: Module) -> None:
        pairs = self._pairs()
        pairs[index] = pairs[index][0], self._checked(module)
        self._put(pairs)

    def __delitem__(self, index: int | slice) -> None:
        pairs = self._pairs()
        del pairs[index]
        self._put(pairs)

    def append(self, module: Module) -> Self:
        """Add a Module at the end; gives the container itself."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add Modules at the end; gives the container itself."""
        pairs = self._pairs()
        names = {name for name, _ in pairs}
        free = (name for name in map(str, itertools.count(len(pairs))) if name not in names)
        self._put([*pairs, *((next(free), self._checked(module)) for module in modules)])
        return self


class Sequential(_Row):
    """Modules one after the other, each given what the one before returns.

    It has a length, is iterated over and indexed as a list is, and grows by ``append`` and ``extend``. A
    slice is a Sequential of the same Modules.

    Args:
        layers: Modules, or a single dict of Modules by name, which are attributes too, as in ``model.hidden``.

    Raises:
        TypeError: a layer is not a Module, or a name no text.
        ValueError: a name has a dot in it, or is that of an attribute.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.Tanh())
        >>> model
        Sequential(): 15 parameters
          layers.0: Linear(4, 3): weight (4, 3), bias (3,), 15 parameters
          layers.1: Tanh()
        >>> len(model), model[-1], model[:1].num_parameters()
        (2, Tanh(), 15)
        >>> nn.Sequential({"hidden": model[0], "act": nn.Tanh()}).hidden.out_features
        3
    """

    _attribute = "layers"
    layers: Any  # a list of Modules, or a dict of them where they have names

    def __init__(self, *layers: Module | Mapping[str, Module]) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name in layers[0]:
                _check_name(self, name)
                if name == self._attribute or hasattr(type(self), name):
                    raise ValueError(f"{type(self).__name__}: a layer cannot be called {name!r}, as an attribute is")
            self.layers = {name: self._checked(module) for name, module in layers[0].items()}
        else:
            self.layers = list(map(self._checked, layers))

    def __getattr__(self, name: str) -> Any:
        layers = vars(self).get("layers")
        if isinstance(layers, dict) and name in layers:
            return layers[name]
        text = f"{type(self).__name__!r} object has no attribute {name!r}{said('Module', name)}"
        raise AttributeError(text, name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        layers = vars(self).get("layers")
        if isinstance(layers, dict) and name in layers:
            name, value = "layers", layers | {name: self._checked(value)}
        super().__setattr__(name, value)

    def forward(self, x: Array) -> Array:
        """Send the input through all layers."""
        for layer in self.layers.values() if isinstance(self.layers, dict) else self.layers:
            x = layer(x)
        return x


class ModuleList(_Row):
    """Modules in a list, for a `Module` whose ``forward`` says what is done with them.

    A list as an attribute does as much; this one is a Module itself, which has parameters, and a mode.

    Args:
        modules: Modules, in order.

    Raises:
        TypeError: one of them is not a Module.

    Example:
        >>> layers = nn.ModuleList([nn.Linear(2, 2, rng=0) for _ in range(3)])
        >>> len(layers.append(nn.Tanh())), [path for path, _ in layers[:1].named_parameters()]
        (4, ['0.weight', '0.bias'])
    """

    _attribute = _nameless = "items"

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.items = list(map(self._checked, modules))


class ModuleDict(Module):
    """Modules by name, for a `Module` whose ``forward`` says what is done with them.

    A dict as an attribute does as much; this one is a Module itself, which has parameters, and a mode.

    Args:
        modules: Modules by name.

    Raises:
        TypeError: one of them is not a Module, or a name no text.
        ValueError: a name has a dot in it.

    Example:
        >>> heads = nn.ModuleDict({"mean": nn.Linear(2, 1, rng=0)})
        >>> heads["spread"] = nn.Linear(2, 1, rng=1)
        >>> list(heads), [path for path, _ in heads.named_parameters()][:2]
        (['mean', 'spread'], ['mean.weight', 'mean.bias'])
    """

    _nameless = "held"

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.held: dict[str, Module] = {}
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add Modules by name, or put them in the place of those that have the names."""
        if not isinstance(modules, Mapping):
            raise TypeError(f"ModuleDict: expected a dict of Modules by name, got {modules!r}")
        for name, module in modules.items():
            _check_name(self, name)
            if not isinstance(module, Module):
                raise TypeError(f"ModuleDict: a layer must be a Module, got {module!r}")
        self.held = {**self.held, **modules}

    def __setitem__(self, name: str, module: Module) -> None:
        self.update({name: module})

    def __getitem__(self, name: str) -> Module:
        return self.held[name]

    def __delitem__(self, name: str) -> None:
        others = dict(self.held)
        del others[name]
        self.held = others

    def __contains__(self, name: object) -> bool:
        return name in self.held

    def __len__(self) -> int:
        return len(self.held)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.held)

    def keys(self) -> Iterable[str]:
        """Give the names."""
        return self.held.keys()

    def values(self) -> Iterable[Module]:
        """Give the Modules."""
        return self.held.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Give the names and Modules."""
        return self.held.items()


def _check_name(module: Module, name: Any) -> None:
    """Refuse what cannot be the name of a Module in a path."""
    if not isinstance(name, str):
        raise TypeError(f"{type(module).__name__}: the name of a layer must be a text, got {name!r}")
    if not name or "." in name:
        raise ValueError(f"{type(module).__name__}: a layer's name is a part of paths, without a dot, got {name!r}")
