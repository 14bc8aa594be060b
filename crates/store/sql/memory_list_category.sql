SELECT key, value, category, created_at, updated_at FROM memory
WHERE category = $2
ORDER BY updated_at DESC, id DESC
LIMIT $1
