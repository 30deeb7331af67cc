"""MLflow: what a training leaves there, and that its aliases follow the store."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from features.definitions import FEATURES
from features.home import Home
from models.bundle_files import load_bundle
from models.classifier import Forest
from models.evaluation import load_evaluation, report_folder
from serving.storage.store import Store
from training import gates, registry
from training.aliases import follow_store, left_behind
from training.blank_database import blank_sql
from training.blank_sql import make_blank, sql_file
from training.checkup import checked_home
from training.forest import BoosterSettings
from training.narrator import Narrator
from training.pictures import draw
from training.promote import promote
from training.publish import publish
from training.registry import NothingTracked, database, tracking_client, ui_command
from training.results import result_lines, result_record
from training.retrain import Recipe, Retrained, retrain
from training.rollback import roll_back
from training.server import ROOT

QUIET = Narrator(quiet=True)
TrainedHome = tuple[Home, int]
CHURN = "nextbest-churn"


@pytest.fixture(scope="module")
def last_training(
    trained: TrainedHome, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, Retrained]:
    """A home whose champion and whose challenger were written down in MLflow."""
    home = Home(tmp_path_factory.mktemp("tracked") / "home")
    shutil.copytree(trained[0].path, home.path)
    publish(home, retrain(home, trained[1], Recipe(), QUIET), QUIET)
    with pytest.MonkeyPatch.context() as patch:
        # In so small a company no forest is shown to be as good; in doubt it serves in the
        # second bundle, so that there is one to keep.
        patch.setattr(gates, "MAY_SERVE", gates.MAY_SERVE | {gates.UNCLEAR})
        recipe = Recipe(seed=2, booster=BoosterSettings(rounds=60))
        retrained = retrain(home, trained[1], recipe, QUIET)
        publish(home, retrained, QUIET)
    return home, retrained


@pytest.fixture(scope="module")
def tracked(last_training: tuple[Home, Retrained]) -> Home:
    return last_training[0]


@pytest.fixture
def tracked_copy(tracked: Home, tmp_path: Path) -> Home:
    shutil.copytree(tracked.path, tmp_path / "home")
    return Home(tmp_path / "home")


def both(home: Home) -> tuple[str, str]:
    with Store.open(home.store) as store:
        return str(store.champion()), str(store.challenger())


def aliases(home: Home, name: str = CHURN) -> dict[str, str]:
    """Bundle of the version that each alias points to."""
    client = tracking_client(database(home))
    found = client.get_registered_model(name).aliases
    return {
        alias: client.get_model_version(name, number).tags["bundle"]
        for alias, number in found.items()
    }


def test_a_training_is_one_run_with_a_run_for_each_model(tracked: Home) -> None:
    client = tracking_client(database(tracked))
    (experiment,) = [each for each in client.search_experiments() if each.name == "nextbest"]
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 2
    for parent in parents:
        sha = parent.data.tags["bundle"]
        bundle = load_bundle(tracked.bundles / sha, FEATURES)
        children = {
            run.data.tags["score"]: run
            for run in runs
            if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
        }
        assert set(children) == set(bundle.classifiers)
        assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
        kept = {each.path for each in client.list_artifacts(parent.info.run_id)}
        assert {"card.html", "evaluation.json", "notes.txt"} <= kept


def test_a_run_says_what_it_was_made_of(tracked: Home) -> None:
    sha, other = both(tracked)
    client = tracking_client(database(tracked))
    version = client.get_model_version_by_alias(CHURN, "challenger")
    run = client.get_run(str(version.run_id))
    evaluation = load_evaluation(report_folder(tracked, other))
    bundle = load_bundle(tracked.bundles / other, FEATURES)
    tags = run.data.tags
    assert (tags["bundle"], tags["data_digest"]) == (other, evaluation.data_digest)
    assert (tags["feature_fingerprint"], tags["simulated"]) == (FEATURES.fingerprint, "true")
    assert run.data.params["window_days"] == str(bundle.targets["churn_risk"].window_days)
    parent = client.get_run(tags["mlflow.parentRunId"]).data.params
    assert (parent["rounds"], parent["seed"]) == ("60", "2")
    (data,) = run.inputs.dataset_inputs
    assert evaluation.data_digest.startswith(data.dataset.digest)
    assert sha != other


def test_the_margin_is_measured_beside_its_baselines(last_training: tuple[Home, Retrained]) -> None:
    home, retrained = last_training
    client = tracking_client(database(home))
    version = client.get_model_version_by_alias(CHURN, "challenger")
    parent = client.get_run(str(version.run_id)).data.tags["mlflow.parentRunId"]
    found = client.get_run(parent).data.metrics
    for each in retrained.bundle.margins:
        start = "expected_margin.test" if each.serves else f"expected_margin.{each.model}.test"
        assert found[f"{start}.absolute_error"] == each.absolute_error
        assert (f"{start}.inside_interval" in found) == each.serves
    lines, record = result_lines(retrained), result_record(retrained)
    shown = [line for line in lines if line.startswith("expected_margin  ")]
    assert [line.split()[1] for line in shown] == ["recency", "bg_nbd", "lightgbm"]
    assert [line.endswith("serves") for line in shown] == [
        each.serves for each in retrained.bundle.margins
    ]
    assert [each["model"] for each in record["margins"]] == ["recency", "bg_nbd", "lightgbm"]


def test_metrics_come_with_intervals_and_baselines(tracked: Home) -> None:
    client = tracking_client(database(tracked))
    version = client.get_model_version_by_alias(CHURN, "champion")
    found = client.get_run(str(version.run_id)).data.metrics
    target = load_evaluation(report_folder(tracked, both(tracked)[0]))["churn_risk"]
    for figures in target.models:
        start = "" if figures.serves else f"{figures.model}."
        assert found[f"{start}test.log_loss"] == figures.log_loss.value
        assert found[f"{start}test.log_loss.low"] == figures.log_loss.low
        assert found[f"{start}test.log_loss.high"] == figures.log_loss.high
        assert found[f"{start}test.ece"] == figures.calibration_error
    assert found["test.lift_at_10"] == target.lift[0].lift
    pictures = {each.path for each in client.list_artifacts(str(version.run_id))}
    assert {"calibration-churn_risk.svg", "lift-churn_risk.svg"} <= pictures


def test_aliases_follow_every_change_of_champion(tracked_copy: Home, trained: TrainedHome) -> None:
    home = tracked_copy
    champion, challenger = both(home)
    assert aliases(home) == {"champion": champion, "challenger": challenger}
    assert promote(home, challenger, trained[1], True, QUIET).promoted
    assert aliases(home)["champion"] == champion
    said = follow_store(home)
    assert f"{CHURN}@challenger taken away" in said
    assert aliases(home) == {"champion": challenger}
    assert follow_store(home) == []
    roll_back(home)
    follow_store(home)
    assert aliases(home) == {"champion": champion}


def test_a_forest_is_kept_as_text_and_predicts_as_served(
    trained: TrainedHome, tracked_copy: Home
) -> None:
    home, _ = tracked_copy, trained
    shas = both(home)
    client = tracking_client(database(home))
    found = 0
    for sha in shas:
        bundle = load_bundle(home.bundles / sha, FEATURES)
        for score, classifier in bundle.classifiers.items():
            name = registry.registered_name(score)
            (version,) = [
                each
                for each in client.search_model_versions(f"name='{name}'")
                if each.tags["bundle"] == sha
            ]
            assert version.tags["served_by"] == classifier.served_by
            if isinstance(classifier.model, Forest):
                found += 1
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    said = predicted(home, name, version.version, bundle)
                line = classifier.calibration
                log_odds = line.slope * np.log(said / (1 - said)) + line.intercept
                served = bundle.golden.predictions[score]
                assert 1 / (1 + np.exp(-log_odds)) == pytest.approx(np.array(served), abs=1e-9)
    assert found, "no forest among the models of the small company; change its seed"


def predicted(home: Home, name: str, number: int, bundle) -> np.ndarray:  # type: ignore[no-untyped-def]
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(f"sqlite:///{database(home)}")
    model = mlflow.pyfunc.load_model(f"models:/{name}/{number}")
    columns = model.metadata.signature.inputs
    assert [each.name for each in columns.inputs] == list(bundle.feature_names)
    assert all(each.required for each in columns.inputs)
    rows = pd.DataFrame(
        np.array(bundle.golden.rows, dtype=np.float64), columns=list(bundle.feature_names)
    )
    mlflow.set_tracking_uri("")
    return np.asarray(model.predict(rows[rows.columns[::-1]]))


def test_nothing_in_it_is_pickled(tracked: Home) -> None:
    kept = [path for path in registry.artifacts(tracked).rglob("*") if path.is_file()]
    endings = {path.suffix for path in kept}
    assert not endings & {".pkl", ".pickle", ".joblib", ".skops", ".cloudpickle"}
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_a_copied_home_writes_beside_itself(
    last_training: tuple[Home, Retrained], tracked_copy: Home
) -> None:
    tracked, again = last_training
    before = sorted(registry.artifacts(tracked).rglob("*"))
    registry.track(tracked_copy, again, report_folder(tracked_copy, again.bundle.sha256))
    assert sorted(registry.artifacts(tracked).rglob("*")) == before
    client = tracking_client(database(tracked_copy))
    place = registry.artifacts(tracked_copy).resolve().as_uri()
    assert client.get_experiment_by_name("nextbest").artifact_location == place
    assert any("version 3" in line for line in follow_store(tracked_copy))
    assert aliases(tracked_copy)["challenger"] == again.bundle.sha256


def test_pictures_and_card_need_nothing_else(tracked: Home) -> None:
    for sha in both(tracked):
        folder = report_folder(tracked, sha)
        card = (folder / "card.html").read_text()
        evaluation = load_evaluation(folder)
        assert "<script" not in card
        assert "http://" not in card.replace("http://www.w3.org", "")
        assert "https://" not in card
        assert evaluation.data_digest in card
        assert "The data are simulated" in card
        for target in evaluation.targets:
            assert target.question in card
            for figures in target.models:
                assert f"{figures.log_loss.value:.3f} (" in card
        drawn = sorted(folder.glob("*.svg"))
        assert {f"calibration-{t.target}.svg" for t in evaluation.targets} <= {
            path.name for path in drawn
        }
        for path in drawn:
            tags = {each.tag.split("}")[-1] for each in ElementTree.parse(path).iter()}
            assert "svg" in tags
            assert not tags & {"script", "foreignObject", "image"}


def test_the_same_numbers_give_the_same_picture(
    last_training: tuple[Home, Retrained], tmp_path: Path
) -> None:
    home, retrained = last_training
    state = np.random.get_state()[1].copy()
    draw(retrained, FEATURES, tmp_path)
    folder = report_folder(home, retrained.bundle.sha256)
    before = {path.name: path.read_bytes() for path in folder.glob("*.svg")}
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")} == before
    assert any(name.startswith("beeswarm") for name in before)
    assert (np.random.get_state()[1] == state).all()


def test_the_blank_database_is_what_this_mlflow_makes(tmp_path: Path) -> None:
    assert sql_file().exists(), "write it with `python -m training.blank_database`"
    assert make_blank(tmp_path / "mlflow.db")
    assert not make_blank(tmp_path / "mlflow.db")
    with registry._silence():
        from mlflow import MlflowClient

        own = tmp_path / "own.db"
        MlflowClient(f"sqlite:///{own}").search_experiments()
    # MLflow makes indexes and conditions in any order.
    blank, made = (
        sorted(line.strip().rstrip(",") for line in blank_sql(path).splitlines())
        for path in (tmp_path / "mlflow.db", own)
    )
    assert blank == made


def test_an_untracked_home_says_what_to_do(trained: TrainedHome) -> None:
    assert follow_store(trained[0]) == []
    with pytest.raises(NothingTracked, match="nothing is kept in MLflow yet; run `nextbest train`"):
        ui_command(trained[0], 5000)
    with pytest.raises(NothingTracked, match="nothing is kept in MLflow yet"):
        registry.follow(trained[0], None, None)


NO_NAMES = """
import socket, sys
from pathlib import Path

