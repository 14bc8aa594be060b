SELECT key FROM memory WHERE substr(key, 1, length($1)) = $1
ORDER BY updated_at DESC, id DESC
LIMIT $2
