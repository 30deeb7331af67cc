"""The notebooks run from top to bottom and come to what they say."""

import ast
import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import jupytext
    from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What somebody's shell has: the program on the path, no home chosen."""
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([programs, os.environ["PATH"]]))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("NEXTBEST_HOME", raising=False)


def executed(name: str) -> str:
    """Everything that a notebook printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notebook = jupytext.read(ROOT / "notebooks" / name)
        NotebookClient(notebook, timeout=200, kernel_name="python3").execute()
    return "".join(text for cell in notebook.cells for text in outputs(cell))


def outputs(cell: "NotebookNode") -> list[str]:
    return [
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.get("outputs", ())
    ]


@pytest.mark.end_to_end
@pytest.mark.usefixtures("shell")
def test_signals_become_features() -> None:
    said = executed("signals_to_features.py")
    assert "the same bits" in said
    assert "days_since_last_order" in said


@pytest.mark.end_to_end
@pytest.mark.usefixtures("shell")
def test_a_changed_parameter_is_promoted_in_four_commands() -> None:
    said = executed("train_explain_promote.py")
    first, second = re.findall(r"^([0-9a-f]{12}) -> ([0-9a-f]{12})$", said, re.MULTILINE)[0]
    assert first != second
    assert f"bundle {first} is in service\n" in said
    assert "Set: num_leaves=7." in said
    assert f"bundle {second} is the challenger; bundle {first} stays in service" in said
    assert f"bundle {second} is in service, forced although a gate said no;" in said
    assert f"`nextbest rollback` returns to {first}" in said
    assert "Next best communication:" in said
    assert re.search(r"nextbest-churn@champion: log loss 0\.\d+ \(0\.\d+ to 0\.\d+\)", said)
    assert "card.html" in said
    assert f"bundle {first} is in service again; {second} is not any more" in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_defines_nothing(path: Path) -> None:
    """What is worth a function belongs into a package, where it is tested."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    source = path.read_text(encoding="utf-8")
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]


def test_there_are_two_notebooks_and_both_are_run() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "signals_to_features.py",
        "train_explain_promote.py",
    ]
