-- The platform's tables. Each row belongs to an organization, and row-level security shows a transaction only the rows of the
-- organization in its setting `voice.organization`; `voice.scope` = 'system' is for what happens before one is known, such as
-- signing in. `revision` grows with each change, so that nobody overwrites what he has not seen.

CREATE TYPE user_role AS ENUM ('admin', 'agent', 'viewer');
CREATE TYPE conversation_status AS ENUM ('active', 'ended');
-- Words are given as text: a driver that meets a type of our own asks for it first, which a transaction pooler cannot bear
-- between a statement and its use.
CREATE CAST (TEXT AS user_role) WITH INOUT AS ASSIGNMENT;
CREATE CAST (TEXT AS conversation_status) WITH INOUT AS ASSIGNMENT;

CREATE TABLE organizations (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name       VARCHAR(255) NOT NULL,
    created_at TIMESTAMPTZ  NOT NULL DEFAULT now(),
    settings   JSONB        NOT NULL DEFAULT '{}',
    revision   BIGINT       NOT NULL DEFAULT 1
);

CREATE TABLE users (
    id              UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    -- In small letters.
    email           VARCHAR(255) NOT NULL UNIQUE,
    organization_id UUID         NOT NULL REFERENCES organizations (id),
    role            user_role    NOT NULL DEFAULT 'agent',
    created_at      TIMESTAMPTZ  NOT NULL DEFAULT now(),
    name            TEXT         NOT NULL DEFAULT '',
    -- Argon2id in PHC form; none where another service signs this user in.
    password_hash   TEXT,
    disabled        BOOLEAN      NOT NULL DEFAULT FALSE,
    revision        BIGINT       NOT NULL DEFAULT 1
);
CREATE INDEX users_of_organization ON users (organization_id, created_at DESC, id DESC);

