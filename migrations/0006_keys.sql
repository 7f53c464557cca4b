-- API keys, stored answers of idempotent requests, and counters of requests.
-- New tables only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE api_key (
  key_id uuid PRIMARY KEY,
  name text NOT NULL,
  role text NOT NULL
    CONSTRAINT a_key_has_a_known_role CHECK (role IN ('campaign', 'desk', 'auditor', 'admin')),
  topics text[] COLLATE "C",           -- NULL: every topic that is not essential (campaign)
  secret_hash bytea NOT NULL,
  requests_per_minute integer,         -- NULL: no limit
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  last_used_at timestamptz,            -- to the minute
  CONSTRAINT a_key_is_stored_once UNIQUE (secret_hash)
);
CREATE INDEX api_key_name ON api_key (name);

CREATE TABLE idempotency (
  key_name text NOT NULL,              -- scope: the API key's name, or customer:<id>
  idempotency_key text NOT NULL,
  request_hash bytea NOT NULL,         -- of method, path and body
  status integer NOT NULL,
  ciphertext bytea NOT NULL,           -- of the answer
  customer_id uuid NOT NULL,           -- whose key it is encrypted under; the nil uuid: the service's
  created_at timestamptz NOT NULL,
  PRIMARY KEY (key_name, idempotency_key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX idempotency_customer ON idempotency (customer_id);

-- Counts may be lost in a crash: the next minute starts afresh.
CREATE UNLOGGED TABLE request_count (
  subject text NOT NULL,               -- key:<id> or address:<keyed hash>
  window_start timestamptz NOT NULL,
  requests integer NOT NULL,
  PRIMARY KEY (subject, window_start)
);

GRANT SELECT, INSERT, UPDATE ON api_key TO consent_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency, request_count TO consent_service;
