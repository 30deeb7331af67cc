"""The console's page of one customer, written as a single file."""

from pathlib import Path
from typing import Final

from features.home import Home, write_whole
from serving.answer import Surroundings
from serving.champion import company_engine, with_champion
from serving.console.customer import customer_file, customer_page
from serving.console.looking import Looking
from serving.storage.store import Store

ENDINGS: Final = (".html", ".htm")


class WrongPage(ValueError):
    """A page cannot be written under this name."""


def write_customer_file(customer_id: str, home: Home, as_of: int, out: Path) -> None:
    """Write the page of one customer; it needs no server and no other file.

    Raises
    ------
    WrongPage
        If the name does not end in `.html`, or its folder is missing.
    UnknownCustomer
        If the store has never heard of this customer.
    """
    if out.suffix not in ENDINGS:
        raise WrongPage(f"--html {out}: ends in '{out.suffix}'; must end in .html; rename it")
    if not out.parent.is_dir():
        raise WrongPage(f"--html {out}: no folder {out.parent}; make it first")
    about, engine = home.about(), company_engine(home)
    with Store.open(home.store) as store:
        serving = with_champion(engine, home, store.champion())
        around = Surroundings(about, engine.policy.currency)
        looking = Looking(store, serving.engine, around, as_of, serving.note)
        page = customer_file(customer_page(customer_id, looking), looking)
    write_whole(out, page.encode())
