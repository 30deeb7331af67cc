"""A `targets.toml` to begin with, for each of three kinds of company."""

from dataclasses import dataclass
from typing import Final

from models.targets import CHURN, PROMOTER, PROMOTION, RECOMMENDATION, REPURCHASE, SURVEY_DAYS

SHOP: Final = "shop"  # customers order, and stop without a word
CONTRACT: Final = "contract"  # customers subscribe, and cancel or do not renew
ACTIVITY: Final = "activity"  # customers neither buy nor subscribe: they visit and use


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths in days, as `nextbest doctor` proposes them from the customers' own gaps.

    The defaults are those of a grocery shop, Complete Journey: nine in ten gaps between
    two orders are shorter than 28 days, half are shorter than 7.

    Attributes
    ----------
    churn_days, repurchase_days : int
        Label windows; of a contract, in place of a repurchase, of a renewal.
    at_risk_days : int
        Of no meaning for a contract.
    kind : str
        `SHOP`, `CONTRACT` or `ACTIVITY`.
    """

    churn_days: int = 28
    at_risk_days: int = 56
    repurchase_days: int = 7
    kind: str = SHOP


def targets_toml(windows: Windows) -> str:
    """Text of a `targets.toml` with these windows, for a company to edit."""
    churn, repurchase = windows.churn_days, windows.repurchase_days
    text = _TEXTS[windows.kind]
    return _HEAD + text.format(churn=churn, again=repurchase, at_risk=windows.at_risk_days)


_HEAD: Final = """\
# What is predicted, and of whom. Edit it, then run `nextbest train`.
# `nextbest doctor` proposes the days from your own customers' gaps.
#
# outcome      "absence": yes if the event does not happen in the window; "presence": if it does;
#              "lapse": if the subscription that runs now runs no more at the window's end;
#              "promotion": if the customer, asked for a recommendation, says 9 or 10
# event        the event that is looked for, or a list: any of them
# window_days  the window in which the answer shows
# at_risk      who is asked: customers with this event, or any of a list, within at_risk_days
#              before (orders, if left out); or "running subscription"
# at_risk_days left out, of a promotion: at any time before
# also_window_days = [14, 56] fits and tests these windows too, and shows them beside the one
#              that serves
"""

_PROMOTER_TABLE: Final = f"""
# Learned from surveys of the kind "nps"; without answers to any, this score stays empty.
[{PROMOTER}]
question = "Would this customer say 9 or 10 of 10, asked how likely they are to recommend us?"
outcome = "{PROMOTION}"
event = "{RECOMMENDATION}"
window_days = {SURVEY_DAYS}
"""

_SHOP_TEXT: Final = (
    f"""
[{CHURN}]
question = "Will this customer place no order in the next {{churn}} days?"
outcome = "absence"
event = "Order Completed"
window_days = {{churn}}
at_risk_days = {{at_risk}}

[{REPURCHASE}]
question = "Will this customer order again in the next {{again}} days?"
outcome = "presence"
event = "Order Completed"
window_days = {{again}}
at_risk_days = {{at_risk}}
"""
    + _PROMOTER_TABLE
)

_CONTRACT_TEXT: Final = (
    f"""
# Cancelled, or not renewed when its term is over.
[{CHURN}]
question = "Will this customer's subscription have ended, or been cancelled, in {{churn}} days?"
outcome = "lapse"
at_risk = "running subscription"
window_days = {{churn}}

[{REPURCHASE}]
question = "Will this customer renew in the next {{again}} days?"
outcome = "presence"
event = "Subscription Renewed"
at_risk = "running subscription"
window_days = {{again}}
"""
    + _PROMOTER_TABLE
    + 'at_risk = "Subscription Started"\n'
)

_ACTIVE: Final = '["Page Viewed", "Product Viewed", "Application Opened", "Feature Used"]'

_ACTIVITY_TEXT: Final = (
    f"""
# Nobody buys here: churn is staying away, and coming back stands in for a repurchase.
[{CHURN}]
question = "Will this customer stay away for the next {{churn}} days?"
outcome = "absence"
event = {_ACTIVE}
at_risk = {_ACTIVE}
window_days = {{churn}}
at_risk_days = {{at_risk}}

[{REPURCHASE}]
question = "Will this customer come back in the next {{again}} days?"
outcome = "presence"
event = {_ACTIVE}
at_risk = {_ACTIVE}
window_days = {{again}}
at_risk_days = {{at_risk}}
"""
    + _PROMOTER_TABLE
    + f"at_risk = {_ACTIVE}\n"
)

_TEXTS: Final = {SHOP: _SHOP_TEXT, CONTRACT: _CONTRACT_TEXT, ACTIVITY: _ACTIVITY_TEXT}
