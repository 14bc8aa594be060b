//! The databases as their users see them: real files in temporary directories, several handles on one file.

mod fixture;
mod shelf;
mod sql;
mod store;
mod trouble;
