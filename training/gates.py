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


def calibration_gate(target: str, challenger: float, champion: float) -> Gate:
    """Whether the challenger's calibration error is not larger by more than the margin."""
    return Gate(
        f"{target}: calibration",
        challenger <= champion + CALIBRATION_MARGIN,
        f"calibration error {challenger:.3f} against {champion:.3f}; "
        f"at most {CALIBRATION_MARGIN:g} more is allowed",
    )
