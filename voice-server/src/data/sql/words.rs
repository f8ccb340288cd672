//! Conversations by what was said in them.
//!
//! Newest first, and mostly found by going through the newest ones: a word that many conversations have stands in some of
//! them. Postgres does so by itself where words are all that is asked. The others are rare enough to be taken from the index of
//! words, in the same order, up to [`MOST_WITH_WORDS`]; where nearly all of these are left out by another condition, the page ends early, with a cursor from
//! where it goes on. So a search takes bounded time, and a list that is read to its end holds everything once.

use std::collections::BTreeSet;

use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::super::super::facts;
use super::super::super::types::Id;
use super::super::super::{
    Conversation, ConversationFilter, Conversations, Cursor, DataError, Page, Timestamp,
};
use super::accounts::{id_of, moment_of};
use super::conversations::{self, conversation_of};
use super::{Db, Work, dialect};

/// Tests have few conversations, and come to every end with them.
const fn scaled(conversations: i64) -> i64 {
    if cfg!(test) { conversations / 100 } else { conversations }
}

/// Conversations that are gone through at first.
const SHORT_WALK: i64 = scaled(300);
/// Conversations that are taken from the index of words at most, and at once where there are other conditions.
const MOST_WITH_WORDS: usize = scaled(3_000) as usize;
const AT_ONCE: usize = scaled(200) as usize;
/// A begun word is frequent where more than one of so many of the newest conversations have it.
const FREQUENT: i64 = 48;
/// A begun word has at least so many letters; a shorter one is a whole word, since it begins too many.
const BEGUN_FROM: usize = 3;
/// Bits of an id that tell conversations of one millisecond apart, and the last millisecond that leaves room for them.
const BITS_OF_ID: u32 = 20;
const MOST_MILLIS: i64 = (1 << (62 - BITS_OF_ID)) - 1;
/// Places that are tried where a conversation's own is taken, which happens to one of a million pairs.
const PLACES_TRIED: i64 = 8;
/// Words of one conversation that are kept at most; a day of talk has fewer.
const MOST_WORDS: usize = 20_000;

/// A search for words.
#[derive(Debug)]
pub(super) struct Search<'f> {
    organization: Uuid,
    filter: &'f ConversationFilter,
    /// Words of the filter, folded, each behind the organization's mark.
    words: Vec<String>,
    begun: bool,
    after: Option<Cursor>,
    limit: u32,
}

impl<'f> Search<'f> {
    pub(super) fn new(
        organization: Uuid,
        filter: &'f ConversationFilter,
        after: Option<Cursor>,
        limit: u32,
    ) -> Self {
        let words: Vec<String> = filter.words.iter().flat_map(|word| facts::words(word)).collect();
        let begun = words.last().is_some_and(|word| word.len() >= BEGUN_FROM);
        let mark = facts::word_mark(organization);
        let words = words.into_iter().map(|word| format!("{mark}{word}")).collect();
        Self { organization, filter, words, begun, after, limit }
    }

    /// Looks for one page.
    pub(super) async fn find(&self, work: &mut Work) -> Result<Conversations, DataError> {
        if self.words.is_empty() {
            // Words were asked for, and they are nothing but signs.
            return Ok(Page { items: Vec::new(), next: None });
        }
        let mut found = Vec::new();
        let mut end = self.after;
        // Without other conditions an index that puts nothing together finds the newest as soon.
        if dialect::BEGUN_WORDS_ARE_PUT_TOGETHER || self.filter.has_more_than_words() {
            found = self.walk(work).await?;
            if self.is_page(&found) {
                return Ok(self.page(found));
            }
            end = self.end_of_walk(work).await?;
            if end.is_none() {
                return Ok(self.page(found));
            }
        }
        let by_index = self.by_index(work).await?;
        let is_narrower = self.filter.has_more_than_words();
        let is_all = !is_narrower && by_index.len() == self.words.len();
        let mut seen = 0;
        while seen < MOST_WITH_WORDS {
            let lacking = self.limit as usize + 1 - found.len();
            let most = if is_all { lacking } else { AT_ONCE };
            let mut candidates = self.next_by_index(work, by_index, end, most).await?;
            let Some(last) = candidates.last else { return Ok(self.page(found)) };
            (end, seen) = (Some(last), seen + candidates.seen);
            let is_cut = !is_narrower && candidates.saying.len() > lacking;
            if is_cut {
                // No more than the page needs. Where one of them is not ours after all, it goes on behind these.
                candidates.saying.truncate(lacking);
                end = candidates.saying.last().copied();
            }
            let among: Vec<Uuid> = candidates.saying.iter().map(|candidate| candidate.id).collect();
            if !among.is_empty() {
                let mut query = QueryBuilder::new("");
                conversations::push_list(&mut query, &among, self.organization, self.filter, None);
                found.extend(read(work, &mut query).await?);
            }
            if self.is_page(&found) || (candidates.seen < most && !is_cut) {
                return Ok(self.page(found));
            }
        }
        Ok(Page { items: found, next: end })
    }

