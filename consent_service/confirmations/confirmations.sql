-- What waits for a confirmation. Writers hold the customer's lock.

-- name: insert
-- One row: from when until when it waits.
INSERT INTO pending_change (customer_id, change_id, kind, asked_at, expires_at, event_id, ciphertext)
VALUES (%(customer_id)s::uuid, %(change_id)s::uuid, %(kind)s::text, %(asked_at)s::timestamptz,
        %(expires_at)s::timestamptz, %(event_id)s::uuid, %(ciphertext)s::bytea);

-- name: find
-- One of a customer's. By primary key.
SELECT change_id, kind, asked_at, expires_at, event_id, ciphertext,
       CASE WHEN state = 'open' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END AS state
FROM pending_change
WHERE customer_id = %(customer_id)s::uuid AND change_id = %(change_id)s::uuid;

-- name: open
-- A customer's that can still be confirmed, oldest first. By primary key.
SELECT change_id, kind, asked_at, expires_at, event_id, ciphertext, state
FROM pending_change
WHERE customer_id = %(customer_id)s::uuid AND state = 'open' AND expires_at > clock_timestamp()
ORDER BY asked_at, change_id;

-- name: asked_lately
-- How many mails a customer was sent for this within an hour; one row, with the time. By primary key.
SELECT count(*) FILTER (WHERE asked_at > clock_timestamp() - interval '1 hour') AS asked, clock_timestamp() AS now
FROM pending_change
WHERE customer_id = %(customer_id)s::uuid;

-- name: end
UPDATE pending_change
SET state = %(state)s::text, ended_at = %(ended_at)s::timestamptz, end_event_id = %(event_id)s::uuid,
    ciphertext = %(ciphertext)s::bytea
WHERE customer_id = %(customer_id)s::uuid AND change_id = %(change_id)s::uuid;

-- name: turned_since
-- Places at which something was turned after it was asked. By the dials' primary key.
SELECT channel, topic
FROM dial
WHERE customer_id = %(customer_id)s::uuid AND recorded_at > %(asked_at)s::timestamptz;

-- name: paused_since
-- Pauses that were set after it was asked. By the pauses' primary key.
SELECT channel
FROM pause
WHERE customer_id = %(customer_id)s::uuid AND set_at > %(asked_at)s::timestamptz;

-- name: forget
-- What can no longer be confirmed, for long. By pending_change_old.
DELETE FROM pending_change
WHERE expires_at < clock_timestamp() - make_interval(days => %(days)s::integer);
