-- Organizations, their conversations, and the turns of these.
-- Ids are UUIDs as text, moments are milliseconds since 1970 in UTC, JSON is text.

CREATE TABLE organizations (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE conversations (
    id              TEXT    NOT NULL PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    status          TEXT    NOT NULL CHECK (status IN ('active', 'ended')),
    client_phone    TEXT,
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    metadata        TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(metadata)),
    CHECK ((status = 'ended') = (ended_at IS NOT NULL))
) STRICT;

-- Lists are read newest first within an organization; the id breaks ties, so that a cursor is exact.
CREATE INDEX conversations_newest ON conversations (organization_id, created_at DESC, id DESC);
-- What a crash left open is looked for at each start.
CREATE INDEX conversations_active ON conversations (id) WHERE status = 'active';

CREATE TABLE turns (
    conversation_id  TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn             INTEGER NOT NULL CHECK (turn >= 0),
    said             TEXT    NOT NULL,
    reply            TEXT    NOT NULL,
    heard            TEXT    NOT NULL,
    started_ms       INTEGER NOT NULL,
    reply_started_ms INTEGER NOT NULL,
    interrupted      INTEGER NOT NULL CHECK (interrupted IN (0, 1)),
    ledger           TEXT    NOT NULL CHECK (json_valid(ledger)),
    total_ms         REAL    NOT NULL,
    PRIMARY KEY (conversation_id, turn)
) STRICT, WITHOUT ROWID;
