-- Permits (room reserved) and contacts (the ledger).
-- New tables only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE permit (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  permit_id uuid NOT NULL,
  key_name text NOT NULL,              -- permits belong to the key's name: a replaced key goes on with them
  channel text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  campaign text,
  value_kind text COLLATE "C",         -- the identifier it was asked with; NULL: asked by id
  value_hash bytea,
  reserved_at timestamptz NOT NULL,
  valid_from timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  state text NOT NULL DEFAULT 'open'   -- expired is computed on read: open and expires_at <= now
    CONSTRAINT a_permit_has_a_known_state CHECK (state IN ('open', 'used', 'released', 'void')),
  ended_at timestamptz,
  contact_id uuid,
  counts boolean NOT NULL,             -- false: essential, takes no room
  event_id uuid NOT NULL,              -- its history event holds the decision
  PRIMARY KEY (customer_id, permit_id),
  CONSTRAINT an_open_permit_has_not_ended CHECK ((state = 'open') = (ended_at IS NULL)),
  CONSTRAINT a_used_permit_names_its_contact CHECK ((state = 'used') = (contact_id IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX permit_open ON permit (customer_id, expires_at) WHERE state = 'open';

CREATE TABLE contact (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  contact_id uuid NOT NULL,
  key_name text NOT NULL,
  channel text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  campaign text,
  contacted_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  permit_id uuid,
  external_id text,                    -- the sender's own id of a reported contact
  permitted boolean NOT NULL,
  reason text NOT NULL,
  counts boolean NOT NULL,             -- false: essential or in a dialogue, takes no room
  event_id uuid NOT NULL,
  PRIMARY KEY (customer_id, contact_id),
  CONSTRAINT an_external_id_is_reported_once UNIQUE (customer_id, key_name, external_id)
);
-- The windows: all entries of a customer since an instant that count.
CREATE INDEX contact_window ON contact (customer_id, contacted_at) INCLUDE (channel, topic) WHERE counts;

-- Merging moves a customer's rows to the survivor and erasure deletes them; nothing else does.
GRANT SELECT, INSERT, UPDATE, DELETE ON permit TO consent_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON contact TO consent_service;
