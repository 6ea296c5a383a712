"""Fourier transforms: of real numbers, and of complex ones that are given as two arrays of real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.cases.case import Case, Sampler

sampler = Sampler(11)
normal = sampler.normal

NORMS = ("backward", "ortho", "forward")


def one_axis() -> Iterator[Case]:
    for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
        is_of_real = name in ("rfft", "ihfft")
        for number, (size, n) in enumerate([(5, None), (6, None), (5, 8), (6, 9), (7, 4), (8, 5), (1, 1), (3, 1)]):
            if name in ("irfft", "hfft") and size == 1:
                n = 1
            options: dict[str, Any] = {"n": n, "norm": NORMS[number % 3], "axis": 0 if number in (2, 5) else -1}
            shape = (size, 2) if options["axis"] == 0 else (size,) if number else (2, size)

            def real(x: Any, name: str = name, options: Any = options) -> Any:
                return getattr(np.fft, name)(x, **options)

            def torchs(t: Any, x: Any, y: Any = None, name: str = name, options: Any = options) -> Any:
                given = {"dim" if key == "axis" else key: value for key, value in options.items()}
                return getattr(t.fft, name)(x if y is None else x + 1j * y, **given)

            text = ", ".join(f"{key} {value}" for key, value in options.items())
            if is_of_real or number % 2:
                yield Case(f"{name} of {size}, {text}", real, (normal(*shape),), torch=torchs)
            if not is_of_real:
                yield Case(
                    f"{name} of {size} complex numbers, {text}",
                    lambda x, y, f=real: f(x + 1j * y),
                    (normal(*shape), normal(*shape)),
                    torch=torchs,
                )


def several_axes() -> Iterator[Case]:
    for name in ("fft", "ifft", "rfft", "irfft"):
        for dims, s, axes in (
            ("2", None, None),
            ("2", (4, 5), None),
            ("2", (3, -1), (1, 0)),
            ("n", None, None),
            ("n", (3, 2), (0, -1)),
            ("n", (5,), (1,)),
            ("n", None, (2, 0, 1)),
            ("n", (-1, 6), (1, 2)),
        ):
            options: dict[str, Any] = {"s": s, "norm": NORMS[len(name) % 3]}
            if axes is not None:
                options["axes"] = axes

            def transform(x: Any, y: Any = None, name: str = name + dims, options: Any = options) -> Any:
                return getattr(np.fft, name)(x if y is None else x + 1j * y, **options)

            def torchs(t: Any, x: Any, y: Any = None, name: str = name + dims, options: Any = options) -> Any:
                given = {"dim" if key == "axes" else key: value for key, value in options.items()}
                return getattr(t.fft, name)(x if y is None else x + 1j * y, **given)

            args = (normal(2, 3, 4),) if name == "rfft" else (normal(2, 3, 4), normal(2, 3, 4))
            yield Case(f"{name}{dims}, s {s}, axes {axes}", transform, args, torch=torchs)
    yield Case("fftn along no axis", lambda x: np.fft.fftn(x, axes=()), (normal(3),))


def others() -> Iterator[Case]:
    for size in (4, 5):
        yield Case(f"fftshift of {size}", np.fft.fftshift, (normal(size, 3),))
        yield Case(f"ifftshift of {size}, axes 0", lambda x: np.fft.ifftshift(x, axes=0), (normal(size, 3),))
    yield Case("fftfreq", lambda d: np.fft.fftfreq(5, d), (np.array(0.7),))
    yield Case("rfftfreq", lambda d: np.fft.rfftfreq(4, d), (np.array(0.7),))
    yield Case(
        "rfft, a filter",
        lambda x, h: np.fft.irfft(np.fft.rfft(x, 8) * np.fft.rfft(h, 8), 8),
        (normal(5), normal(4)),
        torch=lambda t, x, h: t.fft.irfft(t.fft.rfft(x, 8) * t.fft.rfft(h, 8), 8),
    )
    yield Case(
        "fft, the power of a spectrum",
        lambda x: np.real(np.conj(np.fft.fft(x)) * np.fft.fft(x)),
        (normal(2, 6),),
        torch=lambda t, x: t.fft.fft(x).abs() ** 2,
    )


CASES = [*one_axis(), *several_axes(), *others()]
