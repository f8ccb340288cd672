//! The server over real loopback connections, with a scripted engine behind it.
#![allow(clippy::unwrap_used)]

mod contract_numbers;
mod endings;
mod harness;
mod http_surface;
mod known_callers;
mod live_events;
mod pages;
mod person_steps_in;
mod properties;
mod recordings;
mod rest;
mod sign_in;
mod sign_in_sockets;
mod socket_calls;
mod socket_refusals;
mod socket_resume;
mod socket_storing;
mod stored_listings;
mod talk_resume;
mod virtual_caller;
