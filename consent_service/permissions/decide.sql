-- The law of the dial, once. One statement answers one question or ten thousand.

-- name: decide
-- May these contacts be made? One row per question, in the order asked, also for unknown customers and for
-- questions that cannot be asked (`error` is then a code and every other answer is to be ignored).
-- Parameters: nine arrays of equal length (customer_id NULL: unknown; erased; channel; topic; at NULL: now; kind and
-- keyed hash of the identifier asked with, NULL when asked by id; the milestone that the permit asked for names, NULL:
-- none; the dialogue in which the permit that is used was given, NULL: none), then for all of them
--   now             NULL: the database's clock, read after the locks that the caller holds
--   count_permits   false when a permit is used: its own room is set aside, and it is used where it was given: of
--                   dialogues only in its own
--   key_topics      topics of the key; NULL with `limited`: every topic that is not essential
--   limited         false for the desk and auditors
--   accept_retired  true for contacts that were already made
--   bounded         `at` must lie from 5 minutes ago to 400 days ahead
--   not_before_now  an `at` in the past is taken as now
--   explain         whether `places` is wanted: a list of [kind, channel, topic, level, position, mode, policy, contacts,
--                   seconds, used, room, set at, role, source, ends at], in no order; a default among them governs
--                   when `default_limits`
-- Leans on the primary keys of dial, pause, suppression, identifier, point_suppression, dialogue, milestone and occasion,
-- on permit_open, contact_window and contact_in_dialogue; the catalogue's tables are small.
WITH question AS MATERIALIZED (
  SELECT q.n, q.customer_id, q.erased, q.channel, q.topic, q.at, q.value_kind, q.value_hash,
         q.milestone_id, q.dialogue_id, clock.now,
         CASE WHEN %(not_before_now)s::boolean THEN GREATEST(q.at, clock.now) ELSE COALESCE(q.at, clock.now) END AS instant
  FROM unnest(%(customer_ids)s::uuid[], %(erased)s::boolean[], %(channels)s::text[], %(topics)s::text[],
              %(ats)s::timestamptz[], %(value_kinds)s::text[], %(value_hashes)s::bytea[], %(milestone_ids)s::uuid[],
              %(dialogue_ids)s::uuid[])
    WITH ORDINALITY AS q (customer_id, erased, channel, topic, at, value_kind, value_hash, milestone_id, dialogue_id, n)
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
    WHEN q.milestone_id IS NOT NULL AND c.state = 'active' AND kept.milestone_id IS NULL THEN 'unknown_milestone'
  END AS error,
  verdict.reason,
  verdict.reason IN ('essential', 'in_dialogue', 'allowed') AS allowed,
  CASE WHEN verdict.row_number >= 9 AND NOT verdict.inside THEN held.name END AS level,
  CASE
    WHEN verdict.inside THEN served.room
    WHEN verdict.row_number >= 11 THEN governing.room
  END AS remaining,
  CASE WHEN verdict.row_number IN (5, 11, 12) THEN LEAST(
    CASE
      WHEN held.mode IS DISTINCT FROM 'silent' AND held.mode IS DISTINCT FROM 'on_request'
        AND (tp.basis <> 'consent' OR governing.granted_until > opening.at)
      THEN opening.at
    END,
    talking.at, kept.opens_at)
  END AS next_allowed_at,
  CASE WHEN verdict.inside THEN served.dialogue_id END AS dialogue_id,
  CASE WHEN verdict.inside THEN served.milestone_id END AS milestone_id,
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

-- The milestone that was named, the instants between which it lets one contact be made (not before a permit for it has
-- ended), and when it next does outside of pauses and quiet hours. Without a row: this customer keeps none of that name.
LEFT JOIN LATERAL (
  SELECT m.milestone_id, o.dialogue_id, span.starts_at, span.ends_at,
         CASE WHEN span.opens_at < span.ends_at THEN span.opens_at END AS opens_at
  FROM milestone m
  JOIN occasion o ON o.customer_id = m.customer_id AND o.occasion_id = m.occasion_id
  LEFT JOIN LATERAL (
    SELECT begins.at AS starts_at,
           (m.due_on + m.window_days)::timestamp AT TIME ZONE COALESCE(c.time_zone, cat.time_zone) AS ends_at,
           quiet_until(GREATEST(q.instant, stop.paused_until, begins.at),
                       COALESCE(c.time_zone, cat.time_zone), ch.quiet_from, ch.quiet_to) AS opens_at
    FROM (
      SELECT GREATEST(m.due_on::timestamp AT TIME ZONE COALESCE(c.time_zone, cat.time_zone), max(p.expires_at)) AS at
      FROM permit p
      WHERE %(count_permits)s::boolean AND p.customer_id = m.customer_id AND p.state = 'open'
        AND p.expires_at > q.instant AND p.milestone_id = m.milestone_id
    ) begins
    WHERE m.dropped_at IS NULL AND m.channel = q.channel AND m.topic = ANY (tp.covered_by)
      AND NOT EXISTS (SELECT FROM contact k WHERE k.customer_id = m.customer_id AND k.dialogue_id = o.dialogue_id
                      AND k.milestone_id = m.milestone_id)
  ) span ON true
  WHERE m.customer_id = c.customer_id AND m.milestone_id = q.milestone_id
) kept ON q.milestone_id IS NOT NULL

-- What the customer opened, and serves now: the milestone, which takes of nothing's room, else of the dialogues with contacts
-- left the first. In quiet hours the milestone cannot, and leaves it to a dialogue.
LEFT JOIN LATERAL (
  SELECT way.dialogue_id, way.milestone_id, way.any_time, way.room
  FROM (
    SELECT NULL::timestamptz AS opened_at, kept.dialogue_id, kept.milestone_id, false AS any_time, NULL::integer AS room
    WHERE kept.starts_at <= q.instant AND kept.ends_at > q.instant
    UNION ALL
    SELECT d.opened_at, d.dialogue_id, NULL, d.any_time,
           (d.contacts
            - (SELECT count(*) FROM contact k WHERE k.customer_id = d.customer_id AND k.dialogue_id = d.dialogue_id
               AND k.milestone_id IS NULL)
            - (SELECT count(*) FROM permit p WHERE %(count_permits)s::boolean AND p.customer_id = d.customer_id
               AND p.state = 'open' AND p.expires_at > q.instant AND p.dialogue_id = d.dialogue_id
               AND p.milestone_id IS NULL))::integer
    FROM dialogue d
    WHERE d.customer_id = c.customer_id AND d.closed_at IS NULL AND d.until > q.instant
      AND q.channel = ANY (d.channels) AND d.topic = ANY (tp.covered_by)
      AND (%(count_permits)s::boolean OR d.dialogue_id = q.dialogue_id)
  ) way
  WHERE way.milestone_id IS NOT NULL OR way.room > 0
  ORDER BY way.milestone_id IS NOT NULL AND COALESCE(hours.quiet, false), way.opened_at NULLS FIRST, way.dialogue_id
  LIMIT 1
) served ON c.customer_id IS NOT NULL

-- First match wins: the rows of the rules' table.
CROSS JOIN LATERAL (
  SELECT matched.row_number,
         matched.row_number = 6 OR (matched.row_number = 12 AND served.dialogue_id IS NOT NULL) AS inside,
         (ARRAY['erased', 'unknown_customer', 'suppressed', 'essential', 'paused', 'in_dialogue',
    'consent_expired', 'no_consent', 'silent', 'on_request_only', 'volume_reached', 'quiet_hours',
    'allowed'])[matched.row_number] AS reason
  FROM (
    SELECT CASE
      WHEN q.erased OR c.state = 'erased' THEN 1
      WHEN c.customer_id IS NULL THEN 2
      WHEN stop.suppressed THEN 3
      WHEN tp.essential THEN 4
      WHEN stop.paused_until > q.instant THEN 5
      WHEN served.dialogue_id IS NOT NULL THEN CASE WHEN hours.quiet AND NOT served.any_time THEN 12 ELSE 6 END
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

-- And inside dialogues: from when one has contacts left (a permit in it ends) until it ends. Outside quiet hours whichever
-- serves will do. Within them it is one that says `any_time`, as soon as none that was opened before and does not serves
-- instead.
LEFT JOIN LATERAL (
  WITH talk AS MATERIALIZED (
    SELECT d.dialogue_id, d.opened_at, d.until, d.any_time,
           GREATEST(q.instant, stop.paused_until, reserved.room_at) AS opens_at
    FROM dialogue d
    CROSS JOIN LATERAL (
      SELECT d.contacts - count(*) AS unmade
      FROM contact k
      WHERE k.customer_id = d.customer_id AND k.dialogue_id = d.dialogue_id AND k.milestone_id IS NULL
    ) ledger
    CROSS JOIN LATERAL (
      SELECT (array_agg(p.expires_at ORDER BY p.expires_at DESC))[ledger.unmade] AS room_at  -- NULL: there is some
      FROM permit p
      WHERE %(count_permits)s::boolean AND p.customer_id = d.customer_id AND p.state = 'open'
        AND p.expires_at > q.instant AND p.dialogue_id = d.dialogue_id AND p.milestone_id IS NULL
    ) reserved
    WHERE d.customer_id = c.customer_id AND d.closed_at IS NULL AND q.channel = ANY (d.channels)
      AND d.topic = ANY (tp.covered_by) AND ledger.unmade > 0
      AND (%(count_permits)s::boolean OR d.dialogue_id = q.dialogue_id)
  )
  SELECT min(moment.at) AS at
  FROM talk
  CROSS JOIN LATERAL (
    SELECT quiet_until(talk.opens_at, COALESCE(c.time_zone, cat.time_zone), ch.quiet_from, ch.quiet_to) AS at
    UNION ALL
    SELECT edge.at
    FROM (
      SELECT talk.opens_at AS at
      UNION ALL
      SELECT e.until FROM talk e WHERE e.until > talk.opens_at
    ) edge
    WHERE talk.any_time AND NOT EXISTS (
      SELECT FROM talk e
      WHERE (e.opened_at, e.dialogue_id) < (talk.opened_at, talk.dialogue_id) AND NOT e.any_time
        AND e.opens_at <= edge.at AND e.until > edge.at)
  ) moment
  WHERE moment.at < talk.until
) talking ON verdict.row_number IN (5, 11, 12)
ORDER BY q.n;
