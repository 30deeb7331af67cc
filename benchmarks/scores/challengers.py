"""Challengers that must be promoted, and challengers that must not; and who is found out."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import bad_challengers as bad
import numpy as np
from lines import Line

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from models.targets import load_targets
from training.bundle_gates import MOST_MEMBERSHIP
from training.demo import SEED
from training.fit import TrainSettings, train
from training.simulator.company import CompanySize, simulate_company, write_company

NAME, MEMBERSHIP = "challengers", "membership"
PEOPLE: Final = 600
SEEDS: Final = 50


def challengers(seeds: int = SEEDS, people: int = PEOPLE) -> Iterator[Line]:
    """Good challengers over seeds, then every kind of a bad one."""
    with tempfile.TemporaryDirectory() as folder:
        yield _good(seeds, people, Path(folder))
        yield _bad(people, Path(folder))


def _good(seeds: int, people: int, folder: Path) -> Line:
    promoted, stopped = 0, dict[str, int]()
    for seed in range(1, seeds + 1):
        log = bad.shop(people, seed)
        history = bad.history_of(log)
        champion, good = bad.weak_champion(history), bad.trained(history)
        found = bad.judged(champion, good, log, folder)
        promoted += found.passed
        for gate in found.gates:
            if not gate.passed:
                stopped[gate.name] = stopped.get(gate.name, 0) + 1
    said = ", ".join(f"{name} ({times})" for name, times in sorted(stopped.items())) or "none"
    return Line(
        NAME, f"clearly better by construction, {seeds} shops of {people} people",
        "share promoted", promoted / seeds, 0.7,
        note="the champion learned from every tenth customer, the challenger from all; gates that "
        f"said no: {said}",
    )  # fmt: skip


def _bad(people: int, folder: Path) -> Line:
    log = bad.shop(people, 1)
    history = bad.history_of(log)
    champion, good = bad.weak_champion(history), bad.trained(history)
    let_through, otherwise = list[str](), list[str]()
    for name, kind in bad.KINDS.items():
        found = bad.judged(champion, kind.make(log, good), log, folder)
        refused = {gate.name for gate in found.gates if not gate.passed}
        if found.passed:
            let_through.append(name)
        elif not set(kind.refused_by) <= refused:
            otherwise.append(name)
    said = ", ".join(let_through) or "none"
    if otherwise:
        said += f"; refused, but by other gates than named: {', '.join(otherwise)}"
    return Line(
        NAME, f"bad challengers of {len(bad.KINDS)} kinds", "promoted", float(len(let_through)),
        0.0, False, note=f"promoted: {said}",
    )  # fmt: skip


def membership() -> Iterator[Line]:
    """AUC of the loss-threshold attack on the demo company's forests, a target a line."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        company = simulate_company(np.random.default_rng(SEED), CompanySize())
        paths = write_company(company, home.path / "files", home.truth)
        del company
        ingest(paths, None, home, IntakeRules("EUR"))
        log, as_of = History(home.signals).load(), History(home.signals).data_end()
        settings = TrainSettings(load_targets(), 0.3, 28)
        result = train(log, FEATURES, settings, as_of)
    for each in result.metrics:
        if each.membership is not None:
            serves = "serves" if each.serves else "does not serve"
            yield Line(
                MEMBERSHIP, each.target, "AUC of the loss-threshold attack", each.membership,
                MOST_MEMBERSHIP, False, peer="LightGBM's defaults on 2,000 rows", peer_value=0.711,
                note=f"forests on half of the customers against the other half; LightGBM {serves}",
            )  # fmt: skip
