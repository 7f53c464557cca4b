-- People whom customers named. Writers hold the naming customer's lock. Nothing here is found by a name or an address.

-- name: place
-- How a dialogue of a customer stands, and the time; one row, none when there is no such dialogue. By primary key.
SELECT CASE WHEN closed_at IS NOT NULL THEN 'closed' WHEN until <= clock_timestamp() THEN 'expired' ELSE 'open' END AS state,
       clock_timestamp() AS now
FROM dialogue
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid;

-- name: of_dialogue
-- Whom a customer named in a dialogue, in the order of naming. By primary key.
SELECT person_id, dialogue_id, named_at, ciphertext
FROM person
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid
ORDER BY named_at, person_id;

-- name: find
-- One of whom a customer named. By primary key.
SELECT person_id, dialogue_id, named_at, ciphertext
FROM person
WHERE customer_id = %(customer_id)s::uuid AND person_id = %(person_id)s::uuid;

-- name: count
-- How many a customer named in all; one row. By primary key.
SELECT count(*) AS people FROM person WHERE customer_id = %(customer_id)s::uuid;

-- name: refused
-- Whether nobody is to be named by this; one row, whether there is one or not. By primary key.
SELECT EXISTS (SELECT FROM refused_naming WHERE value_hash = %(value_hash)s::bytea) AS refused;

-- name: refuse
INSERT INTO refused_naming (value_hash) VALUES (%(value_hash)s::bytea)
ON CONFLICT (value_hash) DO NOTHING;

-- name: insert
INSERT INTO person (customer_id, person_id, dialogue_id, named_at, event_id, ciphertext)
VALUES (%(customer_id)s::uuid, %(person_id)s::uuid, %(dialogue_id)s::uuid, %(named_at)s::timestamptz,
        %(event_id)s::uuid, %(ciphertext)s::bytea);

-- name: change
UPDATE person
SET ciphertext = %(ciphertext)s::bytea
WHERE customer_id = %(customer_id)s::uuid AND person_id = %(person_id)s::uuid;

-- name: delete
DELETE FROM person WHERE customer_id = %(customer_id)s::uuid AND person_id = %(person_id)s::uuid;

-- name: joined
-- Who of these customers is active, under which id by now, and whether a name of theirs was ever confirmed; nothing for
-- an id that is nobody's. As many ids are asked for as there are places for an answer, so that it costs the same
-- whatever was answered. By primary keys.
SELECT asked.customer_id AS asked, c.customer_id,
       EXISTS (SELECT FROM identifier i WHERE i.customer_id = c.customer_id AND i.confirmed_at IS NOT NULL) AS confirmed
FROM customer asked
JOIN customer c ON c.customer_id = COALESCE(asked.survivor_id, asked.customer_id)
WHERE asked.customer_id = ANY (%(customer_ids)s::uuid[]) AND c.state = 'active';
