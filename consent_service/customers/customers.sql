-- Who the customers are: finding them by what names them, their lock, their fields.

-- name: kinds
-- The kinds of identifier that the catalogue declares; a handful of rows, in no order.
SELECT name, shared FROM identifier_kind;

-- name: find
-- Who has each of these identifiers, and who each of these ids is now. Several rows per question where several
-- hold a shared identifier, none where nobody does; `erased` rows have no customer. A question is named by its
-- position (1 …) in its own list. By the primary keys of identifier_owner, erased_identifier and customer.
SELECT q.position, o.customer_id, false AS erased
FROM unnest(%(kinds)s::text[], %(hashes)s::bytea[]) WITH ORDINALITY AS q (kind, value_hash, position)
JOIN identifier_owner o ON o.kind = q.kind AND o.value_hash = q.value_hash
UNION ALL
SELECT q.position, NULL, true
FROM unnest(%(kinds)s::text[], %(hashes)s::bytea[]) WITH ORDINALITY AS q (kind, value_hash, position)
JOIN erased_identifier e ON e.kind = q.kind AND e.value_hash = q.value_hash
UNION ALL
SELECT -q.position, coalesce(c.survivor_id, c.customer_id), c.state = 'erased'
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS q (customer_id, position)
JOIN customer c ON c.customer_id = q.customer_id;

-- name: lock
-- Locks these customers' rows in the order of their ids, so that no two transactions wait for each other; the
-- rows as they are once they are locked. The sort stands below the locking in the plan. By primary key.
SELECT customer_id, state, survivor_id, version, time_zone, locale, segment
FROM customer
WHERE customer_id = ANY (%(customer_ids)s::uuid[])
ORDER BY customer_id
FOR NO KEY UPDATE;

-- name: lock_free
-- The same of those whom nobody else holds: waits for nobody, so that it needs no order. By primary key.
SELECT customer_id, state, survivor_id, version, time_zone, locale, segment
FROM customer
WHERE customer_id = ANY (%(customer_ids)s::uuid[])
FOR NO KEY UPDATE SKIP LOCKED;

-- name: survivors
-- The active customer that each of these ids leads to; no row for an unknown or erased one. By primary key.
SELECT customer_id, coalesce(survivor_id, customer_id) AS survivor_id
FROM customer
WHERE customer_id = ANY (%(customer_ids)s::uuid[]) AND state <> 'erased';

-- name: lineage
-- The id itself and the ids merged into it, in their order. By primary key and customer_survivor.
SELECT customer_id
FROM customer
WHERE customer_id = %(customer_id)s::uuid OR survivor_id = %(customer_id)s::uuid
ORDER BY customer_id;

-- name: lock_names
-- Held to the end of the transaction, taken in the order given: one creator at a time per shared identifier,
-- which no unique key guards.
SELECT pg_advisory_xact_lock(q.lock_key)
FROM unnest(%(lock_keys)s::bigint[]) AS q (lock_key);

-- name: claim
-- Takes identifiers that nobody has; a row for each that was taken. Waits for another transaction that takes or
-- gives up the same one. By an_identifier_names_one_customer.
INSERT INTO identifier_owner (kind, value_hash, holder, customer_id)
SELECT q.kind, q.value_hash, q.holder, q.customer_id
FROM unnest(%(kinds)s::text[], %(hashes)s::bytea[], %(holders)s::uuid[], %(customer_ids)s::uuid[])
  AS q (kind, value_hash, holder, customer_id)
ON CONFLICT ON CONSTRAINT an_identifier_names_one_customer DO NOTHING
RETURNING kind, value_hash, customer_id;

-- name: give_back
-- Takes names from their owners: claims of this transaction, or what its owner gives up. By an_identifier_names_one_customer.
DELETE FROM identifier_owner o
USING unnest(%(kinds)s::text[], %(hashes)s::bytea[], %(customer_ids)s::uuid[]) AS q (kind, value_hash, customer_id)
WHERE o.kind = q.kind AND o.value_hash = q.value_hash AND o.customer_id = q.customer_id;

-- name: revive
-- The erased person came back: the hashes stop answering; a row for each that did. By primary key.
DELETE FROM erased_identifier e
USING unnest(%(kinds)s::text[], %(hashes)s::bytea[]) AS q (kind, value_hash)
WHERE e.kind = q.kind AND e.value_hash = q.value_hash
RETURNING e.kind, e.value_hash;

-- name: insert
-- New customers without dials; one row each with the time.
INSERT INTO customer (customer_id, time_zone, locale, segment, created_at)
SELECT q.customer_id, q.time_zone, q.locale, q.segment, clock_timestamp()
FROM unnest(%(customer_ids)s::uuid[], %(time_zones)s::text[], %(locales)s::text[], %(segments)s::text[])
  AS q (customer_id, time_zone, locale, segment)
RETURNING customer_id, created_at;

-- name: insert_identifiers
-- Names of customers, as hash and ciphertext; one that is there already stays. One row: the time.
WITH stored AS (
  INSERT INTO identifier (customer_id, kind, value_hash, ciphertext, created_at)
  SELECT q.customer_id, q.kind, q.value_hash, q.ciphertext, clock_timestamp()
  FROM unnest(%(customer_ids)s::uuid[], %(kinds)s::text[], %(hashes)s::bytea[], %(ciphertexts)s::bytea[])
    AS q (customer_id, kind, value_hash, ciphertext)
  ON CONFLICT (customer_id, kind, value_hash) DO NOTHING
  RETURNING created_at
)
SELECT coalesce(max(created_at), clock_timestamp()) AS stored_at FROM stored;

-- name: confirm
-- A name was confirmed from itself; the time, the first time. By primary key.
UPDATE identifier
SET confirmed_at = clock_timestamp()
WHERE customer_id = %(customer_id)s::uuid AND kind = %(kind)s::text AND value_hash = %(value_hash)s::bytea
  AND confirmed_at IS NULL
RETURNING confirmed_at;

-- name: remove
-- A name that is no longer the customer's; with when it was confirmed. By primary key.
DELETE FROM identifier
WHERE customer_id = %(customer_id)s::uuid AND kind = %(kind)s::text AND value_hash = %(value_hash)s::bytea
RETURNING confirmed_at, clock_timestamp() AS removed_at;

-- name: show
-- One active customer's fields. By primary key.
SELECT customer_id, time_zone, locale, segment
FROM customer
WHERE customer_id = %(customer_id)s::uuid AND state = 'active';

-- name: identifiers
-- What names these customers, oldest first. By primary key.
SELECT customer_id, kind, value_hash, ciphertext, confirmed_at
FROM identifier
WHERE customer_id = ANY (%(customer_ids)s::uuid[])
ORDER BY customer_id, created_at, kind, value_hash;

-- name: change
-- Sets the three fields of a locked customer; the time.
UPDATE customer
SET time_zone = %(time_zone)s::text, locale = %(locale)s::text, segment = %(segment)s::text
WHERE customer_id = %(customer_id)s::uuid
RETURNING clock_timestamp() AS changed_at;

-- name: segment_exists
SELECT name FROM segment WHERE name = %(segment)s::text;

-- name: time_zone_exists
-- Whether the database knows the zone too: it is the database that reckons with it.
SELECT name FROM pg_timezone_names WHERE name = %(time_zone)s::text;

-- name: token_times
-- When a token that is signed now was issued and when it ends; a token counts in whole seconds.
SELECT clock_timestamp() AS issued_at,
       date_trunc('second', clock_timestamp()) + make_interval(secs => %(seconds)s::integer) AS expires_at;
