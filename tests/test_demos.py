"""The chapters run: what they print, the files they write, the accuracy they reach, and how they refuse bad flags."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
pytest.importorskip("nbclient")

from demos import chapter
from tests.notebooks import run_notebook
from tests.ranks import finished, mpiexec

MAGIC = {
    "digits_learning_curves.png": rb"\x89PNG\r\n\x1a\n",
    "digits_confusion_matrix.png": rb"\x89PNG\r\n\x1a\n",
    "digits_misclassified.png": rb"\x89PNG\r\n\x1a\n",
    "digits_weights.png": rb"\x89PNG\r\n\x1a\n",
    "digits_graph.svg": rb"<\?xml[^>]*>.*<svg",
    "digits.safetensors": rb'.{7}\x00\{"',
}


def assert_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted(MAGIC)
    for name, magic in MAGIC.items():
        assert re.match(magic, (folder / name).read_bytes(), re.DOTALL), name


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give what the chapter defines, after a single epoch."""
    return chapter.run("digits", ["--epochs", "1", "--output", str(tmp_path_factory.mktemp("digits"))])


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the names of the pictures that would be shown: to draw them takes longer than to train."""
    shown: list[str] = []
    monkeypatch.setattr(chapter, "show", lambda picture, *names: shown.extend(names))
    return shown


def test_digits_are_recognized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    names, out, shown = run_notebook("digits", tmp_path, afresh=True)
    accuracy = names["accuracy"]
    assert accuracy >= 0.975
    assert f"test accuracy  {accuracy:.4f}" in out.splitlines()
    assert "40/40" in out  # the last state of the bar
    assert shown == ["image/png"] * 4 + ["text/html"]
    assert [path.name for path in (tmp_path / "output").iterdir()] == ["digits.safetensors"]
    model = nn.load(nn.MLP([64, 128, 10], rng=1), tmp_path / "output" / "digits.safetensors")
    assert nn.evaluate(model, names["X_test"], names["y_test"])[1] == accuracy


@pytest.mark.parametrize("name", ["learning_curves", "confusion_matrix", "weights"])
def test_the_gallery_has_a_small_picture(name: str) -> None:
    picture = (Path(__file__).parent.parent / "demos" / "gallery" / f"digits_{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) < 60_000


def test_same_seed_same_weights(tmp_path: Path, pictures: list[str]) -> None:
    flags = ["--epochs", "4", "--output", str(tmp_path), "--seed"]
    models = [chapter.run("digits", [*flags, seed])["model"] for seed in ("3", "3", "4")]
    one, again, other = ([array.tobytes() for array in model.state_dict().values()] for model in models)
    assert one == again != other


def test_hidden_layers_and_activations(tmp_path: Path, pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for activation in ("relu", "sigmoid", "tanh"):
        flags = ["--epochs", "2", "--hidden", "7", "5", "--activation", activation, "--output", str(tmp_path)]
        chapter.run("digits", flags)
        out = capsys.readouterr().out
        assert "MLP(64 → 7 → 5 → 10)" in out
        assert out.lower().count(f": {activation}()") == 2
        assert sorted([*pictures, "digits.safetensors"]) == sorted(MAGIC)
        pictures.clear()


def test_the_picture_of_mistakes_shows_images_and_probabilities(names: dict[str, Any]) -> None:
    X, y, draw_mistakes = names["X_test"], names["y_test"], names["draw_mistakes"]
    model = nn.MLP([64, 10], rng=0)
    wrong = np.flatnonzero(model(X).data.argmax(axis=1) != y)
    figure = draw_mistakes(model, X, y)
    assert figure.get_suptitle() == f"{len(wrong)} of 450 test images are misclassified; the first 48"
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 48
    k = wrong[47]
    np.testing.assert_array_equal(drawn[-1].images[0].get_array(), X[k].reshape(8, 8))
    probabilities = nn.functional.softmax(model(X).data)[k]
    said = probabilities.argmax()
    assert drawn[-1].get_title() == f"{y[k]}, read as {said}\n({probabilities[said]:.0%})"

    few = draw_mistakes(model, X[wrong[:3]], y[wrong[:3]])
    assert few.get_suptitle() == "3 of 3 test images are misclassified"
    assert len([ax for ax in few.axes if ax.images]) == 3

    right = model(X).data.argmax(axis=1) == y
    none = draw_mistakes(model, X[right], y[right])
    assert none.get_suptitle() == f"0 of {right.sum()} test images are misclassified"


def test_the_split_keeps_the_digits_in_proportion(names: dict[str, Any]) -> None:
    X_train, X_test, y_train, y_test = (names[name] for name in ("X_train", "X_test", "y_train", "y_test"))
    assert (len(X_train), len(X_test)) == (1347, 450)
    assert X_train.dtype == np.float32
    assert (X_train.min(), X_train.max()) == (0, 1)
    shares = [np.bincount(y, minlength=10) / len(y) for y in (y_train, y_test)]
    np.testing.assert_allclose(*shares, atol=0.003)
    assert not {row.tobytes() for row in X_train} & {row.tobytes() for row in X_test}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param(["--epochs", "0"], "--epochs: must be a positive integer, got '0'", id="no epochs"),
        pytest.param(["--epochs", "-1"], "--epochs: must be a positive integer, got '-1'", id="negative epochs"),
        pytest.param(["--epochs", "1.5"], "--epochs: must be a positive integer, got '1.5'", id="float epochs"),
        pytest.param(["--hidden", "x"], "--hidden: must be a positive integer, got 'x'", id="hidden is text"),
        pytest.param(["--hidden", "8", "0"], "--hidden: must be a positive integer, got '0'", id="hidden zero"),
        pytest.param(["--hidden"], "--hidden: expected at least one argument", id="hidden missing"),
        pytest.param(["--activation", "foo"], "--activation: invalid choice: 'foo'", id="unknown activation"),
        pytest.param(["--seed", "-1"], "--seed: must be an integer from 0 to 2**32 - 1, got '-1'", id="negative seed"),
        pytest.param(["--seed", str(2**32)], "--seed: must be an integer from 0 to 2**32 - 1", id="large seed"),
        pytest.param(["--output", "FILE/folder"], "--output: cannot write to", id="output under a file"),
        pytest.param(["--output", "FILE"], "--output: cannot write to", id="output is a file"),
        pytest.param(["--colour", "red"], "unrecognized arguments: --colour red", id="unknown flag"),
    ],
)
def test_bad_flags_are_refused_in_one_line(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "FILE").touch()
    flags = [flag.replace("FILE", str(tmp_path / "FILE")) for flag in flags]
    if "--output" not in flags:
        flags += ["--output", str(tmp_path / "output")]
    with pytest.raises(SystemExit) as caught:
        chapter.run("digits", flags)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_help_names_all_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        chapter.run("digits", ["--help"])
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    for flag in ("--epochs", "--hidden", "--activation", "--distributed", "--seed", "--output"):
        assert re.search(rf"^  {flag} ", out, re.MULTILINE), flag
    assert err == ""


def test_processes_train_together_and_one_of_them_prints_and_draws(tmp_path: Path, pictures: list[str]) -> None:
    pytest.importorskip("mpi4py")
    flags = ["--epochs", "2", "--output"]
    command = [*mpiexec(2), sys.executable, "-m", "demos.digits", "--distributed", *flags, str(tmp_path / "two")]
    returncode, out, err = finished(command, 90)
    assert returncode == 0, err
    lines = [line for line in out.splitlines() if line]
    assert [line for line in lines if line.startswith("processes")] == ["processes      2"]
    assert len(lines) == len(set(lines))
    assert_files(tmp_path / "two")
    two = nn.load(nn.MLP([64, 128, 10], rng=1), tmp_path / "two" / "digits.safetensors")
    one = chapter.run("digits", [*flags, str(tmp_path / "one")])["model"]
    for name, tensor in one.by_path().items():
        np.testing.assert_allclose(two.by_path()[name].data, tensor.data, rtol=0, atol=1e-5, err_msg=name)


def test_the_flag_distributed_needs_mpi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(SystemExit) as caught:
        chapter.run("digits", ["--distributed", "--output", str(tmp_path)])
    assert caught.value.code == 2
    assert '--distributed: needs mpi4py and MPI: pip install -e ".[distributed]"' in capsys.readouterr().err


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demos.digits", "--epochs", "1", "--output", tmp_path],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "TQDM_DISABLE": "1", "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert " ".join(done.stdout.split()).startswith(chapter.title("digits"))
    assert "\nMLP(64 → 128 → 10): 9,610 parameters\n" in done.stdout
    patterns = [
        r"parameters     9,610",
        r"time           \d+\.\d\d s for 1 epochs",
        r"images/second  [\d,]+",
        r"test accuracy  0\.\d{4}",
    ]
    assert re.search("\n\n" + "\n".join(patterns) + "\n\n", done.stdout)
    wrote = [line for line in done.stdout.splitlines() if line.startswith("wrote")]
    assert wrote == [f"wrote {tmp_path / name}" for name in MAGIC]
    assert_files(tmp_path)
