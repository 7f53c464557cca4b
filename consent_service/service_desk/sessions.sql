-- Who is signed in at the service desk.

-- name: begin
INSERT INTO desk_session (session_hash, key_id, began_at, seen_at)
VALUES (%(session_hash)s::bytea, %(key_id)s::uuid, clock_timestamp(), clock_timestamp());

-- name: find
-- The key of a session that has not ended; one row or none. By primary key.
SELECT key_id, seen_at < clock_timestamp() - interval '1 minute' AS sight_is_due
FROM desk_session
WHERE session_hash = %(session_hash)s::bytea
  AND seen_at > clock_timestamp() - %(idle)s::interval
  AND began_at > clock_timestamp() - %(longest)s::interval;

-- name: see
-- To the minute, so that not each look at a page writes.
UPDATE desk_session SET seen_at = clock_timestamp() WHERE session_hash = %(session_hash)s::bytea;

-- name: end
DELETE FROM desk_session WHERE session_hash = %(session_hash)s::bytea;

-- name: forget
-- Those that have ended. Reads the table: it has a row for each agent of a day.
DELETE FROM desk_session
WHERE seen_at <= clock_timestamp() - %(idle)s::interval OR began_at <= clock_timestamp() - %(longest)s::interval;
