-- Upstream MCP servers that were added while the gateway ran, and what the last import replaced. Times are epoch microseconds.

CREATE TABLE upstreams (
    name       TEXT    NOT NULL PRIMARY KEY,
    settings   TEXT    NOT NULL,               -- JSON; secrets by reference only
    source     TEXT    NOT NULL,               -- cli, api or import
    origin     TEXT,                           -- JSON: where an imported one comes from, and its digest
    enabled    BOOLEAN NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);

CREATE TABLE upstreams_undo (
    name        TEXT   NOT NULL PRIMARY KEY,
    was         TEXT,                          -- JSON of the row before the import; NULL where there was none
    imported_at BIGINT NOT NULL                -- updated_at of the row that the import wrote
);
