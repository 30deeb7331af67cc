"""Guesses about a file: which signals its rows tell, by its name, columns and values."""

from collections.abc import Callable, Mapping
from typing import Final

from features.intake.column_guesses import file_kind, is_personal, thousandths_too, words
from features.intake.column_words import YES
from features.intake.customer_guesses import customer_signals, said_with, subscriber_signals
from features.intake.look import TIMES, TIMES_OR_YES, Look
from features.intake.mapping import PRODUCT, SignalRule
from features.intake.order_guesses import (
    cart_signals,
    order_signals,
    refund_signals,
    subscription_signals,
)
from features.signals import KNOWN_EVENTS


def guessed_signals(look: Look) -> tuple[SignalRule, ...]:
    """The signals that a file tells; none if it could not be told."""
    if not look.rows:
        look.note("a header but no rows; nothing can be told. Export it again with its rows.")
        return ()
    kind = _kind(look)
    customer = look.customer(kind)
    if customer is None:
        look.note(
            "no column names the customer, so it is left out; its columns are "
            f"{', '.join(look.file.columns)}. Write a [[file]] for it if one of them does."
        )
        return ()
    if not kind:
        look.note(
            "could not tell which event its rows are, so it is left out; its columns are "
            f"{', '.join(look.file.columns)}. Write a [[file]] for it."
        )
        return ()
    signals = _READERS[kind](look, customer.name)
    if not signals:
        look.note(
            f"looks like {kind}, but no column tells when; it is left out. Write a [[file]] for it."
        )
        look.note_unknown_times()
        return ()
    told = ", ".join(f"'{rule.event or rule.event_column}'" for rule in signals)
    look.note(f"read as {kind}; tells {told}; the customer is '{customer.name}'.")
    _say_unused(look, signals)
    return signals


def _kind(look: Look) -> str:
    """What the rows are: by an event column, then the file's name, then the columns alone."""
    events = look.find("event", ("text",))
    if events and set(events.values) & KNOWN_EVENTS:
        return "events"
    by_name = file_kind(look.file.path.stem)
    if by_name:
        return by_name
    if events and look.moment():
        return "events"
    if look.find("sent_at", TIMES):
        return "mails"
    if look.find("amount", ("number",)) and look.moment():
        return "orders"
    customer = look.customer("")
    if customer and customer.distinct == look.rows and look.find("signed_up_at", TIMES):
        return "customers"
    return ""


def _mails(look: Look, customer: str) -> tuple[SignalRule, ...]:
    sent = look.find("sent_at", TIMES) or look.moment()
    if sent is None:
        return ()
    known = {"customer_id": customer}
    campaign = look.find("campaign", ("text",))
    if campaign:
        known["properties.campaign"] = campaign.name
    rules = [SignalRule(event="Email Sent", columns=known | {"occurred_at": sent.name})]
    for role, event in (
        ("opened_at", "Email Opened"),
        ("clicked_at", "Email Link Clicked"),
        ("withdrawn_at", "Unsubscribed"),
    ):
        found = look.find(role, TIMES_OR_YES)
        if found is None or found.name == sent.name:
            continue
        at = found.name if found.kind == "time" else sent.name
        if found.kind == "yes_no":
            look.note(f"'{found.name}' says yes or no but not when; taken as at '{at}'.")
        rules.append(
            SignalRule(
                event=event,
                columns=known | {"occurred_at": at},
                constants={"channel": "email"} if event == "Unsubscribed" else {},
                only_where=found.name,
                only_values=() if found.kind == "time" else said_with(found, YES),
            )
        )
    return tuple(rules)


def _tickets(look: Look, customer: str) -> tuple[SignalRule, ...]:
    opened = look.find("ticket_opened_at", TIMES)
    if opened is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": opened.name}
    category = look.find("category", ("text",))
    if category:
        columns["category"] = category.name
    rules = [SignalRule(event="Ticket Opened", columns=columns)]
    resolved = look.find("ticket_resolved_at", TIMES)
    if resolved and resolved.name != opened.name:
        rules.append(
            SignalRule(
                event="Ticket Resolved",
                columns={"customer_id": customer, "occurred_at": resolved.name},
                only_where=resolved.name,
            )
        )
    return tuple(rules)


