-- State of the gateway: keys, start/stop state of servers, and named facts. Times are epoch microseconds.

CREATE TABLE api_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL,
    hash         BLOB   NOT NULL UNIQUE,
    roles        TEXT   NOT NULL,              -- JSON array of role names
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT,
    created_by   TEXT   NOT NULL
);

CREATE TABLE servers (
    name       TEXT    NOT NULL PRIMARY KEY,
    running    BOOLEAN NOT NULL,
    changed_at BIGINT  NOT NULL
);

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