    /// The words that the index is asked for: all, but the last one where it is only begun, not alone, and frequent, and the
    /// index puts everything together that it may become before it gives the first.
    async fn by_index(&self, work: &mut Work) -> Result<&[String], DataError> {
        let Some((last, others)) = self
            .words
            .split_last()
            .filter(|(_, others)| self.begun && !others.is_empty() && dialect::BEGUN_WORDS_ARE_PUT_TOGETHER)
        else {
            return Ok(&self.words);
        };
        let all = ConversationFilter::default();
        let mut query = QueryBuilder::<Db>::new("SELECT count(*) AS with_word FROM (");
        conversations::push_list(&mut query, &[], self.organization, &all, self.after);
        query.push(" LIMIT ").push(SHORT_WALK).push(") c WHERE (SELECT ");
        query.push(dialect::says(std::slice::from_ref(last), true));
        query.push(" FROM conversation_words w WHERE w.conversation_id = c.id)");
        let row = work.once(&mut query).fetch_one(work.on()).await?;
        let is_frequent = row.try_get::<i64, _>("with_word")? * FREQUENT > SHORT_WALK;
        Ok(if is_frequent { others } else { &self.words })
    }

    /// Whether these are more than the page holds, so that its end is known.
    fn is_page(&self, found: &[Conversation]) -> bool {
        found.len() > self.limit as usize
    }

    fn page(&self, found: Vec<Conversation>) -> Conversations {
        Page::of(found, self.limit, |last| Cursor { created_at: last.created_at, id: last.id })
    }

    /// Those with the words among the next [`SHORT_WALK`] conversations, at most one more than the page holds.
    async fn walk(&self, work: &mut Work) -> Result<Vec<Conversation>, DataError> {
        // The outer statement keeps the inner one's order, and stops it when it has enough.
        let mut query = QueryBuilder::new("SELECT c.* FROM (");
        conversations::push_list(&mut query, &[], self.organization, self.filter, self.after);
        query.push(" LIMIT ").push(SHORT_WALK).push(") c WHERE (SELECT ");
        query.push(dialect::says(&self.words, self.begun));
        query.push(" FROM conversation_words w WHERE w.conversation_id = c.id) LIMIT ").push(self.limit + 1);
        read(work, &mut query).await
    }

    /// The last of these conversations; `None` where there are fewer.
    async fn end_of_walk(&self, work: &mut Work) -> Result<Option<Cursor>, DataError> {
        let mut query = QueryBuilder::new("");
        conversations::push_list(&mut query, &[], self.organization, self.filter, self.after);
        query.push(" LIMIT 1 OFFSET ").push(SHORT_WALK - 1);
        let last = read(work, &mut query).await?.pop();
        Ok(last.map(|last| Cursor { created_at: last.created_at, id: last.id }))
    }

    /// The next `most` conversations behind `after` with these words, the first of ours, and which have the others too;
    /// whatever else is asked.
    async fn next_by_index(
        &self,
        work: &mut Work,
        words: &[String],
        after: Option<Cursor>,
        most: usize,
    ) -> Result<Candidates, DataError> {
        let (is_all, rest) = (words.len() == self.words.len(), &self.words[words.len()..]);
        let says = if is_all { "1 = 1".to_owned() } else { dialect::says(rest, self.begun) };
        let mut query =
            QueryBuilder::<Db>::new("WITH c AS MATERIALIZED (SELECT w.place, w.conversation_id, ");
        query.push(says).push(" AS says FROM ");
        query.push(dialect::who_says(words, self.begun && is_all));
        let before = after.map_or(i64::MAX, |after| place(after.created_at, after.id));
        query.push("< ").push(before).push(dialect::WHO_SAYS_LAST);
        query.push(" LIMIT ").push(most);
        // Of those that do not say it the last tells where to go on.
        query.push(
            ") SELECT place, conversation_id, says, (SELECT count(*) FROM c) AS seen FROM c
             WHERE says OR place = (SELECT min(place) FROM c) ORDER BY place DESC",
        );
        let mut found = Candidates::default();
        for row in &work.rows(query).await? {
            let id = id_of(row, "conversation_id")?;
            let created_at = Timestamp::from_millis(row.try_get::<i64, _>("place")? >> BITS_OF_ID);
            let candidate = Cursor { created_at, id };
            found.last = Some(candidate);
            found.seen = row.try_get::<i64, _>("seen")?.try_into().unwrap_or(usize::MAX);
            if row.try_get("says")? {
                found.saying.push(candidate);
            }
        }
        Ok(found)
    }
}

