"""Start the service in its own environment, and stop all of it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from features.home import Home

ROOT: Final = Path(__file__).resolve().parents[1]
HOST: Final = "127.0.0.1"
# A first start compiles the kernel, which takes 15 s on two busy cores.
READY_SECONDS: Final = 90.0
STOP_SECONDS: Final = 10.0
# Told to end, or left by its terminal: the service must not outlive us. SIGINT is Python's own.
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class PortTaken(ValueError):
    """Another program listens on the port."""


class NotServing(LookupError):
    """The service cannot be started, or ended before it was ready."""


def serving_python() -> Path:
    """Python of the serving environment, which lies beside the training one.

    Raises
    ------
    NotServing
        If there is none.
    """
    python = Path(sys.prefix).parent / ".venv-serve" / "bin" / "python"
    if not python.exists():
        raise NotServing(f"{python}: the serving environment is missing; run `make install`")
    return python


def serving_command(port: int) -> list[str]:
    """The command that serves on `port` of this machine only."""
    module = ["-m", "bentoml", "serve", "serving.service:Nextbest"]
    return [str(serving_python()), *module, "--host", HOST, "--port", str(port)]


def serving_environment(environment: Mapping[str, str], home: Home) -> dict[str, str]:
    """Environment of the service: its home, our packages, and nobody told about it."""
    return dict(environment) | {
        "NEXTBEST_HOME": str(home.path.resolve()),
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "true",
    }


def require_free(port: int) -> None:
    """Refuse a port that is taken, before any work is done.

    Raises
    ------
    PortTaken
        If something listens there, or the number is no port.
    """
    if not 1 <= port <= 65_535:
        raise PortTaken(f"port {port}: must be 1 to 65535; choose one with PORT= or --port")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} is taken by another program; "
                f"choose another: make demo PORT={port + 1}, or --port {port + 1}"
            ) from error


@contextmanager
def running(home: Home, port: int, log: Path) -> Iterator[str]:
    """The service while the block runs; its address. All it started ends with it.

    Raises
    ------
    NotServing
        If it is not ready in time; the message names its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    before = {each: signal.signal(each, _leave) for each in ENDING}
    with log.open("wb") as output:
        process = subprocess.Popen(
            serving_command(port),
            env=serving_environment(os.environ, home),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a group of its own, so that all of it can be stopped
        )
    address = f"http://{HOST}:{port}"
    try:
        _wait_until_ready(process, address, log)
        yield address
    finally:
        # A second Ctrl-C must not leave half of the group running.
        before |= {signal.SIGINT: signal.getsignal(signal.SIGINT)}
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        _stop(process)
        for each, handler in before.items():
            signal.signal(each, handler)


def _leave(number: int, _: object) -> None:
    """End as a command that was told to end, on the way out of all blocks."""
    sys.exit(128 + number)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotServing(f"the service ended at once; its log says why: {log}")
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise NotServing(f"the service was not ready in {READY_SECONDS:.0f} s; its log: {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: politely, then for good."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        if not _group_lives(process.pid):
            break
    process.wait()


def _group_lives(group: int) -> bool:
    """Whether any process of the group is left after a moment to end."""
    for _ in range(20):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.1)
    return True
