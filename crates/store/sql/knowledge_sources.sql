SELECT source, COUNT(*), MAX(added_at) FROM knowledge GROUP BY source ORDER BY source
