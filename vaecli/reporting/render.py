"""Pages from the templates in templates/; every text in them is escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from vaecli.reporting.page.numbers import number

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, view: dict[str, Any]) -> str:
    """The page that `template` makes of the texts, numbers and lists in `view`.

    Raises jinja2.UndefinedError if the template names something that `view` lacks.
    """
    return _templates().get_template(template).render(view)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here: most commands need none

    templates = Environment(
        loader=PackageLoader("vaecli.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["number"] = number
    return templates
