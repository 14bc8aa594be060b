DELETE FROM upstreams WHERE name = $1
