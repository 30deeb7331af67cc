"""Which model may serve: named verdicts with numbers."""

import math
from typing import Final

from models.evaluation import Gate
from training.metrics import Interval

__all__ = [
    "BEATS",
    "CALIBRATION_MARGIN",
    "EQUALS",
    "LOSES",
    "MARGIN",
    "MAY_SERVE",
    "UNCLEAR",
    "UNTESTED",
    "Gate",
    "calibration_gate",
    "in_words",
    "loss_gate",
    "own_test_gate",
    "simple_gate",
    "slope_gate",
    "verdict",
]

# Worse by less than this share of the log loss is as good: a hundredth is about what two
# training runs on other snapshots of the same shop differ by.
MARGIN: Final = 0.01

BEATS: Final = "beats"
EQUALS: Final = "equals"
LOSES: Final = "loses"
UNCLEAR: Final = "unclear"
UNTESTED: Final = "untested"
MAY_SERVE: Final = frozenset({BEATS, EQUALS})


def verdict(loss: Interval) -> str:
    """What the interval of a relative loss difference, challenger less baseline, says.

    Returns
    -------
    str
        ``beats``: surely lower; ``equals``: surely not higher by more than `MARGIN`;
        ``loses``: surely higher; ``unclear``: too few customers to tell.
    """
    if loss.high < 0:
        return BEATS
    if loss.high <= MARGIN:
        return EQUALS
    if loss.low > 0:
        return LOSES
    return UNCLEAR


def in_words(target: str, baseline: str, said: str, loss: Interval) -> str:
    """One sentence on the verdict, with its numbers."""
    numbers = (
        f"log loss {100 * loss.difference:+.1f} % "
        f"({100 * loss.low:+.1f} to {100 * loss.high:+.1f} %)"
    )
    endings = {
        BEATS: "LightGBM serves.",
        EQUALS: "LightGBM serves.",
        LOSES: f"{baseline} serves.",
        UNCLEAR: f"too few customers to tell, so {baseline} serves.",
    }
    verbs = {
        BEATS: f"beats {baseline}",
        EQUALS: f"equals {baseline}",
        LOSES: f"loses to {baseline}",
        UNCLEAR: f"is not shown to be as good as {baseline}",
    }
    return f"{target}: LightGBM {verbs[said]}, {numbers}; {endings[said]}"


# Calibration errors of two trainings on the same shop differ by about half of this.
CALIBRATION_MARGIN: Final = 0.01


def loss_gate(target: str, said: str, loss: Interval, customers: int) -> Gate:
    """Whether the challenger's log loss is not worse than the champion's by more than `MARGIN`.

    Parameters
    ----------
    said : str
        The verdict on `loss`, the relative difference, or ``untested``.
    """
    numbers = (
        f"{100 * loss.difference:+.1f} % ({100 * loss.low:+.1f} to {100 * loss.high:+.1f} %) "
        f"over {customers:,} customers"
    )
    endings = {
        BEATS: "surely lower",
        EQUALS: f"surely not higher by more than {100 * MARGIN:g} %",
        LOSES: "surely higher",
        UNCLEAR: "too few customers to tell",
        UNTESTED: "far too few customers to tell",
    }
    return Gate(f"{target}: log loss", said in MAY_SERVE, f"{numbers}; {endings[said]}")


def calibration_gate(target: str, champion: float, error: Interval) -> Gate:
    """Whether the challenger's calibration error is not surely larger by more than the margin.

    Parameters
    ----------
    champion : float
        Calibration error of the champion.
    error : Interval
        Challenger less champion. On few rows a calibration error is mostly noise, so that only a
        difference whose interval lies above zero counts.
    """
    worse = error.low > 0 and error.difference > CALIBRATION_MARGIN
    return Gate(
        f"{target}: calibration",
        not worse,
        f"error {champion + error.difference:.3f} against {champion:.3f}, "
        f"{error.difference:+.3f} ({error.low:+.3f} to {error.high:+.3f}); "
        f"{'' if worse else 'not '}surely larger by more than {CALIBRATION_MARGIN:g}",
    )


# Of the calibration slope; between them a score of 80 % means 78 to 82.
SLOPES: Final = (0.9, 1.1)


def slope_gate(target: str, slope: Interval, champion: float | None = None) -> Gate:
    """Whether the calibration slope may lie between .9 and 1.1, or is nearer to 1 than before.

    Parameters
    ----------
    slope : Interval
        Of a logistic regression of the answers on the log-odds; 1 for a calibrated model.
    champion : float or None
        The champion's on the same rows: a model nearer to 1 than the one that serves is never
        held up by its slope.
    """
    lowest, highest = SLOPES
    outside = slope.low > highest or slope.high < lowest
    nearer = champion is not None and _off(slope.difference) < _off(champion)
    says = (
        f"{slope.difference:.2f} ({slope.low:.2f} to {slope.high:.2f}); "
        f"{'surely not' if outside else 'may lie'} between {lowest:g} and {highest:g}"
    )
    if champion is not None:
        says += f"; the champion's is {champion:.2f}"
    return Gate(f"{target}: calibration slope", nearer or not outside, says)


def _off(slope: float) -> float:
    """How far a slope is from 1, as a factor: a half is as far off as two."""
    return abs(math.log(slope)) if slope > 0 else math.inf


# The loss of a later season may be as much above that of the own test.
DRIFT: Final = 0.25


def own_test_gate(target: str, said: float | None, loss: Interval) -> Gate:
    """Whether later rows, computed again from the signals, repeat what the own test said.

    What was learned from a column that held the answer, or from tomorrow's signals, did well in
    its own test and does not here: every value is computed again as of its moment.

    Parameters
    ----------
    said : float or None
        Log loss of the own test, as it stands in the bundle; None: there was none.
    loss : Interval
        Log loss on the rows that are compared.
    """
    name = f"{target}: own test"
    if said is None:
        return Gate(name, True, "was not tested in training, so that there is nothing to repeat")
    worse = loss.low > said * (1 + DRIFT)
    return Gate(
        name,
        not worse,
        f"log loss {said:.3f} in training, {loss.difference:.3f} ({loss.low:.3f} to "
        f"{loss.high:.3f}) computed again; {'' if worse else 'not '}surely higher by more than "
        f"{100 * DRIFT:g} %",
    )


def simple_gate(target: str, served_by: str, customers: int) -> Gate:
    """A simple rule that cannot be tested: nothing better is to be had, so the newer is taken."""
    return Gate(
        f"{target}: log loss",
        True,
        f"{customers} customers to compare on are too few to tell; it is the {served_by} rule, "
        "so the newer one is taken",
    )
