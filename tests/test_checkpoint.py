"""Runs that go on from their file: bit for bit as if nothing had happened, whatever happened, or not at all."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import autodiff as ad
import nn
import nn.checkpoint
from nn.constants import constants, told
from nn.functional import cross_entropy
from nn.io import read_arrays, write_arrays
from nn.optim import SGD, Adam, CosineAnnealingLR, ExponentialLR, LinearWarmup, ReduceLROnPlateau, RMSprop, StepLR

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = (X[:, 0] + X[:, 1] > 0).astype(np.int64) + (X[:, 2] > 0)
TRAIN, TEST = slice(0, 45), slice(45, 60)


class Net(nn.Sequential):
    """Layers with buffers, and with generators of their own, one of them shared and one in a list."""

    def __init__(self, seed: int, hidden: int = 8, p: float = 0.2) -> None:
        rng = np.random.default_rng(seed)
        super().__init__(
            nn.Linear(4, hidden, rng=rng), nn.BatchNorm1d(hidden), nn.Tanh(), nn.Dropout(p, rng=rng),
            nn.Linear(hidden, 6, rng=rng), nn.ReLU(), nn.Dropout(p, rng=7), nn.Linear(6, 3, rng=rng),
        )  # fmt: skip
        self.noise = {"list": [np.random.Generator(np.random.MT19937(3))]}

    def forward(self, x: Any) -> Any:
        if self.training:
            x = x + self.noise["list"][0].normal(scale=0.01, size=x.shape).astype(x.dtype)
        return super().forward(x)


def distance(outputs: Any, targets: Any) -> Any:
    return np.abs(np.argmax(outputs, axis=1) - targets).mean()


USUAL: dict[str, Any] = {
    "batch_size": 10,
    "validation_data": (X[TEST], LABELS[TEST]),
    "metrics": ["accuracy", distance],
    "clip_norm": 1.0,
    "patience": 4,
}


def run(path: Path | None, epochs: int = 6, seed: int = 0, net: Any = Net, **changes: Any) -> tuple[Any, nn.History]:
    """Train a new model, with all that a run can have."""
    model = net(seed)
    optimizer = changes.pop("optimizer", lambda parameters: Adam(parameters, lr=0.02))(model.parameters())
    schedule = changes.pop("schedule", lambda optimizer: CosineAnnealingLR(optimizer, T_max=6))(optimizer)
    options = USUAL | {"rng": 5, "X": X[TRAIN], "y": LABELS[TRAIN]} | changes
    history = nn.fit(model, optimizer=optimizer, schedule=schedule, epochs=epochs, checkpoint=path, **options)
    return model, history


def bits(model: nn.Module) -> dict[str, bytes]:
    return {path: array.tobytes() for path, array in model.state_dict().items()}


def seen(history: nn.History) -> dict[str, Any]:
    """Give all of a history but the time it took."""
    return {name: value for name, value in vars(history).items() if name != "seconds"}


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Interrupted and continued


class AccidentError(Exception):
    """Something that fit does not expect."""


def interrupt(at: int) -> Any:
    """Give a callback that ends a run in the epoch, before it is in the file."""

    def callback(epoch: int, model: nn.Module, history: nn.History) -> None:
        if epoch == at:
            raise AccidentError

    return callback


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="Adam and cosine"),
        pytest.param({"optimizer": lambda p: SGD(p, lr=0.1, momentum=0.9), "schedule": lambda o: None}, id="SGD"),
        pytest.param(
            {"optimizer": lambda p: RMSprop(p, momentum=0.5), "schedule": lambda o: StepLR(o, 2, 0.5)}, id="RMSprop"
        ),
        pytest.param({"schedule": lambda o: ReduceLROnPlateau(o, patience=0, factor=0.5)}, id="plateau"),
        pytest.param({"patience": 1, "min_delta": 0.2}, id="early stop"),
        pytest.param({"validation_data": None, "patience": None, "metrics": ()}, id="without validation"),
        pytest.param({"rng": np.random.Generator(np.random.Philox(3))}, id="generator of another kind"),
    ],
)
@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_a_run_goes_on_from_its_file(at: int, changes: dict[str, Any], tmp_path: Path) -> None:
    def arguments() -> dict[str, Any]:  # a generator is used up by a run
        return changes | {k: pickle.loads(pickle.dumps(v)) for k, v in changes.items() if k == "rng"}

    model, history = run(None, **arguments())
    try:
        run(tmp_path / "run.safetensors", callbacks=[interrupt(at)], **arguments())
    except AccidentError:
        assert len(history.loss) >= at
    # Whatever the new model and generators are, they become those of the file.
    resumed, resumed_history = run(tmp_path / "run.safetensors", seed=9, **arguments())
    assert bits(resumed) == bits(model)
    assert seen(resumed_history) == seen(history)
    assert len(resumed_history.seconds) == len(history.loss)
    assert listing(tmp_path) == ["run.safetensors"]


def test_the_file_changes_no_bit(tmp_path: Path) -> None:
    model, history = run(None)
    watched, watched_history = run(tmp_path / "run")
    assert bits(watched) == bits(model)
    assert seen(watched_history) == seen(history)


def test_arrays_in_fortran_order_end_the_same(tmp_path: Path) -> None:
    def net(seed: int) -> nn.Module:
        model = nn.MLP([4, 64, 3], rng=seed)
        for parameter in model.parameters():
            parameter.data = np.asfortranarray(parameter.data)
        return model

    run(tmp_path / "whole", net=net)
    with pytest.raises(AccidentError):
        run(tmp_path / "parts", net=net, callbacks=[interrupt(2)])
    assert bits(run(tmp_path / "whole", net=net)[0]) == bits(run(tmp_path / "parts", net=net)[0])


def test_more_epochs_continue_a_finished_run(tmp_path: Path) -> None:
    model, history = run(tmp_path / "whole", epochs=5, patience=50)
    run(tmp_path / "parts", epochs=2, patience=50)
    resumed, resumed_history = run(tmp_path / "parts", epochs=5, patience=50)
    assert bits(resumed) == bits(model)
    assert seen(resumed_history) == seen(history)


def test_a_finished_run_is_only_read(tmp_path: Path) -> None:
    path = tmp_path / "run"
    model, history = run(path, patience=1, min_delta=0.3, epochs=50)
    assert len(history.loss) < 50
    content = path.read_bytes()
    for epochs in (len(history.loss), 50, 70):
        again, again_history = run(path, patience=1, min_delta=0.3, epochs=epochs)
        assert bits(again) == bits(model)
        assert again_history == history
        assert path.read_bytes() == content


def test_a_run_that_a_callback_ended_stays_so(tmp_path: Path) -> None:
    _, history = run(tmp_path / "run", callbacks=[lambda epoch, model, history: epoch == 2])
    assert len(history.loss) == 2
    assert run(tmp_path / "run")[1] == history


def test_columns_that_a_callback_adds_go_on(tmp_path: Path) -> None:
    def more(epoch: int, model: Any, history: nn.History) -> None:
        if epoch % 2:
            history.metrics.setdefault("odd", []).append(epoch)

    with pytest.raises(AccidentError):
        run(tmp_path / "run", callbacks=[more, interrupt(4)])
    assert run(tmp_path / "run", callbacks=[more])[1].metrics["odd"] == [1, 3, 5]


def test_a_run_that_goes_elsewhere_stays_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    _, history = run(Path("run"), callbacks=[lambda *_: os.chdir(tmp_path / "elsewhere")])
    assert listing(tmp_path) == ["elsewhere", "run"]
    assert listing(tmp_path / "elsewhere") == []
    assert run(tmp_path / "run")[1] == history


@pytest.mark.parametrize("where", ["forward", "write_arrays"])
@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(lambda optimizer: None, id="no schedule"),
        pytest.param(lambda optimizer: CosineAnnealingLR(optimizer, T_max=6), id="cosine"),
        pytest.param(lambda optimizer: StepLR(optimizer, 2, 0.5), id="steps"),
        pytest.param(lambda optimizer: LinearWarmup(optimizer, 4), id="warm-up"),
        pytest.param(lambda optimizer: ReduceLROnPlateau(optimizer, patience=0, factor=0.5), id="plateau"),
    ],
)
def test_ctrl_c_and_the_same_call_again(
    where: str, schedule: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a notebook, model, optimizer and schedule are those of the interrupted run, wherever it was."""
    whole, whole_history = run(None, schedule=schedule)
    model = Net(0)
    optimizer = Adam(model.parameters(), lr=0.02)
    arguments = USUAL | {
        "optimizer": optimizer,
        "schedule": schedule(optimizer),
        "epochs": 6,
        "checkpoint": tmp_path / "run",
        "rng": 5,
    }
    owner: Any = model.layers[0] if where == "forward" else nn.checkpoint
    calls = iter(range(1000))
    original = getattr(owner, where)

    def interrupted(*args: Any) -> Any:
        if next(calls) == (25 if where == "forward" else 4):
            raise KeyboardInterrupt
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(owner, where, interrupted)
        history = nn.fit(model, X[TRAIN], LABELS[TRAIN], **arguments)
    assert 0 < len(history.loss) < 6
    vars(model.layers[0]).pop("forward", None)
    history = nn.fit(model, X[TRAIN], LABELS[TRAIN], **arguments)
    assert bits(model) == bits(whole)
    assert seen(history) == seen(whole_history)


