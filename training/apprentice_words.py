"""What the apprentice would have sent: a table for people, a record and a file for programs."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from features.counting import counted
from serving.answer import time_text
from serving.records import NO_CONTACT
from training.apprentice import Apprenticeship, Beside
from training.row_file import Row, schema_of, write_rows

MOST_PAIRS: Final = 10
EXAMPLES: Final = 5
COLUMNS: Final = (
    "customer_id",
    "sent_at",
    "channel",
    "sent",
    "in_catalog",
    "stage",
    "flags",
    "ours",
    "our_channel",
    "agrees",
    "sent_net",
    "our_net",
    "net_basis",
    "refused_by",
    "change",
)
SCHEMA: Final = schema_of(COLUMNS, ("sent_net", "our_net"))


def replay_lines(found: Apprenticeship) -> list[str]:
    """Counts, agreement by stage, pairs, worth, refusals, five examples."""
    return [
        *_about(found),
        *_stages(found),
        *_pairs(found.rows),
        *_worth(found),
        *_refused(found.rows),
        *_examples(found),
    ]


def replay_record(found: Apprenticeship) -> dict[str, object]:
    """The same for programs."""
    compared = [one for one in found.rows if one.compared]
    return {
        "since": time_text(found.since),
        "until": time_text(found.until),
        "messages": found.sends,
        "looked_at": len(found.rows),
        "currency": found.currency,
        "agreement": _counts(found.rows),
        "stages": {stage: _counts(rows) for stage, rows in found.of_stage()},
        "pairs": [
            {"sent": sent, "ours": ours, "messages": n}
            for (sent, ours), n in _all_pairs(found.rows)
        ],
        "expected_net": {
            "basis": "assumed",
            "messages": len(compared),
            "sent": _sum(one.sent_net for one in compared),
            "sent_refused": _sum(one.sent_net for one in compared if one.rule),
            "ours": _sum(one.our_net for one in compared),
        },
        "refused": dict(_rules(found.rows)),
        "not_in_catalog": dict(Counter(one.sent for one in found.rows if not one.listed)),
        "notes": list(found.notes),
    }


def write_replay(found: Apprenticeship, path: Path) -> int:
    """One row a message, into a `.parquet` or `.csv` file; how many.

    Raises
    ------
    WrongFile
        If the name ends in neither.
    """
    return write_rows((_row(one) for one in found.rows), path, SCHEMA)


def _row(one: Beside) -> Row:
    return {
        "customer_id": one.customer_id,
        "sent_at": time_text(one.sent_at),
        "channel": one.channel,
        "sent": one.sent,
        "in_catalog": str(one.listed).lower(),
        "stage": one.stage,
        "flags": json.dumps(one.flags),
        "ours": one.ours,
        "our_channel": one.our_channel,
        "agrees": str(one.agrees).lower(),
        "sent_net": one.sent_net,
        "our_net": one.our_net,
        "net_basis": "assumed" if one.compared else None,
        "refused_by": one.rule or None,
        "change": one.change or None,
    }


def _about(found: Apprenticeship) -> Iterator[str]:
    customers = len({one.customer_id for one in found.rows})
    yield (
        f"{found.sends:,} messages were sent from {time_text(found.since)[:10]} until before "
        f"{time_text(found.until)[:10]}; here are {len(found.rows):,} of them, to {customers:,} "
        "customers, each beside what we would have sent at that moment. Nothing was sent or logged."
    )
    yield from found.notes
    strangers = Counter(one.sent for one in found.rows if not one.listed)
    if strangers:
        named = ", ".join(f"{name} ({n:,})" for name, n in strangers.most_common())
        yield (
            f"Not in the catalog, so taken for marketing of unknown worth: {named}. Name them in "
            "catalog.toml, or as `communication` in the signals, to see more."
        )
    unknown = sum(not one.known for one in found.rows)
    if unknown:
        yield f"{unknown:,} went to customers of whom nothing was known before: we keep silent."


def _counts(rows: Sequence[Beside]) -> dict[str, int]:
    return {
        "messages": len(rows),
        "same": sum(one.agrees for one in rows),
        "other": sum(not one.agrees and one.ours != NO_CONTACT for one in rows),
        "nothing": sum(one.ours == NO_CONTACT for one in rows),
        "refused": sum(bool(one.rule) for one in rows),
    }


def _stages(found: Apprenticeship) -> Iterator[str]:
    yield ""
    yield f"{'What we would have sent':26} messages   the same  another   nothing   theirs refused"
    for stage, rows in (*found.of_stage(), ("all", found.rows)):
        counts = _counts(rows)
        n = counts["messages"]
        shares = (counts[name] / n for name in ("same", "other", "nothing", "refused"))
        same, other, nothing, refused = (f"{share:.0%}" for share in shares)
        yield f"  {stage:24} {n:8,}   {same:>8}  {other:>7}   {nothing:>7}   {refused:>14}"


def _all_pairs(rows: Iterable[Beside]) -> list[tuple[tuple[str, str], int]]:
    return Counter((one.sent, one.ours) for one in rows).most_common()


def _pairs(rows: Sequence[Beside]) -> Iterator[str]:
    yield ""
    yield "They sent, we would have sent"
    pairs = _all_pairs(rows)
    for (sent, ours), n in pairs[:MOST_PAIRS]:
        yield f"  {n:8,}  {sent} -> {ours}"
    if len(pairs) > MOST_PAIRS:
        yield f"  and {len(pairs) - MOST_PAIRS} more pairs; --json lists them all"


def _worth(found: Apprenticeship) -> Iterator[str]:
    compared = [one for one in found.rows if one.compared]
    if not compared:
        return
    theirs, ours = _sum(one.sent_net for one in compared), _sum(one.our_net for one in compared)
    refused = [one for one in compared if one.rule]
    yield ""
    yield (
        f"Expected net of {counted(len(compared), 'message')} in the catalog, by what it states "
        f"(assumed): theirs {theirs:+,.2f} {found.currency}, "
        f"{_sum(one.sent_net for one in refused):+,.2f} of it from {len(refused):,} that we would "
        f"have refused; ours {ours:+,.2f}."
    )
    yield (
        "That is the catalog's yardstick alone. Where effects were measured we chose by these, "
        "and only an experiment tells who is right."
    )


def _rules(rows: Iterable[Beside]) -> list[tuple[str, int]]:
    return Counter(one.rule for one in rows if one.rule).most_common()


def _refused(rows: Sequence[Beside]) -> Iterator[str]:
    rules = _rules(rows)
    if not rules:
        return
    yield ""
    yield "What we would have refused, by the rule that weighs most"
    for rule, n in rules:
        example = next(one.change for one in rows if one.rule == rule)
        yield f"  {n:8,}  {rule}: it could be sent if {example}"


def _examples(found: Apprenticeship) -> Iterator[str]:
    yield ""
    yield "Some of them"
    for one in examples(found.rows):
        yield f"  {_told(one, found.currency)}"


def examples(rows: Sequence[Beside]) -> list[Beside]:
    """A few messages that differ in kind: refused under each rule, same, another, nothing."""
    kinds: dict[tuple[str, str], Beside] = {}
    for one in rows:
        verdict = "same" if one.agrees else "nothing" if one.ours == NO_CONTACT else "another"
        kinds.setdefault((verdict, one.rule), one)
    verdicts = {verdict: one for (verdict, _), one in reversed(kinds.items())}
    first = list(verdicts.values())
    return [*first, *(one for one in kinds.values() if one not in first)][:EXAMPLES]


def _told(one: Beside, currency: str) -> str:
    at = time_text(one.sent_at)[:16].replace("T", " ")
    start = f"{one.customer_id}, {at}, {one.stage}: they sent {one.sent}"
    if one.agrees:
        said = "so would we"
    elif one.ours == NO_CONTACT:
        said = "we would have kept silent"
    else:
        said = f"we would have sent {one.ours}"
    worth = ""
    if one.sent_net is not None and one.our_net is not None:
        worth = f" (stated: {one.our_net:+.2f} {currency} for {one.sent_net:+.2f})"
    refused = f"; we would send theirs if {one.change}" if one.change else ""
    return f"{start}, {said}{worth}{refused}."


def _sum(values: Iterable[float | None]) -> float:
    return sum(value for value in values if value is not None)
