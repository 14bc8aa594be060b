SELECT id, name, hash, roles, created_at, expires_at, revoked_at, last_used_at, created_by
FROM api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
ORDER BY created_at, id