# Files that do not fit


class Renamed(Net):
    """Another model with the same arrays."""


def refuse(path: Path, message: str, error: type[Exception] = ValueError, **changes: Any) -> str:
    """Assert that a file is refused, and that nothing has changed: file, model, optimizer, schedule, generators."""
    before = path.read_bytes() if path.is_file() else None
    model = changes.pop("net", Net)(1)
    optimizer = changes.pop("optimizer", Adam)(model.parameters(), lr=changes.pop("lr", 0.02))
    schedule = changes.pop("schedule", lambda optimizer: CosineAnnealingLR(optimizer, T_max=6))(optimizer)
    rng = changes.pop("rng", 5)
    generators = [rng] if isinstance(rng, np.random.Generator) else []
    generators += [layer.rng for layer in model.modules() if isinstance(layer, nn.Dropout)]

    def state() -> Any:
        return (
            bits(model),
            {name: array.tobytes() for name, array in optimizer.state_dict().items()},
            schedule and schedule.state_dict(),
            [generator.bit_generator.state for generator in generators],
            [module.training for module in model.modules()],
        )

    arguments = USUAL | {"epochs": 6, "X": X[TRAIN], "y": LABELS[TRAIN]} | changes
    state_before = state()
    with pytest.raises(error, match=re.escape(message)) as caught:
        nn.fit(model, optimizer=optimizer, schedule=schedule, checkpoint=path, rng=rng, **arguments)
    assert state() == state_before
    assert (path.read_bytes() if path.is_file() else None) == before
    return str(caught.value)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("finished") / "run"
    run(path, epochs=3)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 16}, "batch_size is 10 in the file, 16 here"),
        ({"patience": 5}, "patience is 4 in the file, 5 here"),
        ({"min_delta": 0.5}, "min_delta is 0.0 in the file, 0.5 here"),
        ({"clip_norm": None}, "clip_norm is 1.0 in the file, None here"),
        ({"metrics": ["accuracy"]}, "metrics is ['accuracy', 'distance'] in the file, ['accuracy'] here"),
        ({"rng": 6}, "rng is 5 in the file, 6 here"),
        ({"rng": np.random.default_rng(5)}, "rng is 5 in the file, Generator here"),
        ({"loss": lambda p, y: nn.functional.cross_entropy(p, y)}, "loss is cross_entropy in the file, <lambda> here"),
        ({"validation_data": (X[:5], LABELS[:5])}, "shapes of the data is [[45, 4], [45], [15, 4], [15]] in the file"),
        ({"X": X, "y": LABELS}, "[[60, 4], [60], [15, 4], [15]] here"),
        ({"lr": 0.5}, "optimizer's groups.0.lr is 0.02 in the file, 0.5 here"),
        ({"optimizer": SGD, "schedule": lambda o: None}, "optimizer is Adam in the file, SGD here"),
        ({"optimizer": nn.optim.AdamW}, "optimizer is Adam in the file, AdamW here"),
        (
            {"optimizer": lambda p, lr: Adam(p, lr=lr, betas=(0.5, 0.9))},
            "optimizer's groups.0.betas is [0.9, 0.999] in the file, [0.5, 0.9] here",
        ),
        (
            {"optimizer": lambda p, lr: Adam(p, lr=lr, weight_decay=0.1)},
            "optimizer's groups.0.weight_decay is 0.0 in the file, 0.1 here",
        ),
        (
            {"optimizer": lambda p, lr: Adam([{"params": p[:1]}, {"params": p[1:]}], lr=lr)},
            "optimizer's groups.1.lr is missing in the file, 0.02 here",
        ),
        ({"schedule": lambda o: None}, "schedule is CosineAnnealingLR in the file, missing here"),
        (
            {"schedule": lambda o: ExponentialLR(o, 0.5)},
            "schedule is CosineAnnealingLR in the file, ExponentialLR here",
        ),
        ({"schedule": lambda o: CosineAnnealingLR(o, T_max=9)}, "schedule's T_max is 6 in the file, 9 here"),
        ({"net": Renamed}, "model is Net() in the file, Renamed() here"),
        ({"net": lambda s: Net(s, hidden=9)}, "layers.0.weight is float32 of shape (4, 8) in the file, float32 of"),
        ({"net": lambda s: Net(s, p=0.3)}, "layers.3 is Dropout(p=0.2) in the file, Dropout(p=0.3) here"),
        ({"epochs": 2}, "it has 3 epochs already, and epochs is 2 here"),
    ],
)
def test_the_file_of_another_run(changes: dict[str, Any], message: str, finished: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_bytes(finished)
    said = refuse(path, message, **changes)
    assert str(path) in said
    assert "nothing was loaded" in said
    assert "checkpoint= another path" in said


def test_generators_that_are_shared_otherwise(finished: bytes, tmp_path: Path) -> None:
    def net(seed: int) -> nn.Module:
        model = Net(seed)
        model.layers[6].rng = model.layers[3].rng  # type: ignore[attr-defined]
        return model

    (tmp_path / "run").write_bytes(finished)
    refuse(tmp_path / "run", "the generator model.layers.6.rng is that of model.layers.6.rng in the file", net=net)


def test_a_generator_of_another_kind(finished: bytes, tmp_path: Path) -> None:
    def net(seed: int) -> nn.Module:
        model = Net(seed)
        model.layers[6].rng = np.random.Generator(np.random.PCG64DXSM(1))  # type: ignore[attr-defined]
        return model

    (tmp_path / "run").write_bytes(finished)
    refuse(tmp_path / "run", "the generator model.layers.6.rng is PCG64 in the file, PCG64DXSM here", net=net)


def altered(content: bytes, tmp_path: Path, change: Any) -> Path:
    """Write a file whose numbers are others."""
    path = tmp_path / "run"
    path.write_bytes(content)
    arrays, metadata = read_arrays("test", path)
    entry = json.loads(metadata["autodiff.nn.fit"])
    change(arrays, entry)
    write_arrays(path, arrays, {"autodiff.nn.fit": json.dumps(entry)})
    return path


def put(path: str, value: Any) -> Any:
    """Give a change that puts a value in a file's entry, or takes out what is there."""

    def change(arrays: dict[str, Any], entry: Any) -> None:
        *outer, name = (int(part) if part.isdigit() else part for part in path.split("/"))
        for part in outer:
            entry = entry[part]
        if value is MISSING:
            del entry[name]
        else:
            entry[name] = value

    return change


def put_array(name: str, change: Any) -> Any:
    """Give a change of an array in a file, or one that takes it out."""

    def changed(arrays: dict[str, Any], entry: Any) -> None:
        array = arrays.pop(name, np.zeros(1))
        if change is not MISSING:
            arrays[name] = change(array)

    return changed


MISSING = object()
WRONG = "is damaged (these are not what they should be: "
DAMAGES = {
    "version": (put("version", 2), "version 2 of the format, which is 1 here"),
    "no version": (put("version", MISSING), "is damaged (KeyError('version')"),
    "no settings": (put("settings", MISSING), "is damaged (KeyError('settings')"),
    "schedule": (put("schedule", {}), "does not fit: CosineAnnealingLR.load_state_dict"),
    "schedule that is none": (put("schedule", None), "is damaged (TypeError("),
    "negative epoch": (put("schedule/last_epoch", -1), "does not fit: CosineAnnealingLR.load_state_dict: last_epoch"),
    # Arrays
    "name": (put_array("other", np.array), "is damaged (KeyError('other')"),
    "new name": (put_array("model.other", np.array), "model.other is float64 of shape (1,) in the file, missing here"),
    "weights": (put_array("model.layers.0.bias", MISSING), "model.layers.0.bias is missing in the file, float32 of"),
    "best": (put_array("best.layers.0.bias", MISSING), "best.layers.0.bias is missing in the file, float32 of shape"),
    "optimizer": (put_array("optimizer.parameters.1.mean", MISSING), "does not fit: Adam.load_state_dict: "),
    "shape": (
        put_array("model.layers.0.weight", np.transpose),
        "model.layers.0.weight is float32 of shape (8, 4) in the file, float32 of shape (4, 8) here",
    ),
    "dtype": (
        put_array("model.layers.0.weight", np.float64),
        "model.layers.0.weight is float64 of shape (4, 8) in the file, float32 of shape (4, 8) here",
    ),
    "whole numbers": (put_array("best.layers.0.bias", np.int8), "best.layers.0.bias is int8 of shape (8,) in the file"),
    "dtype of a buffer": (
        put_array("model.layers.1.num_batches_tracked", np.int32),
        "model.layers.1.num_batches_tracked is int32 of shape () in the file, int64 of shape () here",
    ),
    "dtype of a slot": (
        put_array("optimizer.parameters.0.square", np.float16),
        "does not fit: Adam.load_state_dict: nothing was loaded: parameters.0.square has shape (4, 8) and dtype f",
    ),
    # How far it has come
    "no best": (
        lambda arrays, entry: [arrays.pop(name) for name in list(arrays) if name.startswith("best")],
        f"{WRONG}best_loss, or the weights that belong to it)",
    ),
    "best loss": (put("best_loss", "1"), f"{WRONG}best_loss, or"),
    "infinite best loss": (put("best_loss", float("inf")), f"{WRONG}best_loss, or"),
    "waited": (put("waited", -1), f"{WRONG}waited)"),
    "waited too long": (put("waited", 4), f"{WRONG}waited)"),
    "stopped": (put("stopped", "False"), f"{WRONG}stopped)"),
    # History
    "history": (put("history", {"lost": []}), "is damaged (KeyError('loss')"),
    "no history": (put("history", []), "is damaged (TypeError("),
    "column of a history": (put("history/lost", []), "is damaged (TypeError("),
    "no column": (put("history/lr", MISSING), f"{WRONG}the history's lr)"),
    "texts": (put("history/loss", ["1", "2", "3"]), f"{WRONG}the history's loss)"),
    "text": (put("history/loss", "123"), f"{WRONG}the history's loss)"),
    "Booleans": (put("history/validation_loss", [True] * 3), f"{WRONG}the history's validation_loss)"),
    "too few": (put("history/seconds", [1.0]), f"{WRONG}the history's seconds)"),
    "without validation": (put("history/validation_loss", []), f"{WRONG}the history's validation_loss)"),
    "samples": (put("history/samples", 44), f"{WRONG}the history's samples)"),
    "no metrics": (put("history/metrics", []), f"{WRONG}the history's metrics.accuracy, the history's metrics.dista"),
    "no metric": (put("history/metrics/distance", MISSING), f"{WRONG}the history's metrics.distance)"),
    "metric": (put("history/validation_metrics/accuracy", [0.5]), f"{WRONG}the history's validation_metrics.accuracy)"),
    # Generators
    "no generators": (put("generators", []), "is damaged (KeyError(0)"),
    "generators that are none": (put("generators", [3, 4, 5, 6]), f"{WRONG}the generator rng, the generator model.no"),
    "another place": (put("shared/rng", -1), "is damaged (KeyError(-1)"),
    "another kind": (put("generators/0/bit_generator", "SFC64"), f"{WRONG}the generator rng)"),
    "no part": (put("generators/0/uinteger", MISSING), f"{WRONG}the generator rng)"),
    "part": (put("generators/0/more", 1), f"{WRONG}the generator rng)"),
    "fraction": (put("generators/0/state/state", 0.5), f"{WRONG}the generator rng)"),
    "negative": (put("generators/0/state/inc", -1), "is damaged (OverflowError("),
    "short key": (put("generators/1/state/key", [1] * 623), f"{WRONG}the generator model.noise.list.0)"),
    "key of texts": (put("generators/1/state/key", ["1"] * 624), f"{WRONG}the generator model.noise.list.0)"),
    "key of large numbers": (put("generators/1/state/key", [2**40] * 624), "is damaged (OverflowError("),
    "other ranks": (put("generators of the other ranks", [[1]]), f"{WRONG}the generators of the other ranks)"),
    # NumPy reads memory there that is not its own.
    "position": (put("generators/1/state/pos", 10**6), f"{WRONG}the generator model.noise.list.0)"),
    "negative position": (put("generators/1/state/pos", -1), f"{WRONG}the generator model.noise.list.0)"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_files(change: Any, message: str, finished: bytes, tmp_path: Path) -> None:
    path = altered(finished, tmp_path, change)
    assert str(path) in refuse(path, message)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "9" * 9999, "[" * 99999], ids=lambda text: text[:4])
def test_entries_of_another_form(text: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / "run", {}, {"autodiff.nn.fit": text})
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)  # as compilers raise it: then what is nested this deep would end Python
    try:
        refuse(tmp_path / "run", f"fit: {tmp_path / 'run'} is damaged (")
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("kept", [0, 7, 8, 100, -1])
def test_truncated_files(kept: int, finished: bytes, tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(finished[:kept])
    refuse(tmp_path / "run", "is not a complete safetensors file")


def test_the_file_of_a_model(tmp_path: Path) -> None:
    nn.save(Net(0), tmp_path / "run")
    refuse(tmp_path / "run", "holds no run of fit; give checkpoint= another path")


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "run").write_bytes(pickle.dumps(Trap()))
    refuse(tmp_path / "run", "is not a complete safetensors file")
    assert listing(tmp_path) == ["run"]


