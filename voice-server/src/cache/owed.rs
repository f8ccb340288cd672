//! What Redis could not be told: removals and denials, settled when it is back, before anything is read from it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::contract::Entry;
use super::key::{Key, Place};

/// Places that are owed at most. With more, keys give way to their whole group.
const MOST: usize = 20_000;

/// The debts, a place each. `None`: removed; else: to be put.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    places: Mutex<HashMap<Place, Option<Entry>>>,
    added: Notify,
}

impl Owed {
    /// Owes a removal, or a value where there is one.
    pub(crate) fn add(&self, place: Place, entry: Option<Entry>) {
        let mut places = self.lock();
        if places.len() >= MOST && !places.contains_key(&place) {
            collapse(&mut places);
        }
        if places.len() >= MOST {
            tracing::error!(
                "more is owed to Redis than is remembered; another server may show what was removed until it ends"
            );
            return;
        }
        places.insert(place, entry);
        drop(places);
        self.added.notify_one();
    }

    /// Whether what Redis has under the key is not to be believed.
    pub(crate) fn covers(&self, key: &Key) -> bool {
        let places = self.lock();
        !places.is_empty()
            && (places.contains_key(&Place::One(key.clone())) || places.contains_key(&Place::All(key.group)))
    }

    /// Some of it, in any order.
    pub(crate) fn some(&self) -> Vec<(Place, Option<Entry>)> {
        self.lock().iter().take(256).map(|(place, entry)| (place.clone(), entry.clone())).collect()
    }

    /// Strikes out what was settled, unless it changed meanwhile.
    pub(crate) fn strike(&self, settled: &[(Place, Option<Entry>)]) {
        let mut places = self.lock();
        for (place, entry) in settled {
            // A removal that was owed again meanwhile has been made after that, or will be told by its own request.
            if places.get(place) == Some(entry) {
                places.remove(place);
            }
        }
    }

    /// Waits for a new debt. For one task.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Option<Entry>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes whole groups where single keys were owed; values that are owed stay.
fn collapse(places: &mut HashMap<Place, Option<Entry>>) {
    for (place, entry) in std::mem::take(places) {
        match (place, entry) {
            (Place::One(key), None) => places.insert(Place::All(key.group), None),
            (place, entry) => places.insert(place, entry),
        };
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::super::key::Area;
    use super::*;

    #[test]
    fn debts_are_bounded_by_giving_up_whole_groups() {
        let owed = Owed::default();
        let key = |n: usize| Key::new(Area::Property, Uuid::nil(), &n.to_string());
        let denial = Key::new(Area::Denial, Uuid::nil(), "jti");
        let hour = std::time::Duration::from_secs(3_600);
        owed.add(Place::One(denial.clone()), Some(Entry::new(Bytes::new(), hour, hour)));
        for n in 0..MOST {
            owed.add(Place::One(key(n)), None);
        }
        assert!(owed.lock().len() < 10);
        assert!(owed.covers(&key(3)) && owed.covers(&key(MOST + 5)) && owed.covers(&denial));
        assert!(!owed.covers(&Key::new(Area::Property, Uuid::from_u128(1), "3")));
        let some = owed.some();
        owed.strike(&some);
        assert!(owed.some().is_empty() && !owed.covers(&key(3)));
    }
}
