"""Models in files: they come back bit for bit, others can read them, and no accident leaves half of anything."""

from __future__ import annotations

import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import nn
from nn.io import digest


class Mixed(nn.Module):
    """Parameters of several dtypes, shapes and layouts, one without axes."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.scale = nn.Parameter(rng.normal())
        self.half = nn.Parameter(rng.normal(size=3).astype(np.float16))
        self.empty = nn.Parameter(np.zeros((0, 2), np.float32))
        self.fortran = nn.Parameter(np.zeros((3, 4)))
        self.fortran.data = np.asfortranarray(rng.normal(size=(3, 4)))
        self.parts = {"ä": nn.Linear(2, 3, rng=rng), "list": [nn.Linear(3, 1, bias=False, rng=rng, dtype=np.float64)]}


def mlp(seed: int = 0, sizes: tuple[int, ...] = (4, 3, 2), **options: Any) -> nn.MLP:
    return nn.MLP(sizes, rng=seed, **options)


def bits(model: nn.Module) -> dict[str, tuple[Any, ...]]:
    return {path: (array.dtype, array.shape, array.tobytes()) for path, array in model.state_dict().items()}


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# There and back


@pytest.mark.parametrize("make", [mlp, Mixed])
@pytest.mark.parametrize("as_text", [False, True], ids=["Path", "str"])
def test_round_trip_is_bit_equal(make: Any, as_text: bool, tmp_path: Path) -> None:
    saved, loaded = make(1), make(2)
    assert bits(saved) != bits(loaded)
    path: Any = str(tmp_path / "model.safetensors") if as_text else tmp_path / "model.safetensors"
    nn.save(saved, path)
    assert nn.load(loaded, path) is loaded
    assert bits(loaded) == bits(saved)
    assert listing(tmp_path) == ["model.safetensors"]


def test_special_numbers_survive(tmp_path: Path) -> None:
    numbers = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])

    class Numbers(nn.Module):
        def __init__(self, data: Any) -> None:
            self.numbers = nn.Parameter(data)

    nn.save(Numbers(numbers), tmp_path / "numbers")
    assert nn.load(Numbers(np.zeros(5)), tmp_path / "numbers").numbers.data.tobytes() == numbers.tobytes()


def test_saving_again_replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(mlp(1, sizes=(40, 30)), path)
    nn.save(mlp(2), path)
    assert bits(nn.load(mlp(0), path)) == bits(mlp(2))
    assert listing(tmp_path) == ["model.safetensors"]


def test_a_file_of_another_dtype_is_converted(tmp_path: Path) -> None:
    nn.save(mlp(1, dtype=np.float64), tmp_path / "double")
    model = nn.load(mlp(2), tmp_path / "double")
    for parameter, source in zip(model.parameters(), mlp(1, dtype=np.float64).parameters(), strict=True):
        assert parameter.dtype == np.float32
        np.testing.assert_array_equal(parameter.data, source.data.astype(np.float32))


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    nn.save(mlp(), tmp_path / "model")
    (tmp_path / "other").touch()
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_pytorch_reads_the_file(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    for model in (mlp(), Mixed(0)):
        nn.save(model, tmp_path / "model.safetensors")
        tensors = load_file(tmp_path / "model.safetensors")
        state = model.state_dict()
        assert tensors.keys() == state.keys()
        for path, array in state.items():
            assert tensors[path].numpy().dtype == array.dtype
            assert tuple(tensors[path].shape) == array.shape
            np.testing.assert_array_equal(tensors[path].numpy(), array)


# Files that do not fit


def refuse(path: Path, message: str, model: nn.Module | None = None) -> str:
    """Assert that a file is refused, with its path in the message, and changes nothing."""
    model = mlp() if model is None else model
    before = bits(model)
    with pytest.raises(ValueError, match=message) as caught:
        nn.load(model, path)
    assert str(path) in str(caught.value)
    assert bits(model) == before
    return str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 50, 0.5, -9, -1], ids=str)
def test_truncated_files(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(mlp(1), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 if kept == 0.5 else int(kept)])
    refuse(path, "is not a complete safetensors file")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"weights: 1, 2, 3\n" * 20, id="text"),
        pytest.param(pickle.dumps({"layers.0.weight": [1.0]}), id="pickle"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(100), id="picture"),
        pytest.param((2).to_bytes(8, "little") + b"[]", id="header that is no object"),
        pytest.param((2**62).to_bytes(8, "little") + b"{}", id="header of enormous length"),
    ],
)
def test_foreign_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    refuse(path, "is not a complete safetensors file")


def test_a_file_with_more_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(mlp(1), path)
    path.write_bytes(path.read_bytes() + b"more")
    refuse(path, "is not a complete safetensors file")


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    refuse(path, "is not a complete safetensors file")
    assert listing(tmp_path) == ["model.safetensors"]


def test_a_file_of_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(mlp(1, sizes=(4, 5, 4, 2)), path)
    message = refuse(path, "does not fit the model: .* nothing was loaded into MLP")
    for problem in (
        "unexpected layers.4.weight",
        "unexpected layers.4.bias",
        "layers.0.weight has shape (4, 5), the model's (4, 3)",
        "layers.0.bias has shape (5,), the model's (3,)",
        "layers.2.weight has shape (5, 4), the model's (3, 2)",
        "layers.2.bias has shape (4,), the model's (2,)",
    ):
        assert problem in message


def test_a_file_of_a_smaller_model(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(mlp(1, sizes=(4, 3)), path)
    message = refuse(path, "does not fit the model")
    assert "missing layers.2.weight of shape (3, 2)" in message
    assert "missing layers.2.bias of shape (2,)" in message


# Damage


def altered(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def spread(content: bytes, seed: int) -> list[int]:
    """Draw bits of a file: of the length of its header, its header, each array."""
    rng = np.random.default_rng(seed)
    header = 8 + int.from_bytes(content[:8], "little")
    ranges = [(0, 8, 64), (8, header, 250), (header, len(content), 250)]
    return [int(bit) for low, high, count in ranges for bit in rng.integers(8 * low, 8 * high, count)]


@pytest.mark.parametrize("make", [mlp, Mixed])
def test_flipped_bits(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(make(1), path)
    content, saved = path.read_bytes(), bits(make(1))
    header = 8 + int.from_bytes(content[:8], "little")
    places = {
        name: (header + start, header + end)
        for name, entry in json.loads(content[8:header]).items()
        if name != "__metadata__"
        for start, end in [entry["data_offsets"]]
    }
    survived = 0
    for bit in spread(content, 0):
        path.write_bytes(altered(content, bit))
        model, message = make(2), ""
        before = bits(model)
        try:
            nn.load(model, path)
        except ValueError as error:
            message = str(error)
        named = [name for name, (start, end) in places.items() if start <= bit // 8 < end]
        assert bool(named) == (bit // 8 >= header)
        if message or named:
            assert str(path) in message
            assert all(f"is damaged: these are not what was written: array {name}" in message for name in named)
            assert bits(model) == before
        else:
            survived += 1
            assert bits(model) == saved
    assert survived < 60  # where the header is padded, and names what it is that checks


def test_two_arrays_that_have_changed_places(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1)), path)
    content = path.read_bytes()
    changed = content.replace(b'"layers.0.weight":', b'"layers.9.weight":', 1)
    changed = changed.replace(b'"layers.1.weight":', b'"layers.0.weight":', 1)
    path.write_bytes(changed.replace(b'"layers.9.weight":', b'"layers.1.weight":', 1))
    model = nn.Sequential(nn.Linear(2, 2, rng=2), nn.Linear(2, 2, rng=3))
    message = refuse(path, "is damaged", model)
    assert message.endswith("these are not what was written: array layers.0.weight, array layers.1.weight")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"a"', '{"array layers.0.bias": 3}', "{}"])
def test_digests_of_another_form(text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(mlp(1).state_dict(), path, {"autodiff.digests": text})
    refuse(path, "is damaged: ")


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_files_of_others_have_no_digests(metadata: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(mlp(1).state_dict(), path, metadata)
    assert bits(nn.load(mlp(2), path)) == bits(mlp(1))


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        nn.save(mlp(1), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_digest_does_not_depend_on_how_an_array_lies_in_memory() -> None:
    x = np.arange(12.0).reshape(3, 4)
    others = [np.asfortranarray(x), x.astype(">f8"), np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1]]
    assert {digest(other) for other in others} == {digest(x)}
    different = [
        x.T,
        x.ravel(),
        x.astype(np.float32),
        x.view(np.int64),
        x + np.eye(3, 4),
        np.zeros((0, 3)),
        np.zeros((3, 0)),
    ]
    assert len({digest(other) for other in different} | {digest(x)}) == 8


# Paths that cannot be read or written


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.safetensors"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        nn.load(mlp(), path)


def test_loading_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=tmp_path.name):
        nn.load(mlp(), tmp_path)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("missing/model.safetensors", FileNotFoundError, id="folder missing"),
        pytest.param("folder", OSError, id="path is a folder"),
        pytest.param("file/model.safetensors", NotADirectoryError, id="folder is a file"),
    ],
)
def test_unwritable_paths(name: str, error: type[OSError], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("as it was")
    with pytest.raises(error, match=f"cannot write .*{name}: \\w+") as caught:
        nn.save(mlp(), tmp_path / name)
    assert caught.value.errno is not None
    assert listing(tmp_path) == ["file", "folder"]
    assert listing(tmp_path / "folder") == []
    assert (tmp_path / "file").read_text() == "as it was"


# Accidents while writing


@pytest.mark.parametrize(
    "accident", [OSError(28, "No space left on device"), OSError("odd"), KeyboardInterrupt()], ids=repr
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("existing", [True, False], ids=["over a file", "anew"])
def test_an_accident_leaves_the_old_file_whole(
    existing: bool, call: str, accident: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    if existing:
        nn.save(mlp(1), path)
    calls = []

    def fail(*args: Any) -> None:
        calls.append(args)
        raise accident

    monkeypatch.setattr(os, call, fail)
    message = f"cannot write .*{path.name}: .*{accident.strerror or 'odd'}" if isinstance(accident, OSError) else None
    with pytest.raises(type(accident), match=message):
        nn.save(mlp(2), path)
    monkeypatch.undo()
    assert len(calls) == 1
    assert listing(tmp_path) == (["model.safetensors"] if existing else [])
    if existing:
        assert bits(nn.load(mlp(0), path)) == bits(mlp(1))


def test_the_file_is_on_the_disk_before_it_takes_its_name_and_then_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    events: list[Any] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        events.append(("fsync", "folder" if stat.S_ISDIR(status.st_mode) else status.st_size, path.exists()))
        fsync(descriptor)

    def watched_replace(source: Any, target: Any) -> None:
        events.append(("replace", Path(source).parent, path.exists()))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    nn.save(mlp(), path)
    assert events == [("fsync", path.stat().st_size, False), ("replace", tmp_path, False), ("fsync", "folder", True)]


def test_a_folder_that_cannot_be_written_out_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def of_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", of_files)
    nn.save(mlp(1), tmp_path / "model")
    assert bits(nn.load(mlp(2), tmp_path / "model")) == bits(mlp(1))


@pytest.mark.parametrize("call", [nn.save, nn.load])
def test_swapped_arguments_are_noticed(call: Any) -> None:
    name = call.__name__
    with pytest.raises(TypeError, match=f"{name}: expected a Module and then a path, got 'model"):
        call("model.safetensors", nn.MLP([2, 1], rng=0))
    for path in (None, 3, b"model"):
        with pytest.raises(TypeError, match=f"{name}: expected the path of a file, got {path!r}"):
            call(nn.MLP([2, 1], rng=0), path)
