//! Operations on a gateway from outside: load patterns.
//!
//! Used by the binary. What is here speaks to a gateway as its clients do and knows nothing of its inside. To come, with
//! the same place in the house: chaos, readiness, advice on scaling.

pub mod load;
