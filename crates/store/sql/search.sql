SELECT f.rowid, f.rank, snippet(shelf_fts, 1, '', '', ' … ', 32),
       COALESCE(m.key, k.title), k.source, k.url, m.category, COALESCE(m.updated_at, k.added_at)
FROM shelf_fts f
LEFT JOIN memory m ON m.id = f.rowid
LEFT JOIN knowledge k ON k.id = -f.rowid
WHERE shelf_fts MATCH $1
  AND f.rowid BETWEEN $2 AND $3
  AND ($4 IS NULL OR k.source = $4)
ORDER BY f.rank
LIMIT $5
