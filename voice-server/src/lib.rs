//! The server around the voice engine: a voice socket, REST, a small page, and the `voice` program.
//!
//! It knows `voice-core`; `voice-core` does not know it. [`app`] joins the parts; [`cli`] is the program's front.

#![allow(
    clippy::duplicate_mod,
    reason = "`data::sql` is compiled once for each database, with that database's types"
)]

pub mod api;
pub mod app;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod config;
pub mod context;
pub mod cost;
pub mod data;
pub mod disclosure;
pub mod engine;
pub mod error;
pub mod events;
pub mod http;
pub mod metrics;
#[cfg(feature = "local")]
pub mod models;
mod phrases;
mod providers;
pub mod recording;
pub mod replay;
pub mod shutdown;
pub mod storage;
pub mod telemetry;
mod upkeep;
pub mod voice;
pub mod web;
