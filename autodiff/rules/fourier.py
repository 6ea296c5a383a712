"""The discrete Fourier transforms of ``np.fft``: each is linear, and transposed it is a transform again.

The matrix of ``fft`` is symmetric, so its rule is ``fft``; cutting off is undone by filling up with zeros, and that
by cutting off. The transforms of real numbers keep one half of a result that is symmetric: what comes back through them
counts the numbers once that have no twin (the first, and of an even length the last) and all others twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.core.rule import Array, defvjp, describe, name_of
from autodiff.core.tape import conj

# Whose factor is undone.
_OTHER: dict[Any, Any] = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def of_length(x: Array, size: int, axis: int) -> Array:
    """Cut an axis off, or fill it up with zeros."""
    axis %= x.ndim
    if x.shape[axis] >= size:
        return x if x.shape[axis] == size else x[(slice(None),) * axis + (slice(size),)]
    return np.pad(x, [(0, size - n if k == axis else 0) for k, n in enumerate(x.shape)])


def _halved(x: Array, size: int, axis: int, twin: float) -> Array:
    """Multiply half of a symmetric spectrum of some size by ``twin`` where the other half has a twin."""
    n = x.shape[axis]
    weights = np.full(n, twin, x.dtype.char.lower())
    weights[0] = 1
    if size % 2 == 0:
        weights[size // 2] = 1
    return x * np.reshape(weights, (n,) + (1,) * (x.ndim - 1 - axis % x.ndim))


def _same(transform: Any) -> Any:
    """Make the rule of a transform of complex numbers, whose matrix is symmetric."""

    def rule(g: Array, out: Array, a: Array, n: int | None = None, axis: int = -1, norm: Any = None) -> Array:
        return of_length(transform(g, None, axis, norm), a.shape[axis], axis)

    return rule


def _rfft(g: Array, out: Array, a: Array, n: int | None = None, axis: int = -1, norm: Any = None) -> Array:
    n = a.shape[axis] if n is None else n
    halves = conj(_halved(g, n, axis, 0.5))
    return of_length(np.fft.irfft(halves, n, axis, _OTHER[norm]), a.shape[axis], axis)


def _irfft(g: Array, out: Array, a: Array, n: int | None = None, axis: int = -1, norm: Any = None) -> Array:
    half = conj(np.fft.rfft(g, None, axis, _OTHER[norm]))
    return of_length(_halved(half, g.shape[axis], axis, 2), a.shape[axis], axis)


def _hfft(g: Array, out: Array, a: Array, n: int | None = None, axis: int = -1, norm: Any = None) -> Array:
    return conj(_irfft(g, out, a, n, axis, _OTHER[norm]))


def _ihfft(g: Array, out: Array, a: Array, n: int | None = None, axis: int = -1, norm: Any = None) -> Array:
    return _rfft(conj(g), out, a, n, axis, _OTHER[norm])


defvjp(np.fft.fft, _same(np.fft.fft))
defvjp(np.fft.ifft, _same(np.fft.ifft))
defvjp(np.fft.rfft, _rfft)
defvjp(np.fft.irfft, _irfft)
defvjp(np.fft.hfft, _hfft)
defvjp(np.fft.ihfft, _ihfft)

# Along several axes


def _axes(a: Array, s: Any, axes: Any) -> list[int]:
    """List the axes of a transform: by default all, or the last ones for which there is a length."""
    return list(range(a.ndim) if s is None else range(-len(s), 0)) if axes is None else list(axes)


def _back(transform: Any, g: Array, a: Array, axes: list[int], norm: Any) -> Array:
    """Carry a gradient back through transforms of complex numbers along several axes."""
    g = transform(g, None, axes, norm) if axes else g
    for axis in axes:
        g = of_length(g, a.shape[axis], axis)
    return g


def _complex(transform: Any, default: Any) -> Any:
    """Make the rule of a transform of complex numbers."""

    def rule(g: Array, out: Array, a: Array, s: Any = None, axes: Any = default, norm: Any = None) -> Array:
        return _back(transform, g, a, _axes(a, s, axes), norm)

    return rule


def _real(default: Any) -> Any:
    """Make the rule of a transform of real numbers: by the last axis into one half, then by the others."""

    def rule(g: Array, out: Array, a: Array, s: Any = None, axes: Any = default, norm: Any = None) -> Array:
        *others, last = _axes(a, s, axes)
        size = None if s is None or s[-1] == -1 else s[-1]
        return _rfft(_back(np.fft.fftn, g, a, others, norm), out, a, size, last, norm)

    return rule


def _to_real(default: Any) -> Any:
    """Make the rule of a transform to real numbers: by the last axis at last."""

    def rule(g: Array, out: Array, a: Array, s: Any = None, axes: Any = default, norm: Any = None) -> Array:
        *others, last = _axes(a, s, axes)
        return _back(np.fft.ifftn, _irfft(g, out, a, None, last, norm), a, others, norm)

    return rule


def _refuse_axes(function: Any, default: Any) -> Callable[..., None]:
    def refuse(a: Array, s: Any = None, axes: Any = default, norm: Any = None) -> None:
        named = [axis % a.ndim for axis in _axes(a, s, axes)]
        if len(set(named)) < len(named):
            raise NotImplementedError(
                f"{name_of(function)} along axes {tuple(axes)} has no derivative rule: give each axis once"
            )

    return refuse


for _transforms, _default in (
    ((np.fft.fft2, np.fft.ifft2, np.fft.rfft2, np.fft.irfft2), (-2, -1)),
    ((np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn), None),
):
    _forward, _inverse, _of_real, _into_real = _transforms
    defvjp(_forward, _complex(np.fft.fftn, _default))
    defvjp(_inverse, _complex(np.fft.ifftn, _default))
    defvjp(_of_real, _real(_default))
    defvjp(_into_real, _to_real(_default))
    for _function in _transforms:
        describe(_function, refuses=_refuse_axes(_function, _default))

# Halves turned around

defvjp(np.fft.fftshift, lambda g, out, x, axes=None: np.fft.ifftshift(g, axes))
defvjp(np.fft.ifftshift, lambda g, out, x, axes=None: np.fft.fftshift(g, axes))
