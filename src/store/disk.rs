//! The durable store: fjall, with group commit.
