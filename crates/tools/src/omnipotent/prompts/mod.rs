//! Texts that a person picks. One file a prompt, named after it.

pub mod diagnose;
