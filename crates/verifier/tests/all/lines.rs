//! What the log says of a refused certificate.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use dayfly_verifier::tls::ExpectedServers;
use rustls::client::danger::ServerCertVerifier as _;
use rustls_pki_types::{ServerName, UnixTime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::certificates::verifier_of;
use crate::mint::{Authority, now, uri};
use crate::pki::Identity;

/// Keeps each event as a line of text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dayfly_verifier")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = event.metadata().level().to_string();
        event.record(&mut Line(&mut text));
        self.0.lock().unwrap().push(text);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn lines_of(work: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), work);
    let lines = lines.0.lock().unwrap();
    lines.clone()
}

#[test]
fn one_short_line_for_each_refusal() {
    let authority = Authority::new();
    let certificates = verifier_of(&authority);
    let clients = certificates.required_clients();
    let owner = ExpectedServers::owner("billing".parse().unwrap());
    let servers = certificates.servers(owner);
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now().as_secs()));
    let name = ServerName::try_from("localhost").unwrap();
    let as_client = |identity: &Identity| {
        lines_of(|| {
            let shown = clients.verify_client_cert(&identity.chain[0], &identity.chain[1..], at);
            drop(shown);
        })
    };
    assert_eq!(as_client(&authority.good()), Vec::<String>::new());
    let stranger = Authority::new().good();
    let lines = as_client(&stranger);
    assert_eq!(lines.len(), 1);
    for part in ["DEBUG", "peer=\"client\"", "code=untrusted_chain"] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
    // Names of the greatest length, and with line breaks, from whom nobody knows.
    let path = "a".repeat(2000);
    for id in [
        format!("spiffe://sts.example.org/{path}"),
        format!("spiffe://sts.example.org/\n\r\u{1b}[31m{path}"),
        format!("spiffe://{}/a", "d".repeat(255)),
    ] {
        let names = authority.mint(now(), |leaf| leaf.params.subject_alt_names = vec![uri(&id)]);
        let lines = as_client(&names);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].len() < 700, "{}", lines[0].len());
        assert!(!lines[0].contains(char::is_control), "{lines:?}");
    }
    let good = authority.good();
    let lines = lines_of(|| {
        let shown = servers.verify_server_cert(&good.chain[0], &good.chain[1..], &name, &[], at);
        drop(shown);
    });
    assert_eq!(lines.len(), 1);
    for part in [
        "peer=\"server\"",
        "code=unexpected_server",
        "payments/deploy",
    ] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
}
