"""What README tells people to type does what README says."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import typer.main

import nextbest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Not run here: each of these is run by the test named beside it.
ELSEWHERE = {
    "make demo": "tests/test_demo.py",
    "make test": "this very run",
    "nextbest serve --port 3000": "tests/test_demo.py, by the demo",
    "curl -s http://127.0.0.1:3000/v1/decisions": "tests/test_demo.py, by the demo",
}


def commands() -> list[str]:
    """Every line of every shell block, continued lines joined, remarks cut off."""
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def is_elsewhere(command: str) -> bool:
    return any(command.startswith(known) for known in ELSEWHERE)


def in_order(found: list[str]) -> list[str]:
    """The tour's files first: the five lines stand above them and need them."""
    return sorted(found, key=lambda command: not command.startswith("cp "))


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit code of one line, in this process."""
    words = shlex.split(command)
    if words[0] == "cp":
        shutil.copy(ROOT / words[1], words[2])
        return 0
    assert words[0] == "nextbest", command
    monkeypatch.setattr(sys, "argv", words)
    try:
        nextbest.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_every_line_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEXTBEST_HOME", raising=False)
    said = {}
    for command in in_order(commands()):
        if is_elsewhere(command):
            continue
        code = run(command, monkeypatch)
        out, err = capsys.readouterr()
        assert code == 0, f"{command}\n{out}\n{err}"
        said[command] = out
    assert "Next best communication:" in said["nextbest explain K10037"]
    assert '"customer_id": "K10037"' in said["nextbest decide K10037 --json"]
    assert said["nextbest keys new crm"].startswith("nb_")
    assert (tmp_path / "decisions.csv").read_text().count("\n") == 141
    assert (tmp_path / "features.parquet").stat().st_size > 10_000
    assert not list(tmp_path.glob(".*.part"))


def test_every_exception_is_still_in_the_readme() -> None:
    for known in ELSEWHERE:
        assert any(command.startswith(known) for command in commands()), known


def test_every_verb_is_told_of_in_the_readme_or_the_help() -> None:
    verbs = typer.main.get_command(nextbest.app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"nextbest ([a-z]+(?:-[a-z]+)*)", README))
    assert named <= set(verbs)
    assert set(verbs) - named == {"demo"}  # `make demo` is how people meet it
