"""A bundle's forests are read in a process of their own before a server reads them.

LightGBM's parser is native code that trusts its input. `models.forest_text` refuses all that we
know to be wrong; what we do not know ends, here, a process that nobody waits for. It reads each
forest, and predicts and explains the golden rows. Whether the numbers are the right ones, the
server sees for itself afterwards.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from models.bundle_folder import AGAIN, DamagedBundle, checked_files
from models.golden_rows import EXPLAINED_ROWS
from models.model import DamagedModel
from models.strict_json import strict_json, table

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
    """Read a bundle's forests in a throw-away process and let them predict its golden rows.

    Raises
    ------
    DamagedBundle
        If that process refuses it, crashes, or does not end in time.
    """
    verdict = verdict_of((sys.executable, "-m", "models.bundle_trial", str(folder.resolve())))
    if verdict:
        raise DamagedBundle(
            f"bundle {folder.name[:12]}: its trial in another process {verdict}; {AGAIN}"
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
        return f"refused it: {ended.stdout.decode('utf-8', 'replace')}"
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


def try_forests(folder: Path) -> None:
    """Let LightGBM read, predict and explain with every forest of a bundle.

    Raises
    ------
    DamagedBundle
        If the folder is not as its checksums say.
    DamagedModel
        If LightGBM finds a mistake by itself.
    """
    # Native code: nothing else of this program may import it before this process is limited.
    from lightgbm import Booster
    from lightgbm.basic import LightGBMError

    _, contents = checked_files(folder)
    golden = table(strict_json(contents["golden.json"], "golden.json"), "golden.json")
    try:
        rows = np.array(golden["rows"], dtype=np.float64)
        for name in sorted(contents):
            if name.endswith(".lgb"):
                forest = Booster(model_str=contents[name].decode("ascii"))
                forest.predict(rows, raw_score=True, num_threads=1)
                forest.predict(rows[:EXPLAINED_ROWS], pred_contrib=True, num_threads=1)
    except (KeyError, TypeError, ValueError, LightGBMError) as error:
        raise DamagedModel(f"LightGBM cannot use it: {error}") from error


def main(arguments: Sequence[str]) -> int:
    """Try the bundle whose folder is named; the verdict is all that is written."""
    limit_resources()
    for name in _NOT_NEEDED:
        sys.modules[name] = None  # type: ignore[assignment]
    verdict, quiet = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # LightGBM writes its warnings there
    folder = Path(arguments[0])
    try:
        try_forests(folder)
    except (DamagedBundle, DamagedModel, OSError, MemoryError) as error:
        os.write(verdict, str(error).encode()[:4000])
        return REFUSED
    os.write(verdict, _SOUND)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
