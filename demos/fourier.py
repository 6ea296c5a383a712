"""Through the Fourier transform: two tones that its bins do not tell apart, and a photograph that was moved.

A Fourier transform is linear, and so backpropagation through it is a Fourier transform again. What is known of
something by its spectrum can therefore be found by gradient descent, as weights are.

*Tones.* In N samples, a tone lies somewhere between two of the N bins of the transform, and two tones that are not much
more than a bin apart are one hump of the spectrum. Its highest bin is where the search begins. The samples are taken to
be a sum of tones, each with a frequency f and a complex amplitude c, whose size says how loud it is and whose angle
where in its wave it begins,

    x(t) = Σₖ Re(cₖ exp(2πi fₖ t)),

and compared is not x with the samples but its spectrum with theirs, in the bins around the hump only: so a drift, which
is louder than the tones and lies in the lowest bins, does not matter. The gradient by a complex amplitude is a complex
number too, the direction in which the loss grows fastest, and descent goes the other way, as ever:

    c -= rate * ad.grad(loss)(c)

No estimate that is right on average errs less than the Cramér-Rao bound, here a fortieth of a bin. These err two
to three times as much, since samples at both ends, which are faded out, are made little use of.

*A photograph.* The camera moved while the shutter was open, so that each point became a line: the picture was convolved
with it, which is a product of spectra. To divide by the line's spectrum undoes that, but this is small at many
frequencies, where the quotient is little more than the noise, made large. Instead a picture is sought that gives the
blurred one when it is blurred, and whose total variation, the sum of the lengths of its slopes, is small: noise has
slopes everywhere and pictures have few. Of the sum of both, ``ad.grad`` gives the gradient. That of the first part is
the difference convolved with the line turned around, which nobody had to derive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image

import autodiff as ad
from demos import chapter

SAMPLES, NOISE, BAND = 256, 0.4, (30, 70)  # samples in one unit of time, so that a frequency is the number of a bin
FREQUENCIES = np.array([44.3, 45.7, 57.4])  # two of which are 1.4 bins apart
AMPLITUDES = np.array([1.0, 0.8j, -0.7 + 0.4j])
STEPS, RATE = 800, 0.15
SIZE, LINE, GRAIN = 128, 11, 0.004  # of the picture; of the line, in pixels; of the noise
ROUNDS, WEIGHT, SOFTNESS = 150, 0.001, 0.01  # WEIGHT of the total variation, SOFTNESS of its corner at 0
TIMES = np.arange(SAMPLES) / SAMPLES


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("fourier", __doc__).parse(arguments)
    rng = np.random.default_rng(options.seed)

    samples = tones(FREQUENCIES, AMPLITUDES) + 10 * (TIMES - 0.5) ** 2 + NOISE * rng.normal(size=SAMPLES)
    start = np.array([44.0, 46.0, 57.0])  # around the hump, which is at 45, and the other peak
    frequencies, amplitudes, losses = find_tones(samples, start)
    bounds = cramer_rao(FREQUENCIES, AMPLITUDES)
    print("tone   true frequency   found      error   Cramér-Rao bound   |c|, true and found")
    sizes = np.abs(AMPLITUDES), np.abs(amplitudes)
    for row in zip("123", FREQUENCIES, frequencies, frequencies - FREQUENCIES, bounds, *sizes):
        print("{:4} {:16.2f} {:9.4f} {:+9.4f} {:18.4f} {:12.2f} {:6.2f}".format(*row))
    print(f"squared distance of the spectra in the band: from {losses[0]:.2f} to {losses[-1]:.3f}\n")

    picture = load_sample_image("china.jpg")[170 : 170 + 2 * SIZE, 20 : 20 + 2 * SIZE].mean(axis=-1) / 255
    picture = picture.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
    line = np.zeros((SIZE, SIZE))
    line[range(LINE), range(LINE)] = 1 / LINE
    blurred = blur(picture, line) + GRAIN * rng.normal(size=picture.shape)
    pictures = {
        "as it was": picture,
        "moved": blurred,
        "divided by the line's spectrum": np.fft.irfft2(np.fft.rfft2(blurred) / np.fft.rfft2(line), picture.shape),
        "found by gradient": restore(blurred, line),
    }
    quality = {name: decibels(one, picture) for name, one in pictures.items() if one is not picture}
    for name, value in quality.items():
        print(f"{name:31} {value:5.1f} dB")
    difference = blur(picture, line) - blurred
    turned = np.roll(line[::-1, ::-1], (1, 1), (0, 1))
    by_hand = blur(difference, turned)
    by_engine = ad.grad(lambda x: 0.5 * np.sum((blur(x, line) - blurred) ** 2))(picture)
    apart = float(np.abs(by_engine - by_hand).max())
    print(f"gradient of the squared difference and the convolution by hand: {apart:.0e} apart")
    chapter.save(draw(samples, frequencies, amplitudes, pictures, quality), options.output, "fourier.png")
    return {
        "frequencies": frequencies, "amplitudes": amplitudes, "bounds": bounds, "losses": losses,
        "samples": samples, "quality": quality, "apart": apart,
    }  # fmt: skip


def tones(frequencies: Any, amplitudes: Any) -> Any:
    """Give the samples of a sum of tones with complex amplitudes."""
    return np.real(np.exp(2j * np.pi * TIMES[:, None] * frequencies) @ amplitudes)


def spectrum(samples: Any) -> Any:
    """Give the bins of the band; the samples fade in and out, so that what lies outside of it stays there."""
    return np.fft.rfft(samples * np.hanning(SAMPLES), norm="ortho")[slice(*BAND)]


def find_tones(samples: Any, frequencies: Any) -> tuple[Any, Any, list[float]]:
    """Give the frequencies and amplitudes whose spectrum is nearest, and the losses on the way."""
    wanted = spectrum(samples)

    def loss(frequencies: Any, amplitudes: Any) -> Any:
        return np.sum(np.abs(spectrum(tones(frequencies, amplitudes)) - wanted) ** 2)

    rate = RATE / np.sum(np.hanning(SAMPLES) ** 2)
    descent = ad.value_and_grad(loss, argnums=(0, 1))
    variables = [frequencies, np.full(len(frequencies), 0.1 + 0j)]
    speeds = [np.zeros_like(one) for one in variables]
    losses = []
    for _ in range(STEPS):
        value, gradients = descent(*variables)
        losses.append(float(value))
        speeds = [0.9 * v - rate * g for v, g in zip(speeds, gradients)]
        variables = [x + v for x, v in zip(variables, speeds)]
    return variables[0], variables[1], losses


def cramer_rao(frequencies: Any, amplitudes: Any) -> Any:
    """Give the least standard deviations of frequencies: of the inverse of Fisher's information, the diagonal."""

    def model(parameters: Any) -> Any:
        f, re, im = parameters.reshape(3, -1)
        return tones(f, re + 1j * im)

    slopes = ad.jacobian(model)(np.concatenate([frequencies, amplitudes.real, amplitudes.imag]))
    return NOISE * np.sqrt(np.diagonal(np.linalg.inv(slopes.T @ slopes)))[: len(frequencies)]


