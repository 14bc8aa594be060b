SELECT category FROM memory GROUP BY category ORDER BY category LIMIT $1
