SELECT tool_name, COUNT(*) FROM error_log
WHERE timestamp >= $1
GROUP BY tool_name
ORDER BY COUNT(*) DESC, tool_name
LIMIT 1000
