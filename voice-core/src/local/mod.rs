//! Speech models that run on the CPU.
//! Filled by the part of that name.

pub mod weights;
