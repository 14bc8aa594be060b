INSERT INTO tool_hours (hour, tool_name, call_count, error_count, total_latency) VALUES ($1, $2, 1, $3, $4)
ON CONFLICT (hour, tool_name) DO UPDATE
SET call_count = call_count + 1, error_count = error_count + excluded.error_count,
    total_latency = total_latency + excluded.total_latency
