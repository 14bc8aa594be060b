//! The head file: number and hash of the chain's last line, written after every append.
//!
//! It is what finds whole lines cut off behind the last checkpoint. Invariant: written after the log, so that it is
//! never ahead of it unless lines were lost. Two slots, written in turn, inside one disk sector: one that was being written
//! when the process died or when somebody read it does not fit its check, and the other is the line before, whose
//! successor was not acknowledged. The file is mapped where that is safe, which saves a system call an append; what is
//! stored in a mapped file belongs to the kernel and survives the process like what is written.

use super::line::{HexHash, MOST_SEQ, hex_text};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;

pub const HEAD_FILE: &str = "head";
const SLOT: usize = 128;
const SLOTS: usize = 2;
const SIZE: usize = SLOT * SLOTS;

/// What the head file says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HeadValue {
    pub hash: String,
    pub seq: u64,
    /// Over the rest, 16 hexadecimal digits: against a slot written in part, not against anybody.
    sum: String,
}

/// The open head file of a chain.
pub struct Head {
    file: File,
    page: Option<Page>,
    /// Nothing was written yet, so that a slot may hold what was found amiss.
    fresh: bool,
}

impl Head {
    pub fn open(chain: &Path) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(chain.join(HEAD_FILE))?;
        // Blank slots are written where the file ends, so that every byte that is mapped has its place on the disk.
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(SIZE).min(SIZE);
        file.write_all_at(&[b'\n'; SIZE][len..], len as u64)?;
        let page = Page::of(&file);
        Ok(Self { file, page, fresh: true })
    }

    pub fn write(&mut self, seq: u64, hash: &HexHash) -> io::Result<()> {
        let mut text = [b' '; SLOT];
        text[SLOT - 1] = b'\n';
        let (hex, sum) = (hex_text(hash), sum(seq, hash));
        write!(&mut text[..SLOT - 1], "{{\"hash\":\"{hex}\",\"seq\":{seq},\"sum\":\"{sum:016x}\"}}")?;
        let [at, other] = if seq.is_multiple_of(2) { [0, SLOT] } else { [SLOT, 0] };
        self.put(at, &text)?;
        if self.fresh {
            self.put(other, &text)?;
            self.fresh = false;
        }
        Ok(())
    }

    fn put(&mut self, at: usize, slot: &[u8; SLOT]) -> io::Result<()> {
        match &mut self.page {
            Some(page) => page.put(at, slot),
            None => self.file.write_all_at(slot, at as u64)?,
        }
        Ok(())
    }
}

// FNV-1a, eight bytes at a time.
fn sum(seq: u64, hash: &[u8]) -> u64 {
    let words = hash.chunks(8).map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
    words.chain([seq]).fold(0xcbf2_9ce4_8422_2325, |sum, word| (sum ^ word).wrapping_mul(0x0100_0000_01b3))
}

/// The file's beginning in memory.
struct Page(NonNull<[u8; SIZE]>);

// SAFETY: the mapping belongs to this value alone and to no thread.
#[allow(unsafe_code)]
unsafe impl Send for Page {}

impl Page {
    // `None` where the file system may find, when a mapped page is changed, that it has no room for it: that ends the
    // process. These change blocks in place and share none between files.
    #[allow(unsafe_code)]
    fn of(file: &File) -> Option<Self> {
        const EXT4: u64 = 0xef53;
        const TMPFS: u64 = 0x0102_1994;
        let kind = rustix::fs::fstatfs(file).ok()?.f_type;
        if ![EXT4, TMPFS].contains(&u64::try_from(kind).ok()?) {
            return None;
        }
        // SAFETY: the kernel chooses a place where nothing is mapped, and the file has `SIZE` bytes.
        let page = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            mmap(std::ptr::null_mut(), SIZE, protection, MapFlags::SHARED, file, 0)
        };
        NonNull::new(page.ok()?.cast()).map(Self)
    }

    #[allow(unsafe_code)]
    fn put(&mut self, at: usize, slot: &[u8; SLOT]) {
        // SAFETY: `SIZE` bytes are mapped, writable and this value's alone until it is dropped; the slice is bounded by
        // their array. Other processes only read the file.
        unsafe { self.0.as_mut()[at..at + SLOT].copy_from_slice(slot) }
    }
}

impl Drop for Page {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: mapped with this size by `of`, and nothing refers to it any more.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), SIZE) };
    }
}

/// Read a chain's head; `None` when it is missing or not understood.
pub fn read(chain: &Path) -> io::Result<Option<HeadValue>> {
    match File::open(chain.join(HEAD_FILE)) {
        Ok(file) => {
            let mut text = Vec::with_capacity(SIZE);
            file.take(SIZE as u64).read_to_end(&mut text)?;
            let slots =
                text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
            let whole = slots.filter(|slot: &HeadValue| {
                u64::from_str_radix(&slot.sum, 16)
                    .is_ok_and(|given| given == sum(slot.seq, slot.hash.as_bytes()))
            });
            // Half of it, so that a chain that goes on behind lost lines has numbers left.
            Ok(whole.max_by_key(|head| head.seq).filter(|head| head.seq <= MOST_SEQ / 2))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const OLD: HexHash = [b'a'; 64];
    const NEW: HexHash = [b'b'; 64];

    fn said(chain: &Path) -> Option<(u64, u8)> {
        read(chain).unwrap().map(|head| (head.seq, head.hash.as_bytes()[0]))
    }

    #[test]
    fn the_last_one_written_is_read_mapped_or_not() {
        for mapped in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(said(dir.path()), None);
            let mut head = Head::open(dir.path()).unwrap();
            assert_eq!(said(dir.path()), None);
            head.page = head.page.filter(|_| mapped);
            for seq in [1, 2, 3, 4, 4, 9, 10, MOST_SEQ / 2] {
                head.write(seq, &NEW).unwrap();
                assert_eq!(said(dir.path()), Some((seq, b'b')));
            }
            drop(head);
            let mut again = Head::open(dir.path()).unwrap();
            assert_eq!(said(dir.path()), Some((MOST_SEQ / 2, b'b')));
            assert_eq!(fs::read(dir.path().join(HEAD_FILE)).unwrap().len(), SIZE);
            again.write(u64::MAX, &NEW).unwrap();
            assert_eq!(said(dir.path()), None, "a number that leaves none");
            drop(again);
            Head::open(dir.path()).unwrap().write(1, &OLD).unwrap();
            assert_eq!(said(dir.path()), Some((1, b'a')), "nothing is left of those before");
        }
    }

    /// Wherever the writing of a slot ended, the head is the new one or the one before.
    #[test]
    fn a_slot_written_in_part_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(HEAD_FILE);
        let mut head = Head::open(dir.path()).unwrap();
        for (seq, hash) in [(5, &OLD), (6, &OLD)] {
            head.write(seq, hash).unwrap();
        }
        let before = fs::read(&path).unwrap();
        head.write(7, &NEW).unwrap();
        let after = fs::read(&path).unwrap();
        drop(head);
        for cut in 0..SIZE {
            // From the front, and from the back.
            let mut torn = [&after[..cut], &before[cut..]].concat();
            fs::write(&path, &torn).unwrap();
            assert!([Some((6, b'a')), Some((7, b'b'))].contains(&said(dir.path())), "{cut}");
            torn = [&before[..cut], &after[cut..]].concat();
            fs::write(&path, &torn).unwrap();
            assert!([Some((6, b'a')), Some((7, b'b'))].contains(&said(dir.path())), "{cut}");
        }
    }
}
