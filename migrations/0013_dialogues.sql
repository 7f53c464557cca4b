-- Conversations that customers open, what is said in them, the occasions kept in them, and which permits and contacts
-- were made in one. New tables, and columns without a default: a brief ACCESS EXCLUSIVE lock on permit and contact, no
-- rewrite: milliseconds.

SET LOCAL lock_timeout = '2s';

CREATE TABLE dialogue (
  customer_id uuid NOT NULL REFERENCES customer (customer_id),
  dialogue_id uuid NOT NULL,
  topic text COLLATE "C" NOT NULL,       -- and its children
  channels text[] COLLATE "C" NOT NULL,  -- on which the company may answer
  until timestamptz NOT NULL,            -- expired is computed on read: open and until <= now
  contacts integer NOT NULL,             -- in all
  any_time boolean NOT NULL,             -- also in quiet hours
  opened_at timestamptz NOT NULL,
  role text NOT NULL,                    -- who opened it: the customer, or the desk on their word
  source text NOT NULL,
  waiting_since timestamptz,             -- since when the customer waits for an answer; NULL: the company spoke last
  closed_at timestamptz,
  closed_by text CONSTRAINT a_dialogue_is_closed_by_somebody_known CHECK (closed_by IN ('customer', 'desk')),
  event_id uuid NOT NULL,                -- says how it was opened
  ciphertext bytea NOT NULL,             -- the subject
  PRIMARY KEY (customer_id, dialogue_id),
  CONSTRAINT a_closed_dialogue_says_by_whom CHECK ((closed_at IS NULL) = (closed_by IS NULL)),
  CONSTRAINT a_dialogue_names_channels CHECK (cardinality(channels) > 0),
  CONSTRAINT a_dialogue_allows_contacts CHECK (contacts > 0),
  CONSTRAINT a_dialogue_ends_after_it_was_opened CHECK (until > opened_at)
) WITH (fillfactor = 80);
-- The desk's inbox: whoever has waited longest.
CREATE INDEX dialogue_waiting ON dialogue (waiting_since) WHERE waiting_since IS NOT NULL AND closed_at IS NULL;

-- What was said: only ever added to. The words stand in the event.
CREATE TABLE dialogue_entry (
  customer_id uuid NOT NULL,
  dialogue_id uuid NOT NULL,
  number integer NOT NULL,               -- from 1, without gaps
  kind text COLLATE "C" NOT NULL
    CONSTRAINT an_entry_has_a_known_kind CHECK (kind IN ('opening', 'message', 'proposal', 'acceptance', 'refusal',
      'counter_proposal', 'fact', 'terms', 'closing')),
  role text NOT NULL,
  answers integer,                       -- the number of the proposal that this one answers
  said_at timestamptz NOT NULL,
  event_id uuid NOT NULL,
  PRIMARY KEY (customer_id, dialogue_id, number),
  FOREIGN KEY (customer_id, dialogue_id) REFERENCES dialogue (customer_id, dialogue_id) ON DELETE CASCADE,
  CONSTRAINT an_answer_comes_after_what_it_answers CHECK (answers < number)
);
-- A proposal is answered once.
CREATE UNIQUE INDEX a_proposal_is_answered_once ON dialogue_entry (customer_id, dialogue_id, answers) WHERE answers IS NOT NULL;

-- A date that a customer keeps; one row for each year it comes round.
CREATE TABLE occasion (
  customer_id uuid NOT NULL,
  occasion_id uuid NOT NULL,
  dialogue_id uuid NOT NULL,
  on_date date NOT NULL,
  rule text COLLATE "C",                 -- RFC 5545 RRULE of a date that comes round; NULL: once
  follows_id uuid,                       -- last year's
  state text NOT NULL DEFAULT 'kept'
    CONSTRAINT an_occasion_has_a_known_state CHECK (state IN ('kept', 'dropped')),
  set_at timestamptz NOT NULL,
  event_id uuid NOT NULL,                -- the last one that says what it is
  ciphertext bytea NOT NULL,             -- who, what, item, message, address
  PRIMARY KEY (customer_id, occasion_id),
  FOREIGN KEY (customer_id, dialogue_id) REFERENCES dialogue (customer_id, dialogue_id) ON DELETE CASCADE
);

-- What is to happen for an occasion, on a day. With a channel it is one contact that the customer asked for, in its
-- window: from the day's first moment where the customer is, for so many days.
CREATE TABLE milestone (
  customer_id uuid NOT NULL,
  milestone_id uuid NOT NULL,
  occasion_id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,        -- reminder, charge, deliver, …
  topic text COLLATE "C" NOT NULL,       -- of its dialogue; and its children
  channel text COLLATE "C",              -- NULL: an event for other systems, no contact
  due_on date NOT NULL,
  window_days integer NOT NULL,
  dropped_at timestamptz,                -- by the customer
  PRIMARY KEY (customer_id, milestone_id),
  FOREIGN KEY (customer_id, occasion_id) REFERENCES occasion (customer_id, occasion_id) ON DELETE CASCADE,
  CONSTRAINT a_window_has_days CHECK (window_days > 0)
);
CREATE INDEX milestone_of ON milestone (customer_id, occasion_id);
-- What is due on a day.
CREATE INDEX milestone_due ON milestone (due_on, customer_id, milestone_id) WHERE dropped_at IS NULL;

-- In which dialogue, or for which milestone; both NULL: under the dials.
ALTER TABLE permit ADD COLUMN dialogue_id uuid, ADD COLUMN milestone_id uuid;
ALTER TABLE contact ADD COLUMN dialogue_id uuid, ADD COLUMN milestone_id uuid;

ALTER TABLE dialogue ALTER COLUMN ciphertext SET STORAGE EXTERNAL;
ALTER TABLE occasion ALTER COLUMN ciphertext SET STORAGE EXTERNAL;

GRANT SELECT, INSERT, UPDATE, DELETE ON dialogue, dialogue_entry, occasion, milestone TO consent_service;
