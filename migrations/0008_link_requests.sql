-- "Send me my link": what was asked for on a page, until the worker has looked who it is.
-- New table only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

-- Every address that is asked for leaves the same row, whether somebody has it or not.
CREATE TABLE link_request (
  request_id uuid PRIMARY KEY,
  address_hash bytea NOT NULL,         -- keyed hash of the address: how often it was asked for lately
  ciphertext bytea,                    -- address and language, under the service's key; NULL once it was dealt with
  created_at timestamptz NOT NULL
);
CREATE INDEX link_request_waiting ON link_request (created_at) WHERE ciphertext IS NOT NULL;
CREATE INDEX link_request_address ON link_request (address_hash, created_at);
CREATE INDEX link_request_age ON link_request (created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON link_request TO consent_service;
