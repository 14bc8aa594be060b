//! The program's own code in memory: what only the start ran need not stay mapped.
//!
//! Linux maps code sixteen pages at a time when one of them is touched, so a start that reads configuration, makes keys and
//! opens stores leaves most of the program resident. What is run again is mapped again, from the page cache.

use rustix::mm::{Advice, madvise};
use std::io;
use std::ops::Range;

/// Let go of this process's code, of libraries too. What is needed comes back by itself.
///
/// Errors: `/proc/self/maps` cannot be read, or the kernel refuses the advice.
pub fn let_go() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    maps.lines().filter_map(code).try_for_each(drop_pages)
}

// A line of maps that is code of a file: private, not writable.
fn code(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (place, rights) = (fields.next()?, fields.next()?);
    // Offset, device, inode; then the path of what is mapped from a file.
    let path = fields.nth(3)?;
    let (from, to) = place.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    (rights == "r-xp" && path.starts_with('/')).then_some(address(from)?..address(to)?)
}

#[allow(unsafe_code)]
fn drop_pages(range: Range<usize>) -> io::Result<()> {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range is a private mapping of a file that nobody can write through (`r-xp`), so its pages are those of the
    // file, whether they are resident or not; a range that is no longer mapped is refused with ENOMEM. Read-only data is
    // left alone: relocated pages look alike and exist in memory only.
    unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_named() {
        let line = |rights: &str, path: &str| {
            format!("55d0c0a00000-55d0c0a02000 {rights} 00001000 08:01 42   {path}")
        };
        assert_eq!(code(&line("r-xp", "/usr/bin/x")), Some(0x55d0_c0a0_0000..0x55d0_c0a0_2000));
        for (rights, path) in
            [("r--p", "/usr/bin/x"), ("rwxp", "/usr/bin/x"), ("r-xs", "/x"), ("r-xp", "[vdso]"), ("r-xp", "")]
        {
            assert_eq!(code(&line(rights, path)), None, "{rights} {path}");
        }
    }

    #[test]
    fn less_is_resident_and_everything_still_runs() {
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap().to_owned();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let before = resident();
        let_go().unwrap();
        assert!(resident() < before, "{} of {before} KiB", resident());
        assert_eq!("a b".split(' ').count(), 2);
    }
}
