"""What happened, in words: every type of event as a sentence, with what it did, who did it and why. Decides nothing.

The customer reads it, and the service desk beside them. Names of the catalogue and contact details come from outside,
by `Names`: this slice knows neither. A type without a sentence of its own is told by its name, never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from markupsafe import Markup, escape

from consent_service.clock import parse_time
from consent_service.history.texts import CIRCLE, DIALOGUES, FIELDS, MAILS, OTHER_MAIL, REASONS, SOURCES, STOPS
from consent_service.i18n import N_, Words

Event = Mapping[str, Any]


class Names(Protocol):
    """What things are called, as safe HTML."""

    words: Words

    def gettext(self, text: str, **values: object) -> Markup:
        """A text of the catalogs; values are escaped unless they are HTML."""

    def channel(self, name: str) -> Markup:
        """A channel."""

    def topic(self, name: str) -> Markup:
        """A topic."""

    def place(self, place: tuple[str, str]) -> Markup:
        """A dial, by its channel or '*' and its topic or '*'."""


@dataclass(frozen=True)
class Told:
    """An event in words: a sentence, what else is to be said, who did it, and the words of a notice that was shown."""

    at: str
    what: Markup
    more: tuple[Markup, ...]
    who: Markup
    receipt: str
    notice: str | None = None
    notice_locale: str | None = None


class Teller:
    """Tells one customer's events.

    Args:
        levels: what the catalogue calls its levels, by name.
        detail: an identifier (`kind:value`) as it may be shown here.
        masked: free words that others wrote, which may name people, are left out.
    """

    def __init__(
        self,
        names: Names,
        levels: Mapping[str, Markup],
        detail: Callable[[str], Markup],
        *,
        masked: bool = False,
    ) -> None:
        self._names, self._levels, self._detail, self._masked = names, levels, detail, masked
        self._words = names.words

    def gettext(self, text: str, **values: object) -> Markup:
        """A text of the catalogs, as safe HTML."""
        return self._names.gettext(text, **values)

    def tell(self, event: Event) -> Told:
        """The event in words."""
        notice = event["notice"] or {}
        what = self._what(event)
        return Told(
            at=self._words.time(parse_time(event["recorded_at"])),
            what=what,
            more=() if event["erased"] else tuple(self._more(event)),
            who=self._who(event),
            receipt=event["id"],
            notice=notice.get("text"),
            notice_locale=notice.get("locale"),
        )

    def _what(self, event: Event) -> Markup:
        if event["erased"] or event["actor"] is None:
            return self.gettext("This cannot be read any more.")
        known = _SENTENCES.get(event["type"])
        return known(self, event) if known else self.gettext("Recorded: %(type)s.", type=event["type"])

    def _who(self, event: Event) -> Markup:
        actor = event["actor"]
        if actor is None:
            return Markup("")
        name = Markup("<bdi>{}</bdi>").format(actor["name"])
        if actor["role"] == "customer":
            if link := actor.get("link"):
                sender = Markup("<bdi>{}</bdi>").format(link)
                return self.gettext("You, by a link in a message from “%(name)s”", name=sender)
            return self.gettext("You")
        if actor["role"] in ("desk", "admin"):
            return self.gettext("Our service desk (%(name)s)", name=name)
        if actor["role"] == "campaign":
            return self.gettext("Our sender “%(name)s”", name=name)
        return self.gettext("Our service (%(name)s)", name=name)

    # What each type says.

    def _dials(self, _: Event) -> Markup:
        return self.gettext("Dials were turned.")

    def _asked_for_more(self, _: Event) -> Markup:
        return self.gettext("More was asked for. It waits until you confirm it.")

    def _address_asked_for(self, event: Event) -> Markup:
        return self.gettext("To be added once it is confirmed: %(detail)s.", detail=self._named(event))

    def _confirmed(self, event: Event) -> Markup:
        return self.gettext("Confirmed: %(detail)s.", detail=self._named(event))

    def _confirmation_given(self, _: Event) -> Markup:
        return self.gettext("What had waited for it was confirmed.")

    def _confirmation_dropped(self, _: Event) -> Markup:
        return self.gettext("What had waited for a confirmation was dropped.")

    def _named(self, event: Event) -> Markup:
        return self._detail(event["after"]["identifier"])

    def _pause(self, event: Event) -> Markup:
        until = self._words.time(parse_time(event["after"]["until"]))
        if event["after"]["channel"] == "*":
            return self.gettext("A pause was set: nothing until %(until)s.", until=until)
        channel = self._names.channel(event["after"]["channel"])
        return self.gettext("A pause was set: nothing by %(channel)s until %(until)s.", channel=channel, until=until)

    def _pause_ended(self, event: Event) -> Markup:
        if event["before"]["channel"] == "*":
            return self.gettext("The pause was ended.")
        return self.gettext(
            "The pause of %(channel)s was ended.", channel=self._names.channel(event["before"]["channel"])
        )

    def _contact(self, event: Event) -> Markup:
        return self._of_contact(N_("You were contacted by %(channel)s about %(topic)s."), event)

    def _contact_refused(self, event: Event) -> Markup:
        text = N_("A contact by %(channel)s about %(topic)s was asked for, and not allowed: %(reason)s.")
        return self._of_contact(text, event)

    def _contact_reported(self, event: Event) -> Markup:
        at = self._words.time(parse_time(event["details"]["contacted_at"]))
        text = N_("You were contacted by %(channel)s about %(topic)s on %(at)s, as was reported afterwards.")
        return self._of_contact(text, event, at=at)

    def _reserved(self, event: Event) -> Markup:
        permit = event["details"]["permit"]
        until = self._words.time(parse_time(permit["expires_at"]))
        text = N_("A contact by %(channel)s about %(topic)s was asked for and allowed, to be made until %(until)s.")
        return self._of_contact(text, event, until=until)

    def _reserved_refused(self, event: Event) -> Markup:
        if "permit_id" not in event["details"]:
            return self._contact_refused(event)
        text = N_("A contact by %(channel)s about %(topic)s was about to be made, and put off: %(reason)s.")
        return self._of_contact(text, event)

    def _voided(self, event: Event) -> Markup:
        text = N_(
            "A contact by %(channel)s about %(topic)s was allowed before, and not any more when it was to be made:"
            " %(reason)s."
        )
        return self._of_contact(text, event)

    def _released(self, event: Event) -> Markup:
        return self._of_contact(N_("A contact by %(channel)s about %(topic)s that was allowed was given up."), event)

    def _of_contact(self, text: str, event: Event, **values: object) -> Markup:
        details = event["details"]
        if "%(reason)s" in text:
            values["reason"] = self._reason(details["decision"]["reason"])
        channel, topic = self._names.channel(details["channel"]), self._names.topic(details["topic"])
        return self.gettext(text, channel=channel, topic=topic, **values)

    def _mail(self, event: Event) -> Markup:
        if event["type"] == "mail.failed":
            return self.gettext("A mail to you could not be sent.")
        return self.gettext(MAILS.get(event["details"]["kind"], OTHER_MAIL))

    def _begun(self, event: Event) -> Markup:
        return self.gettext(
            "A conversation about %(topic)s was begun.", topic=self._names.topic(event["after"]["topic"])
        )

    def _talked(self, event: Event) -> Markup:
        text = DIALOGUES[event["type"]]
        return self.gettext(text)

    def _circle(self, event: Event) -> Markup:
        details = event["details"]
        told = details.get("facts") or ([details] if "name" in details else [])
        # Facts are called as the customer called them.
        names = [Markup("<bdi>{}</bdi>").format("…" if self._masked else one["name"]) for one in told]
        text = CIRCLE[event["type"]]
        return self.gettext(text, name=Markup(", ").join(names))

    def _created(self, _: Event) -> Markup:
        return self.gettext("From now on we know you.")

    def _changed(self, _: Event) -> Markup:
        return self.gettext("What we know about you was changed.")

    def _added(self, event: Event) -> Markup:
        return self.gettext("Added: %(detail)s.", detail=self._named(event))

    def _removed(self, event: Event) -> Markup:
        return self.gettext("Removed: %(detail)s.", detail=self._detail(event["before"]["identifier"]))

    def _token(self, event: Event) -> Markup:
        until = self._words.time(parse_time(event["after"]["expires_at"]))
        return self.gettext("The service desk may act in your name until %(until)s.", until=until)

    def _merged(self, _: Event) -> Markup:
        return self.gettext("Two records of you became one. Of two choices the quieter one holds.")

    def _suppressed(self, event: Event) -> Markup:
        return self._of_stop(event["after"], "set")

    def _lifted(self, event: Event) -> Markup:
        return self._of_stop(event["before"], "lifted")

    def _of_stop(self, stop: Mapping[str, Any], end: str) -> Markup:
        text = STOPS[end, stop["kind"], stop["channel"] is not None]
        channel = self._names.channel(stop["channel"]) if stop["channel"] is not None else ""
        return self.gettext(text, channel=channel)

    # What else is to be said.

    def _more(self, event: Event) -> Iterator[Markup]:
        details = event["details"]
        if event["type"] in ("dials.changed", "dials.requested"):
            yield from self._turned(event)
        if event["type"] == "customer.changed":
            yield from self._fields(event["before"], event["after"])
        if event["type"].startswith("mail.") and details["to"]:
            yield self._detail(details["to"])
        if event["type"] == "customer.created":
            yield from (self._detail(one) for one in event["after"]["identifiers"])
        if event["type"].startswith("dialogue."):
            yield from self._said(event)
        yield from self._why(details)
        if details.get("permitted") is False:
            yield self.gettext("It was not permitted: %(reason)s.", reason=self._reason(details["reason"]))
        if details.get("campaign"):
            yield self.gettext("Campaign: %(name)s", name=details["campaign"])
        yield from self._how(event)

    def _how(self, event: Event) -> Iterator[Markup]:
        of_a_wish = event["type"].startswith(("dials.", "pause.")) and event["actor"]["role"] != "customer"
        if of_a_wish and (source := SOURCES.get(event["source"] or "")):
            yield self.gettext("How your wish reached us: %(source)s", source=self._words.gettext(source))
        if event["occurred_at"] and event["type"] == "dials.changed" and _is_earlier(event):
            at = self._words.time(parse_time(event["occurred_at"]))
            yield self.gettext("Said on %(at)s", at=at)
        if not self._masked:
            for name, value in (event["evidence"] or {}).items():
                yield Markup("<bdi>{}: {}</bdi>").format(name, value)
            if event["type"].startswith("suppression.") and event["details"].get("reason"):
                yield self.gettext("Reason: %(reason)s", reason=event["details"]["reason"])

    def _turned(self, event: Event) -> Iterator[Markup]:
        before = event["before"] or [None] * len(event["after"])  # what is only asked for has turned nothing yet
        for was, now in zip(before, event["after"], strict=True):
            place = self._names.place((now["channel"], now["topic"]))
            step = self._step(was["level"], now["level"]) if was else self._level(now["level"])
            yield self.gettext("%(dial)s: %(old)s", dial=place, old=step)
            if now.get("expires_at"):
                date = self._words.date(parse_time(now["expires_at"]))
                yield self.gettext("Your yes holds until %(date)s.", date=date)
        for channel, until in (event["details"].get("pauses") or {}).items():
            end = self._words.time(parse_time(until)) if until else "–"
            yield self.gettext(
                "End of the pause: %(dial)s %(until)s", dial=self._names.place((channel, "*")), until=end
            )

    def _said(self, event: Event) -> Iterator[Markup]:
        """What was said in a dialogue, and its terms where they were set."""
        after = event["after"] or {}
        if not self._masked:
            for said in (after.get("subject"), event["details"].get("text")):
                if said:
                    yield Markup("<q>{}</q>").format(said)
        if after:
            yield self.gettext(
                "%(channels)s, at most %(contacts)s times, until %(until)s",
                channels=Markup(", ").join(self._names.channel(one) for one in after["channels"]),
                contacts=self._words.number(after["contacts"]),
                until=self._words.time(parse_time(after["until"])),
            )

    def _step(self, old: str | None, new: str | None) -> Markup:
        arrow = Markup('<del>{}</del> <i class="to" aria-hidden="true"></i> <ins>{}</ins>')
        return arrow.format(self._level(old), self._level(new))

    def _level(self, name: str | None) -> Markup:
        if name is None:
            return self.gettext("not set")
        return self._levels.get(name) or escape(name)

    def _fields(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Markup]:
        arrow = Markup('<del dir="ltr">{}</del> <i class="to" aria-hidden="true"></i> <ins dir="ltr">{}</ins>')
        for name, label in FIELDS.items():
            if before.get(name) != after.get(name):
                step = arrow.format(before.get(name) or "–", after.get(name) or "–")
                yield self.gettext("%(dial)s: %(old)s", dial=self._words.gettext(label), old=step)

    def _why(self, details: Mapping[str, Any]) -> Iterator[Markup]:
        """What held a contact back."""
        decision = details.get("decision") or {}
        if decision.get("reason") not in ("silent", "on_request_only", "volume_reached"):
            return
        full = decision["reason"] == "volume_reached"
        for one in decision["governed_by"]:
            if full and one["room"] != 0:
                continue
            yield self._held_by(one)
            return

    def _held_by(self, one: Mapping[str, Any]) -> Markup:
        if one["kind"] == "policy":
            return self.gettext("Held back by a limit that we set ourselves: %(name)s", name=one["name"])
        level, place = self._level(one["level"]), self._names.place((one["channel"], one["topic"]))
        if one["kind"] == "default":
            return self.gettext("Held back by what we assume where you have not chosen: %(level)s", level=level)
        return self.gettext("Held back by your dial “%(dial)s”: %(level)s", dial=place, level=level)

    def _reason(self, reason: str) -> str:
        return self._words.gettext(REASONS[reason]) if reason in REASONS else reason


def _is_earlier(event: Event) -> bool:
    recorded: datetime = parse_time(event["recorded_at"])
    return (recorded - parse_time(event["occurred_at"])).total_seconds() >= 60


_SENTENCES: Mapping[str, Callable[[Teller, Event], Markup]] = {
    "confirmation.dropped": Teller._confirmation_dropped,
    "confirmation.given": Teller._confirmation_given,
    "contact.recorded": Teller._contact,
    "contact.refused": Teller._contact_refused,
    "contact.reported": Teller._contact_reported,
    "customer.changed": Teller._changed,
    "customer.created": Teller._created,
    "customers.merged": Teller._merged,
    "dialogue.opened": Teller._begun,
    **dict.fromkeys(DIALOGUES, Teller._talked),
    "dials.changed": Teller._dials,
    "dials.requested": Teller._asked_for_more,
    "identifier.added": Teller._added,
    "identifier.confirmed": Teller._confirmed,
    "identifier.removed": Teller._removed,
    "identifier.requested": Teller._address_asked_for,
    "mail.failed": Teller._mail,
    "mail.sent": Teller._mail,
    "pause.ended": Teller._pause_ended,
    "pause.set": Teller._pause,
    "permit.refused": Teller._reserved_refused,
    "permit.released": Teller._released,
    "permit.reserved": Teller._reserved,
    "permit.voided": Teller._voided,
    "suppression.lifted": Teller._lifted,
    "suppression.set": Teller._suppressed,
    "token.issued": Teller._token,
    **dict.fromkeys(CIRCLE, Teller._circle),
}
TYPES = frozenset(_SENTENCES)
