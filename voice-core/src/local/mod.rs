//! Speech models that run on the CPU.
