-- Tasks: calls whose result is fetched later. Times are epoch microseconds.

CREATE TABLE tasks (
    id         TEXT   NOT NULL PRIMARY KEY,
    caller     TEXT   NOT NULL,                -- whose it is
    scope      TEXT,                           -- the one server at whose door it was made
    node       TEXT   NOT NULL,                -- the journal's node that runs it
    status     TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,                -- when it is forgotten
    body       TEXT   NOT NULL                 -- JSON of its result or error, or empty
);
