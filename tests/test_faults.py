"""Runs and files that survive: processes killed at any moment, full disks, damage, folders that change meanwhile."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff.files
import nn
from autodiff.files import held, write_atomically
from tests import ranks
from tests.test_checkpoint import DAMAGES, Net, altered, bits, listing, refuse, run, seen
from tests.test_files import WRITERS, save_checkpoint

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals, limits and permissions are those of POSIX")


def in_a_process_of_its_own(function: Callable[[Path], Any], folder: Path) -> Any:
    """Call a function of this file in a process that has no threads and may fork; give what it gave.

    It does not wait for the disk, which would take most of the time: what a killed process wrote, the system has.
    """
    root = Path(__file__).parent.parent
    code = "import json, os, sys; from pathlib import Path; import tests.test_faults as here\n"
    code += f"os.fsync = lambda file: None; print(json.dumps(here.{function.__name__}(Path(sys.argv[1]))))"
    process = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=os.environ | {"PYTHONPATH": str(root)}, cwd=root, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def fork(function: Callable[[], Any]) -> int:
    """Call a function in a copy of this process, and give the copy's number."""
    number = os.fork()
    if number == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return number


def ended(number: int) -> int:
    """Wait for a process, and give its exit status, or the negative signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


# Killed


def large(path: Path | None) -> tuple[Any, nn.History]:
    """Train so that about half of the time goes into the file, of half a megabyte."""
    return run(path, net=lambda seed: Net(seed, hidden=2048))


def assert_goes_on(path: Path, whole: tuple[Any, nn.History], moment: Any) -> None:
    """Assert that a run goes on from its file, and ends as one that nothing happened to, with nothing left behind."""
    other = path.parent / ".another.tmp"
    other.touch()
    model, history = large(path)
    assert bits(model) == bits(whole[0]), moment
    assert seen(history) == seen(whole[1]), moment
    assert listing(path.parent) == [other.name, path.name], moment


class Dying(io.BufferedWriter):
    """A file that a process dies of in the middle of writing."""

    def write(self, content: Any) -> int:
        super().write(content[: random.randrange(len(content))])
        self.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def die_in(owner: Any, name: str, count: int, after: bool) -> None:
    """Let this process die before or after a function is called for the given time."""
    function = getattr(owner, name)

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal count
        count -= 1
        if count == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **options)
        if count == 0 and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)


def die_in_the_middle(path: Path, count: int) -> None:
    """Run until this process dies in the middle of writing the file for the given time."""

    def opened(name: Any, mode: str, **options: Any) -> Any:
        nonlocal count
        count -= mode == "xb"
        return open(name, mode, **options) if count else Dying(io.FileIO(name, "xb", **options))

    vars(autodiff.files)["open"] = opened
    large(path)


def killed_at_random(folder: Path) -> int:
    """Kill 20 runs at random moments from outside, and give how many had not ended before."""
    whole, killed = large(None), 0
    times = []
    for k in range(3):
        begun = time.perf_counter()
        large(folder / f"timed {k}")
        times.append(time.perf_counter() - begun)
    for k in range(20):
        path = folder / str(k) / "run"
        path.parent.mkdir()
        moment, kind = random.uniform(0, min(times)), random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        number = fork(lambda path=path: large(path))  # type: ignore[misc]
        time.sleep(moment)
        os.kill(number, kind)
        status = ended(number)
        assert status in (0, -kind), moment
        killed += status != 0
        assert_goes_on(path, whole, moment)
    return killed


def killed_at_given_moments(folder: Path) -> list[int]:
    """Kill runs at moments that chance may miss, and give how many bytes of a file were written then."""
    whole = large(None)
    written: list[int] = []

    def at(name: str, what: Callable[[Path], Any], are_left: bool) -> None:
        path = folder / name / "run"
        path.parent.mkdir()
        number = fork(lambda: (what(path), large(path)))
        assert ended(number) == -signal.SIGKILL, name
        drafts = [draft for draft in path.parent.iterdir() if draft.suffix == ".tmp"]
        assert bool(drafts) == are_left, name
        written.extend(draft.stat().st_size for draft in drafts)
        assert_goes_on(path, whole, name)

    for count in range(1, 7):  # the first writes the state at the start
        at(f"writing {count}", lambda path, count=count: die_in_the_middle(path, count), True)  # type: ignore[misc]
    at("before the file is on the disk", lambda path: die_in(os, "fsync", 1, False), True)
    at("before the folder is on the disk", lambda path: die_in(os, "fsync", 4, False), False)
    at("before it has its name", lambda path: die_in(os, "replace", 3, False), True)
    at("after it has its name", lambda path: die_in(os, "replace", 4, True), False)
    at("before the first step", lambda path: die_in(nn.optim.Adam, "step", 1, False), False)
    at("in the middle of an epoch", lambda path: die_in(nn.optim.Adam, "step", 13, True), False)
    at("after the last step", lambda path: die_in(nn.optim.Adam, "step", 30, True), False)
    return written


def interrupted_at_random(folder: Path) -> list[int]:
    """Send Ctrl-C to runs at random moments, which then go on in the same process; give how often each was begun."""
    whole = large(None)
    times: list[int] = []
    for k in range(5):
        path = folder / str(k) / "run"
        path.parent.mkdir()
        reader, writer = os.pipe()

        def goes_on(path: Path = path, writer: int = writer) -> None:
            ends = False
            while not ends:
                with contextlib.suppress(KeyboardInterrupt):
                    os.write(writer, b".")
                    ends = len(large(path)[1].loss) == len(whole[1].loss)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            assert_goes_on(path, whole, "")

        number = fork(goes_on)
        os.close(writer)
        os.read(reader, 1)
        for _ in range(3):
            time.sleep(random.uniform(0, 0.08))
            os.kill(number, signal.SIGINT)
        assert ended(number) == 0
        times.append(1 + len(os.read(reader, 100)))
        os.close(reader)
    return times


def test_killed_at_random_moments(tmp_path: Path) -> None:
    assert in_a_process_of_its_own(killed_at_random, tmp_path) > 0


def test_killed_at_given_moments(tmp_path: Path) -> None:
    written = in_a_process_of_its_own(killed_at_given_moments, tmp_path)
    assert len(written) == 8
    assert len(set(written)) > 3  # it was in the middle


def test_ctrl_c_at_random_moments(tmp_path: Path) -> None:
    assert len(in_a_process_of_its_own(interrupted_at_random, tmp_path)) == 5


# Full disks


class Disk:
    """A folder on a disk that can be full: a small one of its own, or one where files may have ten bytes."""

    def __init__(self, folder: Path, is_mounted: bool) -> None:
        self.folder = folder
        self.is_mounted = is_mounted

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Fill the disk, and make room again."""
        import resource

        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        filling = self.folder / "filling"
        try:
            if self.is_mounted:
                with filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(4096))
            else:
                resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            filling.unlink(missing_ok=True)

    def names(self) -> list[str]:
        return [name for name in listing(self.folder) if name != "filling"]

    def refuses(self, write: Callable[[Path], Any], path: Path) -> None:
        """Assert that the error is that of a full disk and names the path, and that all is as it was."""
        before = {name: (self.folder / name).read_bytes() for name in self.names()}
        with pytest.raises(OSError, match=f"cannot write {re.escape(str(path))}: ") as caught:
            write(path)
        assert caught.value.errno == (errno.ENOSPC if self.is_mounted else errno.EFBIG)
        assert {name: (self.folder / name).read_bytes() for name in self.names()} == before


