-- Replay: dials for everybody in a throw-away database.

-- name: give_dials
-- The loudest level at every topic, and the tried level over everything, for every customer; one count for all.
INSERT INTO dial (customer_id, channel, topic, level, set_at, last_act_at, recorded_at, source, role, event_id)
SELECT c.customer_id, '*', place.topic, place.level, 'epoch', 'epoch', 'epoch', 'api', 'system',
       '00000000-0000-0000-0000-000000000000'
FROM customer c
CROSS JOIN (
  SELECT t.name AS topic, (SELECT name FROM level ORDER BY position DESC LIMIT 1) AS level
  FROM topic t
  UNION ALL
  SELECT '*', %(level)s::text
) place
WHERE c.state = 'active';
