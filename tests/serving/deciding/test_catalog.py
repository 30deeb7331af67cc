import re
from collections.abc import Callable
from pathlib import Path

import pytest

from features.definitions import FEATURES
from serving.catalog import SHIPPED, Condition, InvalidCatalog, load_catalog
from serving.records import STAGES

Editor = Callable[[str, str], Path]


def test_shipped_catalog_has_a_reviewed_communication_for_every_stage() -> None:
    entries = load_catalog(SHIPPED, FEATURES.names).communications.values()
    assert len(entries) == 60
    ready = [entry for entry in entries if entry.prior.reviewed and entry.approved]
    assert {stage for entry in ready for stage in entry.stages} == set(STAGES)
    at_the_end = [entry.name for entry in entries if "ended" in entry.stages]
    assert at_the_end == ["farewell"]


def test_shipped_marketing_waits_while_a_complaint_is_open() -> None:
    entries = load_catalog(SHIPPED, FEATURES.names).communications.values()
    selling = [one for one in entries if one.message_class == "marketing" and one.personal]
    assert len(selling) > 20
    assert [one.name for one in selling if "complaint_open" not in one.blocked_by_flags] == []


def test_entry_is_read_as_written() -> None:
    entry = load_catalog(SHIPPED, FEATURES.names).communications["cross_sell"]
    assert (entry.channel, entry.message_class, entry.window_days) == ("email", "marketing", 14)
    assert entry.where == (Condition("orders_ever", ">=", 2), Condition("churn_risk", "<=", 0.5))
    assert entry.prior.of == ("repurchase_likelihood", "expected_margin")
    assert entry.blocked_by_flags == ("complaint_open", "detractor", "order_in_transit")
    assert entry.personal


def test_hash_follows_the_content(edited_catalog: Editor) -> None:
    same = load_catalog(edited_catalog("Welcome", "Welcome"), FEATURES.names)
    other = load_catalog(edited_catalog('"Welcome"', '"Hello"'), FEATURES.names)
    assert same.sha256 == load_catalog(SHIPPED, FEATURES.names).sha256
    assert same.sha256 != other.sha256
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", other.sha256)


