-- "Send me my link": what was asked for and not looked up yet, and how often an address was asked for.

-- name: insert
-- A request that waits for the worker.
INSERT INTO link_request (request_id, address_hash, ciphertext, created_at)
VALUES (%(request_id)s::uuid, %(address_hash)s::bytea, %(ciphertext)s::bytea, clock_timestamp());

-- name: forget
-- By link_request_age.
DELETE FROM link_request WHERE created_at < clock_timestamp() - interval '24 hours';
