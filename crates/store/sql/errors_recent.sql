SELECT tool_name, error_message, timestamp FROM error_log WHERE caller = $1 ORDER BY timestamp DESC, id DESC LIMIT $2
