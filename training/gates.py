"""Which model may serve: named verdicts with numbers."""

from dataclasses import dataclass
from typing import Final

from training.metrics import Interval

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


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of a promotion: its name, whether it holds, and its numbers in words."""

    name: str
    passed: bool
    says: str


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


def simple_gate(target: str, served_by: str, customers: int) -> Gate:
    """A simple rule that cannot be tested: nothing better is to be had, so the newer is taken."""
    return Gate(
        f"{target}: log loss",
        True,
        f"{customers} customers to compare on are too few to tell; it is the {served_by} rule, "
        "so the newer one is taken",
    )