# Constants


def smooth(p: Any, y: Any, smoothing: float) -> Any:
    return cross_entropy(p, y, label_smoothing=smoothing)


SMOOTHING = 0.1
OPTIONS = {"smoothing": 0.1, "epochs": 3}


class Config:
    """A user's own, without a text."""

    def __init__(self, smoothing: float) -> None:
        self.smoothing = smoothing


CONFIG = Config(0.1)


def of_a_global(p: Any, y: Any) -> Any:
    return smooth(p, y, SMOOTHING)


def through_a_helper(p: Any, y: Any) -> Any:
    return of_a_global(p, y)


def of_an_item(p: Any, y: Any) -> Any:
    return smooth(p, y, OPTIONS["smoothing"])


def of_an_attribute(p: Any, y: Any) -> Any:
    return smooth(p, y, CONFIG.smoothing)


class Smooth:
    def __init__(self, smoothing: float) -> None:
        self.smoothing, self.itself = smoothing, self

    def __call__(self, p: Any, y: Any) -> Any:
        return smooth(p, y, self.smoothing)

    def method(self, p: Any, y: Any) -> Any:
        return self(p, y)


@dataclass
class Record:
    smoothing: float

    def __call__(self, p: Any, y: Any) -> Any:
        return smooth(p, y, self.smoothing)


