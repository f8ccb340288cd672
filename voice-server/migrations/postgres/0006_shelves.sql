-- Listings by shelf: whether one is on the market (0) or not (3), and whether a home is sold (0), anything let (1) or anything
-- else sold (2). Nearly every search asks for some of these, and then walks only their parts of an order. The numbers are
-- hashes, as `status` and `kind` hold them.

-- Rows of all organizations are changed below, and as many as there are, whatever time a role has for a statement.
SELECT set_config('voice.scope', 'system', TRUE), set_config('statement_timeout', '0', TRUE);

DROP INDEX facts_listed;
DROP INDEX facts_price;
DROP INDEX facts_beds;
DROP INDEX facts_place_listed;
DROP INDEX facts_place_price;
DROP INDEX facts_place_beds;
DROP INDEX facts_cell;
ALTER TABLE property_facts ADD COLUMN shelf SMALLINT NOT NULL DEFAULT 5;

-- A type in place of a sub-type is the type where there is none, and else counts for nothing.
UPDATE property_facts SET kind = sub_kind, sub_kind = 0 WHERE kind = 0 AND sub_kind IN
    (1276657074, 1010244285, 539089181, 1485226441, 793325703, 1755467510, 1739051634, 1838095023);
UPDATE property_facts SET sub_kind = 0 WHERE sub_kind IN
    (1276657074, 1010244285, 539089181, 1485226441, 793325703, 1755467510, 1739051634, 1838095023);
ALTER TABLE property_facts ALTER COLUMN shelf DROP DEFAULT;
-- So the table is written anew as a whole, without an old row beside each.
ALTER TABLE property_facts ALTER COLUMN shelf TYPE SMALLINT USING
    CASE WHEN status IN (1949114075, 319561917, 1171008976, 1118439451) THEN 0 ELSE 3 END
          + CASE WHEN kind IN (1276657074, 1010244285, 539089181) THEN 0 WHEN kind IN (1485226441, 793325703) THEN 1 ELSE 2 END;

CREATE INDEX facts_listed ON property_facts (owner, shelf, listed, number)
    INCLUDE (price, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_price ON property_facts (owner, shelf, price, number)
    INCLUDE (listed, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_beds ON property_facts (owner, shelf, beds, number)
    INCLUDE (listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_listed ON property_facts (place, shelf, listed, number)
    INCLUDE (owner, price, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_price ON property_facts (place, shelf, price, number)
    INCLUDE (owner, listed, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_beds ON property_facts (place, shelf, beds, number)
    INCLUDE (owner, listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_cell ON property_facts (owner, shelf, cell, number)
    INCLUDE (x, y, z, price, beds, half_baths, status, kind, sub_kind, listed, place);
