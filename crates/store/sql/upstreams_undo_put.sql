INSERT INTO upstreams_undo (name, was, imported_at) VALUES ($1, $2, $3)
