INSERT INTO servers (name, running, changed_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET running = excluded.running, changed_at = excluded.changed_at
