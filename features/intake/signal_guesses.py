"""Guesses about a file: which signals its rows tell, by its name, columns and values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from features.intake.column_guesses import Column, file_kind, is_personal, with_role
from features.intake.column_words import YES
from features.intake.mapping import SignalRule
from features.intake.text_files import TextFile
from features.signals import KNOWN_EVENTS

# A trait with more values than this is a text about one person, not a group to learn from.
_MOST_TRAIT_VALUES: Final = 30
_TIMES: Final = ("time",)
_TIMES_OR_YES: Final = ("time", "yes_no")


@dataclass(slots=True)
class Look:
    """One file while it is being looked at; `notes` fills as it goes."""

    file: TextFile
    columns: tuple[Column, ...]
    rows: int
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return self.file.path.name

    def find(self, role: str, kinds: tuple[str, ...] = ()) -> Column | None:
        """The file's column that fits a role best."""
        return with_role(role, self.columns, kinds)

    def moment(self) -> Column | None:
        """The column that tells when: by its name, else the only one that holds times.

        A birthday is none: what describes the person tells no event.
        """
        times = [c for c in self.columns if c.kind == "time" and not is_personal(c.name)]
        return with_role("occurred_at", times) or (times[0] if len(times) == 1 else None)

    def note(self, text: str) -> None:
        """Keep what a person should know of this file."""
        self.notes.append(f"{self.name}: {text}")


def guessed_signals(look: Look) -> tuple[SignalRule, ...]:
    """The signals that a file tells; none if it could not be told."""
    if not look.rows:
        look.note("a header but no rows; nothing can be told. Export it again with its rows.")
        return ()
    customer = look.find("customer_id")
    if customer is None:
        look.note(
            "no column names the customer, so it is left out; its columns are "
            f"{', '.join(look.file.columns)}. Write a [[file]] for it if one of them does."
        )
        return ()
    kind = _kind(look)
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
    if look.find("sent_at", _TIMES):
        return "mails"
    if look.find("amount", ("number",)) and look.moment():
        return "orders"
    customer = look.find("customer_id")
    if customer and customer.distinct == look.rows and look.find("signed_up_at", _TIMES):
        return "customers"
    return ""


def _orders(look: Look, customer: str) -> tuple[SignalRule, ...]:
    at = look.moment()
    if at is None:
        return ()
    order_id = look.find("order_id")
    known = {"customer_id": customer}
    if order_id:
        known["properties.order_id"] = order_id.name
    columns = known | {"occurred_at": at.name}
    for target, role, kinds in (
        ("amount", "amount", ("number",)),
        ("currency", "currency", ("text",)),
        ("category", "category", ("text",)),
        ("properties.discount", "discount", ("number",)),
    ):
        found = look.find(role, kinds)
        if found:
            columns[target] = found.name
    if "amount" not in columns:
        look.note("no column of amounts was found: orders will bring no money. Add one.")
    if order_id and order_id.distinct < order_id.filled:
        look.note(
            f"'{order_id.name}' repeats: the file has one row an article, not one an order. "
            "one_per adds their amounts up; take it out if the amount is the whole order's."
        )
    once = order_id.name if order_id and order_id.distinct < order_id.filled else ""
    rules = [SignalRule(event="Order Completed", columns=columns, one_per=once)]
    for role, event in (
        ("shipped_at", "Order Shipped"),
        ("delivered_at", "Order Delivered"),
        ("refunded_at", "Order Refunded"),
    ):
        later = look.find(role, _TIMES)
        if later and later.name != at.name:
            money = (
                {"amount": columns["amount"]}
                if event == "Order Refunded" and "amount" in columns
                else {}
            )
            rules.append(
                SignalRule(
                    event=event,
                    columns=known | {"occurred_at": later.name} | money,
                    only_where=later.name,
                    one_per=once,
                )
            )
    return tuple(rules)


def _customers(look: Look, customer: str) -> tuple[SignalRule, ...]:
    since = look.find("signed_up_at", _TIMES) or look.moment()
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
    personal = [each.name for each in look.columns if is_personal(each.name)]
    if personal:
        look.note(f"not taken over, since no model needs to know it: {', '.join(personal)}.")
    return tuple(rules)


def _consents(look: Look, known: Mapping[str, str], since: Column | None) -> list[SignalRule]:
    """Consent to marketing by e-mail, and its withdrawal, from a date or from a yes."""
    rules = []
    taken = since.name if since else ""
    for role, event in (("withdrawn_at", "Consent Withdrawn"), ("consent_at", "Consent Given")):
        found = with_role(role, [c for c in look.columns if c.name != taken], _TIMES_OR_YES)
        if found is None or (found.kind == "yes_no" and since is None):
            continue
        taken = found.name
        at = found.name if found.kind == "time" or since is None else since.name
        rules.append(
            SignalRule(
                event=event,
                columns=dict(known) | {"occurred_at": at},
                constants={
                    "channel": "email",
                    "properties.purpose": "marketing",
                    "properties.evidence": f"{look.name}: {found.name}",
                },
                only_where=found.name,
                only_values=() if found.kind == "time" else _yes_among(found),
            )
        )
        look.note(
            f"'{found.name}' is read as consent to marketing by e-mail"
            f"{' withdrawn' if event == 'Consent Withdrawn' else ''}: a legal statement; check it."
        )
        if found.kind == "yes_no":
            look.note(f"'{found.name}' says yes or no but not when; taken as at '{at}'.")
    return rules[::-1]


def _mails(look: Look, customer: str) -> tuple[SignalRule, ...]:
    sent = look.find("sent_at", _TIMES) or look.moment()
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
        found = look.find(role, _TIMES_OR_YES)
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
                only_values=() if found.kind == "time" else _yes_among(found),
            )
        )
    return tuple(rules)


def _tickets(look: Look, customer: str) -> tuple[SignalRule, ...]:
    opened = look.find("ticket_opened_at", _TIMES)
    if opened is None:
        return ()
    columns = {"customer_id": customer, "occurred_at": opened.name}
    category = look.find("category", ("text",))
    if category:
        columns["category"] = category.name
    rules = [SignalRule(event="Ticket Opened", columns=columns)]
    resolved = look.find("ticket_resolved_at", _TIMES)
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
    kind = look.find("kind", ("text",))
    if kind and {value.lower() for value in kind.values} <= {"nps", "csat", "ces"}:
        columns["properties.kind"] = kind.name
    else:
        constants["properties.kind"] = "csat" if "csat" in look.name.lower() else "nps"
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
    "orders": _orders,
    "customers": _customers,
    "mails": _mails,
    "tickets": _tickets,
    "surveys": _surveys,
    "reviews": _reviews,
    "visits": _visits,
    "events": _events,
}


def _yes_among(found: Column) -> tuple[str, ...]:
    return tuple(value for value in found.values if value.lower() in YES)


def _say_unused(look: Look, signals: tuple[SignalRule, ...]) -> None:
    """Note what is doubtful about times and numbers, and which columns stay unused."""
    used = {name for rule in signals for name in (*rule.columns.values(), rule.only_where)}
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
    unused = [each for each in look.file.columns if each not in used and not is_personal(each)]
    if unused:
        look.note(f"columns not used: {', '.join(unused)}.")
