-- Data keys, wrapped. One row per customer, and the service's own under the nil uuid.

-- name: find
-- The wrapped keys of these customers; no row for an erased one. By primary key.
SELECT customer_id, wrapped_key, secret_id
FROM customer_key
WHERE customer_id = ANY (%(customer_ids)s::uuid[]);

-- name: insert
-- Keeps a key that is there already.
INSERT INTO customer_key (customer_id, wrapped_key, secret_id)
SELECT q.customer_id, q.wrapped_key, %(secret_id)s::text
FROM unnest(%(customer_ids)s::uuid[], %(wrapped_keys)s::bytea[]) AS q (customer_id, wrapped_key)
ON CONFLICT (customer_id) DO NOTHING;

-- name: delete
-- Erasure: what was sealed under these keys is gone with them.
DELETE FROM customer_key WHERE customer_id = ANY (%(customer_ids)s::uuid[]);

-- name: wrapped_otherwise
-- Up to %(most)s keys that another secret wraps. A scan, by an operator's command only.
SELECT customer_id, wrapped_key, secret_id
FROM customer_key
WHERE secret_id <> %(secret_id)s::text
ORDER BY customer_id
LIMIT %(most)s::integer
FOR UPDATE SKIP LOCKED;

-- name: count_wrapped_otherwise
-- How many keys another secret wraps; one row. A scan, by an operator's command only.
SELECT count(*) AS keys FROM customer_key WHERE secret_id <> %(secret_id)s::text;

-- name: count_closed
-- How many keys none of these secrets wraps; one row. A scan, by an operator's command only.
SELECT count(*) AS keys FROM customer_key WHERE secret_id <> ALL (%(secret_ids)s::text[]);

-- name: rewrap
UPDATE customer_key k
SET wrapped_key = q.wrapped_key, secret_id = %(secret_id)s::text
FROM unnest(%(customer_ids)s::uuid[], %(wrapped_keys)s::bytea[]) AS q (customer_id, wrapped_key)
WHERE k.customer_id = q.customer_id;
