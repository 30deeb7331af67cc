"""A bundle's folder, read as if somebody had forged it: plain files, listed, unchanged.

What the checksums protect from is accident: a cut, a flipped bit, an edit. Whoever can write
can also sign again, but then the folder's name, the sha256 of the manifest, is another one, and
the store's champion row, which only `train`, `promote` and `rollback` write, does not name it.
"""

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.model import DamagedModel
from models.strict_json import record, strict_json, table

FORMAT: Final = 5  # of the folder; raise it when an older reader would misread it
MANIFEST: Final = "manifest.json"
NO_DATE: Final = 253_402_300_800_000_000  # microseconds until the year 10000, which has no date
LARGEST: Final = 32 * 2**20  # bytes of one file; a forest of the demo company has a third of one
MOST_FILES: Final = 64  # three files a score and a few for all
_FILE: Final = re.compile(r"[a-z][a-z0-9_]{0,60}\.(?:json|lgb)")
AGAIN: Final = "train again with `nextbest train`"


class DamagedBundle(ValueError):
    """A bundle that is not, byte for byte, what training wrote, or that fits no longer."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in `manifest.json`.

    Attributes
    ----------
    as_of : int
        Microseconds UTC.
    files : mapping of str to str
        sha256 of each other file.
    """

    format: int
    as_of: int
    fingerprint: str
    feature_names: tuple[str, ...]
    files: Mapping[str, str]


def checked_files(folder: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Manifest and contents of the files it lists, each exactly as its checksum says.

    Raises
    ------
    DamagedBundle
        If something in the folder is missing, unknown, changed, no plain file or too large.
    """
    where = f"bundle {folder.name[:12]}"
    if not (folder / MANIFEST).is_file():
        raise DamagedBundle(f"{where}: no {MANIFEST} in {folder}; {AGAIN}")
    raw = _content(folder / MANIFEST, where)
    if sha256(raw) != folder.name:
        raise DamagedBundle(
            f"{where}: its manifest has the checksum {sha256(raw)[:12]}; must be the folder's "
            f"name; {AGAIN}"
        )
    manifest = _manifest(raw, where)
    _require_listed(folder, manifest, where)
    contents = {}
    for name, checksum in manifest.files.items():
        contents[name] = _content(folder / name, where)
        if sha256(contents[name]) != checksum:
            raise DamagedBundle(f"{where}: file '{name}' was changed after training; {AGAIN}")
    return manifest, contents


def sha256(content: bytes) -> str:
    """Checksum, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _manifest(raw: bytes, where: str) -> Manifest:
    try:
        found = table(strict_json(raw, MANIFEST), MANIFEST)
        if found.get("format") != FORMAT:
            raise DamagedBundle(
                f"{where}: format {found.get('format')!a:.40}; this program reads {FORMAT}; {AGAIN}"
            )
        manifest = record(Manifest, found, MANIFEST)
        if not 0 <= manifest.as_of < NO_DATE:
            raise DamagedModel(f"as_of {manifest.as_of}; must be microseconds from 1970 to 9999")
        return manifest
    except DamagedModel as error:
        raise DamagedBundle(f"{where}: its manifest cannot be read: {error}; {AGAIN}") from error


def _require_listed(folder: Path, manifest: Manifest, where: str) -> None:
    """Refuse, by name, whatever the manifest should not list or does not."""
    for name in sorted(manifest.files):
        if not _FILE.fullmatch(name) or name == MANIFEST:
            raise DamagedBundle(
                f"{where}: its manifest lists {name!a:.80}; files of a bundle are small letters, "
                f"then .json or .lgb; {AGAIN}"
            )
    found = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            found.add(entry.name)
            if len(found) > MOST_FILES:
                raise DamagedBundle(f"{where}: more than {MOST_FILES} files; {AGAIN}")
    for name in sorted(found - set(manifest.files) - {MANIFEST}):
        raise DamagedBundle(
            f"{where}: unknown file {name!a:.80}; the manifest lists all; take it out, or {AGAIN}"
        )
    for name in sorted(set(manifest.files) - found):
        raise DamagedBundle(f"{where}: file '{name}' is missing; {AGAIN}")


def _content(path: Path, where: str) -> bytes:
    """Bytes of a plain file; never waits for a pipe and never follows a link.

    Windows has neither flag, and neither pipes nor devices among the files of a folder.
    """
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise DamagedBundle(f"{where}: '{path.name}' is a link; must be a plain file; {AGAIN}")
    descriptor = os.open(path, os.O_RDONLY | flags)
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise DamagedBundle(f"{where}: '{path.name}' must be a plain file; {AGAIN}")
        if state.st_size > LARGEST:
            raise DamagedBundle(
                f"{where}: '{path.name}' has {state.st_size:,} bytes; at most {LARGEST:,} may be; "
                f"{AGAIN}"
            )
        return file.read(LARGEST + 1)
