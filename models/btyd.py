"""Buy till you die: silence foretold from nothing but the times of past purchases.

Both kinds know three facts of a customer: how many purchases followed the first one (x), when
the last one was (t_x), and for how long we have watched (T). Each has a function ``S(T)``: how
likely nothing was heard from t_x to T. The chance of a silent window follows,
``S(T + window) / S(T)``, and that of a purchase is summed by itself, so that neither loses its
digits near 0 or 1.

What each fact adds is its Shapley value against a reference customer: the mean, over all orders
in which the three facts can become known, of what each changes. They add up exactly.

Sources: Fader, Hardie and Lee (2005), "Counting your customers the easy way: an alternative to
the Pareto/NBD model"; Schmittlein, Morrison and Colombo (1987), "Counting your customers".
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import ClassVar, Final, NamedTuple

import numpy as np

from models.model import DamagedModel, FloatArray, feature_column
from models.power_integral import Powers, log_integral

# Days with a purchase, days since the first one, days since the last one.
ORDER_FACTS: Final = ("order_days_ever", "days_since_first_order", "days_since_last_order")
OUTCOMES: Final = ("absence", "presence")

# Shapley's weight for a group of 0, 1 or 2 facts of 3 that are known before.
_WEIGHTS: Final = (1 / 3, 1 / 6, 1 / 3)
# Of the mean over the chance to stop: right to 1e-9.
_NODES: Final = 64
# Below these nothing changes but the rounding, and no logarithm is of zero.
_TINY: Final = 1e-300


class Purchases(NamedTuple):
    """What the models look at, arrays of shape (n,), times in one unit (days, for those served).

    Attributes
    ----------
    repeats : x, days with a purchase after the first one
    last : t_x, from the first purchase to the last one; 0 without a repeat
    watched : T, from the first purchase to the moment of looking
    """

    repeats: FloatArray
    last: FloatArray
    watched: FloatArray


def purchases_of(facts: FloatArray) -> Purchases:
    """Purchases from features.

    Parameters
    ----------
    facts : ndarray of float64, shape (n, 3), no NaN
        See `ORDER_FACTS`. What cannot be (a last purchase before the first) is bent to what can.
    """
    repeats = np.maximum(facts[:, 0] - 1.0, 0.0)
    watched = np.maximum(facts[:, 1], 0.0)
    last = np.clip(watched - facts[:, 2], 0.0, watched)
    return Purchases(repeats, np.where(repeats > 0, last, 0.0), watched)


@dataclass(frozen=True, slots=True)
class BgNbd:
    """Purchases come at a gamma distributed rate; after each, a beta distributed chance to stop.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma; alpha in days.
    a, b : float
        Of the beta distribution.
    window_days : float
        Length of the window that is foretold.
    outcome : str
        What a yes is: ``absence`` or ``presence`` of a purchase in the window.
    features : tuple of str
        Names of the three facts, as `ORDER_FACTS`.
    reference : tuple of float
        The customer that contributions are counted from; stands in for what is missing.
    """

    kind: ClassVar[str] = "bg_nbd"

    r: float
    alpha: float
    a: float
    b: float
    window_days: float
    outcome: str
    features: tuple[str, ...]
    reference: tuple[float, ...]

    def __post_init__(self) -> None:
        _require_sound(self, ("r", "alpha", "a", "b"))

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """See `models.model.Model`."""
        return _shapley(self, rows, names)

    def raw_log_odds(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Sum of the contributions, eight times faster than they are; shape (n,)."""
        return _log_odds(self, _facts(self, rows, names))

    def silence_log_odds(self, seen: Purchases, window: float) -> FloatArray:
        """Log-odds of no purchase in the next `window`, shape (n,)."""
        power = self.r + seen.repeats
        now, then = np.log(self.alpha + seen.watched), np.log(self.alpha + seen.watched + window)
        silent = np.logaddexp(-power * then, self._log_gone(seen))
        buys = -power * now + np.log(np.maximum(-np.expm1(-power * (then - now)), _TINY))
        return np.asarray(silent - buys)

    def alive(self, seen: Purchases) -> FloatArray:
        """Probability of still being a customer, shape (n,)."""
        here = -(self.r + seen.repeats) * np.log(self.alpha + seen.watched)
        return np.asarray(np.exp(here - np.logaddexp(here, self._log_gone(seen))))

    def expected(self, seen: Purchases, window: float) -> FloatArray:
        """Expected number of purchases in the next `window`, shape (n,).

        Equation 10 of the paper is the integral over the chance to stop, p ~ beta(a, b + x), of
        ``(1 - (A / (A + p window)) ** (r + x)) / p`` with ``A = alpha + T``. Summed as that, it
        has no 2F1 that is undefined at a = 1.
        """
        total = np.zeros(len(seen.repeats))
        # A beta(a, b + x) is a beta(a, b + few) with the weight (1 - p) ** (x - few); one set of
        # nodes serves from each power of two to the next.
        bands = np.floor(np.log2(np.maximum(seen.repeats, 0.5)))
        for band in set(bands.tolist()):
            same = bands == band
            few = 2.0**band if band >= 0 else 0.0
            p, weights = _beta_nodes(self.a, self.b + few)
            x, watched = seen.repeats[same, None], seen.watched[same, None]
            known = weights * np.exp((x - few) * np.log1p(-p))
            bought = -np.expm1(-(self.r + x) * np.log1p(p * window / (self.alpha + watched))) / p
            total[same] = (known * bought).sum(axis=1) / known.sum(axis=1)
        return np.asarray(self.alive(seen) * total)

    def expected_of_one(self, repeats: float, last: float, watched: float, window: float) -> float:
        """As `expected` to the last bit, of one customer, in a fifth of the time.

        Arrays of one number cost numpy more than the arithmetic itself.

        Parameters
        ----------
        repeats, last, watched : float
            See `Purchases`.
        """
        power = self.r + repeats
        here = -power * np.log(self.alpha + watched)
        gone = -math.inf
        if repeats > 0:
            odds = math.log(self.a) - np.log(self.b + max(repeats, 1.0) - 1.0)
            gone = odds - power * np.log(self.alpha + last)
        alive = np.exp(here - np.logaddexp(here, gone))
        p, weights, whole = _nodes_of(self.a, self.b, repeats)
        bought = -np.expm1(-power * np.log1p(p * window / (self.alpha + watched))) / p
        return float(alive * ((weights * bought).sum() / whole))

    def _log_gone(self, seen: Purchases) -> FloatArray:
        """Log of the share of S that belongs to those who stopped after their last purchase."""
        x = seen.repeats
        odds = math.log(self.a) - np.log(self.b + np.maximum(x, 1.0) - 1.0)
        return np.where(x > 0, odds - (self.r + x) * np.log(self.alpha + seen.last), -np.inf)


