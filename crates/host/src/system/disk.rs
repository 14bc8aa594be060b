//! Mounted file systems on devices.

use super::{Disk, percent, unavailable};
use crate::HostError;

pub(super) fn disks() -> Result<Vec<Disk>, HostError> {
    let list = sysinfo::Disks::new_with_refreshed_list().map_err(|e| unavailable("the list of disks", &e))?;
    let mut disks = Vec::new();
    for disk in &list {
        let mountpoint = disk.mount_point().display().to_string();
        // `sysinfo` counts what is free for unprivileged users only, as if the reserve of root were in use.
        let Ok(stat) = rustix::fs::statvfs(disk.mount_point()) else { continue };
        let (total, free) = (stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize);
        if total == 0 {
            continue;
        }
        let used = total.saturating_sub(stat.f_bfree * stat.f_frsize);
        disks.push(Disk {
            device: disk.name().to_string_lossy().into_owned(),
            mountpoint,
            total,
            used,
            free,
            percent: percent(used, used + free),
        });
    }
    disks.sort_by(|a, b| a.mountpoint.cmp(&b.mountpoint));
    disks.dedup_by(|a, b| a.mountpoint == b.mountpoint);
    Ok(disks)
}
