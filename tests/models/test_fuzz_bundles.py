"""The short form of `make fuzz-bundles`: 20 cuts, 20 flipped bits, 20 crafted files."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from features.definitions import FEATURES
from models.bundle_files import load_bundle
from models.classifier import KINDS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    """The bench as a module; its folder is no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import fuzz_bundles

        yield fuzz_bundles
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def sound(fuzz: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    below = tmp_path_factory.mktemp("sound")
    first, second = (below / fuzz.write_bundle(one, below) for one in fuzz.sound_bundles())
    return first, second


def verdicts(
    fuzz: ModuleType, sound: tuple[Path, Path], per_kind: dict[str, int], below: Path
) -> list[Any]:
    known = {path: load_bundle(path, FEATURES) for path in sound}
    return [fuzz.verdict_on(case, known[case.sound]) for case in fuzz.cases(per_kind, sound, below)]


@pytest.mark.parametrize("kind", ["truncated", "flipped", "crafted"])
def test_no_damage_gets_through(
    fuzz: ModuleType, sound: tuple[Path, Path], kind: str, tmp_path: Path
) -> None:
    crafted = {each: 2 if place < 7 else 1 for place, each in enumerate(fuzz.CRAFTED)}
    per_kind = crafted if kind == "crafted" else {kind: 20}
    found = verdicts(fuzz, sound, per_kind, tmp_path)
    assert len(found) == 20
    assert [verdict for verdict in found if not verdict.moved <= fuzz.MOVED] == []
    assert sum(bool(verdict.refused) for verdict in found) >= 12
    assert all(verdict.seconds < 20 for verdict in found)


def test_a_sound_bundle_of_every_kind_of_model_is_accepted(
    fuzz: ModuleType, sound: tuple[Path, Path]
) -> None:
    served = set()
    for path in sound:
        bundle = load_bundle(path, FEATURES)
        assert fuzz.verdict_on(fuzz.Case("sound", path, path), bundle).refused == ""
        served |= {model.served_by for model in bundle.classifiers.values()}
    assert served == set(KINDS)


def test_the_fuzz_sees_a_change_that_gets_through(
    fuzz: ModuleType, sound: tuple[Path, Path]
) -> None:
    other = load_bundle(sound[0], FEATURES)
    verdict = fuzz.verdict_on(fuzz.Case("another", sound[1], sound[0]), other)
    assert verdict.refused == ""
    assert verdict.moved > fuzz.MOVED
