"""Every text that a person reads is there in every language."""

from __future__ import annotations

import pytest

from consent_service.i18n import LOCALES, PACKAGES, USUAL
from tests.support.messages import ROOT, collected, compiled, path_of, read

OTHERS = [locale for locale in LOCALES if locale != USUAL]
WITH_TEXTS = [package for package in PACKAGES if (ROOT / package).is_dir() and len(collected(package))]


@pytest.mark.parametrize("locale", OTHERS)
@pytest.mark.parametrize("package", WITH_TEXTS)
def test_no_text_lacks_its_translation(package: str, locale: str) -> None:
    catalog = read(package, locale)
    for message in collected(package):
        if not message.id:
            continue
        found = catalog.get(message.id, message.context)
        assert found is not None, f"make messages: {message.id!r} is not in the catalog"
        forms = found.string if isinstance(found.string, tuple) else (found.string,)
        assert all(forms), f"{message.id!r} is not translated"
        assert not found.fuzzy
        if isinstance(message.id, tuple):
            assert len(forms) == catalog.num_plurals, f"{message.id!r} lacks forms"


@pytest.mark.parametrize("locale", OTHERS)
@pytest.mark.parametrize("package", WITH_TEXTS)
def test_what_is_filled_in_stands_in_every_translation(package: str, locale: str) -> None:
    for message in read(package, locale):
        assert not [str(error) for error in message.check()], message.id


@pytest.mark.parametrize("locale", OTHERS)
@pytest.mark.parametrize("package", WITH_TEXTS)
def test_what_is_served_is_what_was_translated(package: str, locale: str) -> None:
    assert path_of(package, locale).with_suffix(".mo").read_bytes() == compiled(read(package, locale))
