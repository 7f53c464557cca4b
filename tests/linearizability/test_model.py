"""What stands around the decision in the model: versions, permits and pauses, one act after the other."""

from __future__ import annotations

from dataclasses import replace

from tests.linearizability.acts import Contact, EndPause, Release, SetPause, Turn, Use
from tests.linearizability.model import AT, Permit
from tests.linearizability.stories import BUSY, OPEN, WEEKLY, WINE, Story


def turned(story: Story, channel: str, topic: str, level: str | None, version: int | None = None) -> int:
    """The version after a dial was turned; 0 when it was not."""
    answer = story.does(Turn((((channel, topic), level),), version), 0, 1)
    return answer.settings.version if answer.settings is not None else 0


def test_a_permit_is_used_in_its_own_room() -> None:
    used = Story(WEEKLY.with_permit("p", Permit(WINE))).does(Use("p"), 0, 1)
    assert used.status == 201
    assert used.decision is not None
    assert used.decision.remaining == 1


def test_a_permit_keeps_its_room_until_it_ends() -> None:
    story = Story(WEEKLY.with_permit("p", Permit(WINE)))
    assert story.does(Contact(WINE), 0, 1).status == 409
    assert story.does(Release("p"), 2, 3).status == 204
    assert story.does(Contact(WINE), 4, 5).status == 201


def test_only_what_changes_something_is_a_new_version() -> None:
    story = Story(BUSY)
    assert turned(story, "*", "offers", "busy") == 1
    assert turned(story, "email", "*", None) == 1
    assert turned(story, "email", "*", "everything") == 2
    # The consent to garden ends some day: the same word again renews it.
    assert turned(story, "*", "offers/garden", "busy") == 3
    assert turned(story, "*", "offers/garden", "busy") == 4


def test_a_stale_version_stops_what_is_louder_and_nothing_that_is_quieter() -> None:
    story = Story(replace(BUSY, version=7))
    assert turned(story, "*", "offers", "everything", version=6) == 0
    assert turned(story, "*", "offers", "weekly", version=6) == 8
    # Without a dial the fader is at its loudest, and the topic is silent for want of consent.
    assert turned(story, "sms", "*", "everything", version=6) == 9
    assert turned(story, "sms", "offers", "weekly", version=6) == 0


def test_a_pause_is_set_and_ended_once() -> None:
    story = Story(OPEN)
    for act, version in [(SetPause("email", AT), 2), (SetPause("email", AT), 2), (EndPause("email"), 3),
                         (EndPause("email"), 3)]:  # fmt: skip
        answer = story.does(act, 0, 1)
        assert answer.settings is not None
        assert answer.settings.version == version
