"""What a bundle expects of one customer: scores, money and reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

SERVED_BY: Final = ("lightgbm", "logistic", "bg_nbd", "pareto_nbd", "recency", "base_rate")
NOTHING_SERVES: Final = "none"  # `served_by` of a score for which there is no model
PROBABILITIES: Final = ("churn_risk", "repurchase_likelihood", "promoter_likelihood")
SCORES: Final = (
    *PROBABILITIES,
    "expected_margin",
)
# How often the odds of everybody a probability is: what conditions may ask for beside scores.
ODDS_RATIOS: Final[Mapping[str, str]] = {f"{name}_odds_ratio": name for name in PROBABILITIES}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a score reads as it does: one group of features, in words.

    Attributes
    ----------
    code : str
        Feature group in capitals, such as ``RECENCY``.
    score : str
        Name of the score it speaks of.
    points : float
        Percentage points that the group adds to the score (negative: takes away).
    direction : str
        ``raises`` or ``lowers``.
    text : str
        One sentence for a marketer; states facts, claims no cause.
    """

    code: str
    score: str
    points: float
    direction: str
    text: str


@dataclass(frozen=True, slots=True)
class Score:
    """One prediction, with what it means.

    Attributes
    ----------
    value : float or None
        Probability 0-1, or money over the window for `expected_margin`.
        None: the customer is outside the population the score speaks of; `note` says why.
    window_days : int
        Length of the label window.
    base_rate : float
        Mean outcome in the training population; 0 where there is no model.
    served_by : str
        One of `SERVED_BY`, or `NOTHING_SERVES`.
    low, high : float or None
        Between which the outcome lies for nine customers in ten; of money only, and None where
        too few customers are known to say it.
    """

    name: str
    value: float | None
    window_days: int
    base_rate: float
    served_by: str
    note: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """Everything the engine may know about a customer's likely future.

    Attributes
    ----------
    scores : mapping of score name to Score
        Only scores that the bundle holds.
    usual_margin : float
        The customer's own average margin over `horizon_days`, whatever the recent silence:
        what there is to win back. Money in currency units.
    reasons : tuple of Reason
        For all probability scores, strongest first within each.
    """

    scores: Mapping[str, Score]
    usual_margin: float
    reasons: tuple[Reason, ...] = ()

    def value(self, name: str) -> float | None:
        """Value of a score; None where the bundle has none for this customer."""
        score = self.scores.get(name)
        return None if score is None else score.value

    def odds_ratio(self, name: str) -> float | None:
        """Odds of a probability over those of its base rate; None where there is none of them.

        The edges of bands stand at 1/2, 2 and 4; see `models.bands`.
        """
        score = self.scores.get(name)
        if score is None or score.value is None or not 0 < score.base_rate < 1:
            return None
        if score.value >= 1:
            return inf
        return score.value / (1 - score.value) * (1 - score.base_rate) / score.base_rate
