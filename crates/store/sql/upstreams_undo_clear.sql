DELETE FROM upstreams_undo
