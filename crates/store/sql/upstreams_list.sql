SELECT name, settings, source, origin, enabled, created_at, updated_at FROM upstreams ORDER BY name
