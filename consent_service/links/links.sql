-- What opening a link asks for. Links themselves are not stored.

-- name: opening
-- The customer whom a link means now, what pages need to know of them, and the name of the key that minted the link.
-- One row; none for an unknown customer. By primary keys.
SELECT c.customer_id, c.state = 'erased' AS is_erased, c.locale, COALESCE(c.time_zone, cat.time_zone, 'UTC') AS time_zone,
       k.name AS key_name, clock_timestamp() AS opened_at
FROM customer asked
JOIN customer c ON c.customer_id = COALESCE(asked.survivor_id, asked.customer_id)
LEFT JOIN catalogue cat ON true
LEFT JOIN api_key k ON k.key_id = %(minted_by)s::uuid
WHERE asked.customer_id = %(customer_id)s::uuid;

-- name: places
-- What keeps a key from minting links for these channels and topics ('': none in particular): NULL or a code, and the
-- clock; one row per place, in the order given. Retired ones are accepted: what was sent about them is turned down
-- all the same. A key may use the topics that decide.sql lets it ask about.
SELECT
  CASE
    WHEN q.channel <> '' AND ch.name IS NULL THEN 'unknown_channel'
    WHEN q.topic <> '' AND tp.name IS NULL THEN 'unknown_topic'
    WHEN q.topic <> '' AND %(limited)s::boolean AND NOT (
      CASE
        WHEN %(key_topics)s::text[] IS NULL THEN NOT tp.essential
        WHEN '*' = ANY (%(key_topics)s::text[]) OR tp.name = ANY (%(key_topics)s::text[]) THEN true
        ELSE NOT tp.essential AND %(key_topics)s::text[] && tp.covered_by
      END) THEN 'topic_not_allowed'
  END AS error,
  clock_timestamp() AS now
FROM unnest(%(channels)s::text[], %(topics)s::text[]) WITH ORDINALITY AS q (channel, topic, n)
LEFT JOIN channel ch ON ch.name = q.channel
LEFT JOIN topic tp ON tp.name = q.topic
ORDER BY q.n;

-- name: unsubscribing
-- What a mail program's one click turns to the quietest level: the channel and topic of the link. A link that names no
-- channel, or one that is no longer there, means those that use e-mail; a topic that is no longer there means the nearest
-- one above it, without any the whole channel. One row; none without a catalogue.
SELECT
  l.name AS level,
  COALESCE((
    SELECT array_agg(ch.name ORDER BY ch.name)
    FROM channel ch
    WHERE CASE WHEN EXISTS (SELECT FROM channel WHERE name = %(channel)s::text) THEN ch.name = %(channel)s::text
               ELSE ch.identifier_kind = 'email' END), ARRAY['*']) AS channels,
  COALESCE((
    SELECT tp.name
    FROM topic tp
    WHERE tp.name = %(topic)s::text OR starts_with(%(topic)s::text, tp.name || '/')
    ORDER BY length(tp.name) DESC
    LIMIT 1), '*') AS topic
FROM level l
WHERE l.position = 0;
