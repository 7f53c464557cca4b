"""What a page says when it cannot do what was asked: for every code of `errors.py`, in a person's words.

Details and titles of errors are written for programs and their logs; none of them stands on a page. Each apology says
what happened, whether anything was changed, and what to do next; the page adds the way on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from consent_service.errors import ConsentError
from consent_service.i18n import N_

# Where the page leads on: to the visitor's own pages (or to a new link), the same page again, or nowhere else.
Way = Literal["home", "again", "stay"]


@dataclass(frozen=True, slots=True)
class Apology:
    """Title and text are keys of the catalogs."""

    title: str
    text: str
    way: Way = "home"


_LOST = Apology(
    N_("There is nothing here"),
    N_(
        "Perhaps the link was cut off on its way, or it has done its work already. Nothing has changed, and"
        " your choices"
        " are as you left them."
    ),
)
_UNREADABLE = Apology(
    N_("We could not read this"),
    N_("Something in what was sent is not as we expect it. Nothing was changed. Please go back, and try once more."),
)
_TOO_LARGE = Apology(
    N_("This is more than we can take"),
    N_("Nothing was changed. Please go back, and send less at a time."),
)
_MEANWHILE = Apology(
    N_("Something has changed meanwhile"),
    N_("Nothing was changed now. Please look at your choices as they are, and decide again."),
)
_NOT_YOURS = Apology(
    N_("This is not open to you"),
    N_("Nothing was changed. If you think that it should be open, please tell the people who look after this service."),
)
_NEEDED = Apology(
    N_("Something is missing"),
    N_("Nothing was changed. Turning up needs a little more than turning down: please go back and look what is asked."),
)
_UNAVAILABLE = Apology(
    N_("We cannot answer just now"),
    N_(
        "This will pass, most often within a minute. If you have just saved something, please look then whether it is"
        " there."
    ),
    "again",
)

_BY_CODE = {
    "visit_ended": Apology(
        N_("Your visit has ended"),
        N_(
            "So that nobody else turns your dials, a visit ends after half an hour without a step. Nothing of what you"
            " sent just now was saved. Open the link in one of our messages again, or have a new one sent to you."
        ),
    ),
    "csrf_failed": Apology(
        N_("Please send this once more"),
        N_(
            "We could not tell that it came from a page of ours: perhaps the page was open for long. Nothing was"
            " changed."
            " Please go back, load the page anew, and try again."
        ),
    ),
    "rate_limited": Apology(
        N_("One moment, please"),
        N_("More came from your connection than we can take at once. Nothing was changed. Please wait a minute."),
        "again",
    ),
    "customer_erased": Apology(
        N_("You are forgotten here"),
        N_("As you wished, nothing that names you is kept here any more, and you will not hear from us."),
        "stay",
    ),
    "confirmation_required": Apology(
        N_("This waits for your confirmation"),
        N_(
            "Turning this up takes a confirmation from the address that it is about. Nothing was changed; turning down"
            " is possible at once."
        ),
    ),
    "internal": Apology(
        N_("Something went wrong on our side"),
        N_(
            "It is not your doing, and we have a note of it. Please try again; if it stays so, tell us the"
            " number below."
        ),
        "again",
    ),
    "decision_unavailable": _UNAVAILABLE,
    "request_timeout": _UNAVAILABLE,
    "unauthenticated": _NOT_YOURS,
    "topic_not_allowed": _NOT_YOURS,
    "role_not_allowed": _NOT_YOURS,
    "notice_required": _NEEDED,
    "evidence_required": _NEEDED,
    "missing_field": _NEEDED,
    "occurred_at_required": _NEEDED,
}
_BY_STATUS = {
    401: _NOT_YOURS,
    403: _NOT_YOURS,
    404: _LOST,
    405: _LOST,
    408: _UNAVAILABLE,
    409: _MEANWHILE,
    412: _MEANWHILE,
    413: _TOO_LARGE,
    414: _TOO_LARGE,
    429: _BY_CODE["rate_limited"],
    431: _TOO_LARGE,
    503: _UNAVAILABLE,
}


def apology(error: ConsentError) -> Apology:
    """What a page says of the error: by its code, else by its status."""
    return _BY_CODE.get(error.code) or _BY_STATUS.get(error.status) or _UNREADABLE
