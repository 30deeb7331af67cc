"""Damage bundles, sign them again with valid checksums, and see what the loading code makes of it.

``make fuzz-bundles`` runs 500 truncations, 500 flipped bits and 50 crafted files of each of 13
kinds; the tests run 60. One JSON object a line on standard output. A process of its own loads
them one after the other, as a server does; it must never end and never take long. Every change
that it accepts must leave all predictions of the golden rows within 1e-6.
"""

import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Final

import lightgbm
import numpy as np
from damaged_bundles import CRAFTED, DAMAGES, MANIFEST, NEEDS_FOREST, SIGNED, Damage, Files
from numpy.typing import NDArray

from features.definitions import FEATURES
from models.btyd import ORDER_FACTS, BgNbd, ParetoNbd
from models.bundle import (
    Bundle,
    Golden,
    predictions,
    with_golden_answers,
    with_golden_rows,
)
from models.bundle_files import DamagedBundle, load_bundle, write_bundle
from models.bundle_trial import try_in_child
from models.classifier import (
    BaseRate,
    Calibration,
    Classifier,
    Forest,
    Logistic,
    RecencyRule,
)
from models.effects import STATE, TERMS, EffectModels
from models.margin import MarginModel
from models.margin_interval import Intervals
from models.margin_kinds import OBJECTIVE as MARGIN_OBJECTIVE
from models.margin_kinds import MarginForest, PurchaseMargin
from models.model import Model
from models.targets import CHURN, PROMOTER, REPURCHASE, load_targets

FloatArray = NDArray[np.float64]
MOVED: Final = 1e-6  # of a golden prediction
PATIENCE: Final = 60.0  # seconds that a case may take the loading process before it counts as hung


def sound_bundles() -> tuple[Bundle, Bundle]:
    """Two bundles that hold every kind of model there is, and effects."""
    rng = np.random.default_rng(1)
    rows = np.round(rng.gamma(1.0, 20.0, (400, len(FEATURES))), 3)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    width = len(FEATURES)
    regression = Logistic(
        mean=(2.0,) * width,
        scale=(1.5,) * width,
        coefficient=tuple(rng.normal(0, 0.2, width).tolist()),
        missing=tuple(rng.normal(0, 0.2, width).tolist()),
        center=(0.2,) * width,
        intercept=-1.0,
    )
    rule = RecencyRule((5.0, 10.0, 40.0), (-2.0, -1.0, 0.5, 0.9), unknown=1.0, base=-1.2)
    reference = (4.0, 200.0, 30.0)
    known = {"window_days": 28.0, "features": ORDER_FACTS, "reference": reference}
    bg = BgNbd(r=0.6, alpha=20.0, a=0.8, b=2.4, outcome="absence", **known)
    pareto = ParetoNbd(r=0.6, alpha=20.0, s=0.6, beta=80.0, outcome="presence", **known)
    first: tuple[Model, ...] = (_forest(rows, "binary", rng), regression, rule)
    second: tuple[Model, ...] = (bg, pareto, BaseRate(-0.4))
    by_forest = MarginForest(_forest(rows, MARGIN_OBJECTIVE, rng), log_factor=-0.1)
    by_purchases = PurchaseMargin(bg, worth=8.0, prior_orders=3.0, margin_rate=0.5)
    intervals = Intervals(0.9, (5.0, 20.0), (0.0, 0.0, 0.3), (4.0, 3.0, 2.0), 0.5)
    plain = MarginModel(0.5, 28, 56.0, 0.5, (7.0, 28.0), (1.0, 0.8, 0.1), 0.05, 12.0)
    sound = replace(_bundle(first, rows), effects=_effects(rng))
    return (
        with_golden_answers(
            replace(sound, margin=replace(plain, forest=by_forest, intervals=intervals))
        ),
        with_golden_answers(
            replace(_bundle(second, rows), margin=replace(plain, purchases=by_purchases))
        ),
    )


