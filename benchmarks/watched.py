"""Run a command and watch what it takes: seconds of each step it tells, and memory."""

import os
import re
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

STEP: Final = re.compile(r"^(?P<what>.+): done in (?P<seconds>[0-9.]+) s$")
EVERY_SECONDS: Final = 0.1
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Failed(ValueError):
    """The watched command ended with an error."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took.

    Attributes
    ----------
    peak_bytes : int
        Largest resident memory of the command and all its children together; pages that two
        of them share count twice.
    steps : tuple of (what, seconds)
    """

    seconds: float
    peak_bytes: int
    steps: tuple[tuple[str, float], ...]


def watched(command: Sequence[str], folder: Path) -> Run:
    """Run a command in a folder to its end.

    Raises
    ------
    Failed
        If it ends with another code than 0.
    """
    started = perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(EVERY_SECONDS):
            peak[0] = max(peak[0], sum(resident(one) for one in family(process.pid)))

    watcher = threading.Thread(target=look)
    watcher.start()
    _, told = process.communicate()
    over.set()
    watcher.join()
    if process.returncode:
        last = told.strip().splitlines()[-1:] or ["it said nothing"]
        raise Failed(f"{command[0]} ended with {process.returncode}: {last[0]}; run it by itself")
    return Run(perf_counter() - started, peak[0], steps(told))


def steps(told: str) -> tuple[tuple[str, float], ...]:
    """The steps that a narrator told of, in order."""
    found = (STEP.match(line.strip()) for line in told.splitlines())
    return tuple((one["what"], float(one["seconds"])) for one in found if one)


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything; what follows it is plain.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 if it is gone."""
    try:
        return int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0
