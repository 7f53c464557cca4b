-- What opening a link asks for. Links themselves are not stored.

-- name: opening
-- The customer whom a link means now, what pages need to know of them, and the name of the key that minted the link.
-- One row; none for an unknown or erased customer. By primary keys.
SELECT c.customer_id, c.locale, COALESCE(c.time_zone, cat.time_zone, 'UTC') AS time_zone, k.name AS key_name,
       clock_timestamp() AS now
FROM customer asked
JOIN customer c ON c.customer_id = COALESCE(asked.survivor_id, asked.customer_id) AND c.state = 'active'
LEFT JOIN catalogue cat ON true
LEFT JOIN api_key k ON k.key_id = %(minted_by)s::uuid
WHERE asked.customer_id = %(customer_id)s::uuid;
