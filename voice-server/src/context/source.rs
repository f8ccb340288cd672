//! One call's source of facts.
//!
//! History and organization are read once, in a task that the source owns; each look-up waits for that and adds the listings
//! that fit the words or, where these name none, those that the words before them named. A database that fails leaves its facts out. No word of a caller is logged. Caller: the call's
//! look-ahead in `voice-core`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared as SharedFuture};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use uuid::Uuid;
use voice_core::context::{ContextQuery, ContextSource, LookUp, gist};
use voice_core::error::ProviderError;
use voice_core::llm::concierge::{HomeSource, Homes};

use super::{ListingSource, Shared, facts};
use crate::data::{Caller, Organization};

/// Name of the source in logs and errors.
const NAME: &str = "context";
/// Earlier calls that are told.
const MOST_CALLS: usize = 3;
/// Earlier calls that are read for them.
const MOST_READ: u32 = 10;
/// Homes that are told.
const MOST_HOMES: usize = 5;
/// Earlier words that are looked at where the last ones name no home.
const MOST_EARLIER: usize = 3;
/// What the database has not told by then it is not asked for again in this call.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// What does not depend on the words.
#[derive(Debug, Default)]
struct Known {
    organization: Option<Arc<Organization>>,
    history: Vec<String>,
    failed: bool,
}

type Reading = SharedFuture<BoxFuture<'static, Arc<Known>>>;

pub(super) struct CallSource {
    shared: Arc<Shared>,
    organization: Uuid,
    known: Reading,
    /// What named a home lately, newest last.
    named: Arc<Mutex<Vec<String>>>,
    reading: AbortHandle,
}

impl CallSource {
    pub(super) fn open(
        shared: Arc<Shared>,
        organization: Uuid,
        caller: Option<Caller>,
        mut said: Vec<String>,
    ) -> Self {
        let known = read(shared.clone(), organization, caller).map(Arc::new).boxed().shared();
        // The listings are read meanwhile, so that they are there at the first words.
        let listings = shared.listings.homes(organization, Vec::new());
        // It ends with the source, if it is not over long before.
        let reading = tokio::spawn(futures::future::join(known.clone(), listings).map(drop)).abort_handle();
        said.drain(..said.len().saturating_sub(MOST_EARLIER));
        Self { shared, organization, known, named: Arc::new(Mutex::new(said)), reading }
    }
}

impl Drop for CallSource {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(shared: Arc<Shared>, organization: Uuid, caller: Option<Caller>) -> Known {
    // A user's call in which a number was named may have been the talk of whoever has that number.
    let is_user = matches!(caller, Some(Caller::User(_)));
    let history = async {
        match caller {
            None => Ok(Vec::new()),
            Some(caller) => shared.store.history(organization, caller, MOST_READ).await,
        }
    };
    let both = async { tokio::join!(shared.organization(organization), history) };
    let Ok((of_organization, calls)) = timeout(READ_WITHIN, both).await else {
        tracing::warn!(source = NAME, "the database tells too late what is known for a call");
        return Known { failed: true, ..Known::default() };
    };
    let mut known = Known::default();
    match of_organization {
        Ok(found) => known.organization = found,
        Err(error) => {
            tracing::warn!(source = NAME, %error, "a call goes without its organization's facts");
            known.failed = true;
        }
    }
    let zone = known.organization.as_ref().and_then(|known| known.settings.time_zone.clone());
    match calls {
        Ok(calls) => {
            let own = calls.iter().filter(|call| !is_user || call.conversation.client_phone.is_none());
            let told = own.filter_map(|call| facts::of_call(call, zone.as_deref()));
            known.history = told.take(MOST_CALLS).collect();
        }
        Err(error) => {
            tracing::warn!(source = NAME, %error, "a call goes without what its caller said before");
            known.failed = true;
        }
    }
    known
}

impl ContextSource for CallSource {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Homes that fit the words first, then the caller's earlier calls, then the organization.
    fn look_up(&self, query: ContextQuery) -> BoxFuture<'static, Result<Vec<String>, ProviderError>> {
        let (shared, organization, known) = (self.shared.clone(), self.organization, self.known.clone());
        let named = self.named.clone();
        async move {
            let homes = homes_for(&shared, organization, query.said, &named);
            let overview = shared.listings.homes(organization, Vec::new());
            let (homes, overview, known) = tokio::join!(homes, overview, known);
            let mut failed = known.failed;
            let mut told: Vec<String> = match homes {
                Ok(homes) => homes.to_vec(),
                Err(detail) => {
                    tracing::warn!(source = NAME, detail, "a call goes without listings");
                    failed = true;
                    Vec::new()
                }
            };
            told.extend(overview.ok().and_then(|homes| facts::of_homes(&homes)));
            told.extend(known.history.iter().cloned());
            if let Some(organization) = &known.organization {
                told.extend(facts::of_organization(organization, jiff::Timestamp::now()));
            }
            if told.is_empty() && failed {
                let detail = "nothing that is known could be read".to_owned();
                return Err(ProviderError::Failed { provider: NAME, detail });
            }
            Ok(told)
        }
        .boxed()
    }

    fn homes(&self) -> Option<Arc<dyn HomeSource>> {
        Some(Arc::new(CallHomes { listings: self.shared.listings.clone(), organization: self.organization }))
    }

    fn note(&self, outcome: LookUp) {
        self.shared.metrics.note_look_up(outcome);
    }
}

/// The homes of one call's organization, for the local answerer.
struct CallHomes {
    listings: Arc<dyn ListingSource>,
    organization: Uuid,
}

