"""The files of the pages: style, font and script, read once and named by their content."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("static")
PATH: Final = "/app/static/"
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"
FOR_A_DAY: Final = "public, max-age=86400"
HASH_LETTERS: Final = 12


@lru_cache(maxsize=1)
def files() -> Mapping[str, tuple[bytes, str, str]]:
    """Content, media type and cache rule by name; each file by its own name and by its hashed one.

    The hashed name may be kept for ever: another content has another name. The plain one is for
    the style sheet, which names the font.
    """
    found = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in MEDIA_TYPES:
            content, media_type = path.read_bytes(), MEDIA_TYPES[path.suffix]
            found[path.name] = (content, media_type, FOR_A_DAY)
            found[hashed(path.name, content)] = (content, media_type, FOR_EVER)
    return found


@lru_cache(maxsize=1)
def links() -> Mapping[str, str]:
    """Where a page finds each file, by its plain name without dots: ``style_css``."""
    return {
        path.name.replace(".", "_"): PATH + hashed(path.name, path.read_bytes())
        for path in FOLDER.iterdir()
        if path.suffix in MEDIA_TYPES
    }


def hashed(name: str, content: bytes) -> str:
    """``style.css`` as ``style.3f2a….css``."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:HASH_LETTERS]}.{suffix}"


def style_for_one_page() -> str:
    """The style sheet for a page that is a single file: without the font, which is another."""
    text = (FOLDER / "style.css").read_text(encoding="utf-8")
    start = text.index("@font-face")
    return text[:start] + text[text.index("}", start) + 1 :]
