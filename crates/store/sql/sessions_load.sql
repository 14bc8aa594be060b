SELECT id, caller, scope, state, last_used FROM sessions WHERE id = $1
