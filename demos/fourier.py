# %% [markdown]
# # Through the Fourier transform: two tones that its bins do not tell apart, and a photograph that was moved
#
# A Fourier transform is linear, and so backpropagation through it is a Fourier transform again. What is known of
# something by its spectrum can therefore be found by gradient descent, as weights are.

# %%
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image

import autodiff as ad
from demos import chapter

options = chapter.begin("fourier")
rng = np.random.default_rng(options.seed)

# %% [markdown]
# ## Tones
#
# The samples are taken to be a sum of tones, each with a frequency $f$ and a complex amplitude $c$, whose size says how
# loud it is and whose angle where in its wave it begins,
#
# $$x(t) = \sum_k \mathrm{Re}(c_k \exp(2 \pi i f_k t)).$$

# %%
SAMPLES, NOISE = 256, 0.4  # samples in one unit of time, so that a frequency is the number of a bin
FREQUENCIES = np.array([44.3, 45.7, 57.4])  # two of which are 1.4 bins apart
AMPLITUDES = np.array([1.0, 0.8j, -0.7 + 0.4j])
TIMES = np.arange(SAMPLES) / SAMPLES


def tones(frequencies, amplitudes):
    """Give the samples of a sum of tones with complex amplitudes."""
    return np.real(np.exp(2j * np.pi * TIMES[:, None] * frequencies) @ amplitudes)


samples = tones(FREQUENCIES, AMPLITUDES) + 10 * (TIMES - 0.5) ** 2 + NOISE * rng.normal(size=SAMPLES)

# %% [markdown]
# In $N$ samples, a tone lies somewhere between two of the $N$ bins of the transform, and two tones that are not much
# more than a bin apart are one hump of the spectrum. Compared is not $x$ with the samples but its spectrum with theirs,
# in the bins around the hump only: so a drift, which is louder than the tones and lies in the lowest bins, does not
# matter.

# %%
BAND = (30, 70)


def spectrum(samples):
    """Give the bins of the band; the samples fade in and out, so that what lies outside of it stays there."""
    return np.fft.rfft(samples * np.hanning(SAMPLES), norm="ortho")[slice(*BAND)]


wanted = spectrum(samples)


def loss(frequencies, amplitudes):
    """Give the squared distance of the spectra."""
    return np.sum(np.abs(spectrum(tones(frequencies, amplitudes)) - wanted) ** 2)


# %% [markdown]
# The gradient by a complex amplitude is a complex number too, the direction in which the loss grows fastest, and
# descent goes the other way, as ever:
#
# $$c \leftarrow c - \eta \nabla_c\, \mathrm{loss}.$$
#
# The search begins on both sides of the hump's highest bin, 45, and at the other peak, 57.

# %%
STEPS, RATE = 800, 0.15

rate = RATE / np.sum(np.hanning(SAMPLES) ** 2)
descent = ad.value_and_grad(loss, argnums=(0, 1))
variables = [np.array([44.0, 46.0, 57.0]), np.full(3, 0.1 + 0j)]  # around the hump, and the other peak
speeds = [np.zeros_like(one) for one in variables]
losses = []
for _ in range(STEPS):
    value, gradients = descent(*variables)
    losses.append(float(value))
    speeds = [0.9 * v - rate * g for v, g in zip(speeds, gradients)]
    variables = [x + v for x, v in zip(variables, speeds)]
frequencies, amplitudes = variables

# %% [markdown]
# No estimate that is right on average errs less than the Cramér-Rao bound, here a fortieth of a bin. These err two to
# three times as much, since samples at both ends, which are faded out, are made little use of.


# %%
def cramer_rao(frequencies, amplitudes):
    """Give the least standard deviations of frequencies: of the inverse of Fisher's information, the diagonal."""

    def model(parameters):
        f, re, im = parameters.reshape(3, -1)
        return tones(f, re + 1j * im)

    slopes = ad.jacobian(model)(np.concatenate([frequencies, amplitudes.real, amplitudes.imag]))
    return NOISE * np.sqrt(np.diagonal(np.linalg.inv(slopes.T @ slopes)))[: len(frequencies)]