def in_a_closure(k: float) -> Any:
    return lambda p, y: smooth(p, y, k)


def with_a_default(k: float) -> Any:
    def loss(p: Any, y: Any, smoothing: float = k) -> Any:
        """Compute it."""
        return smooth(p, y, smoothing)

    return loss


def with_a_keyword(k: float) -> Any:
    def loss(p: Any, y: Any, *, smoothing: float = k) -> Any:
        return smooth(p, y, smoothing)

    return loss


def in_its_code(k: float) -> Any:
    if k == 0.1:
        return lambda p, y: smooth(p, y, 0.1)
    return lambda p, y: smooth(p, y, 0.2)


def in_a_tuple(k: float) -> Any:
    if k == 0.1:
        return lambda p, y: smooth(p, y, min((0.1, 0.5)))
    return lambda p, y: smooth(p, y, min((0.2, 0.5)))


def other_code(k: float) -> Any:
    if k == 0.1:
        return lambda p, y: smooth(p, y, 0.1) + smooth(p, y, 0.3)
    return lambda p, y: smooth(p, y, 0.1) - smooth(p, y, 0.3)


def inside(k: float) -> Any:
    return lambda p, y: sum(smooth(p, y, each) for each in [k, 0.5])


def decorated(k: float) -> Any:
    def decorator(function: Any) -> Any:
        @wraps(function)
        def scaled(p: Any, y: Any) -> Any:
            return k * function(p, y)

        return scaled

    return decorator(through_a_helper)


