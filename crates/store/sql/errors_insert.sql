INSERT INTO error_log (tool_name, error_message, timestamp, caller) VALUES ($1, $2, $3, $4)
