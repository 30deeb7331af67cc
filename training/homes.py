"""Make a home: the company's own copies of the files that it edits."""

from pathlib import Path
from typing import Final

from features.home import About, Home, write_whole
from models import targets
from serving import catalog, policy
from serving.champion import SHIPPED_REASONS

CURRENCY_LINE: Final = 'currency = "EUR"\n'
ASSUME_LINE: Final = "assume = []\n"


class WrongCurrency(ValueError):
    """A currency that is no three-letter code."""


def make_home(
    home: Home, about: About, currency: str = "EUR", assumed: tuple[str, ...] = ()
) -> list[Path]:
    """Write what is missing of a home; files that stand are the company's and are left alone.

    Parameters
    ----------
    currency : str
        ISO 4217 code, written into the policy.
    assumed : tuple of str
        Consents that the company states to have, such as ``email:marketing``.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    WrongCurrency
        If `currency` is not three capital letters.
    """
    if not (
        len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()
    ):
        raise WrongCurrency(
            f"--currency {currency}: must be three capital letters such as EUR (ISO 4217); "
            "correct it"
        )
    stated = ", ".join(f'"{consent}"' for consent in assumed)
    policy_text = (
        policy.SHIPPED.read_text(encoding="utf-8")
        .replace(CURRENCY_LINE, f'currency = "{currency}"\n', 1)
        .replace(ASSUME_LINE, f"assume = [{stated}]\n", 1)
    )
    contents = {
        home.catalog: catalog.SHIPPED.read_text(encoding="utf-8"),
        home.policy: policy_text,
        home.reasons: SHIPPED_REASONS.read_text(encoding="utf-8"),
        home.targets: targets.SHIPPED.read_text(encoding="utf-8"),
    }
    written = []
    if not home.about_file.exists():
        home.write_about(about)
        written.append(home.about_file)
    for path, text in contents.items():
        if not path.exists():
            write_whole(path, text.encode())
            written.append(path)
    return written


def write_mapping(home: Home, text: str) -> Path:
    """Write a drafted mapping; beside the home's own where there is one already."""
    path = home.mapping
    if path.exists() and path.read_text(encoding="utf-8") != text:
        path = home.path / "mapping.draft.toml"
    write_whole(path, text.encode())
    return path
