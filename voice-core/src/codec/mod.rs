//! Filled by the part of that name.
