"""What a simulation came to: one table for people, a record for programs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from training.simulate_truth import Judged

COMMUNICATIONS_A_STAGE = 4  # shown in words; the record holds them all


def simulation_lines(found: Judged) -> list[str]:
    """The table."""
    return [
        *_about(found),
        *_estimates(found),
        *_ways(found),
        *_kinds(found),
        *_arms(found),
        *_months(found),
        *_mix(found),
        *_notes(found),
    ]


def simulation_record(found: Judged) -> dict[str, object]:
    """The same for programs."""
    ran, wanted = found.ran, found.ran.wanted
    return {
        "months": wanted.months,
        "people": wanted.people,
        "seed": wanted.seed,
        "effects": wanted.strength,
        "currency": found.currency,
        "decisions": len(ran.decided),
        "estimates": [{**asdict(one), "holds": one.holds} for one in found.estimates],
        "ways": [asdict(one) for one in found.ways],
        "kinds": [asdict(one) for one in found.kinds],
        "arms": [asdict(one) for one in found.arms],
        "by_month": [asdict(one) for one in found.months],
        "mix": {stage: dict(counts) for stage, counts in found.mix.items()},
        "lost_to_fatigue": found.deaf,
        "drift": dict(found.drift),
        "machine_opens": {"made": ran.machine_opens, "told_apart": ran.known_opens},
        "notes": list(found.notes),
    }


def _about(found: Judged) -> Iterator[str]:
    ran, wanted = found.ran, found.ran.wanted
    people = len(set(ran.decided.person.tolist()))
    yield (
        f"{wanted.months} months of four weeks, {wanted.people:,} people, seed {wanted.seed}, true "
        f"effects x {wanted.strength:g}: {len(ran.decided):,} decisions about {people:,} customers"
    )
    yield (
        "Everybody in it is invented. The engine knew signals alone; what is called true, the "
        "simulator knows."
    )
    yield (
        "Scores were trained once, before the first month; effects were learned again every "
        f"month. All values in {found.currency} per customer and month, contacts paid."
    )


def _estimates(found: Judged) -> Iterator[str]:
    yield ""
    yield f"{'What the programme adds to silence':38} estimate   95 % interval      true   holds it"
    for one in found.estimates:
        interval = f"{one.low:+.2f} to {one.high:+.2f}"
        yield (
            f"  {one.name:36} {one.value:+8.3f}   {interval:16} {one.true:+7.3f}   "
            f"{'yes' if one.holds else 'NO':3} {one.remark}"
        )


def _ways(found: Judged) -> Iterator[str]:
    yield ""
    yield f"{'Policy arm and others, same mornings':62} true  contacts"
    for one in found.ways:
        yield f"  {one.name:56} {one.value:+8.3f}  {one.contacts:8.3f}"


def _kinds(found: Judged) -> Iterator[str]:
    yield ""
    yield (f"{'Who could be written to':28} decisions  left alone  written to  to learn      true")
    for one in found.kinds:
        yield (
            f"  {one.name:26} {one.decisions:9,}  {1 - one.contacted:9.1%}  {one.contacted:10.1%}"
            f"  {one.explored:8.1%}  {one.value:+8.3f}"
        )


def _arms(found: Judged) -> Iterator[str]:
    yield ""
    yield f"{'Arm':28} decisions    contacts   opt-outs    margin      true"
    for one in found.arms:
        yield (
            f"  {one.name:26} {one.decisions:9,}  {one.contacts:10.3f}  {one.opt_outs:8.2%}"
            f"  {one.reward:8.2f}  {one.true:+8.3f}"
        )


def _months(found: Judged) -> Iterator[str]:
    yield ""
    yield f"{'Month':28} customers    contacts    learned from  expected      true"
    for one in found.months:
        yield (
            f"  {one.month:<26} {one.customers:9,}  {one.contacts:10.3f}  {one.taught:14,}"
            f"  {one.expected:+8.3f}  {one.true:+8.3f}"
        )


def _mix(found: Judged) -> Iterator[str]:
    yield ""
    yield "What is best by stage, exploration left out"
    for stage, counts in found.mix.items():
        yield f"  {stage:11} {sum(counts.values()):6,}  {_shares(counts)}"


def _shares(counts: Mapping[str, int]) -> str:
    n = sum(counts.values())
    shown = list(counts.items())[:COMMUNICATIONS_A_STAGE]
    said = [f"{name} {count / n:.0%}" for name, count in shown]
    more = len(counts) - len(shown)
    return ", ".join([*said, f"{more} more"] if more else said)


def _notes(found: Judged) -> Iterator[str]:
    ran = found.ran
    changes = sorted(found.drift.items(), key=lambda one: one[1])
    (weakest, loss), (strongest, gain) = changes[0], changes[-1]
    yield ""
    yield f"Fatigue: {found.deaf:.0%} of the effect of what was sent was lost to other messages."
    yield (
        f"Drift: from the first day to the last {weakest} changed by {loss:+.0%}, {strongest} by "
        f"{gain:+.0%}, the others in between; nobody told the engine."
    )
    yield (
        f"Scanners opened {ran.machine_opens:,} mails within seconds; {ran.known_opens:,} of these "
        "opens were kept apart from people's."
    )
    yield from found.notes
