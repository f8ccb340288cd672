-- Listings: what is shown in `properties`, what is searched in `property_facts` and `property_words`.
-- `number` is the order of arrival, and breaks ties in lists. The facts are whole numbers: words with few values are hashes, an
-- organization is the first eight bytes of its id, a place is a hash of organization and city. So a search compares nothing that
-- two databases could order differently, and an index holds a search's every condition.

CREATE TABLE properties (
    number          INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    organization_id TEXT    NOT NULL REFERENCES organizations (id),
    mls_id          TEXT,
    address         TEXT    NOT NULL,
    -- The listing in RESO's words.
    property_data   TEXT    NOT NULL CHECK (json_valid(property_data)),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    revision        INTEGER NOT NULL DEFAULT 1,
    UNIQUE (organization_id, mls_id)
) STRICT;

CREATE TABLE property_facts (
    number     INTEGER PRIMARY KEY REFERENCES properties (number) ON DELETE CASCADE,
    owner      INTEGER NOT NULL,
    place      INTEGER NOT NULL,
    -- Milliseconds since 1970, cents, bedrooms, half bathrooms; -1 where it is not said.
    listed     INTEGER NOT NULL,
    price      INTEGER NOT NULL,
    beds       INTEGER NOT NULL,
    half_baths INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    sub_kind   INTEGER NOT NULL,
    -- A square of 0.05 degrees, and the point on a globe whose radius is 100,000,000; cell -1 where it is not said.
    cell       INTEGER NOT NULL,
    x          INTEGER NOT NULL,
    y          INTEGER NOT NULL,
    z          INTEGER NOT NULL,
    -- Each word once, in small letters, a space before and after it.
    words      TEXT    NOT NULL
) STRICT;
CREATE INDEX facts_listed ON property_facts
    (owner, listed, number, price, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_price ON property_facts
    (owner, price, number, listed, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_beds ON property_facts (owner, beds, number, listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_listed ON property_facts
    (place, listed, number, price, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_price ON property_facts
    (place, price, number, listed, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_beds ON property_facts
    (place, beds, number, listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_cell ON property_facts
    (owner, cell, number, x, y, z, price, beds, half_baths, status, kind, sub_kind, listed, place);

-- The words once more, each behind its organization's mark, by word.
CREATE VIRTUAL TABLE property_words USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
CREATE TRIGGER property_words_out AFTER DELETE ON property_facts BEGIN
    DELETE FROM property_words WHERE rowid = old.number;
END;
