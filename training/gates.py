"""Which model may serve: named verdicts with numbers."""

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
