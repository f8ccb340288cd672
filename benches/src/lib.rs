//! What the benches and the load runs share: a scripted server, a client that keeps time, and honest figures.
//!
//! [`scripted`] is an engine whose providers take known times behind the real socket server; [`process`] runs it in a
//! process of its own on a core of its own and reads what it costs; [`socket`] is the caller's end; [`recorded`] the
//! caller's voice; [`client`] talks in real time and books what it hears; [`packets`] is the voice as a browser sends it; [`figures`]
//! are percentiles; [`logged`] watches what is logged. [`load`] puts
//! them together, one file for each run; [`fuzz`] holds the entries for any bytes. Method and results: `benches/README.md`.

pub mod client;
pub mod faults;
pub mod figures;
pub mod fuzz;
pub mod load;
pub mod logged;
pub mod packets;
pub mod process;
pub mod recorded;
pub mod scripted;
pub mod socket;
pub mod stamp;
