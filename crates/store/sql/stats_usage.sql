SELECT h.tool_name, SUM(h.call_count), SUM(h.error_count), SUM(h.total_latency), MAX(s.last_called)
FROM tool_hours h
LEFT JOIN tool_stats s ON s.tool_name = h.tool_name
WHERE h.hour >= $1
GROUP BY h.tool_name
ORDER BY SUM(h.call_count) DESC, h.tool_name
LIMIT 1000
