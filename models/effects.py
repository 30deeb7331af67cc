"""What each communication does beyond what the catalog states, with how sure we are.

Beyond `stated_scale` times its stated effect, the effect of communication k on a customer in
state s, measured against silence, is

    beyond_k(s) = sum over terms j of coefficient[k, j] * term_j(s),

in currency units, where a term is a product of state variables: the effect of a reminder may be
so much of an order, and so much more of an order where churn is likely. The coefficients and
their covariance come from `training.effects`; all standard errors come from that covariance,
which spans all communications, so that the difference of two effects has an honest one too.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.stage import STAGES
from models.expectation import Expectation

FloatArray = NDArray[np.float64]
Int64Array = NDArray[np.int64]

# What of a customer an effect may depend on; few, because every one of them costs certainty.
# A score that was not asked for is 0, and so is a feature with nothing to say: the stage, which
# stands beside them, then tells why.
_SCORES: Final = (
    "churn_risk",
    "repurchase_likelihood",
    "promoter_likelihood",
    "expected_margin",
)
# Name in the state, and the feature.
STATE_FEATURES: Final[Mapping[str, str]] = {
    "order_value": "average_order_value_365d",
    "discount_share": "discount_share_365d",
    "email_engagement": "email_open_rate_90d",
    "recent_contacts": "contacts_half_life_7d",
}
STATE: Final = (
    *_SCORES,
    "usual_margin",
    *STATE_FEATURES,
    *(f"is_{stage}" for stage in STAGES),
)

# Effects are shares of money: of an order, or of what the customer usually brings. Each line is
# a product of state variables; the empty product is one unit of the currency. The first two say
# how large an effect is, the others how it differs between customers.
TERMS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("order_value",),
    ("order_value", "churn_risk"),
    ("order_value", "repurchase_likelihood"),
    ("order_value", "promoter_likelihood"),
    ("order_value", "discount_share"),
    ("order_value", "email_engagement"),
    ("order_value", "recent_contacts"),
    ("order_value", "order_value"),
    ("usual_margin",),
    ("expected_margin",),
    ("usual_margin", "churn_risk"),
)
LEVELS: Final = 2


def state_of(expectation: Expectation, features: Mapping[str, float], stage: str) -> FloatArray:
    """State of a customer, shape (n_state,), in the order of `STATE`; never NaN."""
    values = [expectation.value(name) or 0.0 for name in _SCORES]
    values.append(expectation.usual_margin)
    values += [_known(features.get(name)) for name in STATE_FEATURES.values()]
    values += [float(stage == one) for one in STAGES]
    return np.array(values)


def _known(value: float | None) -> float:
    return 0.0 if value is None or isnan(value) else value


def terms_of(
    states: FloatArray, names: Sequence[str], terms: Sequence[Sequence[str]]
) -> FloatArray:
    """Products of state variables, shape (n, n_terms).

    Parameters
    ----------
    states : ndarray of float64, shape (n, n_state)
    names : sequence of str
        Of the columns of `states`.
    """
    columns = {name: states[:, place] for place, name in enumerate(names)}
    products = np.ones((len(states), len(terms)))
    for place, term in enumerate(terms):
        for name in term:
            products[:, place] *= columns[name]
    return products


@dataclass(frozen=True, slots=True)
class CustomerEffects:
    """What was measured beyond stated effects, for one customer, in currency units.

    Attributes
    ----------
    places : mapping of communication to int
        Place in the arrays; a communication that is not in it was never measured, or not asked
        for.
    values : ndarray of float64, shape (k,)
    covariance : ndarray of float64, shape (k, k)
        Of the errors of `values`.
    usual : ndarray of float64, shape (k,)
        Usual effect in the same stage, for orders as large as this customer's.
    evidence : ndarray of int64, shape (k,)
        Decisions that the effect was measured on: the communication stood in the lottery.
    stated_scale : float
        How much of what the catalog states came true, over all communications together.
    """

    places: Mapping[str, int]
    values: FloatArray
    covariance: FloatArray
    usual: FloatArray
    evidence: Int64Array
    stated_scale: float = 1.0


NOTHING_MEASURED: Final = CustomerEffects(
    {}, np.zeros(0), np.zeros((0, 0)), np.zeros(0), np.zeros(0, dtype=np.int64)
)


@dataclass(frozen=True, slots=True, eq=False)
class EffectModels:
    """Effects of k communications beyond what is stated, as functions of the state; d terms.

    Attributes
    ----------
    names : tuple of str
        Communications with evidence, sorted; `no_contact` is what all are measured against.
    state : tuple of str
        Variables of the state, in the order in which it is given.
    terms : tuple of tuple of str
        See `TERMS`.
    coefficients : ndarray of float64, shape (k, d)
    covariance : ndarray of float64, shape (k * d, k * d)
        Of the errors of the coefficients, communication by communication.
    evidence : ndarray of int64, shape (k,)
        Decisions in which the communication stood in the lottery, drawn or not.
    means : mapping of stage to ndarray of float64, shape (k, levels)
        What each communication usually does in a stage, as coefficients of the first `levels`
        terms: those that say how large effects are, not how they differ between customers.
    mean : ndarray of float64, shape (k, levels)
        The same over all stages: for a stage that too few decisions were made in.
    stated_scale : float
        How much of what the catalog states came true, over all communications together.
    """

    names: tuple[str, ...]
    state: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]
    coefficients: FloatArray
    covariance: FloatArray
    evidence: Int64Array
    means: Mapping[str, FloatArray]
    mean: FloatArray
    stated_scale: float = 1.0

    def __eq__(self, other: object) -> bool:
        """Whether two say the same to the last digit."""
        return isinstance(other, EffectModels) and tables(self) == tables(other)

    __hash__ = None  # type: ignore[assignment]

    def on(
        self, state: FloatArray, stage: str, among: Collection[str] | None = None
    ) -> CustomerEffects:
        """Effects on one customer.

        Parameters
        ----------
        state : ndarray of float64, shape (n_state,)
            See `state_of`.
        among : collection of str, optional
            Communications that may be sent to the customer: others are not worked out. None: all.
        """
        x = self._terms_at(state)
        asked = [i for i, name in enumerate(self.names) if among is None or name in among]
        k, d = self.coefficients.shape
        # Only the blocks that are asked for are read: the covariance of 60 communications is 4 MB,
        # and about four of them suit a customer.
        blocks = self.covariance.reshape(k, d, k, d)
        half = [x @ blocks[i].take(asked, axis=1).reshape(d, len(asked) * d) for i in asked]
        usual = self.means.get(stage, self.mean)
        return CustomerEffects(
            places={self.names[i]: place for place, i in enumerate(asked)},
            values=self.coefficients[asked] @ x,
            covariance=np.array(half).reshape(len(asked), len(asked), d) @ x,
            usual=usual[asked] @ x[: usual.shape[1]],
            evidence=self.evidence[asked],
            stated_scale=self.stated_scale,
        )

    def _terms_at(self, state: FloatArray) -> FloatArray:
        """As `terms_of` for one customer, and many times as fast; shape (d,)."""
        known = dict(zip(self.state, state.tolist(), strict=True))
        return np.array(
            [prod(known[name] for name in term) for term in self.terms], dtype=np.float64
        )


def tables(models: EffectModels) -> dict[str, object]:
    """The models as JSON can hold them; `from_tables` reads them back to the last digit."""
    return {
        "names": list(models.names),
        "state": list(models.state),
        "terms": [list(term) for term in models.terms],
        "coefficients": models.coefficients.tolist(),
        "covariance": models.covariance.tolist(),
        "evidence": models.evidence.tolist(),
        "means": {stage: values.tolist() for stage, values in models.means.items()},
        "mean": models.mean.tolist(),
        "stated_scale": models.stated_scale,
    }


class DamagedEffects(ValueError):
    """Effects whose parts do not fit together."""


def from_tables(found: Mapping[str, object]) -> EffectModels:
    """Effects as `tables` wrote them.

    Raises
    ------
    DamagedEffects
        If a part is missing or has another shape than the others say, or a number is not finite.
    """
    try:
        models = EffectModels(
            names=tuple(found["names"]),  # type: ignore[arg-type]
            state=tuple(found["state"]),  # type: ignore[arg-type]
            terms=tuple(tuple(term) for term in found["terms"]),  # type: ignore[attr-defined]
            coefficients=np.array(found["coefficients"], dtype=np.float64),
            covariance=np.array(found["covariance"], dtype=np.float64),
            evidence=np.array(found["evidence"], dtype=np.int64),
            means={
                stage: np.array(values, dtype=np.float64)
                for stage, values in found["means"].items()  # type: ignore[attr-defined]
            },
            mean=np.array(found["mean"], dtype=np.float64),
            stated_scale=float(found["stated_scale"]),  # type: ignore[arg-type]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedEffects(f"effects: {error!r}; {_AGAIN}") from error
    if set(found) != set(tables(models)):
        raise DamagedEffects(
            f"effects: parts {sorted(found)}; must be {sorted(tables(models))}; {_AGAIN}"
        )
    _check(models)
    return models


_AGAIN: Final = "they are not what training wrote; train again with `nextbest train`"


def _check(models: EffectModels) -> None:
    k, d = len(models.names), len(models.terms)
    levels = models.mean.shape[1] if models.mean.ndim == 2 and models.mean.shape[1] <= d else 1
    shapes = {
        "coefficients": (models.coefficients, (k, d)),
        "covariance": (models.covariance, (k * d, k * d)),
        "evidence": (models.evidence, (k,)),
        "mean": (models.mean, (k, levels)),
    } | {f"mean of {stage}": (values, (k, levels)) for stage, values in models.means.items()}
    for what, (values, shape) in shapes.items():
        if values.shape != shape:
            raise DamagedEffects(
                f"effects: {what} has the shape {values.shape}; must be {shape}; {_AGAIN}"
            )
        if not np.isfinite(values).all():
            raise DamagedEffects(f"effects: {what} holds a number that is not finite; {_AGAIN}")
    if not 0 <= models.stated_scale < np.inf:
        raise DamagedEffects(
            f"effects: stated_scale {models.stated_scale}; must be finite, 0 or more; {_AGAIN}"
        )
    unknown = sorted({name for term in models.terms for name in term} - set(models.state))
    if unknown:
        raise DamagedEffects(f"effects: terms of unknown state variables {unknown}; {_AGAIN}")
