SELECT key, value, category, created_at, updated_at FROM memory
ORDER BY updated_at DESC, id DESC
LIMIT $1