@pytest.fixture(params=["a disk", "a limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Give a disk of a megabyte where one may be mounted (root may), or else a limit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    wants = request.param == "a disk" and os.geteuid() == 0 and shutil.which("mount") is not None
    is_mounted = wants and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield Disk(folder, is_mounted)
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)


def save_machine_code(path: Path) -> None:
    cache = pytest.importorskip("autodiff.compiler.bind.cache")
    try:
        cache._write(path, bytes(1000), 1e6)
    except OSError as error:  # which is no error there: the next process compiles anew
        raise type(error)(error.errno, f"cannot write {path}: {error.strerror}") from None


@pytest.mark.parametrize("write", [*WRITERS, save_machine_code], ids=lambda write: write.__name__)
def test_a_full_disk(write: Any, disk: Disk) -> None:
    path = disk.folder / "file.dot"
    with disk.full():
        disk.refuses(write, path)
    assert listing(disk.folder) == []
    write(path)
    content = path.read_bytes()
    with disk.full():
        if write is save_checkpoint:  # it has ended, and is only read
            write(path)
        else:
            disk.refuses(write, path)
    assert path.read_bytes() == content
    write(path)
    assert listing(disk.folder) == ["file.dot"]


def test_a_disk_that_becomes_full_during_a_run(disk: Disk) -> None:
    path, filled = disk.folder / "run", contextlib.ExitStack()
    whole, history = run(None)
    with disk.full():
        refuse(path, f"cannot write {path}: ", OSError)  # before the first step

    def fill(epoch: int, *_: Any) -> None:
        if epoch == 3:
            filled.enter_context(disk.full())

    with filled:
        with pytest.raises(OSError, match=f"cannot write {re.escape(str(path))}: "):
            run(path, callbacks=[fill])
        disk.refuses(run, path)  # nor does the same call again do more harm
        assert disk.names() == ["run"]
    resumed, resumed_history = run(path)
    assert bits(resumed) == bits(whole)
    assert seen(resumed_history) == seen(history)
    assert listing(disk.folder) == ["run"]


# Damage


def test_cut_at_every_kilobyte_and_a_byte_changed_in_each(tmp_path: Path) -> None:
    def net(seed: int) -> nn.Module:
        return Net(seed, hidden=64)

    path, rng = tmp_path / "run", np.random.default_rng()
    run(path, epochs=2, net=net)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")  # of whose bytes not all say something
    assert len(content) > header + 8192
    for start in range(0, len(content), 1024):
        path.write_bytes(content[:start])
        assert str(path) in refuse(path, "is not a complete safetensors file", net=net)
        if start > header:
            changed = bytearray(content)
            changed[rng.integers(start, min(start + 1024, len(content)))] ^= int(rng.integers(1, 256))
            path.write_bytes(changed)
            assert str(path) in refuse(path, "is damaged: these are not what was written: array ", net=net)


def what_files_run(folder: Path) -> list[str]:
    """Load files of all kinds, and give what Python reports of code that is run, found or imported meanwhile."""
    path = folder / "run"
    seen: list[str] = []
    run(path, epochs=1)
    content = path.read_bytes()

    def loads() -> None:
        with contextlib.suppress(ValueError):
            run(path, epochs=1)
        with contextlib.suppress(ValueError):
            nn.load(Net(0), path)

    def load_all() -> None:
        for change, _ in list(DAMAGES.values())[::4]:
            altered(content, folder, change)
            loads()
        for other in (content, content[:-1], pickle.dumps(Net), b""):
            path.write_bytes(other)
            loads()
        np.savez(path.with_suffix(".npz"), np.array([Net], object), allow_pickle=True)
        path.with_suffix(".npz").rename(path)
        loads()
        nn.save(Net(0), path)
        loads()

    load_all()  # what is imported when it is needed
    kinds = ("exec", "compile", "import", "marshal", "pickle", "code", "os.system", "os.exec", "subprocess", "ctypes")
    sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(kinds) else None)
    load_all()
    eval("1")  # the last that is reported, if it is reported at all
    return seen


