//! Bytes to nouns and back.
