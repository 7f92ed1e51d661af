//! Revocations: where they come from, how old they may be, and what happens while the issuer is away.
//!
//! # Choose about revocations
//!
//! [`from_issuer`](crate::Verifier::from_issuer) follows the feed. The plain
//! [`builder`](crate::Verifier::builder) wants to be told: [`Follow`](crate::RevocationSource::Follow) where something
//! feeds it, [`Bundle`](crate::RevocationSource::Bundle) where a file does
//! ([`Verifier::load_bundle`](crate::Verifier::load_bundle)), [`None`](crate::RevocationSource::None) where a token's
//! short life is enough. [`Verified::freshness`](crate::Verified::freshness) says on each request how old the
//! knowledge was; an operation of high risk can ask for [`Fresh`](crate::Freshness::Fresh), or the whole API for less
//! by [`max_staleness_secs`](crate::VerifierBuilder::max_staleness_secs).
//!
//! # Verify without a network
//!
//! Keys and revocations come in a file, a [`Bundle`](crate::feed::Bundle): JSON with three documents of the issuer, which
//! whoever has a network fetches over TLS. The file is not signed as a whole, so who can write it decides whom you trust.
//!
//! ```console
//! $ STS=https://sts.example.org
//! $ jq -n --argjson trust "$(curl -s $STS/v1/trust)" --argjson jwks "$(curl -s $STS/.well-known/jwks.json)" \\
//!     --arg snapshot "$(curl -s $STS/v1/feed)" '{$trust, $jwks, $snapshot}' > bundle.json
//! ```
//!
//! ```no_run
//! use std::time::SystemTime;
//! use dayfly_verifier::feed::Bundle;
//! use dayfly_verifier::{RevocationSource, Verifier};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = Verifier::builder("https://sts.example.org")
//!     .audience("urn:plant")
//!     .revocation(RevocationSource::Bundle)
//!     .max_staleness_secs(24 * 3600) // how old the file may become
//!     .build()?;
//! // At start, and whenever there is a newer file.
//! let bundle = Bundle::parse(&std::fs::read("bundle.json")?)?;
//! verifier.load_bundle(&bundle, SystemTime::now().into())?;
//! # Ok(())
//! # }
//! ```
//!
//! Before the first bundle every token is refused (`unknown_kid`), past `max_staleness_secs` too (`revocation_stale`). The
//! example `offline_bundle` is a whole program.
//!
//! # Restart while the issuer is out of reach
//!
//! [`FromIssuer::state_file`](crate::follow::FromIssuer::state_file) keeps what is known: keys, feed keys, and the signed
//! statements of the feed.
//!
//! ```no_run
//! # async fn start() -> Result<(), dayfly_verifier::follow::ConnectError> {
//! let verifier = dayfly_verifier::Verifier::from_issuer("https://sts.example.org")
//!     .audience("https://orders.internal")
//!     .state_file("/var/lib/orders/sts.example.org.json")
//!     .build()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! Give each issuer, and each process, a file of its own, in a directory that only the process may write. Whoever can
//! write the file decides whom this API trusts: it is refused if it, or its directory, belongs to someone else or can be
//! written by others (Unix; elsewhere see to it yourself). A copy of the file on another machine is an operator's file
//! there.
//!
//! After a restart from the file the age of its statements is the age of the feed: results say
//! [`Stale`](crate::Freshness::Stale), and past the limit tokens are refused with `revocation_stale` until the issuer is
//! back. Keys that the issuer confirmed more than an hour ago are not used. The follower tries again in the background,
//! with waits from half a second to half a minute, and nothing need be restarted when the issuer is there. An older file
//! than what is known adds what it revokes and changes nothing else. A file that is cut, changed, of another issuer or of
//! the future is an error in the log: the start goes on online, or fails and says both reasons
//! ([`ConnectError::Offline`](crate::follow::ConnectError::Offline)).
//!
//! The file is a [`Bundle`](crate::feed::Bundle): [`Verifier::load_bundle`](crate::Verifier::load_bundle) takes it, and a
//! bundle that was exported by hand is a state file.
//!
//! Without a file, or before there is one, [`build`](crate::follow::FromIssuer::build) fails while the issuer is out of
//! reach. [`start_without_issuer`](crate::follow::FromIssuer::start_without_issuer) lets the program start: every token is
//! refused until the issuer is reached. Make [`Verifier::freshness`](crate::Verifier::freshness) the readiness of the
//! instance then.
