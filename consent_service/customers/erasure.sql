-- Erasure: what identifies a person goes, the keyed hashes of their identifiers stay.

-- name: lock
-- Locks the customers who were merged into a locked one, too. By primary key.
SELECT customer_id
FROM customer
WHERE customer_id = ANY (%(customer_ids)s::uuid[])
ORDER BY customer_id
FOR NO KEY UPDATE;

-- name: erase
-- Of these locked customers (one person, all ids): keeps a hash of each identifier, deletes everything else, and
-- marks the ids as erased; a row for each with the time. All parts see the rows as they stood before. The key is
-- deleted by the keyring, stored answers by the slice that keeps them. By primary keys.
WITH kept AS (
  INSERT INTO erased_identifier (kind, value_hash, erased_at)
  SELECT DISTINCT kind, value_hash, clock_timestamp()
  FROM identifier
  WHERE customer_id = ANY (%(customer_ids)s::uuid[])
  ON CONFLICT (kind, value_hash) DO NOTHING
), owners AS (
  DELETE FROM identifier_owner o
  USING identifier i
  WHERE i.customer_id = ANY (%(customer_ids)s::uuid[])
    AND o.kind = i.kind AND o.value_hash = i.value_hash AND o.customer_id = ANY (%(customer_ids)s::uuid[])
), names AS (
  DELETE FROM identifier WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), dials AS (
  DELETE FROM dial WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), pauses AS (
  DELETE FROM pause WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), visits AS (
  DELETE FROM desk_visit WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), permits AS (
  DELETE FROM permit WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), contacts AS (
  DELETE FROM contact WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), pending AS (
  DELETE FROM pending_change WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), dialogues AS (
  -- With their entries.
  DELETE FROM dialogue WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), mails AS (
  DELETE FROM mail WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), people AS (
  DELETE FROM person WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), facts AS (
  DELETE FROM fact WHERE customer_id = ANY (%(customer_ids)s::uuid[])
), suppressions AS (
  DELETE FROM suppression WHERE customer_id = ANY (%(customer_ids)s::uuid[])
)
UPDATE customer
SET state = 'erased', survivor_id = NULL, time_zone = NULL, locale = NULL, segment = NULL
WHERE customer_id = ANY (%(customer_ids)s::uuid[])
RETURNING customer_id, clock_timestamp() AS erased_at;
