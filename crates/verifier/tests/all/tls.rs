//! The TLS server: the peer's identity reaches the service, and the end is graceful.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::{Router, routing};
use dayfly_keys::Algorithm;
use dayfly_verifier::axum::Caller;
use dayfly_verifier::tls::{Limits, PeerAddress, Server, ServerIdentity, server_config};
use dayfly_verifier::{Confirmation, PeerCertificate};
use rustls::{ClientConfig, HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fixture::{AUDIENCE, Bench, NOW};
use crate::pki::Pki;

const ID: &str = "spiffe://prod.example/ns/payments";

pub struct Running {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

pub fn quick() -> Limits {
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_secs(2);
    limits.drain = Duration::from_millis(500);
    limits
}

pub async fn start(pki: &Pki, limits: Limits, service: Router) -> Running {
    let config = pki.server_config();
    start_with(
        move || Arc::clone(&config),
        |server| server.limits(limits),
        service,
    )
    .await
}

pub async fn start_with(
    config: impl Fn() -> Arc<ServerConfig> + Send + Sync + 'static,
    change: impl FnOnce(Server) -> Server,
    service: Router,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = change(Server::new(listener, config));
    let address = server.local_address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.serve(service, async {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        task,
    }
}

pub async fn connect(
    address: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), stream)
        .await
}

async fn ask(
    stream: &mut TlsStream<TcpStream>,
    path: &str,
    headers: &str,
) -> std::io::Result<String> {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

pub async fn get(
    address: SocketAddr,
    config: ClientConfig,
    path: &str,
    headers: &str,
) -> std::io::Result<String> {
    let mut stream = connect(address, config).await?;
    ask(&mut stream, path, headers).await
}

pub fn peers() -> Router {
    Router::new().route(
        "/",
        routing::get(|request: Request| async move {
            let address = request.extensions().get::<PeerAddress>().unwrap().0;
            assert!(address.ip().is_loopback());
            match request.extensions().get::<PeerCertificate>() {
                None => "nobody".to_owned(),
                Some(peer) => format!("id {:?}", peer.spiffe_id().map(ToString::to_string)),
            }
        }),
    )
}

#[tokio::test]
async fn the_peer_reaches_the_service() {
    let pki = Pki::new();
    let running = start(&pki, quick(), peers()).await;
    for (identity, seen) in [
        (Some(pki.client(ID)), format!("id Some({ID:?})")),
        // Verified by the CA and still no SVID: a certificate without a name.
        (
            Some(pki.client("https://prod.example/ns/payments")),
            "id None".to_owned(),
        ),
        (Some(pki.server("localhost")), "id None".to_owned()),
        (None, "nobody".to_owned()),
    ] {
        let answer = get(running.address, pki.client_config(identity), "/", "")
            .await
            .unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(&seen),
            "{answer}"
        );
    }
    // A stranger's certificate ends the handshake.
    let stranger = pki.client_config(Some(Pki::new().client(ID)));
    assert!(get(running.address, stranger, "/", "").await.is_err());
}

#[tokio::test]
async fn names_can_be_left_out() {
    let pki = Pki::new();
    let config = pki.server_config();
    let running = start_with(
        move || Arc::clone(&config),
        Server::without_spiffe_ids,
        peers(),
    )
    .await;
    let answer = get(
        running.address,
        pki.client_config(Some(pki.client(ID))),
        "/",
        "",
    )
    .await
    .unwrap();
    assert!(answer.ends_with("id None"), "{answer}");
}

#[tokio::test]
async fn bound_tokens_over_real_tls() {
    let pki = Pki::new();
    let bench = Bench::new(Algorithm::Es256);
    let handler = |Caller(caller): Caller| async move { caller.subject().to_owned() };
    let service = Router::new()
        .route("/", routing::get(handler))
        .layer(bench.verifier.layer().clock(|| NOW));
    let running = start(&pki, quick(), service).await;
    let ours = pki.client(ID);
    let peer = PeerCertificate::new(vec![ours.chain[0].to_vec()], None).unwrap();
    let by_certificate = bench
        .authority
        .token(AUDIENCE)
        .bound_to_certificate(&peer)
        .mint(NOW)
        .unwrap();
    let by_id = bench
        .authority
        .token(AUDIENCE)
        .bound_to(&Confirmation::SpiffeId(ID.parse().unwrap()))
        .mint(NOW)
        .unwrap();
    let renewed = || Some(pki.client(ID));
    let other = || Some(pki.client("spiffe://prod.example/ns/other"));
    for (token, identity, status) in [
        (&by_certificate, Some(ours), 200),
        (&by_certificate, renewed(), 401),
        (&by_certificate, other(), 401),
        (&by_certificate, None, 401),
        (&by_id, renewed(), 200),
        (&by_id, other(), 401),
        (&by_id, None, 401),
    ] {
        let header = format!("authorization: Bearer {token}\r\n");
        let answer = get(running.address, pki.client_config(identity), "/", &header)
            .await
            .unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn no_resumption_and_nothing_below_tls_1_3() {
    let pki = Pki::new();
    let running = start(&pki, quick(), peers()).await;
    let config = pki.client_config(Some(pki.client(ID)));
    for _ in 0..3 {
        let mut stream = connect(running.address, config.clone()).await.unwrap();
        ask(&mut stream, "/", "").await.unwrap();
        let connection = stream.get_ref().1;
        assert_eq!(connection.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(connection.tls13_tickets_received(), 0);
        assert_eq!(
            connection.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
    }
    let config = server_config(
        ServerIdentity::from_pem(b"", b"").err().map_or_else(
            || panic!(),
            |_| {
                let identity = pki.server("localhost");
                ServerIdentity::new(identity.chain, identity.key)
            },
        ),
        None,
    )
    .unwrap();
    assert!(
        !config.ticketer.enabled()
            && config.max_early_data_size == 0
            && config.send_tls13_tickets == 0
    );
    assert!(!config.session_storage.can_cache());
}

/// A ClientHello of TLS 1.2 as openssl would send it, by hand: the answer is an alert, never a ServerHello.
#[tokio::test]
async fn tls_1_2_is_refused() {
    let pki = Pki::new();
    let running = start(&pki, quick(), peers()).await;
    let extensions: Vec<u8> = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..], // supported_groups: secp256r1
        &[0, 13, 0, 4, 0, 2, 4, 3],      // signature_algorithms: ecdsa_secp256r1_sha256
        &[0, 23, 0, 0],                  // extended_master_secret
    ]
    .concat();
    let body: Vec<u8> = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &[0, 2, 0xc0, 0x2b],
        &[1, 0],
        &[0, extensions.len() as u8],
        &extensions,
    ]
    .concat();
    let message: Vec<u8> = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    let record: Vec<u8> = [&[22, 3, 1, 0, message.len() as u8][..], &message].concat();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    // Record type alert, description protocol_version (70).
    assert_eq!(
        (answer.first(), answer.last()),
        (Some(&21), Some(&70)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn http_2_by_alpn() {
    let pki = Pki::new();
    let running = start(&pki, quick(), peers()).await;
    let mut config = pki.client_config(Some(pki.client(ID)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = connect(running.address, config).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io)
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("https://localhost/")
            .body(axum::body::Body::empty())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), 1024)
            .await
            .unwrap();
        assert_eq!(body, format!("id Some({ID:?})"));
    }
    driver.abort();
}

#[tokio::test]
async fn certificates_change_between_connections() {
    let pki = Pki::new();
    let current = Arc::new(Mutex::new(pki.server_config()));
    let running = {
        let current = Arc::clone(&current);
        start_with(
            move || Arc::clone(&current.lock().unwrap()),
            |server| server,
            peers(),
        )
        .await
    };
    assert!(
        get(running.address, pki.client_config(None), "/", "")
            .await
            .is_ok()
    );
    let next = Pki::new();
    *current.lock().unwrap() = next.server_config();
    assert!(
        get(running.address, pki.client_config(None), "/", "")
            .await
            .is_err(),
        "the old CA is gone"
    );
    assert!(
        get(running.address, next.client_config(None), "/", "")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_end_lets_requests_finish_and_nothing_linger() {
    let pki = Pki::new();
    let slow = |request: Request| async move {
        sleep(Duration::from_millis(if request.uri().path() == "/slow" {
            200
        } else {
            60_000
        }))
        .await;
        "done"
    };
    let running = start(&pki, quick(), Router::new().fallback(slow)).await;
    let request =
        |path: &'static str| tokio::spawn(get(running.address, pki.client_config(None), path, ""));
    let (finishes, hangs) = (request("/slow"), request("/hangs"));
    let idle = connect(running.address, pki.client_config(None))
        .await
        .unwrap();
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    running.stop.send(()).unwrap();
    assert!(finishes.await.unwrap().unwrap().ends_with("done"));
    timeout(Duration::from_secs(5), running.task)
        .await
        .expect("serve comes back")
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert!(
        !hangs
            .await
            .unwrap()
            .is_ok_and(|answer| answer.ends_with("done"))
    );
    assert!(
        TcpStream::connect(running.address).await.is_err(),
        "nobody listens any more"
    );
    drop(idle);
}

#[test]
fn identities_from_pem() {
    let pki = Pki::new();
    let pem = pki.ca_pem();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert!(ServerIdentity::from_pem(pem.as_bytes(), key.as_bytes()).is_ok());
    for (chain, key) in [
        ("", key.as_str()),
        (pem.as_str(), ""),
        ("garbage", key.as_str()),
        (key.as_str(), key.as_str()),
        (pem.as_str(), pem.as_str()),
    ] {
        assert!(ServerIdentity::from_pem(chain.as_bytes(), key.as_bytes()).is_err());
    }
    // A key that lost its line ends, or stands where the chain should be: no error quotes it.
    let broken = key.replace('\n', "");
    for (chain, key) in [(pem.as_str(), broken.as_str()), (&broken, &key)] {
        let error = ServerIdentity::from_pem(chain.as_bytes(), key.as_bytes()).err();
        let error = error.unwrap();
        let shown = format!("{error} {error:?}");
        let quotes = |text: &str| {
            let bytes = format!("{:?}", text.as_bytes());
            shown.contains(text) || shown.contains(bytes.trim_matches(['[', ']']))
        };
        assert!(
            !quotes("PRIVATE KEY") && !quotes(&broken[40..60]),
            "{shown}"
        );
    }
    // A key of another certificate.
    let identity = ServerIdentity::from_pem(pem.as_bytes(), key.as_bytes()).unwrap();
    assert!(server_config(identity, None).is_err());
}
