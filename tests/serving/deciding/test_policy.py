import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.policy import SHIPPED, Cap, CoolOff, InvalidPolicy, load_policy, memory_days

Editor = Callable[[str, str], Path]


def test_shipped_policy_denies_consent_and_leaves_people_to_each_arm() -> None:
    policy = load_policy(SHIPPED)
    assert policy.assumed_consents == frozenset()
    assert policy.caps[0] == Cap("any", "marketing", 7, 2)
    assert policy.quiet_hours[0].start == dt.time(21)
    assert [hours.channels for hours in policy.quiet_hours] == [("email", "sms", "push"), ("call",)]
    assert policy.counts_households
    assert policy.weight("newsletter") == 1.0
    assert 0 < policy.uniform_share + policy.holdout_share < 1


def test_a_policy_may_leave_out_times_of_silence_and_hold_one_night(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    start, end = text.index("[cool_off]"), text.index("[fatigue]")
    shorter = text[:start] + text[end:]
    at = shorter.index("[[quiet_hours]]         # nobody")
    shorter = shorter[:at] + shorter[shorter.index("[fatigue]") :]
    file = tmp_path / "policy.toml"
    file.write_text(shorter.replace("[[quiet_hours]]\n", "[quiet_hours]\n"), encoding="utf-8")
    policy = load_policy(file)
    assert policy.cool_off == CoolOff(0, 0, 0)
    assert [hours.end for hours in policy.quiet_hours] == [dt.time(8)]


def test_a_policy_may_leave_the_likelihood_of_an_advocate_out(edited_policy: Editor) -> None:
    shorter = load_policy(edited_policy("advocate_likelihood = 0.5", ""))
    assert shorter.flags.advocate_likelihood == 0.5
    other = load_policy(edited_policy("advocate_likelihood = 0.5", "advocate_likelihood = 0.4"))
    assert other.flags.advocate_likelihood == 0.4


def test_assumed_consent_and_weights_are_read(edited_policy: Editor) -> None:
    assumed = load_policy(edited_policy("assume = []", 'assume = ["email:marketing"]'))
    assert assumed.assumed_consents == {("email", "marketing")}
    weighed = load_policy(edited_policy("# newsletter = 1.2", "newsletter = 1.2"), ["newsletter"])
    assert weighed.weight("newsletter") == 1.2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epsilon = 0.10", "epsilom = 0.10", "unknown key 'epsilom'; did you mean 'epsilon'?"),
        ("epsilon = 0.10", "epsilon = 1.1", "epsilon 1.1; must be between 0 and 1"),
        (
            "advocate_likelihood = 0.5",
            "advocate_likelihood = 5",
            "advocate_likelihood 5; must be between 0 and 1",
        ),
        ("epsilon = 0.10", "", "'epsilon' is missing; add a line 'epsilon = ...'"),
        ('"EUR"', '"euro"', "currency 'euro'; must be three capitals, such as EUR"),
        ("margin_rate = 0.30", "margin_rate = 30", "margin_rate 30; must be between 0 and 1"),
        (
            "holdout_share = 0.05",
            "holdout_share = 0.95",
            "uniform_share 0.05 + holdout_share 0.95; together they must stay below 1",
        ),
        ("horizon_days = 28", "horizon_days = 0", "horizon_days 0; must be between 1 and 365"),
        ("opt_out_cost = 5.0", "opt_out_cost = -5.0", "opt_out_cost -5; must be zero or more"),
        ("opt_out_cost = 5.0", "opt_out_cost = inf", "opt_out_cost inf; must be zero or more, up"),
        ('# "Referral Made" = 4.0', '"Referral Made" = -inf', "must be at most a million million,"),
        ("most = 2", "most = -2", "policy.toml: caps 1: most -2; must be between 0 and 1000"),
        ("most = 2", "mosst = 2", "caps 1: unknown key 'mosst'; did you mean 'most'?"),
        ('channel = "sms"', 'channel = "text"', "caps 3: channel 'text' is not known"),
        ('class = "marketing"', 'class = "ads"', "caps 1: class 'ads' is not known"),
        ('start = "21:00"', 'start = "9pm"', "start '9pm'; must be a time from 00:00 to 23:59"),
        ('start = "21:00"', 'start = "24:00"', "start '24:00'; must be a time from 00:00 to"),
        (
            'time_zone = "UTC"',
            'time_zone = "Berlin"',
            "time_zone 'Berlin' is not known; write one like 'Europe/Berlin'",
        ),
        ('channels = ["call"]', 'channels = ["sms"]', "quiet_hours name the channel 'sms' 2 times"),
        ('per = "household"', 'per = "family"', "caps 5: per 'family' is not known; must be one"),
        ("after_order_days = 2", "after_order = 2", "cool_off: unknown key 'after_order'"),
        ("after_order_days = 2", "after_order_days = -2", "must be between 0 and 365"),
        ("half_life_days = 7.0", "half_life_days = 0", "half_life_days 0; must be between 0.1"),
        ("cart_days = 7", "basket_days = 7", "flags: unknown key 'basket_days'"),
        ("# newsletter = 1.2", "newsletter = 0", "newsletter 0; must be between 0.01 and 10"),
        ("# newsletter = 1.2", "newsletter = -1", "newsletter -1; must be between 0.01 and 10"),
        (
            "# newsletter = 1.2",
            "newsleter = 1.2",
            "weights: communication 'newsleter' is not in the catalog; did you mean 'newsletter'?",
        ),
        (
            "# newsletter = 1.2",
            "zebra = 1.2",
            "communication 'zebra' is not in the catalog; remove the line, or add it",
        ),
        ("assume = []", 'assume = ["email"]', "assume 'email'; must read 'channel:purpose'"),
        ("assume = []", 'assume = ["mail:marketing"]', "channel 'mail' is not known"),
        ("assume = []", 'assume = ["email:ads"]', "purpose 'ads' is not known"),
        ("# [budget]", "[budget]", "budget: it is empty; write per_run or per_week, or take"),
        ("# [budget]", "[budget]\nper_month = 3", "budget: unknown key 'per_month'"),
        ("# [budget]", "[budget]\nper_week = -3", "per_week -3; must be"),
        ("# [responses]", "[responses]\nweight = 10", "responses: it names no channel; write one"),
        ("# [responses]", "[responses]\nemail = 0.2", "responses: 'weight' is missing; add a line"),
        ("# [responses]", "[responses]\nemail = 0", "email 0; must be between 0.001 and 1"),
        ("# [responses]", "[responses]\nmail = 0.2", "responses: unknown key 'mail'"),
        ("novelty_price = 0.10", "novelty_price = -1", "novelty_price -1; must be"),
        ("novelty_half_life_days = 15.0", "novelty_half_life_days = 0", "must be between 0.1"),
        ("[fatigue]", "[[fatigue]]", "must be a table, such as [fatigue]"),
        ("[[caps]]", "[[cups]]", "unknown key 'cups'; did you mean 'caps'?"),
        ("[flags]", "[flags", "policy.toml: not TOML: "),
    ],
)
def test_a_mistake_in_the_policy_is_named(
    edited_policy: Editor, old: str, new: str, words: str
) -> None:
    with pytest.raises(InvalidPolicy, match=re.escape(words)) as caught:
        load_policy(edited_policy(old, new), ["newsletter", "welcome"])
    assert str(caught.value).startswith("policy.toml: ")


