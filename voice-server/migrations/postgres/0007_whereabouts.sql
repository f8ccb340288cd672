-- Among a listing's words in their index also its city, its shelf and its region, which is ten cells wide and high: so the index
-- alone finds a rare word in one place, and reads no rows of others. They begin with a capital letter; words have none.

-- Rows of all organizations are changed below.
SELECT set_config('voice.scope', 'system', TRUE);

DROP INDEX property_words_of;
UPDATE property_words w SET words = w.words || array_to_tsvector(array_remove(ARRAY[
        m.mark || 'P' || to_hex(f.place),
        m.mark || 'S' || f.shelf,
        CASE WHEN f.cell >= 0 THEN m.mark || 'R' || (f.cell / 7200 / 10 * 720 + f.cell % 7200 / 10) END
    ], NULL))
    FROM property_facts f CROSS JOIN LATERAL (SELECT lpad(to_hex(f.owner >> 32 & 4294967295), 8, '0') AS mark) m
    WHERE f.number = w.number;
CREATE INDEX property_words_of ON property_words USING GIN (words);
