"""Ways to break a sound database, each with the checks of fsck that see it."""

from __future__ import annotations

# What each statement breaks, and every check that sees it. %(ada)s and the others are ids of the world.
BREAKS: list[tuple[str, str]] = [
    (
        "merged_customer_without_survivor customer_without_key customer_without_creation",
        (
            "INSERT INTO customer (customer_id, state, survivor_id, created_at)"
            " VALUES (gen_random_uuid(), 'merged', %(cy)s, now())"
        ),
    ),
    (
        "merged_customer_keeps_something identifier_without_owner",
        "INSERT INTO identifier VALUES (%(bea)s, 'email', 'x', 'x', now())",
    ),
    (
        "erased_customer_keeps_something",
        "UPDATE customer SET locale = 'en' WHERE customer_id = %(cy)s",
    ),
    (
        "erased_customer_keeps_something answer_of_nobody",
        (
            "UPDATE idempotency SET ciphertext = 'x' WHERE customer_id = %(cy)s;"
            "UPDATE idempotency SET customer_id = gen_random_uuid() WHERE customer_id = %(ada)s"
        ),
    ),
    ("customer_without_key", "DELETE FROM customer_key WHERE customer_id = %(dan)s"),
    ("key_of_nobody", "INSERT INTO customer_key VALUES (%(cy)s, 'x', 'x')"),
    ("identifier_without_owner", "DELETE FROM identifier_owner WHERE customer_id = %(dan)s AND kind = 'email'"),
    (
        "identifier_without_owner",
        "UPDATE identifier_owner SET holder = customer_id WHERE customer_id = %(dan)s AND kind = 'email'",
    ),
    (
        "owner_without_identifier",
        "INSERT INTO identifier_owner VALUES ('email', 'x', %(nobody)s, %(dan)s)",
    ),
    (
        "erased_identifier_in_use",
        "INSERT INTO erased_identifier SELECT kind, value_hash, now() FROM identifier WHERE kind = 'email'",
    ),
    (
        "event_of_nobody event_without_content",
        (
            "INSERT INTO event SELECT gen_random_uuid(), gen_random_uuid(), 'token.issued', now(), commitment"
            " FROM event LIMIT 1"
        ),
    ),
    (
        "mail_without_its_event",
        (
            "INSERT INTO mail VALUES (%(dan)s, gen_random_uuid(), 'link', 'sent', now(), 1, now(), now(),"
            " gen_random_uuid(), NULL)"
        ),
    ),
    (
        "mail_does_not_open",
        (
            "INSERT INTO mail VALUES (%(dan)s, gen_random_uuid(), 'link', 'queued', now(), 0, now(), NULL, NULL,"
            " 'nothing that was sealed')"
        ),
    ),
    (
        "erased_customer_keeps_something",
        "INSERT INTO mail VALUES (%(cy)s, gen_random_uuid(), 'link', 'queued', now(), 0, now(), NULL, NULL, 'x')",
    ),
    (
        "merged_customer_keeps_something",
        "INSERT INTO mail VALUES (%(bea)s, gen_random_uuid(), 'link', 'queued', now(), 0, now(), NULL, NULL, 'x')",
    ),
    (
        "person_without_its_event circle_does_not_open",
        (
            "INSERT INTO person VALUES (%(dan)s, gen_random_uuid(), gen_random_uuid(), now(), gen_random_uuid(),"
            " 'nothing that was sealed')"
        ),
    ),
    (
        "fact_without_its_event circle_does_not_open",
        (
            "INSERT INTO fact VALUES (%(dan)s, gen_random_uuid(), gen_random_uuid(), now() + '1 d', now(),"
            " gen_random_uuid(), 'nothing that was sealed')"
        ),
    ),
    (
        "erased_customer_keeps_something person_without_its_event",
        "INSERT INTO person VALUES (%(cy)s, gen_random_uuid(), gen_random_uuid(), now(), gen_random_uuid(), 'x')",
    ),
    (
        "merged_customer_keeps_something fact_without_its_event",
        (
            "INSERT INTO fact VALUES (%(bea)s, gen_random_uuid(), gen_random_uuid(), now() + '1 d', now(),"
            " gen_random_uuid(), 'x')"
        ),
    ),
    (
        "pending_change_without_its_event mail_does_not_open",
        (
            "INSERT INTO pending_change VALUES (%(dan)s, gen_random_uuid(), 'louder', 'open', now(), now() + '1 d',"
            " NULL, gen_random_uuid(), NULL, 'nothing that was sealed')"
        ),
    ),
    (
        "erased_customer_keeps_something pending_change_without_its_event",
        (
            "INSERT INTO pending_change VALUES (%(cy)s, gen_random_uuid(), 'louder', 'open', now(), now() + '1 d',"
            " NULL, gen_random_uuid(), NULL, 'x')"
        ),
    ),
    (
        "dialogue_differs_from_events",
        "UPDATE dialogue SET contacts = contacts + 1 WHERE customer_id = %(ada)s AND closed_at IS NULL",
    ),
    (
        "dialogue_differs_from_events",
        "UPDATE dialogue SET waiting_since = NULL WHERE customer_id = %(ada)s AND closed_at IS NULL",
    ),
    (
        "dialogue_differs_from_events",
        "UPDATE dialogue_entry SET answers = 1 WHERE customer_id = %(ada)s AND kind = 'message'",
    ),
    (
        "dialogue_without_its_event entries_out_of_order dialogue_differs_from_events",
        "UPDATE dialogue SET event_id = gen_random_uuid() WHERE customer_id = %(ada)s",
    ),
    (
        "entry_without_its_event event_without_its_entry dialogue_differs_from_events",
        "UPDATE dialogue_entry SET event_id = gen_random_uuid() WHERE customer_id = %(ada)s AND kind = 'message'",
    ),
    (
        "entry_without_its_event dialogue_differs_from_events",
        "UPDATE dialogue_entry SET kind = 'proposal' WHERE customer_id = %(ada)s AND kind = 'message'",
    ),
    (
        "event_without_its_entry entries_out_of_order dialogue_differs_from_events",
        "DELETE FROM dialogue_entry WHERE customer_id = %(ada)s AND kind = 'message'",
    ),
    (
        "entries_out_of_order dialogue_differs_from_events",
        "UPDATE dialogue SET closed_at = NULL, closed_by = NULL WHERE customer_id = %(ada)s AND closed_at IS NOT NULL",
    ),
    (
        "mail_does_not_open",
        "UPDATE dialogue SET ciphertext = 'nothing that was sealed' WHERE customer_id = %(ada)s",
    ),
    (
        "merged_customer_keeps_something dialogue_without_its_event entries_out_of_order",
        (
            "INSERT INTO dialogue SELECT %(bea)s, gen_random_uuid(), topic, channels, until, contacts, any_time,"
            " opened_at, role, source, NULL, NULL, NULL, gen_random_uuid(), ciphertext FROM dialogue LIMIT 1"
        ),
    ),
    (
        "erased_customer_keeps_something entry_without_its_event",
        (
            "INSERT INTO dialogue_entry SELECT %(cy)s, gen_random_uuid(), 1, 'opening', 'customer', NULL, now(),"
            " gen_random_uuid()"
        ),
    ),
    (
        "link_request_does_not_open",
        "INSERT INTO link_request VALUES (gen_random_uuid(), 'x', 'nothing that was sealed', now())",
    ),
    (
        "desk_session_of_a_wrong_key",
        "INSERT INTO desk_session SELECT 'x', key_id, now(), now() FROM api_key WHERE role = 'campaign' LIMIT 1",
    ),
    (
        "desk_session_of_a_wrong_key",
        "INSERT INTO desk_session SELECT 'x', key_id, now(), now() - interval '1 s' FROM api_key WHERE role = 'desk'",
    ),
    (
        "customer_differs_from_events",
        "UPDATE identifier SET confirmed_at = now() WHERE customer_id = %(dan)s AND kind = 'email'",
    ),
    (
        "event_without_content contact_differs_from_events",
        "DELETE FROM event_content WHERE event_id IN (SELECT event_id FROM contact WHERE customer_id = %(dan)s)",
    ),
    ("content_without_event", "INSERT INTO event_content VALUES (%(dan)s, gen_random_uuid(), 'x')"),
    (
        "customer_without_creation customer_differs_from_events",
        (
            "DELETE FROM event_content WHERE event_id IN"
            " (SELECT event_id FROM event WHERE customer_id = %(dan)s AND type = 'customer.created');"
            "DELETE FROM event WHERE customer_id = %(dan)s AND type = 'customer.created'"
        ),
    ),
    ("version_differs_from_events", "UPDATE customer SET version = version + 1 WHERE customer_id = %(dan)s"),
    (
        "dial_without_its_event last_turn_stands_nowhere dial_differs_from_events",
        "UPDATE dial SET event_id = gen_random_uuid() WHERE customer_id = %(ada)s AND topic = '*'",
    ),
    (
        "dial_without_its_event",
        "UPDATE dial SET recorded_at = recorded_at - interval '1 s' WHERE customer_id = %(ada)s AND topic = 'offers'",
    ),
    (
        "last_turn_stands_nowhere dial_differs_from_events",
        "DELETE FROM dial WHERE customer_id = %(ada)s AND channel = 'email' AND topic = '*'",
    ),
    (
        "dial_differs_from_events",
        "UPDATE dial SET level = 'everything' WHERE customer_id = %(dan)s AND topic = 'offers'",
    ),
    (
        "dial_differs_from_events",
        "UPDATE dial SET expires_at = NULL WHERE customer_id = %(dan)s AND topic = 'offers/garden'",
    ),
    (
        "pause_without_its_event pause_differs_from_events",
        "INSERT INTO pause VALUES (%(dan)s, 'email', now(), now(), 'web', 'desk', gen_random_uuid())",
    ),
    ("pause_differs_from_events", "UPDATE pause SET until = until - interval '1 s' WHERE customer_id = %(ada)s"),
    (
        "suppression_without_its_event suppression_differs_from_events",
        "UPDATE suppression SET set_at = set_at + interval '1 s' WHERE customer_id = %(ada)s",
    ),
    ("suppression_differs_from_events", "DELETE FROM suppression"),
    ("suppression_differs_from_events", "DELETE FROM point_suppression"),
    ("suppression_without_its_event", "UPDATE point_suppression SET event_id = gen_random_uuid()"),
    (
        "permit_without_its_event event_without_its_permit permit_differs_from_events",
        "UPDATE permit SET event_id = gen_random_uuid() WHERE customer_id = %(ada)s AND state = 'open'",
    ),
    (
        "event_without_its_permit permit_differs_from_events",
        "DELETE FROM permit WHERE customer_id = %(ada)s AND state = 'released'",
    ),
    (
        "permit_differs_from_events",
        "UPDATE permit SET state = 'open', ended_at = NULL WHERE customer_id = %(ada)s AND state = 'released'",
    ),
    (
        "contact_without_its_event event_without_its_contact contact_differs_from_events",
        "UPDATE contact SET event_id = gen_random_uuid() WHERE customer_id = %(dan)s",
    ),
    ("event_without_its_contact contact_differs_from_events", "DELETE FROM contact WHERE customer_id = %(dan)s"),
    (
        "event_without_its_contact contact_differs_from_events",
        (
            "INSERT INTO contact SELECT customer_id, gen_random_uuid(), key_name, channel, topic, campaign,"
            " contacted_at, recorded_at, permit_id, external_id, permitted, reason, counts, event_id"
            " FROM contact WHERE customer_id = %(dan)s"
        ),
    ),
    ("contact_differs_from_events", "UPDATE contact SET counts = false WHERE customer_id = %(dan)s"),
    (
        "used_permit_without_its_contact contact_differs_from_events",
        "UPDATE contact SET permit_id = NULL WHERE customer_id = %(ada)s",
    ),
    (
        "contact_without_its_permit permit_differs_from_events",
        "UPDATE permit SET state = 'void', contact_id = NULL WHERE customer_id = %(ada)s AND state = 'used'",
    ),
    (
        "times_out_of_order permit_differs_from_events",
        "UPDATE permit SET expires_at = valid_from WHERE customer_id = %(ada)s AND state = 'open'",
    ),
    (
        "times_out_of_order contact_differs_from_events",
        "UPDATE contact SET contacted_at = contacted_at + interval '1 s' WHERE customer_id = %(dan)s",
    ),
    ("unknown_name", "DELETE FROM topic WHERE name = 'offers/garden'"),
    ("cap_exceeded", "UPDATE level SET contacts = 0 WHERE name = 'busy'"),
    (
        "catalogue_is_not_its_newest_version",
        "UPDATE catalogue SET applied_at = applied_at - interval '1 s'",
    ),
    (
        "catalogue_differs_from_events catalogue_is_not_its_newest_version",
        "UPDATE catalogue_version SET document = '{}'",
    ),
    ("index_not_valid", "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'contact_window'::regclass"),
    (
        "constraint_not_validated",
        "ALTER TABLE permit ADD CONSTRAINT there_is_hope CHECK (key_name <> '') NOT VALID",
    ),
    ("trigger_switched_off", "ALTER TABLE event DISABLE TRIGGER event_is_append_only"),
    ("trigger_switched_off", "DROP TRIGGER event_content_is_append_only ON event_content"),
    (
        "key_does_not_open",
        (
            "UPDATE customer_key SET wrapped_key = set_byte(wrapped_key, 20, get_byte(wrapped_key, 20) # 1)"
            " WHERE customer_id = %(dan)s"
        ),
    ),
    (
        "event_does_not_open contact_differs_from_events",
        (
            "UPDATE event_content SET ciphertext = set_byte(ciphertext, 50, get_byte(ciphertext, 50) # 1)"
            " WHERE event_id IN (SELECT event_id FROM contact WHERE customer_id = %(dan)s)"
        ),
    ),
    (
        "event_does_not_open contact_differs_from_events",
        (
            "UPDATE event SET commitment = set_byte(commitment, 5, get_byte(commitment, 5) # 1)"
            " WHERE event_id IN (SELECT event_id FROM contact WHERE customer_id = %(dan)s)"
        ),
    ),
    (
        "identifier_does_not_open customer_differs_from_events",
        (
            "UPDATE identifier SET ciphertext = set_byte(ciphertext, 15, get_byte(ciphertext, 15) # 1)"
            " WHERE customer_id = %(dan)s AND kind = 'email'"
        ),
    ),
    ("customer_differs_from_events", "UPDATE customer SET time_zone = 'Asia/Tokyo' WHERE customer_id = %(ada)s"),
    ("key_differs_from_events", "UPDATE api_key SET topics = '{orders}' WHERE role = 'campaign'"),
    ("key_differs_from_events", "UPDATE api_key SET revoked_at = NULL"),
    (
        "erasure_differs_from_events",
        "UPDATE customer SET state = 'erased' WHERE customer_id = %(eve)s",
    ),
]