def of_a_teacher(k: float) -> Any:
    teacher = nn.Linear(4, 3, rng=int(10 * k))
    return lambda p, y: smooth(p, y, 0.1) + 0 * teacher(X[:1]).sum()


def by_hand(k: float) -> Any:
    @ad.custom_vjp
    def scaled(p: Any) -> Any:
        return k * p

    scaled.defvjp(lambda p: (k * p, None), lambda saved, g: (k * g,))
    return lambda p, y: cross_entropy(scaled(p), y)


def of_an_array(p: Any, y: Any, array: Any) -> Any:
    return smooth(p, y, array[0])


class Scaled(nn.Module):
    """A model with all kinds of attributes."""

    kind = 0.5

    def __init__(self, seed: int = 0, **attributes: Any) -> None:
        self.inner = nn.MLP([4, 6, 3], rng=seed)
        self.norm = nn.BatchNorm1d(3)
        self.function = np.tanh
        self.scale, self.name, self.nothing, self.sizes = 0.5, "a", None, [1, (2, 3)]
        self.fixed = np.arange(20.0)
        self.constant = ad.Tensor([1.0, 2.0], requires_grad=False)
        self.config = Config(0.1)
        self.counted = 0
        self.latest: Any = None
        vars(self).update(attributes)

    def forward(self, x: Any) -> Any:
        self.counted += 1
        self.latest = [self.norm(self.scale * self.function(self.inner(x)))]
        return self.latest[0]


def scaled(change: Callable[[Any], Any] | None, **attributes: Any) -> Callable[[int], nn.Module]:
    def make(seed: int) -> nn.Module:
        model = Scaled(seed, **attributes)
        if change is not None:
            change(model)
        return model

    return make


def freeze(model: Any) -> None:
    model.inner.layers[0].requires_grad_(False)


class Named(Adam):
    """An optimizer with an attribute of its own."""

    def __init__(self, parameters: Any, kind: str) -> None:
        super().__init__(parameters, lr=0.02)
        self.kind = kind


class Lambda(nn.optim.Schedule):
    """A schedule of a function."""

    def __init__(self, optimizer: Any, function: Any) -> None:
        super().__init__(optimizer)
        self.functions = [function]

    def following(self, lr: float, base: float, epoch: int) -> float:
        return base * float(self.functions[0](epoch))


def times(k: float) -> Any:
    return lambda epoch: k**epoch


def a_metric(k: float) -> Any:
    def share(p: Any, y: Any) -> Any:
        return k * distance(p, y)

    return share


def memory_mapped(rows: Any) -> Any:
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, rows)
        return np.load(file.name, mmap_mode="r")


WEIGHT = np.array([1.0, 2.0, 3.0])
CHANGED = X[TRAIN].copy()
CHANGED[7, 2] += 1e-6


def both(make: Callable[[float], Any], name: str = "loss") -> tuple[dict[str, Any], dict[str, Any]]:
    return {name: make(0.1)}, {name: make(0.2)}


