-- Among a listing's words in their index also its city, its shelf and its region, which is ten cells wide and high: so the index
-- alone finds a rare word in one place, and reads no rows of others. They begin with a capital letter; words have none.

-- Rows of all organizations are read below, and as many as there are, whatever time a role has for a statement.
SELECT set_config('voice.scope', 'system', TRUE), set_config('statement_timeout', '0', TRUE);

ALTER TABLE property_words RENAME TO property_words_before;
CREATE TABLE property_words (
    number BIGINT   NOT NULL,
    words  TSVECTOR NOT NULL
);
INSERT INTO property_words (number, words)
    SELECT w.number, w.words || array_to_tsvector(array_remove(ARRAY[
        m.mark || 'P' || to_hex(f.place),
        m.mark || 'S' || f.shelf,
        CASE WHEN f.cell >= 0 THEN m.mark || 'R' || (f.cell / 7200 / 10 * 720 + f.cell % 7200 / 10) END
    ], NULL))
    FROM property_words_before w JOIN property_facts f ON f.number = w.number
    CROSS JOIN LATERAL (SELECT lpad(to_hex(f.owner >> 32 & 4294967295), 8, '0') AS mark) m;
DROP TABLE property_words_before;
ALTER TABLE property_words ADD PRIMARY KEY (number),
    ADD FOREIGN KEY (number) REFERENCES properties (number) ON DELETE CASCADE;
CREATE INDEX property_words_of ON property_words USING GIN (words);
-- Closed to all but their owner, as they were.
ALTER TABLE property_words ENABLE ROW LEVEL SECURITY;
