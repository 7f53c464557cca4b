"""The words of history that are looked up by what an event says: reasons, ways, fields, stops."""

from __future__ import annotations

from consent_service.i18n import N_

REASONS = {
    "erased": N_("you had asked to be forgotten"),
    "unknown_customer": N_("we did not know you yet"),
    "suppressed": N_("we are to leave you alone"),
    "essential": N_("you need to know it"),
    "paused": N_("you had paused"),
    "in_dialogue": N_("it answers what you began"),
    "consent_expired": N_("your yes had ended"),
    "no_consent": N_("you had not asked for it"),
    "silent": N_("you want to hear nothing of it"),
    "on_request_only": N_("you want it only when you ask"),
    "volume_reached": N_("you had heard as much as you wanted"),
    "quiet_hours": N_("it was too early or too late in the day"),
    "allowed": N_("there was room for it"),
}
SOURCES = {
    "web": N_("on these pages"),
    "link": N_("by a link in a message"),
    "phone": N_("by phone"),
    "letter": N_("by letter"),
    "form": N_("on a form"),
    "visit": N_("on a visit"),
    "email": N_("by e-mail"),
    "sms": N_("by text message"),
    "store": N_("in a shop"),
    "dialogue": N_("in a conversation"),
    "import": N_("from another system"),
}
MAILS = {
    "link": N_("We sent you a mail with your link."),
    "confirm": N_("We sent you a mail that asks you to confirm."),
    "address": N_("We sent a mail to a new address, to be confirmed there."),
}
OTHER_MAIL = N_("We sent you a mail.")
DIALOGUES = {
    "dialogue.message": N_("A message was written in a conversation."),
    "dialogue.proposed": N_("Something was proposed in a conversation. Nothing of it holds unless you accept it."),
    "dialogue.withdrawn": N_("A proposal in a conversation was taken back."),
    "dialogue.accepted": N_("A proposal in a conversation was accepted."),
    "dialogue.refused": N_("A proposal in a conversation was refused."),
    "dialogue.countered": N_("A proposal in a conversation was answered with changes."),
    "dialogue.narrowed": N_("In a conversation we may say less from now on."),
    "dialogue.widened": N_("In a conversation we may say more from now on."),
    "dialogue.closed": N_("A conversation was closed. Nobody opens it again."),
}
FIELDS = {"time_zone": N_("Time zone"), "locale": N_("Language"), "segment": N_("Group")}

# By what became of it, its kind, and whether it is about one channel.
STOPS = {
    ("set", "marketing", False): N_("From now on we send you no advertising."),
    ("set", "marketing", True): N_("From now on we send you no advertising by %(channel)s."),
    ("set", "all", False): N_("From now on we send you nothing at all."),
    ("set", "all", True): N_("From now on we send you nothing at all by %(channel)s."),
    ("lifted", "marketing", False): N_("Advertising is no longer stopped: your dials say what you hear."),
    ("lifted", "marketing", True): N_("Advertising by %(channel)s is no longer stopped: your dials say what you hear."),
    ("lifted", "all", False): N_("Messages are no longer stopped: your dials say what you hear."),
    ("lifted", "all", True): N_("Messages by %(channel)s are no longer stopped: your dials say what you hear."),
}

# What happens around a conversation. Whom somebody named, and what they told, history does not know.
CIRCLE = {
    "person.named": N_("You named somebody in a conversation. Only you and our service desk see whom."),
    "person.changed": N_("What you said of somebody whom you named was changed."),
    "person.removed": N_("Somebody whom you had named was forgotten."),
    "person.invited": N_("You were given an invitation, to pass on to somebody whom you named."),
    "invitation.accepted": N_("You said yes to an invitation."),
    "fact.told": N_("You told us something for a purpose: %(name)s."),
    "fact.changed": N_("Something that you told us was changed: %(name)s."),
    "fact.withdrawn": N_("Something that you told us was withdrawn: %(name)s."),
    "fact.read": N_("Something that you told us was read: %(name)s."),
}
