"""Decisions read back from the log, as they were written: what evaluation learns from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from serving.outcome_kinds import NOT_SENT
from serving.storage import tables

_COLUMNS: Final = (
    "customer_id",
    "as_of",
    "communication",
    "arm",
    "probabilities",
    "scores",
    "stage",
    "features",
    "fingerprint",
)
_QUERY: Final = (
    sa.select(*(tables.decisions.c[name] for name in _COLUMNS))
    .where(tables.decisions.c.fallback == 0, tables.decisions.c.as_of < sa.bindparam("before"))
    .order_by(tables.decisions.c.sequence)
)
_NOT_SENT: Final = sa.exists().where(
    tables.outcomes.c.decision_id == tables.decisions.c.id,
    tables.outcomes.c.outcome == NOT_SENT,
)
_LATEST: Final = (
    sa.select(sa.func.max(tables.decisions.c.sequence))
    .where(tables.decisions.c.fallback == 0, ~_NOT_SENT)
    .group_by(tables.decisions.c.customer_id)
)
_LAST: Final = sa.select(tables.decisions.c.customer_id, tables.decisions.c.communication).where(
    tables.decisions.c.sequence.in_(_LATEST)
)
_COUNT: Final = sa.select(sa.func.count(tables.decisions.c.id))


@dataclass(frozen=True, slots=True)
class PastDecision:
    """One row of the decision log that is no fallback.

    Attributes
    ----------
    as_of : int
        Microseconds UTC.
    probabilities : mapping of communication to float
        Over the allowed set, conditional on the arm.
    scores : mapping of score name to float
        Those that were known.
    features : ndarray of float64, shape (n_features,)
        In the order of the feature set of that `fingerprint`.
    """

    customer_id: str
    as_of: int
    communication: str
    arm: str
    probabilities: Mapping[str, float]
    scores: Mapping[str, float]
    stage: str
    features: NDArray[np.float64]
    fingerprint: str


def past_decisions(connection: sa.Connection, before: int) -> list[PastDecision]:
    """Decisions made before a moment, in the order in which they were logged; no fallbacks."""
    return [_read(row) for row in connection.execute(_QUERY, {"before": before})]


def _read(row: sa.Row[tuple[Any, ...]]) -> PastDecision:
    scores = json.loads(row.scores)
    return PastDecision(
        customer_id=row.customer_id,
        as_of=row.as_of,
        communication=row.communication,
        arm=row.arm,
        probabilities=json.loads(row.probabilities),
        scores={name: s["value"] for name, s in scores.items() if s["value"] is not None},
        stage=row.stage,
        features=np.frombuffer(row.features, dtype="<f8").astype(np.float64),
        fingerprint=row.fingerprint,
    )


def last_communications(connection: sa.Connection) -> dict[str, str]:
    """What each customer's last decision chose; fallbacks and unsent messages left out."""
    return {customer: chosen for customer, chosen in connection.execute(_LAST)}


def decision_count(connection: sa.Connection) -> int:
    """How many decisions are on record."""
    return int(connection.scalar(_COUNT) or 0)