def _bundle(models: tuple[Model, ...], rows: FloatArray) -> Bundle:
    scores = (CHURN, REPURCHASE, PROMOTER)
    bundle = Bundle(
        as_of=1_700_000_000_000_000,
        feature_names=FEATURES.names,
        fingerprint=FEATURES.fingerprint,
        targets=load_targets(),
        classifiers={
            score: Classifier(model, FEATURES.names, Calibration(1.1, -0.1))
            for score, model in zip(scores, models, strict=True)
        },
        base_rates=dict.fromkeys(scores, 0.3),
        margin=MarginModel(0.5, 28, 56.0, 0.5, (7.0, 28.0), (1.0, 0.8, 0.1), 0.05, 12.0),
        metrics=(),
        notes=("Made to be damaged.",),
        golden=Golden((), {}),
    )
    return with_golden_rows(bundle, rows)


def _forest(rows: FloatArray, objective: str, rng: np.random.Generator) -> Forest:
    days = np.nan_to_num(rows[:, 0], nan=60.0) + rng.normal(0, 10, len(rows))
    name, *settings = objective.split(" ")
    parameters: dict[str, object] = {
        "objective": name,
        "num_leaves": 8,
        "min_data_in_leaf": 10,
        "num_threads": 1,
        "deterministic": True,
        "verbosity": -1,
    }
    parameters |= dict(setting.split(":") for setting in settings)
    answers = (days > 20.0) * 1 if objective == "binary" else np.maximum(days, 0.0)
    data = lightgbm.Dataset(rows, label=answers, feature_name=list(FEATURES.names))
    return Forest(lightgbm.train(parameters, data, num_boost_round=20).model_to_string())


def _effects(rng: np.random.Generator) -> EffectModels:
    names, width = ("gift", "reminder"), len(TERMS)
    half = rng.normal(0, 0.1, (len(names) * width, len(names) * width))
    return EffectModels(
        names=names,
        state=STATE,
        terms=TERMS,
        coefficients=rng.normal(0, 1, (len(names), width)),
        covariance=half @ half.T,
        evidence=np.array([400, 600]),
        means={"active": np.array([[0.5], [1.0]])},
        mean=np.array([[0.4], [0.9]]),
    )


# ---- One case ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A damaged bundle on disk.

    Attributes
    ----------
    kind : str
        How it was damaged.
    folder, sound : Path
        It, and what it was made from.
    """

    kind: str
    folder: Path
    sound: Path


def written(kind: str, damage: Damage, sound: Path, seed: int, below: Path) -> Case:
    """A case on disk: the files of `sound`, damaged, and signed so that every checksum holds."""
    rng = np.random.default_rng(seed)
    given = {path.name: path.read_bytes() for path in sorted(sound.iterdir())}
    files = dict(given)
    while files == given:  # a damage may find the very word that it writes
        damage(files, rng)
    if files.pop(SIGNED, None) is None:
        files[MANIFEST] = _signed(files)
    folder = below / hashlib.sha256(files[MANIFEST]).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return Case(kind, folder, sound)


def _signed(files: Files) -> bytes:
    """The manifest with new checksums; as it is, where it is what was damaged."""
    try:
        manifest = json.loads(files[MANIFEST])
        for name in manifest["files"]:
            if name in files:
                manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
    except (ValueError, TypeError, KeyError, RecursionError):
        return files[MANIFEST]
    return json.dumps(manifest).encode()


def cases(per_kind: Mapping[str, int], sound: tuple[Path, Path], below: Path) -> Iterator[Case]:
    """All cases, the same ones each time."""
    for kind, number in per_kind.items():
        first = 1000 * list(DAMAGES).index(kind)
        for seed in range(number):
            source = sound[0] if kind in NEEDS_FOREST else sound[seed % 2]
            yield written(kind, DAMAGES[kind], source, first + seed, below)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case.

    Attributes
    ----------
    refused : str
        In what words; empty if it was accepted.
    moved : float
        By how much the accepted bundle moves a golden prediction of the sound one.
    seconds : float
        Until the verdict.
    """

    refused: str
    moved: float
    seconds: float


