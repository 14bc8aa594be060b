DELETE FROM error_log
WHERE id <= (SELECT MAX(id) FROM error_log) - $1 OR timestamp < $2
