"""The real server, started from the serving environment, asked over the network."""

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from features.home import Home
from serving.storage.store import Store

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-serve" / "bin" / "python"
NOT_FOR_SERVING = ("pandas", "sklearn", "mlflow", "shap")
START_SECONDS = 120  # on a busy machine; a few seconds on an idle one

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        not PYTHON.exists(), reason="no .venv-serve: `make install` makes the serving environment"
    ),
]


def environment(home: Path) -> dict[str, str]:
    # Compiled bytecode is wanted: without it each start of the server takes twice as long.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NEXTBEST_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return kept | {"NEXTBEST_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    port: int
    worker: int
    key: str

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body), headers)
        response = connection.getresponse()
        status, content = response.status, json.loads(response.read())
        connection.close()
        return status, content


@pytest.fixture
def server(home: Home) -> Iterator[Server]:
    with Store.open(home.store) as store:
        key = store.new_key("test")
    port = free_port()
    command = [PYTHON, "-m", "bentoml", "serve", "serving.service:Nextbest"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env=environment(home.path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:  # ends when the process does; pytest's timeout covers the rest
            if "Service nextbest initialized" in line:
                break
        else:
            pytest.fail(f"the server ended with status {process.wait()}")
        [worker] = children(process.pid)
        yield Server(port, worker, key)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    assert children(process.pid) == []


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def listening(port: int) -> set[str]:
    """Addresses, in the kernel's hexadecimal, on which somebody listens at this port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    found = (line.split() for line in lines)
    addresses = (words[1].split(":") for words in found if words[3] == "0A")
    return {address for address, hexadecimal in addresses if int(hexadecimal, 16) == port}


def test_the_server_decides_and_carries_no_training_library(server: Server, home: Home) -> None:
    status, content = server.ask("POST", "/v1/decisions", {"customer_id": "C-lapsing"})
    assert status == 200
    assert content["fallback"] is False
    assert content["communication"] != "no_contact"
    assert content["data"] == {"name": "A shop for tests", "simulated": True, "clock": "data_end"}
    assert server.ask("GET", "/v1/customers/C-lapsing/decision") == (200, content)
    assert server.ask("GET", "/readyz") == (200, {"status": "ready"})

    # BentoML's own pages are not there, and without a key nothing is.
    assert server.ask("GET", "/docs.json")[0] == 404
    stranger = Server(server.port, server.worker, "nb_wrong")
    for path in ("/docs.json", "/metrics", "/schema.json", "/healthz", "/"):
        assert stranger.ask("GET", path)[0] == 401

    assert listening(server.port) == {"0100007F"}  # 127.0.0.1
    loaded = Path(f"/proc/{server.worker}/maps").read_text()
    assert "numpy" in loaded
    assert not [name for name in NOT_FOR_SERVING if f"/{name}/" in loaded]
    with Store.open(home.store) as store:
        assert store.decision_count() == 1


IMPORTS_THEN_STARTS = """
import json, sys
import serving.service
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
sys.stdout.flush()
serving.service.require_home()
"""


def test_a_wrong_home_is_refused_in_one_line_before_anything_starts(tmp_path: Path) -> None:
    ended = subprocess.run(
        [PYTHON, "-c", IMPORTS_THEN_STARTS],
        cwd=ROOT,
        env=environment(tmp_path / "nowhere"),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        f"nextbest: {tmp_path}/nowhere: not a home (it has no home.toml); "
        "make one with `nextbest init`, or name another with --home"
    ]
    imported = json.loads(ended.stdout)
    assert "numba" in imported
    assert not set(NOT_FOR_SERVING) & set(imported)
