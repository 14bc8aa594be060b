DELETE FROM tool_hours WHERE hour < $1
