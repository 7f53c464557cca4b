-- Who is signed in at the service desk's pages.
-- A new table; api_key is locked for the moment in which the reference to it is made, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE desk_session (
  session_hash bytea PRIMARY KEY,      -- of the 256 random bits in the agent's cookie
  key_id uuid NOT NULL REFERENCES api_key (key_id),
  began_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL         -- to the minute
);

GRANT SELECT, INSERT, UPDATE, DELETE ON desk_session TO consent_service;
