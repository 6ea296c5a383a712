"""Steps compiled to machine code: results within rounding, and the same errors and state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn
from autodiff import Tensor
from autodiff.arrays.activations import sigmoid
from autodiff.compiler import compile
from autodiff.core.record import data_of
from autodiff.transforms.containers import walk
from tests.cases import CASES, Case
from tests.compiler.programs import RandomStep, assert_same_random_step
from tests.compiler.test_steps import is_refused
from tests.test_rules import is_float, several, weighted_sum

F = nn.functional
SAMPLE = 30  # one case in so many of the table,
LONG, OF_LONG = 25, 90  # and in so many of those with more calls, of the same functions, that take seconds to compile
TROUBLESOME = ("nansum of a number", "nanmean of a number")
PROGRAMS = 14  # which have eight cases each, since each program takes a quarter of a second more


def assert_close(found: Any, wanted: Any, relative: float, name: str = "") -> None:
    wanted, found = np.asarray(wanted), np.asarray(found)
    assert found.shape == wanted.shape, name
    assert found.dtype == wanted.dtype, name
    scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0)) if wanted.dtype.kind == "f" else 0
    np.testing.assert_allclose(found, wanted, rtol=relative, atol=relative * scale, err_msg=name)


def assert_same_training(make: Callable[[], tuple[Any, Any, Callable[..., Any]]], *batches: Any, calls: int = 4) -> Any:
    """Train twice from the same start, eagerly and compiled, and compare the losses and the state."""
    model, optimizer, step = make()
    other, other_optimizer, eager = make()
    compiled = compile(step, state=(model, optimizer), backend="numba")
    for _ in range(calls):
        assert_close(compiled(*batches).data, eager(*batches).data, 1e-4)
    wanted = other.state_dict() | {f"optimizer {k}": v for k, v in optimizer_arrays(other_optimizer).items()}
    found = model.state_dict() | {f"optimizer {k}": v for k, v in optimizer_arrays(optimizer).items()}
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    return compiled


def optimizer_arrays(optimizer: Any) -> dict[str, Any]:
    return {place.name: place.get() for place in optimizer.places() if isinstance(place.get(), np.ndarray)}


def trainer(
    model: Any, loss: Callable[..., Any], make_optimizer: Callable[[Any], Any]
) -> tuple[Any, Any, Callable[..., Any]]:
    optimizer = make_optimizer(model.parameters())

    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        result = loss(model(x), target)
        result.backward()
        optimizer.step()
        return result

    return model, optimizer, step


def sgd(parameters: Any) -> Any:
    return nn.optim.SGD(parameters, lr=0.1)


RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 7)).astype(np.float32)
LABELS = RNG.integers(0, 5, 12)


# The table of cases


def slopes_of(case: Case, floats: Any) -> Any:
    xs = [Tensor(x) for x in floats]
    rest = iter(xs)
    outputs = several(case.function(*(next(rest) if is_float(arg) else arg for arg in case.args)))
    weighted_sum(outputs).backward()
    return list(outputs), [x.grad for x in xs]


def is_taken(case: Case, floats: Any) -> bool:
    recorded = compile(lambda *floats: slopes_of(case, floats), check=False)
    return not is_refused(recorded, floats) and (
        len(recorded._latest.program.calls) <= LONG or CASES.index(case) % OF_LONG == 0
    )


TABLE = [*CASES[::SAMPLE], *(case for case in CASES if str(case) in TROUBLESOME)]


@pytest.mark.parametrize("number", range(PROGRAMS))
def test_gradients_of_the_table(number: int) -> None:
    cases = [(case, [arg for arg in case.args if is_float(arg)]) for case in TABLE[number::PROGRAMS]]
    cases = [(case, floats) for case, floats in cases if is_taken(case, floats)]

    def step(given: Any) -> Any:
        return [slopes_of(case, floats) for (case, _), floats in zip(cases, given, strict=True)]

    given = [floats for _, floats in cases]
    for (case, _), ours, theirs in zip(cases, compile(step, backend="numba")(given), step(given), strict=True):
        for found, wanted in zip(walk(ours), walk(theirs), strict=True):
            assert_close(data_of(found[1]), data_of(wanted[1]), 1e-9, str(case))


def test_types_that_machine_code_has_not() -> None:
    x = RNG.normal(size=(3, 4)).astype(np.float16)

    def step(x: Any, rate: float) -> Any:
        return x * rate + (x - rate) / (x * x + rate), x.astype(np.float32) * rate

    for found, wanted in zip(compile(step, backend="numba")(x, 0.5), step(x, 0.5), strict=True):
        assert_close(found, wanted, 1e-3)


# Networks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_network_with_adam(dtype: Any) -> None:
    def make() -> Any:
        model = nn.MLP([7, 6, 5], rng=0)
        model.load_state_dict({name: value.astype(dtype) for name, value in model.state_dict().items()})
        return trainer(model, F.cross_entropy, lambda p: nn.optim.Adam(p, lr=0.01))

    compiled = assert_same_training(make, X.astype(dtype), LABELS)
    assert "for i in range(" in compiled.source
    assert "np.dot(" in compiled.source


# Several activations and layers stand in one network each, since a program takes seconds to compile.


def test_activations() -> None:
    layers = [
        nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.SiLU(), nn.LogSigmoid(), nn.LeakyReLU(), nn.ELU(), nn.GELU(),
        nn.GELU(approximate="tanh"), nn.Softplus(), nn.Hardtanh(), nn.Softmax(), nn.LogSoftmax(),
    ]  # fmt: skip

    def make() -> Any:
        model = nn.Sequential(nn.Linear(7, 5, rng=0), *layers, nn.Linear(5, 5, rng=1))
        return trainer(model, F.cross_entropy, sgd)

    assert_same_training(make, X, LABELS)


def test_layers() -> None:
    def make() -> Any:
        model = nn.Sequential(
            nn.Embedding(9, 4, rng=0), nn.Flatten(), nn.Linear(12, 6, rng=1), nn.BatchNorm1d(6), nn.LayerNorm(6),
            nn.Identity(), nn.Dropout(0.4, rng=3), nn.Linear(6, 5, rng=2),
        )  # fmt: skip
        return trainer(model, F.cross_entropy, lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01))

    compiled = assert_same_training(make, RNG.integers(0, 9, (12, 3)), LABELS)
    assert "random(" in compiled.source  # the mask is drawn anew, by the generator itself
    assert "np.var(" not in compiled.source


def test_losses() -> None:
    target = RNG.uniform(0.1, 0.9, (12, 5)).astype(np.float32)
    variance = RNG.uniform(0.5, 1.0, (12, 5)).astype(np.float32)

    def loss(output: Any, labels: Any) -> Any:
        return (
            F.cross_entropy(output, labels)
            + F.nll_loss(F.log_softmax(output), labels)
            + F.mse_loss(output, target)
            + F.l1_loss(output, target)
            + F.huber_loss(output, target)
            + F.smooth_l1_loss(output, target)
            + F.binary_cross_entropy(sigmoid(output), target)
            + F.binary_cross_entropy_with_logits(output, target)
            + F.kl_div(F.log_softmax(output), target)
            + F.gaussian_nll_loss(output, target, variance)
            + F.poisson_nll_loss(output, target)
        )

    assert_same_training(lambda: trainer(nn.MLP([7, 6, 5], rng=0), loss, sgd), X, LABELS)


@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: nn.optim.AdamW(p, lr=0.01),
        lambda p: nn.optim.RMSprop(p, lr=0.01),
        lambda p: nn.optim.Adagrad(p, lr=0.1),
    ],
    ids=["SGD", "AdamW", "RMSprop", "Adagrad"],
)
def test_optimizers(make_optimizer: Callable[[Any], Any]) -> None:
    assert_same_training(lambda: trainer(nn.MLP([7, 5], rng=0), F.cross_entropy, make_optimizer), X, LABELS)


def test_schedule_and_clipping() -> None:
    def run(compiled: bool) -> tuple[list[float], Any]:
        model = nn.MLP([7, 5], rng=0)
        optimizer = nn.optim.SGD(model.parameters(), lr=0.5)
        schedule = nn.optim.ExponentialLR(optimizer, gamma=0.5)

        def step(x: Any, labels: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels)
            loss.backward()
            nn.optim.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            return loss

        take = compile(step, state=(model, optimizer), backend="numba") if compiled else step
        losses = []
        for _ in range(4):
            losses.append(float(take(X, LABELS)))
            schedule.step()
        return losses, model.state_dict()

    (losses, state), (wanted_losses, wanted) = run(True), run(False)
    np.testing.assert_allclose(losses, wanted_losses, rtol=1e-5)
    for name in wanted:
        np.testing.assert_allclose(state[name], wanted[name], rtol=1e-4, atol=1e-6)


# Errors


def test_wrong_labels_raise_what_they_raise_eagerly() -> None:
    model, optimizer, step = trainer(nn.MLP([7, 5], rng=0), F.cross_entropy, sgd)
    compiled = compile(step, state=(model, optimizer), backend="numba")
    compiled(X, LABELS)
    before = model.state_dict()["layers.0.weight"].copy()
    wrong = np.full(12, 7)
    with pytest.raises(ValueError, match="cross_entropy: labels must lie from 0 to 4") as eager:
        step(X, wrong)
    with pytest.raises(ValueError, match="cross_entropy: labels must lie from 0 to 4") as found:
        compiled(X, wrong)
    assert str(found.value) == str(eager.value)
    np.testing.assert_array_equal(model.state_dict()["layers.0.weight"], before)


def test_index_out_of_bounds() -> None:
    compiled = compile(lambda x, i: x[np.arange(2), i] * 2, backend="numba")
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(compiled(x, np.array([-1, 2])), [4.0, 10.0])
    with pytest.raises(IndexError, match="out of bounds"):
        compiled(x, np.array([0, 3]))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r'exact=True is for backend="numpy"'):
        compile(lambda x: x, backend="numba", exact=True)
    with pytest.raises(ValueError, match="backend must be one of 'numpy', 'numba', got 'fortran'"):
        compile(lambda x: x, backend="fortran")


def test_missing_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[fast\]"'):
        compile(lambda x: x, backend="numba")


# Threads


@pytest.fixture
def threads_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share out every loop that can be, among three threads."""
    monkeypatch.setattr("autodiff.compiler.plan.fusion.FOR_THREADS", 1)
    monkeypatch.setattr("autodiff.compiler.kernels.get_num_threads", lambda: 3)


