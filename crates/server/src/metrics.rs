//! Metrics. Every label comes from a fixed set or from the configuration, never from a request.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::authz::Operation;

/// Labels whose values are words of this program.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// From half a millisecond, a local answer, to ten seconds, the longest request.
const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0,
];

/// The metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
    decisions: Family<Labels<2>, Counter>,
    /// Whether the server takes new work: 1 or 0.
    pub(crate) ready: Gauge,
    /// Seconds since the control stream was last heard.
    pub(crate) control_age: Gauge<f64, AtomicU64>,
    /// Control entries that were refused: not sealed by this deployment.
    pub(crate) control_refused: Counter,
    /// How often the control state was loaded anew.
    pub(crate) control_reloads: Counter,
    /// Calls of the control follower that failed.
    pub(crate) control_failures: Counter,
    /// Keys that signed at once because no peer was there.
    pub(crate) cold_starts: Gauge,
    /// Public keys that are served.
    pub(crate) keys: Family<Labels<1>, Gauge>,
    /// Connections that follow the feed.
    pub(crate) feed_subscribers: Gauge,
    /// Subscribers that were cut off because they did not keep up.
    pub(crate) feed_lagged: Counter,
    /// Signed feed statements.
    pub(crate) feed_statements: Counter,
    /// Audit lines that wait for the sink.
    pub(crate) audit_backlog: Gauge,
    /// Writes of the audit sink that failed and are tried again.
    pub(crate) audit_failures: Counter,
    /// Requests that were refused because the audit sink is full.
    pub(crate) audit_refused: Counter,
    /// Audit lines that could not be handed to the sink; the ledger has them.
    pub(crate) audit_lost: Counter,
    issuers: Family<Vec<(String, String)>, Gauge>,
    bundles: Family<Vec<(String, String)>, Gauge>,
    reloads: Family<Labels<2>, Counter>,
    /// Whether the last reload kept the former configuration of a part: 1 or 0.
    pub(crate) stale_config: Family<Labels<1>, Gauge>,
    /// Issuances whose outcome is unknown and that are voided in the background.
    pub(crate) unsettled: Counter,
    /// Panics that were caught.
    pub(crate) panics: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("dayfly");
        let r = &mut registry;
        let durations: Family<Labels<1>, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        r.register_with_unit(
            "request_duration",
            "How long requests took",
            Unit::Seconds,
            durations.clone(),
        );
        let control_age = Gauge::default();
        r.register_with_unit(
            "control_age",
            "Time since the control stream was last heard",
            Unit::Seconds,
            control_age.clone(),
        );
        Self {
            requests: add(r, "requests", "Requests by operation and status"),
            durations,
            decisions: add(r, "decisions", "Decisions by grant and outcome"),
            ready: add(r, "ready", "Whether the server takes new work"),
            control_age,
            control_refused: add(r, "control_refused", "Control entries that were refused"),
            control_reloads: add(r, "control_reloads", "Loads of the whole control state"),
            control_failures: add(r, "control_failures", "Failed reads of the control stream"),
            cold_starts: add(r, "cold_starts", "Keys that signed without a lead"),
            keys: add(r, "keys", "Public keys that are served, by use"),
            feed_subscribers: add(r, "feed_subscribers", "Connections that follow the feed"),
            feed_lagged: add(r, "feed_lagged", "Subscribers cut off because they lagged"),
            feed_statements: add(r, "feed_statements", "Signed feed statements"),
            audit_backlog: add(r, "audit_backlog", "Audit lines that wait for the sink"),
            audit_failures: add(r, "audit_failures", "Failed writes of the audit sink"),
            audit_refused: add(r, "audit_refused", "Requests refused for a full audit sink"),
            audit_lost: add(r, "audit_lost", "Audit lines that only the ledger has"),
            issuers: add(
                r,
                "oidc_issuer_ready",
                "Whether an issuer's tokens can be checked",
            ),
            bundles: add(
                r,
                "bundle_authorities",
                "Authorities of a trust domain's bundle",
            ),
            reloads: add(r, "reloads", "Reloads by part and result"),
            stale_config: add(
                r,
                "stale_config",
                "Whether a part keeps its former configuration",
            ),
            unsettled: add(r, "unsettled", "Issuances that the ledger did not confirm"),
            panics: add(r, "panics", "Panics that were caught"),
            registry,
        }
    }

    /// Counts an answered request.
    pub(crate) fn request(&self, operation: Option<Operation>, status: u16, seconds: f64) {
        let operation = operation.map_or("none", operation_name);
        let status = match status {
            200..=299 => "2xx",
            400 => "400",
            401 => "401",
            403 => "403",
            404 => "404",
            405 => "405",
            429 => "429",
            402 | 406..=428 | 430..=499 => "4xx",
            503 => "503",
            _ => "5xx",
        };
        self.requests
            .get_or_create(&[("operation", operation), ("status", status)])
            .inc();
        self.durations
            .get_or_create(&[("operation", operation)])
            .observe(seconds);
    }

    /// Counts a decision; the outcome is `permit` or the reason's stable name.
    pub(crate) fn decision(&self, grant: &'static str, outcome: &'static str) {
        self.decisions
            .get_or_create(&[("grant", grant), ("outcome", outcome)])
            .inc();
    }

    /// Counts a reload of a part of the configuration.
    pub(crate) fn reload(&self, part: &'static str, good: bool) {
        let result = if good { "ok" } else { "refused" };
        self.reloads
            .get_or_create(&[("part", part), ("result", result)])
            .inc();
        self.stale_config
            .get_or_create(&[("part", part)])
            .set(i64::from(!good));
    }

    /// Sets what is known of the configured sources, by their configured names.
    pub(crate) fn sources(
        &self,
        issuers: impl Iterator<Item = (String, bool)>,
        bundles: impl Iterator<Item = (String, usize)>,
    ) {
        self.issuers.clear();
        for (name, ready) in issuers {
            let label = vec![("issuer".to_owned(), name)];
            self.issuers.get_or_create(&label).set(i64::from(ready));
        }
        self.bundles.clear();
        for (name, authorities) in bundles {
            let label = vec![("trust_domain".to_owned(), name)];
            let authorities = i64::try_from(authorities).unwrap_or(i64::MAX);
            self.bundles.get_or_create(&label).set(authorities);
        }
    }

    /// The text that Prometheus scrapes.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn add<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: Default + Clone + prometheus_client::registry::Metric,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The name of an operation in metrics and logs.
