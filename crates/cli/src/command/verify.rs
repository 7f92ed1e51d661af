//! `dayfly verify`: the check that an API makes, offline, from files.

use std::path::{Path, PathBuf};

use clap::Args;
use dayfly_verifier::feed::{self, Bundle};
use dayfly_verifier::{
    Freshness, KeySet, PeerCertificate, Presented, Rejection, RevocationSource, UnixTime,
    UnverifiedToken, Verified, Verifier,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::Common;
use crate::exit::{Exit, Failure};
use crate::{input, output};

/// Verify the token on standard input, offline, from files.
///
/// Prints `accepted` with the claims and exits 0, or `rejected` with a stable reason code and
/// exits 1. Without `--feed` nothing is known of revocations, and the answer says so.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The audience that the token must be for.
    #[arg(long)]
    audience: String,
    /// The issuer's keys: its JWKS document.
    #[arg(long, value_name = "FILE", required_unless_present = "bundle")]
    jwks: Option<PathBuf>,
    /// A bundle of trust, keys and revocations, in place of the three files.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["jwks", "feed", "trust"])]
    bundle: Option<PathBuf>,
    /// The issuer's revocations: a snapshot of its feed (`GET /v1/feed`).
    #[arg(long, value_name = "FILE", requires = "trust")]
    feed: Option<PathBuf>,
    /// The keys that sign the feed (`GET /v1/trust`).
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The certificate that the caller proved, PEM, for a token that is bound to it.
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Leeway for clocks in seconds, at most 60.
    #[arg(long, default_value_t = dayfly_verifier::DEFAULT_LEEWAY_SECS)]
    leeway: u64,
    /// The present in seconds since 1970. Default: this machine's clock.
    #[arg(long, value_name = "SECONDS")]
    now: Option<u64>,
}

pub(crate) fn run(common: &Common, args: &VerifyArgs) -> Result<Exit, Failure> {
    let now = args.now.map_or_else(super::now, UnixTime::from_secs);
    let verifier = verifier(common, args, now)?;
    let peer = args
        .client_cert
        .as_deref()
        .map(peer_certificate)
        .transpose()?;
    let token = input::token()?;
    let presented = Presented {
        peer: peer.as_ref(),
        ..Presented::NOTHING
    };
    match verifier.verify(UnverifiedToken::new(&token), &presented, now) {
        Ok(verified) => {
            let value = accepted(&verified);
            output::result(common.output, &value, || accepted_lines(&value));
            Ok(Exit::Done)
        }
        Err(rejection) => {
            let value = rejected(&rejection);
            output::result(common.output, &value, || {
                format!(
                    "rejected: {} ({})",
                    rejection.code().as_str(),
                    reason(&rejection)
                )
            });
            Ok(Exit::Refused)
        }
    }
}

fn verifier(common: &Common, args: &VerifyArgs, now: UnixTime) -> Result<Verifier, Failure> {
    let issuer = common.issuer.clone().ok_or_else(|| {
        Failure::usage("`--issuer` says whose tokens are accepted; it is missing")
    })?;
    let knows = args.bundle.is_some() || args.feed.is_some();
    let verifier = Verifier::builder(issuer.clone())
        .audience(&args.audience)
        .leeway_secs(args.leeway)
        .revocation(if knows {
            RevocationSource::Bundle
        } else {
            RevocationSource::None
        })
        .build()
        .map_err(Failure::usage)?;
    if let Some(path) = &args.bundle {
        let wrong = |error| Failure::file(path, error);
        let bundle = Bundle::parse(&input::file(path)?).map_err(wrong)?;
        verifier.load_bundle(&bundle, now).map_err(wrong)?;
    }
    if let Some(path) = &args.jwks {
        verifier.replace_keys(key_set(path)?);
    }
    if let (Some(feed), Some(trust)) = (&args.feed, &args.trust) {
        let text = input::text_file(feed)?;
        let statement = feed::open_statement(text.trim(), &key_set(trust)?, &issuer, now)
            .map_err(|error| Failure::file(feed, error))?;
        if !statement.snapshot {
            return Err(Failure::file(
                feed,
                anyhow::anyhow!("it is no snapshot of the feed"),
            ));
        }
        verifier.revocations().merge(&statement.entries, now);
        verifier.revocations().heard(statement.as_of);
    }
    Ok(verifier)
}

fn key_set(path: &Path) -> Result<KeySet, Failure> {
    KeySet::parse(&input::file(path)?).map_err(|error| Failure::file(path, error))
}

fn peer_certificate(path: &Path) -> Result<PeerCertificate, Failure> {
    let pem = input::file(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    // The parser's own text quotes the line, which may be a key in the wrong file.
    let chain = chain.map_err(|_| Failure::file(path, anyhow::anyhow!("it is no PEM")))?;
    let chain: Vec<Vec<u8>> = chain.iter().map(|der| der.to_vec()).collect();
    let spiffe_id = chain
        .first()
        .and_then(|leaf| dayfly_verifier::svid::identity_of(leaf).ok());
    PeerCertificate::new(chain, spiffe_id)
        .ok_or_else(|| Failure::file(path, anyhow::anyhow!("it holds no certificate")))
}

fn accepted(verified: &Verified) -> Value {
    let (revocation, age) = match verified.freshness() {
        Freshness::Fresh => ("fresh", None),
        Freshness::Stale { age_secs } => ("stale", Some(age_secs)),
        _ => ("unknown", None),
    };
    json!({
        "verdict": "accepted",
        "claims": verified.claims_json(),
        "kid": verified.kid(),
        "revocation": revocation,
        "revocation_age_secs": age,
    })
}

fn accepted_lines(value: &Value) -> String {
    let mut text = format!(
        "accepted; revocation: {}",
        value["revocation"].as_str().unwrap_or("?")
    );
    for (name, claim) in value["claims"].as_object().into_iter().flatten() {
        text.push_str(&format!("\n  {name:<12} {claim}"));
    }
    text
}

fn rejected(rejection: &Rejection) -> Value {
    json!({
        "verdict": "rejected",
        "code": rejection.code().as_str(),
        "reason": reason(rejection),
    })
}

/// The facts with their causes, each once.
fn reason(rejection: &Rejection) -> String {
    let mut text = rejection.to_string();
    let mut source = std::error::Error::source(rejection);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
