INSERT INTO knowledge (title, source, url, body, added_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (source, title) DO UPDATE
SET url = excluded.url, body = excluded.body, added_at = excluded.added_at
RETURNING id