def test_caps_must_be_a_list_of_tables(tmp_path: Path) -> None:
    text = re.sub(r"\[\[caps\]\]\n(.+\n)+", "", SHIPPED.read_text(encoding="utf-8"))
    file = tmp_path / "policy.toml"
    file.write_text("caps = 3\n" + text)
    with pytest.raises(InvalidPolicy, match=r"caps 3; must be a list of tables, such as \[\[caps"):
        load_policy(file)


def test_memory_reaches_back_to_the_longest_window() -> None:
    policy = load_policy(SHIPPED)
    assert memory_days(policy, 7) == 105  # seven half-lives of the same message again
    assert memory_days(policy, 120) == 120


def test_outcomes_have_the_worth_that_is_stated(edited_policy: Editor) -> None:
    file = edited_policy('# "Referral Made" = 4.0', '"Referral Made" = 4.0')
    assert load_policy(file).outcome_values == {"Referral Made": 4.0}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('"Order Completed" = 1.0', "'Order Completed' counts by its own amount; remove the line"),
        ('"Referal Made" = 4.0', "Referal Made"),
        ('"Referral Made" = "much"', "Referral Made"),
    ],
)
def test_a_worth_that_makes_no_sense_is_refused(
    edited_policy: Editor, line: str, words: str
) -> None:
    file = edited_policy('# "Referral Made" = 4.0', line)
    with pytest.raises(InvalidPolicy, match=re.escape(words)):
        load_policy(file)
