"""What is shown once is shown once, also when the request is sent again."""

from __future__ import annotations

from tests.support.api import Api


def test_a_key_is_not_shown_again_to_the_same_request(api: Api) -> None:
    body = {"name": "newsletter", "role": "campaign"}
    first, again = (
        api.call("POST", "/v1/keys", body, role="admin", headers={"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert first.json["key"].startswith("csk_")
    assert again.json == {"id": first.json["id"], "key": None}
    assert (
        len([one for one in api.call("GET", "/v1/keys", role="admin").json["keys"] if one["name"] == "newsletter"]) == 1
    )


def test_a_permit_of_somebody_erased_is_not_asked_for_again(api: Api) -> None:
    ben = api.customer("email:ben@example.com")
    api.turn(ben, ("email", "offers", "weekly"))
    ask = {"customer": "email:ben@example.com", "channel": "email", "topic": "offers"}
    assert api.call("POST", "/v1/permits", ask, headers={"Idempotency-Key": "p"}).status_code == 201
    api.post(f"/v1/customers/{ben}/erase", role="desk")
    again = api.call("POST", "/v1/permits", ask, headers={"Idempotency-Key": "p"})
    assert (again.status_code, again.json["code"]) == (409, "customer_erased")
