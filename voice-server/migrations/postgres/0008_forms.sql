-- Listings of one sub-type by shelf and price: the many of others are not walked past. The numbers are hashes, as
-- `kind` and `sub_kind` hold them.

-- Rows of all organizations are changed below, and as many as there are, whatever time a role has for a statement.
SELECT set_config('voice.scope', 'system', TRUE), set_config('statement_timeout', '0', TRUE);

-- A sub-type in place of the type is the sub-type where there is none, and else counts for nothing.
UPDATE property_facts SET sub_kind = kind WHERE sub_kind = 0 AND kind IN (
    281425092, 955792582, 1752423423, 1487947101, 653442791, 477419771, 1747655086, 861147053, 2034212350,
    1053683849, 1176367631, 81822504, 1721042789, 898790822, 1287723531, 766015977, 1309310199, 495345466,
    1641667465, 878233931, 1359744268, 377307882, 1505489087, 2042645863, 883984641, 1063569263, 332980061);
UPDATE property_facts SET kind = 0 WHERE kind IN (
    281425092, 955792582, 1752423423, 1487947101, 653442791, 477419771, 1747655086, 861147053, 2034212350,
    1053683849, 1176367631, 81822504, 1721042789, 898790822, 1287723531, 766015977, 1309310199, 495345466,
    1641667465, 878233931, 1359744268, 377307882, 1505489087, 2042645863, 883984641, 1063569263, 332980061);

CREATE INDEX facts_form_price ON property_facts (owner, sub_kind, shelf, price, number)
    INCLUDE (listed, beds, half_baths, status, kind, x, y, z);

-- A server of before that still runs on the database knows none of this: better that it stores nothing than what nobody finds.
ALTER TABLE property_facts ADD CONSTRAINT property_facts_kind CHECK (kind NOT IN (
    281425092, 955792582, 1752423423, 1487947101, 653442791, 477419771, 1747655086, 861147053, 2034212350,
    1053683849, 1176367631, 81822504, 1721042789, 898790822, 1287723531, 766015977, 1309310199, 495345466,
    1641667465, 878233931, 1359744268, 377307882, 1505489087, 2042645863, 883984641, 1063569263, 332980061));
