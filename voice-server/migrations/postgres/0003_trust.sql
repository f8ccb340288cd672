-- Who told a caller's number, and which answers a person gave.

-- Rows of all organizations are changed below.
SELECT set_config('voice.scope', 'system', TRUE);

-- Whether the number was told by somebody who is believed about it, such as the organization's server with its secret key.
-- Any other number is only what somebody wrote down, and shows nobody what was said to whoever has it.
ALTER TABLE conversations ADD COLUMN phone_trusted BOOLEAN NOT NULL DEFAULT FALSE;
-- A number could only be told by whoever made its conversation, so of older ones it is known where the key still is.
UPDATE conversations SET phone_trusted = TRUE
    WHERE client_phone IS NOT NULL AND key_id IN (SELECT id FROM api_keys WHERE kind = 'secret');
-- What a caller said before is looked for while he begins to speak, and not held up by what others claim about him.
CREATE INDEX conversations_of_trusted_phone ON conversations (organization_id, client_phone, created_at DESC, id DESC)
    WHERE phone_trusted;

ALTER TABLE turns ADD COLUMN by_person BOOLEAN NOT NULL DEFAULT FALSE;
