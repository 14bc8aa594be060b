SELECT id, name, hash, roles, created_at, expires_at, revoked_at, last_used_at, created_by
FROM api_keys
ORDER BY created_at, id
