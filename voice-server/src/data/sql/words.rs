//! Conversations by what was said in them.
//!
//! Newest first, and mostly found by going through the newest ones: a word that many conversations have stands in some of
//! them. One that hardly any of these has is rare, and those that have it are taken from the index of words and put in
//! order. What lies between is looked for on, up to [`LONG_WALK`] conversations; then the page ends early, with a cursor
//! from where it goes on. So a search takes bounded time, and a list that is read to its end holds everything once.

use std::collections::BTreeSet;

use sqlx::{QueryBuilder, Row as _};
use uuid::Uuid;

use super::super::super::facts;
use super::super::super::types::Id;
use super::super::super::{Conversation, ConversationFilter, Conversations, Cursor, DataError, Page};
use super::accounts::id_of;
use super::conversations::{self, conversation_of};
use super::{Db, Work, dialect};

/// Tests have few conversations, and come to every end with them.
const fn scaled(conversations: i64) -> i64 {
    if cfg!(test) { conversations / 100 } else { conversations }
}

/// Conversations that are gone through at first.
const SHORT_WALK: i64 = scaled(300);
/// Words that at most one of so many has are rare.
const RARE: usize = 64;
/// Conversations that are gone through after that, at most.
const LONG_WALK: i64 = scaled(6_000);
/// Conversations that are taken from the index of words at most.
const MOST_WITH_WORDS: i64 = scaled(3_000);
/// A begun word has at least so many letters; a shorter one is a whole word, since it begins too many.
const BEGUN_FROM: usize = 3;
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
        let mut found = self.walk(work, self.after, SHORT_WALK).await?;
        if self.is_page(&found) {
            return Ok(self.page(found));
        }
        let Some(end) = self.end_of_walk(work, self.after, SHORT_WALK).await? else {
            return Ok(self.page(found));
        };
        if found.len() * RARE <= SHORT_WALK as usize
            && let Some(gathered) = self.gather(work).await?
        {
            return Ok(self.page(gathered));
        }
        found.extend(self.walk(work, Some(end), LONG_WALK).await?);
        if self.is_page(&found) {
            return Ok(self.page(found));
        }
        let next = self.end_of_walk(work, Some(end), LONG_WALK).await?;
        Ok(Page { items: found, next })
    }

    /// Whether these are more than the page holds, so that its end is known.
    fn is_page(&self, found: &[Conversation]) -> bool {
        found.len() > self.limit as usize
    }

    fn page(&self, found: Vec<Conversation>) -> Conversations {
        Page::of(found, self.limit, |last| Cursor { created_at: last.created_at, id: last.id })
    }

    /// Those with the words among the next `budget` conversations after `after`, at most one more than the page holds.
    async fn walk(
        &self,
        work: &mut Work,
        after: Option<Cursor>,
        budget: i64,
    ) -> Result<Vec<Conversation>, DataError> {
        // The outer statement keeps the inner one's order, and stops it when it has enough.
        let mut query = QueryBuilder::new("SELECT c.* FROM (");
        conversations::push_list(&mut query, None, self.organization, self.filter, after);
        query.push(" LIMIT ").push(budget).push(") c WHERE (SELECT ");
        query.push(dialect::says(&self.words, self.begun));
        query.push(" FROM conversation_words w WHERE w.conversation_id = c.id) LIMIT ").push(self.limit + 1);
        read(work, &mut query).await
    }

    /// The last of the next `budget` conversations; `None` where there are fewer.
    async fn end_of_walk(
        &self,
        work: &mut Work,
        after: Option<Cursor>,
        budget: i64,
    ) -> Result<Option<Cursor>, DataError> {
        let mut query = QueryBuilder::new("");
        conversations::push_list(&mut query, None, self.organization, self.filter, after);
        query.push(" LIMIT 1 OFFSET ").push(budget - 1);
        let last = read(work, &mut query).await?.pop();
        Ok(last.map(|last| Cursor { created_at: last.created_at, id: last.id }))
    }

    /// The page out of all that the index of words has; `None` where these are too many.
    async fn gather(&self, work: &mut Work) -> Result<Option<Vec<Conversation>>, DataError> {
        super::search::by_index_alone(work).await?;
        let who = dialect::who_says(&self.words, self.begun);
        let mut query = QueryBuilder::<Db>::new("SELECT count(*) AS candidates FROM (");
        query.push(&who).push(" LIMIT ").push(MOST_WITH_WORDS + 1).push(") s");
        let row = work.once(&mut query).fetch_one(work.on()).await?;
        if row.try_get::<i64, _>("candidates")? > MOST_WITH_WORDS {
            return Ok(None);
        }
        let mut query = QueryBuilder::new("");
        let who = format!("{who} LIMIT {MOST_WITH_WORDS}");
        conversations::push_list(&mut query, Some(&who), self.organization, self.filter, self.after);
        query.push(" LIMIT ").push(self.limit + 1);
        read(work, &mut query).await.map(Some)
    }
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
    let query = work.query(dialect::KEEP_WORDS);
    let query = query.bind(Id(conversation)).bind(facts::marked(organization, &text));
    query.execute(work.on()).await?;
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
