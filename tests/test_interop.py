"""Models go to PyTorch and come back: the same outputs, the same files, and messages where they do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import nn
from nn.interop import from_torch, to_torch


class TwoPaths(nn.Module):
    """Layers under attributes, in a list, and nested."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.encoder = nn.Sequential(nn.Sequential(nn.Linear(4, 3, rng=rng), nn.Tanh()), nn.Linear(3, 3, rng=rng))
        self.layers = [nn.Linear(4, 3, bias=False, rng=rng), nn.Linear(3, 2, rng=rng)]

    def forward(self, x: Any) -> Any:
        return self.layers[1](self.encoder(x) + self.layers[0](x))


def network(kind: str, seed: int = 0) -> nn.Module:
    rng = np.random.default_rng(seed)
    if kind == "linear":
        return nn.Linear(4, 4, rng=rng)  # a square weight does not give itself away by its shape
    if kind == "mlp":
        return nn.MLP([4, 8, 8, 2], activation="tanh", rng=rng)
    if kind == "norms":
        return nn.Sequential(
            nn.Linear(4, 6, rng=rng), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5, rng=rng), nn.LayerNorm(5)
        )
    if kind == "shared":
        layer, norm = nn.Linear(4, 4, rng=rng), nn.BatchNorm1d(4)
        return nn.Sequential(layer, norm, nn.Tanh(), nn.Sequential(norm, layer), layer)
    if kind == "embedding":
        return nn.Sequential(nn.Embedding(7, 3, rng=rng), nn.Flatten(), nn.Linear(12, 2, rng=rng))
    return TwoPaths(seed)


KINDS = ["linear", "mlp", "norms", "shared", "embedding", "paths"]


