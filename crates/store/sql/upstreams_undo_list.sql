SELECT name, was, imported_at FROM upstreams_undo ORDER BY name
