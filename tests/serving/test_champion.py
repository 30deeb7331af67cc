"""Who serves when the champion cannot: the one in memory, the one before, and the repaired one."""

import hashlib
import json
import os
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from features.definitions import FEATURES
from features.home import Home
from models.bundle import Bundle
from models.bundle_files import load_bundle, write_bundle
from models.classifier import Classifier, Forest
from serving.champion import READ_AGAIN_SECONDS, Champion, Disk
from serving.edits import Edits
from serving.failures import Failures
from serving.storage.store import Store
from training.homes import make_home


def another(home: Home, sha: str) -> str:
    """A second bundle beside the first, sound, with another date."""
    bundle = load_bundle(home.bundles / sha, FEATURES)
    return write_bundle(replace(bundle, as_of=bundle.as_of + 1, sha256=""), home.bundles)


def damage(home: Home, sha: str) -> Path:
    """Cut the end off one of a bundle's files."""
    path = some_file(home, sha)
    path.write_bytes(path.read_bytes()[:-5])
    return path


def some_file(home: Home, sha: str) -> Path:
    """The first of a bundle's files that is not its manifest."""
    return next(p for p in sorted((home.bundles / sha).iterdir()) if p.name != "manifest.json")


@pytest.fixture
def first(home: Home) -> str:
    with Store.open(home.store) as store:
        found = store.champion()
    assert found is not None
    return found


def test_a_damaged_newcomer_does_not_drive_out_a_sound_champion(home: Home, first: str) -> None:
    with Store.open(home.store) as store:
        champion = Champion(home, store)
        second = another(home, first)
        damage(home, second)
        store.set_champion(second)
        serving = champion.settled()
        assert serving.engine.bundle is not None
        assert serving.engine.bundle.sha256 == first
        assert serving.note == answers_for(first, second)


def test_at_the_start_the_champion_before_serves_for_a_damaged_one(home: Home, first: str) -> None:
    with Store.open(home.store) as store:
        second = another(home, first)
        store.set_champion(second)
        damage(home, second)
        serving = Champion(home, store).current()
        assert serving.engine.bundle is not None
        assert serving.engine.bundle.sha256 == first
        assert serving.note == answers_for(first, second)


def answers_for(serving: str, champion: str) -> str:
    return (
        f"bundle {champion[:12]} should serve but is damaged or missing; {serving[:12]}, which "
        "served before, answers"
    )


def with_forest(home: Home, sha: str) -> str:
    """A second bundle, sound, whose churn risk comes from a forest."""
    bundle = load_bundle(home.bundles / sha, FEATURES)
    rows = np.random.default_rng(1).gamma(1.0, 20.0, (200, len(FEATURES)))
    data = lightgbm.Dataset(rows, label=(rows[:, 0] > 20.0) * 1, feature_name=list(FEATURES.names))
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1}
    text = lightgbm.train(settings, data, num_boost_round=3).model_to_string()
    models = dict(bundle.classifiers) | {"churn_risk": Classifier(Forest(text), FEATURES.names)}
    return write_bundle(replace(bundle, classifiers=models, sha256=""), home.bundles)


def test_calls_are_answered_while_a_newcomer_is_tried(home: Home, first: str) -> None:
    with Store.open(home.store) as store:
        champion = Champion(home, store)
        second = with_forest(home, first)
        store.set_champion(second)
        # The trial starts another process, so it cannot be over by the next line.
        assert champion.current().engine.versions.bundle == f"sha256:{first}"
        assert champion.settled().engine.versions.bundle == f"sha256:{second}"
        assert champion.current().engine.versions.bundle == f"sha256:{second}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"left_child=\S+", "left_child=0"),  # round in circles
        (r"split_feature=\S+", "split_feature=200000000"),  # far outside of the row
        (r"tree_sizes=\S+", "tree_sizes=99999999"),  # beyond the end of the text
    ],
)
def test_a_forest_that_would_end_the_process_does_not_come_near_it(
    home: Home, first: str, old: str, new: str
) -> None:
    with Store.open(home.store) as store:
        champion = Champion(home, store)
        forged = forged_forest(home.bundles / with_forest(home, first), old, new)
        store.set_champion(forged.name)
        serving = champion.settled()
        assert serving.engine.versions.bundle == f"sha256:{first}"
        assert serving.note == answers_for(first, forged.name)


def forged_forest(folder: Path, old: str, new: str) -> Path:
    """The bundle with its forest edited and every checksum made to fit."""
    path = folder / "churn_risk.lgb"
    text = path.read_text(encoding="ascii")
    edited = re.sub(old, new, text, count=1)
    assert edited != text
    path.write_text(edited, encoding="ascii")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    raw = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(raw)
    return folder.rename(folder.with_name(hashlib.sha256(raw).hexdigest()))


