-- What the check that opens events reads, a page of customers at a time.

-- name: size
-- How much there is to read, for a progress bar; one row.
SELECT (SELECT count(*) FROM customer WHERE state = 'active') AS customers, (SELECT count(*) FROM event) AS events;

-- name: owners
-- The next active customers in the order of their ids. By primary key.
SELECT customer_id, time_zone, locale, segment
FROM customer
WHERE state = 'active' AND (%(after)s::uuid IS NULL OR customer_id > %(after)s::uuid)
ORDER BY customer_id
LIMIT %(most)s::integer;

-- name: lineages
-- These customers and those merged into them. By primary key and customer_survivor.
SELECT customer_id, customer_id AS owner FROM customer WHERE customer_id = ANY (%(owners)s::uuid[])
UNION ALL
SELECT customer_id, survivor_id FROM customer WHERE survivor_id = ANY (%(owners)s::uuid[]);

-- name: events
-- The events of these customers, one customer's together, oldest first. By event_page.
SELECT q.owner, e.customer_id, e.event_id, e.type, e.recorded_at, e.commitment, t.ciphertext
FROM unnest(%(customer_ids)s::uuid[], %(owners)s::uuid[]) AS q (customer_id, owner)
JOIN event e ON e.customer_id = q.customer_id
LEFT JOIN event_content t ON t.customer_id = e.customer_id AND t.event_id = e.event_id
ORDER BY q.owner, e.recorded_at, e.event_id;

-- name: dials
SELECT customer_id, channel, topic, level, set_at, last_act_at, expires_at, source, role, event_id
FROM dial
WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: pauses
SELECT customer_id, channel, until, event_id FROM pause WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: suppressions
SELECT customer_id, channel, kind, set_at FROM suppression WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: permits
SELECT customer_id, permit_id, key_name, channel, topic, campaign, reserved_at, valid_from, expires_at, state,
       ended_at, contact_id, counts, dialogue_id, milestone_id, event_id
FROM permit
WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: contacts
SELECT customer_id, contact_id, key_name, channel, topic, campaign, contacted_at, recorded_at, permit_id,
       external_id, permitted, reason, counts, dialogue_id, milestone_id, event_id
FROM contact
WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: dialogues
SELECT customer_id, dialogue_id, topic, channels, until, contacts, any_time, opened_at, role, source, waiting_since,
       closed_at, closed_by, event_id
FROM dialogue
WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: entries
SELECT customer_id, dialogue_id, number, kind, role, answers, said_at, event_id
FROM dialogue_entry
WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: identifiers
SELECT customer_id, kind, value_hash, ciphertext, confirmed_at
FROM identifier
WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: mails
-- What waits to be sent, and for a confirmation; what dialogues are about. By primary keys.
SELECT customer_id, mail_id AS id, ciphertext FROM mail WHERE customer_id = ANY (%(owners)s::uuid[]) AND state = 'queued'
UNION ALL
SELECT customer_id, change_id, ciphertext FROM pending_change WHERE customer_id = ANY (%(owners)s::uuid[])
UNION ALL
SELECT customer_id, dialogue_id, ciphertext FROM dialogue WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: circle
-- Whom they named and what they told. By primary keys.
SELECT customer_id, person_id AS id, ciphertext FROM person WHERE customer_id = ANY (%(owners)s::uuid[])
UNION ALL
SELECT customer_id, fact_id, ciphertext FROM fact WHERE customer_id = ANY (%(owners)s::uuid[]);

-- name: link_requests
-- What waits for the worker; a day's at most. By link_request_waiting.
SELECT request_id, ciphertext FROM link_request WHERE ciphertext IS NOT NULL;

-- name: point_suppressions
SELECT suppression_id, identifier_kind, channel, kind, set_at FROM point_suppression;

-- name: api_keys
SELECT key_id, name, role, topics, revoked_at IS NOT NULL AS revoked FROM api_key;

-- name: catalogue_versions
SELECT version, document FROM catalogue_version;

-- name: not_erased
-- Those of these customers whom nobody has erased. By primary key.
SELECT q.customer_id
FROM unnest(%(customer_ids)s::uuid[]) AS q (customer_id)
LEFT JOIN customer c ON c.customer_id = q.customer_id
WHERE c.state IS DISTINCT FROM 'erased';

-- name: erased
-- How many were erased; one row.
SELECT count(*) AS customers FROM customer WHERE state = 'erased';
