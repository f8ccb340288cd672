//! See the manifest of this package.
