INSERT INTO sessions (id, caller, scope, state, last_used) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, last_used = excluded.last_used
