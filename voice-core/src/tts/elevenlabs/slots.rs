//! How many replies an account may have spoken at a time, and whether one more may start.
//!
//! The service tells the maximum in the headers of its answers; until it has, nothing is held back. A socket counts
//! only while it generates, so a slot is taken for a reply and not for a call. One value is shared by all calls of a
//! key; whoever shares it locks it.

use crate::wire::Concurrency;

/// The books of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots {
    maximum: Option<u32>,
    taken: u32,
    /// Requests of other processes with the same key, as last seen.
    elsewhere: u32,
}

impl Slots {
    /// Reads what a response said. Its own request counts in `current`, so take the slot before reading the
    /// answer.
    pub fn handle_headers(&mut self, seen: Concurrency) {
        // A maximum of zero would silence us for good; the service refuses by itself where it must.
        self.maximum = seen.maximum.filter(|most| *most > 0).or(self.maximum);
        if let Some(current) = seen.current {
            self.elsewhere = current.saturating_sub(self.taken);
        }
    }

    /// Takes a slot, if there is one. With none, wait or use the next provider: the service would only queue or refuse.
    pub fn take(&mut self) -> bool {
        // What runs elsewhere is old news, so it never holds back the first of ours: its answer brings fresh news.
        let held = if self.taken == 0 { 0 } else { self.taken.saturating_add(self.elsewhere) };
        let free = self.maximum.is_none_or(|most| held < most);
        if free {
            self.taken += 1;
        }
        free
    }

    /// Gives a slot back when its reply is over.
    pub fn give_back(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// Slots that are taken here.
    pub fn taken(&self) -> u32 {
        self.taken
    }

    /// Most at a time, once the service has told.
    pub fn maximum(&self) -> Option<u32> {
        self.maximum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(current: u32, maximum: u32) -> Concurrency {
        Concurrency { current: Some(current), maximum: Some(maximum) }
    }

    #[test]
    fn nothing_is_held_back_before_the_service_told() {
        let mut slots = Slots::default();
        assert!((0..100).all(|_| slots.take()));
    }

    #[test]
    fn the_maximum_is_respected_and_what_is_given_back_can_be_taken() {
        let mut slots = Slots::default();
        assert!(slots.take());
        slots.handle_headers(seen(1, 3));
        assert!(slots.take() && slots.take() && !slots.take());
        slots.give_back();
        assert!(slots.take() && !slots.take());
        assert_eq!((slots.taken(), slots.maximum()), (3, Some(3)));
    }

    #[test]
    fn other_processes_count_but_never_silence_us() {
        let mut slots = Slots::default();
        assert!(slots.take());
        slots.handle_headers(seen(3, 3));
        assert!(!slots.take(), "two run elsewhere");
        slots.give_back();
        assert!(slots.take(), "the first may always try");
        slots.handle_headers(seen(1, 3));
        assert!(slots.take(), "the others are done");
        slots.handle_headers(seen(9, 0));
        assert_eq!(slots.maximum(), Some(3));
        for _ in 0..9 {
            slots.give_back();
        }
        assert_eq!(slots.taken(), 0);
    }
}
