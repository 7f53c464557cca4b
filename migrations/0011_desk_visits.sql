-- Until when a customer has seen what others turned: louder changes since then are shown first on the desk.
-- A new table only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE desk_visit (
  customer_id uuid PRIMARY KEY REFERENCES customer (customer_id),
  seen_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON desk_visit TO consent_service;
