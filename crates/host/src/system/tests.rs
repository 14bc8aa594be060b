//! Tests on the machine they run on.

use super::*;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

fn sleep() -> std::process::Child {
    Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn facts_are_plausible() {
    let system = System::new();
    let info = system.info().await.unwrap();
    assert_eq!(info.platform.system, "Linux");
    assert!(info.cpu.logical_cores >= 1 && info.cpu.per_cpu.len() == info.cpu.logical_cores);
    assert!(info.cpu.per_cpu.iter().all(|p| (0.0..=100.0).contains(p)));
    let memory = &info.memory;
    assert!(memory.available <= memory.total && memory.used + memory.available == memory.total);
    for disk in &info.disk {
        assert!(disk.used + disk.free <= disk.total && (0.0..=100.0).contains(&disk.percent), "{disk:?}");
    }
    let own = system.own_memory();
    assert!(own > 1 << 20 && own < memory.total, "{own}");
    let first = system.load().await;
    let started = Instant::now();
    assert_eq!(system.load().await, first);
    assert!(started.elapsed() < Duration::from_millis(100), "the second answer is the cached one");
}

#[tokio::test]
async fn processes_are_found_by_name() {
    let mut child = sleep();
    let (found, count) = System::new().processes("SLEE", 1000).await.unwrap();
    assert_eq!(found.len(), count);
    assert!(found.iter().any(|p| p.pid == child.id() && p.name == "sleep"), "{found:?}");
    let (one, all) = System::new().processes("", 1).await.unwrap();
    assert!(one.len() == 1 && all > 1);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn kill_ends_others_and_refuses_its_own_line() {
    use std::os::unix::process::ExitStatusExt;
    let system = System::new();
    for (force, signal) in [(false, 15), (true, 9)] {
        let mut child = sleep();
        // The name is that of the program once the child has become it.
        while std::fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap() != "sleep\n" {
            std::thread::yield_now();
        }
        assert_eq!(system.kill(child.id(), force).await.unwrap(), "sleep");
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        assert_eq!(system.kill(child.id(), force).await.unwrap_err().kind, Kind::NotFound);
    }
    let parent = std::os::unix::process::parent_id();
    for pid in [0, 1, std::process::id(), parent] {
        assert_eq!(system.kill(pid, true).await.unwrap_err().kind, Kind::Forbidden, "{pid}");
    }
    assert_eq!(system.kill(u32::MAX, true).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn own_sockets_are_found_with_their_owner() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let udp = std::net::UdpSocket::bind("[::1]:0").unwrap();
    let (all, count) = System::new().connections(100_000).await.unwrap();
    assert_eq!(all.len(), count);
    let find = |address: std::net::SocketAddr, fd: i32| {
        let found =
            all.iter().find(|c| c.local_addr == address.to_string() && c.fd == u32::try_from(fd).ok());
        found.cloned().unwrap_or_else(|| panic!("no {address} with fd {fd}"))
    };
    let listening = find(listener.local_addr().unwrap(), listener.as_raw_fd());
    assert_eq!((listening.status.as_str(), listening.pid), ("LISTEN", Some(std::process::id())));
    assert_eq!((listening.family.as_str(), listening.r#type.as_str()), ("AF_INET", "SOCK_STREAM"));
    let connected = find(client.local_addr().unwrap(), client.as_raw_fd());
    assert_eq!(connected.status, "ESTABLISHED");
    assert_eq!(connected.remote_addr, listener.local_addr().unwrap().to_string());
    let datagram = find(udp.local_addr().unwrap(), udp.as_raw_fd());
    assert_eq!((datagram.family.as_str(), datagram.r#type.as_str()), ("AF_INET6", "SOCK_DGRAM"));
    let (one, all) = System::new().connections(1).await.unwrap();
    assert_eq!((one.len(), all >= 2), (1, true));
    assert_eq!(one[0].status, "LISTEN");
}
