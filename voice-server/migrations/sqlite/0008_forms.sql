-- Listings of one sub-type by shelf and price: the many of others are not walked past. The numbers are hashes, as
-- `kind` and `sub_kind` hold them.

-- A sub-type in place of the type is the sub-type where there is none, and else counts for nothing.
UPDATE property_facts SET sub_kind = kind WHERE sub_kind = 0 AND kind IN (
    281425092, 955792582, 1752423423, 1487947101, 653442791, 477419771, 1747655086, 861147053, 2034212350,
    1053683849, 1176367631, 81822504, 1721042789, 898790822, 1287723531, 766015977, 1309310199, 495345466,
    1641667465, 878233931, 1359744268, 377307882, 1505489087, 2042645863, 883984641, 1063569263, 332980061);
UPDATE property_facts SET kind = 0 WHERE kind IN (
    281425092, 955792582, 1752423423, 1487947101, 653442791, 477419771, 1747655086, 861147053, 2034212350,
    1053683849, 1176367631, 81822504, 1721042789, 898790822, 1287723531, 766015977, 1309310199, 495345466,
    1641667465, 878233931, 1359744268, 377307882, 1505489087, 2042645863, 883984641, 1063569263, 332980061);

CREATE INDEX facts_form_price ON property_facts
    (owner, sub_kind, shelf, price, number, listed, beds, half_baths, status, kind, x, y, z);

-- A server of before that still runs on the file knows none of this: better that it stores nothing than what nobody finds.
CREATE TRIGGER property_facts_kind BEFORE INSERT ON property_facts WHEN new.kind IN (
    281425092, 955792582, 1752423423, 1487947101, 653442791, 477419771, 1747655086, 861147053, 2034212350,
    1053683849, 1176367631, 81822504, 1721042789, 898790822, 1287723531, 766015977, 1309310199, 495345466,
    1641667465, 878233931, 1359744268, 377307882, 1505489087, 2042645863, 883984641, 1063569263, 332980061) BEGIN
    SELECT RAISE(ABORT, 'the tables are newer than this server: start it anew');
END;