def torch_network(kind: str) -> Any:
    torch = pytest.importorskip("torch")
    t = torch.nn
    if kind == "linear":
        return t.Linear(4, 4)
    if kind == "mlp":
        return t.Sequential(t.Linear(4, 8), t.Tanh(), t.Linear(8, 8), t.Tanh(), t.Linear(8, 2))
    if kind == "norms":
        return t.Sequential(t.Linear(4, 6), t.BatchNorm1d(6), t.ReLU(), t.Linear(6, 5), t.LayerNorm(5))
    if kind == "shared":
        layer, norm = t.Linear(4, 4), t.BatchNorm1d(4)
        return t.Sequential(layer, norm, t.Tanh(), t.Sequential(norm, layer), layer)
    if kind == "embedding":
        return t.Sequential(t.Embedding(7, 3), t.Flatten(), t.Linear(12, 2))

    class Paths(t.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = t.Sequential(t.Sequential(t.Linear(4, 3), t.Tanh()), t.Linear(3, 3))
            self.layers = t.ModuleList([t.Linear(4, 3, bias=False), t.Linear(3, 2)])

        def forward(self, x: Any) -> Any:
            return self.layers[1](self.encoder(x) + self.layers[0](x))

    return Paths()


def inputs(kind: str) -> Any:
    rng = np.random.default_rng(5)
    return rng.integers(7, size=(9, 4)) if kind == "embedding" else rng.normal(size=(9, 4)).astype(np.float32)


def torch_outputs(module: Any, x: Any) -> Any:
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return module.eval()(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pytorch_models_state_gives_its_outputs(kind: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs, ours, x = torch_network(kind), network(kind), inputs(kind)
    if kind in ("norms", "shared"):
        theirs(torch.from_numpy(x))  # moves the running numbers
    ours.load_state_dict(from_torch(ours, theirs.state_dict()))
    np.testing.assert_allclose(ours.eval()(x).data, torch_outputs(theirs, x), rtol=1e-5, atol=1e-6)
    # and back, bit for bit
    back = to_torch(ours)
    for name, tensor in theirs.state_dict().items():
        assert back[name].tobytes() == tensor.numpy().tobytes()
        assert back[name].shape == tuple(tensor.shape)
        assert back[name].dtype == tensor.numpy().dtype


@pytest.mark.parametrize("kind", KINDS)
def test_a_models_state_gives_its_outputs_in_pytorch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours, x = torch_network(kind), network(kind, seed=1), inputs(kind)
    ours(x)  # moves the running numbers
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(ours).items()})
    np.testing.assert_allclose(torch_outputs(theirs, x), ours.eval()(x).data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_either_open_in_the_other(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    files = pytest.importorskip("safetensors.torch")
    torch.manual_seed(1)
    theirs, ours, x = torch_network(kind), network(kind, seed=2), inputs(kind)

    files.save_model(theirs, tmp_path / "theirs.safetensors")
    ours.load_state_dict(from_torch(ours, safetensors.numpy.load_file(tmp_path / "theirs.safetensors")))
    np.testing.assert_allclose(ours.eval()(x).data, torch_outputs(theirs, x), rtol=1e-5, atol=1e-6)

    trained = network(kind, seed=3)
    safetensors.numpy.save_file(to_torch(trained), tmp_path / "ours.safetensors")
    theirs.load_state_dict(files.load_file(tmp_path / "ours.safetensors"))
    np.testing.assert_allclose(torch_outputs(theirs, x), trained.eval()(x).data, rtol=1e-5, atol=1e-6)

    # What `nn.save` wrote has our names and layout in PyTorch's hands too.
    nn.save(trained, tmp_path / "saved.safetensors")
    ours.load_state_dict({name: t.numpy() for name, t in files.load_file(tmp_path / "saved.safetensors").items()})
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(ours).items()})
    np.testing.assert_allclose(torch_outputs(theirs, x), trained.eval()(x).data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_is_bit_equal(kind: str) -> None:
    model = network(kind)
    state = from_torch(model, to_torch(model))
    for path, array in model.state_dict().items():
        assert state[path].tobytes() == array.tobytes()
        assert state[path].dtype == array.dtype


def test_names_and_shapes() -> None:
    assert {name: array.shape for name, array in to_torch(TwoPaths()).items()} == {
        "encoder.0.0.weight": (3, 4),
        "encoder.0.0.bias": (3,),
        "encoder.1.weight": (3, 3),
        "encoder.1.bias": (3,),
        "layers.0.weight": (3, 4),
        "layers.1.weight": (2, 3),
        "layers.1.bias": (2,),
    }


def test_arrays_are_contiguous_copies() -> None:
    model = nn.Linear(3, 2)
    arrays = to_torch(model)
    for array in arrays.values():
        assert array.flags.c_contiguous
        array[...] = 7
    assert not np.any(model.weight.data == 7)
    state = from_torch(model, arrays)
    state["bias"][...] = 8
    assert np.all(arrays["bias"] == 7)


def test_parameters_outside_of_layers_keep_their_layout() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(np.zeros((2, 3)))
            self.weights = [nn.Parameter(np.zeros((4, 5)))]

    assert {name: array.shape for name, array in to_torch(Table()).items()} == {"weight": (2, 3), "weights.0": (4, 5)}


def test_everything_that_does_not_fit_is_named() -> None:
    model = nn.MLP([4, 3, 2])
    with pytest.raises(ValueError, match="from_torch: the entries are not those of this MLP in PyTorch") as caught:
        from_torch(model, {"0.weight": np.zeros((4, 3)), "0.bias": np.zeros(3), "1.bias": [1.0], "2.bias": np.zeros(2)})
    for part in ("0.weight has shape (4, 3), not (3, 4)", "missing 2.weight of shape (2, 3)", "unexpected 1.bias"):
        assert part in str(caught.value)


def test_a_shared_layer_is_one_here() -> None:
    model = network("shared")
    state = to_torch(model)
    assert [name for name in state if name.endswith("weight")] == [
        "0.weight", "1.weight", "3.0.weight", "3.1.weight", "4.weight",
    ]  # fmt: skip
    del state["0.weight"], state["3.1.weight"]
    assert from_torch(model, state)["layers.0.weight"].tobytes() == model.layers[0].weight.data.tobytes()
    state["3.1.weight"] = state["4.weight"] + 1
    with pytest.raises(ValueError, match=r"PyTorch: 4\.weight differs from 3\.1\.weight, which is the same here$"):
        from_torch(model, state)
    del state["3.1.weight"], state["4.weight"]
    with pytest.raises(ValueError, match=r"PyTorch: missing 0\.weight of shape \(4, 4\)$"):
        from_torch(model, state)


def test_a_model_that_refers_to_itself() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(2, 3)
            self.loop = {"itself": self}

    assert list(to_torch(Loop())) == ["layer.weight", "layer.bias"]


def test_a_state_of_ours_is_not_taken_for_pytorchs() -> None:
    model = nn.MLP([3, 3])
    with pytest.raises(ValueError, match=r"missing 0.weight .* unexpected layers.0.weight"):
        from_torch(model, model.state_dict())


def test_what_is_no_model_or_state() -> None:
    with pytest.raises(TypeError, match="to_torch: the model must be a Module, got 3"):
        to_torch(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="from_torch: the model must be a Module, got"):
        from_torch({}, {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"from_torch: expected a dict of arrays by name, such as .*, got list"):
        from_torch(nn.Linear(1, 1), [])  # type: ignore[arg-type]


def test_tensors_that_numpy_cannot_hold() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(1, 1)
    for state in (dict(module.named_parameters()), module.to(torch.bfloat16).state_dict()):
        with pytest.raises(TypeError, match=r"weight cannot be made an array: .*try value\.detach"):
            from_torch(nn.Linear(1, 1), state)


def test_pytorch_is_not_imported() -> None:
    code = "import sys, nn, nn.interop; nn.interop.to_torch(nn.MLP([2, 1])); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
