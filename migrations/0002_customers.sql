-- Who the customers are. Identifiers stand as keyed hash (to find) and ciphertext (to show):
-- a stolen dump names nobody, and deleting a customer's key deletes the names.
-- New tables only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE customer (
  customer_id uuid PRIMARY KEY,
  state text NOT NULL DEFAULT 'active'
    CONSTRAINT a_customer_has_a_known_state CHECK (state IN ('active', 'merged', 'erased')),
  survivor_id uuid,                 -- of a merged one: never itself a merged one (paths are kept flat)
  time_zone text,
  locale text,
  segment text COLLATE "C",
  version bigint NOT NULL DEFAULT 0,  -- counts changes of dials and pauses: the ETag
  created_at timestamptz NOT NULL,
  CONSTRAINT a_merged_customer_names_the_survivor CHECK ((state = 'merged') = (survivor_id IS NOT NULL))
) WITH (fillfactor = 80);
-- Merging finds the customers that had been merged into the one that now goes.
CREATE INDEX customer_survivor ON customer (survivor_id) WHERE survivor_id IS NOT NULL;

-- The customer's data key, wrapped by a key that derives from the root secret (secret_id names it).
-- The nil uuid holds the service's own. Only erasure deletes a row.
CREATE TABLE customer_key (
  customer_id uuid PRIMARY KEY,
  wrapped_key bytea NOT NULL,
  secret_id text NOT NULL
);

CREATE TABLE identifier (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  kind text COLLATE "C" NOT NULL,
  value_hash bytea NOT NULL,
  ciphertext bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (customer_id, kind, value_hash)
);

-- The one place where identifiers are unique. holder is the nil uuid for an exclusive kind (so a second
-- owner collides) and the customer for a shared kind (so several may hold it).
CREATE TABLE identifier_owner (
  kind text COLLATE "C" NOT NULL,
  value_hash bytea NOT NULL,
  holder uuid NOT NULL,
  customer_id uuid NOT NULL,
  CONSTRAINT an_identifier_names_one_customer PRIMARY KEY (kind, value_hash, holder)
);

CREATE TABLE erased_identifier (
  kind text COLLATE "C" NOT NULL,
  value_hash bytea NOT NULL,
  erased_at timestamptz NOT NULL,
  PRIMARY KEY (kind, value_hash)
);

-- Reports of contacts to erased people leave only this.
CREATE TABLE erased_contact_total (
  day date PRIMARY KEY,             -- UTC, of contacted_at
  contacts bigint NOT NULL
);

CREATE TABLE suppression (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  suppression_id uuid NOT NULL,
  channel text COLLATE "C",         -- NULL: every channel
  kind text NOT NULL CONSTRAINT a_suppression_has_a_known_kind CHECK (kind IN ('marketing', 'all')),
  set_at timestamptz NOT NULL,
  role text NOT NULL,
  event_id uuid NOT NULL,
  PRIMARY KEY (customer_id, suppression_id)
);

CREATE TABLE point_suppression (
  identifier_kind text COLLATE "C" NOT NULL,
  value_hash bytea NOT NULL,
  suppression_id uuid NOT NULL,
  channel text COLLATE "C",
  kind text NOT NULL CONSTRAINT a_point_suppression_has_a_known_kind CHECK (kind IN ('marketing', 'all')),
  set_at timestamptz NOT NULL,
  role text NOT NULL,
  event_id uuid NOT NULL,
  PRIMARY KEY (identifier_kind, value_hash, suppression_id)
);
CREATE INDEX point_suppression_id ON point_suppression (suppression_id);

GRANT SELECT, INSERT, UPDATE ON customer TO consent_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON customer_key, identifier, identifier_owner, erased_identifier,
  erased_contact_total, suppression, point_suppression TO consent_service;
