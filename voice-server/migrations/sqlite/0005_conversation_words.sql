-- Conversations by the words that were said in them, in place of an index over turns: one row a conversation.
-- `words` has each word once, in small ASCII letters behind its organization's mark, a space before and after it. `place` orders as
-- lists of conversations do: the moment in milliseconds and the first 20 bits of the id, or a little behind where that is taken.

CREATE TABLE conversation_words (
    place           INTEGER PRIMARY KEY,
    conversation_id TEXT    NOT NULL UNIQUE REFERENCES conversations (id) ON DELETE CASCADE,
    words           TEXT    NOT NULL
) STRICT;
CREATE VIRTUAL TABLE conversation_index USING fts5(words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
CREATE TRIGGER conversation_words_in AFTER INSERT ON conversation_words BEGIN
    INSERT INTO conversation_index (rowid, words) VALUES (new.place, new.words);
END;
CREATE TRIGGER conversation_words_out AFTER DELETE ON conversation_words BEGIN
    DELETE FROM conversation_index WHERE rowid = old.place;
END;
CREATE TRIGGER conversation_words_change AFTER UPDATE OF words ON conversation_words BEGIN
    DELETE FROM conversation_index WHERE rowid = old.place;
    INSERT INTO conversation_index (rowid, words) VALUES (new.place, new.words);
END;

-- Conversations whose words are not in there yet: those of before. The server works them off.
CREATE TABLE words_owed (
    conversation_id TEXT NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    organization_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO words_owed (conversation_id, organization_id) SELECT DISTINCT conversation_id, organization_id FROM turns;

DROP TRIGGER turns_word_in;
DROP TRIGGER turns_word_out;
DROP TRIGGER turns_word_change;
DROP TABLE turn_words;
