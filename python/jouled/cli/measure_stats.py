"""What repeated runs tell: means with their confidence, outliers, and whether two commands differ.

Pure functions. Confidence is 95 % everywhere, by Student's t: with five runs the normal
distribution would promise far too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, median, stdev

from msgspec import Struct

CONFIDENCE = 0.95
OUTLIER_SCORE = 3.5
"""Iglewicz and Hoaglin's bound for the modified z-score, by the median of deviations."""
FEWEST_FOR_OUTLIERS = 5


class Summary(Struct, frozen=True):
    """One quantity over all runs. `confidence` is half of the 95 % interval; None for a single run."""

    count: int
    mean: float
    confidence: float | None
    minimum: float
    maximum: float
    outliers: tuple[int, ...] = ()
    """Which runs, from 0, lie far off the others."""


class Ratio(Struct, frozen=True):
    """How many times more the first takes than the second, with the 95 % interval around it; the
    bounds are None where a single run says nothing about chance.
    """

    ratio: float
    low: float | None
    high: float | None

    @property
    def verdict(self) -> int:
        """-1 where the first takes less, 1 where it takes more, 0 where no difference can be told."""
        if self.low is None or self.high is None:
            return 0
        return -1 if self.high < 1 else 1 if self.low > 1 else 0


def summary(values: Sequence[float]) -> Summary | None:
    """None where there are no values."""
    if not values:
        return None
    half = None
    if len(values) > 1:
        half = t_quantile(0.5 + CONFIDENCE / 2, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Summary(len(values), fmean(values), half, min(values), max(values), outliers(values))


def outliers(values: Sequence[float]) -> tuple[int, ...]:
    """The places of the values that lie far off the others."""
    if len(values) < FEWEST_FOR_OUTLIERS:
        return ()
    middle = median(values)
    spread = median(abs(value - middle) for value in values)
    if spread == 0:
        return ()
    return tuple(place for place, value in enumerate(values) if 0.6745 * abs(value - middle) / spread > OUTLIER_SCORE)


def compare(first: Sequence[float], second: Sequence[float]) -> Ratio | None:
    """The ratio of two means; its interval by Welch's test on their logarithms' errors (delta method).
    None where one of them is nothing, or not positive.
    """
    if not first or not second or fmean(first) <= 0 or fmean(second) <= 0:
        return None
    ratio = fmean(first) / fmean(second)
    if len(first) < 2 or len(second) < 2:
        return Ratio(ratio, None, None)
    parts = [(stdev(values) / fmean(values)) ** 2 / len(values) for values in (first, second)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Ratio(ratio, ratio, ratio)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)
    )
    reach = t_quantile(0.5 + CONFIDENCE / 2, freedom) * error
    return Ratio(ratio, ratio * math.exp(-reach), ratio * math.exp(reach))


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution above the median: by G. W. Hill's algorithm 396
    (1970), right to six digits from three degrees of freedom on, exact for one and two.
    """
    two_sided = 2 * (1 - probability)
    if freedom < 1.5:
        angle = two_sided * math.pi / 2
        return math.cos(angle) / math.sin(angle)
    if abs(freedom - 2) < 1e-9:
        return math.sqrt(2 / (two_sided * (2 - two_sided)) - 2)
    a = 1 / (freedom - 0.5)
    b = (48 / a) / a
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * freedom
    x = d * two_sided
    y = x ** (2 / freedom)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(two_sided / 2)
        y = x * x
        if freedom < 5:
            c += 0.3 * (freedom - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        inner = ((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3
        y = ((1 / inner + 0.5 / (freedom + 4)) * y - 1) * (freedom + 1) / (freedom + 2) + 1 / y
    return math.sqrt(freedom * y)
