"""The bench's own parts; its figures are for `make bench-models`."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file of the folder, which is no package, as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded("bench_models", monkeypatch)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded("lines", monkeypatch)


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return loaded("watched", monkeypatch)


@pytest.mark.parametrize(
    ("value", "bar", "higher", "holds"),
    [(0.86, 0.852, True, True), (0.85, 0.852, True, False), (0.3, 0.284, False, False),
     (0.28, 0.284, False, True), (0.5, None, True, None), (None, 0.87, True, None)],
)  # fmt: skip
def test_a_line_says_whether_its_bar_holds(
    lines: ModuleType, value: float | None, bar: float | None, higher: bool, holds: bool | None
) -> None:
    line = json.loads(lines.Line("b", "n", "AUC", value, bar, higher).text())
    assert line["holds"] is holds
    assert {"bench", "name", "figure", "value", "bar", "holds", "peer", "peer_value"} <= set(line)


def test_a_missing_file_is_skipped_in_words(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench.airline, "SURVEY", tmp_path / "survey.csv")
    (line,) = bench.airline.airline()
    assert line.note == "skipped: survey.csv is not there; it may not be shipped"
    assert json.loads(line.text())["value"] is None


def test_an_unknown_bench_is_named(bench: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no bench 'x'; there are complete-journey, demo, airline"):
        bench.print_lines(bench.BENCHES, ["x"])


def test_steps_are_read_from_what_a_narrator_tells(watching: ModuleType) -> None:
    told = "Reading ...\nReading: done in 1.5 s\n  a word\nFitting 3 models: done in 12.0 s\n"
    assert watching.steps(told) == (("Reading", 1.5), ("Fitting 3 models", 12.0))


def test_memory_of_children_is_counted(watching: ModuleType, tmp_path: Path) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("memory is read from /proc, which this system lacks")
    hold = "import time; x = bytearray(b'1') * 80_000_000; time.sleep(1)"
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    run = watching.watched([sys.executable, "-c", command], tmp_path)
    assert 80_000_000 < run.peak_bytes < 300_000_000
    assert run.seconds >= 1


def test_a_command_that_fails_is_named_with_its_last_words(
    watching: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(watching.Failed, match="ended with 3: no such thing; run it by itself"):
        watching.watched(
            [sys.executable, "-c", "import sys; sys.stderr.write('no such thing'); sys.exit(3)"],
            tmp_path,
        )


def test_a_process_that_is_gone_holds_nothing(watching: ModuleType) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert watching.resident(gone.pid) == 0
    assert os.getpid() in watching.family(os.getpid())
