"""One training of a home at a time, and what a killed one left lying about."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from features.home import Home

LOCK: Final = "training.lock"
PART: Final = ".*.part"  # what is written beside its place until it is whole


class TrainingUnderWay(ValueError):
    """Another process trains in the same home."""


@contextmanager
def alone(home: Home, wait: bool = False) -> Iterator[None]:
    """While the block runs, no other process trains in this home.

    The lock is the system's: it ends with the process, however that ends.

    Parameters
    ----------
    wait : bool
        Whether to wait for another one to end.

    Raises
    ------
    TrainingUnderWay
        If another one trains and `wait` is false.
    """
    path = home.path / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise TrainingUnderWay(
                f"{home.path}: another process is training here; one at a time may; "
                "wait until it has ended, or end it"
            ) from None
        yield
    finally:
        os.close(lock)


def clear_parts(home: Home) -> tuple[Path, ...]:
    """Remove what killed trainings had not finished writing; what it was.

    Called by the one that trains alone. A part whose process still runs is somebody else's.
    """
    found = [*home.bundles.glob(PART), *(home.reports / "bundles").glob(f"*/{PART}")]
    left = tuple(sorted(part for part in found if not _being_written(part)))
    for part in left:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink()
    return left


def _being_written(part: Path) -> bool:
    """Whether the process that a part is named by still runs, and is not this one."""
    number = part.name.split(".")[-2]
    if not number.isdigit() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it runs, as somebody else
    return True
