-- What must hold whatever went wrong, as far as SQL can see: events are ciphertext, what they say is read in
-- retelling.py. A statement answers one row for each violation: `id`, which names a row by ids and nothing else,
-- in no order; no row when all is well. They are whole scans, for an operator's command, in one snapshot.
--
-- `heard`: the events of everybody who is not erased, under the customer who speaks for them now. An event stays
-- with the id that it was written for; a merge moves what is current.

-- name: merged_customer_without_survivor
-- Paths are flat: whoever was merged leads to an active customer.
SELECT m.customer_id::text AS id
FROM customer m
LEFT JOIN customer s ON s.customer_id = m.survivor_id
WHERE m.state = 'merged' AND s.state IS DISTINCT FROM 'active';

-- name: merged_customer_keeps_something
-- All that is current has moved to the survivor.
SELECT DISTINCT c.customer_id::text AS id
FROM customer c
LEFT JOIN (
  SELECT customer_id FROM dial
  UNION ALL SELECT customer_id FROM pause
  UNION ALL SELECT customer_id FROM desk_visit
  UNION ALL SELECT customer_id FROM permit
  UNION ALL SELECT customer_id FROM contact
  UNION ALL SELECT customer_id FROM suppression
  UNION ALL SELECT customer_id FROM identifier
  UNION ALL SELECT customer_id FROM identifier_owner
  UNION ALL SELECT customer_id FROM mail
  UNION ALL SELECT customer_id FROM pending_change
  UNION ALL SELECT customer_id FROM dialogue
  UNION ALL SELECT customer_id FROM dialogue_entry
  UNION ALL SELECT customer_id FROM person
  UNION ALL SELECT customer_id FROM fact
) kept ON kept.customer_id = c.customer_id
WHERE c.state = 'merged'
  AND (kept.customer_id IS NOT NULL OR c.time_zone IS NOT NULL OR c.locale IS NOT NULL OR c.segment IS NOT NULL);

-- name: erased_customer_keeps_something
-- Nothing that identifies is left, and nothing that was theirs; their key is checked by key_of_nobody.
SELECT DISTINCT c.customer_id::text AS id
FROM customer c
LEFT JOIN (
  SELECT customer_id FROM dial
  UNION ALL SELECT customer_id FROM pause
  UNION ALL SELECT customer_id FROM desk_visit
  UNION ALL SELECT customer_id FROM permit
  UNION ALL SELECT customer_id FROM contact
  UNION ALL SELECT customer_id FROM suppression
  UNION ALL SELECT customer_id FROM identifier
  UNION ALL SELECT customer_id FROM identifier_owner
  UNION ALL SELECT customer_id FROM mail
  UNION ALL SELECT customer_id FROM pending_change
  UNION ALL SELECT customer_id FROM dialogue
  UNION ALL SELECT customer_id FROM dialogue_entry
  UNION ALL SELECT customer_id FROM person
  UNION ALL SELECT customer_id FROM fact
  UNION ALL SELECT customer_id FROM idempotency WHERE ciphertext <> ''
) kept ON kept.customer_id = c.customer_id
WHERE c.state = 'erased'
  AND (kept.customer_id IS NOT NULL OR c.time_zone IS NOT NULL OR c.locale IS NOT NULL OR c.segment IS NOT NULL);

-- name: customer_without_key
-- An active one, or one whose events a survivor still shows.
SELECT c.customer_id::text AS id
FROM customer c
LEFT JOIN customer_key k ON k.customer_id = c.customer_id
WHERE c.state <> 'erased' AND k.customer_id IS NULL;

-- name: key_of_nobody
-- Erasure is the loss of the key. The nil uuid has the service's own.
SELECT k.customer_id::text AS id
FROM customer_key k
LEFT JOIN customer c ON c.customer_id = k.customer_id
WHERE k.customer_id <> '00000000-0000-0000-0000-000000000000' AND COALESCE(c.state, 'erased') = 'erased';

