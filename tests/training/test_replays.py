"""Short form of the bench of replays, on the small company."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def replays(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("decisions.replays")


def test_the_engine_draws_as_it_logs_and_leaves_the_holdout_alone(trained, replays) -> None:
    home, end = trained
    rng = np.random.default_rng(1)
    engine, ready = replays.prepared(home, end, rng)
    chances, weights = replays.drawn_as_logged(engine, ready, 5, 100, rng)
    for line in (chances, weights):
        assert json.loads(line.text())["holds"] is True, line.text()
    assert replays.to_holdout(engine, ready, 100, rng).value == 0


def test_a_draw_that_is_not_as_logged_is_seen(replays) -> None:
    """The sum is large where frequencies are not those of the log, and has its freedom."""
    logged = {"a": 0.5, "b": 0.3, "c": 0.2}
    as_logged, freedom = replays._cells({"a": 500, "b": 300, "c": 200}, logged, 1000)
    assert (as_logged, freedom) == (0.0, 2)
    other, _ = replays._cells({"a": 400, "b": 400, "c": 200}, logged, 1000)
    assert other == pytest.approx(100**2 / 500 + 100**2 / 300)


def test_rare_cells_are_put_together(replays) -> None:
    logged = {"a": 0.994, "b": 0.003, "c": 0.003}
    # 3 + 3 expected draws make one cell of 6.
    statistic, freedom = replays._cells({"a": 990, "b": 5, "c": 5}, logged, 1000)
    assert freedom == 1
    assert statistic == pytest.approx(4**2 / 6 + 4**2 / 994)
