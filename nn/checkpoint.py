"""A training run in a file: all that its next epoch depends on, as arrays and numbers and nothing that could run."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.core.hooks import hooks_of
from autodiff.files import target_of
from nn.checks import check_path
from nn.constants import constants, told
from nn.history import History
from nn.io import parsed, read_arrays, write_arrays
from nn.module import Module
from nn.optim import Optimizer, Schedule
from nn.parallel import Alone, described, differences

VERSION = 1
_ENTRY = "autodiff.nn.fit"  # of the file's metadata


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        history: of the epochs that are done.
        best_loss: the smallest validation loss that early stopping has seen.
        waited: epochs since then.
        best: the model's arrays at that time; None before the first epoch, or without early stopping.
        stopped: whether a callback or early stopping has ended the run.
    """

    history: History
    best_loss: float = float("inf")
    waited: int = 0
    best: dict[str, Any] | None = field(default=None, repr=False)
    stopped: bool = False


class State:
    """All by which two runs of `fit` are compared, and that the rest of a run depends on.

    Args:
        model: its parameters and buffers, and the generators in its layers, are kept.
        optimizer: its options and arrays are kept.
        schedule: its numbers are kept, if there is one.
        rng: the generator of the order of the rows.
        settings: arguments by name, as numbers and texts.
        given: functions and other arguments by name, which must be the same too: with the same `nn.constants`. So must
            the attributes of the model's Modules, of the optimizer and of the schedule, which parameters are frozen and
            which belong to which group; but what has changed during the run is no constant and may be anything.

    Raises:
        ValueError: the optimizer has parameters that are not the model's, and so would not be kept.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        schedule: Schedule | None,
        rng: np.random.Generator,
        settings: Mapping[str, Any],
        given: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.schedule = schedule
        if not set(map(id, optimizer.parameters)) <= set(map(id, model.parameters())):
            raise ValueError(
                "fit: the optimizer has parameters that are not the model's, which no checkpoint would keep, and ranks "
                "would not share; make them attributes of the model"
            )
        self.given = given
        self.others: list[Any] = []  # states of the generators of the other ranks
        self.generators = {"rng": rng} | {
            path: value for path, value in self._found() if isinstance(value, np.random.Generator)
        }
        self.constants: dict[str, str | None] = self._told()
        self.settings = _as_read(dict(settings) | described(model) | {"optimizer": type(optimizer).__name__})
        if schedule is not None:
            self.settings |= _as_read({"schedule": type(schedule).__name__} | _arguments(schedule))
        self.settings |= {
            f"the generator {name}": type(rng.bit_generator).__name__ for name, rng in self.generators.items()
        }
        options = _options(optimizer.state_dict())
        if schedule is not None:  # it has changed the rates of a run that was interrupted and is begun again
            options |= {f"optimizer's groups.{k}.lr": rate for k, rate in enumerate(schedule.base_lrs)}
        self.begun_with = _as_read(options)

    def texts(self) -> dict[str, Any]:
        """Say all by which runs are compared."""
        return {**self.settings, **self.constants, **self.begun_with}

    def states(self) -> list[dict[str, Any]]:
        """Give the states of the different generators: layers often share one, and must share it again afterwards."""
        different = {id(rng): rng for rng in self.generators.values()}
        return [dict(rng.bit_generator.state) for rng in different.values()]

    def share(self, group: Alone, progress: Progress) -> Progress:
        """Give all ranks what the first has; but their generators draw each something else, reproducibly."""
        state, others, progress = group.of_first((self._state(), self.others, progress))
        if group.rank > 0:
            model, optimizer, schedule, states = state
            for name, number in self._sharing().items():
                kept = others[group.rank - 1] if group.rank <= len(others) else None
                states[name] = kept[number] if kept else _other(self.generators[name], states[name], group.rank)
            self._set(model, optimizer, schedule, states)
        return progress

    def _found(self) -> Iterator[tuple[str, Any]]:
        """Give all that the run computes with beside its state, by its path."""
        own = [*self.model.modules(), *self.model.parameters(), *self.model.buffers(), self.optimizer, self.schedule]
        seen = {id(thing) for thing in own if thing is not None}
        for path, value in {**_roots(self.model, self.optimizer, self.schedule), **self.given}.items():
            yield from constants(path, value, seen)

    def _told(self) -> dict[str, str | None]:
        return {path: told(value) for path, value in self._found() if not isinstance(value, np.random.Generator)}

    def _state(self) -> tuple[Any, Any, Any, dict[str, Any]]:
        return (
            self.model.state_dict(),
            self.optimizer.state_dict(),
            None if self.schedule is None else self.schedule.state_dict(),
            {name: rng.bit_generator.state for name, rng in self.generators.items()},
        )

    def _set(self, model: Any, optimizer: Any, schedule: Any, states: dict[str, Any]) -> None:
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict(optimizer)
        if self.schedule is not None:
            self.schedule.load_state_dict(schedule)
        for name, state in states.items():
            self.generators[name].bit_generator.state = state

    def _sharing(self) -> dict[str, int]:
        """Number the different generators, and give each name its number."""
        numbers: dict[int, int] = {}
        return {name: numbers.setdefault(id(rng), len(numbers)) for name, rng in self.generators.items()}


class Checkpoint(State):
    """The file of one run, which only a run reads that compares to it.

    Args:
        path: of the file, which need not exist.
        of_run: the arguments of `State`.

    Raises:
        TypeError: the path is none.
        ValueError: as `State`.
        OSError: the folder of the path does not exist, or the path is none for a file, such as that of a folder.
    """

    def __init__(self, path: str | os.PathLike[str], *of_run: Any) -> None:
        self.path = _checked(path)
        super().__init__(*of_run)

    def save(self, progress: Progress) -> None:
        """Write the file; at every moment the path holds a whole one.

        Raises:
            OSError: the path cannot be written.
        """
        before, now = self.constants, self._told()
        self.constants = {
            name: now.get(name) if before.get(name) == now.get(name) or name.endswith(".requires_grad") else None
            for name in {**before, **now}
        }
        entry = {
            "version": VERSION,
            "settings": self.settings,
            "constants": self.constants,
            "begun_with": self.begun_with,
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "generators": self.states(),
            "generators of the other ranks": self.others,
            "shared": self._sharing(),
            "history": asdict(progress.history),
            "best_loss": progress.best_loss,
            "waited": progress.waited,
            "stopped": progress.stopped,
        }
        parts = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": progress.best or {},
        }
        arrays = {f"{part}.{name}": array for part, values in parts.items() for name, array in values.items()}
        write_arrays(self.path, arrays, {_ENTRY: _text(entry)})

    def load(self, begun: History, epochs: int) -> Progress:
        """Set model, optimizer, schedule and generators to what the file holds.

        A file of a version that did not write constants down is compared by its settings alone.

        Args:
            begun: the history of a run that begins, whose columns that of the file must have.
            epochs: how many the run is to have in the end.

        Raises:
            OSError: the path cannot be read.
            ValueError: the file is no checkpoint, of another version, of a run with other settings, all of which the
                message names, or of more epochs. Nothing is changed.
        """
        arrays, metadata = read_arrays("fit", self.path)
        if _ENTRY not in metadata:
            raise ValueError(f"fit: {self.path} holds no run of fit; give checkpoint= another path")
        try:
            entry = parsed(metadata[_ENTRY])
        except ValueError as error:
            raise self._damaged(repr(error)) from None
        try:
            return self._load(arrays, entry, begun, epochs)
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise self._damaged(repr(error)) from None

    def _load(self, arrays: dict[str, Any], entry: dict[str, Any], begun: History, epochs: int) -> Progress:
        if entry["version"] != VERSION:
            self._refuse([f"version {entry['version']} of the format, which is {VERSION} here"])
        parts: dict[str, dict[str, Any]] = {"model": {}, "optimizer": {}, "best": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = array
        options, begun_with = _as_read(_options(parts["optimizer"])), entry["begun_with"]
        # A schedule changes the options, so those of this run may be the first ones or the last ones of the other.
        accepted = {name: value for name, value in self.begun_with.items() if value == options.get(name)}
        constants = entry.get("constants", {})
        varying = tuple(f"{name}." for name, text in constants.items() if text is None)
        file, own = (
            {name: text for name, text in texts.items() if constants and not f"{name}.".startswith(varying)}
            for texts in (constants, self.constants)
        )
        self._refuse(
            _differences(entry["settings"] | file, self.settings | own)
            + _differences(begun_with | accepted, self.begun_with)
            + _differences(_described_sharing(entry["shared"]), _described_sharing(self._sharing()))
            + self._misfits("model", parts["model"])
            + (self._misfits("best", parts["best"]) if parts["best"] else [])
        )
        best_loss, waited, stopped = (entry[name] for name in ("best_loss", "waited", "stopped"))
        done = len(entry["history"]["loss"])
        states = {name: dict(enumerate(entry["generators"]))[k] for name, k in entry["shared"].items()}
        wrong = _misshapen(asdict(begun), entry["history"], done, "validation inputs" in self.given) + [
            f"the generator {name}"
            for name, rng in self.generators.items()
            if not _is_like(json.loads(_text(rng.bit_generator.state)), states[name])
        ]
        others = entry.get("generators of the other ranks", [])
        if not all(_is_like(json.loads(_text({"": self.states()})), {"": states}) for states in others):
            wrong.append("the generators of the other ranks")
        if not (type(best_loss) is float and (best_loss < math.inf) == bool(parts["best"])):
            wrong.append("best_loss, or the weights that belong to it")
        if not (type(waited) is int and 0 <= waited <= done):
            wrong.append("waited")
        if type(stopped) is not bool:
            wrong.append("stopped")
        if wrong:
            raise self._damaged(f"these are not what they should be: {', '.join(wrong)}")
        if done > epochs:
            self._refuse([f"it has {done} epochs already, and epochs is {epochs} here"])
        progress = Progress(History(**entry["history"]), best_loss, waited, parts["best"] or None, stopped)
        before = self._state()
        try:
            self._set(parts["model"], parts["optimizer"], entry["schedule"], states)
        except BaseException as error:
            self._set(*before)
            if isinstance(error, ValueError):
                raise ValueError(f"fit: {self.path} does not fit: {error}") from None
            raise
        self.constants = constants or self.constants
        self.others = others
        return progress

    def _misfits(self, part: str, arrays: dict[str, Any]) -> list[str]:
        """Say which arrays of a file are not made as the model's."""
        file, own = (
            {f"{part}.{name}": f"{array.dtype} of shape {array.shape}" for name, array in values.items()}
            for values in (arrays, self.model.state_dict())
        )
        return _differences(file, own)

    def _damaged(self, problem: str) -> ValueError:
        return ValueError(f"fit: {self.path} is damaged ({problem}); give checkpoint= another path")

    def _refuse(self, differences: list[str]) -> None:
        if differences:
            raise ValueError(
                f"fit: {self.path} is of another run, and nothing was loaded: {'; '.join(differences)}. Give the same "
                "model, data and arguments, or checkpoint= another path"
            )