pub(crate) const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Token => "token",
        Operation::Introspect => "introspect",
        Operation::Revoke => "revoke",
        Operation::Certificate => "certificate",
        Operation::DeclareTask => "declare_task",
        Operation::CompleteTask => "complete_task",
        Operation::RevokeTask => "revoke_task",
        Operation::ChangeRevocations => "change_revocations",
        Operation::ListHolds => "list_holds",
        Operation::Decision => "decision",
        Operation::Issuance => "issuance",
        Operation::Feed => "feed",
        Operation::FeedStream => "feed_stream",
        Operation::Trust => "trust",
        Operation::OauthMetadata => "oauth_metadata",
        Operation::OpenidMetadata => "openid_metadata",
        Operation::Jwks => "jwks",
        Operation::SpiffeBundle => "spiffe_bundle",
        Operation::Livez => "livez",
        Operation::Readyz => "readyz",
        Operation::Metrics => "metrics",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_words_of_our_own() {
        let metrics = Metrics::new();
        metrics.request(Some(Operation::Token), 200, 0.002);
        metrics.request(None, 404, 0.001);
        metrics.decision("jwt_bearer", "permit");
        metrics.reload("registry", false);
        let text = metrics.text();
        for line in [
            "dayfly_requests_total{operation=\"token\",status=\"2xx\"} 1",
            "dayfly_requests_total{operation=\"none\",status=\"404\"} 1",
            "dayfly_decisions_total{grant=\"jwt_bearer\",outcome=\"permit\"} 1",
            "dayfly_stale_config{part=\"registry\"} 1",
            "dayfly_ready 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
