//! An authority in memory, for the tests of those who embed this crate.
//!
//! ```
//! use dayfly_verifier::testing::TestAuthority;
//! use dayfly_verifier::{Presented, RevocationSource, UnixTime, UnverifiedToken};
//!
//! let authority = TestAuthority::from_seed("https://sts.example.org", [7; 32])?;
//! let verifier = authority.verifier("https://orders.internal").revocation(RevocationSource::None).build()?;
//!
//! let now = UnixTime::from_secs(1_800_000_000);
//! let token = authority.token("https://orders.internal").scope("orders:read").mint(now)?;
//! let caller = verifier.verify(UnverifiedToken::new(&token), &Presented::NOTHING, now)?;
//! assert!(caller.has_scope("orders:read"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dpop;

use std::collections::BTreeMap;

use dayfly_keys::{Algorithm, KeyError, KeySet, SigningKey};
use dayfly_token::feed::{Entry, Statement, TYP};
use dayfly_token::{Confirmation, Header, UnixTime, base64url};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::{PeerCertificate, Verifier, VerifierBuilder};

pub use dpop::{DpopKey, TestProof};

/// Lifetime of a test token in seconds, unless it says otherwise.
const DEFAULT_TTL_SECS: u64 = 300;

/// An issuer in memory that mints what a test asks for. Its keys come from the seed alone, so that a test does
/// the same thing every time. Never use it to protect anything.
pub struct TestAuthority {
    issuer: String,
    token_key: SigningKey,
    feed_key: SigningKey,
}

/// A token about to be minted: a valid one, changed as the test says.
#[must_use]
pub struct TestToken<'a> {
    authority: &'a TestAuthority,
    claims: BTreeMap<String, Value>,
    ttl_secs: u64,
    scopes: Vec<String>,
}

impl TestAuthority {
    /// An authority named `issuer` that signs with Ed25519 keys derived from `seed`.
    ///
    /// # Errors
    /// If the backend refuses the key.
    pub fn from_seed(issuer: impl Into<String>, seed: [u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new(seed))?;
        Self::with_key(issuer, key)
    }

    /// An authority named `issuer` that signs tokens with `key`.
    ///
    /// # Errors
    /// If the backend refuses the feed key that is derived from it.
    pub fn with_key(issuer: impl Into<String>, token_key: SigningKey) -> Result<Self, KeyError> {
        let seed = dayfly_keys::sha256(format!("feed {}", token_key.kid()).as_bytes());
        let feed_key = SigningKey::from_seed(Algorithm::EdDsa, &Zeroizing::new(seed))?;
        Ok(Self {
            issuer: issuer.into(),
            token_key,
            feed_key,
        })
    }

    /// The issuer's name.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The keys that its tokens are signed with.
    #[must_use]
    pub fn keys(&self) -> KeySet {
        key_set(&self.token_key)
    }

    /// The keys that its feed statements are signed with.
    #[must_use]
    pub fn feed_keys(&self) -> KeySet {
        key_set(&self.feed_key)
    }

    /// The key that its tokens are signed with.
    #[must_use]
    pub const fn token_key(&self) -> &SigningKey {
        &self.token_key
    }

    /// A verifier of its tokens for `audience`; the test still chooses about revocations.
    pub fn verifier(&self, audience: impl Into<String>) -> VerifierBuilder {
        Verifier::builder(&self.issuer)
            .audience(audience)
            .keys(self.keys())
    }

