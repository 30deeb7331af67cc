"""Bad input at the command line: one sentence that says what to do, exit code 2, no traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from features.definitions import FEATURES
from features.home import Home
from models.evaluation import report_folder
from serving.catalog import SHIPPED
from training.checkup import service_lines
from training.forest import BoosterSettings
from training.narrator import Narrator
from training.retrain import Recipe, retrain

ORDERS = "customer_id,event,occurred_at,amount\n"
Run = Callable[..., tuple[int, str, str]]


def orders(rows: list[str]) -> str:
    return ORDERS + "\n".join(rows) + "\n"


def weekly(customer: str, weeks: int, amount: str = "20.00") -> list[str]:
    """An order every seventh day of 2025."""
    days = range(0, weeks * 7, 7)
    return [
        f"{customer},Order Completed,2025-{1 + day // 28:02d}-{1 + day % 28:02d}T10:00:00Z,{amount}"
        for day in days
    ]


BAD_FILES = {
    "empty": (b"", "is empty"),
    "only a header": (ORDERS.encode(), "no rows"),
    "another shape": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "orders.csv"),
    "other columns": (b"a,b,c\n1,2,3\n4,5,6\n", "mapping"),
    "no times": (orders(["K1,Order Completed,soon,20.00"] * 3).encode(), "occurred_at"),
    "future": (
        orders(["K1,Order Completed,2999-01-01T00:00:00Z,20.00"] * 3).encode(),
        "future",
    ),
    "amounts": (orders(["K1,Order Completed,2025-01-01,twenty"] * 3).encode(), "amount"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_words(run: Run, tmp_path: Path, name: str) -> None:
    content, words = BAD_FILES[name]
    (tmp_path / "orders.csv").write_bytes(content)
    assert run("init", "--clock", "live")[0] == 0
    code, out, err = run("ingest", "orders.csv")
    assert code == 2, out
    assert err.startswith("nextbest: ")
    assert words in err
    assert "Traceback" not in err


def taken_in(run: Run, folder: Path, rows: list[str]) -> None:
    """A home whose history is these rows."""
    (folder / "orders.csv").write_text(orders(rows))
    assert run("init")[0] == 0
    code, _, err = run("ingest", "orders.csv")
    assert code == 0, err


def test_a_mapping_that_names_a_missing_column_says_which_are_there(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "sales.csv").write_text("Client;Day;Total\n" + "A1;23.02.2025;12,50\n" * 3)
    assert run("init", "sales.csv")[0] == 0
    mapping = tmp_path / ".nextbest" / "mapping.toml"
    mapping.write_text(mapping.read_text().replace('amount = "Total"', 'amount = "Sum"'))
    code, _, err = run("ingest", "sales.csv")
    assert code == 2
    assert "sales.csv" in err
    assert "'Sum'" in err
    assert "Client, Day, Total" in err


def test_no_orders_at_all_says_what_is_missing_and_where_to_look(run: Run, tmp_path: Path) -> None:
    taken_in(run, tmp_path, ["K1,Page Viewed,2025-01-01T10:00:00Z,"] * 1)
    code, out, _ = run("doctor")
    assert code == 0
    assert "No orders" in out
    code, _, err = run("train")
    assert code == 2
    assert "no 'Order Completed' among 1 signal of 1 customer" in err
    assert "`nextbest doctor`" in err


def test_one_customer_gets_a_rule_and_an_answer(run: Run, tmp_path: Path) -> None:
    taken_in(run, tmp_path, weekly("K1", 40))
    code, out, err = run("train", "--json")
    assert code == 0, err
    assert set(json.loads(out)["served_by"].values()) <= {"base_rate", "recency"}
    code, out, _ = run("decide", "K1", "--json")
    assert code == 0
    assert json.loads(out)["fallback"] is False


def test_one_class_is_said_and_the_base_rate_serves(run: Run, tmp_path: Path) -> None:
    """Everybody orders every week: nobody ever churns."""
    taken_in(run, tmp_path, [row for n in range(60) for row in weekly(f"K{n}", 45)])
    code, out, err = run("train")
    assert code == 0, err
    assert "churn_risk" in out
    assert "base_rate serves" in out or "base rate" in out
    code, out, _ = run("decide", "K7", "--json")
    assert code == 0
    assert json.loads(out)["scores"]["churn_risk"]["served_by"] == "base_rate"


def test_a_customer_without_signals_gets_a_usable_answer(
    run: Run, trained: tuple[Home, int]
) -> None:
    code, out, _ = run("decide", "K404", "--dry-run", "--json", "--home", str(trained[0].path))
    assert code == 0
    answer = json.loads(out)
    assert (answer["communication"], answer["fallback"]) == ("no_contact", True)
    assert answer["note"] == "this customer is not known here"
    code, out, _ = run("explain", "K404", "--home", str(trained[0].path))
    assert code == 0
    assert "A fallback: this customer is not known here." in out


def test_catalog_check_names_every_mistake(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("catalog", "check", str(SHIPPED))
    assert (code, "60 communications, no mistakes" in out) == (0, True)
    assert "postcard_to_lapsed: its prior in catalog.toml states a source" in out

    wrong = tmp_path / "catalog.toml"
    text = SHIPPED.read_text(encoding="utf-8")
    text = text.replace("prior.share = 0.06", "prior.shaer = 0.06", 1)
    wrong.write_text(text.replace('channel = "post"', 'channel = "pots"', 1), encoding="utf-8")
    code, out, _ = run("catalog", "check", str(wrong))
    assert code == 1
    assert "communication 'welcome': prior: unknown key 'shaer'; did you mean 'share'?" in out
    assert "communication 'postcard_to_lapsed': channel 'pots' is not known" in out
    record = json.loads(run("catalog", "check", str(wrong), "--json")[1])
    assert (record["communications"], len(record["mistakes"])) == (0, 3)

    code, _, err = run("catalog", "check", str(tmp_path / "none.toml"))
    assert (code, "cannot be read" in err) == (2, True)


def test_a_misspelt_key_of_the_catalog_is_named(run: Run, trained_copy: tuple[Home, int]) -> None:
    home, _ = trained_copy
    home.catalog.write_text(home.catalog.read_text().replace("cost = 0.02", "csot = 0.02", 1))
    code, _, err = run("decide", "K404", "--home", str(home.path))
    assert code == 2
    assert "communication 'welcome': unknown key 'csot'; did you mean 'cost'?" in err


def test_a_wrong_setting_of_the_policy_is_named(run: Run, trained_copy: tuple[Home, int]) -> None:
    home, _ = trained_copy
    home.policy.write_text(home.policy.read_text().replace("epsilon = 0.10", "epsilon = 1.5"))
    code, _, err = run("decide", "K404", "--home", str(home.path))
    assert code == 2
    assert "policy.toml: epsilon 1.5; must be between 0 and 1" in err


def test_a_damaged_bundle_gives_a_fallback_and_the_doctor_says_so(
    run: Run, trained_copy: tuple[Home, int]
) -> None:
    home, _ = trained_copy
    (bundle,) = home.bundles.iterdir()
    damaged = next(path for path in sorted(bundle.iterdir()) if path.name != "manifest.json")
    damaged.write_bytes(damaged.read_bytes()[:-20])
    code, out, _ = run("decide", "C-10100", "--dry-run", "--json", "--home", str(home.path))
    assert code == 0
    answer = json.loads(out)
    assert (answer["communication"], answer["fallback"]) == ("no_contact", True)
    assert "damaged" in answer["note"]
    code, out, _ = run("doctor", "--home", str(home.path))
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("The bundle in service"))
    assert "cannot be used: " in line
    assert damaged.name in line
    assert "train again with `nextbest train`" in line
    assert run("train", "--home", str(home.path))[0] == 0
    code, out, _ = run("decide", "C-10100", "--dry-run", "--json", "--home", str(home.path))
    assert (code, json.loads(out)["fallback"]) == (0, False)


def test_the_doctor_says_when_money_is_counted_otherwise_than_in_training(
    run: Run, trained_copy: tuple[Home, int]
) -> None:
    home, _ = trained_copy
    text = home.policy.read_text().replace("margin_rate = 0.30", "margin_rate = 0.90")
    home.policy.write_text(text)
    code, out, _ = run("doctor", "--home", str(home.path))
    assert code == 0
    assert "policy.toml says margin_rate = 0.9, but the bundle was trained with 0.3" in out


def test_an_untrained_home_answers_with_a_fallback_but_refuses_a_list(
    run: Run, tmp_path: Path
) -> None:
    taken_in(run, tmp_path, weekly("K1", 3))
    code, out, _ = run("decide", "K1", "--json")
    assert (code, json.loads(out)["fallback"]) == (0, True)
    code, _, err = run("decide", "--all", "--out", "all.csv")
    assert code == 2
    assert "run `nextbest train`" in err
    assert not (tmp_path / "all.csv").exists()


WRONG_USE = {
    ("decide",): "name one CUSTOMER, or give --all with --out FILE",
    ("decide", "K1", "--all", "--out", "x.csv"): "name one CUSTOMER, or give --all",
    ("decide", "--all", "--out", "all.xlsx"): "must end in .parquet or .csv",
    ("decide", "--all", "--out", "no/such/all.csv"): "no folder no/such; make it first",
    ("decide", "K1", "--as-of", "yesterday"): "--as-of yesterday: not a date or time",
    ("decide", "K1", "--as-of", "9999-12-31"): "--as-of 9999-12-31: must be of the years 1970 to",
    ("decide", "K1", "--as-of", "0001-01-01T00:00+14:00"): "must be of the years 1970 to 2199",
    ("decide", "K1", "--seed", "-1"): "seed -1: must be 0 or more; choose another",
    ("replay", "--days", "1000000000000"): "--days 1000000000000: must be 1 to 3650; 28 is usual",
    ("features",): "features: no --out FILE; give a .parquet or .csv file to write, or see",
    ("features", "--out", "features"): "must end in .parquet or .csv",
    ("serve", "--port", "0"): "must be 1 to 65535",
    ("train", "--set", "num_leafs=3"): "did you mean 'num_leaves'?",
    ("evaluate",): "no challenger waits; make one with `nextbest train`",
    ("promote", "zzzz"): "no bundle 'zzzz'",
    ("rollback",): "nothing to roll back to",
    ("pause", "--channel", "sms"): "no --reason; say in a few words why, it stands in every",
    ("pause", "--off", "--reason", "x"): "give --reason to hold back, or --off [--number N] to",
    ("pause", "--reason", "x", "--stage", "old"): "stage 'old' is not known; must be one of any",
    ("pause", "--off", "--channel", "sms"): "--off takes --number N, or nothing for all; nothing",
    ("pause", "--review"): "--review goes with --off; a pause that is on sends nothing anyway",
    ("pause", "--off", "--number", "9"): "no pause 9 is on; those that are: none",
    ("mlflow",): "nothing is kept in MLflow yet; run `nextbest train`",
}


def test_the_dictionary_is_text_or_json(run: Run) -> None:
    code, out, _ = run("features", "dictionary")
    assert code == 0
    assert out.startswith("# Data dictionary: ")
    code, out, _ = run("features", "dictionary", "--json")
    found = json.loads(out)
    assert code == 0
    assert [each["name"] for each in found["features"]] == list(FEATURES.names)
    assert found["fingerprint"] == FEATURES.fingerprint


@pytest.mark.parametrize("words", WRONG_USE, ids=" ".join)
def test_wrong_use_says_what_is_right(
    run: Run, trained: tuple[Home, int], words: tuple[str, ...]
) -> None:
    code, _, err = run(*words, "--home", str(trained[0].path))
    assert code == 2
    assert WRONG_USE[words] in err


def test_a_gate_that_says_no_is_exit_code_one(run: Run, trained_copy: tuple[Home, int]) -> None:
    home, as_of = trained_copy
    place = ("--home", str(home.path))
    (champion,) = (path.name for path in home.bundles.iterdir())
    settings = BoosterSettings(rounds=40)
    challenger = retrain(home, as_of, Recipe(seed=2, booster=settings), Narrator(quiet=True))
    (report_folder(home, champion) / "evaluation.json").unlink()  # nothing to compare on
    code, out, _ = run("evaluate", *place)
    assert code == 0
    assert f"champion {champion[:12]}, challenger {challenger.bundle.sha256[:12]}\n" in out
    assert "NO   " in out
    assert run("promote", *place)[0] == 1
    code, out, _ = run("promote", "--json", *place)
    assert (code, json.loads(out)["promoted"], json.loads(out)["passed"]) == (1, False, False)
    code, out, _ = run("promote", "--force", *place)
    assert code == 0
    assert "is in service, forced although a gate said no; `nextbest rollback` returns to" in out
    assert "It was promoted by force" in run("doctor", *place)[1]
    assert run("rollback", *place)[1].startswith(f"bundle {champion[:12]} is in service again")


VERBS = (
    ("ingest", "x.csv"),
    ("doctor",),
    ("features", "--out", "x.csv"),
    ("train",),
    ("evaluate",),
    ("promote",),
    ("rollback",),
    ("mlflow",),
    ("decide", "K1"),
    ("explain", "K1"),
    ("pause",),
    ("serve",),
    ("keys", "new", "crm"),
    ("keys", "list"),
    ("keys", "revoke", "crm"),
)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_says_that_there_is_no_home(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, _, err = run(*words)
    assert code == 2
    assert err == (
        "nextbest: .nextbest: not a home (it has no home.toml); "
        "make one with `nextbest init`, or name another with --home\n"
    )
    assert not (tmp_path / ".nextbest").exists()


def test_messages_are_held_back_and_let_go(run: Run, tmp_path: Path) -> None:
    assert run("init", "--name", "Shop")[0] == 0
    assert run("pause") == (0, "nothing is paused\n", "")
    line = "paused (1): channel sms: fire; transactional and crisis still leave\n"
    assert run("pause", "--reason", "fire", "--channel", "sms") == (0, line, "")
    code, out, _ = run("pause", "--reason", "flood", "--allow", "service", "--json")
    (_, flood) = json.loads(out)["pauses"]
    assert (code, flood["allow"], flood["channel"]) == (0, ["service"], "any")
    assert "Paused (2): everything: flood." in service_lines(Home(tmp_path / ".nextbest"))
    assert run("pause", "--off", "--number", "2")[1] == line
    assert run("pause", "--off") == (0, "nothing is paused\n", "")
    assert run("pause", "--reason", "fire")[0] == 0
    ended = run("pause", "--off", "--review")[1]
    assert ended.startswith("nothing is paused\nunder review (3): everything: fire; ended 20")
    assert run("pause")[1] == ended


def test_keys_are_made_listed_and_revoked(run: Run, tmp_path: Path) -> None:
    assert run("init", "--name", "Shop")[0] == 0
    assert run("keys", "list") == (0, "no keys yet; make one with `nextbest keys new NAME`\n", "")
    code, out, _ = run("keys", "new", "crm", "--json")
    assert json.loads(out)["key"].startswith("nb_")
    assert run("keys", "list")[1] == "crm\n"
    assert run("keys", "revoke", "crm")[1] == "1 key of crm revoked\n"
    assert run("keys", "list", "--json")[1] == "[]\n"
    nobody = "no key is called crm, so none was revoked; those that work: none\n"
    assert run("keys", "revoke", "crm")[1] == nobody
    assert code == 0


def test_init_keeps_what_the_company_has_edited(run: Run, tmp_path: Path) -> None:
    assert run("init", "--currency", "USD")[0] == 0
    policy = tmp_path / ".nextbest" / "policy.toml"
    assert 'currency = "USD"' in policy.read_text()
    policy.write_text(policy.read_text().replace("epsilon = 0.10", "epsilon = 0.05"))
    assert run("init", "--currency", "EUR")[0] == 0
    assert "epsilon = 0.05" in policy.read_text()
    assert 'currency = "USD"' in policy.read_text()
    shutil.rmtree(tmp_path / ".nextbest")
    code, _, err = run("init", "--currency", "euro")
    assert code == 2
    assert "--currency euro: must be three capital letters such as EUR" in err


def test_training_rows_become_a_file(run: Run, trained: tuple[Home, int], tmp_path: Path) -> None:
    home, _ = trained
    words = ("features", "--training", "churn_risk", "--home", str(home.path))
    code, out, _ = run(*words, "--out", str(tmp_path / "matrix.parquet"))
    assert code == 0
    assert f"rows of churn_risk, {len(FEATURES)} features" in out
    assert (tmp_path / "matrix.parquet").exists()
    code, _, err = run(*words[:2], "churn", *words[3:], "--out", str(tmp_path / "matrix.csv"))
    assert code == 2
    assert "no target 'churn'; targets are churn_risk" in err
