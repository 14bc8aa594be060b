INSERT INTO api_keys (id, name, hash, roles, created_at, expires_at, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
