//! The proxy's decisions, over real sockets.

use super::*;
use crate::egress::EgressRules;

struct Running {
    port: u16,
    secret: Secret,
    origin: u16,
    _proxy: Proxy,
}

/// A proxy, and an origin that answers with the head that it was sent.
async fn running() -> Running {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin_port = origin.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = origin.accept().await {
            let mut head = vec![0u8; 4096];
            let read = stream.read(&mut head).await.unwrap();
            stream.write_all(&head[..read]).await.unwrap();
        }
    });
    let rules =
        EgressRules { allow_private: vec![format!("127.0.0.1:{origin_port}")], ..EgressRules::default() };
    let dial = Dial::new(&rules, &[format!("127.0.0.1:{origin_port}"), "*.example.org".into()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let secret = Secret::random().unwrap();
    let proxy = Proxy::serve(listener, Arc::new(dial), secret.clone(), "test".into());
    Running { port, secret, origin: origin_port, _proxy: proxy }
}

impl Running {
    async fn says(&self, request: &str) -> String {
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{}", self.secret.text()));
        let request = request.replace("AUTH", &format!("Proxy-Authorization: Basic {basic}\r\n"));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }
}

#[tokio::test]
async fn decisions() {
    let running = running().await;
    let origin = running.origin;
    for (request, says) in [
        (format!("CONNECT 127.0.0.1:{origin} HTTP/1.1\r\n\r\n"), "407"),
        (format!("CONNECT 127.0.0.1:{origin} HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"), "407"),
        (format!("CONNECT 127.0.0.1:{origin} HTTP/1.1\r\nAUTH\r\n"), "200"),
        (format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\nAUTH\r\n", running.port), "403"),
        ("CONNECT 169.254.169.254:80 HTTP/1.1\r\nAUTH\r\n".into(), "403"),
        ("CONNECT localhost:22 HTTP/1.1\r\nAUTH\r\n".into(), "403"),
        ("CONNECT other.org:443 HTTP/1.1\r\nAUTH\r\n".into(), "403"),
        ("CONNECT a.example.org:22 HTTP/1.1\r\nAUTH\r\n".into(), "403"),
        ("CONNECT other.org HTTP/1.1\r\nAUTH\r\n".into(), "400"),
        ("GET /path HTTP/1.1\r\nAUTH\r\n".into(), "400"),
        ("GET https://a.example.org/ HTTP/1.1\r\nAUTH\r\n".into(), "400"),
        ("GET http://u:p@a.example.org/ HTTP/1.1\r\nAUTH\r\n".into(), "400"),
        (format!("GET http://127.0.0.1:{origin}/ HTTP/1.1\r\nX: a\nY: b\r\nAUTH\r\n"), "400"),
        (format!("GET http://127.0.0.1:{origin}/ HTTP/1.1\r\n folded\r\nAUTH\r\n"), "400"),
        ("nonsense\r\n\r\n".into(), "400"),
        (format!("GET http://x/ HTTP/1.1\r\nX: {}", "a".repeat(LONGEST_HEAD)), "400"),
    ] {
        let answer = running.says(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {says} ")), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_plain_request_is_rewritten() {
    let running = running().await;
    let origin = running.origin;
    let request = format!(
        "POST http://127.0.0.1:{origin}/a?b=c HTTP/1.1\r\nHost: elsewhere.org\r\nAUTHProxy-Connection: keep-alive\r\nX-Y: z\r\nContent-Length: 4\r\n\r\nbody"
    );
    let answer = running.says(&request).await;
    let expected = format!(
        "POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\nConnection: close\r\nX-Y: z\r\nContent-Length: 4\r\n\r\n"
    );
    assert!(answer.starts_with(&expected), "{answer}");
}

#[tokio::test]
async fn a_tunnel_carries_both_ways_and_ends_with_the_proxy() {
    let running = running().await;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{}", running.secret.text()));
    let mut stream = TcpStream::connect(("127.0.0.1", running.port)).await.unwrap();
    let head = format!(
        "CONNECT 127.0.0.1:{} HTTP/1.1\r\nProxy-Authorization: basic {basic}\r\n\r\n",
        running.origin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0u8; 39];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0u8; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    drop(running);
    assert!(matches!(stream.read(&mut echo).await, Ok(0) | Err(_)));
}