-- name: identifier_without_owner
-- Each name of a customer stands where names are unique: held by nobody else, or of a shared kind by the customer.
SELECT i.customer_id::text AS id
FROM identifier i
LEFT JOIN identifier_kind t ON t.name = i.kind
LEFT JOIN identifier_owner o ON o.kind = i.kind AND o.value_hash = i.value_hash AND o.customer_id = i.customer_id
  AND o.holder IN (i.customer_id, '00000000-0000-0000-0000-000000000000')
WHERE o.customer_id IS NULL OR (t.name IS NOT NULL AND t.shared <> (o.holder = i.customer_id));

-- name: owner_without_identifier
SELECT o.customer_id::text AS id
FROM identifier_owner o
LEFT JOIN identifier i ON i.customer_id = o.customer_id AND i.kind = o.kind AND i.value_hash = o.value_hash
WHERE i.customer_id IS NULL;

-- name: erased_identifier_in_use
-- Whoever comes back takes the hash out; only a shared name may be another's too.
SELECT o.customer_id::text AS id
FROM erased_identifier e
JOIN identifier_owner o ON o.kind = e.kind AND o.value_hash = e.value_hash
WHERE o.holder = '00000000-0000-0000-0000-000000000000';

-- name: answer_of_nobody
-- Stored answers to repeated requests stand under somebody's key.
SELECT i.customer_id::text AS id
FROM idempotency i
LEFT JOIN customer c ON c.customer_id = i.customer_id
WHERE i.customer_id <> '00000000-0000-0000-0000-000000000000' AND c.customer_id IS NULL;

-- name: event_of_nobody
SELECT e.event_id::text AS id
FROM event e
LEFT JOIN customer c ON c.customer_id = e.customer_id
WHERE e.customer_id <> '00000000-0000-0000-0000-000000000000' AND c.customer_id IS NULL;

-- name: event_without_content
-- Erasure takes the key and leaves the ciphertext.
SELECT e.event_id::text AS id
FROM event e
LEFT JOIN event_content t ON t.customer_id = e.customer_id AND t.event_id = e.event_id
WHERE t.event_id IS NULL;

-- name: content_without_event
SELECT t.event_id::text AS id
FROM event_content t
LEFT JOIN event e ON e.customer_id = t.customer_id AND e.event_id = t.event_id
WHERE e.event_id IS NULL;

-- name: customer_without_creation
-- Everybody who ever was has one event of it; frames stay for ever.
SELECT c.customer_id::text AS id
FROM customer c
LEFT JOIN event e ON e.customer_id = c.customer_id AND e.type = 'customer.created'
GROUP BY c.customer_id
HAVING count(e.event_id) <> 1;

-- name: version_differs_from_events
-- Each turn, each pause set or ended, and each merge counts one.
SELECT c.customer_id::text AS id
FROM customer c
LEFT JOIN event e ON e.customer_id = c.customer_id
  AND e.type IN ('dials.changed', 'pause.set', 'pause.ended', 'customers.merged')
WHERE c.state = 'active'
GROUP BY c.customer_id
HAVING count(e.event_id) <> c.version;

-- name: dial_without_its_event
-- A dial names the event that turned it, of the customer or of somebody merged into them.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
)
SELECT d.customer_id::text AS id
FROM dial d
LEFT JOIN heard h ON h.customer_id = d.customer_id AND h.event_id = d.event_id
WHERE h.type IS DISTINCT FROM 'dials.changed' OR h.recorded_at <> d.recorded_at OR d.last_act_at < d.set_at;

-- name: last_turn_stands_nowhere
-- The newest turn of a customer is the last word at its places, so some dial names it; a later merge may have
-- preferred another one.
SELECT last.customer_id::text AS id
FROM (
  SELECT DISTINCT ON (e.customer_id) e.customer_id, e.event_id, e.type
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state = 'active' AND e.type IN ('dials.changed', 'customers.merged')
  ORDER BY e.customer_id, e.recorded_at DESC, e.event_id DESC
) last
LEFT JOIN dial d ON d.customer_id = last.customer_id AND d.event_id = last.event_id
WHERE last.type = 'dials.changed' AND d.customer_id IS NULL;

