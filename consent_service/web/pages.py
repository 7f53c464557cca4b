"""What every page shares: its words, its frame, the forms' protection, and errors as pages.

A view of a page is marked by `@page`, one for customers by `@customer_page`, and answers with `render`. No page loads
anything from elsewhere, has a script or style in it, or is kept by a cache. A link's token never stands in a page.
"""

from __future__ import annotations

import functools
import gzip
import io
import secrets
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request
from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms import ValidationError

from consent_service.errors import ConsentError
from consent_service.i18n import LOCALES, Words, negotiated, preferred, words
from consent_service.web import assets, problems, session
from consent_service.web.apologies import apology
from consent_service.web.auth import access
from consent_service.web.frame import POLICY, REFERRER
from consent_service.web.json import body_bytes
from consent_service.web.stops import stops

blueprint = Blueprint("pages", __name__, template_folder="templates")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PACKING = 4  # of 9: a third of a millisecond for the desk
LONGEST_PADDING = 128
View = TypeVar("View", bound=Callable[..., Any])
CSRF_FIELD = "csrf_token"


def install(app: Flask) -> None:
    """Gives templates their words; makes errors of pages pages. After `problems.install`."""
    app.register_error_handler(Exception, _respond)
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.globals.update(
        gettext=lambda text, **values: speaking().gettext(text, **values),
        ngettext=lambda one, many, num, **values: speaking().ngettext(one, many, num, **values),
        pgettext=lambda context, text, **values: speaking().pgettext(context, text, **values),
        asset=assets.url,
        csrf_token=generate_csrf,
        csrf_field=CSRF_FIELD,
        stops=stops,
        locales=LOCALES,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def page(view: View) -> View:
    """Marks a view as a page: its errors are pages too, and its forms carry a token that no other site knows.

    Raises:
        ConsentError: csrf_failed, for a POST without the token of this session.
    """

    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        if request.method == "POST":
            _check_form()
        return view(**arguments)

    run.is_page = True  # type: ignore[attr-defined]
    return access()(run)  # type: ignore[return-value]


def sent_by_programs(view: View) -> View:
    """Marks a form that programs send by agreement, as mail programs do: no cookie, and so no token of a form of ours.

    Whoever can send it may do what it does. Its errors are pages.
    """

    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        body_bytes()  # as slow as it comes, before anything is held
        return view(**arguments)

    run.is_page = True  # type: ignore[attr-defined]
    return access()(run)  # type: ignore[return-value]


def customer_page(view: View) -> View:
    """A page of a customer who came by a link: `g.visit` and `g.actor` are set; others are shown the way in.

    A link that asks for a confirmation opens none of them: it may have gone to a mistyped address.
    """
    return _visited(view, lambda found: found.purpose != "confirm")


def confirm_page(view: View) -> View:
    """The page of a visit that a confirmation's link opened: `g.visit.subject` says what is to be confirmed."""
    return _visited(view, lambda found: bool(found.subject))


def _visited(view: View, opens: Callable[[session.Visit], bool]) -> View:
    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        found = session.visit()
        if found is None or not opens(found):
            return _no_visit()
        g.visit, g.actor = found, session.actor_of(found)
        return view(**arguments)

    return page(run)  # type: ignore[return-value]


def desk_visit(view: View) -> View:
    """A customer's page that an old link, which may only turn down, does not open. Under `customer_page`."""

    @functools.wraps(view)
    def run(**arguments: Any) -> Any:
        return view(**arguments) if g.visit.opens_desk else redirect("/link?because=old", 303)

    return run  # type: ignore[return-value]


def render(template: str, status: int = 200, **values: Any) -> Response:
    """A page; templates find `words`, `visit` and what `install` put there."""
    html = render_template(template, **{"words": speaking(), "visit": g.get("visit"), **values})
    response = Response(html, status, content_type="text/html; charset=utf-8")
    if request.accept_encodings["gzip"] > 0:
        response.set_data(packed(html.encode()))
        response.headers["Content-Encoding"] = "gzip"
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = "no-store"
    response.headers[POLICY] = CONTENT_SECURITY_POLICY
    # Its forms say to ourselves where they come from; with no-referrer a browser would say `Origin: null`.
    response.headers[REFERRER] = "same-origin"
    return response


def packed(html: bytes) -> bytes:
    """A page in a tenth of its size, which says nothing of what is in it by its length.

    A page holds the token of its forms and repeats nothing of what was asked, so that nobody can guess at the token by
    lengths; the file's name in the head, of random length, keeps that so should one ever do. Source: RFC 1952, 2.3.1.
    """
    written = io.BytesIO()
    name = "x" * (1 + secrets.randbelow(LONGEST_PADDING))
    with gzip.GzipFile(name, "wb", PACKING, written, mtime=0) as file:
        file.write(html)
    return written.getvalue()


def speaking() -> Words:
    """The words of this request: by the link or the visitor's choice, else the customer's, else the browser's."""
    if "words" not in g:
        found = session.visit()
        zone = found.time_zone if found is not None else "UTC"
        liked = preferred(request.headers.get("Accept-Language", ""))
        g.words = words(negotiated([session.language(), liked]), zone)
    spoken: Words = g.words
    return spoken


def error_page(error: ConsentError) -> Response:
    """A refusal in plain words, with a way on."""
    said = g.get("request_id") if error.status >= 500 else None
    response = render("error.html", error.status, apology=apology(error), visit=session.visit(), request_id=said)
    response.headers.update(error.headers)
    return response


def is_page() -> bool:
    """Whether this request is answered with a page. Where there is no route the browser's wish decides."""
    if request.url_rule is None:
        return not request.path.startswith("/v1/") and "text/html" in request.headers.get("Accept", "")
    return getattr(current_app.view_functions[request.url_rule.endpoint], "is_page", False)


def _respond(error: Exception) -> Response:
    if not is_page():
        return problems.respond(error)
    return error_page(problems.domain_error(error))


def _check_form() -> None:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise ConsentError("csrf_failed")
    body_bytes()  # as slow as it comes, and no longer than the limit; the form is read out of it
    try:
        validate_csrf(request.form.get(CSRF_FIELD))
    except ValidationError as error:
        raise ConsentError("csrf_failed") from error


def _no_visit() -> Any:
    if request.method == "POST":
        raise ConsentError("visit_ended", "Nothing was saved.")
    return redirect("/link?because=ended", 303)


@blueprint.get("/static/<version>/<name>")
@access()
def asset(version: str, name: str) -> Response:
    """A style, script or picture of the pages; kept by browsers for ever, as its address changes with it."""
    return assets.answer(version, name)


@blueprint.get("/favicon.ico")
@page
def favicon() -> Response:
    """The picture that browsers ask for by this name, whatever a page says."""
    return assets.favicon()


@blueprint.post("/language")
@page
def choose_language() -> Any:
    """Another language for this session; back to the page that it was chosen on."""
    locale = request.form.get("locale", "")
    if locale not in LOCALES:
        raise ConsentError("invalid_value", "There is no such language here.")
    session.choose_language(locale)
    return redirect(_own_path(request.form.get("back", "")), 303)


def _own_path(text: str) -> str:
    """A path of ours, never an address elsewhere."""
    sound = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if sound else "/"
