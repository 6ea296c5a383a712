"""The state of compiled steps: it is changed as the step changes it, and is as before where the step fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff import Tensor
from nn import functional
from tests.compiler.trainings import LABELS, ROWS, TRAININGS, X, scaled


def test_what_is_assigned_between_calls_counts() -> None:
    model, optimizer, step = scaled()
    reference, other, eager = scaled()
    compiled = ad.compile(step, (model, optimizer), exact=True)
    for k in range(6):
        for network, changer in ((model, optimizer), (reference, other)):
            changer.lr = 0.1 / (k + 1)
            if k == 2:
                network.weight.data = np.ones((2, 1), np.float32)
            if k == 3:
                changer.param_groups[0]["momentum"] = 0.9
            if k == 4:
                network.bias.requires_grad = False
        assert compiled(ROWS).item() == eager(ROWS).item()
    for path, array in reference.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[path], array)


def test_parameters_that_join_others_in_their_number_of_steps() -> None:
    def made() -> Any:
        weights = [Tensor(np.ones(2), requires_grad=True, name=f"w{k}") for k in range(3)]
        return weights, nn.optim.Adam(weights, lr=0.1)

    def step(weights: Any, optimizer: Any) -> Any:
        optimizer.zero_grad()
        loss = sum(((w * w).sum() for w in weights), start=Tensor(0.0))
        loss.backward()
        optimizer.step()
        return loss

    (weights, optimizer), (others, other) = made(), made()
    compiled = ad.compile(lambda: step(weights, optimizer), (weights, optimizer), exact=True)
    for alone in (2, None, 1, 0):  # first the last is a step ahead, then the last two are
        if alone is not None:
            step([weights[alone]], optimizer)
            step([others[alone]], other)
        assert compiled().item() == step(others, other).item()
        assert optimizer.steps == other.steps


class Job:
    """A network, an optimizer and a step, of which equal ones can be made."""

    def __init__(self, frozen: Sequence[int] = (), unused: bool = False, **options: Any) -> None:
        self.model = nn.MLP([6, 5, 4], rng=0)
        self.parameters = list(self.model.parameters())
        for position in frozen:
            self.parameters[position].requires_grad = False
        extra = [Tensor(np.ones(3, np.float32), requires_grad=True, name="unused")] if unused else []
        self.optimizer = nn.optim.Adam([*extra, *self.parameters], lr=0.1, **options)

    def step(self) -> Any:
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.model(X), LABELS)
        loss.backward()
        self.optimizer.step()
        return loss

    def compiled(self, **options: Any) -> Any:
        return ad.compile(lambda: self.step(), (self.model, self.optimizer), **options)


@pytest.mark.parametrize("options", [{"frozen": [0]}, {"frozen": [1, 2]}, {"unused": True}])
def test_parameters_without_a_gradient_take_no_steps(options: Any) -> None:
    ours, other = Job(**options), Job(**options)
    compiled = ours.compiled(exact=True)
    for number in range(6):
        if number == 3:
            for one in (ours, other):
                one.parameters[0].requires_grad = not one.parameters[0].requires_grad
        assert compiled().item() == other.step().item()
        assert ours.optimizer.steps == other.optimizer.steps
        assert all(type(count) is int for count in ours.optimizer.steps)


def test_fit_counts_the_steps_of_what_is_not_frozen() -> None:
    ours, other = Job(frozen=[0, 1]), Job(frozen=[0, 1])
    for one, compile in ((ours, None), (other, False)):
        nn.fit(
            one.model,
            X,
            LABELS,
            loss="cross_entropy",
            optimizer=one.optimizer,
            epochs=300,
            batch_size=8,
            rng=0,
            compile=compile,
        )
    assert ours.optimizer.steps == other.optimizer.steps == [0, 0, 600, 600]
    for path, array in other.model.state_dict().items():
        np.testing.assert_array_equal(ours.model.state_dict()[path], array)


@pytest.mark.parametrize("taken", [0, 2])
def test_optimizer_state_that_is_loaded_between_calls_counts(taken: int) -> None:
    ours, other = Job(), Job()
    for _ in range(taken):
        assert ours.step().item() == other.step().item()
    kept = other.optimizer.state_dict()
    compiled = ours.compiled(exact=True)
    for number in range(4):
        if number == 2:
            ours.optimizer.load_state_dict(kept)
            other.optimizer.load_state_dict(kept)
        assert compiled().item() == other.step().item()


@pytest.mark.parametrize("view", [lambda w: w.data, lambda w: w.data.copy(), lambda w: w.data * 1, lambda w: w.data.T])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_what_was_before_the_update_is_returned(view: Callable[[Any], Any], backend: str) -> None:
    w = Tensor(np.arange(6.0).reshape(2, 3))

    def step(x: Any) -> Any:
        before = view(w)
        w.data = w.data + x
        return before

    compiled = ad.compile(step, w, backend=backend)
    for number in range(3):
        wanted = np.arange(6.0).reshape(2, 3) + 2 * number
        np.testing.assert_array_equal(compiled(np.full((2, 3), 2.0)), view(Tensor(wanted)))


def test_optimizer_state_goes_into_a_file_and_on() -> None:
    make, inputs, targets = TRAININGS["Adam, {}"]
    _, (model, optimizer), step = make()
    _, (_, other_optimizer), _ = make()
    ad.compile(step, (model, optimizer))(inputs, targets)
    other_optimizer.load_state_dict(optimizer.state_dict())
    assert other_optimizer.steps == [1, 1, 1, 1]
    assert all(type(count) is int for count in optimizer.steps)


def test_a_generator_goes_on_where_it_was() -> None:
    generator, same = np.random.default_rng(7), np.random.default_rng(7)

    def noisy(x: Any) -> Any:
        return x + generator.normal(size=3), generator.integers(0, 9, 2)

    compiled = ad.compile(noisy, generator)
    for _ in range(3):
        noise, integers = compiled(np.zeros(3))
        np.testing.assert_array_equal(noise, same.normal(size=3))
        np.testing.assert_array_equal(integers, same.integers(0, 9, 2))


def test_an_array_and_a_number_in_a_tensor_are_state() -> None:
    total, count = np.zeros(3), Tensor(0.0)

    def add(x: Any) -> Any:
        nonlocal total
        total += x
        count.data = count.data + 1
        return total / count.data

    compiled = ad.compile(add, [total, count])
    np.testing.assert_array_equal(compiled(np.ones(3)), np.ones(3))
    np.testing.assert_array_equal(compiled(3 * np.ones(3)), 2 * np.ones(3))
    np.testing.assert_array_equal(total, 4 * np.ones(3))
    assert count.item() == 2


def test_parameters_are_written_into_and_the_change_is_noticed() -> None:
    model, optimizer, step = scaled()
    compiled = ad.compile(step, (model, optimizer))
    weight = model.weight.data
    compiled(ROWS)
    assert model.weight.data is weight
    loss = model(ROWS).sum()
    compiled(ROWS)
    with pytest.raises(RuntimeError, match="was changed after"):
        loss.backward()


def test_arrays_of_the_state_may_be_in_lists_and_dicts() -> None:
    sums, generators = [np.zeros(2), np.zeros(2)], {"noise": np.random.default_rng(0)}

    def step(x: Any) -> Any:
        sums[0][...] = sums[0] + x
        sums[1] += sums[0]
        return generators["noise"].normal(size=2)

    compiled = ad.compile(step, [sums, generators])
    same = np.random.default_rng(0)
    for _ in range(2):
        np.testing.assert_array_equal(compiled(np.ones(2)), same.normal(size=2))
    assert [array.tolist() for array in sums] == [[2.0, 2.0], [3.0, 3.0]]


class Noise:
    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        self.settings = {"sums": [np.zeros(2)]}

    def __call__(self, x: Any) -> Any:
        self.add(x)
        return self.settings["sums"][0] + self.generator.normal(size=2)

    def add(self, x: Any) -> None:
        self.settings["sums"][0] += x


NOISE = Noise()


def add_noise(x: Any) -> Any:
    return NOISE(x)


@pytest.mark.parametrize("step", [NOISE, lambda x: NOISE(x), add_noise, lambda x: add_noise(x)])
def test_arrays_and_generators_of_the_state_may_be_in_objects_and_used_by_functions(step: Any) -> None:
    NOISE.__init__()  # type: ignore[misc]
    compiled = ad.compile(step, [NOISE.generator, NOISE.settings["sums"]])
    same = Noise()
    for _ in range(3):
        np.testing.assert_array_equal(compiled(np.ones(2)), same(np.ones(2)))
    assert isinstance(NOISE.generator, np.random.Generator)
    np.testing.assert_array_equal(NOISE.settings["sums"][0], [3.0, 3.0])


def test_two_arrays_that_change_places() -> None:
    one, two = Tensor([1.0, 2.0]), Tensor([3.0, 4.0])

    def swap() -> None:
        one.data, two.data = two.data, one.data

    compiled = ad.compile(swap, (one, two))
    compiled()
    np.testing.assert_array_equal(one.data, [3, 4])
    np.testing.assert_array_equal(two.data, [1, 2])


def test_state_that_is_only_read_may_be_read_only() -> None:
    scale = np.full(2, 3.0, np.float32)
    scale.flags.writeable = False
    np.testing.assert_array_equal(ad.compile(lambda x: x * scale, scale)(ROWS), ROWS * 3)


# State that is left out


@pytest.mark.parametrize("check", [True, False])
def test_tensors_that_are_left_out_are_named_and_as_before(check: bool) -> None:
    weights = [Tensor(np.ones(2), requires_grad=True)]

    def step(x: Any) -> Any:
        weights[0].grad = None
        loss = (weights[0] * x).sum()
        loss.backward()
        weights[0].data = weights[0].data - 0.1 * weights[0].grad
        return loss

    inner = ad.compile(step, weights)
    for compiled in (ad.compile(step, check=check), ad.compile(lambda x: inner(x) * 2, check=check)):
        with pytest.raises(TypeError, match=r"the step changes '(weights\[0\]|inner)'"):
            compiled(ROWS)
        assert weights[0].data.tolist() == [1.0, 1.0]
        assert weights[0].grad is None
    assert ad.compile(lambda x: inner(x) * 2, inner)(ROWS).item() == 2 * ROWS.sum()
    assert weights[0].data.tolist() != [1.0, 1.0]


@pytest.mark.parametrize("optimizer", [nn.optim.SGD, nn.optim.Adam])
@pytest.mark.parametrize("left", ["model", "optimizer", "schedule"])
def test_state_that_is_left_out_is_named(left: str, optimizer: Any) -> None:
    model = nn.Linear(2, 1, rng=0)
    optimizer = optimizer(model.parameters(), lr=0.1)
    schedule = nn.optim.StepLR(optimizer, step_size=2)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    before = model.weight.data.copy(), list(optimizer.steps), schedule.last_epoch
    named = {"model": model, "optimizer": optimizer, "schedule": schedule}
    of_arrays = "an array of shape .* that is not part of the state is changed in place"
    with pytest.raises(TypeError, match=f"the step changes '{left}'|{of_arrays}"):
        ad.compile(step, [part for name, part in named.items() if name != left])(ROWS)
    np.testing.assert_array_equal(model.weight.data, before[0])
    assert model.weight.grad is None
    assert (list(optimizer.steps), schedule.last_epoch) == before[1:]
    ad.compile(step, list(named.values()))(ROWS)


def test_a_module_that_is_a_constant_need_not_be_named() -> None:
    teacher = nn.Linear(2, 1, rng=0)
    for parameter in teacher.parameters():
        parameter.requires_grad = False
    assert ad.compile(lambda x: teacher(x))(ROWS).data.tolist() == teacher(ROWS).data.tolist()


# Steps that fail


def test_a_step_that_fails_leaves_the_state() -> None:
    model, optimizer, _ = scaled()
    before = model.state_dict()

    def step(x: Any) -> None:
        model(x).sum().backward()
        optimizer.step()
        raise KeyError("no")

    with pytest.raises(KeyError):
        ad.compile(step, (model, optimizer))(ROWS)
    assert model.weight.grad is None
    for path, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[path], array)
    assert optimizer.steps == [0, 0]


def test_a_check_that_fails_late_leaves_the_state() -> None:
    model = nn.Sequential(nn.Linear(6, 4, rng=0), nn.BatchNorm1d(4))  # whose statistics change before the loss

    def step(x: Any, labels: Any) -> Any:
        return functional.cross_entropy(model(x), labels)

    compiled = ad.compile(step, model)
    compiled(X, LABELS)
    before = {path: array.copy() for path, array in model.state_dict().items()}
    with pytest.raises(ValueError, match="labels must lie"):
        compiled(X, LABELS + 1)
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def test_checks_of_values_are_kept() -> None:
    make, inputs, targets = TRAININGS["relu"]
    model, state, step = make()
    compiled = ad.compile(step, state)
    compiled(inputs, targets)
    before = model.state_dict()
    for wrong in (-1, 4):
        labels = targets.copy()
        labels[5] = wrong
        with pytest.raises(ValueError, match=f"labels must lie from 0 to 3 for 4 classes, got {wrong}"):
            compiled(inputs, labels)
    for path, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[path], array)
