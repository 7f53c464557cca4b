-- The outbox. A row is taken by moving its next_at into the future, and ended in the transaction that says so.

-- name: insert
INSERT INTO mail (customer_id, mail_id, kind, queued_at, next_at, ciphertext)
VALUES (%(customer_id)s::uuid, %(mail_id)s::uuid, %(kind)s::text, clock_timestamp(), clock_timestamp(),
        %(ciphertext)s::bytea);

-- name: take
-- The mail that has waited longest, for this worker alone until its lease is over; at most one row. By mail_due.
UPDATE mail m
SET attempts = m.attempts + 1, next_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s::double precision)
FROM (
  SELECT customer_id, mail_id
  FROM mail
  WHERE state = 'queued' AND next_at <= clock_timestamp()
  ORDER BY next_at
  LIMIT 1
  FOR UPDATE SKIP LOCKED
) due
WHERE m.customer_id = due.customer_id AND m.mail_id = due.mail_id
RETURNING m.customer_id, m.mail_id, m.kind, m.attempts, m.ciphertext,
          m.queued_at < clock_timestamp() - make_interval(secs => %(longest_seconds)s::double precision) AS is_last;

-- name: put_back
-- Another attempt later; nothing when it has ended, or is not there any more. By primary keys.
UPDATE mail m
SET next_at = clock_timestamp() + make_interval(secs => %(seconds)s::double precision)
FROM customer c
WHERE c.customer_id = %(customer_id)s::uuid
  AND m.customer_id = COALESCE(c.survivor_id, c.customer_id) AND m.mail_id = %(mail_id)s::uuid AND m.state = 'queued';

-- name: end
-- Ends a mail, which then says nothing any more; whose it is by now, and when. No row when it has ended, was merged
-- within this statement, or was erased. By primary keys.
UPDATE mail m
SET state = %(state)s::text, ended_at = clock_timestamp(), event_id = %(event_id)s::uuid, ciphertext = NULL
FROM customer c
WHERE c.customer_id = %(customer_id)s::uuid
  AND m.customer_id = COALESCE(c.survivor_id, c.customer_id) AND m.mail_id = %(mail_id)s::uuid AND m.state = 'queued'
RETURNING m.customer_id, m.ended_at;

-- name: queued
-- What still waits to be sent to a customer. By primary key.
SELECT mail_id, ciphertext
FROM mail
WHERE customer_id = %(customer_id)s::uuid AND state = 'queued'
FOR UPDATE;

-- name: move
-- All of one customer's become another's. Rows move by DELETE and INSERT, because customer_id is what they are spread
-- by; what waits comes sealed anew. By primary key.
WITH moved AS (
  DELETE FROM mail WHERE customer_id = %(other_id)s::uuid
  RETURNING mail_id, kind, state, queued_at, attempts, next_at, ended_at, event_id
)
INSERT INTO mail (customer_id, mail_id, kind, state, queued_at, attempts, next_at, ended_at, event_id, ciphertext)
SELECT %(survivor_id)s::uuid, m.mail_id, m.kind, m.state, m.queued_at, m.attempts, m.next_at, m.ended_at, m.event_id,
       q.ciphertext
FROM moved m
LEFT JOIN unnest(%(mail_ids)s::uuid[], %(ciphertexts)s::bytea[]) AS q (mail_id, ciphertext) ON q.mail_id = m.mail_id;

-- name: forget
-- What ended long ago. By mail_ended.
DELETE FROM mail
WHERE state <> 'queued' AND ended_at < clock_timestamp() - make_interval(days => %(days)s::integer);
