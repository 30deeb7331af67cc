"""The verbs of who runs the service: serve, keys, the demo."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from features.counting import counted
from features.home import Home
from training.verbs.options import DEFAULT_HOME, HomeOption, JsonOption, show


def serve(
    home: HomeOption = DEFAULT_HOME,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Answer over HTTP on 127.0.0.1 until stopped."""
    from training.server import require_free, serving_command, serving_environment

    place = Home(home)
    place.about()
    require_free(port)
    command = serving_command(port)
    os.execve(command[0], command, serving_environment(os.environ, place))


def demo(
    data: Annotated[str, typer.Option(help="company, or complete-journey.")] = "company",
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
    home: Annotated[Path | None, typer.Option(help="Where to; a folder of its own.")] = None,
    people: Annotated[int, typer.Option(help="How many people the company has.")] = 5000,
    once: Annotated[bool, typer.Option("--once", help="Stop after the answer.")] = False,
) -> None:
    """Make a demo home, train it, serve it and ask it once."""
    from training.demo import Demo, run_demo
    from training.narrator import Narrator

    with suppress(KeyboardInterrupt):  # it is how a demo ends
        run_demo(Demo(data, port, home, people, once), Narrator())


def new_key(
    name: Annotated[str, typer.Argument(help="Whose key it is, such as crm.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a key; it is shown this once, the store keeps only its hash."""
    from serving.storage.store import Store

    Home(home).about()
    with Store.open(Home(home).store) as store:
        key = store.new_key(name)
    show([key], {"name": name, "key": key}, as_json)


def list_keys(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Names of the keys that open this home."""
    from serving.storage.store import Store

    Home(home).about()
    with Store.open(Home(home).store) as store:
        names = store.key_names()
    show(names or ["no keys yet; make one with `nextbest keys new NAME`"], list(names), as_json)


def revoke_key(
    name: Annotated[str, typer.Argument(help="Whose keys.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make all keys of this name useless, at once."""
    from serving.storage.store import Store

    Home(home).about()
    with Store.open(Home(home).store) as store:
        count = store.revoke_keys(name)
        names = store.key_names()
    line = f"{counted(count, 'key')} of {name} revoked"
    if not count:
        known = ", ".join(dict.fromkeys(names)) or "none"
        line = f"no key is called {name}, so none was revoked; those that work: {known}"
    show([line], {"name": name, "revoked": count}, as_json)
