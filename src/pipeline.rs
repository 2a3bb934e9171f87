//! The beat.
