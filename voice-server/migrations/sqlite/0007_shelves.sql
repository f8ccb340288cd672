-- Listings by shelf: whether one is on the market (0) or not (3), and whether a home is sold (0), anything let (1) or anything
-- else sold (2). Nearly every search asks for some of these, and then walks only their parts of an order. The numbers are
-- hashes, as `status` and `kind` hold them.

DROP INDEX facts_listed;
DROP INDEX facts_price;
DROP INDEX facts_beds;
DROP INDEX facts_place_listed;
DROP INDEX facts_place_price;
DROP INDEX facts_place_beds;
DROP INDEX facts_cell;
ALTER TABLE property_facts ADD COLUMN shelf INTEGER NOT NULL DEFAULT 6;

-- A type in place of a sub-type is the type where there is none, and else counts for nothing.
UPDATE property_facts SET kind = sub_kind, sub_kind = 0 WHERE kind = 0 AND sub_kind IN
    (1276657074, 1010244285, 539089181, 1485226441, 793325703, 1755467510, 1739051634, 1838095023);
UPDATE property_facts SET sub_kind = 0 WHERE sub_kind IN
    (1276657074, 1010244285, 539089181, 1485226441, 793325703, 1755467510, 1739051634, 1838095023);
UPDATE property_facts SET
    shelf = CASE WHEN status IN (1949114075, 319561917, 1171008976, 1118439451) THEN 0 ELSE 3 END
          + CASE WHEN kind IN (1276657074, 1010244285, 539089181) THEN 0 WHEN kind IN (1485226441, 793325703) THEN 1 ELSE 2 END;

CREATE INDEX facts_listed ON property_facts
    (owner, shelf, listed, number, price, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_price ON property_facts
    (owner, shelf, price, number, listed, beds, half_baths, status, kind, sub_kind, x, y, z);
CREATE INDEX facts_beds ON property_facts
    (owner, shelf, beds, number, listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_listed ON property_facts
    (place, shelf, listed, number, price, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_price ON property_facts
    (place, shelf, price, number, listed, beds, half_baths, status, kind, sub_kind);
CREATE INDEX facts_place_beds ON property_facts
    (place, shelf, beds, number, listed, price, half_baths, status, kind, sub_kind);
CREATE INDEX facts_cell ON property_facts
    (owner, shelf, cell, number, x, y, z, price, beds, half_baths, status, kind, sub_kind, listed, place);

-- A server of before that still runs on the file knows no shelves: better that it stores nothing than what nobody finds.
CREATE TRIGGER property_facts_shelf BEFORE INSERT ON property_facts WHEN new.shelf NOT BETWEEN 0 AND 5 BEGIN
    SELECT RAISE(ABORT, 'the tables are newer than this server: start it anew');
END;
