//! Turn-taking: who has the floor, when the caller has finished, when an answer starts and when it must stop.
//!
//! [`Dialogue`] is a pure machine. It is told facts ([`Input`]) with the session time at which they became known, and
//! gives orders ([`Command`]) that the session carries out; [`Dialogue::poll_timeout`] says when to come back. It sees
//! positions, texts and ids, never samples, sockets or a clock. After each input the caller drains the commands
//! before the next input. Invariants (checked by random operations in `tests/turn_random.rs`): never two replies at
//! once, an answer with a stale id changes nothing, every wait has a deadline, heard is a prefix of spoken.

mod dialogue;
mod ear;
mod endpoint;
mod heard;
mod input;
mod mouth;
mod output;
mod policy;
mod timer;

pub use dialogue::{Dialogue, Pace};
pub use endpoint::{Evidence, required_silence};
pub use heard::{Reading, is_acknowledgement, reading};
pub use input::Input;
pub use output::{CloseReason, Command, Event, Failure, NoticeCode, TurnRecord};
pub use policy::{Policy, PolicyError};
pub use timer::{Timer, Timers};