@pytest.mark.usefixtures("threads_for_all")
@pytest.mark.parametrize(
    ("function", "shared"),
    [
        (lambda x, y: np.tanh(x) * y - x, 1),
        (lambda x, y: x.T[1] * np.exp(y[:, 0]), 1),
        (lambda x, y: np.log(np.exp(x) + y) / x[:, :1], 1),
        (lambda x, y: (np.exp(x) + y) / x.max(axis=1, keepdims=True), 0),  # memory for one row at a time
        (lambda x, y: x[::-1] + y, 0),  # places that are computed
        (lambda x, y: (x * y).sum(), 0),  # rounds that add to one number
    ],
)
def test_long_loops_are_shared_out(function: Callable[..., Any], shared: int) -> None:
    x, y = RNG.random((7, 40)), RNG.random((7, 40))
    compiled = compile(function, backend="numba")
    for _ in range(2):
        np.testing.assert_allclose(compiled(x, y), function(x, y), rtol=1e-14)
    assert ("in_threads(" in compiled.source.partition("def build")[2]) == shared


@pytest.mark.usefixtures("threads_for_all")
def test_a_training_with_loops_shared_out() -> None:
    def make() -> Any:
        model = nn.Sequential(nn.Linear(7, 6, rng=0), nn.Tanh(), nn.Linear(6, 5, rng=1))
        return trainer(model, F.cross_entropy, lambda p: nn.optim.Adam(p, lr=0.01))

    assert "in_threads(" in assert_same_training(make, X, LABELS).source


