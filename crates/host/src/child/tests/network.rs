//! What a confined child reaches: the proxy, and through it what is allowed; nothing else.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;

fn connect(to: &str) -> String {
    format!(
        "import socket, os, urllib.parse\np = urllib.parse.urlparse(os.environ.get('HTTP_PROXY', 'http://x:1'))\ntry:\n    s = socket.socket({to}\n    print('OK')\nexcept Exception as e:\n    print(type(e).__name__)\n"
    )
}

#[tokio::test]
async fn only_the_proxy_can_be_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("s");
    let _unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let path = path.display();
    for (how, machine) in machines() {
        for (profile, allow, proxy) in [
            (Profile::Standard, &[][..], true),
            (Profile::Strict, &[], false),
            (Profile::Strict, &["example.org"], true),
        ] {
            let state = tempfile::tempdir().unwrap();
            let mut plan = plan(state.path(), profile, PYTHON, &[]);
            plan.egress.allow = allow.iter().map(|s: &&str| (*s).to_owned()).collect();
            for (what, to, allowed) in [
                ("proxy", "); s.connect((p.hostname, p.port))".into(), proxy),
                ("proxy, without waiting", "); s.setblocking(False); assert s.connect_ex((p.hostname, p.port)) in (0, 115)".into(), proxy),
                ("proxy by IPv6", "socket.AF_INET6); s.connect(('::ffff:127.0.0.1', p.port))".into(), proxy),
                ("loopback", format!("); s.connect(('127.0.0.1', {port}))"), false),
                ("metadata", "); s.settimeout(2); s.connect(('169.254.169.254', 80))".into(), false),
                ("the proxy's port elsewhere", "); s.settimeout(2); s.connect(('1.1.1.1', p.port))".into(), false),
                ("fast open", format!("); s.sendto(b'x', 0x20000000, ('127.0.0.1', {port}))"), false),
                ("udp", "socket.AF_INET, socket.SOCK_DGRAM)".into(), false),
                ("raw", "socket.AF_INET, socket.SOCK_RAW, 1)".into(), false),
                ("a process's socket", format!("socket.AF_UNIX); s.connect('{path}')"), false),
                ("its own socket", "socket.AF_UNIX); l = socket.socket(socket.AF_UNIX); l.bind(os.environ['TMPDIR'] + '/s'); l.listen(1); s.connect(os.environ['TMPDIR'] + '/s')".into(), how != "contained"),
                ("its own, from here", "socket.AF_UNIX); l = socket.socket(socket.AF_UNIX); l.bind('s'); l.listen(1); s.connect('s'); os.remove('s')".into(), how != "contained"),
                ("a socket pair", "); socket.socketpair()".into(), true),
                ("a pair of datagrams", "); socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)".into(), false),
                ("to itself", "); s.bind(('127.0.0.1', 0)); s.listen(); socket.create_connection(s.getsockname())".into(), how == "namespaces"),
                ("to listen anywhere", "); s.listen(); socket.create_connection(('127.0.0.1', s.getsockname()[1]))".into(), how == "namespaces"),
            ] {
                let said = python(plan.clone(), &machine, &connect(&to)).await;
                assert_eq!(said == "OK", allowed, "{how} {profile:?} {allow:?} {what}: {said}");
            }
        }
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nothing came");
}

#[tokio::test]
async fn a_named_socket_can_be_connected_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let _unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let to = format!("socket.AF_UNIX); s.connect('{}')", path.display());
    for (how, machine) in machines() {
        let state = tempfile::tempdir().unwrap();
        let plan = Plan { write: vec![path.clone()], ..plan(state.path(), Profile::Standard, PYTHON, &[]) };
        assert_eq!(python(plan, &machine, &connect(&to)).await, "OK", "{how}");
    }
}

#[tokio::test]
async fn what_is_allowed_is_reached_through_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0u8; 2000];
            let read = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            assert!(!head.to_ascii_lowercase().contains("proxy-"), "{head}");
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    let get = |url: &str| {
        format!(
            "import urllib.request, urllib.error\nh = urllib.request.ProxyHandler()\nh.proxies = dict(h.proxies)\nimport os\nos.environ.pop('NO_PROXY'); os.environ.pop('no_proxy')\ntry:\n    print(urllib.request.urlopen('{url}', timeout=5).read().decode())\nexcept urllib.error.HTTPError as e:\n    print(e.code, e.read().decode())\nexcept Exception as e:\n    print(e)\n"
        )
    };
    for (how, machine) in machines() {
        for profile in [Profile::Standard, Profile::Strict] {
            let state = tempfile::tempdir().unwrap();
            let mut plan = plan(state.path(), profile, PYTHON, &[]);
            plan.egress.allow = vec![format!("127.0.0.1:{port}")];
            let refused = python(plan.clone(), &machine, &get(&format!("http://127.0.0.1:{port}/x"))).await;
            assert!(refused.starts_with("403"), "a list does not open what is private: {how} {refused}");
            plan.egress.rules.allow_private = vec![format!("127.0.0.1:{port}")];
            let said = python(plan.clone(), &machine, &get(&format!("http://127.0.0.1:{port}/x"))).await;
            assert_eq!(said, "hello", "{how} {profile:?}");
            for (url, says) in [
                ("http://169.254.169.254/latest/meta-data/", "403"),
                ("http://8.8.8.8/", "403"),
                ("https://8.8.8.8/", "403"),
            ] {
                let said = python(plan.clone(), &machine, &get(url)).await;
                assert!(said.contains(says), "{how} {profile:?} {url}: {said}");
            }
        }
    }
}
