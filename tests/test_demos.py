"""The chapters run: what they print, the files they write, the accuracy they reach, and how they refuse bad flags."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nn

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

from demos import digits
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


def test_digits_are_recognized(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "folder"
    accuracy = digits.main(["--output", str(folder)])
    assert accuracy is not None
    assert accuracy >= 0.975
    assert_files(folder)
    out, err = capsys.readouterr()
    assert f"test accuracy  {accuracy:.4f}" in out.splitlines()
    assert err == ""

    _, X_test, _, y_test = digits.digits(0)
    model = nn.load(nn.MLP([64, 128, 10], rng=1), folder / "digits.safetensors")
    assert nn.evaluate(model, X_test, y_test)[1] == accuracy


@pytest.mark.parametrize("name", ["learning_curves", "confusion_matrix", "weights"])
def test_the_gallery_has_a_small_picture(name: str) -> None:
    picture = (Path(__file__).parent.parent / "demos" / "gallery" / f"digits_{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) < 60_000


def test_same_seed_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[nn.Module] = []
    monkeypatch.setattr(digits, "write_results", lambda folder, model, *others: models.append(model) or [])
    for seed in ("3", "3", "4"):
        digits.main(["--epochs", "4", "--seed", seed, "--output", str(tmp_path)])
    one, again, other = ([array.tobytes() for array in model.state_dict().values()] for model in models)
    assert one == again != other


def test_hidden_layers_and_activations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for activation in ("relu", "sigmoid", "tanh"):
        digits.main(["--epochs", "2", "--hidden", "7", "5", "--activation", activation, "--output", str(tmp_path)])
        out = capsys.readouterr().out
        assert "MLP(64 → 7 → 5 → 10)" in out
        assert out.lower().count(f": {activation}()") == 2
        assert_files(tmp_path)
        monkeypatch.setattr(digits, "write_results", lambda *results: [])  # with others the pictures are the same ones


def test_the_picture_of_mistakes_shows_images_and_probabilities() -> None:
    _, X, _, y = digits.digits(0)
    model = nn.MLP([64, 10], rng=0)
    wrong = np.flatnonzero(model(X).data.argmax(axis=1) != y)
    figure = digits.draw_mistakes(model, X, y)
    assert figure.get_suptitle() == f"{len(wrong)} of 450 test images are misclassified; the first 48"
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 48
    k = wrong[47]
    np.testing.assert_array_equal(drawn[-1].images[0].get_array(), X[k].reshape(8, 8))
    probabilities = nn.functional.softmax(model(X).data)[k]
    said = probabilities.argmax()
    assert drawn[-1].get_title() == f"{y[k]}, read as {said}\n({probabilities[said]:.0%})"

    few = digits.draw_mistakes(model, X[wrong[:3]], y[wrong[:3]])
    assert few.get_suptitle() == "3 of 3 test images are misclassified"
    assert len([ax for ax in few.axes if ax.images]) == 3


def test_a_picture_of_no_mistakes() -> None:
    _, X, _, y = digits.digits(0)
    model = nn.MLP([64, 10], rng=0)
    right = model(X).data.argmax(axis=1) == y
    figure = digits.draw_mistakes(model, X[right], y[right])
    assert figure.get_suptitle() == f"0 of {right.sum()} test images are misclassified"


def test_the_split_keeps_the_digits_in_proportion() -> None:
    X_train, X_test, y_train, y_test = digits.digits(0)
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
        digits.main(flags)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]


def test_help_names_all_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        digits.main(["--help"])
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    for flag in ("--epochs", "--hidden", "--activation", "--distributed", "--seed", "--output"):
        assert re.search(rf"^  {flag} ", out, re.MULTILINE), flag
    assert err == ""


def test_processes_train_together_and_one_of_them_prints_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mpi4py")
    flags = ["--epochs", "2", "--output"]
    command = [*mpiexec(2), sys.executable, "-m", "demos.digits", "--distributed", *flags, str(tmp_path / "two")]
    returncode, out, err = finished(command, 90)
    assert returncode == 0, err
    lines = out.splitlines()
    assert [line for line in lines if line.startswith(("processes", "MLP"))] == [lines[0], "processes      2"]
    assert len(lines) == len(set(lines) - {""}) + 1
    assert_files(tmp_path / "two")
    two = nn.load(nn.MLP([64, 128, 10], rng=1), tmp_path / "two" / "digits.safetensors")
    trained = []
    monkeypatch.setattr(digits, "write_results", lambda folder, model, *others: trained.append(model) or [])
    digits.main([*flags, str(tmp_path / "one")])
    for name, tensor in trained[0].by_path().items():
        np.testing.assert_allclose(two.by_path()[name].data, tensor.data, rtol=0, atol=1e-5, err_msg=name)


def test_the_flag_distributed_needs_mpi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(SystemExit) as caught:
        digits.main(["--distributed", "--output", str(tmp_path)])
    assert caught.value.code == 2
    assert '--distributed: needs mpi4py and MPI: pip install -e ".[distributed]"' in capsys.readouterr().err


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demos.digits", "--epochs", "1", "--output", tmp_path],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    model, results = done.stdout.split("\n\n")
    assert model.startswith("MLP(64 → 128 → 10): 9,610 parameters\n")
    patterns = [
        r"parameters     9,610",
        r"time           \d+\.\d\d s for 1 epochs",
        r"images/second  [\d,]+",
        r"test accuracy  0\.\d{4}",
        *(rf"wrote          {re.escape(str(tmp_path / name))}" for name in MAGIC),
    ]
    lines = results.splitlines()
    assert len(lines) == len(patterns)
    for line, pattern in zip(lines, patterns):
        assert re.fullmatch(pattern, line), line
    assert_files(tmp_path)