WELCOME = 'title = "Welcome"\nchannel = "email"'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "[welcome]\n",
            "[welcome]\nvlaue = 4\n",
            "catalog.toml: communication 'welcome': unknown key 'vlaue'; keys are title, channel",
        ),
        (
            "cost = 0.02\nwindow_days = 60",
            "cosst = 0.02\nwindow_days = 60",
            "communication 'welcome': unknown key 'cosst'; did you mean 'cost'?",
        ),
        (
            WELCOME,
            'title = "Welcome"\nchannel = "mail"',
            "channel 'mail' is not known; must be one of email, sms, push, inapp, chat, call, "
            "post; did you mean 'email'?",
        ),
        (WELCOME, 'title = "Welcome"', "'channel' is missing; add a line 'channel = ...'"),
        (WELCOME, 'title = 5\nchannel = "email"', "title 5; must be a text in quotation marks"),
        ('class = "marketing"', 'class = "promo"', "class 'promo' is not known; must be one of"),
        ('purpose = "marketing"', 'purpose = "fun"', "purpose 'fun' is not known"),
        ("cost = 0.02", "cost = -1", "cost -1; must be zero or more"),
        ("cost = 0.02", "cost = true", "cost true; must be a number without quotation marks"),
        ("cost = 0.02", "cost = nan", "cost nan; must be zero or more"),
        ("cost = 0.02", "cost = inf", "cost inf; must be zero or more, up to a million million"),
        ("cost = 0.02", f"cost = 1{'0' * 400}", f"cost 1{'0' * 79}...; must be zero or more"),
        ("cost = 0.02", "cost = 2026-12-01", "cost 2026-12-01; must be a number without"),
        ("cost = 0.02", f"cost = 1{'0' * 5000}", "catalog.toml: not TOML: Exceeds the limit"),
        ("cost = 0.02", f"cost = {'[' * 9000}", "catalog.toml: not TOML: maximum recursion depth"),
        (
            "cost = 0.02",
            "cost = 0.02\nvalid_from = 2026-12-01T08:00:00Z",
            "valid_from 2026-12-01T08:00:00+00:00; must be a day from 1970 on, without quotation "
            "marks and without a time: 2026-12-01",
        ),
        (
            WELCOME,
            'title = "Wel\\u202ecome"\nchannel = "email"',
            "title holds U+202E (right-to-left override) at place 4, which nobody sees; leave",
        ),
        ("window_days = 60", "window_days = 0", "window_days 0; must be between 1 and 365"),
        ("window_days = 60", "window_days = 1.5", "window_days 1.5; must be a whole number"),
        (
            'stages = ["prospect", "onboarding"]',
            'stages = ["prospects"]',
            "stages 'prospects' is not known",
        ),
        ('stages = ["prospect", "onboarding"]', "stages = []", "stages is empty; name at least"),
        (
            'stages = ["prospect", "onboarding"]',
            'stages = "prospect"',
            "stages 'prospect'; must be a list of texts",
        ),
        (
            'stages = ["prospect", "onboarding"]',
            'stages = ["prospect", "prospect"]',
            "stages names 'prospect' twice; remove one of the two",
        ),
        (
            'stages = ["prospect", "onboarding"]',
            'stages = ["visitor"]',
            "names 'visitor', of whom nothing personal may be used; write personal = false",
        ),
        (
            'blocked_by_flags = ["complaint_open"]',
            'blocked_by_flags = ["complain_open"]',
            "did you mean 'complaint_open'?",
        ),
        ("personal = false", 'personal = "no"', "personal 'no'; must be true or false"),
        (
            "tenure_days <= 14",
            "tenure_day <= 14",
            "where 'tenure_day <= 14': unknown feature 'tenure_day'; did you mean 'tenure_days'?",
        ),
        (
            "tenure_days <= 14",
            "__import__('os')",
            "must read 'feature op number' with one of < <= > >= == !=",
        ),
        (
            '2 unless lapsing"]',
            '2 unless lapsin"]',
            "where 'churn_risk_odds_ratio >= 2 unless lapsin': unknown stage 'lapsin'; did you",
        ),
        (
            '2 unless lapsing"]',
            '2 unless"]',
            "where 'churn_risk_odds_ratio >= 2 unless'; must read",
        ),
        ("tenure_days <= 14", "tenure_days =< 14", "where 'tenure_days =< 14'; must read"),
        (
            "tenure_days <= 14",
            f"tenure_days <= {'9' * 90}",
            f"where 'tenure_days <= {'9' * 64}...: the number is too large; must be at most a "
            "million million",
        ),
        (
            "tenure_days <= 14",
            "churn_risk >= 60",
            "where 'churn_risk >= 60': churn_risk is a share from 0 to 1, not 60; for 60 % write "
            "0.6",
        ),
        (
            "tenure_days <= 14",
            "churn_risk <= -0.5",
            "where 'churn_risk <= -0.5': churn_risk is a share from 0 to 1, not -0.5",
        ),
        (
            'where = ["tenure_days <= 14"]',
            'where = ["tenure_days <= 14", "orders_ever == 2", "tenure_days > 14"]',
            "where 'tenure_days > 14' and 'tenure_days <= 14' are never true together, so it can "
            "never be sent; correct one of them",
        ),
        (
            'blocked_by_flags = ["complaint_open"]',
            'requires_flags = ["cart_open"]\nblocked_by_flags = ["cart_open"]',
            "blocked_by_flags names 'cart_open', which requires_flags asks for, so it can never "
            "be sent; take one of the two out",
        ),
        ("discount_pct = 10", "discount_pct = 110", "discount_pct 110; must be between 0 and 100"),
        (
            'prior.of = "1"',
            'prior.of = "churn_rsk * usual_margin"',
            "prior: of 'churn_rsk' is not known",
        ),
        (
            'prior.of = "1"',
            'prior.of = "churn_risk"',
            "of 'churn_risk'; must hold exactly one of expected_margin, usual_margin, 1",
        ),
        ('prior.of = "1"', 'prior.of = "usual_margin * 1"', "must hold exactly one of"),
        (
            'prior.of = "1"',
            'prior.of = "churn_risk * churn_risk * 1"',
            "each of churn_risk, repurchase_likelihood, promoter_likelihood at most once",
        ),
        ("prior.opt_out = 0.002", "prior.opt_out = 2", "opt_out 2; must be between 0 and 1"),
        ("prior.weight = 200", "prior.weight = 0", "weight 0; must be between 1 and 1000000"),
        ("prior.share = 0.60", "prior.shares = 0.60", "unknown key 'shares'; did you mean 'share'"),
        ("[welcome]", "[no_contact]", "communication 'no_contact': the name must be small letters"),
        ("[welcome]", '["Wel come"]', "communication 'Wel come': the name must be small letters"),
        ("[welcome]", "welcom = 1\n[welcome]", "unknown key 'welcom'; each communication is a"),
        ("[welcome]", "[welcome", "catalog.toml: not TOML: "),
    ],
)
def test_a_mistake_in_the_catalog_is_named(
    edited_catalog: Editor, old: str, new: str, words: str
) -> None:
    with pytest.raises(InvalidCatalog, match=re.escape(words)) as caught:
        load_catalog(edited_catalog(old, new), FEATURES.names)
    assert str(caught.value).startswith("catalog.toml: ")


