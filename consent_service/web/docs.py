"""The contract as it is served: `/openapi.yaml`, and `/docs`, a page to read it and try it.

All files come out of packages: the document is ours, the viewer is Swagger UI's bundle. The page runs under a
policy without inline scripts and never asks anything of anybody but this service.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

import flask_swagger_ui
from flask import Blueprint, Response, request

from consent_service.errors import ConsentError
from consent_service.web.auth import access

blueprint = Blueprint("docs", __name__)

# The viewer draws its icons from data: URLs and needs nothing else besides files of ours.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE, _VIEWER = __package__ or "", flask_swagger_ui.__name__
# What the page loads: name in the URL, package, file in the package, media type.
_ASSETS = {
    "docs.js": (_PAGE, "static/docs.js", "text/javascript"),
    "docs.css": (_PAGE, "static/docs.css", "text/css"),
    "swagger-ui-bundle.js": (_VIEWER, "dist/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (_VIEWER, "dist/swagger-ui.css", "text/css"),
    "favicon-32x32.png": (_VIEWER, "dist/favicon-32x32.png", "image/png"),
}


@blueprint.get("/openapi.yaml")
@access()
def openapi() -> Response:
    """The OpenAPI document, byte for byte as it stands in the package."""
    return _file("consent_service", "openapi.yaml", "application/yaml")


@blueprint.get("/docs")
@access()
def page() -> Response:
    """The page that shows the document."""
    return _file(_PAGE, "static/docs.html", "text/html; charset=utf-8")


@blueprint.get("/docs/<name>")
@access()
def asset(name: str) -> Response:
    """A script, style or icon of the page.

    Raises:
        ConsentError: not_found, for every name that the page does not use.
    """
    if name not in _ASSETS:
        raise ConsentError("not_found")
    return _file(*_ASSETS[name])


def _file(package: str, path: str, media_type: str) -> Response:
    content, tag = _read(package, path)
    response = Response(content, content_type=media_type)
    response.set_etag(tag)
    # Asked about every time and answered 304: after an upgrade nobody reads the old contract.
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.make_conditional(request)
    return response


@cache
def _read(package: str, path: str) -> tuple[bytes, str]:
    """(content, its hash) of a packaged file, read once by each process. Only names of ours come here."""
    content = resources.files(package).joinpath(path).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:32]
