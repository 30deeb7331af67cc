"""What the check of a policy found: lines for people, a record for programs."""

from collections.abc import Iterator
from dataclasses import asdict

from training.policy_check import PolicyCheck
from training.policy_value import Estimate

MOST_MOVES = 10  # lines of the table; the rest stands in --json


def check_lines(found: PolicyCheck) -> list[str]:
    """Values, who changes, contacts, groups, then every gate and what to do."""
    return [
        *found.notes,
        *_values(found),
        *_moves(found),
        *_contacts(found),
        *_groups(found),
        *(f"{'yes' if gate.passed else 'NO '}  {gate.name}: {gate.says}" for gate in found.gates),
        _verdict(found),
    ]


def check_record(found: PolicyCheck) -> dict[str, object]:
    """The same for programs."""
    judgement = found.judgement
    estimates = {
        "new": judgement.new,
        "present": judgement.current,
        "gain": judgement.gain,
        "over_best_single": judgement.over_single,
        "opt_outs": judgement.goodbyes,
    }
    new, current = judgement.overlaps
    contacts = zip(("new", "present"), found.contacts, strict=False)
    return {
        "released": found.released,
        "currency": found.currency,
        "values": {name: _record(one) for name, one in estimates.items()},
        "overlap": {"new": asdict(new), "present": asdict(current)},
        "moved": found.moved,
        "moves": [{"from": a, "to": b, "decisions": n} for a, b, n in found.moves],
        "contacts": {name: _record(one) for name, one in contacts},
        "most_contacts": dict(zip(("new", "present"), found.most_contacts, strict=True)),
        "refused": {
            rule: {"new": new, "present": old} for rule, (new, old) in found.refused.items()
        },
        "group": found.group,
        "groups": [asdict(one) for one in found.groups],
        "gates": [asdict(gate) for gate in found.gates],
        "notes": list(found.notes),
    }


def _record(one: Estimate | None) -> dict[str, float] | None:
    if one is None:
        return None
    low, high = one.interval()
    return {
        "value": one.value,
        "standard_error": one.standard_error,
        "low": low,
        "high": high,
        "rows": one.rows,
        "customers": one.customers,
    }


def _values(found: PolicyCheck) -> Iterator[str]:
    judgement = found.judgement
    named = (
        ("new policy", judgement.new),
        ("present policy", judgement.current),
        ("gain", judgement.gain),
        ("new over best single", judgement.over_single),
    )
    for name, one in named:
        if one is not None:
            low, high = one.interval()
            yield (
                f"{name:<22} {one.value:>+9.3f} {found.currency} a decision "
                f"({low:+.3f} to {high:+.3f})"
            )


def _moves(found: PolicyCheck) -> Iterator[str]:
    yield f"{100 * found.moved:.1f} % of decisions are made otherwise"
    for old, new, count in found.moves[:MOST_MOVES]:
        yield f"{count:>8,}  {old} -> {new}"
    if len(found.moves) > MOST_MOVES:
        rest = sum(count for _, _, count in found.moves[MOST_MOVES:])
        yield f"{rest:>8,}  in {len(found.moves) - MOST_MOVES} other ways"


def _contacts(found: PolicyCheck) -> Iterator[str]:
    if found.contacts:
        new, current = found.contacts
        most = found.most_contacts
        yield (
            f"contacts a decision: {new.value:.3f}, now {current.value:.3f}; the customer who gets "
            f"most: {most[0]:.1f}, now {most[1]:.1f}"
        )
    for rule, (new_count, old) in found.refused.items():
        if new_count != old:
            yield f"refused by {rule}: {new_count:,} times, now {old:,}"


def _groups(found: PolicyCheck) -> Iterator[str]:
    for one in found.groups:
        ratio = "" if one.ratio is None else f", {one.ratio:.2f} times the others'"
        interval = "" if one.low is None else f" ({one.low:.2f} to {one.high:.2f})"
        yield (
            f"{found.group} {one.group}: {one.new:.3f} contacts a decision, now {one.current:.3f}"
            f"{ratio}{interval}; {one.decisions:,} decisions"
        )


def _verdict(found: PolicyCheck) -> str:
    if found.released:
        return "Every gate says yes: the new policy may be released"
    return "A gate says no: the present policy stays"
