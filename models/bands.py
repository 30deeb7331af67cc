"""The four words for a probability: low, usual, raised or high, beside that of everybody."""

from typing import Final

LOW: Final = "low"
USUAL: Final = "usual"
RAISED: Final = "raised"
HIGH: Final = "high"
BANDS: Final = (LOW, USUAL, RAISED, HIGH)

# Each edge is a doubling of the odds of everybody: half of them and less is low, twice raised,
# four times high. Odds and not shares, so that a base rate of 60 % leaves room for "high" too,
# and that a doubling means the same at 2 % and at 40 %.
EDGES: Final = (0.5, 2.0, 4.0)


def band(value: float, base_rate: float) -> str:
    """Which of `BANDS` a probability is in.

    Parameters
    ----------
    value : float
        The probability, 0-1.
    base_rate : float
        Share of yes among everybody who was asked, 0-1.
    """
    odds, everybody = value * (1 - base_rate), base_rate * (1 - value)
    if odds <= EDGES[0] * everybody:
        return LOW
    if odds < EDGES[1] * everybody:
        return USUAL
    return RAISED if odds < EDGES[2] * everybody else HIGH