bounds = cramer_rao(FREQUENCIES, AMPLITUDES)
print("tone  true frequency    found    error  Cramér-Rao bound   |c|, true and found")
sizes = np.abs(AMPLITUDES), np.abs(amplitudes)
for row in zip("123", FREQUENCIES, frequencies, frequencies - FREQUENCIES, bounds, *sizes):
    print("{:4} {:15.2f} {:8.4f} {:+8.4f} {:17.4f} {:12.2f} {:6.2f}".format(*row))
print(f"squared distance of the spectra in the band: from {losses[0]:.2f} to {losses[-1]:.3f}")

# %% [markdown]
# ## A photograph
#
# The camera moved while the shutter was open, so that each point became a line: the picture was convolved with it,
# which is a product of spectra.

# %%
SIZE, LINE, GRAIN = 128, 11, 0.004  # of the picture; of the line, in pixels; of the noise


def blur(picture, line):
    """Convolve a picture, which goes on at its other edge, with a line."""
    return np.fft.irfft2(np.fft.rfft2(picture) * np.fft.rfft2(line), line.shape)


picture = load_sample_image("china.jpg")[170 : 170 + 2 * SIZE, 20 : 20 + 2 * SIZE].mean(axis=-1) / 255
picture = picture.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
line = np.zeros((SIZE, SIZE))
line[range(LINE), range(LINE)] = 1 / LINE
blurred = blur(picture, line) + GRAIN * rng.normal(size=picture.shape)

# %% [markdown]
# To divide by the line's spectrum undoes that, but this is small at many frequencies, where the quotient is little more
# than the noise, made large. Instead a picture is sought that gives the blurred one when it is blurred, and whose total
# variation, the sum of the lengths of its slopes, is small: noise has slopes everywhere and pictures have few. Of the
# sum of both, `ad.grad` gives the gradient.

# %%
ROUNDS, WEIGHT, SOFTNESS = 150, 0.001, 0.01  # WEIGHT of the total variation, SOFTNESS of its corner at 0


def misfit(picture):
    """Give half the squared distance from the blurred picture."""
    return 0.5 * np.sum((blur(picture, line) - blurred) ** 2)


def penalized(picture):
    """Give the misfit, and add the total variation."""
    slopes = [np.roll(picture, -1, axis) - picture for axis in (0, 1)]
    return misfit(picture) + WEIGHT * np.sum(np.sqrt(slopes[0] ** 2 + slopes[1] ** 2 + SOFTNESS**2))


gradient = ad.grad(penalized)
rate = 1 / (1 + 8 * WEIGHT / SOFTNESS)  # the gradient is no steeper than that
before = restored = blurred
for k in range(ROUNDS):  # descent with Nesterov's momentum
    ahead = restored + k / (k + 3) * (restored - before)
    before, restored = restored, ahead - rate * gradient(ahead)

# %% [markdown]
# How near each picture is to the one before the camera moved is said in decibels: more is better, and 20 are a factor
# of ten in the error.

# %%
pictures = {
    "as it was": picture,
    "moved": blurred,
    "divided by the line's spectrum": np.fft.irfft2(np.fft.rfft2(blurred) / np.fft.rfft2(line), picture.shape),
    "found by gradient": restored,
}
quality = {
    name: float(-10 * np.log10(np.mean((one - picture) ** 2))) for name, one in pictures.items() if one is not picture
}
for name, value in quality.items():
    print(f"{name:31} {value:5.1f} dB")

# %% [markdown]
# The gradient of the squared difference is the difference convolved with the line turned around, which nobody had to
# derive.

# %%
turned = np.roll(line[::-1, ::-1], (1, 1), (0, 1))
apart = float(np.abs(ad.grad(misfit)(picture) - blur(blur(picture, line) - blurred, turned)).max())
print(f"gradient of the squared difference and the convolution by hand: {apart:.0e} apart")

# %% [markdown]
# The picture shows the spectrum with the tones that were found in it, and the photograph as it was, moved and restored.

# %%
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
for ax, (name, shown) in zip(below.subplots(1, 4), pictures.items()):
    ax.imshow(shown, cmap="gray", vmin=0, vmax=1)
    ax.set_title(name + (f"\n{quality[name]:.1f} dB" if name in quality else "\n"), fontsize=9)
    ax.axis("off")
chapter.show(figure, "fourier.png")
