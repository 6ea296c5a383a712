# %% [markdown]
# # Probability: mass and density, and why a density is no probability
#
# A **discrete** random variable has values that can be listed, each with a probability, its *mass* $P(X = x)$. A
# **continuous** one, such as a length, has any value of an interval, and each single one with probability zero. What
# it has is a *density* $p(x)$: probability per unit of $x$.

# %%
import numpy as np
from matplotlib.figure import Figure

import autodiff as ad
from demos import chapter
from nn.distributions import Categorical, Normal

options = chapter.begin("probability")
rng = np.random.default_rng(options.seed)

# %% [markdown]
# ## Discrete: a mass for each value
#
# A loaded die shows a six in half of all throws. The masses lie between 0 and 1 and add up to one,
#
# $$0 \le P(X = x) \le 1, \quad \sum_x P(X = x) = 1.$$
#
# The shares of many throws come close to them: that is what a mass can be seen by.

# %%
die = Categorical(probs=[0.1, 0.1, 0.1, 0.1, 0.1, 0.5])
mass = np.exp(die.log_prob(np.arange(6)))
shares = {n: np.bincount(die.sample(n, rng), minlength=6) / n for n in (10, 1_000, 100_000)}

print("face         " + "".join(f"{face:9}" for face in range(1, 7)) + "      sum")
for name, row in {"mass": mass, **{f"{n} throws": row for n, row in shares.items()}}.items():
    print(f"{name:13}" + "".join(f"{value:9.4f}" for value in row) + f"{row.sum():9.4f}")

# %% [markdown]
# ## Continuous: the limit of probability per width
#
# The heights of grown people, in metres, are spread like a normal distribution around 1.70. How many are 1.75 high?
# None, exactly: of a million draws not one is that number. But a share of them lies within $h$ of it, and this share
# over the width $2h$ has a limit,
#
# $$\begin{aligned}
# p(x) &= \lim_{h \to 0} \frac{P(x - h \le X \le x + h)}{2h} \\
#      &= \lim_{h \to 0} \frac{F(x + h) - F(x - h)}{2h} = F'(x),
# \end{aligned}$$
#
# with the distribution function $F(x) = P(X \le x)$. So the density is the derivative of $F$, and the engine finds it
# without being told the formula of the density.

# %%
height = Normal(1.70, 0.07)
draws = height.sample(1_000_000, rng)
x = 1.75
density = ad.elementwise_grad(height.cdf)

print(f"F'({x}) by the engine      {density(x):.12f}")
print(f"the formula of the density  {np.exp(height.log_prob(x)):.12f}")
print(f"draws that are exactly {x} {np.sum(draws == x)}")

# %% [markdown]
# Now with a falling $h$. By $F$, what is missing to the limit falls with the square of $h$: it is $p''(x) h^2 / 6$,
# where the engine differentiates $F$ three times. By counting, the quotient first comes closer too. Then ever fewer
# draws are left in the interval, and chance decides: of $m$ draws, it moves the quotient by one part in $\sqrt{m}$.
# That is why the bars of a histogram must be neither too wide nor too narrow.
#
# The last column asks the die the same about its six. The mass stays in the interval however small that is, so the
# quotient grows without a bound: a discrete variable has no density.

# %%
widths = 0.1 / 10 ** np.arange(0, 4.5, 0.5)
counts = np.array([np.sum(np.abs(draws - x) <= h) for h in widths])
by_count = counts / len(draws) / (2 * widths)
by_cdf = (height.cdf(x + widths) - height.cdf(x - widths)) / (2 * widths)
curvature = ad.grad(ad.grad(density))(x)
predicted = curvature * widths**2 / 6

print(f"{'P/2h,    P/2h,':>41}{'the die,':>33}")
print("       h   draws   P by F counted    by F   missing  p'' h²/6  P/2h at six")
for h, m, counted, exact, missing in zip(widths, counts, by_count, by_cdf, predicted):
    columns = f"{h:8.6f} {m:7} {exact * 2 * h:8.6f} {counted:7.4f} {exact:7.4f}"
    print(f"{columns} {exact - density(x):9.1e} {missing:9.1e} {mass[5] / (2 * h):12.1f}")
print(f"{'the limit, p(x)':33}{density(x):8.4f}")

# %% [markdown]
# ## A density may be larger than one
#
# The density of the heights is 5.7 at its highest. Nothing is wrong with that: it is 5.7 *per metre*, and no stretch
# is a metre wide that has this density all over. Probabilities are areas under it, and the whole area is one:
#
# $$P(a \le X \le b) = \int_a^b p(x)\,dx = F(b) - F(a), \quad \int p(x)\,dx = 1.$$
#
# A sum over strips gives both.

# %%
strip = 0.001
middles = np.arange(1.0, 2.4, strip) + strip / 2
heights = density(middles)
near = np.abs(middles - 1.70) < 0.1
areas = {"all": heights.sum() * strip, "1.60 to 1.80": heights[near].sum() * strip}

