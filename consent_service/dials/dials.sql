-- Dials and pauses as they stand. Writers hold the customer's lock.

-- name: places
-- The places of a change as they stand, with what the catalogue says of them; one row per place, in the order given.
-- Columns are NULL where a name is unknown. By the dial's primary key.
SELECT
  q.channel = '*' OR ch.name IS NOT NULL AS channel_known,
  q.topic = '*' OR tp.name IS NOT NULL AS topic_known,
  q.level IS NULL OR wanted.name IS NOT NULL AS level_known,
  CASE WHEN tp.retired_at IS NOT NULL THEN 'topic' WHEN ch.retired_at IS NOT NULL THEN 'channel' END AS retired,
  -- Channels that ask for a confirmation, as long as the customer has confirmed no contact point of theirs; the place
  -- of all channels heeds those by which the customer can be reached.
  ARRAY(
    SELECT DISTINCT x.identifier_kind
    FROM channel x
    WHERE x.confirm AND (x.name = q.channel OR (q.channel = '*' AND x.retired_at IS NULL AND EXISTS (
        SELECT FROM identifier i WHERE i.customer_id = %(customer_id)s::uuid AND i.kind = x.identifier_kind)))
      AND NOT EXISTS (SELECT FROM identifier i WHERE i.customer_id = %(customer_id)s::uuid
                        AND i.kind = x.identifier_kind AND i.confirmed_at IS NOT NULL)
  ) AS unconfirmed,
  -- A place without a dial stands at: a fader, the loudest level; an essential topic, the loudest; a topic, its default.
  CASE
    WHEN q.topic = '*' OR tp.essential THEN (SELECT max(position) FROM level)
    ELSE COALESCE(usual.position, 0)
  END AS rest,
  wanted.position AS wanted,
  standing.position AS standing,
  d.level,
  d.set_at,
  d.last_act_at,
  d.expires_at,
  tp.consent_lasts_seconds
FROM unnest(%(channels)s::text[], %(topics)s::text[], %(levels)s::text[]) WITH ORDINALITY AS q (channel, topic, level, n)
LEFT JOIN channel ch ON ch.name = q.channel
LEFT JOIN topic tp ON tp.name = q.topic
LEFT JOIN level usual ON usual.name = tp.default_level
LEFT JOIN level wanted ON wanted.name = q.level
LEFT JOIN dial d ON d.customer_id = %(customer_id)s::uuid AND d.channel = q.channel AND d.topic = q.topic
LEFT JOIN level standing ON standing.name = d.level
ORDER BY q.n;

-- name: turn
-- Sets dials, or removes them (level NULL keeps the row for the date of the last act).
INSERT INTO dial (customer_id, channel, topic, level, set_at, last_act_at, recorded_at, expires_at, source, role, event_id)
SELECT %(customer_id)s::uuid, q.channel, q.topic, q.level, %(set_at)s::timestamptz, %(set_at)s::timestamptz,
       %(recorded_at)s::timestamptz, q.expires_at, %(source)s::text, %(role)s::text, %(event_id)s::uuid
FROM unnest(%(channels)s::text[], %(topics)s::text[], %(levels)s::text[], %(expires_ats)s::timestamptz[])
  AS q (channel, topic, level, expires_at)
ON CONFLICT (customer_id, channel, topic) DO UPDATE
SET level = excluded.level, set_at = excluded.set_at, last_act_at = GREATEST(dial.last_act_at, excluded.last_act_at),
    recorded_at = excluded.recorded_at, expires_at = excluded.expires_at, source = excluded.source,
    role = excluded.role, event_id = excluded.event_id;

-- name: bump
-- The next version of the customer's dials and pauses.
UPDATE customer SET version = version + 1 WHERE customer_id = %(customer_id)s::uuid RETURNING version;

-- name: version
SELECT version FROM customer WHERE customer_id = %(customer_id)s::uuid;

-- name: dials
-- A customer's dials, faders first. By primary key.
SELECT channel, topic, level, set_at, source, role, expires_at
FROM dial
WHERE customer_id = %(customer_id)s::uuid AND level IS NOT NULL
ORDER BY topic, channel;

-- name: pauses
-- A customer's pauses that have not ended. By primary key.
SELECT channel, until, set_at, source, role
FROM pause
WHERE customer_id = %(customer_id)s::uuid AND until > clock_timestamp()
ORDER BY channel;

-- name: pause
-- The pause of one channel (or '*'), ended or not. By primary key.
SELECT channel, until, set_at, until > clock_timestamp() AS holds
FROM pause
WHERE customer_id = %(customer_id)s::uuid AND channel = %(channel)s::text;

-- name: set_pause
INSERT INTO pause (customer_id, channel, until, set_at, source, role, event_id)
VALUES (%(customer_id)s::uuid, %(channel)s::text, %(until)s::timestamptz, %(set_at)s::timestamptz, %(source)s::text,
        %(role)s::text, %(event_id)s::uuid)
ON CONFLICT (customer_id, channel) DO UPDATE
SET until = excluded.until, set_at = excluded.set_at, source = excluded.source, role = excluded.role,
    event_id = excluded.event_id;

-- name: end_pause
DELETE FROM pause WHERE customer_id = %(customer_id)s::uuid AND channel = %(channel)s::text;

-- name: channel_known
SELECT name FROM channel WHERE name = %(channel)s::text;

-- name: notice_text
-- What a notice says in this language; no row when it has no text in it. By primary key.
SELECT text ->> %(locale)s::text AS text
FROM notice
WHERE notice_id = %(id)s::text AND version = %(version)s::text AND jsonb_exists(text, %(locale)s::text);

-- name: contact_places
-- Every channel and topic that can be asked about, in the catalogue's order.
SELECT ch.name AS channel, tp.name AS topic
FROM channel ch
CROSS JOIN topic tp
WHERE ch.retired_at IS NULL AND tp.retired_at IS NULL
ORDER BY tp.position, ch.position;

-- name: now
SELECT clock_timestamp() AS now;

-- name: seen_at
-- Until when the customer has seen what others turned. By primary key.
SELECT seen_at FROM desk_visit WHERE customer_id = %(customer_id)s::uuid;

-- name: see
-- Never back, and never ahead of the clock.
INSERT INTO desk_visit (customer_id, seen_at)
VALUES (%(customer_id)s::uuid, LEAST(%(seen_at)s::timestamptz, clock_timestamp()))
ON CONFLICT (customer_id) DO UPDATE SET seen_at = GREATEST(desk_visit.seen_at, excluded.seen_at);

-- name: last_event
-- The event that turned a dial last. By the dials' primary key.
SELECT event_id FROM dial WHERE customer_id = %(customer_id)s::uuid ORDER BY recorded_at DESC LIMIT 1;

