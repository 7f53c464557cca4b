-- The law of the dial, once. One statement answers one question or ten thousand.

-- name: decide
-- May these contacts be made? One row per question, in the order asked, also for unknown customers and for
-- questions that cannot be asked (`error` is then a code and every other answer is to be ignored).
-- Parameters: seven arrays of equal length (customer_id NULL: unknown; erased; channel; topic; at NULL: now; kind and
-- keyed hash of the identifier asked with, NULL when asked by id), then for all of them
--   now             NULL: the database's clock, read after the locks that the caller holds
--   count_permits   false when a permit is used: its own room is set aside
--   key_topics      topics of the key; NULL with `limited`: every topic that is not essential
--   limited         false for the desk and auditors
--   accept_retired  true for contacts that were already made
--   bounded         `at` must lie from 5 minutes ago to 400 days ahead
--   not_before_now  an `at` in the past is taken as now
--   explain         whether `places` is wanted: a list of [kind, channel, topic, level, position, mode, policy, contacts,
--                   seconds, used, room, set at, role, source, ends at], in no order; a default among them governs
--                   when `default_limits`
-- Leans on the primary keys of dial, pause, suppression, identifier and point_suppression, on permit_open and on
-- contact_window; the catalogue's tables are small.
WITH question AS MATERIALIZED (
  SELECT q.n, q.customer_id, q.erased, q.channel, q.topic, q.at, q.value_kind, q.value_hash, clock.now,
         CASE WHEN %(not_before_now)s::boolean THEN GREATEST(q.at, clock.now) ELSE COALESCE(q.at, clock.now) END AS instant
  FROM unnest(%(customer_ids)s::uuid[], %(erased)s::boolean[], %(channels)s::text[], %(topics)s::text[],
              %(ats)s::timestamptz[], %(value_kinds)s::text[], %(value_hashes)s::bytea[])
    WITH ORDINALITY AS q (customer_id, erased, channel, topic, at, value_kind, value_hash, n)
  CROSS JOIN (SELECT COALESCE(%(now)s::timestamptz, clock_timestamp()) AS now OFFSET 0) clock  -- read once for all
)
SELECT
  q.customer_id,
  q.instant,
  q.now AS decided_at,
  COALESCE(tp.essential, false) AS essential,
  CASE
    WHEN ch.name IS NULL THEN 'unknown_channel'
    WHEN tp.name IS NULL THEN 'unknown_topic'
    WHEN ch.retired_at IS NOT NULL AND NOT %(accept_retired)s::boolean THEN 'channel_retired'
    WHEN tp.retired_at IS NOT NULL AND NOT %(accept_retired)s::boolean THEN 'topic_retired'
    WHEN %(limited)s::boolean AND NOT (
      CASE
        WHEN %(key_topics)s::text[] IS NULL THEN NOT tp.essential
        WHEN '*' = ANY (%(key_topics)s::text[]) OR tp.name = ANY (%(key_topics)s::text[]) THEN true
        ELSE NOT tp.essential AND %(key_topics)s::text[] && tp.covered_by
      END) THEN 'topic_not_allowed'
    WHEN %(bounded)s::boolean AND (q.at < q.now - interval '5 minutes' OR q.at > q.now + interval '9600 hours')
      THEN 'invalid_timestamp'
    WHEN c.state = 'merged' THEN 'moved'
  END AS error,
  verdict.reason,
  verdict.reason IN ('essential', 'allowed') AS allowed,
  CASE WHEN verdict.row_number >= 9 THEN held.name END AS level,
  CASE WHEN verdict.row_number >= 11 THEN governing.room END AS remaining,
  CASE
    WHEN verdict.row_number IN (5, 11, 12)
      AND held.mode IS DISTINCT FROM 'silent' AND held.mode IS DISTINCT FROM 'on_request'
      AND (tp.basis <> 'consent' OR governing.granted_until > opening.at)
    THEN opening.at
  END AS next_allowed_at,
  held.name AS held_level,
  tp.essential
    OR (tp.basis = 'consent' AND COALESCE(governing.granted_until > q.instant, false))
    OR (tp.basis = 'legitimate_interest' AND CASE
          WHEN governing.topic_dials > 0 THEN governing.granted_until IS NOT NULL
          ELSE governing.default_position > 0 END) AS granted,
  governing.default_limits,
  governing.places
