INSERT INTO tool_stats (tool_name, call_count, error_count, total_latency, last_called) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tool_name) DO UPDATE
SET call_count = call_count + excluded.call_count, error_count = error_count + excluded.error_count,
    total_latency = total_latency + excluded.total_latency, last_called = excluded.last_called