-- name: pause_without_its_event
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
)
SELECT p.customer_id::text AS id
FROM pause p
LEFT JOIN heard h ON h.customer_id = p.customer_id AND h.event_id = p.event_id
WHERE h.type IS DISTINCT FROM 'pause.set' OR h.recorded_at <> p.set_at;

-- name: last_pause_stands_nowhere
-- As for dials: a pause that was set last is there, unless a merge came after it.
SELECT last.customer_id::text AS id
FROM (
  SELECT DISTINCT ON (e.customer_id) e.customer_id, e.event_id, e.type
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state = 'active' AND e.type IN ('pause.set', 'pause.ended', 'customers.merged')
  ORDER BY e.customer_id, e.recorded_at DESC, e.event_id DESC
) last
LEFT JOIN pause p ON p.customer_id = last.customer_id AND p.event_id = last.event_id
WHERE last.type = 'pause.set' AND p.customer_id IS NULL;

-- name: suppression_without_its_event
-- On a person by the customer's events, on a contact point by nobody's.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
), stop AS (
  SELECT s.customer_id, s.suppression_id, s.set_at, h.type, h.recorded_at
  FROM suppression s
  LEFT JOIN heard h ON h.customer_id = s.customer_id AND h.event_id = s.event_id
  UNION ALL
  SELECT '00000000-0000-0000-0000-000000000000', s.suppression_id, s.set_at, e.type, e.recorded_at
  FROM point_suppression s
  LEFT JOIN event e ON e.customer_id = '00000000-0000-0000-0000-000000000000' AND e.event_id = s.event_id
)
SELECT s.suppression_id::text AS id
FROM stop s
WHERE s.type IS DISTINCT FROM 'suppression.set' OR s.recorded_at <> s.set_at;

-- name: permit_without_its_event
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
)
SELECT m.permit_id::text AS id
FROM permit m
LEFT JOIN heard h ON h.customer_id = m.customer_id AND h.event_id = m.event_id
WHERE h.type IS DISTINCT FROM 'permit.reserved' OR h.recorded_at <> m.reserved_at;

-- name: contact_without_its_event
-- One that was reported has the sender's id, unless a merge found the survivor's entry under it.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
)
SELECT k.contact_id::text AS id
FROM contact k
LEFT JOIN heard h ON h.customer_id = k.customer_id AND h.event_id = k.event_id
WHERE h.type IS NULL OR h.type NOT IN ('contact.recorded', 'contact.reported') OR h.recorded_at <> k.recorded_at
  OR (k.external_id IS NOT NULL AND h.type <> 'contact.reported');

-- name: mail_without_its_event
-- Mail that was sent or given up names the event that says so.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
)
SELECT m.mail_id::text AS id
FROM mail m
LEFT JOIN heard h ON h.customer_id = m.customer_id AND h.event_id = m.event_id
WHERE m.state <> 'queued' AND (h.type IS DISTINCT FROM 'mail.' || m.state OR h.recorded_at <> m.ended_at);

-- name: pending_change_without_its_event
-- What waits for a confirmation names the event that asked; what ended, the one that says how.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
)
SELECT p.change_id::text AS id
FROM pending_change p
LEFT JOIN heard h ON h.customer_id = p.customer_id AND h.event_id = p.event_id
LEFT JOIN heard t ON t.customer_id = p.customer_id AND t.event_id = p.end_event_id
WHERE h.type IS DISTINCT FROM CASE p.kind WHEN 'louder' THEN 'dials.requested' ELSE 'identifier.requested' END
  OR h.recorded_at <> p.asked_at
  OR (p.state <> 'open'
      AND (t.type IS DISTINCT FROM CASE p.state WHEN 'confirmed' THEN 'confirmation.given' ELSE 'confirmation.dropped' END
           OR t.recorded_at <> p.ended_at));

