"""What is typed in a hurry starts at once: these verbs import nothing that takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from features.home import Home

ROOT = Path(__file__).parents[1]
# None in `sys.modules` makes an import fail. Together they take about four seconds of a processor.
WITHOUT = """
import sys
for name in ("sklearn", "pandas", "lightgbm", "mlflow", "shap", "optuna", "bentoml", "fastapi"):
    sys.modules[name] = None
import nextbest
nextbest.main()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


def test_a_heavy_import_would_be_seen() -> None:
    done = run("evaluate", "--home", "nowhere")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'sklearn" in done.stderr


@pytest.mark.parametrize(
    ("verb", "code", "words"),
    [
        (["rollback"], 2, "nothing to roll back to"),
        (["rollback", "--help"], 0, "Put the bundle that served before back into service"),
        (["pause"], 0, "nothing is paused"),
        (["catalog", "check"], 0, "60 communications"),
        (["doctor"], 0, "decisions on record"),
    ],
)
def test_a_verb_in_a_hurry_needs_nothing_heavy(
    trained_copy: tuple[Home, int], verb: list[str], code: int, words: str
) -> None:
    place = [] if "--help" in verb else ["--home", str(trained_copy[0].path)]
    done = run(*verb, *place)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert words in done.stdout + done.stderr
