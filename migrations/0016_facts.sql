-- What customers tell in a dialogue, for a purpose and until a day. A new table: no lock on anything in use but a brief
-- one on dialogue, for the foreign key: milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE fact (
  customer_id uuid NOT NULL,
  fact_id uuid NOT NULL,
  dialogue_id uuid NOT NULL,
  until timestamptz NOT NULL,          -- expired is computed on read: until <= now
  told_at timestamptz NOT NULL,        -- or last changed
  event_id uuid NOT NULL,              -- the last one about it; it does not say the value
  ciphertext bytea NOT NULL,           -- name, value, purpose
  PRIMARY KEY (customer_id, fact_id),
  CONSTRAINT a_fact_ends_after_it_was_told CHECK (until > told_at),
  -- Checked at the end: a merge moves both, in whatever order.
  FOREIGN KEY (customer_id, dialogue_id) REFERENCES dialogue (customer_id, dialogue_id) DEFERRABLE INITIALLY DEFERRED
);
-- Housekeeping: what nobody may be told any more.
CREATE INDEX fact_ended ON fact (until);

ALTER TABLE fact ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE, DELETE ON fact TO consent_service;
