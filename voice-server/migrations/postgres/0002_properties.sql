-- Listings: what is shown in `properties`, what is searched in `property_facts` and `property_words`.
-- `number` is the order of arrival, and breaks ties in lists. The facts are whole numbers: words with few values are hashes, an
-- organization is the first eight bytes of its id, a place is a hash of organization and city. So a search compares nothing that
-- two databases could order differently, and an index holds a search's every condition.

CREATE TABLE properties (
    number          BIGINT      GENERATED ALWAYS AS IDENTITY UNIQUE,
    id              UUID        PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id UUID        NOT NULL REFERENCES organizations (id),
    mls_id          VARCHAR(50),
    address         TEXT        NOT NULL,
    -- The listing in RESO's words.
    property_data   JSONB       NOT NULL DEFAULT '{}',
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    revision        BIGINT      NOT NULL DEFAULT 1,
    UNIQUE (organization_id, mls_id)
);

CREATE TABLE property_facts (
    number     BIGINT   PRIMARY KEY REFERENCES properties (number) ON DELETE CASCADE,
    owner      BIGINT   NOT NULL,
    place      BIGINT   NOT NULL,
    -- Milliseconds since 1970, cents, bedrooms, half bathrooms; -1 where it is not said.
    listed     BIGINT   NOT NULL,
    price      BIGINT   NOT NULL,
    beds       SMALLINT NOT NULL,
    half_baths SMALLINT NOT NULL,
    status     INTEGER  NOT NULL,
    kind       INTEGER  NOT NULL,
    sub_kind   INTEGER  NOT NULL,
    -- A square of 0.05 degrees, and the point on a globe whose radius is 100,000,000; cell -1 where it is not said.
    cell       INTEGER  NOT NULL,
    x          INTEGER  NOT NULL,
    y          INTEGER  NOT NULL,
    z          INTEGER  NOT NULL,
    -- Each word once, in small letters, a space before and after it.
    words      TEXT     NOT NULL
);
CREATE INDEX facts_listed ON property_facts (owner, listed, number)
    INCLUDE (price, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_price ON property_facts (owner, price, number)
    INCLUDE (listed, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_beds ON property_facts (owner, beds, number)
    INCLUDE (listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_listed ON property_facts (place, listed, number)
    INCLUDE (owner, price, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_price ON property_facts (place, price, number)
    INCLUDE (owner, listed, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_beds ON property_facts (place, beds, number)
    INCLUDE (owner, listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_cell ON property_facts (owner, cell, number)
    INCLUDE (x, y, z, price, beds, half_baths, status, kind, sub_kind, listed, place);

-- The words once more, each behind its organization's mark, by word. Without a policy, since under one Postgres uses no index for
-- a condition that it does not know to keep secrets; a row says nothing but which number has which words, and whoever
-- finds one still has to get the listing of this number from `properties`.
CREATE TABLE property_words (
    number BIGINT   PRIMARY KEY REFERENCES properties (number) ON DELETE CASCADE,
    words  TSVECTOR NOT NULL
);
CREATE INDEX property_words_of ON property_words USING GIN (words);

-- The setting's organization as `property_facts` has it.
CREATE FUNCTION voice_owner() RETURNS BIGINT LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT ('x' || left(replace(nullif(current_setting('voice.organization', TRUE), ''), '-', ''), 16))::bit(64)::bigint
$$;

-- As in the tables before, but worked out once a statement, not once a row.
ALTER TABLE properties ENABLE ROW LEVEL SECURITY;
ALTER TABLE properties FORCE ROW LEVEL SECURITY;
CREATE POLICY of_organization ON properties USING (
    (SELECT current_setting('voice.scope', TRUE) = 'system')
    OR organization_id = (SELECT nullif(current_setting('voice.organization', TRUE), '')::uuid)
);
ALTER TABLE property_facts ENABLE ROW LEVEL SECURITY;
ALTER TABLE property_facts FORCE ROW LEVEL SECURITY;
CREATE POLICY of_organization ON property_facts USING (
    (SELECT current_setting('voice.scope', TRUE) = 'system') OR owner = (SELECT voice_owner())
);
-- Listings are read soon after many came; the pages that an index alone can answer for must be known by then.
ALTER TABLE property_facts SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02);
