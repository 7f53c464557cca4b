-- The catalogue, one small set of tables that every decision reads. Applying replaces it under CATALOGUE_LOCK.

-- name: share
-- Held by whoever decides and writes, so that a catalogue comes before or after.
SELECT pg_advisory_xact_lock_shared(%(lock)s::bigint);

-- name: lock
-- Until the transaction ends no decision that reserves or records runs beside this one. The scans below may
-- take longer than a request may.
SELECT pg_advisory_xact_lock(%(lock)s::bigint), set_config('statement_timeout', '600000', true);

-- name: now
SELECT clock_timestamp() AS now;

-- name: current
-- The catalogue as it was written; no row before the first one.
SELECT version, document, applied_at,
  (SELECT coalesce(array_agg(name ORDER BY position, name), '{}') FROM channel WHERE retired_at IS NOT NULL)
    AS retired_channels,
  (SELECT coalesce(array_agg(name ORDER BY position, name), '{}') FROM topic WHERE retired_at IS NOT NULL)
    AS retired_topics
FROM catalogue;

-- name: load
-- All tables in one row and one snapshot; no row before the first catalogue.
SELECT c.version, c.time_zone, c.document,
  (SELECT jsonb_agg(to_jsonb(k) ORDER BY k.name) FROM identifier_kind k) AS identifier_kinds,
  (SELECT coalesce(array_agg(s.name), '{}') FROM segment s) AS segments,
  (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.position) FROM level l) AS levels,
  (SELECT jsonb_agg(to_jsonb(h) || jsonb_build_object('quiet_from', to_char(h.quiet_from, 'HH24:MI'),
                                                      'quiet_to', to_char(h.quiet_to, 'HH24:MI'))
                    ORDER BY h.retired_at IS NOT NULL, h.position, h.name) FROM channel h) AS channels,
  (SELECT jsonb_agg(to_jsonb(t) ORDER BY t.retired_at IS NOT NULL, t.position, t.name) FROM topic t) AS topics,
  (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.position) FROM policy p) AS policies,
  (SELECT jsonb_agg(to_jsonb(n) ORDER BY n.notice_id, n.version) FROM notice n) AS notices
FROM catalogue c;

-- name: zone_is_known
-- Whether this server knows a time zone; it may know others than the service does.
SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = %(zone)s::text) AS known;

-- name: has_customers
SELECT EXISTS (SELECT FROM customer WHERE state = 'active') AS found;

-- name: dials_in_use
-- Each (channel, topic, level) at which any customer's dial stands, once. A scan of dial.
SELECT DISTINCT channel, topic, level FROM dial WHERE level IS NOT NULL;

-- name: standing_channels
-- Those of the channels on which anything of a customer's stands. A scan of each table for one that has none.
SELECT q.name
FROM unnest(%(names)s::text[]) AS q (name)
WHERE EXISTS (SELECT FROM dial d WHERE d.channel = q.name)
  OR EXISTS (SELECT FROM pause p WHERE p.channel = q.name)
  OR EXISTS (SELECT FROM suppression s WHERE s.channel = q.name)
  OR EXISTS (SELECT FROM point_suppression s WHERE s.channel = q.name)
  OR EXISTS (SELECT FROM permit m WHERE m.channel = q.name)
  OR EXISTS (SELECT FROM contact k WHERE k.channel = q.name);

-- name: standing_topics
-- Those of the topics on which anything of a customer's stands. A scan of each table for one that has none.
SELECT q.name
FROM unnest(%(names)s::text[]) AS q (name)
WHERE EXISTS (SELECT FROM dial d WHERE d.topic = q.name)
  OR EXISTS (SELECT FROM permit m WHERE m.topic = q.name)
  OR EXISTS (SELECT FROM contact k WHERE k.topic = q.name);

-- name: standing_segments
-- Those of the segments that a customer has. A scan of customer.
SELECT DISTINCT segment AS name
FROM customer
WHERE state = 'active' AND segment = ANY (%(names)s::text[]);

-- name: standing_kinds
-- Those of the kinds of which there are identifiers, or suppressed contact points. By primary keys.
SELECT q.name
FROM unnest(%(names)s::text[]) AS q (name)
WHERE EXISTS (SELECT FROM identifier_owner o WHERE o.kind = q.name)
  OR EXISTS (SELECT FROM point_suppression s WHERE s.identifier_kind = q.name);

-- name: put_catalogue
INSERT INTO catalogue (version, time_zone, document, applied_at)
VALUES (%(version)s::bigint, %(time_zone)s::text, %(document)s::json, %(now)s::timestamptz)
ON CONFLICT (is_the_only_row) DO UPDATE
SET version = excluded.version, time_zone = excluded.time_zone, document = excluded.document,
    applied_at = excluded.applied_at;