CASES: dict[str, tuple[tuple[dict[str, Any], dict[str, Any]], str]] = {
    "partial": (
        both(lambda k: partial(cross_entropy, label_smoothing=k)),
        "loss.label_smoothing is 0.1 in the file, 0.2 here",
    ),
    "one keyword more": (
        ({"loss": partial(cross_entropy)}, {"loss": partial(cross_entropy, label_smoothing=0.1)}),
        "loss.label_smoothing is missing in the file, 0.1 here",
    ),
    "partial of a partial": (both(lambda k: partial(partial(smooth, smoothing=k))), "loss.smoothing is 0.1 in"),
    "NumPy number": (both(lambda k: partial(smooth, smoothing=np.float64(k))), "loss.smoothing is 0.1 in the file, 0."),
    "partial of another": (
        ({"loss": partial(smooth, smoothing=0.1)}, {"loss": partial(lambda p, y, smoothing: p.sum(), smoothing=0.1)}),
        "loss.__func__ is smooth in the file, <lambda> here",
    ),
    "weights": (
        both(lambda k: partial(cross_entropy, weight=WEIGHT + k)),
        "loss.weight is float64 of shape (3,) [1.1, 2.1, 3.1] in the file, float64 of shape (3,) [1.2, 2.2, 3.2] here",
    ),
    "large array": (both(lambda k: partial(of_an_array, array=k + np.zeros(9000))), "shape (9000,) with digest "),
    "closure": (both(in_a_closure), "loss.k is 0.1 in the file, 0.2 here"),
    "default": (both(with_a_default), "loss.smoothing is 0.1 in the file, 0.2 here"),
    "keyword": (both(with_a_keyword), "loss.smoothing is 0.1 in the file, 0.2 here"),
    "constant in code": (both(in_its_code), "loss.constants is '0.1' in the file, '0.2' here"),
    "tuple in code": (both(in_a_tuple), "loss.constants is '(0.1, 0.5)' in the file, '(0.2, 0.5)' here"),
    "other code": (both(other_code), "loss.code in Python 3."),
    "generator expression": (both(inside), "loss.k is 0.1 in the file, 0.2 here"),
    "object": (both(Smooth), "loss.smoothing is 0.1 in the file, 0.2 here"),
    "dataclass": (both(Record), "loss.smoothing is 0.1 in the file, 0.2 here"),
    "method": (both(lambda k: Smooth(k).method), "loss.__self__.smoothing is 0.1 in the file, 0.2 here"),
    "decorated": (both(decorated), "loss.k is 0.1 in the file, 0.2 here"),
    "by hand": (both(by_hand), "loss.scaled.__wrapped__.k is 0.1 in the file, 0.2 here"),
    "teacher": (both(of_a_teacher), "loss.teacher.weight is float32 of shape (4, 3) with digest "),
    "metric": (
        ({"metrics": [a_metric(0.1)]}, {"metrics": [a_metric(0.2)]}),
        "metric share.k is 0.1 in the file, 0.2 here",
    ),
    "frozen": (
        ({"net": scaled(None)}, {"net": scaled(freeze)}),
        "model.inner.layers.0.weight.requires_grad is True in the file, False here",
    ),
    "scale": (({"net": Scaled}, {"net": scaled(None, scale=0.25)}), "model.scale is 0.5 in the file, 0.25 here"),
    "text": (({"net": Scaled}, {"net": scaled(None, name="b")}), "model.name is 'a' in the file, 'b' here"),
    "None": (({"net": Scaled}, {"net": scaled(None, nothing=0)}), "model.nothing is None in the file, 0 here"),
    "in lists": (
        ({"net": Scaled}, {"net": scaled(None, sizes=[1, (2, 4)])}),
        "model.sizes.1.1 is 3 in the file, 4 here",
    ),
    "in a long list": (
        ({"net": scaled(None, sizes=[1.0] * 3000)}, {"net": scaled(None, sizes=[1.0] * 2999 + [2.0])}),
        "nothing was loaded: model.sizes.* is '",
    ),
    "function": (
        ({"net": Scaled}, {"net": scaled(None, function=np.sin)}),
        "model.function is tanh in the file, sin here",
    ),
    "array": (
        ({"net": Scaled}, {"net": scaled(None, fixed=np.arange(20.0) + 1)}),
        "model.fixed is float64 of shape (20,) with digest ",
    ),
    "Tensor": (
        ({"net": Scaled}, {"net": scaled(None, constant=ad.Tensor([1.0, 3.0], requires_grad=False))}),
        "model.constant is float64 of shape (2,) [1.0, 2.0] in the file, float64 of shape (2,) [1.0, 3.0] here",
    ),
    "object in a model": (
        ({"net": Scaled}, {"net": scaled(None, config=Config(0.2))}),
        "model.config.smoothing is 0.1 in the file, 0.2 here",
    ),
    "attribute of the class": (
        ({"net": Scaled}, {"net": type("Scaled", (Scaled,), {"kind": 0.25})}),
        "model.kind is 0.5 in the file, 0.25 here",
    ),
    "attribute of a layer": (
        ({"net": Scaled}, {"net": scaled(lambda model: setattr(model.norm, "momentum", 0.5))}),
        "model.norm.momentum is 0.1 in the file, 0.5 here",
    ),
    "new attribute": (({"net": Scaled}, {"net": scaled(None, more=1)}), "model.more is missing in the file, 1 here"),
    "hook": (
        ({"net": Scaled}, {"net": scaled(lambda model: model.norm.weight.register_hook(lambda g: 2 * g))}),
        "model.norm.weight.hooks.0 is missing in the file, <lambda> here",
    ),
    "order of parameters": (
        ({"optimizer": lambda p: SGD(p, lr=0.1)}, {"optimizer": lambda p: SGD(p[::-1], lr=0.1)}),
        "optimizer's groups.0.params.0 is 'layers.0.weight' in the file, 'layers.7.bias' here",
    ),
    "attribute of an optimizer": (
        ({"optimizer": lambda p: Named(p, "a")}, {"optimizer": lambda p: Named(p, "b")}),
        "optimizer's kind is 'a' in the file, 'b' here",
    ),
    "function of a schedule": (
        ({"schedule": lambda o: Lambda(o, times(0.5))}, {"schedule": lambda o: Lambda(o, times(0.9))}),
        "schedule's functions.0.k is 0.5 in the file, 0.9 here",
    ),
    "inputs": (({}, {"X": CHANGED}), "inputs is 'float32 with digest "),
    "targets": (({}, {"y": LABELS[TRAIN][::-1].copy()}), "targets is 'int64 with digest "),
    "validation data": (
        ({}, {"validation_data": (X[TEST] + 1, LABELS[TEST])}),
        "nothing was loaded: validation inputs is 'float32 with digest ",
    ),
    "memory-mapped inputs": (
        ({"X": memory_mapped(X[TRAIN])}, {"X": memory_mapped(CHANGED)}),
        "nothing was loaded: inputs is 'float32 with digest ",
    ),
    "compile": (({}, {"compile": True}), "compile is False in the file, True here"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), CASES.values(), ids=CASES)
