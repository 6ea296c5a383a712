"""What all optimizers share: groups of parameters, the walk over them, and the state that goes into a file."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

import autodiff as ad
from autodiff.arrays.lazy import lazily
from autodiff.arrays.whole import as_float, is_lazy, whole
from autodiff.compiler.state import Itself, Place, form_of, views_of, watch_of
from autodiff.core.clock import note, tick
from autodiff.core.record import data_of
from autodiff.core.rule import Array
from nn.checks import WithKnownOptions, check_choice, check_count, check_flag, check_number, to_array

# An update makes several passes over its arrays. A block of this many bytes stays in the cache between them.
BLOCK_BYTES = 2**18
# Arrays up to this size are updated several at once: the calls would take longer than the arithmetic.
SMALL_BYTES = 2**15

_SHARED = "param_groups", "slots", "steps", "defaults", "_settings", "_joined"  # attributes of all optimizers
_PARAMS = operator.itemgetter("params")

# The domain of an option: given the caller, the option's name and a value, it gives the value, or raises.
Check = Callable[[str, str, Any], Any]


def number(inside: Callable[[float], bool], domain: str) -> Check:
    """Make the check of a number in a domain, which a text names."""

    def check(caller: str, name: str, value: Any) -> Any:
        check_number(caller, name, value, inside, domain)
        return as_float(value)  # a NumPy number would change the dtype of the arrays that it meets

    return check


def choice(*known: str) -> Check:
    """Make the check of a text that is one of those known."""

    def check(caller: str, name: str, value: Any) -> Any:
        check_choice(caller, name, value, known)
        return value

    return check


def _count(caller: str, name: str, value: Any) -> int:
    check_count(caller, name, value)
    return int(value)


def _flag(caller: str, name: str, value: Any) -> bool:
    check_flag(caller, name, value)
    return bool(value)


def _shares(caller: str, name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, tuple | list):
        raise TypeError(f"{caller}: {name} must be two numbers, got {value!r}")
    if len(value) != 2:
        raise ValueError(f"{caller}: {name} must be two numbers, got {value!r}")
    return SHARE(caller, f"each of {name}", value[0]), SHARE(caller, f"each of {name}", value[1])


FINITE = number(lambda x: True, "finite")
AT_LEAST_0 = number(lambda x: x >= 0, "at least 0")
POSITIVE = number(lambda x: x > 0, "positive")
SHARE = number(lambda x: 0 <= x < 1, "at least 0 and below 1")
SHARES: Check = _shares
COUNT: Check = _count
FLAG: Check = _flag


def listed(caller: str, parameters: Any) -> list[ad.Tensor]:
    """List the parameters, and refuse what is no list of Tensors."""
    if isinstance(parameters, ad.Tensor) or not isinstance(parameters, Iterable):
        kind = type(parameters).__name__
        raise TypeError(f"{caller}: parameters must be a list of Tensors, as model.parameters() gives, got {kind}")
    tensors = list(parameters)
    if not tensors:
        raise ValueError(f"{caller}: there are no parameters; has a generator been used up?")
    for parameter in tensors:
        if not isinstance(parameter, ad.Tensor):
            raise TypeError(f"{caller}: a parameter must be a Tensor, got {parameter!r}")
    return tensors


def checked_parameters(caller: str, parameters: Any) -> list[ad.Tensor]:
    """List the parameters, and refuse what cannot be optimized."""
    tensors = listed(caller, parameters)
    for parameter in tensors:
        if not parameter.is_leaf:
            raise TypeError(f"{caller}: a parameter must be a Tensor that no call made, got {parameter!r}")
    if not any(parameter.requires_grad for parameter in tensors):
        raise ValueError(f"{caller}: none of the parameters requires a gradient; set requires_grad = True")
    if len(set(map(id, tensors))) < len(tensors):
        raise ValueError(f"{caller}: a parameter is listed twice; it would be changed twice a step")
    return tensors


def checked_gradient(caller: str, parameter: ad.Tensor) -> Array:
    """Give a parameter's gradient as an array, and refuse one that was assigned and does not fit the parameter."""
    gradient, data = data_of(parameter.grad), parameter.data
    if not isinstance(gradient, np.generic) and not hasattr(gradient, "__array_function__"):
        name = type(gradient).__name__
        raise TypeError(f"{caller}: the gradient of {parameter!r} must be an array or a Tensor, got a {name}")
    if gradient.shape != data.shape:
        raise ValueError(f"{caller}: the gradient of {parameter!r} is {gradient!r}")
    if not np.can_cast(gradient.dtype, data.dtype, "same_kind"):
        raise TypeError(f"{caller}: the gradient of {parameter!r} is {gradient.dtype}, the parameter {data.dtype}")
    return gradient


