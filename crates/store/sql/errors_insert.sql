INSERT INTO error_log (tool_name, error_message, timestamp) VALUES ($1, $2, $3)
