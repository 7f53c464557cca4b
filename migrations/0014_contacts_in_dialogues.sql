-- transactional: false
-- How many contacts a dialogue has had, and whether a milestone's was made. Built beside traffic: no lock that anybody
-- waits for; a few seconds for ten million contacts, which have neither.

DROP INDEX CONCURRENTLY IF EXISTS contact_in_dialogue;
CREATE INDEX CONCURRENTLY contact_in_dialogue ON contact (customer_id, dialogue_id, milestone_id)
  WHERE dialogue_id IS NOT NULL;
