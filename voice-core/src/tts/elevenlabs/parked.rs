//! Sockets whose call is over and that wait for the next one: its first words then need no handshake.
//!
//! A socket is kept only where nothing is under way on it, only for a call of the same voice, model and format, and only
//! for as long as the service would keep it too. Who takes one looks whether it is still open. Caller: `over_sockets`.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::net::{Incoming, Socket};

/// Waiting sockets of a key.
#[derive(Default)]
pub(super) struct Parked(Mutex<Lot>);

#[derive(Default)]
struct Lot {
    next: u64,
    places: Vec<Place>,
}

struct Place {
    ticket: u64,
    /// What it was opened for.
    address: String,
    socket: Box<Socket>,
    /// Contexts of its earlier calls have numbers below this.
    contexts: u32,
    /// When something was sent over it.
    sent: Instant,
}

/// More are closed: a burst of calls is over.
const MOST_PLACES: usize = 16;

impl Parked {
    /// Leaves a socket over which nothing has been sent for `idle`, and gives what takes it away again; the socket comes
    /// back where there is no room.
    pub(super) fn leave(
        &self,
        address: String,
        socket: Box<Socket>,
        contexts: u32,
        idle: Duration,
    ) -> Result<u64, Box<Socket>> {
        let mut lot = self.lock();
        if lot.places.len() >= MOST_PLACES {
            return Err(socket);
        }
        let ticket = lot.next;
        lot.next += 1;
        let now = Instant::now();
        let sent = now.checked_sub(idle).unwrap_or(now);
        lot.places.push(Place { ticket, address, socket, contexts, sent });
        Ok(ticket)
    }

    /// The socket that was left with this ticket, if nobody has taken it.
    pub(super) fn take_back(&self, ticket: u64) -> Option<Box<Socket>> {
        let mut lot = self.lock();
        let at = lot.places.iter().position(|place| place.ticket == ticket)?;
        Some(lot.places.swap_remove(at).socket)
    }

    /// An open socket to this address, the one that was left last, the number of its next context, and how long nothing
    /// has been sent over it.
    pub(super) fn take(&self, address: &str) -> Option<(Box<Socket>, u32, Duration)> {
        loop {
            let place = {
                let mut lot = self.lock();
                let at = lot.places.iter().rposition(|place| place.address == address)?;
                lot.places.remove(at)
            };
            let Place { mut socket, contexts, sent, .. } = place;
            // What came meanwhile belongs to contexts that are over.
            loop {
                match socket.next().now_or_never() {
                    None => return Some((socket, contexts, sent.elapsed())),
                    Some(Incoming::Closed { .. }) => break,
                    Some(Incoming::Text(_) | Incoming::Binary(_)) => {}
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().places.len()
    }

    fn lock(&self) -> MutexGuard<'_, Lot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