print(f"largest density                   {heights.max():.4f} per metre")
print(f"area under all of it              {areas['all']:.6f}")
print(f"area from 1.60 to 1.80            {areas['1.60 to 1.80']:.6f}")
print(f"F(1.80) - F(1.60)                 {height.cdf(1.80) - height.cdf(1.60):.6f}")
print(f"share of the draws between them   {np.mean(np.abs(draws - 1.70) < 0.1):.6f}")

# %% [markdown]
# ## A density depends on the unit, a probability does not
#
# In centimetres the same people have the density 0.057. If $y = g(x)$ goes up or down all the way, the people in a
# small interval $dx$ are those in $dy$, so $p_Y(y)\,dy = p_X(x)\,dx$ and
#
# $$p_Y(y) = p_X(x(y)) \left|\frac{dx}{dy}\right|.$$
#
# For centimetres the factor is 1/100. For the body mass index of people who all weigh 70 kg, $y = 70 / x^2$ and $x =
# \sqrt{70 / y}$, it is left to the engine. A mass has no such factor: its values only get other names.

# %%
inverses = {"centimetres": lambda y: y / 100, "body mass index": lambda y: np.sqrt(70 / y)}
forward = {"centimetres": lambda x: 100 * x, "body mass index": lambda x: 70 / x**2}


def changed(name: str, y):
    """Give the density of a function of the height at y."""
    inverse = inverses[name]
    return density(inverse(y)) * np.abs(ad.elementwise_grad(inverse)(y))


print(f"{'share within ±0.1:':>77}")
print("                    at   density   its area           by density  of the draws")
for name, y in (("centimetres", 170.0), ("body mass index", 24.0)):
    edges = np.linspace(*sorted(forward[name](np.array([1.2, 2.4]))), 100_001)
    width = edges[1] - edges[0]
    areas[name] = changed(name, edges[:-1] + width / 2).sum() * width
    share = np.mean(np.abs(forward[name](draws) - y) < 0.1)
    columns = f"{changed(name, y):9.4f} {areas[name]:10.6f} {changed(name, y) * 0.2:20.5f} {share:13.5f}"
    print(f"{name:15} {y:6.1f} {columns}")

# %% [markdown]
# Bars are shares of draws, masses and densities orange. Below on the left, the distance to the limit: by $F$ it falls
# with $h^2$, by counting it rises again.

# %%
figure = Figure(figsize=(8, 5.8), layout="constrained")
(masses, heights_panel), (limit, index) = figure.subplots(2, 2)

masses.bar(np.arange(1, 7), shares[1_000], color=chapter.BLUE, alpha=0.4, label="share of 1000 throws")
masses.plot(np.arange(1, 7), mass, "o", color=chapter.ORANGE, label="mass P(X = x)")
masses.set(title="Discrete: masses add up to one", xlabel="face of the die", ylabel="probability", ylim=(0, 1))

metres = np.linspace(1.45, 1.95, 300)
heights_panel.hist(draws[:20_000], 50, density=True, color=chapter.BLUE, alpha=0.4, label="20000 draws")
heights_panel.plot(metres, density(metres), color=chapter.ORANGE, lw=2, label="density p(x) = F′(x)")
strip = np.linspace(x - 0.02, x + 0.02, 50)
heights_panel.fill_between(strip, density(strip), color=chapter.ORANGE, alpha=0.6, label="P(1.73 ≤ X ≤ 1.77)")
heights_panel.axhline(1, color=chapter.GREY, ls="--", lw=1)
heights_panel.text(1.45, 1.1, "1", color=chapter.GREY)
heights_panel.set(
    title="Continuous: the area is one", xlabel="height in metres", ylabel="density per metre", ylim=(0, 9)
)

limit.loglog(widths, np.abs(by_count - density(x)), "s", color=chapter.BLUE, label="by counting a million draws")
limit.loglog(widths, np.abs(by_cdf - density(x)), "o", color=chapter.ORANGE, label="by F")
limit.loglog(widths, np.abs(predicted), "--", color=chapter.GREY, lw=1, label="p″(x) h² / 6")
limit.set(title="P(x − h ≤ X ≤ x + h) / 2h → p(x)", xlabel="h", ylabel="distance to the limit", ylim=(1e-9, 1e4))

masses_of = np.linspace(18, 34, 300)
index.hist(70 / draws[:20_000] ** 2, 50, density=True, color=chapter.BLUE, alpha=0.4, label="the same 20000 draws")
index.plot(masses_of, changed("body mass index", masses_of), color=chapter.ORANGE, lw=2, label="p(x(y)) |dx/dy|")
index.set(
    title="Another variable, another density",
    xlabel="body mass index at 70 kg",
    xlim=(17, 34),
    ylabel="density",
    ylim=(0, 0.28),
)
for panel in (masses, heights_panel, limit, index):
    panel.legend(loc="upper left" if panel in (masses, heights_panel, limit) else "upper right", fontsize=8)
chapter.show(figure, "probability.png")