def blur(picture: Any, line: Any) -> Any:
    """Convolve a picture, which goes on at its other edge, with a line."""
    return np.fft.irfft2(np.fft.rfft2(picture) * np.fft.rfft2(line), line.shape)


def restore(blurred: Any, line: Any) -> Any:
    """Give the picture of small total variation that is blurred into a given one: descent with Nesterov's momentum."""

    def loss(picture: Any) -> Any:
        slopes = [np.roll(picture, -1, axis) - picture for axis in (0, 1)]
        variation = np.sum(np.sqrt(slopes[0] ** 2 + slopes[1] ** 2 + SOFTNESS**2))
        return 0.5 * np.sum((blur(picture, line) - blurred) ** 2) + WEIGHT * variation

    gradient = ad.grad(loss)
    rate = 1 / (1 + 8 * WEIGHT / SOFTNESS)  # the gradient is no steeper than that
    before = picture = blurred
    for k in range(ROUNDS):
        ahead = picture + k / (k + 3) * (picture - before)
        before, picture = picture, ahead - rate * gradient(ahead)
    return picture


def decibels(found: Any, wanted: Any) -> float:
    """Give the ratio of the largest brightness, 1, to the error: more is better, and 20 are a factor of ten."""
    return float(-10 * np.log10(np.mean((found - wanted) ** 2)))


def draw(samples: Any, frequencies: Any, amplitudes: Any, pictures: dict[str, Any], quality: Any) -> Figure:
    """Show the spectrum with the tones that were found in it, and the photograph as it was, moved and restored."""
    figure = Figure(figsize=(9, 5.3), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    left, right = above.subplots(1, 2, width_ratios=(1, 1.5))
    left.plot(TIMES, samples, color=chapter.GREY, lw=0.8)
    left.set(title="Samples: tones, drift and noise", xlabel="time")
    bins = np.arange(*BAND)
    right.plot(bins, np.abs(spectrum(samples)), "o", color=chapter.GREY, ms=4, label="spectrum of the samples")
    right.plot(bins, np.abs(spectrum(tones(frequencies, amplitudes))), color=chapter.BLUE, label="of the tones found")
    scale = np.hanning(SAMPLES).sum() / 2 / np.sqrt(SAMPLES)
    right.vlines(frequencies, 0, scale * np.abs(amplitudes), color=chapter.ORANGE, label="tones found")
    right.plot(FREQUENCIES, scale * np.abs(AMPLITUDES), "x", color="black", ms=6, label="tones that are there")
    right.set(title="Two tones in one hump", xlabel="frequency (number of the bin)", ylim=(0, 7.2))
    right.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    for ax, (name, picture) in zip(below.subplots(1, 4), pictures.items()):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        ax.set_title(name + (f"\n{quality[name]:.1f} dB" if name in quality else "\n"), fontsize=9)
        ax.axis("off")
    return figure


if __name__ == "__main__":
    main()
