"""What a trial in another process says of bundles, and of LightGBM left alone with hostile text."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from features.definitions import FEATURES
from models.bundle import Bundle
from models.bundle_files import DamagedBundle, load_bundle, write_bundle
from models.bundle_trial import REFUSED, try_in_child, verdict_of

# LightGBM reads the text of a file and predicts one row, as a server without any check would.
UNGUARDED = """
import sys
sys.modules["pandas"] = sys.modules["sklearn"] = None
from models.bundle_trial import limit_resources
limit_resources()
import lightgbm, numpy
lightgbm.Booster(model_file=sys.argv[1]).predict(numpy.full((1, 1), 0.5))
sys.stdout.write("sound")
"""


def forest(feature: str = "0 0 0", left: str = "1 -1 -2") -> str:
    """A forest of one tree over one feature, as LightGBM writes it."""
    tree = (
        f"Tree=0\nnum_leaves=4\nnum_cat=0\nsplit_feature={feature}\nsplit_gain=1 1 1\n"
        f"threshold=1 2 3\ndecision_type=2 2 2\nleft_child={left}\nright_child=2 -3 -4\n"
        "leaf_value=0.1 0.2 0.3 0.4\nleaf_weight=1 1 1 1\nleaf_count=1 1 1 1\n"
        "internal_value=0 0 0\ninternal_weight=1 1 1\ninternal_count=4 2 2\nis_linear=0\n"
        "shrinkage=1\n\n\n"
    )
    return (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
        "max_feature_idx=0\nobjective=binary sigmoid:1\nfeature_names=x\nfeature_infos=[0:9]\n"
        f"tree_sizes={len(tree)}\n\n{tree}end of trees\n\nfeature_importances:\nx=3\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (forest(), ""),
        (forest(feature="200000000 0 0"), "was ended by SIGSEGV"),
        (forest(left="1 1 -2"), "took longer than 3 s"),  # node 1 is its own child
        (forest()[:-200], "was ended by SIG"),
    ],
    ids=["sound", "reads far outside", "goes in circles", "cut"],
)
def test_lightgbm_alone_is_ended_by_hostile_forests(
    tmp_path: Path, text: str, verdict: str
) -> None:
    path = tmp_path / "forest.lgb"
    path.write_text(text, encoding="ascii")
    seconds = 3.0 if "took" in verdict else 60.0
    found = verdict_of((sys.executable, "-c", UNGUARDED, str(path)), seconds)
    assert found.startswith(verdict)
    assert bool(found) == bool(verdict)


def test_every_way_to_end_has_its_words() -> None:
    def ended_by(program: str, seconds: float = 20.0) -> str:
        return verdict_of((sys.executable, "-S", "-c", program), seconds)

    assert ended_by("print('sound', end='')") == ""
    assert ended_by("print('sounds fine')") == "failed with exit code 0"
    assert ended_by("raise SystemExit(1)") == "failed with exit code 1"
    refusal = f"import sys; print('no', end=''); sys.exit({REFUSED})"
    assert ended_by(refusal) == "refused it: no"
    assert ended_by("input()") == "failed with exit code 1"  # nobody answers a trial
    assert ended_by("import time; time.sleep(60)", 0.5) == "took longer than 0.5 s"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits of this kind")
def test_a_trial_has_little_time() -> None:
    program = (
        "from models.bundle_trial import limit_resources\nlimit_resources(1)\nwhile True: pass"
    )
    assert verdict_of((sys.executable, "-c", program)) == "was ended by SIGXCPU"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_a_trial_has_little_memory() -> None:
    program = (
        "from models.bundle_trial import limit_resources\n"
        "limit_resources()\n"
        "print('sound' if bytearray(2**31) else '')"
    )
    assert verdict_of((sys.executable, "-c", program)) == "failed with exit code 1"


def test_a_sound_bundle_passes(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / write_bundle(bundle, tmp_path)
    assert verdict_of((sys.executable, "-m", "models.bundle_trial", str(folder))) == ""


def test_what_the_trial_refuses_is_refused_in_its_words(
    bundle: Bundle, tmp_path: Path, signed_again: Callable[..., Path]
) -> None:
    folder = tmp_path / write_bundle(bundle, tmp_path)
    try_in_child(folder)  # it refuses only what is spoilt below
    path = folder / "golden.json"
    golden = json.loads(path.read_text(encoding="utf-8"))
    for rows, words in (
        ([[1.0, 2.0]], "trial in another process refused it: LightGBM cannot use it: The number"),
        ([[1.0], [1.0, 2.0]], "refused it: LightGBM cannot use it: setting an array element"),
        ("rows", "refused it: LightGBM cannot use it: could not convert string"),
    ):
        path.write_text(json.dumps(golden | {"rows": rows}), encoding="utf-8")
        folder = signed_again(folder)
        path = folder / "golden.json"
        with pytest.raises(DamagedBundle, match=words):
            try_in_child(folder)
    (folder / "margin.json").unlink()
    with pytest.raises(DamagedBundle, match=r"refused it: bundle .*'margin\.json' is missing"):
        try_in_child(folder)


def test_a_crash_of_the_trial_is_a_refusal(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / write_bundle(bundle, tmp_path)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DamagedBundle, match="its trial in another process failed with exit code"):
        try_in_child(folder)


def test_only_a_bundle_with_a_forest_needs_a_trial(bundle: Bundle, tmp_path: Path) -> None:
    tried: list[Path] = []
    with_forest = tmp_path / write_bundle(bundle, tmp_path)
    load_bundle(with_forest, FEATURES, trial=tried.append)
    rules = {
        name: model for name, model in bundle.classifiers.items() if model.served_by == "recency"
    }
    without = replace(bundle, classifiers=rules)
    load_bundle(tmp_path / write_bundle(without, tmp_path), FEATURES, trial=tried.append)
    assert tried == [with_forest]


def test_the_trial_does_not_import_what_takes_seconds(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / write_bundle(bundle, tmp_path)
    command = [sys.executable, "-X", "importtime", "-m", "models.bundle_trial", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    imported = {line.split("|")[-1].strip() for line in ended.stderr.splitlines()}
    assert ended.stdout == "sound"
    assert "lightgbm" in imported
    assert not imported & {"pandas.core", "sklearn.base"}  # their names alone are asked for
