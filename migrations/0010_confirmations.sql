-- What waits for a confirmation (something louder, or a new address), and which identifiers were ever confirmed.
-- One new table, and one column without a default: a brief ACCESS EXCLUSIVE lock on identifier, no rewrite.

SET LOCAL lock_timeout = '2s';

CREATE TABLE pending_change (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  change_id uuid NOT NULL,             -- stands in the link that confirms it
  kind text COLLATE "C" NOT NULL
    CONSTRAINT a_pending_change_has_a_known_kind CHECK (kind IN ('louder', 'address')),
  state text NOT NULL DEFAULT 'open'   -- expired is computed on read: open and expires_at <= now
    CONSTRAINT a_pending_change_has_a_known_state CHECK (state IN ('open', 'confirmed', 'dropped')),
  asked_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  event_id uuid NOT NULL,              -- says what was asked
  end_event_id uuid,                   -- says how it ended
  ciphertext bytea NOT NULL,           -- what was asked, and where the mail went
  PRIMARY KEY (customer_id, change_id),
  CONSTRAINT an_open_change_has_not_ended CHECK ((state = 'open') = (ended_at IS NULL)),
  CONSTRAINT an_ended_change_names_its_event CHECK ((state = 'open') = (end_event_id IS NULL)),
  CONSTRAINT a_pending_change_expires_later CHECK (expires_at > asked_at)
);
ALTER TABLE pending_change ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
CREATE INDEX pending_change_old ON pending_change (expires_at);

ALTER TABLE identifier ADD COLUMN confirmed_at timestamptz;

GRANT SELECT, INSERT, UPDATE, DELETE ON pending_change TO consent_service;