def test_a_file_runs_no_code(tmp_path: Path) -> None:
    events = in_a_process_of_its_own(what_files_run, tmp_path)
    pickled = ["pickle.find_class"] * events.count("pickle.find_class")
    assert events == [*pickled, "compile", "exec"]
    assert pickled == []


# Folders that change


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run"

    def replace(epoch: int, *_: Any) -> None:
        if epoch == 2:
            path.unlink()
            path.mkdir()

    with pytest.raises(IsADirectoryError, match=f"cannot write {path}: is a folder; name a file in it"):
        run(path, callbacks=[replace])
    assert path.is_dir()
    assert listing(tmp_path) == ["run"]


def test_a_file_that_is_deleted_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    model, history = run(path, callbacks=[lambda *_: path.unlink()])
    again, again_history = run(path)
    assert bits(again) == bits(model) == bits(run(None)[0])
    assert again_history == history
    assert listing(tmp_path) == ["run"]


def test_a_folder_that_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "run"
    path.parent.mkdir()
    with pytest.raises(FileNotFoundError, match=f"cannot write {path}: No such file"):
        run(path, callbacks=[lambda *_: shutil.rmtree(path.parent)])
    assert listing(tmp_path) == []


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder of somebody's who is not root, who may write anywhere, and be somebody for a while."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        if user == 0:
            os.chown(path, 65534, -1)
            os.seteuid(65534)
        try:
            yield path
        finally:
            os.seteuid(user)
            path.chmod(0o700)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_permission_that_is_lost_and_given_back(kind: str, folder: Path) -> None:
    path = folder / "run"
    whole, history = run(None)

    def lose(epoch: int, *_: Any) -> None:
        if epoch == 3:
            (folder if kind == "folder" else path).chmod(0o555)

    with pytest.raises(PermissionError, match=f"cannot write {path}: Permission denied"):
        run(path, callbacks=[lose])
    content = path.read_bytes()
    with pytest.raises(PermissionError, match=f"cannot write {path}: Permission denied"):
        run(path)
    assert path.read_bytes() == content
    folder.chmod(0o755)
    path.chmod(0o000)
    with pytest.raises(PermissionError, match=f"Permission denied: '{path}'"):
        run(path)
    path.chmod(0o644)
    resumed, resumed_history = run(path)
    assert bits(resumed) == bits(whole)
    assert seen(resumed_history) == seen(history)
    assert listing(folder) == ["run"]
    folder.chmod(0o555)
    assert run(path)[1] == resumed_history  # a run that has ended is only read
    with pytest.raises(PermissionError, match=f"cannot write {folder / 'new'}: Permission denied"):
        run(folder / "new")


