//! The listings of organizations that have few enough to be known as a whole, kept a while and read again while they are
//! spoken about.
//!
//! What is kept is given at once while it is young; then it is read anew beside the call, and past its age a call waits for
//! that. A database that fails leaves what was known. Each reading is one at a time for an organization, and ends within its
//! deadline whoever still waits. Caller: `listings`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use tokio::time::timeout;
use uuid::Uuid;
use voice_core::llm::concierge::{Homes, Listing, Listings};

use crate::data::{DataError, Property, PropertyFilter, PropertySort, Store};

/// Listings of one organization that are known as a whole at most: an answer looks at all of them.
pub(super) const MOST_WHOLE: usize = if cfg!(test) { 40 } else { 2_000 };
/// Listings that are read at a time.
const PAGE: u32 = 500;
/// Listings of all organizations that are kept: some 1.5 KB each.
const MOST_KEPT: u64 = 50_000;
/// Organizations nobody speaks about any more are forgotten after this.
const IDLE: Duration = Duration::from_secs(600);
/// Whether an organization with too many listings still has them is looked at again after this.
const LARGE_FRESH: Duration = Duration::from_secs(300);
/// How long one reading may take.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer waits for it.
const WAIT: Duration = Duration::from_secs(2);

/// The listings of organizations. Cheap to clone.
#[derive(Clone)]
pub(super) struct Catalogues {
    store: Arc<dyn Store>,
    /// Read just now. Also where several who need the same wait for one reading.
    young: Cache<Uuid, Kept>,
    /// The last reading.
    last: Cache<Uuid, Kept>,
    /// Organizations with more listings than are known as a whole.
    large: Cache<Uuid, ()>,
    fresh: Duration,
}

#[derive(Clone)]
struct Kept {
    /// `None`: they are too many.
    homes: Option<Homes>,
    read_at: Instant,
}

impl Catalogues {
    /// Over this database; nothing older than `fresh` is given where the database answers.
    pub(super) fn new(store: Arc<dyn Store>, fresh: Duration) -> Self {
        let kept = || Cache::builder().max_capacity(MOST_KEPT).weigher(|_, kept: &Kept| kept.weight());
        Self {
            store,
            young: kept().time_to_live(fresh * 2 / 3).build(),
            last: kept().time_to_idle(IDLE).build(),
            large: Cache::builder().max_capacity(MOST_KEPT).time_to_live(LARGE_FRESH).build(),
            fresh,
        }
    }

    /// All homes of an organization; `None` where they are too many.
    pub(super) async fn of(&self, organization: Uuid) -> Result<Option<Homes>, String> {
        if self.large.contains_key(&organization) {
            return Ok(None);
        }
        if let Some(kept) = self.young.get(&organization).await {
            return Ok(kept.homes);
        }
        let last = self.last.get(&organization).await;
        // Whoever waits may go away, as a look-up past its deadline does; the reading ends by itself.
        let reading = tokio::spawn(self.clone().read(organization));
        if let Some(kept) = last.as_ref().filter(|kept| kept.read_at.elapsed() < self.fresh) {
            return Ok(kept.homes.clone());
        }
        let why = match timeout(WAIT, reading).await {
            Ok(Ok(Ok(kept))) => return Ok(kept.homes),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "their reading broke off".to_owned(),
            Err(_) => "the database tells them too late".to_owned(),
        };
        match last {
            Some(kept) => {
                tracing::warn!(%organization, why, "listings are spoken about as they were");
                Ok(kept.homes)
            }
            None => Err(format!("the listings cannot be read: {why}")),
        }
    }

    async fn read(self, organization: Uuid) -> Result<Kept, Arc<DataError>> {
        let read = async {
            let late = || DataError::Unavailable(sqlx::Error::PoolTimedOut);
            let all =
                timeout(READ_WITHIN, all_of(&*self.store, organization)).await.map_err(|_| late())??;
            Ok(Kept { homes: all.map(Homes::all_of), read_at: Instant::now() })
        };
        let kept = self.young.try_get_with(organization, read).await?;
        if kept.homes.is_none() {
            self.large.insert(organization, ()).await;
        }
        self.last.insert(organization, kept.clone()).await;
        Ok(kept)
    }
}

impl Kept {
    fn weight(&self) -> u32 {
        let homes = self.homes.as_ref().map_or(0, |homes| homes.listings().all().len());
        u32::try_from(homes).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// Every listing that may be spoken about, in the order they came; `None` where there are more than are known as a whole.
async fn all_of(store: &dyn Store, organization: Uuid) -> Result<Option<Listings>, DataError> {
    let (mut all, mut seen, mut cursor) = (Vec::new(), 0, None);
    loop {
        let filter = PropertyFilter::default();
        let page = store.properties(organization, filter, PropertySort::Oldest, cursor, PAGE).await?;
        seen += page.items.len();
        if seen > MOST_WHOLE {
            return Ok(None);
        }
        all.extend(page.items.iter().filter_map(listing_of));
        match page.next {
            Some(next) if !page.items.is_empty() => cursor = Some(next),
            _ => return Ok(Some(Listings::of(all))),
        }
    }
}

/// A stored listing as it is spoken about; `None` where it may not be shown or lacks what a home must have.
pub(super) fn listing_of(property: &Property) -> Option<Listing> {
    match Listing::from_reso(&property.property_data) {
        Ok(listing) => listing,
        Err(error) => {
            tracing::debug!(property = %property.id, %error, "a listing that nobody can speak about");
            None
        }
    }
}
