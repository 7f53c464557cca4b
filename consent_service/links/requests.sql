-- "Send me my link": what was asked for and not looked up yet, and how often an address was asked for.

-- name: insert
-- A request that waits for the worker.
INSERT INTO link_request (request_id, address_hash, ciphertext, created_at)
VALUES (%(request_id)s::uuid, %(address_hash)s::bytea, %(ciphertext)s::bytea, clock_timestamp());

-- name: forget
-- By link_request_age.
DELETE FROM link_request WHERE created_at < clock_timestamp() - interval '24 hours';

-- name: take
-- Requests that wait, oldest first, for this worker alone until its transaction ends; with each how many mails went out for
-- the same address in the last hour and day. By link_request_waiting and link_request_address.
SELECT r.request_id, r.ciphertext, sent.an_hour, sent.a_day
FROM link_request r
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE o.created_at > clock_timestamp() - interval '1 hour') AS an_hour, count(*) AS a_day
  FROM link_request o
  WHERE o.address_hash = r.address_hash AND o.ciphertext IS NULL AND o.created_at > clock_timestamp() - interval '24 hours'
) sent
WHERE r.ciphertext IS NOT NULL
ORDER BY r.created_at, r.request_id
LIMIT %(most)s::integer
FOR UPDATE OF r SKIP LOCKED;

-- name: keep_hash
-- Of requests that a mail came of the hash of the address stays for a day, for the limits. By primary key.
UPDATE link_request SET ciphertext = NULL WHERE request_id = ANY (%(request_ids)s::uuid[]);

-- name: drop
-- Of all others nothing stays. By primary key.
DELETE FROM link_request WHERE request_id = ANY (%(request_ids)s::uuid[]);

-- name: standing
-- Whether a hard stop against everything stands on a customer or on an e-mail address, for all channels or for one that
-- uses e-mail; and the clock. One row.
SELECT
  EXISTS (
    SELECT FROM suppression s
    WHERE s.customer_id = %(customer_id)s::uuid AND s.kind = 'all'
      AND (s.channel IS NULL OR EXISTS (
        SELECT FROM channel ch WHERE ch.name = s.channel AND ch.identifier_kind = 'email')))
  OR EXISTS (
    SELECT FROM point_suppression s
    WHERE s.identifier_kind = 'email' AND s.value_hash = %(value_hash)s::bytea AND s.kind = 'all') AS is_stopped,
  clock_timestamp() AS now;