    /// A valid token for `audience`: of the workload `tests/caller` with the task `tests/task`, for 300 s.
    pub fn token(&self, audience: impl Into<String>) -> TestToken<'_> {
        let mut claims = BTreeMap::new();
        for (name, value) in [
            ("iss", json!(self.issuer)),
            ("sub", json!("spiffe://test.example/tests/caller")),
            ("client_id", json!("spiffe://test.example/tests/caller")),
            ("aud", json!(audience.into())),
            ("jti", json!("QAAAAAAAAAAAAAAAAAAAAA")),
            ("txn", json!("tests/task")),
            (
                "dfy",
                json!({ "rule": "test-rule", "env": "test", "anc": [] }),
            ),
        ] {
            claims.insert(name.to_owned(), value);
        }
        TestToken {
            authority: self,
            claims,
            ttl_secs: DEFAULT_TTL_SECS,
            scopes: Vec::new(),
        }
    }

    /// Signs any header and payload with the token key: for tokens that must be refused.
    ///
    /// # Errors
    /// If signing fails.
    pub fn sign(&self, header: &str, payload: &str) -> Result<String, KeyError> {
        self.token_key
            .sign_compact(header.as_bytes(), payload.as_bytes())
    }

    /// The header of a valid token.
    #[must_use]
    pub fn header(&self) -> String {
        let alg = self.token_key.algorithm().name();
        Header::of(alg, "at+jwt", self.token_key.kid())
    }

    /// A statement of the feed that covers `(from, to]` of the epoch `e1` as of `now`, and may be believed for
    /// an hour.
    ///
    /// # Errors
    /// If signing fails.
    pub fn statement(
        &self,
        from: &str,
        to: &str,
        entries: Vec<Entry>,
        now: UnixTime,
    ) -> Result<String, KeyError> {
        self.sign_statement(&Statement {
            iss: self.issuer.clone(),
            epoch: "e1".to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            as_of: now,
            exp: now.saturating_add(3600),
            entries,
            keys_changed: false,
            snapshot: false,
        })
    }

    /// Like [`TestAuthority::statement`], a snapshot of everything up to `to`.
    ///
    /// # Errors
    /// If signing fails.
    pub fn snapshot(
        &self,
        to: &str,
        entries: Vec<Entry>,
        now: UnixTime,
    ) -> Result<String, KeyError> {
        self.sign_statement(&Statement {
            iss: self.issuer.clone(),
            epoch: "e1".to_owned(),
            from: "0-0".to_owned(),
            to: to.to_owned(),
            as_of: now,
            exp: now.saturating_add(3600),
            entries,
            keys_changed: false,
            snapshot: true,
        })
    }

    /// Signs any statement with the feed key.
    ///
    /// # Errors
    /// If signing fails.
    pub fn sign_statement(&self, statement: &Statement) -> Result<String, KeyError> {
        let alg = self.feed_key.algorithm().name();
        let header = Header::of(alg, TYP, self.feed_key.kid());
        let payload = json!(statement);
        self.feed_key
            .sign_compact(header.as_bytes(), payload.to_string().as_bytes())
    }
}

impl TestToken<'_> {
    /// The subject, and with it the client.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", json!(subject))
            .claim("client_id", json!(subject))
    }

    /// One more scope.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// The task, `owner/task`.
    pub fn task(self, task: &str) -> Self {
        self.claim("txn", json!(task))
    }

    /// The credential id.
    pub fn id(self, jti: &str) -> Self {
        self.claim("jti", json!(jti))
    }

    /// Lifetime in seconds.
    pub const fn ttl_secs(mut self, secs: u64) -> Self {
        self.ttl_secs = secs;
        self
    }

    /// Binds the token.
    pub fn bound_to(self, confirmation: &Confirmation) -> Self {
        self.claim("cnf", json!(confirmation))
    }

    /// Binds the token to a client certificate.
    pub fn bound_to_certificate(self, peer: &PeerCertificate) -> Self {
        self.claim(
            "cnf",
            json!({ "x5t#S256": base64url::encode(peer.thumbprint()) }),
        )
    }

    /// Sets any claim, the times included.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims.insert(name.to_owned(), value);
        self
    }

    /// Leaves a claim out. The times are set by [`TestToken::payload`] and need [`TestAuthority::sign`] to be left out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// The claims as issued at `now`, as JSON.
    #[must_use]
    pub fn payload(&self, now: UnixTime) -> Map<String, Value> {
        let mut claims: Map<String, Value> = Map::new();
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("exp".to_owned(), json!(now.saturating_add(self.ttl_secs)));
        if !self.scopes.is_empty() {
            claims.insert("scope".to_owned(), json!(self.scopes.join(" ")));
        }
        claims.extend(self.claims.clone());
        claims
    }

    /// The token, issued at `now`.
    ///
    /// # Errors
    /// If signing fails.
    pub fn mint(self, now: UnixTime) -> Result<String, KeyError> {
        let payload = Value::Object(self.payload(now)).to_string();
        self.authority.sign(&self.authority.header(), &payload)
    }
}

fn key_set(key: &SigningKey) -> KeySet {
    let mut keys = KeySet::default();
    keys.insert(key.verifying_key().clone());
    keys
}
