"""API keys: made, known by their hash, revoked."""

import hashlib
import hmac
import secrets
from typing import Final

import sqlalchemy as sa

from serving.plain_text import unseen
from serving.storage import tables

LONGEST_NAME: Final = 100  # characters: it stands in one line of a list
KEY_PREFIX: Final = "nb_"

_KEYS: Final = tables.api_keys.c
_KEY: Final = sa.select(_KEYS.sha256).where(_KEYS.sha256 == sa.bindparam("wanted"))
_NAMES: Final = sa.select(_KEYS.name).order_by(_KEYS.created_at)


class InvalidKeyName(ValueError):
    """A key needs a name that can be read in a list and typed to revoke it."""


def make_key(connection: sa.Connection, name: str, now: int) -> str:
    """Make an API key; only its hash is kept, so it is shown this once.

    Raises
    ------
    InvalidKeyName
        If the name is blank or too long, or holds what nobody sees.
    """
    hidden = unseen(name)
    if not name.strip() or name != name.strip() or len(name) > LONGEST_NAME or hidden:
        seen = f"it holds {hidden}" if hidden else f"it has {len(name)} characters"
        raise InvalidKeyName(
            f"the name of a key must be 1 to {LONGEST_NAME} characters that can be seen, without "
            f"blanks around it; {seen}; write whose key it is, such as crm"
        )
    key = KEY_PREFIX + secrets.token_urlsafe(32)  # 256 bits: no guessing, no need for salt
    row = {"sha256": hash_of_key(key), "name": name, "created_at": now}
    connection.execute(sa.insert(tables.api_keys), row)
    return key


def hash_of_key(key: str) -> str:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()


def is_key_hash(connection: sa.Connection, wanted: str) -> bool:
    """Whether a key of this hash was made here and not revoked."""
    found = connection.scalar(_KEY, {"wanted": wanted})
    return hmac.compare_digest(found or "", wanted)


def key_names(connection: sa.Connection) -> tuple[str, ...]:
    """Names of the keys that work, oldest first."""
    return tuple(connection.scalars(_NAMES))


def revoke_keys(connection: sa.Connection, name: str) -> int:
    """Make all keys of that name useless; how many they were."""
    gone = connection.execute(sa.delete(tables.api_keys).where(_KEYS.name == name))
    return int(gone.rowcount)
