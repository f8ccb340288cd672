//! What is known for a call beyond its words: the caller's earlier calls, the organization's own facts, listings that fit.
//!
//! [`ContextFactory`] makes one [`source`](ContextFactory::source) a call, bound to the organization and the caller that were sure
//! when the call began: nothing that is said in it changes whose facts it gets. The source reads history and organization
//! once, while the call opens, and listings for the words; `voice-core` asks while the caller speaks and waits 30 ms at
//! most. Everything it gives is quoted as data in the request. Callers: `voice::engine`, `app`.

mod facts;
mod homes;
pub(crate) mod listings;
mod search;
mod source;

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use uuid::Uuid;
use voice_core::context::ContextSource;

pub use listings::{ListingSource, StoredListings};

use crate::data::{Caller, DataError, Organization, Store};
use crate::metrics::Metrics;

/// Organizations that are kept; the least used leave first.
const MOST_ORGANIZATIONS: u64 = 1_000;
/// A change of an organization's facts is heard in calls that begin after this.
const ORGANIZATION_FRESH: Duration = Duration::from_secs(30);
/// Listings found for so many words of all organizations.
const MOST_FOUND: u64 = 10_000;
/// What was found is told again for this long. With the age of what it was found in, a change of a listing is heard
/// within 20 s.
const FOUND_FRESH: Duration = Duration::from_secs(5);

/// Makes the sources of calls. Cheap to clone.
#[derive(Clone)]
pub struct ContextFactory(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    metrics: Metrics,
    listings: Arc<dyn ListingSource>,
    /// By organization; `None` where there is no such.
    organizations: Cache<Uuid, Option<Arc<Organization>>>,
    /// By organization and what the words come to.
    found: Cache<(Uuid, String), Arc<Vec<String>>>,
}

impl std::fmt::Debug for ContextFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContextFactory").finish_non_exhaustive()
    }
}

impl ContextFactory {
    /// Sources over this database and these listings; look-ups are counted in `metrics`.
    pub fn new(store: Arc<dyn Store>, listings: Arc<dyn ListingSource>, metrics: Metrics) -> Self {
        let organizations =
            Cache::builder().max_capacity(MOST_ORGANIZATIONS).time_to_live(ORGANIZATION_FRESH).build();
        let found = Cache::builder().max_capacity(MOST_FOUND).time_to_live(FOUND_FRESH).build();
        Self(Arc::new(Shared { store, metrics, listings, organizations, found }))
    }

    /// The source of one call. `caller`: as far as it is sure; nobody's history without. It begins to read at once and stops
    /// when it is dropped. Must be called inside a tokio runtime.
    pub fn source(&self, organization: Uuid, caller: Option<Caller>) -> Arc<dyn ContextSource> {
        self.source_after(organization, caller, Vec::new())
    }

    /// The same for a dialogue that goes on: `said` are the caller's earlier words, oldest first. The home that was named last in
    /// them is told where the next words name none.
    pub fn source_after(
        &self,
        organization: Uuid,
        caller: Option<Caller>,
        said: Vec<String>,
    ) -> Arc<dyn ContextSource> {
        Arc::new(source::CallSource::open(self.0.clone(), organization, caller, said))
    }

    /// The organization, from memory where it was read a moment ago.
    ///
    /// # Errors
    /// The database fails.
    pub async fn organization(&self, id: Uuid) -> Result<Option<Arc<Organization>>, DataError> {
        self.0.organization(id).await
    }
}

impl Shared {
    async fn organization(&self, id: Uuid) -> Result<Option<Arc<Organization>>, DataError> {
        if let Some(kept) = self.organizations.get(&id).await {
            return Ok(kept);
        }
        let read = self.store.organization(id).await?.map(Arc::new);
        self.organizations.insert(id, read.clone()).await;
        Ok(read)
    }
}
