"""How well a policy tells apart whom a communication helps: curves over decisions by lot.

A decision in which a communication was sent, or nothing was, is a fair comparison of the two
wherever both could have been chosen: given that it was one of them, it was the communication
with the probability p(sent) / (p(sent) + p(nothing)).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array
from training.decision_log import LoggedDecisions
from training.uplift_curves import (
    Measure,
    Trial,
    UnusableTrial,
    qini_interval,
    uplift_interval,
)

FloatArray = NDArray[np.float64]

# With fewer of either kind the interval of an area is as wide as the area can be.
FEWEST: Final = 100
SHOWN: Final = 3  # communications, those of the most evidence first
TOP: Final = 0.3  # as many as a campaign commonly reaches


@dataclass(frozen=True, slots=True)
class Sorting:
    """How well a policy's worth of one communication sorts decisions by its effect.

    Attributes
    ----------
    sent, withheld : int
        Decisions, by lot.
    qini : Measure
        Currency units a decision; see `uplift_curves`.
    top : Measure or None
        Effect among the first `TOP`, currency units a decision; None where in a draw of the
        bootstrap only one kind stood there.
    """

    communication: str
    sent: int
    withheld: int
    qini: Measure
    top: Measure | None


def sortings(
    log: LoggedDecisions, worth: FloatArray, rng: np.random.Generator
) -> tuple[Sorting, ...]:
    """The communications that the log says most about, sorted by what a policy expects of them.

    Parameters
    ----------
    log : LoggedDecisions
        Matured rows.
    worth : ndarray of float64, shape (n, n_names)
        What the policy, which has not learned from the row, expects of each; NaN where it may
        not be sent.
    """
    compared = {place: _compared(log, worth, place) for place in range(1, len(log.names))}
    evidence = {
        place: min(int((log.chosen[rows] == kind).sum()) for kind in (0, place))
        for place, rows in compared.items()
    }
    ordered = sorted(evidence, key=lambda place: (-evidence[place], place))
    return tuple(
        _sorting(log.at(compared[place]), worth[compared[place], place], place, rng)
        for place in ordered[:SHOWN]
        if evidence[place] >= FEWEST
    )


def _compared(log: LoggedDecisions, worth: FloatArray, place: int) -> Int64Array:
    """Rows in which a communication or nothing was chosen, and either could have been."""
    either = (log.chosen == 0) | (log.chosen == place)
    both = (log.probabilities[:, 0] > 0) & (log.probabilities[:, place] > 0)
    return np.flatnonzero(either & both & ~np.isnan(worth[:, place]))


def _sorting(
    log: LoggedDecisions, score: FloatArray, place: int, rng: np.random.Generator
) -> Sorting:
    sent, nothing = log.probabilities[:, place], log.probabilities[:, 0]
    treated = log.chosen == place
    trial = Trial(log.customer, treated, log.reward, sent / (sent + nothing))
    try:
        top = uplift_interval(trial, score, TOP, rng)
    except UnusableTrial:  # all of the first may be of one kind, where worth and lot go together
        top = None
    return Sorting(
        log.names[place],
        int(treated.sum()),
        int((~treated).sum()),
        qini_interval(trial, score, rng),
        top,
    )
