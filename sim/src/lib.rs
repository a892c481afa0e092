//! A deterministic simulator of forename clusters.