-- name: dialogue_without_its_event
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
)
SELECT d.dialogue_id::text AS id
FROM dialogue d
LEFT JOIN heard h ON h.customer_id = d.customer_id AND h.event_id = d.event_id
WHERE h.type IS DISTINCT FROM 'dialogue.opened' OR h.recorded_at <> d.opened_at;

-- name: entry_without_its_event
-- What a fact's entry says stands in a fact's event.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id, e.type, e.recorded_at
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased'
), kind (type, name) AS (
  VALUES ('dialogue.opened', 'opening'), ('dialogue.message', 'message'), ('dialogue.proposed', 'proposal'),
         ('dialogue.withdrawn', 'refusal'), ('dialogue.accepted', 'acceptance'), ('dialogue.refused', 'refusal'),
         ('dialogue.countered', 'counter_proposal'), ('dialogue.narrowed', 'terms'), ('dialogue.widened', 'terms'),
         ('dialogue.closed', 'closing')
)
SELECT n.dialogue_id::text AS id
FROM dialogue_entry n
LEFT JOIN heard h ON h.customer_id = n.customer_id AND h.event_id = n.event_id
LEFT JOIN kind k ON k.type = h.type
WHERE h.recorded_at IS DISTINCT FROM n.said_at
  OR (CASE WHEN starts_with(h.type, 'fact.') THEN 'fact' ELSE k.name END) IS DISTINCT FROM n.kind;

-- name: entries_out_of_order
-- The first is the opening, of the event that opened the dialogue; numbers have no gap; a closed one ends with one closing.
SELECT d.dialogue_id::text AS id
FROM dialogue d
LEFT JOIN dialogue_entry n ON n.customer_id = d.customer_id AND n.dialogue_id = d.dialogue_id
GROUP BY d.customer_id, d.dialogue_id
HAVING count(*) FILTER (WHERE n.number = 1 AND n.kind = 'opening' AND n.event_id = d.event_id) <> 1
  OR max(n.number) <> count(*)
  OR max(n.said_at) FILTER (WHERE n.kind = 'closing') IS DISTINCT FROM d.closed_at;

-- name: event_without_its_entry
-- Entries are only ever added: one row for each event.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased' AND starts_with(e.type, 'dialogue.')
)
SELECT h.event_id::text AS id
FROM heard h
LEFT JOIN dialogue_entry n ON n.customer_id = h.customer_id AND n.event_id = h.event_id
GROUP BY h.customer_id, h.event_id
HAVING count(n.number) <> 1;

-- name: person_without_its_event
-- History says that somebody was named, by whom; whom, it never says.
SELECT p.person_id::text AS id
FROM person p
LEFT JOIN event e ON e.event_id = p.event_id AND e.type = 'person.named' AND e.recorded_at = p.named_at
  AND e.customer_id IN (
    SELECT c.customer_id FROM customer c WHERE c.customer_id = p.customer_id OR c.survivor_id = p.customer_id)
WHERE e.event_id IS NULL;

-- name: fact_without_its_event
-- The last one about it.
SELECT f.fact_id::text AS id
FROM fact f
LEFT JOIN event e ON e.event_id = f.event_id AND e.type IN ('fact.told', 'fact.changed') AND e.recorded_at = f.told_at
  AND e.customer_id IN (
    SELECT c.customer_id FROM customer c WHERE c.customer_id = f.customer_id OR c.survivor_id = f.customer_id)
WHERE e.event_id IS NULL;

-- name: event_without_its_permit
-- Permits end and stay: one row for each event.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased' AND e.type = 'permit.reserved'
)
SELECT h.event_id::text AS id
FROM heard h
LEFT JOIN permit m ON m.customer_id = h.customer_id AND m.event_id = h.event_id
GROUP BY h.customer_id, h.event_id
HAVING count(m.permit_id) <> 1;