def _surveys(look: Look, customer: str) -> tuple[SignalRule, ...]:
    at, score = look.moment(), look.find("score", ("number", "yes_no"))
    if at is None or score is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": at.name, "score": score.name}
    constants: dict[str, str] = {}
    short = all(_at_most(value, 5) for value in look.cells[score.name] if value)
    kind = look.find("kind", ("text",))
    if kind and {value.lower() for value in kind.values} <= {"nps", "csat", "ces"}:
        columns["properties.kind"] = kind.name
    else:
        csat = "csat" in look.name.lower() or (short and "nps" not in words(look.name).split())
        constants["properties.kind"] = "csat" if csat else "nps"
        if csat and short:
            look.note(f"no answer in '{score.name}' is above 5, so they are no NPS (0 to 10).")
        look.note(
            f"the answers are taken for {constants['properties.kind'].upper()}; if they are not, "
            "write nps, csat or ces as properties.kind."
        )
    return (
        SignalRule(
            event="Survey Answered", columns=columns, constants=constants, only_where=score.name
        ),
    )


def _reviews(look: Look, customer: str) -> tuple[SignalRule, ...]:
    at, score = look.moment(), look.find("score", ("number", "yes_no"))
    if at is None or score is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": at.name, "score": score.name}
    return (SignalRule(event="Review Written", columns=columns, only_where=score.name),)


def _visits(look: Look, customer: str) -> tuple[SignalRule, ...]:
    at = look.moment()
    if at is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": at.name}
    page, category = look.find("page", ("text",)), look.find("category", ("text",))
    if page:
        columns["properties.url"] = page.name
    if category:
        columns["category"] = category.name
    return (SignalRule(event="Page Viewed", columns=columns),)


def _events(look: Look, customer: str) -> tuple[SignalRule, ...]:
    at, event = look.moment(), look.find("event", ("text",))
    if at is None or event is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": at.name}
    for role in (
        "message_id",
        "received_at",
        "amount",
        "currency",
        "category",
        "score",
        "properties",
    ):
        found = look.find(role)
        if found and found.name not in (*columns.values(), event.name):
            columns[role] = found.name
    unknown = [value for value in event.values if value not in KNOWN_EVENTS]
    if unknown:
        look.note(
            f"event names that no feature knows: {', '.join(unknown[:10])}; name ours for them "
            "under events."
        )
    own = {value: value for value in unknown}
    return (SignalRule(event_column=event.name, columns=columns, events=own),)


_READERS: Final[Mapping[str, Callable[[Look, str], tuple[SignalRule, ...]]]] = {
    "orders": order_signals,
    "refunds": refund_signals,
    "carts": cart_signals,
    "subscriptions": subscription_signals,
    "subscribers": subscriber_signals,
    "customers": customer_signals,
    "mails": _mails,
    "tickets": _tickets,
    "surveys": _surveys,
    "reviews": _reviews,
    "visits": _visits,
    "events": _events,
}


def _at_most(text: str, most: int) -> bool:
    try:
        return float(text.replace(",", ".")) <= most
    except ValueError:
        return False


def _say_unused(look: Look, signals: tuple[SignalRule, ...]) -> None:
    """Note what is doubtful about times and numbers, and which columns stay unused."""
    used = {name for rule in signals for name in (*rule.columns.values(), rule.only_where)}
    used |= {part for name in used for part in name.split(PRODUCT)}
    used |= {name for rule in signals for name in (rule.event_column, rule.one_per)}
    for each in look.columns:
        if each.name not in used:
            continue
        if each.ambiguous:
            day_first = each.time_formats[0].startswith("%d")
            look.note(
                f"the dates of '{each.name}' could be day-first or month-first; "
                f"{'day' if day_first else 'month'}-first is assumed. Check time_format."
            )
    if any(each.clock for each in look.columns if each.name in used):
        look.note(
            "its times name no zone; UTC is assumed. Write the shop's own as time_zone, such as "
            "'Europe/Berlin'."
        )
    decimals = {each.decimal for each in look.columns if each.name in used and each.decimal}
    if len(decimals) > 1:
        look.note("some numbers have a decimal comma, others a point; check decimal.")
    if any(thousandths_too(each) for each in look.columns if each.name in used):
        look.note(
            "some numbers, such as 1.234, have a mark of thousands or three decimals; a file with "
            "semicolons is read with decimal = ',', others with decimal = '.'. Check it."
        )
    unused = [each for each in look.file.columns if each not in used and not is_personal(each)]
    if unused:
        look.note(f"columns not used: {', '.join(unused)}.")
