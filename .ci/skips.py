"""Fail when a test was skipped that is not on the list of named skips."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def skipped_tests(report: Path) -> dict[str, str]:
    """Names of the skipped tests in a JUnit report, each with its reason."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {
        f"{case.get('classname')}::{case.get('name')}": skipped.get("message") or ""
        for case in cases
        for skipped in case.findall("skipped")
    }


def allowed_names(listed: Path) -> set[str]:
    """Names on the list; blank lines and comments do not count."""
    lines = (line.strip() for line in listed.read_text(encoding="utf-8").splitlines())
    return {line.split(" : ")[0] for line in lines if line and not line.startswith("#")}


def main(report: Path, listed: Path) -> int:
    """Exit code: 1 when a skip has no line in the list."""
    allowed = allowed_names(listed)
    unnamed = {name: why for name, why in skipped_tests(report).items() if name not in allowed}
    for name, why in sorted(unnamed.items()):
        sys.stderr.write(f"{name} was skipped ({why}); run it, or name it in {listed}\n")
    return 1 if unnamed else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