def verdict_on(case: Case, sound: Bundle) -> Verdict:
    """Load a case as the server does, and use it if it is accepted."""
    start = perf_counter()
    try:
        bundle = load_bundle(case.folder, FEATURES, trial=try_in_child)
    except DamagedBundle as error:
        return Verdict(str(error), 0.0, perf_counter() - start)
    rows = np.array(sound.golden.rows, dtype=np.float64)
    bundle.expect(rows[0], FEATURES, None)
    now = predictions(bundle, rows)
    then = sound.golden.predictions
    if set(now) != set(then):
        return Verdict("", math.inf, perf_counter() - start)
    gaps = [np.max(np.abs(np.array(now[name]) - np.array(then[name]))) for name in then]
    return Verdict("", float(max(gaps)), perf_counter() - start)


# ---- The long form -------------------------------------------------------------------------


class Loader:
    """The process that loads, and is started again where it ended."""

    def __init__(self) -> None:
        self.deaths = 0
        self._process = self._started()

    def verdict_on(self, case: Case) -> Verdict | None:
        """None: the process ended, or hung and was ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{case.folder} {case.sound}\n")
        self._process.stdin.flush()
        line = _line_of(self._process, PATIENCE)
        if line:
            return Verdict(**json.loads(line))
        self._process.kill()
        self._process.wait()
        self.deaths += 1
        self._process = self._started()
        return None

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)

    @staticmethod
    def _started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__, "--load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )


def _line_of(process: subprocess.Popen[str], seconds: float) -> str:
    """The next line of its output; empty if it ends or says nothing in time."""
    assert process.stdout is not None
    alarm = threading.Timer(seconds, process.kill)
    alarm.start()
    try:
        return process.stdout.readline()
    finally:
        alarm.cancel()


def load_named() -> None:
    """Load the bundles that standard input names, one verdict a line."""
    known: dict[str, Bundle] = {}
    verdicts = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # LightGBM warns on standard output
    for line in sys.stdin:
        folder, source = line.split()
        if source not in known:
            known[source] = load_bundle(Path(source), FEATURES)
        found = verdict_on(Case("", Path(folder), Path(source)), known[source])
        said = {"refused": found.refused, "moved": found.moved, "seconds": found.seconds}
        verdicts.write(json.dumps(said) + "\n")
        verdicts.flush()


def tell(content: Mapping[str, object]) -> None:
    """One JSON object a line."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


LONG: Final = {"truncated": 500, "flipped": 500} | dict.fromkeys(CRAFTED, 50)


def fuzz(per_kind: Mapping[str, int]) -> bool:
    """Run all cases and print a line for each kind; whether nothing went wrong."""
    well = True
    with tempfile.TemporaryDirectory(prefix="nextbest-fuzz-") as name:
        below = Path(name)
        sound = tuple(below / write_bundle(bundle, below) for bundle in sound_bundles())
        loader = Loader()
        totals: Counter[str] = Counter()
        for kind, number in per_kind.items():
            found = _run_kind(kind, number, (sound[0], sound[1]), below / "cases", loader)
            totals.update({key: value for key, value in found.items() if key != "longest_s"})
            tell({"bench": "fuzz-bundles", "kind": kind, **found})
        loader.close()
        well = not (totals["server_ended"] or totals["moved_and_accepted"])
        tell({"bench": "fuzz-bundles", "kind": "all", **totals, "holds": well})
    return well


def _run_kind(
    kind: str, number: int, sound: tuple[Path, Path], below: Path, loader: Loader
) -> dict[str, float]:
    found: Counter[str] = Counter(cases=number)
    for key in ("refused", "accepted", "child_ended", "server_ended", "moved_and_accepted"):
        found[key] = 0
    longest = 0.0
    for case in cases({kind: number}, sound, below):
        verdict = loader.verdict_on(case)
        if verdict is None:
            found["server_ended"] += 1
            sys.stderr.write(f"the loading process ended over {case.folder}\n")
            continue
        longest = max(longest, verdict.seconds)
        found["refused" if verdict.refused else "accepted"] += 1
        found["child_ended"] += "in another process" in verdict.refused
        found["moved_and_accepted"] += not verdict.moved <= MOVED
    return {**found, "longest_s": round(longest, 2)}


if __name__ == "__main__":
    if sys.argv[1:] == ["--load"]:
        load_named()
    else:
        sys.exit(0 if fuzz(LONG) else 1)
