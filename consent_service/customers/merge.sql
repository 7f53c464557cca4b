-- Merging: everything of one customer becomes another's. Rows move by DELETE and INSERT, because customer_id is
-- what they are spread by. Both customers are locked.

-- name: dials
-- The dials of both as they stand, removed ones left out; by place. By primary key.
SELECT customer_id, channel, topic, level, set_at, expires_at
FROM dial
WHERE customer_id = ANY (%(customer_ids)s::uuid[]) AND level IS NOT NULL
ORDER BY customer_id, channel, topic;

-- name: pauses
-- The pauses of both. By primary key.
SELECT customer_id, channel, until
FROM pause
WHERE customer_id = ANY (%(customer_ids)s::uuid[])
ORDER BY customer_id, channel;

-- name: suppressions
-- The suppressions on either person. By primary key.
SELECT customer_id, channel, kind, set_at
FROM suppression
WHERE customer_id = ANY (%(customer_ids)s::uuid[])
ORDER BY customer_id, set_at, suppression_id;

-- name: merge_dials
-- At each place the dial that one of them has; of two the quieter, at equal levels the one that ends earlier. A
-- removed dial is none, but its last act is remembered. Source: rules.md, 5.
WITH kept AS (
  SELECT DISTINCT ON (d.channel, d.topic)
         d.channel, d.topic, d.level, d.set_at, d.recorded_at, d.expires_at, d.source, d.role, d.event_id,
         max(d.last_act_at) OVER (PARTITION BY d.channel, d.topic) AS last_act_at
  FROM dial d
  LEFT JOIN level l ON l.name = d.level
  WHERE d.customer_id IN (%(survivor_id)s::uuid, %(other_id)s::uuid)
  ORDER BY d.channel, d.topic, l.position NULLS LAST, d.expires_at NULLS LAST,
           (d.customer_id = %(survivor_id)s::uuid) DESC
)
INSERT INTO dial (customer_id, channel, topic, level, set_at, last_act_at, recorded_at, expires_at, source, role,
                  event_id)
SELECT %(survivor_id)s::uuid, channel, topic, level, set_at, last_act_at, recorded_at, expires_at, source, role, event_id
FROM kept
ON CONFLICT (customer_id, channel, topic) DO UPDATE
SET level = excluded.level, set_at = excluded.set_at, last_act_at = excluded.last_act_at,
    recorded_at = excluded.recorded_at, expires_at = excluded.expires_at, source = excluded.source,
    role = excluded.role, event_id = excluded.event_id;

-- name: delete_dials
DELETE FROM dial WHERE customer_id = %(other_id)s::uuid;

-- name: move_pauses
-- Of two pauses of a channel the later end stays.
WITH moved AS (
  DELETE FROM pause WHERE customer_id = %(other_id)s::uuid
  RETURNING channel, until, set_at, source, role, event_id
)
INSERT INTO pause (customer_id, channel, until, set_at, source, role, event_id)
SELECT %(survivor_id)s::uuid, channel, until, set_at, source, role, event_id
FROM moved
ON CONFLICT (customer_id, channel) DO UPDATE
SET until = excluded.until, set_at = excluded.set_at, source = excluded.source, role = excluded.role,
    event_id = excluded.event_id
WHERE excluded.until > pause.until;

-- name: forget_visits
-- What either has seen says nothing of both: louder changes by others are shown anew.
DELETE FROM desk_visit WHERE customer_id IN (%(survivor_id)s::uuid, %(other_id)s::uuid);

-- name: move_suppressions
WITH moved AS (
  DELETE FROM suppression WHERE customer_id = %(other_id)s::uuid
  RETURNING suppression_id, channel, kind, set_at, role, event_id
)
INSERT INTO suppression (customer_id, suppression_id, channel, kind, set_at, role, event_id)
SELECT %(survivor_id)s::uuid, suppression_id, channel, kind, set_at, role, event_id
FROM moved;

-- name: move_permits
WITH moved AS (
  DELETE FROM permit WHERE customer_id = %(other_id)s::uuid
  RETURNING permit_id, key_name, channel, topic, campaign, value_kind, value_hash, reserved_at, valid_from, expires_at, state,
            ended_at, contact_id, counts, dialogue_id, milestone_id, event_id
)
INSERT INTO permit (customer_id, permit_id, key_name, channel, topic, campaign, value_kind, value_hash, reserved_at, valid_from,
                    expires_at, state, ended_at, contact_id, counts, dialogue_id, milestone_id, event_id)