CREATE TABLE refresh_tokens (
    -- SHA-256 of the token, in hexadecimal.
    hash            TEXT        PRIMARY KEY,
    organization_id UUID        NOT NULL REFERENCES organizations (id),
    user_id         UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- All tokens that came from one sign-in.
    family          UUID        NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL,
    rotated_at      TIMESTAMPTZ,
    revoked_at      TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_of_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_expired ON refresh_tokens (expires_at);

CREATE TABLE api_keys (
    id                 UUID        PRIMARY KEY,
    organization_id    UUID        NOT NULL REFERENCES organizations (id),
    kind               TEXT        NOT NULL CHECK (kind IN ('secret', 'publishable')),
    name               TEXT        NOT NULL,
    -- SHA-256 of the key, in hexadecimal.
    hash               TEXT        NOT NULL UNIQUE,
    -- The first characters, by which people tell keys apart.
    hint               TEXT        NOT NULL,
    origins            JSONB       NOT NULL DEFAULT '[]',
    max_calls          BIGINT,
    daily_spend_micros BIGINT,
    created_at         TIMESTAMPTZ NOT NULL,
    revoked_at         TIMESTAMPTZ
);
CREATE INDEX api_keys_of_organization ON api_keys (organization_id, created_at DESC, id DESC);

CREATE TABLE conversations (
    id              UUID                PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id         UUID                REFERENCES users (id) ON DELETE SET NULL,
    client_phone    VARCHAR(20),
    -- Filled when the call ends, for whoever reads the table; the server reads the turns.
    transcript      JSONB               NOT NULL DEFAULT '[]',
    status          conversation_status NOT NULL DEFAULT 'active',
    created_at      TIMESTAMPTZ         NOT NULL DEFAULT now(),
    organization_id UUID                NOT NULL REFERENCES organizations (id),
    ended_at        TIMESTAMPTZ,
    metadata        JSONB               NOT NULL DEFAULT '{}',
    key_id          UUID                REFERENCES api_keys (id) ON DELETE SET NULL,
    notes           TEXT                NOT NULL DEFAULT '',
    lead            BOOLEAN             NOT NULL DEFAULT FALSE,
    viewings_booked BIGINT              NOT NULL DEFAULT 0,
    cost            JSONB,
    cost_micros     BIGINT              NOT NULL DEFAULT 0,
    revision        BIGINT              NOT NULL DEFAULT 1,
    CHECK ((status = 'ended') = (ended_at IS NOT NULL))
);
-- Lists are read newest first within an organization; the id breaks ties, so that a cursor is exact.
CREATE INDEX conversations_newest ON conversations (organization_id, created_at DESC, id DESC);
CREATE INDEX conversations_of_user ON conversations (organization_id, user_id, created_at DESC, id DESC);
CREATE INDEX conversations_of_phone ON conversations (organization_id, client_phone, created_at DESC)
    WHERE client_phone IS NOT NULL;
CREATE INDEX conversations_of_status ON conversations (organization_id, status, created_at DESC, id DESC);
CREATE INDEX conversations_of_key ON conversations (key_id, created_at) WHERE key_id IS NOT NULL;

CREATE TABLE turns (
    number           BIGINT           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id  UUID             NOT NULL REFERENCES organizations (id),
    conversation_id  UUID             NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    turn             BIGINT           NOT NULL CHECK (turn >= 0),
    said             TEXT             NOT NULL,
    reply            TEXT             NOT NULL,
    heard            TEXT             NOT NULL,
    started_ms       BIGINT           NOT NULL,
    reply_started_ms BIGINT           NOT NULL,
    interrupted      BOOLEAN          NOT NULL,
    ledger           JSONB            NOT NULL,
    total_ms         DOUBLE PRECISION NOT NULL,
    words            TSVECTOR         GENERATED ALWAYS AS (to_tsvector('simple', said || ' ' || reply)) STORED,
    UNIQUE (conversation_id, turn)
);
CREATE INDEX turns_words ON turns USING GIN (words);

CREATE TABLE recordings (
    id              UUID        PRIMARY KEY,
    organization_id UUID        NOT NULL REFERENCES organizations (id),
    conversation_id UUID        NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    -- Where the sound lies in the object storage.
    object          TEXT        NOT NULL,
    state           TEXT        NOT NULL CHECK (state IN ('open', 'stored', 'failed')),
    started_at      TIMESTAMPTZ NOT NULL,
    audio_ms        BIGINT      NOT NULL DEFAULT 0,
    bytes           BIGINT      NOT NULL DEFAULT 0,
    channels        BIGINT      NOT NULL,
    encrypted       BOOLEAN     NOT NULL,
    -- When it is to be deleted.
    expires_at      TIMESTAMPTZ
);
CREATE INDEX recordings_of_conversation ON recordings (conversation_id);
CREATE INDEX recordings_expired ON recordings (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE consents (
    id              UUID        PRIMARY KEY,
    organization_id UUID        NOT NULL REFERENCES organizations (id),
    conversation_id UUID        NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    kind            TEXT        NOT NULL CHECK (kind IN ('disclosure', 'recording')),
    given           BOOLEAN     NOT NULL,
    at              TIMESTAMPTZ NOT NULL,
    -- Place in the call's audio.
    audio_ms        BIGINT      NOT NULL,
    wording         TEXT        NOT NULL
);
CREATE INDEX consents_of_conversation ON consents (conversation_id);

-- Answers to requests that may come twice.
CREATE TABLE idempotency (
    organization_id UUID        NOT NULL,
    -- Who asked; keys of different callers do not meet.
    asker           TEXT        NOT NULL,
    key             TEXT        NOT NULL,
    -- Of method, path and body.
    fingerprint     TEXT        NOT NULL,
    status          BIGINT,
    body            TEXT,
    created_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (organization_id, asker, key)
);
CREATE INDEX idempotency_old ON idempotency (created_at);

-- Also the owner of the tables, as whom this server connects, sees only what its transaction's setting says.
CREATE FUNCTION voice_sees(organization UUID) RETURNS BOOLEAN LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT current_setting('voice.scope', TRUE) = 'system'
        OR organization = nullif(current_setting('voice.organization', TRUE), '')::UUID
$$;

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['users', 'refresh_tokens', 'api_keys', 'conversations', 'turns', 'recordings',
                                'consents', 'idempotency']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_organization ON %I USING (voice_sees(organization_id))', name);
    END LOOP;
END $$;
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_organization ON organizations USING (voice_sees(id));
