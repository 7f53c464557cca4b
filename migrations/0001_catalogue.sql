-- The catalogue, normalised so that the decision needs no walk: each topic carries its effective basis,
-- default and lifetime, and the list of topic places that cover it.
-- New tables only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

-- The service's role owns nothing. It is a group without login: the login that the service
-- connects with is a member of it (or connects as it, in the embedded server).
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'consent_service') THEN
    CREATE ROLE consent_service NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;  -- another database of this cluster was migrated at the same moment
END
$$;
GRANT USAGE ON SCHEMA public TO consent_service;

CREATE TABLE catalogue (
  is_the_only_row boolean PRIMARY KEY DEFAULT true
    CONSTRAINT there_is_one_catalogue CHECK (is_the_only_row),
  version bigint NOT NULL,
  time_zone text NOT NULL,
  document json NOT NULL,           -- as loaded; GET /v1/catalogue shows it. json keeps the order of the file
  applied_at timestamptz NOT NULL
);

CREATE TABLE catalogue_version (
  version bigint PRIMARY KEY,
  document json NOT NULL,
  applied_at timestamptz NOT NULL,
  accepted_louder jsonb NOT NULL    -- list of what --accept-louder let through, [] otherwise
);

CREATE TABLE level (
  name text COLLATE "C" PRIMARY KEY,
  position integer NOT NULL,        -- 0 is the quietest
  mode text NOT NULL CONSTRAINT a_level_has_a_known_mode
    CHECK (mode IN ('silent', 'on_request', 'capped', 'open')),
  contacts integer,
  per_seconds bigint,
  label jsonb NOT NULL,
  CONSTRAINT only_a_capped_level_has_a_cap
    CHECK ((mode = 'capped') = (contacts IS NOT NULL AND per_seconds IS NOT NULL)),
  CONSTRAINT level_positions_are_unique UNIQUE (position) DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE identifier_kind (
  name text COLLATE "C" PRIMARY KEY,
  shared boolean NOT NULL
);

CREATE TABLE segment (name text COLLATE "C" PRIMARY KEY);

CREATE TABLE channel (
  name text COLLATE "C" PRIMARY KEY,
  position integer NOT NULL,        -- order of the file
  identifier_kind text COLLATE "C" NOT NULL REFERENCES identifier_kind (name),
  quiet_from time,
  quiet_to time,
  confirm boolean NOT NULL DEFAULT false,
  label jsonb NOT NULL,
  retired_at timestamptz,
  CONSTRAINT quiet_hours_have_both_ends CHECK ((quiet_from IS NULL) = (quiet_to IS NULL)),
  CONSTRAINT quiet_hours_are_not_empty CHECK (quiet_from <> quiet_to)
);

CREATE TABLE topic (
  name text COLLATE "C" PRIMARY KEY,
  position integer NOT NULL,
  basis text NOT NULL CONSTRAINT a_topic_has_a_known_basis CHECK (basis IN
    ('consent', 'legitimate_interest', 'contract', 'legal_obligation', 'vital_interest')),
  essential boolean NOT NULL,
  covered_by text[] COLLATE "C" NOT NULL,       -- the topic places that cover it: '*', its ancestors, itself
  default_level text COLLATE "C" REFERENCES level (name),   -- effective; NULL: silent because the basis is consent, or essential
  default_topic text COLLATE "C",               -- the topic that declares the default
  basis_topic text COLLATE "C" NOT NULL,        -- the topic that declares the basis
  consent_lasts_seconds bigint,                 -- effective; NULL: without end
  label jsonb NOT NULL,
  benefit jsonb,
  retired_at timestamptz,
  CONSTRAINT essential_follows_from_the_basis
    CHECK (essential = (basis IN ('contract', 'legal_obligation', 'vital_interest'))),
  CONSTRAINT a_default_names_level_and_topic
    CHECK ((basis = 'legitimate_interest') = (default_level IS NOT NULL AND default_topic IS NOT NULL))
);

CREATE TABLE policy (
  position integer PRIMARY KEY,
  name text NOT NULL,
  channel text COLLATE "C" NOT NULL,            -- '*' or a channel
  topic text COLLATE "C" NOT NULL,              -- '*' or a topic
  contacts integer NOT NULL,
  per_seconds bigint NOT NULL,
  segment text COLLATE "C" REFERENCES segment (name)  -- NULL: for everybody
);

CREATE TABLE notice (
  notice_id text NOT NULL,
  version text NOT NULL,
  text jsonb NOT NULL,              -- by locale; never changed once loaded
  PRIMARY KEY (notice_id, version)
);

-- The instant at which quiet hours end, for an instant inside them; the instant itself outside them.
-- Wall-clock times are [quiet_from, quiet_to) in the zone, wrapping midnight where from > to. A skipped
-- hour ends quiet at the jump, a repeated hour is quiet both times: so the walk goes to the next change
-- of the zone's offset, if there is one before the wall clock would reach quiet_to, and looks again there.
CREATE FUNCTION quiet_until(at timestamptz, zone text, quiet_from time, quiet_to time)
RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  wall time;
  shift interval;
  ends timestamptz;
  low timestamptz;
  high timestamptz;
BEGIN
  IF quiet_from IS NULL THEN
    RETURN at;
  END IF;
  LOOP
    wall := (at AT TIME ZONE zone)::time;
    IF NOT (CASE WHEN quiet_from < quiet_to THEN wall >= quiet_from AND wall < quiet_to
                 ELSE wall >= quiet_from OR wall < quiet_to END) THEN
      RETURN at;
    END IF;
    shift := (at AT TIME ZONE zone) - (at AT TIME ZONE 'UTC');
    ends := at + CASE WHEN quiet_to > wall THEN quiet_to - wall ELSE quiet_to - wall + interval '24 hours' END;
    IF (ends AT TIME ZONE zone) - (ends AT TIME ZONE 'UTC') = shift THEN
      RETURN ends;
    END IF;
    -- The offset changes in (at, ends]: find the change, which falls on a whole second.
    low := date_trunc('second', at);
    high := date_trunc('second', ends) + interval '1 second';
    WHILE high - low > interval '1 second' LOOP
      wall := NULL;
      ends := low + date_trunc('second', (high - low) / 2);
      IF (ends AT TIME ZONE zone) - (ends AT TIME ZONE 'UTC') = shift THEN
        low := ends;
      ELSE
        high := ends;
      END IF;
    END LOOP;
    at := high;
  END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON catalogue, level, identifier_kind, segment, channel, topic, policy
  TO consent_service;
GRANT SELECT, INSERT ON catalogue_version, notice TO consent_service;
