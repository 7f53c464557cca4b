"""The catalogs of translations: collected from code and templates, brought up to date, compiled. `make messages`."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from consent_service.i18n import LOCALES, PACKAGES, USUAL

ROOT = Path(__file__).parents[2] / "consent_service"
MADE_AT = datetime(2000, 1, 1, tzinfo=UTC)
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2"), ("**/templates/**.txt", "jinja2")]


def collected(package: str) -> Catalog:
    """The texts that a package's code and templates mark."""
    catalog = Catalog()
    found = extract_from_dir(ROOT / package, METHODS, options_map={"**/templates/**": {"trimmed": "true"}})
    for file, line, text, comments, context in found:
        catalog.add(text, locations=[(file, line)], auto_comments=comments, context=context)
    return catalog


def path_of(package: str, locale: str) -> Path:
    """Where a package keeps its catalog of a language."""
    return ROOT / package / "translations" / locale / "LC_MESSAGES" / "messages.po"


def read(package: str, locale: str) -> Catalog:
    """The catalog as it stands; an empty one where there is none."""
    path = path_of(package, locale)
    if not path.exists():
        return Catalog(locale)
    with path.open("rb") as file:
        return read_po(file, locale)


def compiled(catalog: Catalog) -> bytes:
    """What stands in the `.mo` file of a catalog: the same for the same texts, whenever it is made."""
    catalog.creation_date = catalog.revision_date = MADE_AT
    written = io.BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


def update(package: str, locale: str) -> None:
    """Adds new texts to a catalog, drops those that nobody uses, and compiles it."""
    template, catalog = collected(package), read(package, locale)
    if not len(template):
        return
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    path = path_of(package, locale)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, catalog, omit_header=True, include_lineno=False, no_location=True, sort_output=True, width=0)
    with path.open("rb") as file:
        path.with_suffix(".mo").write_bytes(compiled(read_po(file, locale)))


def main() -> None:
    """Brings every catalog up to date, and says how many texts are not translated yet."""
    for package in PACKAGES:
        for locale in LOCALES:
            if locale != USUAL and (ROOT / package).is_dir():
                update(package, locale)
                missing = [one for one in read(package, locale) if one.id and not one.string]
                if missing:
                    print(f"{package}/{locale}: {len(missing)} texts to translate")


if __name__ == "__main__":
    main()
