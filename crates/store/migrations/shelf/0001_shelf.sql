-- What the a2a-unified tool server owns. Times are epoch microseconds, latencies microseconds.
-- Everything named shelf_* is machinery: the guard of Shelf::sql keeps statements of users away from it.

CREATE TABLE memory (
    id         INTEGER PRIMARY KEY CHECK (id > 0),
    key        TEXT    NOT NULL UNIQUE CHECK (octet_length(key) BETWEEN 1 AND 512),
    value      TEXT    NOT NULL CHECK (octet_length(value) <= 1048576),
    category   TEXT    NOT NULL DEFAULT 'general' CHECK (octet_length(category) BETWEEN 1 AND 128),
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    updated_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER))
) STRICT;
CREATE INDEX shelf_memory_category ON memory (category, updated_at);
CREATE INDEX shelf_memory_updated ON memory (updated_at);

CREATE TABLE knowledge (
    id       INTEGER PRIMARY KEY CHECK (id > 0),
    title    TEXT    NOT NULL CHECK (octet_length(title) BETWEEN 1 AND 512),
    source   TEXT    NOT NULL CHECK (octet_length(source) BETWEEN 1 AND 128
                                     AND source NOT IN ('all', 'memory', 'knowledge')),
    url      TEXT    CHECK (octet_length(url) <= 2048),
    body     TEXT    NOT NULL CHECK (octet_length(body) <= 1048576),
    added_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    UNIQUE (source, title)
) STRICT;
-- shelf_docs gives a document of knowledge the number -id; this index makes looking one up cheap.
CREATE INDEX shelf_knowledge_doc ON knowledge (-id);

CREATE TABLE tool_stats (
    tool_name     TEXT    NOT NULL PRIMARY KEY,
    call_count    INTEGER NOT NULL,
    error_count   INTEGER NOT NULL,
    total_latency INTEGER NOT NULL,
    last_called   INTEGER NOT NULL
) STRICT;

-- The same per hour (hours since the epoch), so that "the last n hours" can be answered.
CREATE TABLE tool_hours (
    hour          INTEGER NOT NULL,
    tool_name     TEXT    NOT NULL,
    call_count    INTEGER NOT NULL,
    error_count   INTEGER NOT NULL,
    total_latency INTEGER NOT NULL,
    PRIMARY KEY (hour, tool_name)
) STRICT, WITHOUT ROWID;

CREATE TABLE error_log (
    id            INTEGER PRIMARY KEY,
    tool_name     TEXT    NOT NULL,
    error_message TEXT    NOT NULL,
    timestamp     INTEGER NOT NULL
) STRICT;
CREATE INDEX shelf_error_log_time ON error_log (timestamp);

-- One index over both. Memory has document numbers > 0, knowledge < 0.
CREATE VIEW shelf_docs (doc, title, body) AS
    SELECT id, key, value FROM memory
    UNION ALL
    SELECT -id, title, body FROM knowledge;

CREATE VIRTUAL TABLE shelf_fts USING fts5 (
    title, body,
    content = 'shelf_docs', content_rowid = 'doc',
    tokenize = 'unicode61 remove_diacritics 2'
);
-- A word in the title counts four times a word in the body.
INSERT INTO shelf_fts (shelf_fts, rank) VALUES ('rank', 'bm25(4.0, 1.0)');

CREATE TRIGGER shelf_memory_insert AFTER INSERT ON memory BEGIN
    INSERT INTO shelf_fts (rowid, title, body) VALUES (new.id, new.key, new.value);
END;
CREATE TRIGGER shelf_memory_delete AFTER DELETE ON memory BEGIN
    INSERT INTO shelf_fts (shelf_fts, rowid, title, body) VALUES ('delete', old.id, old.key, old.value);
END;
CREATE TRIGGER shelf_memory_update AFTER UPDATE ON memory BEGIN
    INSERT INTO shelf_fts (shelf_fts, rowid, title, body) VALUES ('delete', old.id, old.key, old.value);
    INSERT INTO shelf_fts (rowid, title, body) VALUES (new.id, new.key, new.value);
END;
CREATE TRIGGER shelf_knowledge_insert AFTER INSERT ON knowledge BEGIN
    INSERT INTO shelf_fts (rowid, title, body) VALUES (-new.id, new.title, new.body);
END;
CREATE TRIGGER shelf_knowledge_delete AFTER DELETE ON knowledge BEGIN
    INSERT INTO shelf_fts (shelf_fts, rowid, title, body) VALUES ('delete', -old.id, old.title, old.body);
END;
CREATE TRIGGER shelf_knowledge_update AFTER UPDATE ON knowledge BEGIN
    INSERT INTO shelf_fts (shelf_fts, rowid, title, body) VALUES ('delete', -old.id, old.title, old.body);
    INSERT INTO shelf_fts (rowid, title, body) VALUES (-new.id, new.title, new.body);
END;
