"""Sessions of the console: the API key, once shown, opens the pages for half a day.

The cookie holds the hash of the key, an end and a signature. It needs no table: it holds while
the signature is ours, the end lies ahead, and the key is known. Revoking the key ends it.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.signals import HOUR, SECOND

SESSION_HOURS: Final = 12  # a working day; the next morning starts with the key
SECRET_BYTES: Final = 32
SECRET_FILE: Final = "console.secret"


class UnusableSecret(ValueError):
    """The file that signs sessions does not hold what we wrote into it."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens sessions and tells whether they hold.

    Attributes
    ----------
    secret : bytes
        What signs them; see `secret_of`.
    hash_is_known : from the sha256 of a key to whether that key works
    clock : () -> microseconds UTC
        The wall's: a session lives in the present, whatever the data.
    """

    secret: bytes
    hash_is_known: Callable[[str], bool]
    clock: Callable[[], int]

    def opened(self, key_hash: str) -> str:
        """Content of the cookie of a new session."""
        ends = self.clock() // SECOND + SESSION_HOURS * HOUR // SECOND
        said = f"{key_hash}.{ends}"
        return f"{said}.{self._signature('session', said)}"

    def holds(self, cookie: str) -> bool:
        """Whether a cookie is one of ours, not over, and of a key that still works."""
        said, _, signature = cookie.rpartition(".")
        if not self._is_signed("session", said, signature):
            return False
        key_hash, _, ends = said.partition(".")
        return int(ends) * SECOND > self.clock() and self.hash_is_known(key_hash)

    def form_token(self, of: str) -> str:
        """What a form must carry to be taken: another site cannot know it.

        Parameters
        ----------
        of : str
            A cookie that the same browser sends along.
        """
        return self._signature("form", of)

    def form_is_ours(self, of: str, token: str) -> bool:
        """Whether a form that came with the cookie `of` was made by us for it."""
        return bool(of) and self._is_signed("form", of, token)

    def _signature(self, purpose: str, text: str) -> str:
        return hmac.new(self.secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()

    def _is_signed(self, purpose: str, text: str, signature: str) -> bool:
        wanted = self._signature(purpose, text)
        return hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))


def secret_of(home: Path) -> bytes:
    """The secret of a home, made at the first call and readable by its owner only.

    Raises
    ------
    UnusableSecret
        If the file is there but holds something else.
    """
    path = home / SECRET_FILE
    if not path.exists():
        beside = home / f".{SECRET_FILE}.{os.getpid()}.part"
        beside.unlink(missing_ok=True)
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, secrets.token_bytes(SECRET_BYTES))
            os.fsync(file)
        finally:
            os.close(file)
        try:
            os.link(beside, path)  # fails if another process was first: then theirs counts
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise UnusableSecret(
            f"{path}: {len(secret)} bytes; must be {SECRET_BYTES}; remove it, and all who use "
            "the pages sign in again"
        )
    return secret
