-- transactional: false
-- How many contacts a dialogue has had, and whether a milestone's was made. Built beside traffic, which it waits for and
-- does not hold up; seconds for ten million contacts, of which none is in a dialogue yet. One that was left half built
-- goes first.

SET lock_timeout = '60s';
DROP INDEX CONCURRENTLY IF EXISTS contact_in_dialogue;
CREATE INDEX CONCURRENTLY IF NOT EXISTS contact_in_dialogue ON contact (customer_id, dialogue_id, milestone_id)
  WHERE dialogue_id IS NOT NULL;
