-- What happened. The frame of an event (id, type, time, commitment) is clear and for ever; its content
-- stands beside it as ciphertext under the customer's key. Append-only by privilege and by trigger.
-- New tables only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE event (
  customer_id uuid NOT NULL,           -- the nil uuid: no customer's
  event_id uuid NOT NULL,
  type text COLLATE "C" NOT NULL,
  recorded_at timestamptz NOT NULL,
  commitment bytea NOT NULL            -- SHA-256 over prefix, salt and canonical content: see history/model.py
    CONSTRAINT a_commitment_is_a_sha256 CHECK (octet_length(commitment) = 32),
  PRIMARY KEY (customer_id, event_id)
);
-- Paging a customer's history, newest first.
CREATE INDEX event_page ON event (customer_id, recorded_at, event_id);

CREATE TABLE event_content (
  customer_id uuid NOT NULL,
  event_id uuid NOT NULL,
  ciphertext bytea NOT NULL,           -- of salt (32 bytes) and canonical JSON
  PRIMARY KEY (customer_id, event_id),
  CONSTRAINT content_belongs_to_an_event FOREIGN KEY (customer_id, event_id) REFERENCES event (customer_id, event_id)
);

CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'history is append-only: % on % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();
CREATE TRIGGER event_content_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_content
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history();

GRANT SELECT, INSERT ON event, event_content TO consent_service;