def refuse(host, *rest, **more):
    if host not in ("127.0.0.1", "localhost", None):
        print("asked for", host)
    raise OSError("no network in this test")

socket.getaddrinfo = refuse
from training.registry import tracking_client
client = tracking_client(Path(sys.argv[1]))
client.create_run(client.create_experiment("x"))
import mlflow
from mlflow.telemetry.client import get_telemetry_client
print("telemetry", get_telemetry_client())
"""


def test_nobody_is_told(tmp_path: Path) -> None:
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NO_NAMES, str(tmp_path / "mlflow.db")],
        capture_output=True,
        text=True,
        env=bare,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout == "telemetry None\n"
    assert done.stderr == ""


@pytest.fixture
def pages(tracked: Home) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = ui_command(tracked, port)
    process = subprocess.Popen(
        command,
        env=registry.ui_environment(os.environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


@pytest.mark.end_to_end
def test_the_pages_open_with_two_processes(pages: tuple[str, subprocess.Popen[bytes]]) -> None:
    address, process = pages
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
                assert answer.read() == b"OK"
                break
        except urllib.error.URLError:
            assert process.poll() is None, "it ended at once"
            time.sleep(0.2)
    members = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/stat")
        if _group(path) == process.pid
    ]
    assert len(members) == 2
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(
            urllib.request.Request(
                f"{address}/ajax-api/2.0/mlflow/experiments/search?max_results=1",
                headers={"Host": "evil.example"},
            ),
            timeout=20,
        )
    caught.value.close()
    assert caught.value.code == 403


def _group(path: Path) -> int:
    """Process group of a process; 0 if it is gone."""
    try:
        return int(path.read_text().rpartition(")")[2].split()[2])
    except OSError:
        return 0


# ---- A database that cannot be used ------------------------------------------------------


def damage(home: Home) -> None:
    database(home).write_bytes(b"no database at all, but letters" * 200)


def test_a_damaged_database_hinders_no_promotion_and_no_rollback(
    run: Callable[..., tuple[int, str, str]], tracked_copy: Home
) -> None:
    champion, challenger = both(tracked_copy)
    damage(tracked_copy)
    code, out, err = run("promote", "--force", "--home", str(tracked_copy.path))
    assert code == 0, err
    assert "MLflow did not follow: " in out.splitlines()[-1]
    assert "mlflow.db: MLflow cannot use it or the files beside it (" in out
    assert "file is not a database); what serves, the bundles and their cards do not hang" in out
    assert both(tracked_copy)[0] == challenger
    code, out, err = run("rollback", "--home", str(tracked_copy.path), "--json")
    assert code == 0, err
    assert "if it is damaged, move the file away" in json.loads(out)["mlflow"][0]
    assert both(tracked_copy)[0] == champion


def test_the_doctor_names_a_damaged_database_among_all_else(tracked_copy: Home) -> None:
    damage(tracked_copy)
    lines, _ = checked_home(tracked_copy, apply=False)
    (named,) = [line for line in lines if "mlflow.db" in line]
    assert "the next training begins a new one." in named
    assert lines[-1].startswith("Python ")


def test_a_training_that_mlflow_cannot_keep_is_whole_all_the_same(
    last_training: tuple[Home, Retrained], tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(last_training[0].path, home.path)
    damage(home)
    (said,) = publish(home, last_training[1], QUIET)
    assert said.startswith("This training is not written down in MLflow: ")
    assert (report_folder(home, last_training[1].bundle.sha256) / "card.html").exists()


def test_a_database_moved_away_is_begun_anew(
    last_training: tuple[Home, Retrained], tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(last_training[0].path, home.path)
    database(home).unlink()
    assert publish(home, last_training[1], QUIET) == []
    assert aliases(home) == {"challenger": last_training[1].bundle.sha256}


def test_a_database_that_another_program_holds_is_named(tracked_copy: Home) -> None:
    with closing(sqlite3.connect(database(tracked_copy), timeout=0)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with Store.open(tracked_copy.store) as store:
            store.set_champion(both(tracked_copy)[1])
        (said,) = left_behind(tracked_copy)
    assert "database is locked" in said
    assert "if another program has it open, end that and run `nextbest doctor`" in said


def test_a_card_that_cannot_be_written_leaves_the_bundle_where_it_is(
    last_training: tuple[Home, Retrained], tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(last_training[0].path, home.path)
    before, folder = both(home), report_folder(home, last_training[1].bundle.sha256)
    shutil.rmtree(folder)
    folder.write_text("a file where the folder of the card should be")
    (said,) = publish(home, last_training[1], QUIET)
    assert said.startswith(f"The card in {folder} is not whole, and MLflow knows nothing of")
    assert "look at the disk's free space and at the rights of the home" in said
    assert both(home) == before
