-- People, keys, recordings and consents; and turns that can be searched.
-- Each row belongs to an organization. `revision` grows with each change, so that nobody overwrites what he has not seen.

ALTER TABLE organizations ADD COLUMN settings TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(settings));
ALTER TABLE organizations ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

CREATE TABLE users (
    id              TEXT    NOT NULL PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    -- In small letters.
    email           TEXT    NOT NULL UNIQUE,
    name            TEXT    NOT NULL DEFAULT '',
    role            TEXT    NOT NULL DEFAULT 'agent' CHECK (role IN ('admin', 'agent', 'viewer')),
    -- Argon2id in PHC form; none where another service signs this user in.
    password_hash   TEXT,
    disabled        INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at      INTEGER NOT NULL,
    revision        INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX users_of_organization ON users (organization_id, created_at DESC, id DESC);

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token, in hexadecimal.
    hash            TEXT    NOT NULL PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    user_id         TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- All tokens that came from one sign-in.
    family          TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    rotated_at      INTEGER,
    revoked_at      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_of_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_expired ON refresh_tokens (expires_at);

CREATE TABLE api_keys (
    id                 TEXT    NOT NULL PRIMARY KEY,
    organization_id    TEXT    NOT NULL REFERENCES organizations (id),
    kind               TEXT    NOT NULL CHECK (kind IN ('secret', 'publishable')),
    name               TEXT    NOT NULL,
    -- SHA-256 of the key, in hexadecimal.
    hash               TEXT    NOT NULL UNIQUE,
    -- The first characters, by which people tell keys apart.
    hint               TEXT    NOT NULL,
    origins            TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(origins)),
    max_calls          INTEGER,
    daily_spend_micros INTEGER,
    created_at         INTEGER NOT NULL,
    revoked_at         INTEGER
) STRICT;
CREATE INDEX api_keys_of_organization ON api_keys (organization_id, created_at DESC, id DESC);

ALTER TABLE conversations ADD COLUMN user_id TEXT REFERENCES users (id) ON DELETE SET NULL;
ALTER TABLE conversations ADD COLUMN key_id TEXT REFERENCES api_keys (id) ON DELETE SET NULL;
-- Filled when the call ends, for whoever reads the table; the server reads the turns.
ALTER TABLE conversations ADD COLUMN transcript TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(transcript));
ALTER TABLE conversations ADD COLUMN notes TEXT NOT NULL DEFAULT '';
ALTER TABLE conversations ADD COLUMN lead INTEGER NOT NULL DEFAULT 0 CHECK (lead IN (0, 1));
ALTER TABLE conversations ADD COLUMN viewings_booked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN cost TEXT CHECK (json_valid(cost));
ALTER TABLE conversations ADD COLUMN cost_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
CREATE INDEX conversations_of_user ON conversations (organization_id, user_id, created_at DESC, id DESC);
CREATE INDEX conversations_of_phone ON conversations (organization_id, client_phone, created_at DESC)
    WHERE client_phone IS NOT NULL;
CREATE INDEX conversations_of_status ON conversations (organization_id, status, created_at DESC, id DESC);
CREATE INDEX conversations_of_key ON conversations (key_id, created_at) WHERE key_id IS NOT NULL;

-- Made anew with an organization in each row and a number for the index of words.
CREATE TABLE turns_new (
    number           INTEGER PRIMARY KEY,
    organization_id  TEXT    NOT NULL REFERENCES organizations (id),
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
    UNIQUE (conversation_id, turn)
) STRICT;
INSERT INTO turns_new (organization_id, conversation_id, turn, said, reply, heard, started_ms, reply_started_ms,
                       interrupted, ledger, total_ms)
    SELECT c.organization_id, t.conversation_id, t.turn, t.said, t.reply, t.heard, t.started_ms, t.reply_started_ms,
           t.interrupted, t.ledger, t.total_ms
    FROM turns t JOIN conversations c ON c.id = t.conversation_id;
DROP TABLE turns;
ALTER TABLE turns_new RENAME TO turns;

CREATE VIRTUAL TABLE turn_words USING fts5 (said, reply, content = 'turns', content_rowid = 'number', tokenize = 'unicode61');
INSERT INTO turn_words (turn_words) VALUES ('rebuild');
CREATE TRIGGER turns_word_in AFTER INSERT ON turns BEGIN
    INSERT INTO turn_words (rowid, said, reply) VALUES (new.number, new.said, new.reply);
END;
CREATE TRIGGER turns_word_out AFTER DELETE ON turns BEGIN
    INSERT INTO turn_words (turn_words, rowid, said, reply) VALUES ('delete', old.number, old.said, old.reply);
END;
CREATE TRIGGER turns_word_change AFTER UPDATE OF said, reply ON turns BEGIN
    INSERT INTO turn_words (turn_words, rowid, said, reply) VALUES ('delete', old.number, old.said, old.reply);
    INSERT INTO turn_words (rowid, said, reply) VALUES (new.number, new.said, new.reply);
END;

CREATE TABLE recordings (
    id              TEXT    NOT NULL PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    conversation_id TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    -- Where the sound lies in the object storage.
    object          TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('open', 'stored', 'failed')),
    started_at      INTEGER NOT NULL,
    audio_ms        INTEGER NOT NULL DEFAULT 0,
    bytes           INTEGER NOT NULL DEFAULT 0,
    channels        INTEGER NOT NULL,
    encrypted       INTEGER NOT NULL CHECK (encrypted IN (0, 1)),
    -- When it is to be deleted.
    expires_at      INTEGER
) STRICT;
CREATE INDEX recordings_of_conversation ON recordings (conversation_id);
CREATE INDEX recordings_expired ON recordings (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE consents (
    id              TEXT    NOT NULL PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    conversation_id TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    kind            TEXT    NOT NULL CHECK (kind IN ('disclosure', 'recording')),
    given           INTEGER NOT NULL CHECK (given IN (0, 1)),
    at              INTEGER NOT NULL,
    -- Place in the call's audio.
    audio_ms        INTEGER NOT NULL,
    wording         TEXT    NOT NULL
) STRICT;
CREATE INDEX consents_of_conversation ON consents (conversation_id);

-- Answers to requests that may come twice.
CREATE TABLE idempotency (
    organization_id TEXT    NOT NULL,
    -- Who asked; keys of different callers do not meet.
    asker           TEXT    NOT NULL,
    key             TEXT    NOT NULL,
    -- Of method, path and body.
    fingerprint     TEXT    NOT NULL,
    status          INTEGER,
    body            TEXT,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, asker, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_old ON idempotency (created_at);
