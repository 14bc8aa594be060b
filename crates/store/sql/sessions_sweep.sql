DELETE FROM sessions WHERE id IN (
    SELECT id FROM (
        SELECT id, last_used,
               row_number() OVER (PARTITION BY caller ORDER BY last_used DESC, id) AS of_caller,
               row_number() OVER (ORDER BY last_used DESC, id) AS of_all
        FROM sessions
    ) AS ranked
    WHERE last_used < $1 OR of_caller > $2 OR of_all > $3
)
