"""How a page is made: a template, what it needs, and the two twins."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.console import words
from serving.console.charts import signed
from serving.console.static_files import links

FOLDER: Final = Path(__file__).with_name("templates")

# No script and no style but our own files; the one script is htmx, which needs no eval.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "private, no-store",  # a page is about a person
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation."""

    name: str
    path: str


NAVIGATION: Final = (
    Link("Home", "/app/home"),
    Link("Customers", "/app/customers"),
    Link("Models", "/app/models"),
    Link("Pauses", "/app/pauses"),
)


def html(template: str, content: Mapping[str, object]) -> str:
    """A template filled in; a name it lacks is an error, and all text is escaped."""
    return environment().get_template(template).render(content)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Templates, read once."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"links": links(), "navigation": NAVIGATION, "words": words}
    made.filters |= {
        "plain": words.plain,
        "percent": words.percent,
        "day": words.day,
        "signed": signed,
    }
    return made
