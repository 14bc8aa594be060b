INSERT INTO memory (key, value, category, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
ON CONFLICT (key) DO UPDATE
SET value = excluded.value, category = excluded.category, updated_at = excluded.updated_at
RETURNING created_at = updated_at
