"""May I contact this customer now, and about what: the answers for one channel, in words. Decides nothing itself.

It shows what `permissions` decided for the page's moment, and can be out of date a second later: who calls through a
system has that system ask again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from consent_service.catalogue.model import Channel
from consent_service.customers.model import PHONE
from consent_service.dials.desk import Facts
from consent_service.dials.words import Sentences
from consent_service.i18n import N_

REASONS: Mapping[str, str] = {
    "erased": N_("They asked to be forgotten."),
    "unknown_customer": N_("Nobody is known by this."),
    "suppressed": N_("A stop stands on the person or on the number or address."),
    "essential": N_("They need to know this."),
    "paused": N_("They have paused."),
    "in_dialogue": N_("It answers what they began."),
    "consent_expired": N_("Their yes has ended."),
    "no_consent": N_("They have not asked for it."),
    "silent": N_("They want to hear nothing of it."),
    "on_request_only": N_("They want it only when they ask."),
    "volume_reached": N_("They have heard as much as they want."),
    "quiet_hours": N_("It is too early or too late in their day."),
    "allowed": N_("There is room for it."),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """About one topic. `next_at` empty: it may be now, or time alone will not bring it."""

    topic: Markup
    allowed: bool
    reason: str
    next_at: str


@dataclass(frozen=True)
class Glance:
    """The answers for a channel, in the catalogue's order; `channels`: those that can be asked about."""

    channel: Channel
    channels: tuple[Channel, ...]
    answers: tuple[Answer, ...]

    @property
    def allowed(self) -> list[Markup]:
        """The topics about which it may be now."""
        return [one.topic for one in self.answers if one.allowed]


def glance(facts: Facts, say: Sentences, asked: str) -> Glance | None:
    """The answers for the channel asked for; without one, for calls. None: the catalogue has no channel."""
    live = facts.catalogue.live_channels
    channel = live.get(asked) or _of_calls(live)
    if channel is None:
        return None
    answers = []
    for topic in facts.catalogue.live_topics.values():
        decision = facts.decisions.get((channel.name, topic.name))
        if decision is not None:
            next_at = say.when(decision.next_allowed_at) if decision.next_allowed_at is not None else ""
            reason = say.words.gettext(REASONS[decision.reason])
            answers.append(Answer(say.named(topic.label), decision.allowed, reason, next_at))
    return Glance(channel, tuple(live.values()), tuple(answers))


def _of_calls(live: Mapping[str, Channel]) -> Channel | None:
    """The channel named for calls, else one that uses phone numbers, else the first."""
    by_number = (one for one in live.values() if one.identifier_kind == PHONE)
    return live.get(PHONE) or next(by_number, None) or next(iter(live.values()), None)
