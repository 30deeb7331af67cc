"""What the check of a policy found: lines for people, a record for programs."""

from collections.abc import Iterator
from dataclasses import asdict

from training.policy_check import PolicyCheck
from training.policy_uplift import FEWEST, TOP, Sorting
from training.policy_value import FEWEST_EFFECTIVE, GAP_LEVEL, Estimate, Valued
from training.uplift_curves import Measure

MOST_MOVES = 10  # lines of the table; the rest stands in --json


def check_lines(found: PolicyCheck) -> list[str]:
    """Values, who changes, contacts, groups, then every gate and what to do."""
    return [
        *found.notes,
        *_values(found),
        *_agreement(found),
        *_moves(found),
        *_contacts(found),
        *_groups(found),
        *_uplift(found),
        *(f"{'yes' if gate.passed else 'NO '}  {gate.name}: {gate.says}" for gate in found.gates),
        _verdict(found),
    ]


def check_record(found: PolicyCheck) -> dict[str, object]:
    """The same for programs."""
    judgement = found.judgement
    policies = {"new": judgement.new, "present": judgement.current}
    estimates = {
        **{name: None if one is None else one.robust for name, one in policies.items()},
        "gain": judgement.gain,
        "over_best_single": judgement.over_single,
        "opt_outs": judgement.goodbyes,
    }
    new, current = judgement.overlaps
    contacts = zip(("new", "present"), found.contacts, strict=False)
    return {
        "released": found.released,
        "unchanged": found.unchanged,
        "currency": found.currency,
        "values": {name: _record(one) for name, one in estimates.items()},
        "estimators": {name: _three(one) for name, one in policies.items()},
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
        "uplift": [_sorting(one) for one in found.sortings],
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


def _three(one: Valued | None) -> dict[str, object] | None:
    """All estimators of one policy, and those that say surely another thing than DR."""
    if one is None:
        return None
    return {
        "dr": _record(one.robust),
        "snips": _record(one.normalised),
        "ips": _record(one.inverse),
        "disagree": [name.lower() for name in one.disagreements()],
    }


def _values(found: PolicyCheck) -> Iterator[str]:
    judgement = found.judgement
    for name, policy in _policies(found):
        yield _value(f"{name}, DR", policy.robust, found.currency)
        for short, other in (("SNIPS", policy.normalised), ("IPS", policy.inverse)):
            if other is not None:
                yield _value(f"{'':<{len(name)}}  {short}", other, found.currency)
    for name, one in (("gain", judgement.gain), ("new over best single", judgement.over_single)):
        if one is not None:
            yield _value(f"{name}, DR", one, found.currency)


def _policies(found: PolicyCheck) -> Iterator[tuple[str, Valued]]:
    for name, one in (("new", found.judgement.new), ("present", found.judgement.current)):
        if one is not None:
            yield f"{name} policy", one


def _value(name: str, one: Estimate, currency: str) -> str:
    low, high = one.interval()
    return f"{name:<26} {one.value:>+9.3f} {currency} a decision ({low:+.3f} to {high:+.3f})"


def _agreement(found: PolicyCheck) -> Iterator[str]:
    """Whether the three say the same, as far as chance allows."""
    policies = list(_policies(found))
    agree = True
    for name, policy in policies:
        for short, gap in policy.disagreements().items():
            agree = False
            low, high = gap.interval(GAP_LEVEL)
            yield (
                f"{short} of the {name} is {gap.value:+.3f} from DR, more than chance allows "
                f"({low:+.3f} to {high:+.3f}): the logged probabilities are wrong, or the policy "
                "chooses what was never tried there; DR decides, and is to be trusted less"
            )
        if policy.normalised is None:
            yield f"the {name} has nothing in common with what was chosen: there is no SNIPS"
    if policies and agree:
        yield "DR decides; what IPS and SNIPS say differs no more from it than chance allows"


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


def _uplift(found: PolicyCheck) -> Iterator[str]:
    """Qini and the effect at the top, of what the log says most about."""
    for one in found.sortings:
        top = "" if one.top is None else f"; its first {100 * TOP:g} % gain {_interval(one.top)}"
        yield (
            f"uplift of {one.communication}, sorted by the new policy's worth: Qini "
            f"{_interval(one.qini)} {found.currency} a decision{top}; sent {one.sent:,} and "
            f"withheld {one.withheld:,} times by lot"
        )
    if not found.sortings:
        yield f"no uplift curve: nothing was sent {FEWEST} times by lot and withheld as often"


def _interval(one: Measure) -> str:
    return f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def _sorting(one: Sorting) -> dict[str, object]:
    return asdict(one) | {"top_share": TOP}


def _verdict(found: PolicyCheck) -> str:
    if found.unchanged and found.released:
        return f"Nothing changes: {found.unchanged}; it may be released"
    if found.released:
        return "Every gate says yes: the new policy may be released"
    if not found.moved:
        return (
            "A gate says no: the present policy stays. No decision changes, but that suffices only "
            f"from {FEWEST_EFFECTIVE} decisions on and where no message becomes another one"
        )
    return "A gate says no: the present policy stays"
