-- Hard stops: on a person, and on a contact point, whoever has it.

-- name: channel
-- The channel, retired or not. By primary key.
SELECT name, identifier_kind FROM channel WHERE name = %(channel)s::text;

-- name: is_contact_point
-- Whether some channel uses identifiers of this kind.
SELECT EXISTS (SELECT FROM channel WHERE identifier_kind = %(kind)s::text) AS is_used;

-- name: holders
-- Everybody who has this contact point, in the order of their ids. By an_identifier_names_one_customer.
SELECT DISTINCT customer_id
FROM identifier_owner
WHERE kind = %(identifier_kind)s::text AND value_hash = %(value_hash)s::bytea
ORDER BY customer_id;

-- name: insert
-- A stop on a locked customer; the time.
INSERT INTO suppression (customer_id, suppression_id, channel, kind, set_at, role, event_id)
VALUES (%(customer_id)s::uuid, %(suppression_id)s::uuid, %(channel)s::text, %(kind)s::text, clock_timestamp(),
        %(role)s::text, %(event_id)s::uuid)
RETURNING set_at;

-- name: insert_point
-- A stop on a contact point, whose holders are locked; the time.
INSERT INTO point_suppression (identifier_kind, value_hash, suppression_id, channel, kind, set_at, role, event_id)
VALUES (%(identifier_kind)s::text, %(value_hash)s::bytea, %(suppression_id)s::uuid, %(channel)s::text,
        %(kind)s::text, clock_timestamp(), %(role)s::text, %(event_id)s::uuid)
RETURNING set_at;

-- name: delete
-- Lifts a stop on a locked customer; no row when there is none. By primary key.
DELETE FROM suppression
WHERE customer_id = %(customer_id)s::uuid AND suppression_id = %(suppression_id)s::uuid
RETURNING channel, kind, set_at, clock_timestamp() AS lifted_at;

-- name: find_point
-- The contact point that a stop stands on; one row or none. By point_suppression_id.
SELECT identifier_kind, value_hash
FROM point_suppression
WHERE suppression_id = %(suppression_id)s::uuid;

-- name: delete_point
-- Lifts a stop on a contact point, whose holders are locked; no row when there is none. By primary key.
DELETE FROM point_suppression
WHERE identifier_kind = %(identifier_kind)s::text AND value_hash = %(value_hash)s::bytea
  AND suppression_id = %(suppression_id)s::uuid
RETURNING channel, kind, set_at, clock_timestamp() AS lifted_at;

-- name: of_customer
-- The stops on a person, oldest first. By primary key.
SELECT suppression_id, channel, kind, set_at
FROM suppression
WHERE customer_id = %(customer_id)s::uuid
ORDER BY set_at, suppression_id;

-- name: of_points
-- The stops on these contact points, oldest first. By primary key.
SELECT p.identifier_kind, q.position, p.suppression_id, p.channel, p.kind, p.set_at
FROM unnest(%(kinds)s::text[], %(value_hashes)s::bytea[]) WITH ORDINALITY AS q (kind, value_hash, position)
JOIN point_suppression p ON p.identifier_kind = q.kind AND p.value_hash = q.value_hash
ORDER BY p.set_at, p.suppression_id;
