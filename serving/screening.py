"""Screening: which communications may be sent now, and what stands in the way of all others.

A refusal names all that stands in the way of its communication: that it does not suit the
customer, and whatever of the contact policy would stop it too. Most communications are out of
the question for most customers, whatever the contact policy says. Of those the policy is asked
only when somebody reads the words of the refusal.
"""

from dataclasses import dataclass

from serving.catalog import Catalog, Communication
from serving.contact_policy import FOREMOST, Now, now_of, obstacles_now
from serving.engine import Engine
from serving.moments import obstacles_of_past
from serving.proposal import Proposal
from serving.records import Ledger, Refusal
from serving.refusals import NEVER, Obstacle, refusal_of


@dataclass(frozen=True, slots=True)
class Screened:
    """What may be sent now, refusals of all else, and when time alone frees some of them."""

    allowed: tuple[Communication, ...]
    refused: tuple[Refusal, ...]
    free_at: tuple[int, ...]


def screened(proposal: Proposal, ledger: Ledger, engine: Engine) -> Screened:
    """Keep what suits the customer and may be sent at this moment.

    Parameters
    ----------
    ledger : Ledger
        With the customer's situation in it.
    """
    catalog = engine.catalog
    customer = proposal.customer
    now = now_of(ledger, engine.policy, customer.as_of, customer.last_at)
    policy_may_outrank, unsuited = now.outranks, proposal.unsuited

    def everything(name: str) -> tuple[Obstacle, ...]:
        return _everything(catalog.communications[name], proposal, now, catalog)

    allowed, refused = [], []
    for name, entry in catalog.communications.items():
        obstacles = unsuited.get(name, ())
        out_of_the_question = obstacles and obstacles[-1].until == NEVER  # they are decisive
        if policy_may_outrank or not out_of_the_question:
            obstacles = _in_order(obstacles, _held_back(entry, proposal, now, catalog))
        refusal = refusal_of(name, obstacles, everything)
        if refusal is None:
            allowed.append(entry)
        else:
            refused.append(refusal)
    free_at = tuple([each.until for each in refused if each.until is not None])
    return Screened(tuple(allowed), tuple(refused), free_at)


def _everything(
    entry: Communication, proposal: Proposal, now: Now, catalog: Catalog
) -> tuple[Obstacle, ...]:
    """All that stands in the way of an entry, for whoever reads it."""
    unsuited = proposal.why_unsuited(entry, catalog)
    return _in_order(unsuited, _held_back(entry, proposal, now, catalog))


def _held_back(
    entry: Communication, proposal: Proposal, now: Now, catalog: Catalog
) -> tuple[Obstacle, ...]:
    """What the contact policy says, and what was sent before."""
    last_at = proposal.customer.last_at
    past = obstacles_of_past(entry, catalog, last_at, now.ledger, now.as_of)
    return (*obstacles_now(entry, now), *past)


def _in_order(
    unsuited: tuple[Obstacle, ...], held_back: tuple[Obstacle, ...]
) -> tuple[Obstacle, ...]:
    """Whether it suits comes first, but after what outranks it; see `FOREMOST`."""
    outranks = held_back and held_back[0].rule in FOREMOST
    return (*held_back, *unsuited) if outranks else (*unsuited, *held_back)
