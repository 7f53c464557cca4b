-- The volume dials and pauses, as they stand now. What they were is in history.
-- New tables only: no lock on anything in use, milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE dial (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  channel text COLLATE "C" NOT NULL,   -- '*' or a channel
  topic text COLLATE "C" NOT NULL,     -- '*' or a topic
  level text COLLATE "C" REFERENCES level (name),  -- NULL: removed; the row keeps the date of the last act
  set_at timestamptz NOT NULL,         -- when the customer said so: occurred_at, else the commit's clock
  last_act_at timestamptz NOT NULL,    -- the latest set_at ever at this place
  recorded_at timestamptz NOT NULL,
  expires_at timestamptz,              -- a consent that ends; NULL: without end
  source text NOT NULL,
  role text NOT NULL,
  event_id uuid NOT NULL,
  PRIMARY KEY (customer_id, channel, topic)
) WITH (fillfactor = 90);

CREATE TABLE pause (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  channel text COLLATE "C" NOT NULL,   -- '*' or a channel
  until timestamptz NOT NULL,
  set_at timestamptz NOT NULL,
  source text NOT NULL,
  role text NOT NULL,
  event_id uuid NOT NULL,
  PRIMARY KEY (customer_id, channel)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON dial, pause TO consent_service;