/// What the index of words gave.
#[derive(Debug, Default)]
struct Candidates {
    /// How many it gave, and the last of them.
    seen: usize,
    last: Option<Cursor>,
    /// Those that have every word, the newest first.
    saying: Vec<Cursor>,
}

/// Where a conversation stands among all.
fn place(created_at: Timestamp, id: Uuid) -> i64 {
    let of_id = (id.as_u128() >> (128 - BITS_OF_ID)) as i64;
    (created_at.as_millis().clamp(0, MOST_MILLIS) << BITS_OF_ID) | of_id
}

async fn read(work: &mut Work, query: &mut QueryBuilder<Db>) -> Result<Vec<Conversation>, DataError> {
    // Words and numbers stand in it as they are, so it comes like this once.
    work.once(query).fetch_all(work.on()).await?.iter().map(conversation_of).collect()
}

/// Puts the words of a conversation's turns into the index, in place of those that were there.
pub(super) async fn keep(work: &mut Work, organization: Uuid, conversation: Uuid) -> Result<(), DataError> {
    let query = work.query("SELECT said, reply FROM turns WHERE conversation_id = $1").bind(Id(conversation));
    let mut words = BTreeSet::new();
    for row in query.fetch_all(work.on()).await? {
        for text in ["said", "reply"] {
            words.extend(facts::words(row.try_get(text)?));
        }
    }
    let mut text = String::new();
    for word in words.iter().take(MOST_WORDS) {
        text.push_str(if text.is_empty() { "" } else { " " });
        text.push_str(word);
    }
    let marked = facts::marked(organization, &text);
    let kept = dialect::KEPT_WORDS;
    let mut query = QueryBuilder::<Db>::new("UPDATE conversation_words SET words = ");
    query.push(kept).push(" WHERE conversation_id = $2");
    let update = work.built(&mut query).bind(marked.clone()).bind(Id(conversation));
    if update.execute(work.on()).await?.rows_affected() > 0 {
        return Ok(());
    }
    let query = work.query("SELECT created_at FROM conversations WHERE id = $1").bind(Id(conversation));
    let row = query.fetch_one(work.on()).await?;
    let place = place(moment_of(&row, "created_at")?, conversation);
    for further in 0..PLACES_TRIED {
        let mut query = QueryBuilder::<Db>::new(
            "INSERT INTO conversation_words (words, conversation_id, place) VALUES (",
        );
        query.push(kept).push(", $2, $3) ON CONFLICT DO NOTHING");
        let insert = work.built(&mut query).bind(marked.clone()).bind(Id(conversation)).bind(place + further);
        if insert.execute(work.on()).await?.rows_affected() > 0 {
            return Ok(());
        }
    }
    // Ids that were chosen so as to meet: they are not found by words, and nothing else is lost.
    tracing::warn!(%conversation, "a conversation has no place in the index of words");
    Ok(())
}

/// Puts the words of at most `most` conversations into the index that were stored before it was there. How many these were.
pub(super) async fn settle(work: &mut Work, most: u32) -> Result<u64, DataError> {
    let query = work.query("SELECT conversation_id, organization_id FROM words_owed LIMIT $1");
    let owed = query.bind(i64::from(most)).fetch_all(work.on()).await?;
    for row in &owed {
        let (conversation, organization) = (id_of(row, "conversation_id")?, id_of(row, "organization_id")?);
        keep(work, organization, conversation).await?;
        let query = work.query("DELETE FROM words_owed WHERE conversation_id = $1").bind(Id(conversation));
        query.execute(work.on()).await?;
    }
    Ok(owed.len() as u64)
}
