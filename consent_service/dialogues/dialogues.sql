-- Dialogues and what is said in them. Writers hold the customer's lock.

-- name: stand
-- The dialogues of a customer, or one of them, newest first, from after a cursor: how each stands now. By primary key;
-- contacts by contact_in_dialogue.
SELECT d.customer_id, d.dialogue_id, d.topic, d.channels, d.until, d.contacts, d.any_time, d.opened_at, d.role, d.source,
       d.waiting_since, d.closed_at, d.closed_by, d.ciphertext,
       CASE WHEN d.closed_at IS NOT NULL THEN 'closed' WHEN d.until <= clock_timestamp() THEN 'expired' ELSE 'open' END AS state,
       COALESCE(tp.essential, true) AS essential, COALESCE(tp.covered_by, ARRAY[d.topic]) AS covered_by,
       (SELECT count(*) FROM contact k
        WHERE k.customer_id = d.customer_id AND k.dialogue_id = d.dialogue_id AND k.milestone_id IS NULL) AS made,
       (SELECT count(*) FROM permit m
        WHERE m.customer_id = d.customer_id AND m.dialogue_id = d.dialogue_id AND m.milestone_id IS NULL
          AND m.state = 'open' AND m.expires_at > clock_timestamp()) AS reserved,
       (SELECT COALESCE(max(e.number), 0) FROM dialogue_entry e
        WHERE e.customer_id = d.customer_id AND e.dialogue_id = d.dialogue_id) AS entries
FROM dialogue d
LEFT JOIN topic tp ON tp.name = d.topic
WHERE d.customer_id = %(customer_id)s::uuid
  AND (%(dialogue_id)s::uuid IS NULL OR d.dialogue_id = %(dialogue_id)s::uuid)
  AND (%(before)s::uuid IS NULL OR d.dialogue_id < %(before)s::uuid)
ORDER BY d.dialogue_id DESC
LIMIT %(most)s::integer;

-- name: open_ones
-- How many dialogues of a customer are open; one row, with the time. By primary key.
SELECT count(*) FILTER (WHERE closed_at IS NULL AND until > clock_timestamp()) AS count, clock_timestamp() AS now
FROM dialogue
WHERE customer_id = %(customer_id)s::uuid;

-- name: insert
INSERT INTO dialogue (customer_id, dialogue_id, topic, channels, until, contacts, any_time, opened_at, role, source,
                      waiting_since, event_id, ciphertext)
VALUES (%(customer_id)s::uuid, %(dialogue_id)s::uuid, %(topic)s::text, %(channels)s::text[], %(until)s::timestamptz,
        %(contacts)s::integer, %(any_time)s::boolean, %(opened_at)s::timestamptz, %(role)s::text, %(source)s::text,
        %(opened_at)s::timestamptz, %(event_id)s::uuid, %(ciphertext)s::bytea);

-- name: change_terms
UPDATE dialogue
SET channels = %(channels)s::text[], until = %(until)s::timestamptz, contacts = %(contacts)s::integer,
    any_time = %(any_time)s::boolean
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid;

-- name: close
UPDATE dialogue
SET closed_at = %(closed_at)s::timestamptz, closed_by = %(closed_by)s::text
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid;

-- name: spoke
-- The customer waits for an answer from then on, or goes on waiting; NULL: the company has spoken.
UPDATE dialogue
SET waiting_since = CASE WHEN %(waiting_since)s::timestamptz IS NULL THEN NULL
                         ELSE COALESCE(waiting_since, %(waiting_since)s::timestamptz) END
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid;

-- name: next_number
-- The number of the next entry of a locked customer's dialogue, and the time; one row. By primary key.
SELECT COALESCE(max(number), 0) + 1 AS number, clock_timestamp() AS now
FROM dialogue_entry
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid;

-- name: add_entry
INSERT INTO dialogue_entry (customer_id, dialogue_id, number, kind, role, answers, said_at, event_id)
VALUES (%(customer_id)s::uuid, %(dialogue_id)s::uuid, %(number)s::integer, %(kind)s::text, %(role)s::text,
        %(answers)s::integer, %(said_at)s::timestamptz, %(event_id)s::uuid);

-- name: entries
-- Up to %(most)s entries of a dialogue after a number, in their order, each with the entry that answered it. By primary
-- key and a_proposal_is_answered_once.
SELECT e.number, e.kind, e.role, e.answers, e.said_at, e.event_id, a.number AS answered_by, a.role AS answered_by_role
FROM dialogue_entry e
LEFT JOIN dialogue_entry a ON a.customer_id = e.customer_id AND a.dialogue_id = e.dialogue_id AND a.answers = e.number
WHERE e.customer_id = %(customer_id)s::uuid AND e.dialogue_id = %(dialogue_id)s::uuid
  AND e.number > %(after)s::integer
ORDER BY e.number
LIMIT %(most)s::integer;

-- name: proposal
-- One proposal of a dialogue with the entry that answered it; one row or none. By primary key and
-- a_proposal_is_answered_once.
SELECT e.event_id, a.number AS answered_by, a.role AS answered_by_role
FROM dialogue_entry e
LEFT JOIN dialogue_entry a ON a.customer_id = e.customer_id AND a.dialogue_id = e.dialogue_id AND a.answers = e.number
WHERE e.customer_id = %(customer_id)s::uuid AND e.dialogue_id = %(dialogue_id)s::uuid
  AND e.number = %(number)s::integer AND e.kind = 'proposal';
