"""Who serves when the champion cannot: the one in memory, the one before, and the repaired one."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from features.algebra import FeatureSet
from features.definitions import FEATURES
from features.home import Home
from models.bundle import Bundle
from models.bundle_files import load_bundle, write_bundle
from serving.champion import Champion
from serving.store import Store


def another(home: Home, sha: str) -> str:
    """A second bundle beside the first, sound, with another date."""
    bundle = load_bundle(home.bundles / sha, FEATURES)
    return write_bundle(replace(bundle, as_of=bundle.as_of + 1, sha256=""), home.bundles)


def damage(home: Home, sha: str) -> Path:
    """Cut the end off one of a bundle's files."""
    path = next(p for p in sorted((home.bundles / sha).iterdir()) if p.name != "manifest.json")
    path.write_bytes(path.read_bytes()[:-5])
    return path


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


def test_calls_are_answered_while_a_newcomer_is_tried(
    home: Home, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(home.store) as store:
        champion = Champion(home, store)
        second = another(home, first)
        begun, go_on = threading.Event(), threading.Event()

        def slowly(folder: Path, features: FeatureSet, trial: Callable[[Path], None]) -> Bundle:
            begun.set()
            assert go_on.wait(60)
            return load_bundle(folder, features, trial)

        monkeypatch.setattr("serving.champion.load_bundle", slowly)
        store.set_champion(second)
        assert champion.current().engine.versions.bundle == f"sha256:{first}"
        assert begun.wait(60)
        assert champion.current().engine.versions.bundle == f"sha256:{first}"
        go_on.set()
        assert champion.settled().engine.versions.bundle == f"sha256:{second}"


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
        assert champion.current().engine.bundle is not None