@dataclass(frozen=True, slots=True)
class ParetoNbd:
    """Purchases come at a gamma distributed rate, and customers leave at another one, unseen.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma that purchases come at; alpha in days.
    s, beta : float
        Those of the gamma that customers leave at; beta in days.
    window_days, outcome, features, reference
        As `BgNbd`.

    Notes
    -----
    With ``m = r + x``, nothing after t_x is either staying, ``(alpha + T) ** -m (beta + T) ** -s``,
    or leaving at some t before T: ``s`` times the integral from t_x to T of
    ``(alpha + t) ** -m (beta + t) ** -(s + 1)``. S is their sum, and -dS/dT is
    ``m (alpha + T) ** -(m + 1) (beta + T) ** -s``, whose integral over the window is the chance
    of a purchase.
    """

    kind: ClassVar[str] = "pareto_nbd"

    r: float
    alpha: float
    s: float
    beta: float
    window_days: float
    outcome: str
    features: tuple[str, ...]
    reference: tuple[float, ...]

    def __post_init__(self) -> None:
        _require_sound(self, ("r", "alpha", "s", "beta"))

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """See `models.model.Model`."""
        return _shapley(self, rows, names)

    def raw_log_odds(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Sum of the contributions, eight times faster than they are; shape (n,)."""
        return _log_odds(self, _facts(self, rows, names))

    def silence_log_odds(self, seen: Purchases, window: float) -> FloatArray:
        """Log-odds of no purchase in the next `window`, shape (n,)."""
        m = self.r + seen.repeats
        buying = Powers(
            self._of(self.alpha, m), m + 1.0, self._of(self.beta, m), self._of(self.s, m)
        )
        buys = np.log(m) + log_integral(buying, seen.watched, seen.watched + window)
        return np.asarray(self._log_silent(seen, seen.watched + window) - buys)

    def alive(self, seen: Purchases) -> FloatArray:
        """Probability of still being a customer, shape (n,)."""
        stayed = self._log_stayed(seen, seen.watched)
        return np.asarray(np.exp(stayed - self._log_silent(seen, seen.watched)))

    def expected(self, seen: Purchases, window: float) -> FloatArray:
        """Expected number of purchases in the next `window`, shape (n,).

        Equation 41 of Fader and Hardie (2005), "A note on deriving the Pareto/NBD model".
        """
        rate = (self.r + seen.repeats) / (self.alpha + seen.watched)
        grown = np.log1p(window / (self.beta + seen.watched))
        power = self.s - 1.0
        # (1 - e ** -(power grown)) / power, which is `grown` in the limit of power 0.
        stays = grown if abs(power) < 1e-12 else -np.expm1(-power * grown) / power
        return np.asarray(self.alive(seen) * rate * (self.beta + seen.watched) * stays)

    def _log_stayed(self, seen: Purchases, until: FloatArray) -> FloatArray:
        m = self.r + seen.repeats
        return np.asarray(-m * np.log(self.alpha + until) - self.s * np.log(self.beta + until))

    def _log_silent(self, seen: Purchases, until: FloatArray) -> FloatArray:
        """Logarithm of S."""
        m = self.r + seen.repeats
        leaving = Powers(
            self._of(self.alpha, m), m, self._of(self.beta, m), self._of(self.s + 1, m)
        )
        left = math.log(self.s) + log_integral(leaving, seen.last, until)
        return np.logaddexp(self._log_stayed(seen, until), left)

    @staticmethod
    def _of(value: float, like: FloatArray) -> FloatArray:
        return np.full(len(like), value)


Btyd = BgNbd | ParetoNbd


def _shapley(model: Btyd, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """What each of the three facts adds to the log-odds of a yes."""
    columns = [feature_column(names, feature) for feature in model.features]
    reference, facts = np.asarray(model.reference), _facts(model, rows, names)
    places = range(len(columns))
    said: dict[tuple[int, ...], FloatArray] = {}
    for size in range(len(columns) + 1):
        for known in combinations(places, size):
            mixed = np.tile(reference, (len(rows), 1))
            mixed[:, known] = facts[:, known]
            said[known] = _log_odds(model, mixed)
    parts = np.zeros((len(rows), len(names) + 1))
    parts[:, -1] = said[()]
    for place, column in zip(places, columns, strict=True):
        for known in said:
            if place not in known:
                after = tuple(sorted((*known, place)))
                parts[:, column] += _WEIGHTS[len(known)] * (said[after] - said[known])
    return parts


def _facts(model: Btyd, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """The three facts of each row, shape (n, 3); those of the reference where one is missing."""
    columns = [feature_column(names, feature) for feature in model.features]
    return np.where(np.isnan(rows[:, columns]), np.asarray(model.reference), rows[:, columns])


def _log_odds(model: Btyd, facts: FloatArray) -> FloatArray:
    silent = model.silence_log_odds(purchases_of(facts), model.window_days)
    return silent if model.outcome == "absence" else -silent


# The same for all who bought equally often, and their number is small.
@lru_cache(maxsize=1024)
def _nodes_of(a: float, b: float, repeats: float) -> tuple[FloatArray, FloatArray, float]:
    """Nodes of the mean over the chance to stop after so many repeats, weights, and their sum."""
    few = 2.0 ** math.floor(math.log2(repeats)) if repeats >= 1 else 0.0
    p, weights = _beta_nodes(a, b + few)
    known = weights * np.exp((repeats - few) * np.log1p(-p))
    return p, known, float(known.sum())


# A dozen a model, asked for again and again.
@lru_cache(maxsize=64)
def _beta_nodes(a: float, b: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights, which add up to 1, of the mean over a beta distribution.

    Gauss-Jacobi by the eigenvalues of its three-term recurrence. Source: Golub and Welsch (1969).
    """
    left, right = b - 1.0, a - 1.0  # exponents of (1 - p) and of p
    both = left + right
    k = np.arange(1.0, _NODES)
    diagonal = np.empty(_NODES)
    diagonal[0] = (right - left) / (both + 2.0)
    diagonal[1:] = (right**2 - left**2) / ((2 * k + both) * (2 * k + both + 2.0))
    beside = np.empty(_NODES - 1)
    beside[0] = 4.0 * (1 + left) * (1 + right) / ((2 + both) ** 2 * (3 + both))
    k = k[1:]
    beside[1:] = (
        4.0 * k * (k + left) * (k + right) * (k + both)
        / ((2 * k + both) ** 2 * (2 * k + both + 1) * (2 * k + both - 1))
    )  # fmt: skip
    root = np.sqrt(beside)
    places, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(root, 1) + np.diag(root, -1))
    p = np.clip(0.5 * (1.0 + places), _TINY, 1.0 - 1e-15)
    return p, vectors[0] ** 2


def _require_sound(model: Btyd, positive: tuple[str, ...]) -> None:
    """Refuse numbers that no fit can have found."""
    for name in (*positive, "window_days"):
        value = getattr(model, name)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value < math.inf
        ):
            raise DamagedModel(f"{model.kind}: {name} = {value!r}; must be a number above 0")
    if model.outcome not in OUTCOMES:
        raise DamagedModel(
            f"{model.kind}: outcome = {model.outcome!r}; must be one of {', '.join(OUTCOMES)}"
        )
    if len(model.features) != len(ORDER_FACTS):
        raise DamagedModel(f"{model.kind}: features must name three facts")
    if len(model.reference) != len(ORDER_FACTS) or not np.isfinite(model.reference).all():
        raise DamagedModel(f"{model.kind}: reference must hold three finite numbers")