SELECT %(survivor_id)s::uuid, permit_id, key_name, channel, topic, campaign, value_kind, value_hash, reserved_at, valid_from,
       expires_at, state, ended_at, contact_id, counts, dialogue_id, milestone_id, event_id
FROM moved;

-- name: move_contacts
-- Both ledgers stay whole. A sender's own id that both have names the survivor's entry from now on.
WITH moved AS (
  DELETE FROM contact WHERE customer_id = %(other_id)s::uuid
  RETURNING contact_id, key_name, channel, topic, campaign, contacted_at, recorded_at, permit_id, external_id,
            permitted, reason, counts, dialogue_id, milestone_id, event_id
)
INSERT INTO contact (customer_id, contact_id, key_name, channel, topic, campaign, contacted_at, recorded_at, permit_id,
                     external_id, permitted, reason, counts, dialogue_id, milestone_id, event_id)
SELECT %(survivor_id)s::uuid, m.contact_id, m.key_name, m.channel, m.topic, m.campaign, m.contacted_at, m.recorded_at,
       m.permit_id, CASE WHEN k.contact_id IS NULL THEN m.external_id END, m.permitted, m.reason, m.counts,
       m.dialogue_id, m.milestone_id, m.event_id
FROM moved m
LEFT JOIN contact k ON k.customer_id = %(survivor_id)s::uuid AND k.key_name = m.key_name
  AND k.external_id = m.external_id;

-- name: dialogues
-- The dialogues of a customer. By primary key.
SELECT dialogue_id, ciphertext FROM dialogue WHERE customer_id = %(other_id)s::uuid;

-- name: copy_dialogues
-- The other's dialogues under the survivor, sealed anew: entries and occasions follow, and then the old rows go.
INSERT INTO dialogue (customer_id, dialogue_id, topic, channels, until, contacts, any_time, opened_at, role, source,
                      waiting_since, closed_at, closed_by, event_id, ciphertext)
SELECT %(survivor_id)s::uuid, d.dialogue_id, d.topic, d.channels, d.until, d.contacts, d.any_time, d.opened_at, d.role,
       d.source, d.waiting_since, d.closed_at, d.closed_by, d.event_id, q.ciphertext
FROM dialogue d
JOIN unnest(%(dialogue_ids)s::uuid[], %(ciphertexts)s::bytea[]) AS q (dialogue_id, ciphertext)
  ON q.dialogue_id = d.dialogue_id
WHERE d.customer_id = %(other_id)s::uuid;

-- name: move_entries
WITH moved AS (
  DELETE FROM dialogue_entry WHERE customer_id = %(other_id)s::uuid
  RETURNING dialogue_id, number, kind, role, answers, said_at, event_id
)
INSERT INTO dialogue_entry (customer_id, dialogue_id, number, kind, role, answers, said_at, event_id)
SELECT %(survivor_id)s::uuid, dialogue_id, number, kind, role, answers, said_at, event_id
FROM moved;

-- name: delete_dialogues
-- Last: what hangs on them has moved.
DELETE FROM dialogue WHERE customer_id = %(other_id)s::uuid;

-- name: pending
-- What waits for a confirmation, or waited. By primary key.
SELECT change_id AS own_id, ciphertext FROM pending_change WHERE customer_id = %(other_id)s::uuid;

-- name: move_pending
-- With what comes sealed anew.
WITH moved AS (
  DELETE FROM pending_change WHERE customer_id = %(other_id)s::uuid
  RETURNING change_id, kind, state, asked_at, expires_at, ended_at, event_id, end_event_id
)
INSERT INTO pending_change (customer_id, change_id, kind, state, asked_at, expires_at, ended_at, event_id, end_event_id,
                            ciphertext)
SELECT %(survivor_id)s::uuid, m.change_id, m.kind, m.state, m.asked_at, m.expires_at, m.ended_at, m.event_id,
       m.end_event_id, q.ciphertext
FROM moved m
JOIN unnest(%(own_ids)s::uuid[], %(ciphertexts)s::bytea[]) AS q (change_id, ciphertext) ON q.change_id = m.change_id;

