-- Events. Rows are only ever added; triggers and privileges hold everybody else to it.

-- name: insert
-- One row per event, frames and contents in one statement.
WITH frame AS (
  INSERT INTO event (customer_id, event_id, type, recorded_at, commitment)
  SELECT q.customer_id, q.event_id, q.type, q.recorded_at, q.commitment
  FROM unnest(%(customer_ids)s::uuid[], %(event_ids)s::uuid[], %(types)s::text[],
              %(recorded_ats)s::timestamptz[], %(commitments)s::bytea[])
    AS q (customer_id, event_id, type, recorded_at, commitment)
)
INSERT INTO event_content (customer_id, event_id, ciphertext)
SELECT q.customer_id, q.event_id, q.ciphertext
FROM unnest(%(customer_ids)s::uuid[], %(event_ids)s::uuid[], %(ciphertexts)s::bytea[])
  AS q (customer_id, event_id, ciphertext);

-- name: page
-- Up to %(most)s events of one customer and those merged into it, newest first, from after a cursor. By event_page.
SELECT e.customer_id, e.event_id, e.type, e.recorded_at, e.commitment, c.ciphertext
FROM event e
LEFT JOIN event_content c ON c.customer_id = e.customer_id AND c.event_id = e.event_id
WHERE e.customer_id = ANY (%(customer_ids)s::uuid[])
  AND (%(before_at)s::timestamptz IS NULL
       OR (e.recorded_at, e.event_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
ORDER BY e.recorded_at DESC, e.event_id DESC
LIMIT %(most)s::integer;

-- name: find
-- These events with their contents; by primary key.
SELECT e.customer_id, e.event_id, e.type, e.recorded_at, e.commitment, c.ciphertext
FROM event e
JOIN event_content c ON c.customer_id = e.customer_id AND c.event_id = e.event_id
WHERE e.customer_id = ANY (%(customer_ids)s::uuid[]) AND e.event_id = ANY (%(event_ids)s::uuid[]);

-- name: of_types
-- Up to %(most)s events of some types of one customer and those merged into it, recorded after a time, newest first.
-- By event_page.
SELECT e.customer_id, e.event_id, e.type, e.recorded_at, e.commitment, c.ciphertext
FROM event e
JOIN event_content c ON c.customer_id = e.customer_id AND c.event_id = e.event_id
WHERE e.customer_id = ANY (%(customer_ids)s::uuid[]) AND e.type = ANY (%(types)s::text[])
  AND (%(after)s::timestamptz IS NULL OR e.recorded_at > %(after)s::timestamptz)
ORDER BY e.recorded_at DESC, e.event_id DESC
LIMIT %(most)s::integer;
