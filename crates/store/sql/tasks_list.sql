SELECT id, caller, scope, node, status, created_at, updated_at, ends_at, length(CAST(body AS BLOB)) FROM tasks ORDER BY created_at, id
