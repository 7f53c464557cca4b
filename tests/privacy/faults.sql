-- Makes the database fail, and quote what it was given, when a campaign asks for it in its second word.
ALTER TABLE contact ADD CONSTRAINT this_row_is_refused CHECK (campaign NOT LIKE '% check') NOT VALID;
CREATE UNIQUE INDEX this_key_is_refused ON contact (campaign) WHERE campaign LIKE '% unique';

CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  said text := 'what was given is ' || NEW.campaign;
BEGIN
  CASE split_part(NEW.campaign, ' ', 2)
    WHEN 'bug' THEN RAISE EXCEPTION USING MESSAGE = said, DETAIL = said, HINT = said;
    WHEN 'gone' THEN RAISE EXCEPTION USING MESSAGE = said, DETAIL = said, ERRCODE = '42P01';
    WHEN 'full' THEN RAISE EXCEPTION USING MESSAGE = said, DETAIL = said, ERRCODE = '53100';
    WHEN 'serialization' THEN RAISE EXCEPTION USING MESSAGE = said, DETAIL = said, ERRCODE = '40001';
    WHEN 'lock' THEN RAISE EXCEPTION USING MESSAGE = said, DETAIL = said, ERRCODE = '55P03';
    WHEN 'warning' THEN RAISE WARNING USING MESSAGE = said, DETAIL = said;
    WHEN 'cast' THEN PERFORM NEW.campaign::integer;
    WHEN 'deadlock' THEN
      PERFORM pg_advisory_xact_lock(71);
      PERFORM pg_sleep(0.05);
      PERFORM pg_advisory_xact_lock(72);
    WHEN 'slow' THEN PERFORM pg_sleep(20);
    WHEN 'killed' THEN PERFORM pg_terminate_backend(pg_backend_pid());
    ELSE NULL;
  END CASE;
  RETURN NEW;
END
$$;
CREATE TRIGGER fails BEFORE INSERT ON contact FOR EACH ROW EXECUTE FUNCTION fail();

-- The background worker fails as well: it deletes what is old.
CREATE FUNCTION fail_to_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = 'not forgotten is ' || OLD.subject, DETAIL = OLD.subject;
END
$$;
CREATE TRIGGER fails_to_forget BEFORE DELETE ON request_count FOR EACH ROW EXECUTE FUNCTION fail_to_forget();