class _Batch:
    """Parameters of one group that take a step as one array, all for the same time."""

    __slots__ = ("data", "dtype", "gradients", "members", "parameters", "room", "step")

    def __init__(self, step: int, k: int, parameter: ad.Tensor, data: Array, gradient: Array, room: int) -> None:
        self.step = step
        self.dtype = data.dtype
        self.room = room  # bytes that it has place for
        self.members = [k]  # which of all parameters they are
        self.parameters = [parameter]
        self.data = [data]
        self.gradients = [gradient]


class _Joined(NamedTuple):
    """Several small parameters as one array, with their slots, and the view of it that each of them holds."""

    data: Array
    views: list[Array]
    slots: dict[str, Array]


class Optimizer(WithKnownOptions):
    """What all optimizers share; a subclass says in `update` how one parameter changes, and in what its options are.

    Steps write into the parameters' arrays, but small arrays are moved into a larger one by the first step.

    Args:
        parameters: Tensors, as ``model.parameters()`` gives them, or dicts that each hold a list of Tensors under
            "params" and options of their own. Tensors that require no gradient stay as they are.
        defaults: the options, for the groups that do not say otherwise.

    Attributes:
        param_groups: a dict for each group, with its Tensors under "params" and every option by its name. Options may
            be assigned between steps; they are checked at the next one.
        defaults: options of a group that `add_param_group` adds.
        options: the domain of each option, for the options of the class itself and of those that it is derived from: a
            function of the caller, the option's name and a value, such as ``nn.optim.base.POSITIVE``, that gives the
            value or raises. An option without one must be a finite number.
        slot_names: names of the arrays that the subclass keeps for a parameter, such as its momentum, each with the
            option that turns it on, or None if there is none.
        slots: for each parameter its arrays by name, of its shape and dtype; made, as zeros, in its first step.
        steps: for each parameter how many steps it has taken.

    Raises:
        TypeError: a parameter is not a leaf Tensor, or an option is of the wrong type.
        ValueError: there are no parameters in a group, none requires a gradient, one is listed twice, or an option is
            unknown or outside its domain.

    Example:
        >>> from nn.optim.base import FLAG, POSITIVE
        >>> class SignDescent(nn.optim.Optimizer):
        ...     options = {"scale": POSITIVE, "ascend": FLAG}
        ...     def __init__(self, parameters, lr=0.1, scale=1.0, ascend=False):
        ...         super().__init__(parameters, lr=lr, scale=scale, ascend=ascend)
        ...     def update(self, p, g, slots, step, options):
        ...         p -= (-1 if options["ascend"] else 1) * options["lr"] * options["scale"] * np.sign(g)
        ...         return p
        >>> x = ad.Tensor([1.0, -2.0])
        >>> optimizer = SignDescent([x], scale=5)
        >>> (x * x).sum().backward()
        >>> optimizer.step()
        >>> x.data
        array([ 0.5, -1.5])
        >>> SignDescent([x], scale=0)
        Traceback (most recent call last):
        ValueError: SignDescent: scale must be positive, got 0
    """

    options: ClassVar[Mapping[str, Check]] = {"lr": AT_LEAST_0}
    slot_names: ClassVar[Mapping[str, str | None]] = {}

    def __init_subclass__(cls) -> None:
        cls.options = {
            name: check for kind in reversed(cls.__mro__) for name, check in vars(kind).get("options", {}).items()
        }

    def __init__(self, parameters: Iterable[ad.Tensor] | Iterable[dict[str, Any]], **defaults: Any) -> None:
        caller = type(self).__name__
        self.param_groups: list[dict[str, Any]] = []
        self.slots: list[dict[str, Array]] = []
        self.steps: list[int] = []
        self._settings: list[tuple[list[Any], dict[str, Any]]] = []  # options of each group, as assigned and checked
        self._joined: dict[tuple[int, ...], _Joined] = {}  # no parameter is in two of them
        self.defaults = self.checked(caller, defaults)
        several: Any = parameters
        if isinstance(parameters, Iterable) and not isinstance(parameters, ad.Tensor):
            several = list(parameters)
        are_groups = isinstance(several, list) and several and all(isinstance(group, dict) for group in several)
        for group in several if are_groups else [{"params": several}]:
            self._add(caller, group)

    @property
    def parameters(self) -> list[ad.Tensor]:
        """The Tensors of all groups."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    @property
    def lr(self) -> float:
        """Learning rate of all groups; assigning sets it in all of them.

        Raises:
            ValueError: when read, the groups have different ones; when assigned, it is negative or not finite.
        """
        rates = {group["lr"] for group in self.param_groups}
        if len(rates) > 1:
            raise ValueError(
                f"{type(self).__name__}.lr: the groups have different learning rates {sorted(rates)}; read "
                'param_groups[k]["lr"]'
            )
        return float(rates.pop())

    @lr.setter
    def lr(self, value: float) -> None:
        rate = self.options["lr"](type(self).__name__, "lr", value)
        for group in self.param_groups:
            group["lr"] = rate

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add parameters, with options of their own.

        Args:
            group: a list of Tensors under "params", and any options by their name; the others are the defaults.

        Raises:
            TypeError: the group is not such a dict, a parameter is not a leaf Tensor, or an option is of the wrong
                type.
            ValueError: as for the optimizer itself. Nothing is added then.

        Example:
            >>> x, y = ad.Tensor(1.0), ad.Tensor(2.0)
            >>> optimizer = nn.optim.SGD([x], lr=0.1)
            >>> optimizer.add_param_group({"params": [y], "lr": 0.01})
            >>> [group["lr"] for group in optimizer.param_groups]
            [0.1, 0.01]
        """
        self._add(f"{type(self).__name__}.add_param_group", group)

    def _add(self, caller: str, group: Any) -> None:
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f'{caller}: a group must be a dict with a list of Tensors under "params", got {group!r}')
        options = {name: value for name, value in group.items() if name != "params"}
        unknown = [repr(name) for name in options if name not in self.defaults]
        if unknown:
            raise ValueError(f"{caller}: unknown option {', '.join(unknown)}; known: {', '.join(self.defaults)}")
        parameters = checked_parameters(caller, group["params"])
        own = set(map(id, self.parameters))
        if any(id(parameter) in own for parameter in parameters):
            raise ValueError(f"{caller}: a parameter is listed twice, in two groups; it would be changed twice a step")
        options = self.checked(caller, self.defaults | options)
        self.param_groups.append({"params": parameters, **options})
        self._settings.append((list(options.values()), options))
        self.slots += [{} for _ in parameters]
        self.steps += [0] * len(parameters)

    def checked(self, caller: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Give a group's options as Python numbers, and refuse those outside their domain.

        A subclass overrides it where options must fit each other.
        """
        return {name: self.options.get(name, FINITE)(caller, name, value) for name, value in options.items()}

    def _options(self, caller: str, position: int) -> dict[str, Any]:
        """Give the options of a group as `checked` gives them, which is asked only if one was assigned since."""
        group = self.param_groups[position]
        assigned = [group[name] for name in self.defaults]
        before, options = self._settings[position]
        if not all(map(operator.is_, assigned, before)):
            options = self.checked(caller, dict(zip(self.defaults, assigned)))
            self._settings[position] = assigned, options
        return options

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with False make them zeros, so that the next `backward` does not add to them."""
        if set_to_none is not True:
            check_flag("zero_grad", "set_to_none", set_to_none)
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none or parameter._grad is None:
                    parameter._grad = None  # what `grad` is, without asking what it is given
                else:
                    parameter.grad = np.zeros_like(parameter.data)

    def step(self) -> None:
        """Change every parameter that has a gradient.

        Raises:
            TypeError: an option that was assigned to a group, or a gradient that was assigned, is of the wrong type;
                nothing is changed.
            ValueError: such an option is outside its domain, or a gradient has another shape than its parameter;
                nothing is changed.
        """
        start = tick()
        caller = f"{type(self).__name__}.step"
        settings = [self._options(caller, position) for position in range(len(self.param_groups))]
        names = [self._names(options) for options in settings]
        for position, batch in list(self._batches(caller)):  # all are checked before the first is changed
            self._advance(batch, settings[position], names[position])
        note(self, start)

    def _batches(self, caller: str) -> Iterator[tuple[int, _Batch]]:
        """Check the gradients, and put small arrays together that are of one group, dtype and number of steps.

        Gives each batch with the place of its group.
        """
        k = -1
        for position, group in enumerate(self.param_groups):
            batch = None
            for parameter in group["params"]:
                k += 1
                gradient, data = parameter._grad, parameter.data
                if gradient is None:
                    continue
                if type(gradient) is not np.ndarray or gradient.dtype is not data.dtype or gradient.shape != data.shape:
                    gradient = checked_gradient(caller, parameter)
                    gradient = gradient if gradient.dtype == data.dtype else gradient.astype(data.dtype)
                size = data.nbytes
                step = self.steps[k] + 1
                if size > SMALL_BYTES or type(data) is not np.ndarray or type(gradient) is not np.ndarray:
                    yield position, _Batch(step, k, parameter, data, gradient, 0)
                elif batch and batch.step == step and batch.dtype is data.dtype and batch.room >= size:
                    batch.room -= size
                    batch.members.append(k)
                    batch.parameters.append(parameter)
                    batch.data.append(data)
                    batch.gradients.append(gradient)
                else:
                    if batch:
                        yield position, batch
                    batch = _Batch(step, k, parameter, data, gradient, BLOCK_BYTES - size)
            if batch:
                yield position, batch

    def _advance(self, batch: _Batch, options: dict[str, Any], names: list[str]) -> None:
        """Take the step of some parameters."""
        step = batch.step
        if names:
            for k, data in zip(batch.members, batch.data):
                self._fill(k, data, names)
        if len(batch.members) == 1:
            (data,), (gradient,), (k,) = batch.data, batch.gradients, batch.members
            slots = self.slots[k]
            if any(map(is_lazy, (gradient, data, *slots.values()))):
                data = self._made_lazy(k, data, gradient)
            in_blocks = data.nbytes > BLOCK_BYTES and isinstance(data, np.ndarray)
            update = self._update_in_blocks if in_blocks else self._updated
            arrays = [update(data, gradient, slots, step, options)]
        else:
            joined = self._join(batch, names)
            self._updated(joined.data, np.concatenate(batch.gradients, axis=None), joined.slots, step, options)
            arrays = joined.views
        for k, parameter, data in zip(batch.members, batch.parameters, arrays):
            parameter.data = data
            self.steps[k] = step

    def _fill(self, k: int, data: Array, names: list[str]) -> None:
        """Make the slots that a parameter has not yet."""
        for name in names:
            if name not in self.slots[k]:
                self.slots[k][name] = np.zeros_like(data)

    def _made_lazy(self, k: int, data: Array, gradient: Array) -> Array:
        """Give a parameter's array as a lazy one, and let its slots be so too: a step then writes into none of them."""
        self._joined = {members: joined for members, joined in self._joined.items() if k not in members}
        arrays = [gradient, data, *self.slots[k].values()]
        self.slots[k] |= {name: lazily(x, *arrays) for name, x in self.slots[k].items()}
        return lazily(data, *arrays)

    def _join(self, batch: _Batch, names: list[str]) -> _Joined:
        """Move several parameters, and their slots, into one array each, unless they are there from the step before."""
        members = tuple(batch.members)
        before = self._joined.get(members)
        if before and before.slots.keys() == set(names) and all(map(operator.is_, batch.data, before.views)):
            return before
        self._joined = {ks: joined for ks, joined in self._joined.items() if not set(ks) & set(members)}
        shapes = [data.shape for data in batch.data]
        slots = {name: np.concatenate([self.slots[k][name] for k in members], axis=None) for name in names}
        for name in names:
            for k, view in zip(members, _views(slots[name], shapes), strict=True):
                self.slots[k][name] = view
        data = np.concatenate(batch.data, axis=None)
        self._joined[members] = _Joined(data, _views(data, shapes), slots)
        return self._joined[members]

    def _names(self, options: Mapping[str, Any]) -> list[str]:
        """Name the arrays that a group with these options needs."""
        return [name for name, option in self.slot_names.items() if option is None or options[option]]

    def _update_in_blocks(
        self, p: Array, g: Array, slots: dict[str, Array], step: int, options: dict[str, Any]
    ) -> Array:
        """Do what `update` does, for a large array."""
        rows = max(1, BLOCK_BYTES * len(p) // p.nbytes)
        for start in range(0, len(p), rows):
            block = slice(start, start + rows)
            self._updated(p[block], g[block], {name: x[block] for name, x in slots.items()}, step, options)
        return p

    def _updated(self, p: Array, g: Array, slots: dict[str, Array], step: int, options: dict[str, Any]) -> Array:
        """Do what `update` does, with complex numbers as pairs of real ones, as in PyTorch."""
        if p.dtype.kind != "c":
            return self.update(p, g, slots, step, options)
        halves = []
        for part in (np.real, np.imag):
            own = {name: part(x).copy() for name, x in slots.items()}
            out = self.update(part(p).copy(), part(g), own, step, options)
            halves.append({"": out} | own)  # in which numbers are others now
        out, *others = (_complex(*(half[name] for half in halves)) for name in ("", *slots))
        for x, numbers in zip(slots.values(), others):
            np.positive(numbers, out=x)
        return np.positive(out, out=p) if p.ndim else out

    def update(self, p: Array, g: Array, slots: dict[str, Array], step: int, options: dict[str, Any]) -> Array:
        """Change a parameter's array, or a block of it, in place, and return it.

        It is returned because a scalar parameter is a NumPy scalar, which has no place to change.

        Args:
            p: the array.
            g: its gradient, which must not be changed.
            slots: this parameter's arrays by their ``slot_names``, to be changed in place; zeros at first.
            step: how many steps the parameter has taken, this one included.
            options: those of the parameter's group.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Copy all that the next steps depend on, but the parameters and gradients themselves.

        Returns:
            Arrays by name: ``groups.0.lr`` and every other option of each group, as an array of no axes (``betas``: of
            two numbers), and ``groups.0.parameters``, how many it has; then ``parameters.0.step`` and, once the
            parameter has taken a step, its arrays, such as ``parameters.0.momentum``.

        Example:
            >>> optimizer = nn.optim.SGD([ad.Tensor([1.0, 2.0])], lr=0.1, momentum=0.9)
            >>> state = optimizer.state_dict()
            >>> state["groups.0.momentum"], state["parameters.0.step"]
            (array(0.9), array(0))
        """
        state = self._numbers()
        for k, slots in enumerate(self.slots):
            state |= {f"parameters.{k}.{name}": np.array(array) for name, array in slots.items()}
        return state

    def _numbers(self) -> dict[str, np.ndarray[Any, Any]]:
        """Give the part of the state that every optimizer with these parameters has."""
        state: dict[str, Any] = {}
        for k, group in enumerate(self.param_groups):
            options = self._options(f"{type(self).__name__}.state_dict", k)
            state |= {f"groups.{k}.{name}": np.array(value) for name, value in options.items()}
            state[f"groups.{k}.parameters"] = np.array(len(group["params"]))
        return state | {f"parameters.{k}.step": np.array(step) for k, step in enumerate(self.steps)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another optimizer over the same parameters was: its steps and these are equal, bit for bit.

        Args:
            state: what `state_dict` gave. Its arrays are copied.

        Raises:
            TypeError: the state is not a dict, or an option is of the wrong type; nothing is loaded.
            ValueError: entries are missing, unexpected, or of another shape or dtype, which the message names, or an
                option is outside its domain; nothing is loaded.

        Example:
            >>> x = ad.Tensor([1.0, 2.0])
            >>> optimizer, other = nn.optim.Adam([x], lr=0.1), nn.optim.Adam([x])
            >>> other.load_state_dict(optimizer.state_dict())
            >>> other.lr
            0.1
        """
        caller = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{caller}: expected a dict of arrays, as state_dict() gives, got {type(state).__name__}")
        arrays = {key: np.asarray(to_array(caller, key, ad.stop_gradient(value))) for key, value in state.items()}
        numbers = self._numbers()
        slots = {
            f"parameters.{k}.{name}": parameter.data
            for k, parameter in enumerate(self.parameters)
            for name in self.slot_names
        }
        self._refuse(
            caller,
            [f"missing {key}" for key in numbers if key not in arrays]
            + [f"unexpected {key}" for key in arrays if key not in numbers and key not in slots]
            + [
                f"{key} has shape {arrays[key].shape} and dtype {arrays[key].dtype}, the optimizer's {own.shape} and "
                f"{own.dtype}"
                for key, own in (numbers | slots).items()
                if key in arrays and (arrays[key].shape, arrays[key].dtype) != (own.shape, own.dtype)
            ],
        )
        settings = []
        problems = []
        k = 0
        for position, group in enumerate(self.param_groups):
            prefix = f"groups.{position}"
            options = {name: arrays[f"{prefix}.{name}"].tolist() for name in self.defaults}
            settings.append(self.checked(f"{caller}: {prefix}", options))
            count, own = arrays[f"{prefix}.parameters"].item(), len(group["params"])
            if count != own:
                problems.append(f"{prefix}.parameters is {count}, the optimizer's {own}")
            for _ in range(own):
                step = arrays[f"parameters.{k}.step"]
                if step < 0:
                    problems.append(f"parameters.{k}.step is negative: {step}")
                needed = self._names(settings[-1]) if step else []
                keys = [f"parameters.{k}.{name}" for name in needed]
                problems += [f"missing {key}" for key in keys if key not in arrays]
                k += 1
        self._refuse(caller, problems)
        for group, options in zip(self.param_groups, settings):
            group.update(options)
        self._joined = {}
        self.steps[:] = [arrays[f"parameters.{k}.step"].item() for k in range(k)]
        self.slots = [
            {name: arrays[key].copy() for name in self.slot_names if (key := f"parameters.{k}.{name}") in arrays}
            for k in range(k)
        ]

    def places(self) -> list[Place]:
        """List where a compiled step finds the optimizer's state: learning rates, numbers of steps and slots."""
        places = [self._place_of_rate(position) for position in range(len(self.param_groups))]
        for members in self._members_by_step():
            places += [self._place_of_step(k, tie=(id(self), members[0])) for k in members]
        k = -1
        for position, group in enumerate(self.param_groups):
            for parameter in group["params"]:
                k += 1
                if parameter.requires_grad:
                    names = self._names(self._options("places", position))
                    self._fill(k, parameter.data, names)
                    called = (parameter.name or f"parameter_{k}").replace(".", "_")
                    places += [self._place_of_slot(f"{called}_{name}", k, name) for name in names]
        return places

    def _place_of_rate(self, position: int) -> Place:
        group = self.param_groups[position]
        name = "lr" if len(self.param_groups) == 1 else f"lr_{position}"

        def put(rate: Any) -> None:
            group["lr"] = rate
            self._settings[position] = [...], {}  # not what stood for it while a step was recorded

        return Place(name, lambda: as_float(group["lr"]), put)

    def _place_of_step(self, k: int, tie: Hashable) -> Place:
        name = f"step_{k}" if k else "step_count"
        return Place(name, partial(self.steps.__getitem__, k), partial(self.steps.__setitem__, k), tie=tie)

    def _place_of_slot(self, called: str, k: int, name: str) -> Place:
        return Place(called, lambda: self.slots[k][name], lambda array: self.slots[k].__setitem__(name, array))

    def _members_by_step(self) -> list[list[int]]:
        """Say which parameters have taken the same number of steps, those apart that are not to be changed."""
        members: dict[Any, list[int]] = {}
        for k, (step, parameter) in enumerate(zip(self.steps, self.parameters)):
            members.setdefault((step, parameter.requires_grad), []).append(k)
        return list(members.values())

    def settings(self) -> Hashable:
        """Give all else that a step depends on: a compiled step is another one with other settings."""
        caller = f"{type(self).__name__}.step"
        options = [self._options(caller, position) | {"lr": None} for position in range(len(self.param_groups))]
        parameters = [group["params"] for group in self.param_groups]
        kind = Itself(type(self)), Itself(type(self).update)
        return *kind, form_of([options, self._own(), parameters]), tuple(map(tuple, self._members_by_step()))

    def watch(self) -> Callable[[], bool]:
        """Give a function that says whether the settings are as they were then."""
        members, count = self._members_by_step(), len(vars(self))
        groups = [group.copy() for group in self.param_groups]
        has_scalars = any(parameter.size == 1 for parameter in self.parameters)  # two of them may be equal
        lists = [group["params"] for group in groups]
        views = [*lists, *(view for value in self._own().values() for view in views_of(value))]
        is_same = watch_of([*views, vars(self).values()] if self._own() else views, self, "update", "slots")

        def is_unchanged() -> bool:
            if len(self.__dict__) != count or not is_same():
                return False
            if has_scalars and not all(map(operator.is_, map(_PARAMS, self.param_groups), lists)):
                return False
            if self.param_groups != groups:
                for before, group in zip(groups, self.param_groups):
                    before["lr"] = group["lr"]  # is a part of the state
                if self.param_groups != groups:
                    return False
            if len(members) == 1:
                return self.steps.count(self.steps[0]) == len(self.steps)
            return self._members_by_step() == members

        return is_unchanged

    def _own(self) -> dict[str, Any]:
        """Give the attributes of a subclass, or of the object alone."""
        return {name: value for name, value in vars(self).items() if name not in _SHARED}

    def _refuse(self, caller: str, problems: list[str]) -> None:
        if problems:
            raise ValueError(f"{caller}: nothing was loaded: {'; '.join(problems)}")

    def __getstate__(self) -> dict[str, Any]:
        # Copies of views, as copy and pickle make them, are no views of the copied array.
        return vars(self) | {"_joined": {}}

    def __repr__(self) -> str:
        rates = ", ".join(f"lr={group['lr']}" for group in self.param_groups)
        return f"{type(self).__name__}({rates}, {len(self.parameters)} parameters)"


@whole
def _complex(real: Array, imag: Array) -> Array:
    """Give the complex numbers of these parts; a sum with ``1j * imag`` would make NaN of infinities."""
    if is_lazy(real):
        return real.map_blocks(_complex, imag, dtype=np.result_type(real, 1j))
    out = np.empty(np.shape(real), np.result_type(real, 1j))
    out.real, out.imag = real, imag
    return out if out.ndim else out[()]


def _views(joined: Array, shapes: list[tuple[int, ...]]) -> list[Array]:
    """Cut one array into views of these shapes."""
    pieces = np.split(joined, np.cumsum([math.prod(shape) for shape in shapes])[:-1])
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]
