"""`nextbest demo`, whole: data, models, service, a call that works as printed, and an end."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from features.home import About, Home
from training.server import serving_python

ROOT = Path(__file__).parents[1]
NEXTBEST = [sys.executable, str(ROOT / "nextbest.py")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(*arguments: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXTBEST_")}
    return subprocess.Popen(
        [*NEXTBEST, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def called_as_printed(curl: str) -> dict[str, object]:
    """What the printed line gets, made by hand so that no curl is needed."""
    words = shlex.split(curl)
    assert words[:2] == ["curl", "-s"]
    headers = dict(words[i + 1].split(": ") for i, word in enumerate(words) if word == "-H")
    body = words[words.index("-d") + 1].encode()
    request = urllib.request.Request(words[2], body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, object] = json.load(response)
    return found


def answer_after(lines: list[str]) -> dict[str, object]:
    """The JSON object that follows the curl line."""
    found: dict[str, object] = json.loads("\n".join(lines))
    return found


@pytest.mark.end_to_end
def test_the_demo_answers_and_ends_all_it_started(tmp_path: Path) -> None:
    serving_python()  # says what to do where the serving environment is missing
    port = free_port()
    arguments = ["--home", str(tmp_path / "home"), "--people", "200", "--port", str(port)]
    demo = started(*arguments)
    assert demo.stdout is not None
    assert demo.stderr is not None
    try:
        printed = []
        for line in demo.stdout:
            printed.append(line.rstrip("\n"))
            if line == "}\n":
                break
        else:
            pytest.fail(demo.stderr.read())
        curl = next(line for line in printed if line.startswith("curl "))
        shown = answer_after(printed[printed.index("{") :])
        assert called_as_printed(curl) == shown
        assert shown["fallback"] is False
        assert shown["data"] == {
            "name": "Kestrel Coffee Roasters",
            "simulated": True,
            "clock": "data_end",
        }
        taken = subprocess.run(
            [*NEXTBEST, "demo", "--port", str(port), "--home", str(tmp_path / "other")],
            capture_output=True,
            text=True,
        )
        assert taken.returncode == 2
        assert f"port {port} is taken by another program; choose another" in taken.stderr
        assert not (tmp_path / "other").exists()
    finally:
        demo.send_signal(signal.SIGINT)
        _, said = demo.communicate(timeout=60)
    assert demo.returncode == 0
    assert "Simulating two years of 200 people" in said
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert processes_of(tmp_path / "home") == []

    again = started(*arguments, "--once")
    out, said = again.communicate(timeout=120)
    assert again.returncode == 0
    assert "The signals are there already" in said
    assert "The models are there already" in said
    assert '"fallback": false' in out

    told_to_end = started(*arguments)
    assert told_to_end.stdout is not None
    for line in told_to_end.stdout:
        if line == "}\n":
            break
    assert processes_of(tmp_path / "home") != []
    told_to_end.send_signal(signal.SIGTERM)
    told_to_end.communicate(timeout=60)
    assert told_to_end.returncode == 128 + signal.SIGTERM
    assert processes_of(tmp_path / "home") == []


def processes_of(home: Path) -> list[str]:
    """Processes that still serve this home, seen by their environment."""
    needle = f"NEXTBEST_HOME={home}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if needle in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:  # ended meanwhile, or somebody else's
            continue
    return found


def test_an_unknown_data_set_is_named(tmp_path: Path) -> None:
    demo = started("--data", "journey", "--home", str(tmp_path / "home"))
    _, said = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert said == (
        "nextbest: no demo of 'journey'; there are company, complete-journey; "
        "choose one with DATA=\n"
    )


def test_somebody_elses_home_is_no_demo(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.write_about(About("My shop"))
    assert home.path.stat().st_mode & 0o077 == 0
    demo = started("--home", str(home.path), "--port", str(free_port()))
    _, said = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert said == (
        f"nextbest: {home.path} is the home of My shop, not of this demo; "
        "give --home a folder of its own\n"
    )
