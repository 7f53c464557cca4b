-- Permits and the ledger of contacts. The decision itself is decide.sql.

-- name: now
SELECT clock_timestamp() AS now;

-- name: insert_permits
-- Room reserved; the caller holds the customers' locks.
INSERT INTO permit (customer_id, permit_id, key_name, channel, topic, campaign, value_kind, value_hash, reserved_at, valid_from,
                    expires_at, counts, dialogue_id, milestone_id, event_id)
SELECT q.customer_id, q.permit_id, q.key_name, q.channel, q.topic, q.campaign, q.value_kind, q.value_hash, q.reserved_at, q.valid_from,
       q.expires_at, q.counts, q.dialogue_id, q.milestone_id, q.event_id
FROM unnest(%(customer_id)s::uuid[], %(permit_id)s::uuid[], %(key_name)s::text[], %(channel)s::text[],
            %(topic)s::text[], %(campaign)s::text[], %(value_kind)s::text[], %(value_hash)s::bytea[], %(reserved_at)s::timestamptz[],
            %(valid_from)s::timestamptz[], %(expires_at)s::timestamptz[], %(counts)s::boolean[], %(dialogue_id)s::uuid[],
            %(milestone_id)s::uuid[], %(event_id)s::uuid[])
  AS q (customer_id, permit_id, key_name, channel, topic, campaign, value_kind, value_hash, reserved_at, valid_from, expires_at,
        counts, dialogue_id, milestone_id, event_id);

-- name: insert_contacts
-- Entries of the ledger; the caller holds the customers' locks.
INSERT INTO contact (customer_id, contact_id, key_name, channel, topic, campaign, contacted_at, recorded_at, permit_id,
                     external_id, permitted, reason, counts, dialogue_id, milestone_id, event_id)
SELECT q.customer_id, q.contact_id, q.key_name, q.channel, q.topic, q.campaign, q.contacted_at, q.recorded_at, q.permit_id,
       q.external_id, q.permitted, q.reason, q.counts, q.dialogue_id, q.milestone_id, q.event_id
FROM unnest(%(customer_id)s::uuid[], %(contact_id)s::uuid[], %(key_name)s::text[], %(channel)s::text[],
            %(topic)s::text[], %(campaign)s::text[], %(contacted_at)s::timestamptz[], %(recorded_at)s::timestamptz[],
            %(permit_id)s::uuid[], %(external_id)s::text[], %(permitted)s::boolean[], %(reason)s::text[],
            %(counts)s::boolean[], %(dialogue_id)s::uuid[], %(milestone_id)s::uuid[], %(event_id)s::uuid[])
  AS q (customer_id, contact_id, key_name, channel, topic, campaign, contacted_at, recorded_at, permit_id, external_id,
        permitted, reason, counts, dialogue_id, milestone_id, event_id);

-- name: find_permits
-- Permits by customer and id, whatever their state; in no order. By primary key.
SELECT p.customer_id, p.permit_id, p.key_name, p.channel, p.topic, p.campaign, p.value_kind, p.value_hash, p.reserved_at, p.valid_from,
       p.expires_at, p.state, p.ended_at, p.contact_id, p.counts, p.dialogue_id, p.milestone_id, p.event_id,
       p.state = 'open' AND p.expires_at <= clock_timestamp() AS expired
FROM unnest(%(customer_ids)s::uuid[], %(permit_ids)s::uuid[]) AS q (customer_id, permit_id)
JOIN permit p ON p.customer_id = q.customer_id AND p.permit_id = q.permit_id;

-- name: end_permits
-- Ends permits that are open; the caller holds the customers' locks.
UPDATE permit p
SET state = q.state, ended_at = q.ended_at, contact_id = q.contact_id
FROM unnest(%(customer_id)s::uuid[], %(permit_id)s::uuid[], %(state)s::text[], %(ended_at)s::timestamptz[],
            %(contact_id)s::uuid[]) AS q (customer_id, permit_id, state, ended_at, contact_id)
WHERE p.customer_id = q.customer_id AND p.permit_id = q.permit_id AND p.state = 'open';

-- name: find_contacts
-- Contacts by customer and id; in no order. By primary key.
SELECT k.customer_id, k.contact_id, k.contacted_at, k.permit_id, k.event_id
FROM unnest(%(customer_ids)s::uuid[], %(contact_ids)s::uuid[]) AS q (customer_id, contact_id)
JOIN contact k ON k.customer_id = q.customer_id AND k.contact_id = q.contact_id;

-- name: find_reported
-- Contacts reported before by a key of this name; in no order. By an_external_id_is_reported_once.
SELECT k.customer_id, k.external_id, k.contact_id, k.permitted, k.reason
FROM unnest(%(customer_ids)s::uuid[], %(external_ids)s::text[]) AS q (customer_id, external_id)
JOIN contact k ON k.customer_id = q.customer_id AND k.key_name = %(key_name)s::text AND k.external_id = q.external_id;

-- name: count_erased
-- All that is kept of contacts to erased people: a total per day.
INSERT INTO erased_contact_total (day, contacts)
SELECT q.day, count(*)
FROM unnest(%(days)s::date[]) AS q (day)
GROUP BY q.day
ORDER BY q.day
ON CONFLICT (day) DO UPDATE SET contacts = erased_contact_total.contacts + excluded.contacts;
