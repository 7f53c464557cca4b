-- What customers told in dialogues. Writers hold the customer's lock. Withdrawn facts are gone; expired ones are never
-- answered.

-- name: of_dialogue
-- The facts of a dialogue that hold, oldest first. By primary key.
SELECT fact_id, dialogue_id, told_at, until, ciphertext
FROM fact
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid AND until > clock_timestamp()
ORDER BY told_at, fact_id;

-- name: now
-- The database's clock; one row.
SELECT clock_timestamp() AS now;

-- name: place
-- The time, when the customer has this dialogue; one row or none. By primary key.
SELECT clock_timestamp() AS now
FROM dialogue
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid;

-- name: find
-- One that holds. By primary key.
SELECT fact_id, dialogue_id, told_at, until, ciphertext
FROM fact
WHERE customer_id = %(customer_id)s::uuid AND fact_id = %(fact_id)s::uuid AND until > clock_timestamp();

-- name: put
-- Tells or changes one.
INSERT INTO fact (customer_id, fact_id, dialogue_id, until, told_at, event_id, ciphertext)
VALUES (%(customer_id)s::uuid, %(fact_id)s::uuid, %(dialogue_id)s::uuid, %(until)s::timestamptz, %(told_at)s::timestamptz,
        %(event_id)s::uuid, %(ciphertext)s::bytea)
ON CONFLICT (customer_id, fact_id) DO UPDATE
SET until = excluded.until, told_at = excluded.told_at, event_id = excluded.event_id, ciphertext = excluded.ciphertext;

-- name: delete
DELETE FROM fact WHERE customer_id = %(customer_id)s::uuid AND fact_id = %(fact_id)s::uuid;

-- name: enter
-- The next entry of the dialogue says that something was told. By primary key.
INSERT INTO dialogue_entry (customer_id, dialogue_id, number, kind, role, said_at, event_id)
SELECT %(customer_id)s::uuid, %(dialogue_id)s::uuid, COALESCE(max(number), 0) + 1, 'fact', %(role)s::text,
       %(said_at)s::timestamptz, %(event_id)s::uuid
FROM dialogue_entry
WHERE customer_id = %(customer_id)s::uuid AND dialogue_id = %(dialogue_id)s::uuid;

-- name: having
-- Those of these customers who have facts that hold, without a lock yet. By primary key.
SELECT DISTINCT customer_id
FROM fact
WHERE customer_id = ANY (%(customer_ids)s::uuid[]) AND until > clock_timestamp();

-- name: topic
-- Whether a reader may use a topic, as decide.sql has it. One row; none for an unknown topic. By primary key.
SELECT NOT %(limited)s::boolean OR CASE
    WHEN %(key_topics)s::text[] IS NULL THEN NOT tp.essential
    WHEN '*' = ANY (%(key_topics)s::text[]) OR tp.name = ANY (%(key_topics)s::text[]) THEN true
    ELSE NOT tp.essential AND %(key_topics)s::text[] && tp.covered_by
  END AS allowed
FROM topic tp
WHERE tp.name = %(topic)s::text;

-- name: read
-- What a reader may be given of these locked customers, a customer's together, oldest first: told in a dialogue about
-- the topic asked for or below it, if one is, and about topics that the key may use, as decide.sql has it.
-- By primary key.
SELECT f.customer_id, f.fact_id, f.dialogue_id, d.topic, f.told_at, f.until, f.ciphertext
FROM fact f
JOIN dialogue d ON d.customer_id = f.customer_id AND d.dialogue_id = f.dialogue_id
JOIN topic tp ON tp.name = d.topic
WHERE f.customer_id = ANY (%(customer_ids)s::uuid[]) AND f.until > clock_timestamp()
  AND (%(topic)s::text IS NULL OR %(topic)s::text = tp.name OR %(topic)s::text = ANY (tp.covered_by))
  AND (NOT %(limited)s::boolean OR CASE
    WHEN %(key_topics)s::text[] IS NULL THEN NOT tp.essential
    WHEN '*' = ANY (%(key_topics)s::text[]) OR tp.name = ANY (%(key_topics)s::text[]) THEN true
    ELSE NOT tp.essential AND %(key_topics)s::text[] && tp.covered_by
  END)
ORDER BY f.customer_id, f.told_at, f.fact_id;

-- name: forget
-- Housekeeping: those that have expired. By fact_ended.
DELETE FROM fact WHERE until <= clock_timestamp();
