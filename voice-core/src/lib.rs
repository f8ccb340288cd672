//! A real-time voice engine: a caller's audio in, the answer's audio out, latency first.
//!
//! The crate is built inside out. Everything that decides (`turn`, `playout`, `text`, `metrics`, the parsers of
//! `ingress`) is pure: it takes bytes, facts and a [`time::SessionTime`] and gives back values. Feature `runtime`
//! (default) adds the shell that carries decisions out: [`session::Engine`] and its sessions. Feature `local` adds
//! speech models that run on the CPU. Without features the crate contains no tokio, no sockets and no clock.
//!
//! Layers, lower ones never import higher ones: `time ids error` → `audio codec ingress vad text wire` →
//! `turn context playout metrics record` → the traits of `stt llm tts` → `session` and providers.

pub mod audio;
pub mod codec;
pub mod context;
pub mod error;
pub mod ids;
pub mod ingress;
pub mod llm;
pub mod metrics;
pub mod playout;
pub mod record;
pub mod resilience;
pub mod stt;
pub mod text;
pub mod time;
pub mod tts;
pub mod turn;
pub mod vad;
pub mod wire;

#[cfg(feature = "runtime")]
pub mod infer;
#[cfg(feature = "local")]
pub mod local;
#[cfg(feature = "runtime")]
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