def test_missing_prior_and_empty_file_and_no_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    with pytest.raises(InvalidCatalog, match=r"cannot be read \(No such file or directory\)"):
        load_catalog(file, FEATURES.names)
    file.write_text("")
    with pytest.raises(InvalidCatalog, match="holds no communication; add one"):
        load_catalog(file, FEATURES.names)
    file.write_bytes(b"title = '\xff'")
    words = "not UTF-8: invalid start byte at byte 9; a text file in UTF-8 is needed; save it again"
    with pytest.raises(InvalidCatalog, match=words):
        load_catalog(file, FEATURES.names)


def test_a_catalog_saved_with_the_mark_of_an_editor_is_read(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8-sig", newline="\r\n")
    assert len(load_catalog(file, FEATURES.names).communications) == 60


@pytest.mark.parametrize(
    ("where", "meets"),
    [
        (("tenure_days >= 3", "tenure_days <= 3"), True),
        (("tenure_days > 3", "tenure_days < 4"), True),
        (("tenure_days == 3", "tenure_days >= 3"), True),
        (("tenure_days >= 5", "tenure_days <= 3 unless lapsing"), True),
        (("tenure_days >= 5", "orders_ever <= 3"), True),
        (("tenure_days >= 3", "tenure_days < 3"), False),
        (("tenure_days == 3", "tenure_days == 4"), False),
        (("tenure_days > 1", "tenure_days > 9", "tenure_days < 7", "tenure_days < 12"), False),
    ],
)
def test_conditions_that_are_never_true_together_are_found(
    edited_catalog: Editor, where: tuple[str, ...], meets: bool
) -> None:
    file = edited_catalog('["tenure_days <= 14"]', str(list(where)))
    if meets:
        assert len(load_catalog(file, FEATURES.names).communications["welcome"].where) == len(where)
    else:
        with pytest.raises(InvalidCatalog, match="are never true together"):
            load_catalog(file, FEATURES.names)


def test_a_step_that_the_beginning_of_its_sequence_ends_is_named(edited_catalog: Editor) -> None:
    old = 'after = "drip_2_proof"\ndelay = "4 days"\nwithin = "4 days"\ncancel_on = ['
    with pytest.raises(InvalidCatalog) as caught:
        load_catalog(edited_catalog(old, f'{old}"Signed Up", '), FEATURES.names)
    assert str(caught.value) == (
        "catalog.toml: communication 'drip_3_help': cancel_on names 'Signed Up', with which the "
        "sequence begins (in 'drip_1_ideas'), so it can never be sent; take it out"
    )


def test_a_prior_must_be_a_table(edited_catalog: Editor, tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    first_entry = text[text.index("[welcome]") : text.index("[drip_1_ideas]")]
    lines = [line for line in first_entry.splitlines() if not line.startswith("prior.")]
    file = tmp_path / "catalog.toml"
    file.write_text("\n".join([*lines, "prior = 0.5"]))
    with pytest.raises(InvalidCatalog, match=r"prior 0.5; must be a table, such as \[prior\]"):
        load_catalog(file, FEATURES.names)


def test_prior_without_a_source_is_not_reviewed(edited_catalog: Editor) -> None:
    source = '"Judgement: first mails are the most read of all; no experiment of our own yet."'
    catalog = load_catalog(edited_catalog(f"prior.source = {source}", ""), FEATURES.names)
    assert not catalog.communications["welcome"].prior.reviewed
    claimed = edited_catalog(f"prior.source = {source}", 'prior.source = " "\nprior.reviewed=true')
    assert not load_catalog(claimed, FEATURES.names).communications["welcome"].prior.reviewed
    doubted = edited_catalog("prior.weight = 200", "prior.weight = 200\nprior.reviewed = false")
    assert not load_catalog(doubted, FEATURES.names).communications["welcome"].prior.reviewed


@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("==", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_condition_holds(op: str, below: bool, equal: bool, above: bool) -> None:
    condition = Condition("orders_ever", op, 2.0)
    assert [condition.holds(value) for value in (1.0, 2.0, 3.0)] == [below, equal, above]
    assert not condition.holds(None)
    assert not condition.holds(float("nan"))
