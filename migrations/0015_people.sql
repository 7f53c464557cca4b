-- People whom customers name in a dialogue, and who does not want to be named. Two new tables: no lock on anything in
-- use but a brief one on dialogue, for the foreign key: milliseconds.

SET LOCAL lock_timeout = '2s';

-- Somebody whom a customer named. All that is known of them is ciphertext under the naming customer's key, of one
-- length whatever it says: nothing here can be searched for, counted by its answer, or joined with a customer.
CREATE TABLE person (
  customer_id uuid NOT NULL,           -- who named them
  person_id uuid NOT NULL,
  dialogue_id uuid NOT NULL,
  named_at timestamptz NOT NULL,
  event_id uuid NOT NULL,              -- says that somebody was named, not who
  ciphertext bytea NOT NULL,           -- name, relation, contact detail in part, invitation, what was answered
  PRIMARY KEY (customer_id, person_id),
  -- Checked at the end: a merge moves both, in whatever order.
  FOREIGN KEY (customer_id, dialogue_id) REFERENCES dialogue (customer_id, dialogue_id) DEFERRABLE INITIALLY DEFERRED
);

-- A contact detail by which nobody is to be named again: a keyed hash of its own kind, which matches no hash of an
-- identifier, and no time, which could be matched with an event.
CREATE TABLE refused_naming (
  value_hash bytea PRIMARY KEY
);

ALTER TABLE person ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE, DELETE ON person TO consent_service;
GRANT SELECT, INSERT ON refused_naming TO consent_service;
