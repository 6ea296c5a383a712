"""Runs that go on from their file: bit for bit as if nothing had happened, whatever happened, or not at all."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
import nn.checkpoint
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


def run(path: Path | None, epochs: int = 6, seed: int = 0, net: Any = Net, **changes: Any) -> tuple[Any, nn.History]:
    """Train a new model, with all that a run can have."""
    model = net(seed)
    optimizer = changes.pop("optimizer", lambda parameters: Adam(parameters, lr=0.02))(model.parameters())
    schedule = changes.pop("schedule", lambda optimizer: CosineAnnealingLR(optimizer, T_max=6))(optimizer)
    options: dict[str, Any] = {
        "batch_size": 10,
        "validation_data": (X[TEST], LABELS[TEST]),
        "metrics": ["accuracy", distance],
        "clip_norm": 1.0,
        "patience": 4,
        "rng": 5,
        "X": X[TRAIN],
        "y": LABELS[TRAIN],
    } | changes
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
    arguments: dict[str, Any] = {
        "optimizer": optimizer,
        "schedule": schedule(optimizer),
        "epochs": 6,
        "batch_size": 10,
        "validation_data": (X[TEST], LABELS[TEST]),
        "metrics": ["accuracy", distance],
        "clip_norm": 1.0,
        "patience": 4,
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


# Killed

SCRIPT = """
import os, signal, sys
from pathlib import Path
import tests.test_checkpoint as here

path, at, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def kill_at(name, function):
    def counted(*args, **kwargs):
        global count
        count -= 1
        if count == 0 and at == "before " + name:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if count == 0 and at == "after " + name:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return counted

if at.endswith("fsync"):
    os.fsync = kill_at("fsync", os.fsync)
if at.endswith("replace"):
    os.replace = kill_at("replace", os.replace)
if at.endswith("step"):
    here.Adam.step = kill_at("step", here.Adam.step)
print("running", flush=True)
model, history = here.run(path, epochs=20)
"""


def script(path: Path, at: str = "", count: int = 0) -> subprocess.Popen[str]:
    root = Path(__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), at, str(count)], env=environment, cwd=root, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> tuple[Any, nn.History]:
    """Train without a file, and without an accident."""
    return run(None, epochs=20)


def assert_goes_on(path: Path, whole: tuple[Any, nn.History]) -> None:
    other = path.parent / ".another.tmp"
    other.touch()
    model, history = run(path, epochs=20)
    assert bits(model) == bits(whole[0])
    assert seen(history) == seen(whole[1])
    assert listing(path.parent) == [other.name, path.name]  # no half of a file stays, and nothing else goes


needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")


@needs_sigkill
@pytest.mark.parametrize(
    ("at", "count"),
    [
        ("before fsync", 1),
        ("after fsync", 2),
        ("before replace", 3),
        ("after replace", 4),
        ("before step", 1),
        ("before step", 13),
        ("after step", 25),
    ],
)
def test_killed_at_a_given_moment(at: str, count: int, whole: tuple[Any, nn.History], tmp_path: Path) -> None:
    process = script(tmp_path / "run", at, count)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    assert_goes_on(tmp_path / "run", whole)


@needs_sigkill
def test_killed_at_random_moments(whole: tuple[Any, nn.History], tmp_path: Path) -> None:
    path = tmp_path / "run"
    moments = random.Random()
    for _ in range(3):
        process = script(path)
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    assert_goes_on(path, whole)


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

    arguments: dict[str, Any] = {
        "epochs": 6,
        "batch_size": 10,
        "validation_data": (X[TEST], LABELS[TEST]),
        "metrics": ["accuracy", distance],
        "clip_norm": 1.0,
        "patience": 4,
        "X": X[TRAIN],
        "y": LABELS[TRAIN],
    } | changes
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, entry: entry.update(version=2), "version 2 of the format, which is 1 here"),
        (lambda arrays, entry: entry.pop("version"), "is damaged (KeyError('version')"),
        (lambda arrays, entry: entry.pop("settings"), "is damaged (KeyError('settings')"),
        (lambda arrays, entry: entry.update(generators=[]), "is damaged (IndexError("),
        (lambda arrays, entry: entry.update(generators=[3, 4, 5, 6]), "is damaged (TypeError("),
        (lambda arrays, entry: entry.update(history={"lost": []}), "is damaged (TypeError("),
        (lambda arrays, entry: entry.update(schedule={}), "does not fit: CosineAnnealingLR.load_state_dict"),
        (lambda arrays, entry: arrays.update(other=np.zeros(1)), "is damaged (KeyError('other')"),
        (lambda arrays, entry: arrays.pop("model.layers.0.bias"), "does not fit: load_state_dict"),
        (lambda arrays, entry: arrays.pop("best.layers.0.bias"), "does not fit: load_state_dict"),
        (lambda arrays, entry: arrays.pop("optimizer.parameters.1.mean"), "does not fit: Adam.load_state_dict"),
    ],
)
def test_damaged_files(change: Any, message: str, finished: bytes, tmp_path: Path) -> None:
    refuse(altered(finished, tmp_path, change), message)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null"])
def test_entries_of_another_form(text: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / "run", {}, {"autodiff.nn.fit": text})
    refuse(tmp_path / "run", f"fit: {tmp_path / 'run'} is damaged (")


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


@needs_sigkill
def test_a_second_run_in_another_process(whole: tuple[Any, nn.History], tmp_path: Path) -> None:
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
    assert_goes_on(path, whole)  # a lock that a killed run left is in nobody's way


# Paths


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    refuse(tmp_path / "missing" / "run", "missing/run' is in a folder that does not exist; make it", FileNotFoundError)
    refuse(tmp_path / "folder", "folder' is a folder; name a file in it", IsADirectoryError)
    with pytest.raises(TypeError, match="fit: checkpoint: expected the path of a file, got 3"):
        run(3)  # type: ignore[arg-type]
    assert listing(tmp_path) == ["folder"]


def test_a_full_disk_is_found_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    refuse(tmp_path / "run", "No space left on device", OSError)
    assert listing(tmp_path) == []
