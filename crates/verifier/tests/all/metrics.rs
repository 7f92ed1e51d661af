//! The counters of the layer: what they count, and that no stranger can make them grow.

use dayfly_keys::Algorithm;
use dayfly_verifier::tower::{Challenge, Gate, Metrics, RefusalCode};
use dayfly_verifier::{RejectionCode, Verifier};
use http::Request;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::json;

use crate::fixture::{Bench, NOW};

fn gate(verifier: &Verifier) -> Gate {
    Gate::new(verifier.clone()).clock(|| NOW)
}

fn call(path: &str, token: &str) -> Parts {
    let request = Request::builder().uri(path);
    let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(()).unwrap().into_parts().0
}

#[test]
fn what_is_counted() {
    let bench = Bench::new(Algorithm::EdDsa);
    let (verifier, metrics) = (bench.following(), Metrics::new());
    let gate = gate(&verifier).count_in(&metrics);
    let good = call("/", &bench.good());
    assert_eq!(gate.check(&good).unwrap_err(), Challenge::Unavailable);
    verifier.revocations().heard(NOW.saturating_sub(100));
    gate.check(&good).unwrap();
    verifier.revocations().heard(NOW);
    // A clone counts in the same place.
    gate.clone().check(&good).unwrap();
    gate.check(&good).unwrap();
    gate.check(&call("/", "a.b")).unwrap_err();
    gate.check(&call("/?access_token=a", "a.b")).unwrap_err();

    let snapshot = metrics.snapshot();
    assert_eq!(snapshot, gate.metrics().snapshot());
    assert_eq!(
        (
            snapshot.accepted(),
            snapshot.accepted_fresh,
            snapshot.accepted_stale,
            snapshot.accepted_unknown
        ),
        (3, 2, 1, 0)
    );
    let nonzero: Vec<_> = snapshot
        .refused
        .iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(
        nonzero,
        [
            &(RefusalCode::Token(RejectionCode::Malformed), 1),
            &(RefusalCode::Token(RejectionCode::RevocationStale), 1),
            &(RefusalCode::InvalidRequest, 1)
        ]
    );
    assert_eq!(snapshot.refused(RefusalCode::InvalidRequest), 1);
    assert_eq!(snapshot.refused(RefusalCode::TokenMissing), 0);
}

/// THREATS 105.
#[test]
fn strangers_add_no_series() {
    let bench = Bench::new(Algorithm::EdDsa);
    let gate = gate(&bench.verifier);
    let series = |metrics: &Metrics| {
        let text = metrics.to_string();
        let names = text.lines().map(|line| {
            let series = line.rsplit_once(' ').unwrap().0;
            if line.starts_with('#') { line } else { series }.to_owned()
        });
        names.collect::<Vec<_>>()
    };
    let before = series(&gate.metrics());
    assert_eq!(before.len(), 4 + 3 + RefusalCode::all().count());
    for number in 0..2000 {
        let text = format!("\"\n\u{7f}{number}");
        let token = match number % 4 {
            0 => bench.with_header(&[("kid", json!(text))]),
            1 => bench.with_claim("iss", json!(text)),
            2 => bench.with_claim("aud", json!(text)),
            _ => bench.with_claim("sub", json!(format!("caller-{number}"))),
        };
        let _ = gate.check(&call(&format!("/{number}"), &token));
    }
    let snapshot = gate.metrics().snapshot();
    assert_eq!(snapshot.accepted(), 500, "the control");
    assert_eq!(
        snapshot.refused(RefusalCode::Token(RejectionCode::UnknownKid)),
        500
    );
    assert_eq!(series(&gate.metrics()), before);
}

#[test]
fn the_text_is_prometheus() {
    let bench = Bench::new(Algorithm::EdDsa);
    let gate = gate(&bench.verifier);
    gate.check(&call("/", &bench.good())).unwrap();
    gate.check(&call("/", "a.b")).unwrap_err();
    let text = gate.metrics().to_string();
    for line in [
        "# TYPE dayfly_access_accepted_total counter",
        "dayfly_access_accepted_total{freshness=\"fresh\"} 0",
        "dayfly_access_accepted_total{freshness=\"unknown\"} 1",
        "# TYPE dayfly_access_refused_total counter",
        "dayfly_access_refused_total{code=\"malformed\"} 1",
        "dayfly_access_refused_total{code=\"rate_limited\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.ends_with('\n'));
}