impl HomeSource for CallHomes {
    fn homes(&self, said: Vec<String>) -> BoxFuture<'static, Result<Homes, ProviderError>> {
        let homes = self.listings.homes(self.organization, said);
        homes.map(|homes| homes.map_err(|detail| ProviderError::Failed { provider: NAME, detail })).boxed()
    }
}

/// The homes that the words name, else those that the words before them did.
async fn homes_for(
    shared: &Shared,
    organization: Uuid,
    words: String,
    named: &Mutex<Vec<String>>,
) -> Result<Arc<Vec<String>>, String> {
    let found = homes(shared, organization, words.clone()).await?;
    let earlier = {
        let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
        if !found.is_empty() && named.last() != Some(&words) {
            named.push(words);
            let gone = named.len().saturating_sub(MOST_EARLIER);
            named.drain(..gone);
        }
        named.clone()
    };
    if !found.is_empty() {
        return Ok(found);
    }
    for words in earlier.into_iter().rev() {
        let found = homes(shared, organization, words).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(found)
}

async fn homes(shared: &Shared, organization: Uuid, words: String) -> Result<Arc<Vec<String>>, String> {
    let key = (organization, gist(&words));
    if let Some(found) = shared.found.get(&key).await {
        return Ok(found);
    }
    let found = Arc::new(shared.listings.find(organization, words, MOST_HOMES).await?);
    shared.found.insert(key, found.clone()).await;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use voice_core::ids::SessionId;

    use super::*;
    use crate::context::ContextFactory;
    use crate::data::{DEMO_ORGANIZATION, SqliteStore};
    use crate::metrics::Metrics;

    /// Fails, or finds one home; keeps for whom it was asked.
    #[derive(Default)]
    struct Gardens {
        fails: bool,
        asked: Mutex<Vec<Uuid>>,
    }

    impl ListingSource for Gardens {
        fn find(
            &self,
            organization: Uuid,
            words: String,
            _limit: usize,
        ) -> BoxFuture<'static, Result<Vec<String>, String>> {
            self.asked.lock().expect("unpoisoned").push(organization);
            let found = match () {
                () if self.fails => Err("gone".to_owned()),
                () if words.contains("garden") => Ok(vec![format!("a home for {words}")]),
                () => Ok(Vec::new()),
            };
            Box::pin(std::future::ready(found))
        }

        fn homes(
            &self,
            _organization: Uuid,
            _said: Vec<String>,
        ) -> BoxFuture<'static, Result<Homes, String>> {
            Box::pin(std::future::ready(Err("none".to_owned())))
        }
    }

    #[tokio::test]
    async fn words_that_name_no_home_mean_the_one_named_before() {
        let folder = std::env::temp_dir().join(format!("voice-context-{}", Uuid::new_v4()));
        let store = Arc::new(SqliteStore::open(&folder).await.expect("a store"));
        let factory = ContextFactory::new(store, Arc::new(Gardens::default()), Metrics::default());
        let source = factory.source(DEMO_ORGANIZATION, None);
        for (said, expected) in [
            ("hello", "The office"),
            ("one with a garden", "a home for one with a garden"),
            ("how many bedrooms has it", "a home for one with a garden"),
            ("another garden", "a home for another garden"),
            ("and its price", "a home for another garden"),
        ] {
            let told = source.look_up(query(said)).await.expect("told");
            assert!(told[0].starts_with(expected), "{said}: {told:?}");
        }
        let earlier = vec!["a garden".to_owned(), "thanks".to_owned()];
        let told = factory.source_after(DEMO_ORGANIZATION, None, earlier).look_up(query("its price")).await;
        assert_eq!(told.expect("told")[0], "a home for a garden");
        let _ = std::fs::remove_dir_all(folder);
    }

    fn query(said: &str) -> ContextQuery {
        ContextQuery { session: SessionId::random(), said: said.to_owned() }
    }

    #[tokio::test]
    async fn homes_come_first_are_kept_by_organization_and_their_failure_leaves_the_rest() {
        let folder = std::env::temp_dir().join(format!("voice-context-{}", Uuid::new_v4()));
        let store = Arc::new(SqliteStore::open(&folder).await.expect("a store"));
        let other = Uuid::from_u128(9);
        let homes = Arc::new(Gardens::default());
        let factory = ContextFactory::new(store.clone(), homes.clone(), Metrics::default());
        let source = factory.source(DEMO_ORGANIZATION, None);
        for said in ["A garden?", "um, the garden"] {
            let told = source.look_up(query(said)).await.expect("told");
            assert_eq!(told[0], "a home for A garden?");
            assert!(told[1].starts_with("The office that is called is "), "{told:?}");
        }
        // Nothing is known of an organization that does not exist, and nothing of another's is given for it.
        let told = factory.source(other, None).look_up(query("a garden")).await.expect("told");
        assert_eq!(told, ["a home for a garden"]);
        assert_eq!(*homes.asked.lock().expect("unpoisoned"), [DEMO_ORGANIZATION, other]);

        let broken = Arc::new(Gardens { fails: true, ..Gardens::default() });
        let factory = ContextFactory::new(store, broken, Metrics::default());
        let told = factory.source(DEMO_ORGANIZATION, None).look_up(query("a garden")).await.expect("told");
        assert!(told.len() == 1 && told[0].starts_with("The office"), "{told:?}");
        assert!(factory.source(other, None).look_up(query("a garden")).await.is_err());
        let _ = std::fs::remove_dir_all(folder);
    }
}
