//! Calls in virtual time, for tests and benches: a scripted caller, a bad link, scripted services, and an eye on the rules.
//!
//! A [`Scene`] is played by a [`World`] around the real turn machine and the real playout: minutes of talk take
//! milliseconds, nothing sleeps, and the same scene gives the same [`Call`]. [`exercise_turns`] feeds the machine
//! arbitrary facts. Both let a [`Witness`] check every order. [`ScriptedVad`]
//! and, with feature `runtime`, `ScriptedStt`, `ScriptedLlm` and `ScriptedTts` are providers for the real engine.

mod call;
mod caller;
mod exercise;
mod link;
mod listening;
mod loudness;
#[cfg(feature = "runtime")]
mod providers;
mod random;
mod scene;
mod scripts;
mod services;
mod witness;
mod world;

pub use call::{Asked, Call, Left};
pub use caller::{Act, Span, Track};
pub use exercise::exercise_turns;
pub use link::Link;
pub use listening::{Activity, Listening};
pub use loudness::ScriptedVad;
#[cfg(feature = "runtime")]
pub use providers::{ScriptedLlm, ScriptedStt, ScriptedTts};
pub use random::Random;
pub use scene::Scene;
pub use scripts::{LlmFault, LlmScript, SttFault, SttScript, TtsFault, TtsScript};
pub use witness::{Violation, Witness};
pub use world::{Broken, World};
