pub mod instrument;
pub mod market;
pub mod new_york;
pub mod print;
