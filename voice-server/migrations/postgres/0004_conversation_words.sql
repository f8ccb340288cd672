-- Conversations by the words that were said in them, in place of an index over turns: one row a conversation.
-- Each word stands behind its organization's mark. `place` orders as lists of conversations do: the moment in milliseconds and
-- the first 20 bits of the id, or a little behind where that is taken.

CREATE TABLE conversation_words (
    place           BIGINT   PRIMARY KEY,
    conversation_id UUID     NOT NULL UNIQUE REFERENCES conversations (id) ON DELETE CASCADE,
    words           TSVECTOR NOT NULL
);
CREATE INDEX conversation_words_of ON conversation_words USING GIN (words);

-- Under a policy Postgres uses no index for a condition that it does not know to keep secrets, and `@@` is one. So the tables
-- of words have none: whom the tables do not belong to, as the roles of Supabase's own API, sees nothing in them, and this
-- server, as whose owner they are searched, takes from them only what it then finds in a table that has a policy.
ALTER TABLE conversation_words ENABLE ROW LEVEL SECURITY;
ALTER TABLE property_words ENABLE ROW LEVEL SECURITY;

-- Conversations whose words are not in there yet: those of before. The server works them off.
CREATE TABLE words_owed (
    conversation_id UUID PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    organization_id UUID NOT NULL
);
-- Nobody else is here while tables are changed, and nothing is looked at.
ALTER TABLE turns NO FORCE ROW LEVEL SECURITY;
INSERT INTO words_owed (conversation_id, organization_id) SELECT DISTINCT conversation_id, organization_id FROM turns;
ALTER TABLE turns FORCE ROW LEVEL SECURITY;
ALTER TABLE words_owed ENABLE ROW LEVEL SECURITY;
ALTER TABLE words_owed FORCE ROW LEVEL SECURITY;
CREATE POLICY of_organization ON words_owed USING (
    (SELECT current_setting('voice.scope', TRUE) = 'system')
    OR organization_id = (SELECT nullif(current_setting('voice.organization', TRUE), '')::uuid)
);

ALTER TABLE turns DROP COLUMN words;

-- As for listings: worked out once a statement, not once a row.
DROP POLICY of_organization ON conversations;
CREATE POLICY of_organization ON conversations USING (
    (SELECT current_setting('voice.scope', TRUE) = 'system')
    OR organization_id = (SELECT nullif(current_setting('voice.organization', TRUE), '')::uuid)
);
DROP POLICY of_organization ON turns;
CREATE POLICY of_organization ON turns USING (
    (SELECT current_setting('voice.scope', TRUE) = 'system')
    OR organization_id = (SELECT nullif(current_setting('voice.organization', TRUE), '')::uuid)
);