def test_short_loops_are_not_shared_out() -> None:
    for count, is_shared in ((1_000, False), (200_000, True)):
        compiled = compile(np.log1p, backend="numba")
        np.testing.assert_allclose(compiled(np.linspace(0, 1, count)), np.log1p(np.linspace(0, 1, count)), rtol=1e-14)
        assert ("in_threads(" in compiled.source) == is_shared


@pytest.mark.parametrize("order", ["A", "K"])
def test_elements_in_the_order_of_memory_are_refused_where_that_is_another(order: Any) -> None:
    x = np.arange(6.0).reshape(2, 3)
    with pytest.raises(TypeError, match=f"ravel with order='{order}' depends on how an array lies in memory"):
        compile(lambda x: np.ravel(np.exp(x.T), order) * 2, backend="numba")(x)
    found = compile(lambda x: np.ravel(np.exp(x), order) * 2, backend="numba")(x)
    np.testing.assert_allclose(found, np.ravel(np.exp(x)) * 2)


# Texts


def test_the_same_step_is_the_same_text_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = set()

    class Written(Exception):  # noqa: N818 (it is no error)
        pass

    def note(source: str, *others: str) -> Any:
        texts.add(source)
        raise Written

    monkeypatch.setattr("autodiff.compiler.bind.binding.build_of", note)
    unrelated = []  # which moves what is made later to other places in memory
    for count in range(12):
        model, optimizer, step = trainer(nn.MLP([7, 6, 5], rng=0), F.cross_entropy, lambda p: nn.optim.Adam(p))
        with pytest.raises(Written):
            compile(step, state=(model, optimizer), backend="numba")(X, LABELS)
        unrelated.append([object() for _ in range(100 * count)])
    assert len(texts) == 1


