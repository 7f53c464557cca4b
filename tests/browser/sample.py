"""A page of the tests' own: every macro once, and every error."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml
from flask import Blueprint

from consent_service.errors import ConsentError
from consent_service.i18n import Words
from consent_service.web.pages import page, render, speaking

EXAMPLE: dict[str, Any] = yaml.safe_load(
    files("consent_service.catalogue").joinpath("example.yaml").read_text(encoding="utf-8")
)
SECONDS_OF = {"P90D": 90 * 86400, "P30D": 30 * 86400, "P7D": 7 * 86400, "P1D": 86400}

sample = Blueprint("sample", __name__, template_folder="templates")


@sample.get("/sample")
@page
def show() -> Any:
    """Every macro of parts.html."""
    spoken = speaking()
    names = {name: spoken.label(one["label"]) for name, one in EXAMPLE["channels"].items()}
    return render("sample.html", rows=_levels(spoken), channels=names)


@sample.get("/sample/errors/<code>")
@page
def fail(code: str) -> Any:
    """The error of this code, as any page of a customer's may answer with it."""
    raise ConsentError(code)


def _levels(spoken: Words) -> list[tuple[str, str, str]]:
    return [(one["name"], spoken.label(one["label"]), _meaning(spoken, one)) for one in EXAMPLE["levels"]]


def _meaning(spoken: Words, level: dict[str, Any]) -> str:
    if level["mode"] != "capped":
        return ""
    return f"{spoken.number(level['contacts'])} / {spoken.duration(SECONDS_OF[level['per']])}"