FROM question q
LEFT JOIN catalogue cat ON true
LEFT JOIN channel ch ON ch.name = q.channel
LEFT JOIN topic tp ON tp.name = q.topic
LEFT JOIN customer c ON c.customer_id = q.customer_id

-- What stops a contact whatever the dials say.
LEFT JOIN LATERAL (
  SELECT
    EXISTS (
      SELECT FROM suppression s
      WHERE s.customer_id = c.customer_id AND (s.channel IS NULL OR s.channel = q.channel)
        AND (s.kind = 'all' OR NOT tp.essential))
    OR EXISTS (
      SELECT FROM point_suppression s
      WHERE s.identifier_kind = ch.identifier_kind AND (s.channel IS NULL OR s.channel = q.channel)
        AND (s.kind = 'all' OR NOT tp.essential)
        AND s.value_hash = ANY (
          CASE WHEN q.value_kind = ch.identifier_kind THEN ARRAY[q.value_hash]
               ELSE ARRAY(SELECT i.value_hash FROM identifier i
                          WHERE i.customer_id = c.customer_id AND i.kind = ch.identifier_kind) END)) AS suppressed,
    (SELECT max(p.until) FROM pause p
     WHERE p.customer_id = c.customer_id AND p.channel IN ('*', q.channel)) AS paused_until
) stop ON c.customer_id IS NOT NULL

-- Every dial, default and policy over the contact, with its room: all of them must have some. The default limits until
-- a topic dial at least as loud as it covers the contact; until then its figures count with the others'.
LEFT JOIN LATERAL (
  SELECT
    found.topic_dials, found.granted_until, found.default_position, found.default_limits, found.places,
    CASE WHEN found.default_limits THEN LEAST(found.position, found.default_position) ELSE found.position END AS position,
    CASE WHEN found.default_limits THEN LEAST(found.room, found.default_room) ELSE found.room END AS room,
    -- When the last full one has room again; NULL: none is full.
    CASE WHEN found.default_limits THEN GREATEST(found.room_at, found.default_room_at) ELSE found.room_at END AS room_at
  FROM (
    SELECT
      -- Topic dials: only they grant; the silent level does not, an expired one no longer does.
      count(*) FILTER (WHERE place.is_topic_dial) AS topic_dials,
      max(place.grants_until) FILTER (WHERE place.is_topic_dial) AS granted_until,   -- NULL: none ever granted
      min(place.position) FILTER (WHERE place.kind = 'dial') AS position,
      min(usage.room) FILTER (WHERE place.kind <> 'default') AS room,
      max(usage.room_at) FILTER (WHERE place.kind <> 'default') AS room_at,
      min(place.position) FILTER (WHERE place.kind = 'default') AS default_position,
      min(usage.room) FILTER (WHERE place.kind = 'default') AS default_room,
      max(usage.room_at) FILTER (WHERE place.kind = 'default') AS default_room_at,
      COALESCE(max(place.position) FILTER (WHERE place.is_topic_dial)
               < min(place.position) FILTER (WHERE place.kind = 'default'), true) AS default_limits,
      json_agg(json_build_array(
        place.kind, place.channel, place.topic, place.level, place.position, place.mode, place.policy, place.contacts,
        place.per_seconds, usage.used, usage.room, place.set_at, place.role, place.source, place.expires_at))
        FILTER (WHERE %(explain)s::boolean) AS places
    FROM (
      SELECT 'dial' AS kind, d.channel, d.topic, l.name AS level, l.position, l.mode, l.contacts, l.per_seconds,
             NULL::text AS policy, d.set_at, d.role, d.source, d.expires_at, d.topic <> '*' AS is_topic_dial,
             CASE WHEN l.mode <> 'silent' THEN COALESCE(d.expires_at, 'infinity') END AS grants_until
      FROM dial d
      JOIN level l ON l.name = d.level
      WHERE d.customer_id = c.customer_id AND d.channel IN ('*', q.channel) AND d.topic = ANY (tp.covered_by)
      UNION ALL
      -- Under consent the default is the silent level, which is always the first.
      SELECT 'default', '*', COALESCE(tp.default_topic, tp.basis_topic), l.name, l.position, l.mode, l.contacts,
             l.per_seconds, NULL, cat.applied_at, NULL, NULL, NULL, false, NULL
      FROM level l
      WHERE l.name = tp.default_level OR (tp.basis = 'consent' AND l.position = 0)
      UNION ALL
      SELECT 'policy', p.channel, p.topic, NULL, NULL, 'capped', p.contacts, p.per_seconds,
             p.name, cat.applied_at, NULL, NULL, NULL, false, NULL
      FROM policy p
      WHERE p.channel IN ('*', q.channel) AND p.topic = ANY (tp.covered_by)
        AND (p.segment IS NULL OR p.segment = c.segment)
    ) place
    LEFT JOIN LATERAL (
      -- An entry made at s counts while s > instant - window, also when a clock put it ahead; an open permit counts
      -- whole until it ends. The n-th last to leave is the one that makes room in a cap of n.
      SELECT count(*) AS used, GREATEST(place.contacts - count(*), 0)::integer AS room,
             (array_agg(entry.leaves_at ORDER BY entry.leaves_at DESC))[place.contacts] AS room_at
      FROM (
        SELECT k.contacted_at + place.per_seconds * interval '1 second' AS leaves_at
        FROM contact k
        WHERE k.customer_id = c.customer_id AND k.counts
          AND k.contacted_at > q.instant - place.per_seconds * interval '1 second'
          AND (place.channel = '*' OR k.channel = place.channel)
          AND (place.topic = '*' OR k.topic = place.topic OR starts_with(k.topic, place.topic || '/'))
        UNION ALL
        SELECT m.expires_at
        FROM permit m
        WHERE %(count_permits)s::boolean AND m.customer_id = c.customer_id AND m.state = 'open' AND m.counts
          AND m.expires_at > q.instant
          AND (place.channel = '*' OR m.channel = place.channel)
          AND (place.topic = '*' OR m.topic = place.topic OR starts_with(m.topic, place.topic || '/'))
      ) entry
    ) usage ON place.contacts IS NOT NULL
    WHERE NOT tp.essential
  ) found
) governing ON c.customer_id IS NOT NULL

