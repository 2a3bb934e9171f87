//! `port::Store` on scylla, and the schema.
