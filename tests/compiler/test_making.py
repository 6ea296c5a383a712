"""How the work of making a program grows with the calls of the step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn


def slope_of_a_chain(n: int) -> tuple[Any, Any]:
    """The gradient of n steps of Euler's method, in which one number and one array take part again and again."""

    def last(y: Any, k: Any) -> Any:
        for _ in range(n):
            y = y + 0.01 * (np.sin(y) - k * y)
        return np.sum(y**2)

    return ad.grad(last), ()


def writes(n: int) -> tuple[Any, Any]:
    """A step that writes n times into its state, by indices and as a whole."""
    total = np.zeros(10)

    def step(y: Any, k: Any) -> Any:
        for position in range(n):
            total[position % 10] += y[position % 10]
            total[...] = total * k
        return total.sum()

    return step, total


def updates(n: int) -> tuple[Any, Any]:
    """A step of an optimizer of n parameters."""
    parameters = [nn.Parameter(np.full(10, 0.5)) for _ in range(n)]
    optimizer = nn.optim.Adam(parameters)

    def step(y: Any, k: Any) -> Any:
        optimizer.zero_grad()
        loss = sum(np.sum((p * y - k) ** 2) for p in parameters)
        loss.backward()
        optimizer.step()
        return loss

    return step, [*parameters, optimizer]


def statements(n: int) -> tuple[Any, Any]:
    """A function of many statements, each with a variable of its own, whose text is nowhere."""
    space: dict[str, Any] = {"np": np}
    lines = [f"    y{position + 1} = np.tanh(y{position})\n" for position in range(5 * n)]
    exec(f"def step(y0, k):\n{''.join(lines)}    return y{5 * n} + k", space)
    return space["step"], ()


@pytest.mark.parametrize("step_of", [slope_of_a_chain, writes, updates, statements])
def test_twice_the_calls_are_made_into_a_program_by_about_twice_the_work(step_of: Callable[[int], Any]) -> None:
    work_of(step_of, 4)  # what is imported and found once
    once, twice = work_of(step_of, 60), work_of(step_of, 120)
    assert twice < 2.1 * once


def work_of(step_of: Callable[[int], Any], n: int) -> int:
    """Count the functions that run in the first call, and how often each generator goes on."""
    step, state = step_of(n)
    compiled = ad.compile(step, state=state)
    count = 0

    def see(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        compiled(np.linspace(0, 1, 10), 0.5)
    finally:
        sys.setprofile(before)
    return count
