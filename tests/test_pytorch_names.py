"""What a user of PyTorch finds: losses, containers, hooks, L-BFGS and the like, and what to write where it differs."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.elsewhere import INSTEAD, explained, said_of_option
from nn import functional as F  # noqa: N812 (as there)
from nn import optim
from nn.losses import LossModule

RNG = np.random.default_rng(0)
ROWS, CLASSES = 6, 4
LOGITS = RNG.normal(size=(ROWS, CLASSES))
OTHERS = RNG.normal(size=(ROWS, CLASSES))
SHARES = RNG.random((ROWS, CLASSES))
LABELS = RNG.integers(CLASSES, size=ROWS)
CLASS_WEIGHTS = RNG.random(CLASSES)
REDUCTIONS = {"reduction": ["mean", "sum", "none"]}

# Of each loss: what it is given, and the values of its options, of which all combinations are compared.
GRIDS: dict[str, tuple[tuple[Any, ...], dict[str, list[Any]]]] = {
    "MSELoss": ((LOGITS, OTHERS), REDUCTIONS),
    "L1Loss": ((LOGITS, OTHERS), REDUCTIONS),
    "HuberLoss": ((LOGITS, OTHERS), REDUCTIONS | {"delta": [1.0, 0.3]}),
    "SmoothL1Loss": ((LOGITS, OTHERS), REDUCTIONS | {"beta": [1.0, 0.3, 0.0]}),
    "CrossEntropyLoss": (
        (LOGITS, LABELS),
        REDUCTIONS | {"weight": [None, CLASS_WEIGHTS], "ignore_index": [-100, 1], "label_smoothing": [0.0, 0.2]},
    ),
    "NLLLoss": ((LOGITS, LABELS), REDUCTIONS | {"weight": [None, CLASS_WEIGHTS], "ignore_index": [-100, 1]}),
    "BCELoss": ((SHARES, SHARES[::-1]), REDUCTIONS | {"weight": [None, CLASS_WEIGHTS]}),
    "BCEWithLogitsLoss": (
        (LOGITS, SHARES), REDUCTIONS | {"weight": [None, CLASS_WEIGHTS], "pos_weight": [None, CLASS_WEIGHTS]}
    ),
    "KLDivLoss": ((np.log(SHARES), SHARES[::-1]), {"reduction": ["mean", "sum", "none", "batchmean"]}),
    "GaussianNLLLoss": ((LOGITS, OTHERS, SHARES), REDUCTIONS | {"full": [False, True], "eps": [1e-6, 0.5]}),
    "PoissonNLLLoss": ((SHARES, LABELS[:, None] * np.ones(CLASSES)),
        REDUCTIONS | {"log_input": [True, False], "full": [False, True], "eps": [1e-8, 0.1]}),
}  # fmt: skip


def grid(options: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(options, values)) for values in itertools.product(*options.values()))


@pytest.mark.filterwarnings("ignore:reduction. .mean. divides")
@pytest.mark.parametrize("name", GRIDS)
def test_losses_are_pytorchs_over_all_options(name: str) -> None:
    torch = pytest.importorskip("torch")
    (first, *rest), options = GRIDS[name]
    for chosen in grid(options):
        x = ad.Tensor(first)
        loss = getattr(nn, name)(**chosen)
        value = loss(x, *rest)
        value.sum().backward()
        there = {key: torch.from_numpy(one) if isinstance(one, np.ndarray) else one for key, one in chosen.items()}
        y = torch.tensor(first, requires_grad=True)
        expected = getattr(torch.nn, name)(**there)(y, *(torch.from_numpy(np.array(one)) for one in rest))
        expected.sum().backward()
        np.testing.assert_allclose(value.data, expected.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=str(chosen))
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=str(chosen))
        assert np.array_equal(loss.as_function()(x, *rest).data, value.data)


@pytest.mark.parametrize("name", GRIDS)
def test_a_loss_has_the_options_of_its_function(name: str) -> None:
    kind = getattr(nn, name)
    of_function = inspect.signature(kind.function).parameters
    own = inspect.signature(kind).parameters
    assert {key: one.default for key, one in own.items()}.items() <= {
        key: one.default for key, one in of_function.items()
    }.items()
    missing = {*of_function} - {*own} - {"input", "target", "var", "weight"}
    assert not missing
    assert repr(kind()) == f"{name}()"
    assert repr(kind(reduction="sum")) == f"{name}(reduction='sum')"
    for option in own:  # each is refused when the Module is made
        with pytest.raises((TypeError, ValueError)):
            kind(**{option: "no such thing"})


def test_fit_takes_losses_as_modules_as_it_takes_their_functions() -> None:
    X, y = RNG.normal(size=(32, 4)), RNG.integers(3, size=32)

    def trained(loss: Any) -> list[float]:
        model = nn.MLP([4, 5, 3], rng=0)
        return nn.fit(model, X, y, loss=loss, epochs=2, batch_size=8, metrics=["accuracy"], rng=0).loss

    assert trained(nn.CrossEntropyLoss()) == trained("cross_entropy")
    assert trained(nn.CrossEntropyLoss(label_smoothing=0.1)) != trained("cross_entropy")
    with pytest.raises(TypeError, match="class labels must be integers, got float32"):
        nn.fit(nn.MLP([4, 3]), X, y.astype(float), loss=nn.CrossEntropyLoss())

    class Twice(nn.CrossEntropyLoss):
        def forward(self, input: Any, target: Any, *args: Any) -> Any:
            return 2 * super().forward(input, target, *args)

    class Smooth(nn.CrossEntropyLoss):
        label_smoothing = 0.1

        def __init__(self) -> None:
            pass

    assert trained(Smooth()) == trained(nn.CrossEntropyLoss(label_smoothing=0.1))
    hooked = nn.CrossEntropyLoss()
    hooked.register_forward_hook(lambda module, args, loss: 2 * loss)
    assert trained(Twice()) == trained(hooked) == trained(lambda x, y: 2 * F.cross_entropy(x, y))
    with pytest.raises(TypeError, match='weights need a loss that takes reduction="none"'):
        nn.fit(nn.MLP([4, 3]), X, y, loss=Twice(), class_weight="balanced")


@pytest.mark.parametrize("name", GRIDS)
def test_predictions_and_targets_that_have_changed_places(name: str) -> None:
    (first, target, *rest), _ = GRIDS[name]
    loss: LossModule = getattr(nn, name)()
    x = ad.Tensor(first)
    if loss.is_symmetric:
        assert float(loss(target, x)) == pytest.approx(float(loss(x, target)))
    else:
        with pytest.raises(TypeError, match=f"{name}: predictions come first and targets second, but the first"):
            loss(target, x, *rest)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.cross_entropy(LABELS, x), "cross_entropy: logits come first and labels second"),
        (lambda x: F.cross_entropy(LABELS, x.data), "cross_entropy: logits come first and labels second"),
        (lambda x: F.cross_entropy(LABELS > 1, x), "cross_entropy: logits come first and labels second"),
        (lambda x: F.nll_loss(LABELS, x), "nll_loss: logits come first and labels second"),
        (lambda x: F.binary_cross_entropy(LABELS, x[:, 0]), "binary_cross_entropy: predictions come first"),
        (lambda x: F.binary_cross_entropy_with_logits(LABELS > 1, x[:, 0]), "_with_logits: predictions come first"),
        (lambda x: F.kl_div(LABELS, x[:, 0]), "kl_div: predictions come first and targets second"),
        (lambda x: F.poisson_nll_loss(LABELS, x[:, 0]), "poisson_nll_loss: predictions come first"),
        (lambda x: F.gaussian_nll_loss(LABELS, x[:, 0], np.ones(ROWS)), "gaussian_nll_loss: predictions come first"),
    ],
)
def test_functions_say_so_where_it_can_be_known(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(ad.Tensor(LOGITS))


# Containers


def named() -> nn.Sequential:
    return nn.Sequential(OrderedDict(hidden=nn.Linear(2, 3, rng=0), act=nn.Tanh(), out=nn.Linear(3, 1, rng=1)))


def test_sequential_as_a_list() -> None:
    layers = [nn.Linear(2, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1)]
    model = nn.Sequential(*layers)
    assert len(model) == 3
    assert list(model) == layers
    assert (model[0], model[-1]) == (layers[0], layers[2])
    names = [parameter.name for parameter in model.parameters()]
    part = model[:2]
    assert type(part) is nn.Sequential
    assert list(part) == layers[:2]
    assert [parameter.name for parameter in model.parameters()] == names  # a slice gives no other names
    assert type(nn.MLP([2, 3, 1])[:2]) is nn.Sequential
    x = np.ones((1, 2), np.float32)
    np.testing.assert_array_equal(part(x).data, layers[1](layers[0](x)).data)
    assert model.append(nn.ReLU()).extend([nn.Identity()]) is model
    del model[-1]
    model[1] = nn.Sigmoid()
    assert [type(layer).__name__ for layer in model] == ["Linear", "Sigmoid", "Linear", "ReLU"]
    with pytest.raises(IndexError):
        model[4]
    for call in (lambda: model.append(np.tanh), lambda: model.__setitem__(0, 3), lambda: nn.Sequential(3)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="Sequential: a layer must be a Module, got"):
            call()
    assert len(model) == 4
    assert bool(nn.Sequential())  # as any other Module
    assert [type(one).__name__ for one in nn.Sequential(layers[0], layers[1], layers[0]).children()] == [
        "Linear", "Tanh"
    ]  # fmt: skip


def test_sequential_with_names() -> None:
    torch = pytest.importorskip("torch")
    model = named()
    theirs = torch.nn.Sequential(
        OrderedDict(hidden=torch.nn.Linear(2, 3), act=torch.nn.Tanh(), out=torch.nn.Linear(3, 1))
    )
    arrays = {name: torch.from_numpy(array) for name, array in nn.to_torch(model).items()}
    assert list(arrays) == list(theirs.state_dict())
    theirs.load_state_dict(arrays)
    x = np.ones((1, 2), np.float32)
    np.testing.assert_allclose(model(x).data, theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)
    assert model.hidden is model[0]
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin(x).data, model(x).data)
    model.hidden = nn.Linear(2, 3, rng=5)
    assert model[0] is model.hidden
    assert model.parameters()[0].name == "layers.hidden.weight"
    model.append(nn.ReLU())
    assert [path for path, _ in model.named_children()][-1] == "layers.3"
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'other'"):
        _ = model.other
    for name, error in (("a.b", ValueError), ("", ValueError), ("forward", ValueError), ("layers", ValueError),
                        (3, TypeError)):  # fmt: skip
        with pytest.raises(error, match="Sequential: "):
            nn.Sequential({name: nn.Tanh()})
    counted = nn.Sequential({"0": nn.Tanh(), "1": nn.ReLU(), "2": nn.GELU()})
    del counted[0]
    counted.extend([nn.SiLU(), nn.Identity()])
    assert [path for path, _ in counted.named_children()] == ["layers.1", "layers.2", "layers.3", "layers.4"]


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(2, 2, rng=k) for k in range(2))
        self.heads = nn.ModuleDict({"mean": nn.Linear(2, 1, rng=2)})

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = np.tanh(block(x))
        return self.heads["mean"](x)


def test_lists_and_dicts_of_modules() -> None:
    model = Branches()
    model.blocks.append(nn.Linear(2, 2, rng=3))
    model.heads.update({"spread": nn.Linear(2, 1, rng=4)})
    paths = [f"blocks.{k}.{name}" for k in range(3) for name in ("weight", "bias")]
    paths += [f"heads.{head}.{name}" for head in ("mean", "spread") for name in ("weight", "bias")]
    assert list(model.state_dict()) == list(nn.to_torch(model)) == paths  # as there
    assert [type(child).__name__ for child in model.children()] == ["ModuleList", "ModuleDict"]
    assert len(model.blocks.parameters()) == 6
    assert (list(model.heads), len(model.heads), "mean" in model.heads) == (["mean", "spread"], 2, True)
    assert [*model.heads.keys()] == [name for name, _ in model.heads.items()]
    model = Branches()
    model.tied = model.blocks[0].weight
    assert [parameter.name for parameter in model.parameters()] == list(model.state_dict())
    X, y = RNG.normal(size=(16, 2)), RNG.normal(size=(16, 1))
    losses = [
        nn.fit(Branches(), X, y, loss="mse_loss", epochs=2, batch_size=4, compile=compile, rng=0).loss
        for compile in (False, True)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    del model.heads["mean"]
    with pytest.raises(KeyError):
        model(X)
    with pytest.raises(TypeError, match="ModuleDict: a layer must be a Module, got 3"):
        model.heads["x"] = 3
    with pytest.raises(ValueError, match=r"a layer's name is a part of paths, without a dot, got 'a\.b'"):
        model.heads["a.b"] = nn.Tanh()
    with pytest.raises(NotImplementedError, match="ModuleList must define forward"):
        model.blocks(X)


def test_a_state_that_is_not_whole() -> None:
    torch = pytest.importorskip("torch")
    model, theirs = nn.Linear(2, 1, rng=0), torch.nn.Linear(2, 1)
    keys = model.load_state_dict({"bias": [1.0], "scale": 2.0}, strict=False)
    theirs_keys = theirs.load_state_dict({"bias": torch.ones(1), "scale": torch.ones(1)}, strict=False)
    assert keys.missing_keys == theirs_keys.missing_keys == ["weight"]
    assert keys.unexpected_keys == theirs_keys.unexpected_keys == ["scale"]
    assert model.bias.item() == 1
    with pytest.raises(ValueError, match="bias has shape"):
        model.load_state_dict({"bias": [1.0, 2.0]}, strict=False)
    with pytest.raises(TypeError, match="strict must be True or False"):
        model.load_state_dict({}, strict="no")
    assert model.load_state_dict(model.state_dict()) == ([], [])


def test_gradients_are_forgotten_or_zero() -> None:
    model = nn.Linear(2, 1, rng=0)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for owner in (model, optimizer):
        model(np.ones((1, 2))).sum().backward()
        owner.zero_grad(set_to_none=False)
        assert all(not p.grad.any() and p.grad.dtype == p.dtype for p in model.parameters())
        owner.zero_grad()
        assert all(p.grad is None for p in model.parameters())
        with pytest.raises(TypeError, match="set_to_none must be True or False"):
            owner.zero_grad(set_to_none="yes")


# Hooks


def test_forward_hooks_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    outputs = []
    for identity, x in ((nn.Identity(), ad.Tensor([1.0, 2.0])), (torch.nn.Identity(), torch.tensor([1.0, 2.0]))):
        seen: list[Any] = []
        before = identity.register_forward_pre_hook(lambda module, args: args[0] + 1)
        identity.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
        after = identity.register_forward_hook(lambda module, args, output: output * args[0])
        identity.register_forward_hook(lambda module, args, output, seen=seen: seen.append(output.tolist()))
        results = [identity(x).tolist()]
        before.remove()
        before.remove()
        results.append(identity(x).tolist())
        after.remove()
        results.append(identity(x).tolist())
        outputs.append([seen, results])
    assert outputs[0] == outputs[1]
    assert outputs[0][1] == [[16, 36], [4, 16], [2, 4]]
    for call in (nn.Identity().register_forward_hook, nn.Identity().register_forward_pre_hook):
        for hook in (3, nn.Tanh()):
            with pytest.raises(TypeError, match=r"a hook is a function of the module"):
                call(hook)  # type: ignore[arg-type]


def test_forward_hooks_in_training_and_in_compiled_steps() -> None:
    X, y = RNG.normal(size=(64, 2)), RNG.normal(size=(64, 1))
    model = nn.MLP([2, 3, 1], activation="tanh", rng=0)
    compiled = ad.compile(lambda x: model(x), state=model)
    before = compiled(X).data
    calls: list[int] = []
    hook = model[0].register_forward_hook(lambda module, args, output: calls.append(len(output)) or output * 2)
    hooked = compiled(X).data
    np.testing.assert_allclose(hooked, model(X).data, rtol=1e-5)
    assert np.abs(hooked - before).max() > 0.01
    calls.clear()
    nn.fit(model, X, y, loss="mse_loss", epochs=40, batch_size=4, rng=0)  # enough steps to be compiled without hooks
    assert len(calls) >= 40 * 16
    hook.remove()
    np.testing.assert_allclose(compiled(X).data, model(X).data, rtol=1e-5)
    assert "_hooks" in vars(copy.deepcopy(model[0]))
    pickle.loads(pickle.dumps(model))


# Optimizers, vectors, first weights


def test_lbfgs_finds_pytorchs_minimum() -> None:
    torch = pytest.importorskip("torch")
    X = RNG.normal(size=(40, 3))
    y = (X[:, 0] + 0.5 * RNG.normal(size=40) > 0).astype(float)
    w, b = ad.Tensor(np.zeros(3)), ad.Tensor(0.0)
    v, c = (
        torch.zeros(3, dtype=torch.float64, requires_grad=True),
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )
    ours = optim.LBFGS([w, b], lr=1, max_iter=100, tolerance_grad=1e-10, tolerance_change=1e-15)
    theirs = torch.optim.LBFGS(
        [v, c], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-10, tolerance_change=1e-15
    )

    def closure() -> Any:
        ours.zero_grad()
        loss = F.binary_cross_entropy_with_logits(X @ w + b, y) + 0.1 * (w @ w)
        loss.backward()
        return loss

    def their_closure() -> Any:
        theirs.zero_grad()
        logits = torch.from_numpy(X) @ v + c
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(y)) + 0.1 * (v @ v)
        loss.backward()
        return loss

    for _ in range(2):
        first, their_first = ours.step(closure), theirs.step(their_closure)
        assert first.item() == pytest.approx(their_first.item(), abs=1e-8)
    np.testing.assert_allclose(w.data, v.detach().numpy(), atol=1e-6)
    assert ours.state_dict()["parameters.0.step"] == 2
    other = optim.LBFGS([w, b])
    other.load_state_dict(ours.state_dict())
    assert other.param_groups[0]["max_iter"] == 100


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: optim.LBFGS([p], lr=0.1), ValueError, "lr must be 1, since a line search finds"),
        (lambda p: optim.LBFGS([p], max_iter=0), ValueError, "max_iter must be a positive integer"),
        (lambda p: optim.LBFGS([p], line_search_fn="armijo"), ValueError, "unknown line_search_fn 'armijo'"),
        (lambda p: optim.LBFGS([{"params": [p]}, {"params": [ad.Tensor(1.0)]}]), ValueError, "got 2 groups"),
        (lambda p: optim.LBFGS([p]).step(), TypeError, "LBFGS.step: give it a closure"),
        (lambda p: optim.LBFGS([p]).step(3), TypeError, "LBFGS.step: the closure must be a function"),
        (lambda p: optim.LBFGS([p]).step(lambda: (p * p).sum()), ValueError, "calls loss.backward() and returns"),
        (lambda p: optim.LBFGS([p]).step(lambda: 3), TypeError, "LBFGS.step: the closure must return the loss"),
        (lambda p: optim.LBFGS([p]).step(lambda: 1 / 0), ZeroDivisionError, "division"),
        (lambda p: nn.utils.vector_to_parameters(np.ones(3), [p]), ValueError, "have 2 elements together"),
        (lambda p: nn.utils.vector_to_parameters([1j, 2], [p]), TypeError, "a vector of complex128 does not fit"),
        (lambda p: nn.utils.vector_to_parameters([1.0, 2.0], [3]), TypeError, "a parameter must be a Tensor"),
        (lambda p: nn.utils.parameters_to_vector([]), ValueError, "there are no parameters"),
        (lambda p: nn.utils.parameters_to_vector(p), TypeError, "must be a list of Tensors"),
        (lambda p: nn.init.xavier_uniform_(p), ValueError, "weights have the shape (fan_in, fan_out)"),
        (lambda p: nn.init.zeros_(p.data), TypeError, "constant_: expected a Tensor"),
        (lambda p: nn.init.kaiming_normal_(p, mode="fan"), ValueError, "unknown mode 'fan'"),
        (lambda p: nn.init.kaiming_normal_(p, nonlinearity="selu"), ValueError, "unknown nonlinearity 'selu'"),
        (lambda p: nn.init.normal_(p, std=-1.0), ValueError, "std must be at least 0"),
        (lambda p: nn.init.uniform_(p, 2.0, 1.0), ValueError, "b must be finite, and at least a"),
        (lambda p: F.one_hot([0, 3], 3), ValueError, "labels must lie from 0 to 2, got 3"),
        (lambda p: F.one_hot([-1]), ValueError, "one_hot: "),
        (lambda p: F.one_hot(p), TypeError, "class labels must be integers, got float64"),
        (lambda p: F.one_hot(np.zeros(0, int)), ValueError, "give num_classes="),
    ],
)
def test_bad_input(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    parameter = ad.Tensor([1.0, 2.0])
    with pytest.raises(error, match=re.escape(message)):
        call(parameter)
    np.testing.assert_array_equal(parameter.data, [1, 2])


def test_parameters_as_a_vector() -> None:
    model = nn.MLP([2, 3, 1], rng=0)
    vector = nn.utils.parameters_to_vector(model.parameters())
    (vector @ np.arange(13.0)).backward()
    np.testing.assert_array_equal(np.concatenate([p.grad.ravel() for p in model.parameters()]), np.arange(13))
    nn.utils.vector_to_parameters(2 * vector, model.parameters())
    np.testing.assert_allclose(nn.utils.parameters_to_vector(model.parameters()).data, 2 * vector.data, rtol=1e-7)
    assert all(parameter.dtype == np.float32 for parameter in model.parameters())


def test_first_weights_in_place_have_pytorchs_spread() -> None:
    torch = pytest.importorskip("torch")
    shape = (300, 200)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("xavier_uniform_", {"gain": 2.0}), ("xavier_normal_", {}), ("kaiming_uniform_", {}),
        ("kaiming_uniform_", {"a": 0.5, "mode": "fan_out"}), ("kaiming_normal_", {"nonlinearity": "tanh"}),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}), ("uniform_", {"a": -2.0, "b": 3.0}),
        ("normal_", {"mean": 1.0, "std": 0.1}), ("constant_", {"val": 0.5}), ("zeros_", {}), ("ones_", {}),
    ]  # fmt: skip
    torch.manual_seed(0)
    for name, options in calls:
        w, v = ad.Tensor(np.zeros(shape, np.float32)), torch.zeros(shape[::-1])
        rng = {} if name in ("constant_", "zeros_", "ones_") else {"rng": 0}
        assert getattr(nn.init, name)(w, **options, **rng) is w
        getattr(torch.nn.init, name)(v, **options)
        assert w.dtype == np.float32
        np.testing.assert_allclose(
            [w.data.mean(), w.data.std(), abs(w.data).max()], [v.mean(), v.std(), v.abs().max()], rtol=0.12, atol=0.01
        )


def test_one_hot_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for labels, classes in ((LABELS, -1), (LABELS, 6), (LABELS.reshape(2, 3), 4), (np.int32(2), 5)):
        expected = torch.nn.functional.one_hot(torch.tensor(np.asarray(labels, np.int64)), classes).numpy()
        actual = F.one_hot(labels, classes)
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == expected.dtype


# What differs


PLACES: dict[str, Any] = {
    "Tensor": ad.Tensor([1.0]), "Module": nn.Linear(1, 1), "autodiff": ad, "nn": nn, "nn.functional": F,
    "nn.optim": optim, "nn.optim.lr_scheduler": optim.lr_scheduler, "nn.init": nn.init, "nn.utils": nn.utils,
    "nn.data": nn.data, "nn.parallel": nn.parallel,
}  # fmt: skip


def test_every_name_that_is_not_here_says_what_to_write() -> None:
    assert {*PLACES, "option"} == {*INSTEAD}
    for where, place in PLACES.items():
        for name, text in INSTEAD[where].items():
            assert not hasattr(place, name), (where, name)
            assert name not in dir(place)
            with pytest.raises(AttributeError, match=re.escape(text)) as caught:
                getattr(place, name)
            assert caught.value.name == name
    assert not hasattr(ad.Tensor, "cpu")
    assert "write x.copy()" in repr(vars(ad.Tensor)["clone"])  # which help() shows
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'other'$"):
        _ = ad.Tensor(1.0).other


def test_options_of_these_names_that_a_function_has_are_its_own() -> None:
    x = ad.Tensor([1.0, 2.0])

    @ad.primitive
    def scaled(x: Any, dim: int = 0, seed: int = 0) -> Any:
        return x * 2

    ad.defvjp(scaled, lambda g, out, x, **options: g * 2)
    with pytest.raises(NotImplementedError, match="scaled with dim= has no derivative rule"):
        scaled(x, dim=1)
    ad.defvjp(scaled, lambda g, out, x, dim=0, seed=0: g * 2)
    scaled(x, dim=1, seed=3).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 2])
    np.testing.assert_array_equal(np.zeros_like(x, device="cpu"), [0, 0])


def test_names_that_are_missing_cost_nothing_elsewhere() -> None:
    # A __getattr__ would make each search for an attribute slower.
    assert not hasattr(ad.Tensor, "__getattr__")
    assert not hasattr(nn.Module, "__getattr__")

    class Own(nn.Module):  # a user's own names are theirs
        device = "here"

        def __init__(self) -> None:
            self.cpu = 2

        def to(self, where: str) -> str:
            return where

    own = Own()
    assert (own.device, own.cpu, own.to("there")) == ("here", 2, "there")
    assert {"device", "cpu", "to"} <= {*dir(own)}

    class Placed:
        kinds = ("main",)

        def to(self, where: str) -> str:
            return where

        @property
        def device(self) -> str:
            return "main"

        @classmethod
        def compile(cls) -> tuple[str, ...]:
            return cls.kinds

    class Mixed(nn.Module, Placed):  # bases that come later have theirs
        pass

    mixed = Mixed()
    assert (mixed.to("there"), mixed.device) == ("there", "main")
    assert mixed.compile() == Mixed.compile() == ("main",)
    assert {*dir(mixed)} & {*INSTEAD["Module"]} == {"to", "device", "compile"}
    with pytest.raises(AttributeError, match="'Mixed' object has no attribute 'cuda'; all arrays are in main memory"):
        _ = mixed.cuda
    assert explained.__doc__


def test_probing_libraries_find_what_they_did() -> None:
    pandas = pytest.importorskip("pandas")
    x = ad.Tensor([1.0, 2.0], requires_grad=False)
    assert np.asarray(x).tolist() == [1, 2]
    assert pandas.Series(np.asarray(x)).sum() == 3
    with pytest.raises(TypeError, match="requires a gradient"):
        np.asarray(ad.Tensor(1.0))
    for name in (
        "_repr_html_",
        "_ipython_display_",
        "_repr_mimebundle_",
        "__dataframe__",
        "__array_namespace__",
        "dask",
    ):
        assert not hasattr(x, name)
        assert not hasattr(nn.Linear(1, 1), name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.sum(dim=1), "sum has no option dim=; write axis=1"),
        (lambda x: x.mean(1, keepdim=True), "mean has no option keepdim=; write keepdims=True"),
        (lambda x: x.argmax(dim=1), "argmax has no option dim=; write axis=1"),
        (lambda x: x.cumsum(dim=0), "cumsum has no option dim=; write axis=0"),
        (lambda x: F.softmax(x, dim=1), "softmax: there is no option dim=; write axis=1"),
        (lambda x: F.log_softmax(x, dim=-1), "log_softmax: there is no option dim=; write axis=-1"),
        (lambda x: nn.Softmax(dim=1), "Softmax: there is no option dim=; write axis=1"),
        (lambda x: nn.Identity(3), "Identity: it takes no arguments, got 1"),
        (lambda x: nn.Identity(size=3), "Identity: it takes no arguments, got 1"),
        (lambda x: nn.ReLU(inplace=True), "ReLU: there is no option inplace=; nothing is changed in place"),
        (lambda x: nn.Linear(2, 3, device="cpu"), "Linear: there is no option device=; all arrays are in main"),
        (lambda x: nn.Linear(2, 3, bais=False), "Linear: there is no option bais=; did you mean bias=?"),
        (lambda x: optim.Adam([x], learning_rate=1e-3), "Adam: there is no option learning_rate=; write lr=0.001"),
        (lambda x: optim.SGD([x], momentun=0.9), "SGD: there is no option momentun=; did you mean momentum=?"),
        (lambda x: optim.StepLR(optim.SGD([x]), stepsize=3), "StepLR: there is no option stepsize=; did you mean step"),
        (lambda x: nn.CrossEntropyLoss(label_smothing=0.1), "did you mean label_smoothing=?"),
        (lambda x: F.mse_loss(x, x.data, size_average=False), 'mse_loss: there is no option size_average=; write red'),
        (lambda x: x.size(), "size: it is a number, that of all elements; write x.shape"),
        (lambda x: x.size(0), "write x.shape[0]"),
        (lambda x: x.view(3, 2), "use x.reshape(shape)"),
    ],
)  # fmt: skip
def test_options_that_are_not_here_say_which_is_meant(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        call(ad.Tensor(np.ones((2, 3))))


def test_options_of_the_table_are_options_of_nothing() -> None:
    kinds = [kind for kind in vars(nn).values() if isinstance(kind, type) and issubclass(kind, nn.Module)]
    own = {name for kind in kinds for name in inspect.signature(kind.__init__).parameters}
    own |= {name for function in vars(F).values() if inspect.isfunction(function)
            for name in inspect.signature(function).parameters}  # fmt: skip
    assert not own & {*INSTEAD["option"]}
    assert said_of_option("dim", 1) == "; write axis=1"


def test_mlp_takes_functions_and_modules_as_activations() -> None:
    x = RNG.normal(size=(5, 2)).astype(np.float32)
    expected = nn.MLP([2, 3, 1], activation="tanh", rng=0)
    for activation in (np.tanh, F.tanh, nn.Tanh, nn.Tanh()):
        model = nn.MLP([2, 3, 1], activation=activation, rng=0)
        assert type(model[1]) is nn.Tanh
        np.testing.assert_array_equal(model(x).data, expected(x).data)
    model = nn.MLP([2, 3, 3, 1], activation=lambda x: np.sin(3 * x), rng=0)
    hidden = np.sin(3 * model[0](x))
    np.testing.assert_allclose(model(x).data, model[4](np.sin(3 * model[2](hidden))).data, rtol=1e-6)
    leaky = nn.LeakyReLU(0.3)
    model = nn.MLP([2, 3, 3, 1], activation=leaky, rng=0)
    assert model[1] is model[3] is leaky
    assert "Function(sin)" in repr(nn.MLP([2, 3, 1], activation=np.sin))
    y = RNG.normal(size=(5, 1))
    assert nn.fit(nn.MLP([2, 3, 1], activation=np.sin, rng=0), x, y, loss="mse_loss", epochs=2, rng=0).loss
    with pytest.raises(TypeError, match="MLP: activation must be one of the texts"):
        nn.MLP([2, 3, 1], activation=int)  # type: ignore[arg-type]