-- name: event_without_its_contact
-- The ledger forgets nothing: one row for each event.
WITH heard AS (
  SELECT COALESCE(c.survivor_id, c.customer_id) AS customer_id, e.event_id
  FROM event e
  JOIN customer c ON c.customer_id = e.customer_id
  WHERE c.state <> 'erased' AND e.type IN ('contact.recorded', 'contact.reported')
)
SELECT h.event_id::text AS id
FROM heard h
LEFT JOIN contact k ON k.customer_id = h.customer_id AND k.event_id = h.event_id
GROUP BY h.customer_id, h.event_id
HAVING count(k.contact_id) <> 1;

-- name: used_permit_without_its_contact
-- The contact is there, names the permit back, and is the permit's end.
SELECT m.permit_id::text AS id
FROM permit m
LEFT JOIN contact k ON k.customer_id = m.customer_id AND k.contact_id = m.contact_id
WHERE m.state = 'used'
  AND (k.permit_id IS DISTINCT FROM m.permit_id OR k.recorded_at <> m.ended_at OR k.key_name <> m.key_name
       OR k.channel <> m.channel OR k.topic <> m.topic);

-- name: contact_without_its_permit
SELECT k.contact_id::text AS id
FROM contact k
LEFT JOIN permit m ON m.customer_id = k.customer_id AND m.permit_id = k.permit_id
WHERE k.permit_id IS NOT NULL AND m.contact_id IS DISTINCT FROM k.contact_id;

-- name: times_out_of_order
-- A permit is reserved, begins, ends; a contact is recorded when it was made or afterwards.
SELECT m.permit_id::text AS id
FROM permit m
WHERE m.valid_from < m.reserved_at OR m.expires_at <= m.valid_from OR m.ended_at < m.reserved_at
  OR (m.state = 'used' AND (m.ended_at < m.valid_from OR m.ended_at >= m.expires_at))
UNION ALL
SELECT k.contact_id::text
FROM contact k
WHERE k.contacted_at > k.recorded_at;

-- name: desk_session_of_a_wrong_key
-- Agents sign in with keys of the desk or of an administrator; a page is seen after the session has begun.
SELECT s.key_id::text AS id
FROM desk_session s
LEFT JOIN api_key k ON k.key_id = s.key_id
WHERE k.role IS NULL OR k.role NOT IN ('desk', 'admin') OR s.seen_at < s.began_at;

-- name: unknown_name
-- What stands on a channel or a topic that the catalogue has forgotten: it keeps those that are in use, retired.
SELECT DISTINCT used.customer_id::text AS id
FROM (
  SELECT customer_id, channel, topic FROM dial
  UNION ALL SELECT customer_id, channel, '*' FROM pause
  UNION ALL SELECT customer_id, COALESCE(channel, '*'), '*' FROM suppression
  UNION ALL SELECT '00000000-0000-0000-0000-000000000000', COALESCE(channel, '*'), '*' FROM point_suppression
  UNION ALL SELECT customer_id, channel, topic FROM permit
  UNION ALL SELECT customer_id, channel, topic FROM contact
  UNION ALL SELECT customer_id, unnest(channels), topic FROM dialogue
) used
LEFT JOIN channel ch ON ch.name = used.channel
LEFT JOIN topic tp ON tp.name = used.topic
WHERE (used.channel <> '*' AND ch.name IS NULL) OR (used.topic <> '*' AND tp.name IS NULL);

