//! The way out to the cloud: an HTTP client and WebSockets that all providers of an engine share (feature `cloud`).
//!
//! They know addresses, headers and bytes; what they mean is the providers' `wire` modules' business. TLS is rustls with one
//! crypto provider. Callers: the providers' `client` modules.

pub mod http;
pub mod websocket;

pub use http::HttpClient;
pub use websocket::{ConnectError, Connector, Incoming, Socket, SocketLimits};
