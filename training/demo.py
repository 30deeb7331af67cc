"""The demo: a home with data, trained, served and asked once."""

import json
import sys
import threading
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from features.sources.complete_journey import prepare_complete_journey
from serving.records import NO_CONTACT
from serving.storage.store import Store
from training.checkup import checked_home
from training.everyone import Answer, Asking, answers
from training.homes import make_home
from training.narrator import Narrator
from training.online import bring_online
from training.publish import publish
from training.results import result_lines
from training.retrain import Recipe, retrain
from training.server import require_free, running
from training.simulator.company import CompanySize, simulate_company, write_company

SEED: Final = 20261101
KEY_NAME: Final = "demo"
ASKED: Final = 400  # enough for a picture of the whole; everyone would take half a minute


class UnknownData(LookupError):
    """There is no demo of that name."""


class NotADemo(ValueError):
    """The home holds something else than this demo."""


@dataclass(frozen=True, slots=True)
class Source:
    """One data set that the demo can run on."""

    name: str
    title: str
    simulated: bool
    currency: str
    assumed: tuple[str, ...]
    folder: str
    remark: str


SOURCES: Final = {
    "company": Source(
        name="Kestrel Coffee Roasters",
        title="Kestrel Coffee Roasters, a simulated company",
        simulated=True,
        currency="EUR",
        assumed=(),
        folder=".nextbest-demo",
        remark="Everybody in it is invented; their consents are recorded signals.",
    ),
    "complete-journey": Source(
        name="Complete Journey",
        title="Complete Journey, 2,469 real grocery households of 2017",
        simulated=False,
        currency="USD",
        assumed=("email:marketing", "inapp:marketing", "call:service"),
        folder=".nextbest-complete-journey",
        remark="The data record no consent: it is assumed, and every answer says so.",
    ),
}


@dataclass(frozen=True, slots=True)
class Demo:
    """What was asked for on the command line; `once` stops after the answer."""

    data: str
    port: int
    folder: Path | None
    people: int
    once: bool

    @property
    def source(self) -> Source:
        """The data set.

        Raises
        ------
        UnknownData
            If there is none of that name.
        """
        if self.data not in SOURCES:
            raise UnknownData(
                f"no demo of '{self.data}'; there are {', '.join(SOURCES)}; choose one with DATA="
            )
        return SOURCES[self.data]

    @property
    def home(self) -> Home:
        """Its home: a folder of its own, never the company's."""
        return Home(self.folder or Path(self.source.folder))


def run_demo(demo: Demo, narrator: Narrator) -> None:
    """Make what is missing, serve it, ask once, and serve on until stopped.

    Raises
    ------
    UnknownData
        If there is no demo of these data.
    PortTaken
        If another program answers on the port.
    NotADemo
        If the folder is the home of another company.
    NotServing
        If the service does not come up.
    """
    source, home = demo.source, demo.home
    require_free(demo.port)
    if home.about_file.exists() and home.about().name != source.name:
        raise NotADemo(
            f"{home.path} is the home of {home.about().name}, not of this demo; "
            "give --home a folder of its own"
        )
    narrator.say(f"Nextbest demo: {source.title}. {source.remark}")
    narrator.say(f"Everything is kept in {home.path}; a second start reuses it.")
    about = About(source.name, "data_end", source.simulated)
    make_home(home, about, source.currency, source.assumed)
    _fill(demo, home, narrator)
    _train(home, narrator)
    with narrator.step(f"Asking for {ASKED} customers, without logging"):
        found = _some_answers(home)
    _tell(found, narrator)
    narrator.say("Starting the service")
    with running(home, demo.port, home.reports / "service.log") as address:
        _ask(home, address, _worth_asking(found), narrator)
        if not demo.once:
            narrator.say("The service is running; Ctrl-C ends it.")
            threading.Event().wait()


def _fill(demo: Demo, home: Home, narrator: Narrator) -> None:
    """Signals into the history and the store, unless they are there."""
    with Store.open(home.store) as store:
        if store.data_end() is not None:
            narrator.say("The signals are there already")
            return
    files = home.path / "files"
    if demo.data == "company":
        with narrator.step(f"Simulating two years of {demo.people:,} people"):
            size = CompanySize(people=demo.people)
            company = simulate_company(np.random.default_rng(SEED), size)
            paths = write_company(company, files, home.truth)
    else:
        with narrator.step("Reading Complete Journey"):
            paths = prepare_complete_journey(files)
    with narrator.step("Checking the signals and taking them in"):
        report = ingest(paths, None, home, IntakeRules(demo.source.currency))
    for line in report.lines():
        narrator.say(f"  {line}")
    lines, _ = checked_home(home, apply=True)
    for line in lines:
        narrator.say(f"  {line}")
    with narrator.step("Bringing the customers online"), Store.open(home.store) as store:
        bring_online(History(home.signals), store)


def _train(home: Home, narrator: Narrator) -> None:
    """A champion in service, unless there is one."""
    with Store.open(home.store) as store:
        if store.champion() is not None:
            narrator.say("The models are there already")
            return
        end = store.data_end()
    if end is not None:
        retrained = retrain(home, end, Recipe(seed=SEED), narrator)
        for line in result_lines(retrained):
            narrator.say(f"  {line}")
        for line in publish(home, retrained, narrator):
            narrator.say(line)


def _fresh_key(home: Home) -> str:
    """A new key; the last demo's is revoked, since only its hash is known."""
    with Store.open(home.store) as store:
        store.revoke_keys(KEY_NAME)
        return store.new_key(KEY_NAME)


def _some_answers(home: Home) -> list[Answer]:
    """What a spread of customers would get now."""
    with Store.open(home.store) as store:
        end, customer_ids = store.data_end(), store.customer_ids()
    if end is None:
        return []
    every = max(1, len(customer_ids) // ASKED)
    return list(answers(Asking(home, end, logs=False, seed=SEED), customer_ids[::every]))


def _tell(found: list[Answer], narrator: Narrator) -> None:
    """The mix of communications."""
    for name, count in Counter(str(answer["communication"]) for answer in found).most_common():
        narrator.say(f"  {count / len(found):6.1%}  {name}")


def _worth_asking(found: list[Answer]) -> str:
    """The customer for whom a message is worth most, chosen by worth and not by lot."""

    def worth(answer: Answer) -> tuple[bool, bool, float]:
        return (
            answer["arm"] == "policy",
            answer["communication"] != NO_CONTACT and answer["class"] == "marketing",
            float(str(answer["expected_net"])),
        )

    return str(max(found, key=worth)["customer_id"])


def _ask(home: Home, address: str, customer_id: str, narrator: Narrator) -> None:
    """One call as a CRM would make it: the line to type, and what comes back."""
    key = _fresh_key(home)
    url = f"{address}/v1/decisions"
    # With a key of its own the call can be repeated: it gets this very answer again.
    body = json.dumps({"customer_id": customer_id, "idempotency_key": "first-call"})
    sys.stdout.write(f"\nIn a browser: {address}/app/home; this key signs in.\n")
    sys.stdout.write(f"\nkey: {key}\n\n")
    sys.stdout.write(
        f"curl -s {url} -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'\n\n"
    )
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, body.encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n\n")
    sys.stdout.flush()
    narrator.say(f"The same in words: .venv/bin/nextbest explain {customer_id} --home {home.path}")
