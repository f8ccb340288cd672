-- What an agent's figures take from a turn, in an index by itself: the texts beside it are long.
ALTER TABLE turns ADD COLUMN answered BOOLEAN GENERATED ALWAYS AS (said <> '' AND reply <> '') STORED;
CREATE INDEX turns_figures ON turns (conversation_id) INCLUDE (organization_id, answered, by_person, interrupted, total_ms);
