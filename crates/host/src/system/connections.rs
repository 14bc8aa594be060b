//! Internet sockets, from /proc/net, with their owners from the descriptors of processes.

use super::{Connection, unavailable};
use crate::HostError;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Sockets and descriptors looked at, at most.
const MAX_SOCKETS: usize = 100_000;
const MAX_DESCRIPTORS: usize = 500_000;

const TABLES: [(&str, &str, &str); 4] = [
    ("tcp", "AF_INET", "SOCK_STREAM"),
    ("tcp6", "AF_INET6", "SOCK_STREAM"),
    ("udp", "AF_INET", "SOCK_DGRAM"),
    ("udp6", "AF_INET6", "SOCK_DGRAM"),
];

/// Of the kernel's include/net/tcp_states.h, by number.
const STATES: [&str; 13] = [
    "NONE",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

pub(super) fn list(max: usize) -> Result<(Vec<Connection>, usize), HostError> {
    let mut found = Vec::new();
    for (table, family, kind) in TABLES {
        let text = match std::fs::read_to_string(format!("/proc/net/{table}")) {
            Ok(text) => text,
            // A kernel without IPv6 has no such table.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(unavailable("/proc/net", &e)),
        };
        let left = MAX_SOCKETS.saturating_sub(found.len());
        found.extend(text.lines().skip(1).filter_map(|l| line(l, family, kind)).take(left));
    }
    let count = found.len();
    found.sort_by(|(_, a), (_, b)| {
        let listens = |c: &Connection| c.status != "LISTEN";
        listens(a).cmp(&listens(b)).then_with(|| a.local_addr.cmp(&b.local_addr))
    });
    found.truncate(max);
    let owners = owners();
    let known = |(inode, mut connection): (u64, Connection)| {
        if let Some((pid, fd)) = owners.get(&inode) {
            (connection.pid, connection.fd) = (Some(*pid), Some(*fd));
        }
        connection
    };
    Ok((found.into_iter().map(known).collect(), count))
}

/// One line: its inode and the connection. `sl local remote st queues tr retr uid timeout inode ...`
fn line(line: &str, family: &str, kind: &str) -> Option<(u64, Connection)> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (local, remote) = (address(fields.get(1)?)?, address(fields.get(2)?)?);
    let state = usize::from_str_radix(fields.get(3)?, 16).ok()?;
    let status = if kind == "SOCK_DGRAM" { "NONE" } else { STATES.get(state).copied().unwrap_or("NONE") };
    let connection = Connection {
        fd: None,
        family: family.to_owned(),
        r#type: kind.to_owned(),
        local_addr: local.to_string(),
        remote_addr: if remote.port() == 0 { String::new() } else { remote.to_string() },
        status: status.to_owned(),
        pid: None,
    };
    Some((fields.get(9)?.parse().ok()?, connection))
}

/// `0100007F:1F90`: words of the address in the byte order of the machine, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Process and descriptor of each socket, by inode.
fn owners() -> HashMap<u64, (u32, u32)> {
    let mut owners = HashMap::new();
    let mut left = MAX_DESCRIPTORS;
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        for entry in std::fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            if left == 0 {
                return owners;
            }
            left -= 1;
            let Ok(target) = std::fs::read_link(entry.path()) else { continue };
            let inode =
                target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            let fd = entry.file_name().to_str().and_then(|n| n.parse().ok());
            if let (Some(inode), Some(fd)) = (inode, fd) {
                owners.entry(inode).or_insert((pid, fd));
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses() {
        assert_eq!(address("0100007F:1F90").unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(address("00000000000000000000000001000000:0016").unwrap().to_string(), "[::1]:22");
        for bad in ["", "xx:1", "0100007F", "0100:1", "0100007F:FFFFF"] {
            assert!(address(bad).is_none(), "{bad}");
        }
    }
}