def test_constants(changes: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    first, second = changes
    run(path, epochs=1, **first)
    content = path.read_bytes()
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        run(path, epochs=2, **second)
    assert " at 0x" not in str(caught.value)
    assert path.read_bytes() == content
    assert len(run(path, epochs=2, **first)[1].loss) == 2


@pytest.mark.parametrize("loss", [of_a_global, through_a_helper, of_an_item, of_an_attribute])
def test_globals_that_the_loss_reads(loss: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    run(path, epochs=1, loss=loss)
    monkeypatch.setitem(OPTIONS, "epochs", 7)  # which it does not read
    run(path, epochs=2, loss=loss)
    monkeypatch.setitem(globals(), "SMOOTHING", 0.2)
    monkeypatch.setitem(OPTIONS, "smoothing", 0.2)
    monkeypatch.setattr(CONFIG, "smoothing", 0.2)
    with pytest.raises(ValueError, match=r"(SMOOTHING|smoothing('\])?) is 0\.1 in the file, 0\.2 here"):
        run(path, epochs=3, loss=loss)


def test_what_changes_during_a_run_is_no_constant(tmp_path: Path) -> None:
    path = tmp_path / "run"
    whole, history = run(None, net=Scaled)
    model = Scaled(0)
    again: dict[str, Any] = {"net": lambda seed: model, "epochs": 6}
    with pytest.raises(AccidentError):
        run(path, callbacks=[interrupt(3)], **again)
    assert model.counted > 0
    assert model.latest is not None
    copy = path.read_bytes()
    assert seen(run(path, **again)[1]) == seen(history)  # in a notebook, where they are what they were left as
    path.write_bytes(copy)
    assert bits(run(path, net=Scaled, seed=3)[0]) == bits(whole)  # and in a new process
    path.write_bytes(copy)
    with pytest.raises(ValueError, match=r"model\.scale is 0\.5 in the file, 0\.25 here"):
        run(path, net=scaled(None, scale=0.25, counted=9))


def test_layers_that_a_callback_freezes(tmp_path: Path) -> None:
    path = tmp_path / "run"

    def freezing(epoch: int, model: Any, history: Any) -> None:
        if epoch == 2:
            freeze(model)

    whole, history = run(None, net=Scaled, callbacks=[freezing])
    with pytest.raises(AccidentError):
        run(path, net=Scaled, callbacks=[freezing, interrupt(4)])
    with pytest.raises(ValueError, match=r"model\.inner\.layers\.0\.weight\.requires_grad is False in the file, True"):
        run(path, net=Scaled, callbacks=[freezing])
    model, resumed = run(path, net=scaled(freeze), callbacks=[freezing])
    assert bits(model) == bits(whole)
    assert seen(resumed) == seen(history)


def test_a_generator_of_the_loss_goes_on(tmp_path: Path) -> None:
    def noisy() -> Any:
        rng = np.random.default_rng(3)
        return lambda p, y: cross_entropy(p + rng.normal(scale=0.1, size=p.shape).astype(p.dtype), y)

    model, history = run(None, loss=noisy())
    with pytest.raises(AccidentError):
        run(tmp_path / "run", loss=noisy(), callbacks=[interrupt(3)])
    resumed, resumed_history = run(tmp_path / "run", loss=noisy())
    assert bits(resumed) == bits(model)
    assert seen(resumed_history) == seen(history)


def test_many_layers_and_generators_in_a_list(tmp_path: Path) -> None:
    class Deep(nn.Module):
        def __init__(self, seed: int) -> None:
            self.layers = [nn.Linear(4, 4, rng=seed) for _ in range(60)]
            self.generators = [np.random.default_rng(k) for k in range(60)]
            self.last = nn.Linear(4, 3, rng=seed)

        def forward(self, x: Any) -> Any:
            for layer, rng in zip(self.layers, self.generators):
                x = x + 0.01 * np.tanh(layer(x)) + rng.normal(size=x.shape).astype(x.dtype)
            return self.last(x)

    model, _ = run(None, epochs=2, net=Deep)
    with pytest.raises(AccidentError):
        run(tmp_path / "run", epochs=2, net=Deep, callbacks=[interrupt(1)])  # before a step is in the file
    run(tmp_path / "run", epochs=1, net=Deep, seed=3)
    assert bits(run(tmp_path / "run", epochs=2, net=Deep, seed=4)[0]) == bits(model)


def test_parameters_that_would_not_be_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the optimizer has parameters that are not the model's"):
        run(tmp_path / "run", optimizer=lambda p: SGD([*p, nn.Parameter(1.0)], lr=0.1))
    assert listing(tmp_path) == []


def test_a_file_of_before_constants_were_written_down(tmp_path: Path) -> None:
    model, history = run(None)
    with pytest.raises(AccidentError):
        run(tmp_path / "run", callbacks=[interrupt(3)])
    content = (tmp_path / "run").read_bytes()
    arrays, metadata = read_arrays("test", tmp_path / "run")
    entry = json.loads(metadata["autodiff.nn.fit"])
    del entry["constants"]
    old = {"autodiff.nn.fit": json.dumps(entry)}
    safetensors.numpy.save_file({name: array.copy() for name, array in arrays.items()}, tmp_path / "run", old)
    assert b"digest" not in (tmp_path / "run").read_bytes() != content
    refuse(tmp_path / "run", "loss is cross_entropy in the file, partial here", loss=partial(smooth, smoothing=0.1))
    refuse(tmp_path / "run", "optimizer's groups.0.lr is 0.02 in the file, 0.03 here", lr=0.03)
    refuse(tmp_path / "run", "schedule's T_max is 6 in the file, 9 here", schedule=lambda o: CosineAnnealingLR(o, 9))
    resumed, resumed_history = run(tmp_path / "run")
    assert bits(resumed) == bits(model)
    assert seen(resumed_history) == seen(history)


def test_what_a_wrapper_keeps_is_no_constant() -> None:
    step = ad.compile(lambda x: 2 * x)
    before = [(path, told(part)) for path, part in constants("step", step, set())]
    step(np.ones(3))
    assert [(path, told(part)) for path, part in constants("step", step, set())] == before
    assert ("step.__wrapped__.constants", "'2'") in before
    assert {("f.plan.argnums", "1"), ("f.__wrapped__", "hypot")} <= {
        (path, told(part)) for path, part in constants("f", ad.grad(np.hypot, argnums=1), set())
    }


def test_constants_are_the_same_in_another_process(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from tests.test_checkpoint import *\n"
    code += "for name, (changes, message) in CASES.items():\n"
    code += "    for path, part in constants(name, changes, set()): print(path, told(part))\n"
    code += "print(told(frozenset('abcdef')), told(object()), told(np), told(Path('a')), told(float('nan')))"
    root = Path(__file__).parent.parent
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": seed}, cwd=root, text=True, check=True,
            capture_output=True,
        ).stdout
        for seed in "12"
    }  # fmt: skip
    (text,) = texts
    assert " at 0x" not in text
    assert "{'a', 'b', 'c', 'd', 'e', 'f'} <object object> numpy PosixPath('a') nan" in text


# Damage


def test_flipped_bits(finished: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_bytes(finished)
    arrays, metadata = read_arrays("test", path)
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(finished[:8], "little")
    survived = 0
    for low, high, count in ((0, 8, 64), (8, header, 200), (header, len(finished), 200)):
        for bit in map(int, rng.integers(8 * low, 8 * high, count)):
            changed = bytearray(finished)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            message = ""
            try:
                again, texts = read_arrays("fit", path)
            except ValueError as error:
                message = str(error)
            if message or low == header:
                assert message.startswith(f"fit: {path} is ")
                assert low < header or "is damaged: these are not what was written: array " in message
            else:
                survived += 1
                assert {name: array.tobytes() for name, array in again.items()} == {
                    name: array.tobytes() for name, array in arrays.items()
                }
                assert texts["autodiff.nn.fit"] == metadata["autodiff.nn.fit"]
    assert survived < 20


def test_a_flipped_bit_stops_a_run_before_it_begins(finished: bytes, tmp_path: Path) -> None:
    changed = bytearray(finished)
    changed[-3] ^= 4
    (tmp_path / "run").write_bytes(changed)
    refuse(tmp_path / "run", "is damaged: these are not what was written: array optimizer.parameters.")
    position = finished.index(b"best_loss")
    changed = bytearray(finished)
    changed[position + 14] ^= 1  # a digit
    (tmp_path / "run").write_bytes(changed)
    refuse(tmp_path / "run", "is damaged: these are not what was written: text autodiff.nn.fit")


# Two runs at once


def refused(path: Path) -> None:
    said = f"fit: another run is writing {path}; let it end first, or give this one another path"
    with pytest.raises(BlockingIOError, match=re.escape(said)):
        run(path, epochs=20)


def test_a_second_run_in_another_thread(tmp_path: Path) -> None:
    path = tmp_path / "run"
    begun, go_on = threading.Event(), threading.Event()
    histories = []

    def wait(epoch: int, model: Any, history: Any) -> None:
        begun.set()
        assert go_on.wait(60)

    thread = threading.Thread(target=lambda: histories.append(run(path, callbacks=[wait])[1]))
    thread.start()
    assert begun.wait(60)
    refused(path)
    (tmp_path / "link").symlink_to(path)
    refused(tmp_path / "link")
    run(tmp_path / "other")
    go_on.set()
    thread.join()
    assert seen(histories[0]) == seen(run(None)[1])
    assert listing(tmp_path) == ["link", "other", "run"]
    assert run(path)[1] == histories[0]


def test_a_second_run_within_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run"
    model, _ = run(path, callbacks=[lambda epoch, model, history: refused(path)])
    assert bits(model) == bits(run(None)[0])


@pytest.mark.skipif(os.name != "posix", reason="locks are those of POSIX")
def test_a_second_run_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "run"
    waiting = "import sys; from pathlib import Path; import tests.test_checkpoint as here\n"
    waiting += "def wait(epoch, model, history): print(epoch, flush=True); sys.stdin.readline()\n"
    waiting += "here.run(Path(sys.argv[1]), epochs=20, callbacks=[wait])"
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", waiting, str(path)], env=os.environ | {"PYTHONPATH": str(root)}, cwd=root, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "1\n"
        refused(path)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "2\n"  # it has not noticed
        refused(path)
        process.kill()
    model, history = run(path, epochs=20)  # a lock that a killed run left is in nobody's way
    whole, whole_history = run(None, epochs=20)
    assert bits(model) == bits(whole)
    assert seen(history) == seen(whole_history)
    assert listing(tmp_path) == ["run"]


# Paths


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    refuse(tmp_path / "missing" / "run", "missing/run' is in a folder that does not exist; make it", FileNotFoundError)
    refuse(tmp_path / "folder", "folder' is a folder; name a file in it", IsADirectoryError)
    with pytest.raises(TypeError, match="fit: checkpoint: expected the path of a file, got 3"):
        run(3)  # type: ignore[arg-type]
    assert listing(tmp_path) == ["folder"]
