-- Mail that the service itself sends (links, confirmations): queued in the transaction that wants it, sent by a worker.
-- What a mail says is ciphertext under the customer's key, and is gone when it was sent or given up.
-- New table only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE mail (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  mail_id uuid NOT NULL,               -- stands in the Message-ID: a second copy has the same
  kind text COLLATE "C" NOT NULL,
  state text NOT NULL DEFAULT 'queued'
    CONSTRAINT a_mail_has_a_known_state CHECK (state IN ('queued', 'sent', 'failed')),
  queued_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL,        -- when a worker may take it (again); in the future while one holds it
  ended_at timestamptz,
  event_id uuid,                       -- says that it was sent or given up
  ciphertext bytea,                    -- the letter; NULL once it has ended
  PRIMARY KEY (customer_id, mail_id),
  CONSTRAINT a_queued_mail_has_not_ended CHECK ((state = 'queued') = (ended_at IS NULL)),
  CONSTRAINT an_ended_mail_names_its_event CHECK ((state = 'queued') = (event_id IS NULL)),
  CONSTRAINT only_a_queued_mail_says_something CHECK ((state = 'queued') = (ciphertext IS NOT NULL))
);
ALTER TABLE mail ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
CREATE INDEX mail_due ON mail (next_at) WHERE state = 'queued';
CREATE INDEX mail_ended ON mail (ended_at) WHERE state <> 'queued';

GRANT SELECT, INSERT, UPDATE, DELETE ON mail TO consent_service;