-- name: cap_exceeded
-- Whatever was granted had room under each dial and house policy that stood then and stands unchanged now: the dial
-- was not turned since, no catalogue was applied since. Counted is what was in the ledger when it was granted, and
-- for what was not granted by a permit the permits that were open; so a lowered dial, a reported contact and a permit
-- that came later excuse nothing and accuse nobody. Customers with whom another one was merged are left out, as are
-- defaults and policies of a segment: those are counted again from the events, in retelling.py. By contact_window.
WITH granted AS (
  SELECT k.customer_id, k.contact_id AS id, k.channel, k.topic, k.contacted_at AS at, k.recorded_at,
         k.permit_id IS NULL AS permits_count
  FROM contact k
  JOIN event e ON e.customer_id = k.customer_id AND e.event_id = k.event_id AND e.type = 'contact.recorded'
  WHERE k.counts
  UNION ALL
  SELECT m.customer_id, m.permit_id, m.channel, m.topic, m.valid_from, m.reserved_at, true
  FROM permit m
  WHERE m.counts
), held AS (
  SELECT g.customer_id, g.id, g.at, g.recorded_at, g.permits_count, d.channel, d.topic, l.contacts,
         l.per_seconds * interval '1 second' AS per
  FROM granted g
  JOIN catalogue cat ON cat.applied_at <= g.recorded_at
  JOIN topic tp ON tp.name = g.topic
  JOIN dial d ON d.customer_id = g.customer_id AND d.channel IN ('*', g.channel) AND d.topic = ANY (tp.covered_by)
    AND d.recorded_at <= g.recorded_at
  JOIN level l ON l.name = d.level AND l.mode = 'capped'
  UNION ALL
  SELECT g.customer_id, g.id, g.at, g.recorded_at, g.permits_count, p.channel, p.topic, p.contacts,
         p.per_seconds * interval '1 second'
  FROM granted g
  JOIN catalogue cat ON cat.applied_at <= g.recorded_at
  JOIN topic tp ON tp.name = g.topic
  JOIN policy p ON p.channel IN ('*', g.channel) AND p.topic = ANY (tp.covered_by) AND p.segment IS NULL
)
SELECT DISTINCT h.id::text AS id
FROM held h
WHERE NOT EXISTS (SELECT FROM customer m WHERE m.survivor_id = h.customer_id)
  AND h.contacts <= (
    SELECT count(*)
    FROM contact k
    WHERE k.customer_id = h.customer_id AND k.counts AND k.contacted_at > h.at - h.per
      AND k.recorded_at < h.recorded_at
      AND (h.channel = '*' OR k.channel = h.channel)
      AND (h.topic = '*' OR k.topic = h.topic OR starts_with(k.topic, h.topic || '/'))
  ) + (
    SELECT count(*)
    FROM permit m
    WHERE h.permits_count AND m.customer_id = h.customer_id AND m.counts AND m.expires_at > h.at
      AND m.reserved_at < h.recorded_at AND (m.ended_at IS NULL OR m.ended_at > h.recorded_at)
      AND (h.channel = '*' OR m.channel = h.channel)
      AND (h.topic = '*' OR m.topic = h.topic OR starts_with(m.topic, h.topic || '/'))
  );

-- name: catalogue_is_not_its_newest_version
SELECT v.version::text AS id
FROM catalogue_version v
LEFT JOIN catalogue c ON c.version = v.version AND c.document::text = v.document::text AND c.applied_at = v.applied_at
WHERE v.version = (SELECT max(version) FROM catalogue_version) AND c.version IS NULL
UNION ALL
SELECT c.version::text
FROM catalogue c
WHERE NOT EXISTS (SELECT FROM catalogue_version v WHERE v.version = c.version);

-- name: index_not_valid
-- Left behind by a CREATE INDEX CONCURRENTLY that failed.
SELECT i.indexrelid::regclass::text AS id
FROM pg_index i
JOIN pg_class r ON r.oid = i.indrelid
WHERE r.relnamespace = 'public'::regnamespace AND NOT (i.indisvalid AND i.indisready AND i.indislive);

-- name: constraint_not_validated
SELECT c.conrelid::regclass::text || ' ' || c.conname AS id
FROM pg_constraint c
WHERE c.connamespace = 'public'::regnamespace AND NOT c.convalidated;

-- name: trigger_switched_off
-- History is append-only by trigger, too.
SELECT t.tgrelid::regclass::text || ' ' || t.tgname AS id
FROM pg_trigger t
JOIN pg_class r ON r.oid = t.tgrelid
WHERE r.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal AND t.tgenabled NOT IN ('O', 'A')
UNION ALL
SELECT missing.name
FROM (VALUES ('event_is_append_only'), ('event_content_is_append_only')) AS missing (name)
WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgname = missing.name);
