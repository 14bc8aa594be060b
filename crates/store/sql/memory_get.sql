SELECT key, value, category, created_at, updated_at FROM memory WHERE key = $1
