-- What an agent's figures take from a turn, in an index by itself: the texts beside it are long.
ALTER TABLE turns ADD COLUMN answered INTEGER GENERATED ALWAYS AS (said <> '' AND reply <> '') VIRTUAL;
CREATE INDEX turns_figures ON turns (conversation_id, answered, by_person, interrupted, total_ms);
