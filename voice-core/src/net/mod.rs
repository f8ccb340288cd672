//! The way out to the cloud: one HTTP client that all providers of an engine share (feature `cloud`).
//!
//! It knows addresses, headers and bytes; what they mean is the providers' `wire` modules' business. TLS is rustls with one
//! crypto provider. Callers: the providers' `client` modules.

pub mod http;

pub use http::HttpClient;
