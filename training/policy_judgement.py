"""Whether a new policy may be let loose: what it is worth against the present one, with gates.

The rule: released if the log can speak of it at all, if its value is surely higher, if goodbyes
surely do not rise by more than a margin, and if it surely does not fall behind the best single
communication. The last is the guard against a policy that picked noise: the best of many
guesses looks better than it is, the plain policy of one communication for all does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.decision_log import LoggedDecisions
from training.gates import Gate
from training.outcome_model import cross_fitted
from training.placebo import NotRandomised, placebo
from training.policy_value import (
    Estimate,
    Overlap,
    Valued,
    Worth,
    best_single,
    difference,
    newly_untried,
    overlap,
    valued,
)

FloatArray = NDArray[np.float64]

VALUE_LEVEL: Final = 0.95
GUARD_LEVEL: Final = 0.90
# Beyond, the judgement would rest on guesses about what was never sent to such customers.
MOST_UNTRIED: Final = 0.05
# One more goodbye in a hundred decisions. What goodbyes cost is in the value already; this
# gate is for a policy that buys its value with them.
MOST_OPT_OUTS: Final = 0.01
# Of the mean reward: on Hillstrom's e-mails, where people spend 1.05 on average, that is the
# .05 a customer that a policy may fall behind one mail for all.
GUARD_SHARE: Final = 0.05


class UnusableMargin(ValueError):
    """A margin that is no amount of money."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a judgement rests on.

    Attributes
    ----------
    log : LoggedDecisions
        Matured rows.
    new, current : ndarray of float64, shape (n, n_names)
        Probabilities of both policies in each row's circumstances.
    cost : ndarray of float64, shape (n_names,)
        Of a contact, currency units.
    opt_outs : ndarray of float64, shape (n,)
        1 where the customer said goodbye within the horizon.
    """

    log: LoggedDecisions
    new: FloatArray
    current: FloatArray
    cost: FloatArray
    opt_outs: FloatArray


@dataclass(frozen=True, slots=True)
class Judgement:
    """Values per decision in currency units, differences, overlap, and every gate.

    Attributes
    ----------
    new, current : Valued or None
        Each policy by all three estimators; everything else here is doubly robust.
    gain : Estimate or None
        Value of the new policy less the present one's; None if nothing could be estimated.
    over_single : Estimate or None
        Value of the new policy less that of the best single communication.
    goodbyes : Estimate or None
        Opt-outs per decision under the new policy less those under the present one.
    """

    new: Valued | None
    current: Valued | None
    gain: Estimate | None
    over_single: Estimate | None
    goodbyes: Estimate | None
    overlaps: tuple[Overlap, Overlap]
    gates: tuple[Gate, ...]

    @property
    def released(self) -> bool:
        """Whether no gate says no."""
        return all(gate.passed for gate in self.gates)


def judged(evidence: Evidence, rng: np.random.Generator, margin: float = 0.0) -> Judgement:
    """Compare two policies on logged decisions and apply every gate.

    Parameters
    ----------
    rng : Generator
        Shares customers out among folds and halves.
    margin : float
        By how much the new policy may be worse, currency units a decision. 0: it must be
        better. Above 0 is for a change with another purpose than value, such as a law.

    Raises
    ------
    UnusableMargin
        If the margin is negative or no number.
    """
    if not 0 <= margin < np.inf:
        raise UnusableMargin(
            f"margin {margin:g}; must be an amount of money, 0 or more; 0 asks for more value"
        )
    log = evidence.log
    if len(np.unique(log.customer)) < 2:
        nothing = Overlap(len(log), 0.0, 1.0, 0.0)
        said = "; ".join(nothing.refusals())
        refused = (Gate("overlap", False, said),)
        return Judgement(None, None, None, None, None, (nothing, nothing), refused)
    worth = Worth(cross_fitted(log, rng), evidence.cost)
    overlaps = overlap(log, evidence.new), overlap(log, evidence.current)
    gain = difference(log, evidence.new, evidence.current, worth)
    single = best_single(log, worth, rng)
    over_single = difference(log, evidence.new, single, worth)
    goodbyes = _goodbyes(evidence, rng)
    guard = GUARD_SHARE * abs(float(log.reward.mean()))
    gates = (
        *_overlap_gates(overlaps),
        _untried_gate(newly_untried(log, evidence.new, evidence.current)),
        _value_gate(gain, margin),
        _goodbye_gate(goodbyes),
        _single_gate(over_single, guard),
    )
    return Judgement(
        valued(log, evidence.new, worth),
        valued(log, evidence.current, worth),
        gain,
        over_single,
        goodbyes,
        overlaps,
        gates,
    )


def lottery_gate(log: LoggedDecisions, before: FloatArray) -> Gate:
    """Whether who got a message was like all others before: else its worth is that of the picking.

    Parameters
    ----------
    before : ndarray of float64, shape (n,)
        Reward in a window of the same length before each decision; NaN: not known.
    """
    try:
        found = placebo(log.chosen, log.probabilities, before, log.reward, log.customer)
    except NotRandomised as refusal:
        return Gate("drawn by lot", False, str(refusal))
    return Gate(
        "drawn by lot",
        True,
        f"{found.before:+.2f} a customer before those who got a message got it (standard error "
        f"{found.before_error:.2f}); no more than chance allows",
    )


def _goodbyes(evidence: Evidence, rng: np.random.Generator) -> Estimate:
    """Opt-outs are judged like money; they have no cost of contact."""
    said = replace(evidence.log, reward=evidence.opt_outs)
    worth = Worth(cross_fitted(said, rng), np.zeros(len(said.names)))
    return difference(said, evidence.new, evidence.current, worth)


def _overlap_gates(overlaps: tuple[Overlap, Overlap]) -> Iterator[Gate]:
    for name, found in zip(("new", "present"), overlaps, strict=True):
        refusals = found.refusals()
        says = "; ".join(refusals) or (
            f"effective sample size {found.effective:,.0f} of {found.rows:,} decisions, the "
            f"largest weight {100 * found.largest_share:.1f} %"
        )
        yield Gate(f"overlap, {name} policy", not refusals, says)


def _untried_gate(share: float) -> Gate:
    passed = share <= MOST_UNTRIED
    says = f"{100 * share:.1f} % of decisions move to what the log could not have chosen there"
    if not passed:
        says += f"; at most {100 * MOST_UNTRIED:g} % may; let the uniform arm try it first"
    return Gate("tried before", passed, says)


def _value_gate(gain: Estimate, margin: float) -> Gate:
    low, high = gain.interval(VALUE_LEVEL)
    passed = low > -margin
    asked = "surely higher" if margin == 0 else f"surely not lower by more than {margin:g}"
    return Gate(
        "value",
        passed,
        f"{gain.value:+.3f} a decision ({low:+.3f} to {high:+.3f}); {_shown(passed, asked)}",
    )


def _goodbye_gate(goodbyes: Estimate) -> Gate:
    low, high = goodbyes.interval(GUARD_LEVEL)
    passed = high < MOST_OPT_OUTS
    asked = f"surely not more by {100 * MOST_OPT_OUTS:g} in a hundred"
    return Gate(
        "opt-outs",
        passed,
        f"{100 * goodbyes.value:+.2f} in a hundred decisions ({100 * low:+.2f} to "
        f"{100 * high:+.2f}); {_shown(passed, asked)}",
    )


def _single_gate(over_single: Estimate, guard: float) -> Gate:
    low, high = over_single.interval(GUARD_LEVEL)
    passed = low > -guard
    asked = f"surely not lower by more than {guard:.3f}"
    return Gate(
        "best single communication",
        passed,
        f"{over_single.value:+.3f} a decision ({low:+.3f} to {high:+.3f}) against it; "
        f"{_shown(passed, asked)}",
    )


def _shown(passed: bool, asked: str) -> str:
    return asked if passed else f"not shown to be {asked}"
