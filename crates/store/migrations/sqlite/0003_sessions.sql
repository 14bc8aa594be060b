-- Legacy MCP sessions over HTTP, so that they outlive the process. Times are epoch microseconds.

CREATE TABLE sessions (
    id        BLOB   NOT NULL PRIMARY KEY,     -- SHA-256 of the id that the client shows: this file opens no session
    caller    TEXT   NOT NULL,
    scope     TEXT,                            -- the server of the door it was opened at; NULL is the door of all
    state     TEXT   NOT NULL,                 -- JSON
    last_used BIGINT NOT NULL
);
CREATE INDEX sessions_last_used ON sessions (last_used);
