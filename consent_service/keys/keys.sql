-- API keys, stored answers of idempotent requests, counters of requests.

-- name: find
-- The keys with these hashes, revoked or not; in no order. By a_key_is_stored_once.
SELECT key_id, name, role, topics, requests_per_minute, created_at, revoked_at, last_used_at, secret_hash,
       last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS use_is_due
FROM api_key
WHERE secret_hash = ANY (%(secret_hashes)s::bytea[]);

-- name: by_id
-- The key, unless it is revoked; one row or none. By primary key.
SELECT key_id, name, role, topics, requests_per_minute, created_at, revoked_at, last_used_at
FROM api_key
WHERE key_id = %(key_id)s::uuid AND revoked_at IS NULL;

-- name: touch
-- Last use, to the minute, so that a busy key is not one hot row.
UPDATE api_key SET last_used_at = clock_timestamp()
WHERE key_id = ANY (%(key_ids)s::uuid[])
  AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute');

-- name: name_is_live
-- A row while a key of this name is not revoked. By api_key_name.
SELECT key_id FROM api_key WHERE name = %(name)s::text AND revoked_at IS NULL LIMIT 1;

-- name: insert
INSERT INTO api_key (key_id, name, role, topics, secret_hash, requests_per_minute, created_at)
VALUES (%(key_id)s::uuid, %(name)s::text, %(role)s::text, %(topics)s::text[], %(secret_hash)s::bytea,
        %(requests_per_minute)s::integer, clock_timestamp())
RETURNING created_at;

-- name: lock_name
-- Until the transaction ends nobody else makes a key of this name: two at once cannot give it two roles.
SELECT pg_advisory_xact_lock(hashtextextended(%(name)s::text, 8059));

-- name: other_role_of_name
-- A key of this name with another role, revoked or not.
SELECT role FROM api_key WHERE name = %(name)s::text AND role <> %(role)s::text LIMIT 1;

-- name: unknown_topics
-- A row when one of the topics is none of the catalogue's.
SELECT q.topic FROM unnest(%(topics)s::text[]) AS q (topic)
WHERE q.topic <> '*' AND NOT EXISTS (SELECT FROM topic t WHERE t.name = q.topic)
LIMIT 1;

-- name: list
SELECT key_id, name, role, topics, requests_per_minute, created_at, revoked_at, last_used_at
FROM api_key
ORDER BY name, created_at, key_id;

-- name: revoke
-- One row when the key was there and not revoked yet.
UPDATE api_key SET revoked_at = clock_timestamp()
WHERE key_id = %(key_id)s::uuid AND revoked_at IS NULL
RETURNING key_id, name, role, revoked_at;

-- name: exists
SELECT key_id FROM api_key WHERE key_id = %(key_id)s::uuid;

-- name: count_request
-- Requests of this subject in the present minute, this one included, and the seconds until the minute ends.
INSERT INTO request_count (subject, window_start, requests)
VALUES (%(subject)s::text, date_trunc('minute', clock_timestamp()), 1)
ON CONFLICT (subject, window_start) DO UPDATE SET requests = request_count.requests + 1
RETURNING requests, ceil(60 - extract(epoch FROM clock_timestamp() - window_start))::integer AS resets_in_seconds;

-- name: forget_counts
DELETE FROM request_count WHERE window_start < clock_timestamp() - interval '10 minutes';

-- name: try_idempotency_lock
-- True for one transaction at a time per scope and key; released at its end.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(key_name)s::text || E'\n' || %(idempotency_key)s::text, 8058)) AS locked;

-- name: find_answer
-- The stored answer, when it is not older than 72 hours. By primary key.
SELECT request_hash, status, ciphertext, customer_id
FROM idempotency
WHERE key_name = %(key_name)s::text AND idempotency_key = %(idempotency_key)s::text
  AND created_at > clock_timestamp() - interval '72 hours';

-- name: store_answer
-- Replaces one that is older than 72 hours.
INSERT INTO idempotency (key_name, idempotency_key, request_hash, status, ciphertext, customer_id, created_at)
VALUES (%(key_name)s::text, %(idempotency_key)s::text, %(request_hash)s::bytea, %(status)s::integer,
        %(ciphertext)s::bytea, %(customer_id)s::uuid, clock_timestamp())
ON CONFLICT (key_name, idempotency_key) DO UPDATE
SET request_hash = excluded.request_hash, status = excluded.status, ciphertext = excluded.ciphertext,
    customer_id = excluded.customer_id, created_at = excluded.created_at;

-- name: forget_answers
DELETE FROM idempotency WHERE created_at < clock_timestamp() - interval '72 hours';

-- name: forget_answers_of_customers
-- Erasure. That the request was answered stays known: sent again, it must not run again and bring somebody back.
UPDATE idempotency SET ciphertext = '' WHERE customer_id = ANY (%(customer_ids)s::uuid[]);