LEFT JOIN level held ON held.position = governing.position

-- The wall clock where the customer is.
LEFT JOIN LATERAL (
  SELECT CASE
    WHEN ch.quiet_from IS NULL THEN false
    WHEN ch.quiet_from < ch.quiet_to THEN wall.at >= ch.quiet_from AND wall.at < ch.quiet_to
    ELSE wall.at >= ch.quiet_from OR wall.at < ch.quiet_to
  END AS quiet
  FROM (SELECT (q.instant AT TIME ZONE COALESCE(c.time_zone, cat.time_zone))::time AS at) wall
) hours ON ch.quiet_from IS NOT NULL

-- First match wins: the rows of the rules' table.
CROSS JOIN LATERAL (
  SELECT matched.row_number, (ARRAY['erased', 'unknown_customer', 'suppressed', 'essential', 'paused', 'in_dialogue',
    'consent_expired', 'no_consent', 'silent', 'on_request_only', 'volume_reached', 'quiet_hours',
    'allowed'])[matched.row_number] AS reason
  FROM (
    SELECT CASE
      WHEN q.erased OR c.state = 'erased' THEN 1
      WHEN c.customer_id IS NULL THEN 2
      WHEN stop.suppressed THEN 3
      WHEN tp.essential THEN 4
      WHEN stop.paused_until > q.instant THEN 5
      -- 6, in_dialogue: there are no dialogues yet.
      WHEN tp.basis = 'consent' AND governing.granted_until <= q.instant THEN 7
      WHEN tp.basis = 'consent' AND governing.topic_dials = 0 THEN 8
      WHEN held.mode = 'silent' THEN 9
      WHEN held.mode = 'on_request' THEN 10
      WHEN governing.room = 0 THEN 11
      WHEN hours.quiet THEN 12
      ELSE 13
    END AS row_number
    OFFSET 0  -- once, not once for each column that hangs on it
  ) matched
) verdict

-- Played forward: pauses end, contacts and permits leave their windows, quiet hours end. Room only grows with time,
-- so the first instant that satisfies all is the answer, if the consent lasts until then.
LEFT JOIN LATERAL (
  SELECT quiet_until(
    GREATEST(q.instant, stop.paused_until, governing.room_at),
    COALESCE(c.time_zone, cat.time_zone), ch.quiet_from, ch.quiet_to) AS at
) opening ON verdict.row_number IN (5, 11, 12)
ORDER BY q.n;
