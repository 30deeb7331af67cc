"""A proposal: what can be said of a customer before consents and past contacts are looked at."""

from dataclasses import dataclass, field, replace
from math import isnan
from typing import Final

from features.signals import DAY
from models.effects import NOTHING_MEASURED, CustomerEffects
from models.expectation import Expectation
from serving.catalog import Catalog, Communication
from serving.eligibility import eligible, why_unsuited
from serving.records import Customer, Situation
from serving.refusals import Obstacle, Obstacles

OBJECTOR: Final = "objector"  # the flag


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is likely to come, and which communications suit.

    Attributes
    ----------
    entries : tuple of Communication
        Those that suit the customer.
    unsuited : mapping of communication to obstacles
        The decisive obstacles of those that do not.
    left_out : mapping of communication to obstacles
        What the caller rules out; part of `unsuited` as well.
    measured : CustomerEffects
        What communications were measured to do to customers like this one.
    """

    customer: Customer
    expectation: Expectation
    flags: tuple[str, ...]
    entries: tuple[Communication, ...]
    unsuited: Obstacles
    left_out: Obstacles = field(default_factory=dict)
    measured: CustomerEffects = NOTHING_MEASURED

    def why_unsuited(self, entry: Communication, catalog: Catalog) -> tuple[Obstacle, ...]:
        """Everything that keeps an entry from suiting; what the caller rules out comes first."""
        left_out = self.left_out.get(entry.name, ())
        if entry.name not in self.unsuited or _is_not_asked(entry, self.flags):
            return left_out
        found = why_unsuited(entry.name, self.customer, self.flags, self.expectation, catalog)
        return (*left_out, *found)

    def situation(self) -> Situation:
        """What of the customer the contact policy asks for."""
        customer = self.customer
        return Situation(
            stage=customer.stage,
            flags=self.flags,
            ordered_at=_moment_of(customer, "days_since_last_order"),
            resolved_at=_moment_of(customer, "days_since_ticket_resolved"),
        )


def narrowed(proposal: Proposal) -> Proposal:
    """The proposal without what the caller rules out; those refusals name the caller first."""
    left_out, unsuited = proposal.left_out, proposal.unsuited
    if not left_out:
        return proposal
    names = dict.fromkeys((*left_out, *unsuited))
    return replace(
        proposal,
        entries=tuple(entry for entry in proposal.entries if entry.name not in left_out),
        unsuited={name: (*left_out.get(name, ()), *unsuited.get(name, ())) for name in names},
    )


def of_an_objector(
    customer: Customer,
    flags: tuple[str, ...],
    expectation: Expectation,
    left_out: Obstacles,
    catalog: Catalog,
) -> Proposal:
    """Whether marketing would suit an objector is not asked: none is sent.

    Parameters
    ----------
    flags, expectation
        Of a customer who is not scored.
    """
    flags = (*flags, OBJECTOR)
    entries, unsuited = eligible(customer, flags, expectation, catalog)
    listed = catalog.communications
    others = {n: found for n, found in unsuited.items() if not _is_not_asked(listed[n], flags)}
    return narrowed(Proposal(customer, expectation, flags, entries, others, left_out))


def _is_not_asked(entry: Communication, flags: tuple[str, ...]) -> bool:
    return entry.message_class == "marketing" and OBJECTOR in flags


def _moment_of(customer: Customer, feature: str) -> int | None:
    """When it was that a feature counts the days since; None if it never was."""
    days = customer.features[feature]
    return None if isnan(days) else customer.as_of - round(days * DAY)