# Interrupted at every line


def test_ctrl_c_at_every_line_of_writing(tmp_path: Path) -> None:
    path, lines = tmp_path / "run", -1

    def write() -> None:
        with held("f", path):
            write_atomically(path, b"new")

    def interrupt_at(line: int) -> bool:
        """Interrupt at the given line that is run, and say whether there was one."""

        def trace(frame: Any, event: str, _: Any) -> Any:
            nonlocal line
            if frame.f_code.co_filename != autodiff.files.__file__:
                return None
            line -= event == "line"
            if line < 0:
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            write()
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    lines = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of a lock that was not closed, but is gone
        path.write_bytes(b"old")
        while interrupt_at(lines):
            lines += 1
            assert path.read_bytes() in (b"old", b"new")
            with held("f", path):
                pass  # nobody else does, and what was left behind is removed
            assert listing(tmp_path) == ["run"]
            path.write_bytes(b"old")
    assert lines > 50


# Ranks


def on_rank(which: int, action: Callable[..., Any], count: int = 2) -> Callable[..., None]:
    """Make a function that calls another when it is called for a given time, on one rank."""
    calls = [0]

    def do(*args: Any) -> None:
        calls[0] += 1
        # The number of the rank is nothing that the ranks of a run would compare.
        if calls[0] == count and int(os.environ["OMPI_COMM_WORLD_RANK"]) == which:
            action(*args)

    return do


def stumble(*_: Any) -> None:
    raise ValueError("stumbled")


def throw(error: BaseException) -> Callable[..., None]:
    def action(*_: Any) -> None:
        raise error

    return action


class Stumbling(nn.MLP):
    """A model that fails on one rank in the middle of an epoch."""

    def __init__(self) -> None:
        super().__init__([4, 8, 3], rng=0)
        self.do = on_rank(1, stumble, 13)

    def forward(self, x: Any) -> Any:
        self.do()
        return super().forward(x)


class Centred(nn.MLP):
    """A model whose rows see each other."""

    def forward(self, x: Any) -> Any:
        outputs = super().forward(x)
        return outputs - outputs.mean(axis=0) if self.training else outputs


class StumblingLR(nn.optim.Schedule):
    """A schedule that fails on one rank."""

    do: Any = staticmethod(on_rank(1, stumble))

    def following(self, lr: float, base: float, epoch: int) -> float:
        self.do()
        return base


class TextlessError(Exception):
    """An error that cannot even be told."""

    def __str__(self) -> str:
        raise ValueError("there is no text")


class Mess:
    """Something whose end is an error, which Python prints, and which is nobody's."""

    def __del__(self) -> None:
        raise ValueError("stumbled")


