SELECT tool_name, error_message, timestamp FROM error_log ORDER BY id DESC LIMIT $1