def test_a_repaired_champion_is_served_without_a_restart(home: Home, first: str) -> None:
    with Store.open(home.store) as store:
        sound = load_bundle(home.bundles / first, FEATURES)
        damage(home, first)
        champion = Champion(home, store)
        assert champion.current().engine.bundle is None
        assert "damaged or missing" in champion.current().note
        assert write_bundle(replace(sound, sha256=""), home.bundles) == first
        serving = champion.settled()
        assert serving.engine.bundle is not None
        assert serving.note == ""


def test_a_missing_bundle_that_comes_back_is_served(home: Home, first: str, tmp_path: Path) -> None:
    with Store.open(home.store) as store:
        shutil.move(home.bundles / first, tmp_path / "away")
        champion = Champion(home, store)
        assert champion.current().engine.bundle is None
        shutil.move(tmp_path / "away", home.bundles / first)
        assert champion.settled().engine.bundle is not None


def test_a_call_never_waits_for_a_bundle(
    home: Home, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where there is nothing else to answer with, and the repair comes in parts."""
    go_on, calls = threading.Event(), []

    def slow(folder: Path, *others: object, **more: object) -> Bundle:
        calls.append(folder)
        assert go_on.wait(20)
        return load_bundle(folder, FEATURES)

    with Store.open(home.store) as store:
        path = some_file(home, first)
        whole = path.read_bytes()
        damage(home, first)
        champion = Champion(home, store)
        assert champion.current().engine.bundle is None
        monkeypatch.setattr("serving.champion.load_bundle", slow)
        for part in (whole[:-1], whole):
            path.write_bytes(part)
            for _ in range(3):
                assert "damaged or missing" in champion.current().note  # at once
        go_on.set()
        assert champion.settled().note == ""
        assert len(calls) == 1  # once, however many asked


def test_damage_on_the_disk_is_told_while_the_copy_in_memory_serves(home: Home, first: str) -> None:
    with Store.open(home.store) as store:
        champion = Champion(home, store)
        assert champion.damage() == ""
        path = damage(home, first)
        assert f"file '{path.name}' was changed after training" in champion.damage()
        assert champion.current().engine.versions.bundle == f"sha256:{first}"
        path.unlink()
        assert f"file '{path.name}' is missing" in champion.damage()


def test_rot_that_leaves_no_date_is_seen_within_a_minute(home: Home, first: str) -> None:
    seconds, path = Seconds(), some_file(home, first)
    disk, state = Disk(home, seconds), path.stat()
    assert disk.damage(first) == ""
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    seconds.now = READ_AGAIN_SECONDS - 1
    assert disk.damage(first) == ""
    seconds.now = READ_AGAIN_SECONDS
    assert "was changed after training" in disk.damage(first)


def test_a_mistake_of_ours_while_loading_is_counted_and_the_old_goes_on(
    home: Home, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = Failures()
    with Store.open(home.store) as store:
        champion = Champion(home, store, failures=failures)
        store.set_champion(another(home, first))
        monkeypatch.setattr("serving.champion.load_bundle", lambda *_, **__: 1 / 0)
        assert champion.settled().engine.versions.bundle == f"sha256:{first}"
    [failure] = failures.counts()
    assert failure.what == "what is new could not be read; the old goes on"
    assert failure.error == "ZeroDivisionError"


# ---- Edits -------------------------------------------------------------------------------


class Seconds:
    """A clock that goes on by one second whenever it is asked to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_edit_serves_once_it_is_whole(home: Home) -> None:
    make_home(home, home.about())
    seconds = Seconds()
    with Store.open(home.store) as store:
        champion = Champion(home, store, Edits(home, seconds))
        before = champion.current().engine
        edit(home.policy, "epsilon = 0.10", "epsilon = 0.20")
        assert champion.current().engine is before  # nobody looks again within a second
        seconds.now += 1
        assert champion.current().engine is before  # it may still be being written
        seconds.now += 1
        after = champion.settled().engine
        assert (before.policy.epsilon, after.policy.epsilon) == (0.1, 0.2)
        assert after.bundle is before.bundle
        assert after.versions.policy != before.versions.policy
        seconds.now += 5
        assert champion.current().engine is after


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epsilon = 0.10", "epsilon = 7", "policy.toml: epsilon 7; must be between 0 and 1"),
        ("epsilon = 0.10", "epsilon =", "policy.toml: not TOML"),
        ('"EUR"', '"USD"', "currency 'USD'; this home has amounts in 'EUR'"),
    ],
)
def test_an_edit_with_a_mistake_does_not_serve_and_is_named(
    home: Home, old: str, new: str, words: str
) -> None:
    make_home(home, home.about())
    seconds = Seconds()
    with Store.open(home.store) as store:
        champion = Champion(home, store, Edits(home, seconds))
        before = champion.current().engine
        edit(home.policy, old, new)
        for _ in range(3):
            seconds.now += 1
            serving = champion.settled()
        assert words in serving.mistake
        assert serving.engine.policy == before.policy
        edit(home.policy, new, old.replace("0.10", "0.30"))
        for _ in range(3):
            seconds.now += 1
            serving = champion.settled()
        assert serving.mistake == ""
        assert serving.engine.policy.epsilon == (0.1 if "EUR" in old else 0.3)
