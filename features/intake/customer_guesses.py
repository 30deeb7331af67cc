"""Guesses about files of people: since when they are known, and what they consented to."""

from collections.abc import Mapping
from typing import Final

from features.intake.column_guesses import Column, channel_in, fits_role, is_personal
from features.intake.column_words import NO, YES
from features.intake.look import TIMES, TIMES_OR_YES, Look
from features.intake.mapping import SignalRule

# A trait with more values than this is a text about one person, not a group to learn from.
_MOST_TRAIT_VALUES: Final = 30


def customer_signals(look: Look, customer: str) -> tuple[SignalRule, ...]:
    """Sign-up, traits and consent, one row a person."""
    since = look.find("signed_up_at", TIMES) or look.moment()
    rules: list[SignalRule] = []
    known = {"customer_id": customer}
    if since:
        known_since = known | {"occurred_at": since.name}
        rules.append(SignalRule(event="Signed Up", columns=known_since, only_where=since.name))
        traits = {
            f"properties.{each.name}": each.name
            for each in look.columns
            if each.kind == "text"
            and each.distinct <= _MOST_TRAIT_VALUES
            and each.name != customer
            and not is_personal(each.name)
        }
        if traits:
            look.note(
                f"today's {', '.join(traits.values())} is taken as known since '{since.name}'; "
                "take 'Trait Set' out if it changes often."
            )
            rules.append(
                SignalRule(event="Trait Set", columns=known_since | traits, only_where=since.name)
            )
    rules += _consents(look, known, since)
    if not rules:
        return ()
    used = {name for rule in rules for name in (*rule.columns.values(), rule.only_where)}
    personal = [c.name for c in look.columns if is_personal(c.name) and c.name not in used]
    if personal:
        look.note(f"not taken over, since no model needs to know it: {', '.join(personal)}.")
    return tuple(rules)


def subscriber_signals(look: Look, customer: str) -> tuple[SignalRule, ...]:
    """Consent to a newsletter: a list of those who subscribed to it, and when."""
    at = look.find("consent_at", TIMES) or look.moment()
    if at is None:
        return ()
    known = {"customer_id": customer}
    rules = [_consent(look, known, at, at.name, given=True)]
    withdrawn = look.find("withdrawn_at", TIMES_OR_YES)
    if withdrawn and withdrawn.name != at.name:
        when = withdrawn.name if withdrawn.kind == "time" else at.name
        rules.append(_consent(look, known, withdrawn, when, given=False))
    return tuple(rules)


def said_with(found: Column, answers: tuple[str, ...]) -> tuple[str, ...]:
    """A column's values that are among the words for yes, or for no."""
    return tuple(value for value in found.values if value.lower() in answers)


def _consents(look: Look, known: Mapping[str, str], since: Column | None) -> list[SignalRule]:
    """Consent to marketing and its withdrawal, from each column that gives a date or a yes."""
    rules = []
    for found in look.columns:
        if found.kind not in TIMES_OR_YES or (since and found.name == since.name):
            continue
        withdrawn = fits_role("withdrawn_at", found)
        if not withdrawn and not fits_role("consent_at", found):
            continue
        if found.kind == "time":
            rules.append(_consent(look, known, found, found.name, given=not withdrawn))
        elif since is None:
            look.note(
                f"'{found.name}' says yes or no but not when, and no other column does; left out."
            )
        else:
            look.note(
                f"'{found.name}' says yes or no but not when; taken as at '{since.name}'"
                f"{'' if withdrawn else '; a later no withdraws, a yes after a no needs a date'}."
            )
            rules.append(_consent(look, known, found, since.name, given=not withdrawn))
            if not withdrawn and said_with(found, NO):
                rules.append(_consent(look, known, found, since.name, given=False, answers=NO))
    return rules


def _consent(
    look: Look,
    known: Mapping[str, str],
    found: Column,
    at: str,
    *,
    given: bool,
    answers: tuple[str, ...] = YES,
) -> SignalRule:
    channel = channel_in(found.name) or channel_in(look.file.path.stem)
    if answers is YES:
        look.note(
            f"'{found.name}' is read as consent to marketing by {channel or 'email'}"
            f"{'' if given else ' withdrawn'}: a legal statement; check it."
        )
        if not channel:
            look.note(f"'{found.name}' names no channel; email is a guess.")
    return SignalRule(
        event="Consent Given" if given else "Consent Withdrawn",
        columns=dict(known) | {"occurred_at": at},
        constants={
            "channel": channel or "email",
            "properties.purpose": "marketing",
            "properties.evidence": f"{look.name}: {found.name}",
        },
        only_where=found.name,
        only_values=() if found.kind == "time" else answers_in(found, answers),
    )


def answers_in(found: Column, answers: tuple[str, ...]) -> tuple[str, ...]:
    """Every way to write an answer: those seen, and those a later file may have."""
    seen = said_with(found, answers)
    return (*seen, *(word for word in answers if word not in {text.lower() for text in seen}))
