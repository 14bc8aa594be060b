//! Reading what exists: facts and bytes.
//!
//! Called by `Files` on a blocking thread.

use super::open::{fault, meta, read_at, reopen};
use super::{Meta, roots::Roots};
use crate::HostError;
use rustix::fs::OFlags;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Bytes in one answer, whatever the caller asks for.
const LARGEST_READ: usize = 256 << 20;

pub(super) fn directory(roots: &Roots, path: &str) -> Result<PathBuf, HostError> {
    Ok(roots.directory(&roots.named(path)?)?.real)
}

pub(super) fn stat(roots: &Roots, path: &str) -> Result<Meta, HostError> {
    let place = roots.place(&roots.named(path)?)?;
    Ok(meta(&place.shown, &place.stat))
}

pub(super) fn read(roots: &Roots, path: &str, offset: u64, max: usize) -> Result<(Vec<u8>, u64), HostError> {
    let place = roots.file(&roots.named(path)?)?;
    let read = || {
        let file = reopen(place.fd.as_fd(), OFlags::RDONLY)?;
        let bytes = read_at(&file, offset.min(i64::MAX as u64), max.min(LARGEST_READ))?;
        let size = rustix::fs::fstat(&file)?.st_size;
        Ok((bytes, u64::try_from(size).unwrap_or(0)))
    };
    read().map_err(|e| fault(e, &place.shown))
}
