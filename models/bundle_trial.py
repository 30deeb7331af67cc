"""A bundle with a forest is loaded in a process of its own before a server loads it.

LightGBM's parser is native code that trusts its input. `models.forest_text` refuses all that we
know to be wrong; what we do not know ends, here, a process that nobody waits for.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from models.bundle_files import read_bundle
from models.bundle_folder import AGAIN, DamagedBundle

SECONDS: Final = 10  # of the processor; the demo company's bundle takes less than one
# Until an answer, however busy the machine is: nobody waits for it who has another bundle.
PATIENCE: Final = 60.0
LARGEST_MEMORY: Final = 2 * 2**30  # bytes of address space; the demo company's takes 0.15 GB
REFUSED: Final = 3  # exit code; Python's own are 0, 1 and 2
_SOUND: Final = b"sound"
_ROOT: Final = Path(__file__).parents[1]
# lightgbm imports both wherever they are installed, which takes seconds, and uses neither here.
_NOT_NEEDED: Final = ("pandas", "sklearn")


def try_in_child(folder: Path) -> None:
    """Load a bundle in a throw-away process, golden rows and all.

    Raises
    ------
    DamagedBundle
        If that process refuses it, crashes, or does not end in time.
    """
    verdict = verdict_of((sys.executable, "-m", "models.bundle_trial", str(folder.resolve())))
    if verdict.startswith("bundle "):
        raise DamagedBundle(verdict)
    if verdict:
        raise DamagedBundle(
            f"bundle {folder.name[:12]}: loading it in another process {verdict}; {AGAIN}"
        )


def verdict_of(command: Sequence[str], seconds: float = PATIENCE) -> str:
    """Why a trial failed, in words; empty if it did not.

    Parameters
    ----------
    command : sequence of str
        A program that writes ``sound``, or writes why not and exits with `REFUSED`.
    seconds : float
        When to end it.
    """
    try:
        ended = subprocess.run(
            command,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            # One thread: the others' stacks would count as memory.
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds:g} s"
    if ended.returncode < 0:
        return f"was ended by {signal.Signals(-ended.returncode).name}"
    if ended.returncode == REFUSED:
        return ended.stdout.decode("utf-8", "replace")
    if ended.returncode != 0 or ended.stdout != _SOUND:
        return f"failed with exit code {ended.returncode}"
    return ""


def limit_resources(seconds: int = SECONDS) -> None:
    """Limit this process's processor time and memory, where the system can.

    Windows has no `resource`, and macOS refuses a limit of address space; the patience of
    whoever waits for this process ends there too.
    """
    try:
        import resource
    except ImportError:
        return
    limits = (
        ("RLIMIT_CPU", seconds, seconds + 1),
        ("RLIMIT_AS", LARGEST_MEMORY, LARGEST_MEMORY),
        ("RLIMIT_CORE", 0, 0),  # a crash here is expected and nobody wants its picture
    )
    for name, soft, hard in limits:
        try:
            resource.setrlimit(getattr(resource, name), (soft, hard))
        except (AttributeError, ValueError, OSError):
            continue


def main(arguments: Sequence[str]) -> int:
    """Load the bundle whose folder is named; the verdict is all that is written."""
    limit_resources()
    for name in _NOT_NEEDED:
        sys.modules[name] = None  # type: ignore[assignment]
    verdict, quiet = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # LightGBM writes its warnings there
    try:
        read_bundle(Path(arguments[0]))
    except (DamagedBundle, OSError, MemoryError) as error:
        os.write(verdict, str(error).encode()[:4000])
        return REFUSED
    os.write(verdict, _SOUND)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
