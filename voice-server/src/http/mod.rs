//! HTTP: the accept loop, what every request passes, errors, and the rule for requests from this machine.

pub mod layers;
pub mod locality;
pub mod problem;
pub mod quota;
pub mod server;

pub use problem::Problem;