def after(do: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    def both(predictions: Any, targets: Any) -> Any:
        do()
        return function(predictions, targets)

    return both


def double(model: Any) -> None:
    model.layers[0].weight.data = 2 * model.layers[0].weight.data


def faults(path: str) -> dict[str, tuple[str, str]]:
    """Let one of several ranks fail wherever a user's code runs, or be different; give what is expected, and what came.

    All is done in one go: starting the processes takes longer than all of it.
    """
    import scipy.sparse
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    X = np.random.default_rng(0).normal(size=(48, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    told: dict[str, tuple[str, str]] = {}

    def check(name: str, expected: str, action: Callable[..., Any] | None = None, **changes: Any) -> None:
        model = changes.pop("model", None) or nn.MLP([4, 8, 3], rng=0)
        optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
        schedule = changes.pop("schedule", lambda optimizer: None)(optimizer)
        callbacks = [] if action is None else [on_rank(1, lambda *_: action(model, optimizer))]
        options: dict[str, Any] = {"X": X, "y": y, "epochs": 3, "batch_size": 9, "rng": 0, "comm": comm}
        options["callbacks"] = callbacks
        try:
            history = nn.fit(model, optimizer=optimizer, schedule=schedule, **(options | changes))
        except BaseException as error:
            told[name] = expected, f"{type(error).__name__}: {error}"
        else:
            told[name] = expected, f"{len(history.loss)} epochs, alike: {comm.bcast(bits(model), 0) == bits(model)}"

    def fails(error: BaseException) -> Callable[..., Any]:
        return lambda *_: throw(error)()

    stumbled = "ValueError: fit: on rank 1 of 3: stumbled"
    good, short = "3 epochs, alike: True", "2 epochs, alike: True"
    check("nothing", good)
    check("sparse rows", good, X=scipy.sparse.csr_array(X))
    check("forward", stumbled, model=Stumbling())
    cross_entropy = nn.functional.cross_entropy
    check("loss", stumbled, loss=after(on_rank(1, stumble, 20), cross_entropy))
    metric = after(on_rank(0, stumble, 9), lambda predictions, targets: 0.5)
    check("metric", stumbled.replace("1", "0", 1), metrics=[metric], validation_data=(X, y))
    check("schedule", stumbled, schedule=StumblingLR)
    check("callback", stumbled, stumble)
    check("callback at the end", stumbled, callbacks=[on_rank(1, stumble, 3)])
    check("no text", "RuntimeError: fit: on rank 1 of 3: TextlessError: an error without", fails(TextlessError()))
    group = ExceptionGroup("several", [ValueError("stumbled")])
    check("several", "RuntimeError: fit: on rank 1 of 3: ExceptionGroup: several", fails(group))
    check("exit", "RuntimeError: fit: on rank 1 of 3: SystemExit: 3", lambda *_: sys.exit(3))
    check("Ctrl-C", short, fails(KeyboardInterrupt()))
    check("signal", short, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    check("mess", good, lambda *_: Mess() and None)
    check("slow", good, lambda *_: time.sleep(0.1))
    check("weights", "ValueError: fit: on rank 1 of 3: layers.0.weight has other numbers", lambda m, _: double(m))
    before = "ValueError: fit: before epoch 3, model and optimizer must be the same on all ranks: "
    check("frozen", f"{before}whether layers.0.weight learns", lambda m, _: m.layers[0].requires_grad_(False))
    check("rate", f"{before}optimizer's groups.0.lr is 0.011 on", lambda _, o: o.param_groups[0].update(lr=0.011))
    nan = "FloatingPointError: fit: on rank 1 of 3: the gradient of 'layers.0.weight' is not finite at epoch 3"
    check("NaN", nan, lambda model, _: model.layers[0].weight.register_hook(lambda g: g * np.nan))
    centred = Centred([4, 8, 3], rng=0)
    check("rows that see others", "ValueError: fit: the predictions for rows differ by ", model=centred)
    place = np.argsort(y, kind="stable")
    weighted = partial(cross_entropy, weight=np.array([1.0, 2.0, 9.0]))
    no_mean = "ValueError: fit: on rank 0 of 3: the loss of "
    check("weights of sorted classes", no_mean, X=X[place], y=y[place], loss=weighted)
    check("inputs", "ValueError: fit: the arguments must be the same on all ranks: inputs is ", X=X + comm.rank)
    check("seed", "ValueError: fit: the arguments must be the same on all ranks: rng is ", rng=comm.rank)
    check("epochs", "ValueError: fit: the arguments must be the same on all ranks: epochs is ", epochs=3 + comm.rank)
    dtype = np.float64 if comm.rank == 1 else np.float32
    different = "ValueError: fit: the arguments must be the same on all ranks: model.layers.0.weight is float64 of"
    check("dtype", different, model=nn.MLP([4, 8, 3], rng=0, dtype=dtype))
    with pytest.MonkeyPatch.context() as patch:
        error = OSError(errno.ENOSPC, f"cannot write {path}: No space left on device")
        patch.setattr("nn.checkpoint.write_arrays", throw(error))
        full = f"OSError: fit: on rank 0 of 3: [Errno 28] cannot write {path}: No space left on device"
        check("full disk", full, checkpoint=path)
    if comm.rank == 0:
        Path(path).write_bytes(b"half")
    check("damage", f"ValueError: fit: on rank 0 of 3: {path} is not a complete safetensors file", checkpoint=path)
    halves: Any = comm.Split(comm.rank % 2, comm.rank)
    check("halves", "3 epochs", comm=halves)  # one has two ranks
    between = halves.Create_intercomm(0, comm, 1 - comm.rank % 2)
    check("between", "TypeError: fit: comm must be a communicator of mpi4py, such as MPI.COMM_WORLD", comm=between)
    between.Free()
    halves.Free()
    check("none", "ValueError: fit: comm is MPI.COMM_NULL", comm=MPI.COMM_NULL)
    check("itself", good, comm=MPI.COMM_SELF)
    check("within another", good, callbacks=[lambda *_: check("within", "1 epochs, alike: True", epochs=1)])

    def average(name: str, expected: str, model: Any, **options: Any) -> None:
        try:
            nn.parallel.average_gradients(model, comm=comm, **options)
        except (TypeError, ValueError) as error:
            told[name] = expected, f"{type(error).__name__}: {error}"

    model, is_second = nn.MLP([4, 8, 3], rng=0), comm.rank == 1
    no_module = "TypeError: average_gradients: on rank 1 of 3: the model must be a Module, got None"
    average("no model", no_module, None if is_second else model)
    others = "ValueError: average_gradients: what is averaged must be the same on all ranks: "
    average("samples on one", f"{others}samples is given on rank 1, none on", model, samples=3 if is_second else None)
    model.layers[0].requires_grad_(not is_second)
    average("frozen, averaged", f"{others}layers.0.weight is missing on rank 1, float32 (4, 8) on rank 0", model)
    return told


def test_ranks_that_fail_or_differ(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    pytest.importorskip("scipy")
    every = ranks.run(3, "tests.test_faults:faults", str(tmp_path / "run")).results
    assert every[0].keys() >= {"nothing", "within", "no model", "samples on one", "frozen, averaged"}
    for told in every:
        assert {name: came for name, (expected, came) in told.items() if not came.startswith(expected)} == {}
    assert listing(tmp_path) == ["run"]


def killed_alone(path: str, dies: bool) -> list[Any]:
    """Train, with a rank that is killed in the middle."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    X = np.random.default_rng(0).normal(size=(48, 4))
    model = nn.MLP([4, 8, 1], rng=0)
    die = on_rank(2, lambda *_: os.kill(os.getpid(), signal.SIGKILL), 4 if dies else 99)
    options: dict[str, Any] = {"epochs": 6, "batch_size": 8, "rng": 0, "checkpoint": path or None, "callbacks": [die]}
    history = nn.fit(model, X, X[:, :1] * X[:, 1:2], loss="mse_loss", comm=comm, **options)
    return [history.loss, *(array.tolist() for array in model.state_dict().values())]


def test_a_rank_that_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    path = str(tmp_path / "run")
    outcome = ranks.run(4, "tests.test_faults:killed_alone", path, True, check=False)
    assert outcome.returncode != 0
    assert outcome.results == [None] * 4
    assert re.search(r"process rank 2 .* exited on\s+signal 9", outcome.stderr)
    resumed, other = ranks.run(2, "tests.test_faults:killed_alone", path, False).results
    assert resumed == other
    assert len(resumed[0]) == 6
    whole = ranks.run(1, "tests.test_faults:killed_alone", "", False).results[0]
    for one, same in zip(resumed, whole, strict=True):
        np.testing.assert_allclose(one, same, rtol=0, atol=1e-5)
    assert listing(tmp_path) == ["run"]