-- name: put_version
INSERT INTO catalogue_version (version, document, applied_at, accepted_louder)
VALUES (%(version)s::bigint, %(document)s::json, %(now)s::timestamptz, %(accepted_louder)s::jsonb);

-- name: put_kinds
INSERT INTO identifier_kind (name, shared)
SELECT q.name, q.shared
FROM jsonb_to_recordset(%(rows)s::jsonb) AS q (name text, shared boolean)
ON CONFLICT (name) DO UPDATE SET shared = excluded.shared;

-- name: put_segments
INSERT INTO segment (name)
SELECT q.name FROM unnest(%(names)s::text[]) AS q (name)
ON CONFLICT (name) DO NOTHING;

-- name: put_levels
-- Positions are unique at commit only, so that levels can change places.
INSERT INTO level (name, position, mode, contacts, per_seconds, label)
SELECT q.name, q.position, q.mode, q.contacts, q.per_seconds, q.label
FROM jsonb_to_recordset(%(rows)s::jsonb)
  AS q (name text, position integer, mode text, contacts integer, per_seconds bigint, label jsonb)
ON CONFLICT (name) DO UPDATE
SET position = excluded.position, mode = excluded.mode, contacts = excluded.contacts,
    per_seconds = excluded.per_seconds, label = excluded.label;

-- name: put_channels
-- A retired channel that comes back is no longer retired.
INSERT INTO channel (name, position, identifier_kind, quiet_from, quiet_to, confirm, label, retired_at)
SELECT q.name, q.position, q.identifier_kind, q.quiet_from, q.quiet_to, q.confirm, q.label, NULL
FROM jsonb_to_recordset(%(rows)s::jsonb)
  AS q (name text, position integer, identifier_kind text, quiet_from time, quiet_to time, confirm boolean,
        label jsonb)
ON CONFLICT (name) DO UPDATE
SET position = excluded.position, identifier_kind = excluded.identifier_kind,
    quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to, confirm = excluded.confirm,
    label = excluded.label, retired_at = NULL;

-- name: put_topics
-- A retired topic that comes back is no longer retired.
INSERT INTO topic (name, position, basis, essential, covered_by, default_level, default_topic, basis_topic,
                   consent_lasts_seconds, label, benefit, retired_at)
SELECT q.name, q.position, q.basis, q.essential, q.covered_by, q.default_level, q.default_topic, q.basis_topic,
  q.consent_lasts_seconds, q.label, q.benefit, NULL
FROM jsonb_to_recordset(%(rows)s::jsonb)
  AS q (name text, position integer, basis text, essential boolean, covered_by text[], default_level text,
        default_topic text, basis_topic text, consent_lasts_seconds bigint, label jsonb, benefit jsonb)
ON CONFLICT (name) DO UPDATE
SET position = excluded.position, basis = excluded.basis, essential = excluded.essential,
    covered_by = excluded.covered_by, default_level = excluded.default_level,
    default_topic = excluded.default_topic, basis_topic = excluded.basis_topic,
    consent_lasts_seconds = excluded.consent_lasts_seconds, label = excluded.label,
    benefit = excluded.benefit, retired_at = NULL;

-- name: retire_channels
UPDATE channel SET retired_at = %(now)s::timestamptz
WHERE name = ANY (%(names)s::text[]) AND retired_at IS NULL;

-- name: retire_topics
UPDATE topic SET retired_at = %(now)s::timestamptz
WHERE name = ANY (%(names)s::text[]) AND retired_at IS NULL;

-- name: delete_channels
DELETE FROM channel WHERE name = ANY (%(names)s::text[]);

-- name: delete_topics
DELETE FROM topic WHERE name = ANY (%(names)s::text[]);

-- name: delete_policies
DELETE FROM policy;

-- name: put_policies
INSERT INTO policy (position, name, channel, topic, contacts, per_seconds, segment)
SELECT q.position, q.name, q.channel, q.topic, q.contacts, q.per_seconds, q.segment
FROM jsonb_to_recordset(%(rows)s::jsonb)
  AS q (position integer, name text, channel text, topic text, contacts integer, per_seconds bigint,
        segment text);

-- name: put_notices
-- A notice that stands is never changed; the service has refused another text under its name.
INSERT INTO notice (notice_id, version, text)
SELECT q.notice_id, q.version, q.text
FROM jsonb_to_recordset(%(rows)s::jsonb) AS q (notice_id text, version text, text jsonb)
ON CONFLICT (notice_id, version) DO NOTHING;

-- name: delete_levels
DELETE FROM level WHERE name <> ALL (%(names)s::text[]);

-- name: delete_segments
DELETE FROM segment WHERE name <> ALL (%(names)s::text[]);

-- name: delete_kinds
DELETE FROM identifier_kind WHERE name <> ALL (%(names)s::text[]);