def _differences(file: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    return differences("in the file", file, "here", own)


def _checked(path: Any) -> Path:
    """Give the path of a file that can be there."""
    file = check_path("fit: checkpoint", path).absolute()  # wherever the run may go meanwhile
    try:
        folder = target_of(file).parent
    except OSError as error:
        raise type(error)(error.errno, f"fit: checkpoint={str(path)!r} {error.strerror}") from None
    if not folder.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"fit: checkpoint={str(path)!r} is in a folder that does not exist; make it first"
        )
    return file


def _text(values: Mapping[str, Any]) -> str:
    """Give numbers, texts and arrays as JSON; those of generators' states are whole numbers."""
    return json.dumps(values, default=lambda array: array.tolist())


def _misshapen(begun: Mapping[str, Any], file: Mapping[str, Any], done: int, is_validated: bool) -> list[str]:
    """Say which columns of a file's history are not those of the run, of so many numbers; callbacks may add others."""
    own, given = _flat(begun), _flat(file)
    validated = done if is_validated else 0
    lengths = {name: {done} for name in own} | {"validation_loss": {validated}, "validation_accuracy": {0, validated}}

    def is_good(name: str, value: Any) -> bool:
        if name == "samples":
            return bool(value == own[name])
        are_numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
        return are_numbers and len(value) in lengths.get(name, {len(value)})

    return [f"the history's {name}" for name in {**own, **given} if not is_good(name, given.get(name))]


