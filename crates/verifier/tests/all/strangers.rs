//! What slow, silent and greedy clients cost the TLS server, and that the others do not notice.

use std::time::Duration;

use axum::{Router, routing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::pki::Pki;
use crate::tls::{connect, get, peers, quick, start};

#[tokio::test]
async fn stalled_handshakes_hold_nobody_up() {
    let pki = Pki::new();
    let mut limits = quick();
    limits.max_half_open = 4;
    limits.handshake_timeout = Duration::from_secs(60);
    let running = start(&pki, limits, peers()).await;
    let mut stalled = Vec::new();
    for number in 0..12 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        // Some send nothing, some a part of a ClientHello.
        if number % 2 == 0 {
            stream.write_all(&[22, 3, 1, 2]).await.unwrap();
        }
        stalled.push(stream);
    }
    let answer = timeout(
        Duration::from_secs(5),
        get(running.address, pki.client_config(None), "/", ""),
    )
    .await
    .unwrap()
    .unwrap();
    assert!(answer.ends_with("nobody"), "{answer}");
    // The oldest were given up to make room, the newest still wait.
    let mut first = [0; 1];
    let ended = timeout(Duration::from_secs(5), stalled[1].read(&mut first)).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    let newest = timeout(Duration::from_millis(100), stalled[11].read(&mut first)).await;
    assert!(newest.is_err(), "{newest:?}");
}

/// Who takes every place and does nothing with it keeps nobody out, and takes nothing from those who work.
#[tokio::test]
async fn idle_connections_keep_nobody_out() {
    let pki = Pki::new();
    let mut limits = quick();
    limits.max_connections = 4;
    let slow = || async {
        sleep(Duration::from_millis(700)).await;
        "done"
    };
    let service = peers().route("/slow", routing::get(slow));
    let running = start(&pki, limits, service).await;
    let request = |path| tokio::spawn(get(running.address, pki.client_config(None), path, ""));
    let busy = request("/slow");
    sleep(Duration::from_millis(100)).await;
    let mut idle = Vec::new();
    for head in ["", "GET / HTTP/1.1\r\nx: ", ""] {
        let mut stream = connect(running.address, pki.client_config(None))
            .await
            .unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        idle.push(stream);
    }
    for _ in 0..3 {
        let answer = timeout(Duration::from_secs(5), request("/")).await;
        let answer = answer.unwrap().unwrap().unwrap();
        assert!(answer.ends_with("nobody"), "{answer}");
    }
    // The one that was idle for longest gave way.
    let ended = timeout(Duration::from_secs(5), idle[0].read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    assert!(busy.await.unwrap().unwrap().ends_with("done"));
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let pki = Pki::new();
    let mut limits = quick();
    limits.max_connections = 2;
    async fn panics() {
        panic!("on purpose");
    }
    let service = peers().route("/panics", routing::get(panics));
    let running = start(&pki, limits, service).await;
    for _ in 0..4 {
        let broken = get(running.address, pki.client_config(None), "/panics", "").await;
        assert!(!broken.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
        let answer = get(running.address, pki.client_config(None), "/", "").await;
        assert!(answer.unwrap().ends_with("nobody"));
    }
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let pki = Pki::new();
    let mut limits = quick();
    limits.handshake_timeout = Duration::from_millis(200);
    let running = start(&pki, limits, peers()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let ended = timeout(Duration::from_secs(5), stream.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
}

#[tokio::test]
async fn a_dripping_head_and_an_idle_connection_end() {
    let pki = Pki::new();
    let mut limits = quick();
    limits.header_read_timeout = Duration::from_millis(300);
    let running = start(&pki, limits, peers()).await;
    for head in ["", "GET / HTTP/1.1\r\nx: "] {
        let mut stream = connect(running.address, pki.client_config(None))
            .await
            .unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(
            ended.is_ok() && !answer.starts_with(b"HTTP/1.1 200"),
            "{head:?}"
        );
    }
}

#[tokio::test]
async fn an_idle_http_2_connection_ends_and_a_busy_one_does_not() {
    let pki = Pki::new();
    let mut limits = quick();
    limits.idle_timeout = Duration::from_millis(300);
    let slow = || async {
        sleep(Duration::from_millis(700)).await;
        "done"
    };
    let running = start(&pki, limits, Router::new().route("/", routing::get(slow))).await;
    let mut config = pki.client_config(None);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // Not even the preface of HTTP/2 comes.
    let mut stream = connect(running.address, config.clone()).await.unwrap();
    let mut answer = Vec::new();
    let ended = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok());
    // A request under way is no idleness; after it the connection ends, though every ping is answered.
    let stream = connect(running.address, config).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/")
        .body(axum::body::Body::empty())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), 1024)
        .await
        .unwrap();
    assert_eq!(body, "done");
    assert!(
        timeout(Duration::from_secs(5), driver).await.is_ok(),
        "the connection ended"
    );
}

#[tokio::test]
async fn a_long_head_is_refused() {
    let pki = Pki::new();
    let running = start(&pki, quick(), peers()).await;
    let fits = format!("x-filler: {}\r\n", "a".repeat(20 * 1024));
    let answer = get(running.address, pki.client_config(None), "/", &fits)
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "a token of 16 KiB fits");
    let long = format!("x-filler: {}\r\n", "a".repeat(64 * 1024));
    let answer = get(running.address, pki.client_config(None), "/", &long).await;
    assert!(
        answer
            .as_ref()
            .map_or(true, |answer| answer.starts_with("HTTP/1.1 431")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_connection_ends_with_its_age() {
    let pki = Pki::new();
    let mut limits = quick();
    limits.max_age = Duration::from_millis(300);
    let running = start(&pki, limits, peers()).await;
    let mut stream = connect(running.address, pki.client_config(None))
        .await
        .unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200"),
        "the request was answered, then the connection closed"
    );
}