-- name: people
-- Whom they named. By primary key.
SELECT person_id AS own_id, ciphertext FROM person WHERE customer_id = %(other_id)s::uuid;

-- name: move_people
-- With what comes sealed anew; their dialogue moves in the same transaction.
WITH moved AS (
  DELETE FROM person WHERE customer_id = %(other_id)s::uuid
  RETURNING person_id, dialogue_id, named_at, event_id
)
INSERT INTO person (customer_id, person_id, dialogue_id, named_at, event_id, ciphertext)
SELECT %(survivor_id)s::uuid, m.person_id, m.dialogue_id, m.named_at, m.event_id, q.ciphertext
FROM moved m
JOIN unnest(%(own_ids)s::uuid[], %(ciphertexts)s::bytea[]) AS q (person_id, ciphertext) ON q.person_id = m.person_id;

-- name: facts
-- What they told. By primary key.
SELECT fact_id AS own_id, ciphertext FROM fact WHERE customer_id = %(other_id)s::uuid;

-- name: move_facts
-- With what comes sealed anew; their dialogue moves in the same transaction.
WITH moved AS (
  DELETE FROM fact WHERE customer_id = %(other_id)s::uuid
  RETURNING fact_id, dialogue_id, until, told_at, event_id
)
INSERT INTO fact (customer_id, fact_id, dialogue_id, until, told_at, event_id, ciphertext)
SELECT %(survivor_id)s::uuid, m.fact_id, m.dialogue_id, m.until, m.told_at, m.event_id, q.ciphertext
FROM moved m
JOIN unnest(%(own_ids)s::uuid[], %(ciphertexts)s::bytea[]) AS q (fact_id, ciphertext) ON q.fact_id = m.fact_id;

-- name: move_confirmations
-- A name that both have, or that moved, was confirmed when either was first. By primary key.
UPDATE identifier s
SET confirmed_at = LEAST(s.confirmed_at, o.confirmed_at)
FROM identifier o
WHERE s.customer_id = %(survivor_id)s::uuid AND o.customer_id = %(other_id)s::uuid
  AND o.kind = s.kind AND o.value_hash = s.value_hash AND o.confirmed_at IS NOT NULL;

-- name: move_owners
-- Exclusive identifiers name the survivor from now on. By an_identifier_names_one_customer.
UPDATE identifier_owner o
SET customer_id = %(survivor_id)s::uuid
FROM identifier i
WHERE i.customer_id = %(other_id)s::uuid
  AND o.kind = i.kind AND o.value_hash = i.value_hash AND o.holder = %(nobody)s::uuid
  AND o.customer_id = %(other_id)s::uuid;

-- name: move_shared_owners
-- Shared identifiers are held by the survivor from now on, once. By an_identifier_names_one_customer.
WITH moved AS (
  DELETE FROM identifier_owner o
  USING identifier i
  WHERE i.customer_id = %(other_id)s::uuid
    AND o.kind = i.kind AND o.value_hash = i.value_hash AND o.holder = %(other_id)s::uuid
  RETURNING o.kind, o.value_hash
)
INSERT INTO identifier_owner (kind, value_hash, holder, customer_id)
SELECT kind, value_hash, %(survivor_id)s::uuid, %(survivor_id)s::uuid
FROM moved
ON CONFLICT ON CONSTRAINT an_identifier_names_one_customer DO NOTHING;

-- name: delete_identifiers
DELETE FROM identifier WHERE customer_id = %(other_id)s::uuid;

-- name: point_to_survivor
-- The other, and whoever had been merged into it, lead to the survivor: paths stay flat.
-- By primary key and customer_survivor.
UPDATE customer
SET state = 'merged', survivor_id = %(survivor_id)s::uuid, time_zone = NULL, locale = NULL, segment = NULL
WHERE customer_id = %(other_id)s::uuid OR survivor_id = %(other_id)s::uuid;

-- name: change_survivor
-- The survivor's fields, and a new version of its dials; the time.
UPDATE customer
SET time_zone = %(time_zone)s::text, locale = %(locale)s::text, segment = %(segment)s::text, version = version + 1
WHERE customer_id = %(survivor_id)s::uuid
RETURNING clock_timestamp() AS merged_at;
