INSERT INTO upstreams (name, settings, source, origin, enabled, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, source = excluded.source, origin = excluded.origin,
    enabled = excluded.enabled, updated_at = excluded.updated_at