def _flat(history: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parts of a history by name, the metrics one by one."""
    parts: dict[str, Any] = {}
    for name, value in history.items():
        parts |= {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
    return parts


# NumPy takes such numbers of a generator's state as they are, and reads memory that is not its own if they are others.
_MOST = {"pos": 624, "buffer_pos": 4, "has_uint32": 1}


def _is_like(own: Any, given: Any) -> bool:
    """Whether a generator's state is made as another: of the same names, texts, lengths and kinds of numbers."""
    if type(own) is not type(given):
        return False
    if isinstance(own, dict):
        are_positions = all(0 <= given[name] <= _MOST[name] for name in _MOST.keys() & given.keys())
        return are_positions and own.keys() == given.keys() and all(_is_like(own[name], given[name]) for name in own)
    if isinstance(own, list):
        return len(own) == len(given) and all(map(_is_like, own, given))
    return not isinstance(own, str) or bool(own == given)


def _as_read(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give numbers and texts as they come back from a file: a tuple is a list there."""
    copies: dict[str, Any] = json.loads(json.dumps(values, default=told))
    return copies


def _other(rng: np.random.Generator, state: Mapping[str, Any], rank: int) -> Any:
    """Give the state of a generator that another rank has in the place of one, and that draws other numbers."""
    words = list(hashlib.sha256(_text(state).encode()).digest())
    kind: Any = type(rng.bit_generator)
    return kind(np.random.SeedSequence(words, spawn_key=(rank,))).state


def _described_sharing(shared: Mapping[str, int]) -> dict[str, str]:
    """Say of each generator with which it is shared."""
    return {
        f"the generator {name}": f"that of {next(other for other in shared if shared[other] == number)}"
        for name, number in shared.items()
    }


def _options(state: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the arguments of an optimizer have become: the part of its state that steps leave alone."""
    return {f"optimizer's {name}": value.tolist() for name, value in state.items() if name.startswith("groups.")}


def _arguments(schedule: Schedule) -> dict[str, Any]:
    """Give what the arguments of a schedule have become: its attributes that are no part of its state."""
    state = {*schedule.state_dict(), "base_lrs", "optimizer"}
    return {f"schedule's {name}": value for name, value in vars(schedule).items() if name not in state}


def _roots(model: Module, optimizer: Optimizer, schedule: Schedule | None) -> dict[str, Any]:
    """Give what a run computes with beside its arguments, each by a name: attributes, hooks, and what learns."""
    roots: dict[str, Any] = {}
    for path, module in model.named_modules():
        roots |= {f"model.{path}.{name}".replace("..", "."): value for name, value in _attributes(module).items()}
    for path, parameter in model.named_parameters():
        roots[f"model.{path}.requires_grad"] = parameter.requires_grad
        roots |= {f"model.{path}.hooks.{k}": hook for k, hook in enumerate(hooks_of(parameter).values())}
    paths = {id(parameter): path for path, parameter in model.named_parameters()}
    for k, group in enumerate(optimizer.param_groups):
        roots[f"optimizer's groups.{k}.params"] = [paths[id(parameter)] for parameter in group["params"]]
    kept = {"param_groups", "defaults", "slots", "steps"}
    own = {name: value for name, value in vars(optimizer).items() if name not in kept and not name.startswith("_")}
    roots |= {f"optimizer's {name}": value for name, value in own.items()}
    return roots if schedule is None else roots | _arguments(schedule)


def _attributes(module: Module) -> dict[str, Any]:
    """Give the attributes of a Module and of its class, but methods and what stands in their place."""
    names = (name for name in dir(type(module)) if not name.startswith("_") and hasattr(type(module), name))
    of_class = {name: getattr(type(module), name) for name in names}
    skipped = {"training", *(name for name, value in of_class.items() if hasattr(value, "__get__"))}
    return {name: value for name, value in (of_class | vars(module)).items() if name not in skipped}