def test_saved_program_runs_on_its_own(tmp_path: Path) -> None:
    compiled = compile(lambda x: np.exp(x) + 1, backend="numba")
    compiled(np.zeros(3))
    path = compiled.save(tmp_path / "saved.py")
    space: dict[str, Any] = {"__name__": "saved", "__file__": str(path)}
    exec(compile_text(path), space)
    np.testing.assert_allclose(space["build"]()(np.zeros(3))[0], [2.0, 2.0, 2.0])


def compile_text(path: Path) -> Any:
    import builtins

    return builtins.compile(path.read_text(), str(path), "exec")


def test_any_text_may_be_a_name() -> None:
    names = (
        "θ_1",
        "ﬁ",
        "part_1",
        "memory",
        "np",
        "i",
        "njit",
        "print",
        "lambda",
        "1st",
        "a.b",
        "",
        "x\n",
        "\ud800",
        "autodiff",
    )

    def make() -> tuple[list[Tensor], Callable[[Any], Any]]:
        tensors = [Tensor(np.linspace(0, 1, 3) + k, name=name) for k, name in enumerate(names)]

        def step(x: Any) -> Any:
            for w in tensors:
                w.grad = None
            total = sum((w * x).sum() for w in tensors)
            (total**2).backward()
            for w in tensors:
                w.data = w.data - 0.01 * w.grad
            return total

        return tensors, step

    (state, step), (_, eager) = make(), make()
    compiled = compile(step, state=state, backend="numba")
    for _ in range(3):
        assert_close(compiled(np.ones(3)).data, eager(np.ones(3)).data, 1e-12)


@pytest.mark.parametrize("seed", range(100, 104))
def test_random_steps(seed: int) -> None:
    assert_same_random_step(RandomStep(seed), backend="numba")


def test_elements_in_another_order() -> None:
    x = np.arange(6.0).reshape(2, 3)

    def step(x: Any) -> Any:
        return np.ravel(np.exp(x), "F") * 2, np.reshape(np.exp(x), 6, order="F") * 2

    for found, wanted in zip(compile(step, backend="numba", check=False)(x), step(x), strict=True):
        np.testing.assert_allclose(found, wanted)
