//! Live events: what happens in an organization, for everybody of it who watches, on whichever server.
//!
//! [`Hub::publish`] never waits. A `room` an organization keeps the last events, so that who was away for a moment
//! resumes without loss or double, and hands new ones to its subscribers; one who reads too slowly is dropped alone. With
//! Redis (`relay`) every event is put into a stream of its organization and told on one channel, in one step: the stream's
//! ids give all servers the same order and let a server catch up on what it missed; the channel brings events at once,
//! without a blocking read for every organization that happens to be watched. While Redis is away, events go on
//! here, under ids of this server, and the others get them when it is back.
//!
//! Only [`crate::api::events`] subscribes. Events hold callers' words and never go into a log.

mod event;
mod hub;
mod publisher;
mod relay;
#[cfg(test)]
mod relay_tests;
mod room;

pub use event::{Event, Kind};
pub use hub::{Feed, Full, Hub, HubLimits};
pub use publisher::Publisher;
pub use room::Delivery;
