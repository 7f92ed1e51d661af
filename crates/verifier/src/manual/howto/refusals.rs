//! Refusals: what each code means, and who can mend it.
//!
//! # Find out why a call is refused
//!
//! The caller learns `invalid_token` and nothing else. The event of the [layer](mod@crate::tower#events) has the code and
//! the facts (the target `dayfly::access::refused`), [`Metrics`](crate::tower::Metrics) count each code, and
//! [`Rejection`](crate::Rejection) gives both to programs.
//!
//! The code stands in the log as soon as something writes `tracing` events down. Before the server starts:
//!
//! ```no_run
//! tracing_subscriber::fmt().init(); // INFO and above, whatever `RUST_LOG` says
//! ```
//!
//! `tracing_subscriber::fmt::init()`, with its feature `env-filter`, goes by `RUST_LOG` and shows errors alone where that is
//! not set.
//!
//! ```text
//! INFO dayfly::access::refused: outcome="refused" code="wrong_audience" method="GET" route="/orders" status=401
//!   reason="the token is for `https://billing.internal`, not for this API"
//! ```
//!
//! An answer 500 from a handler that asks for the caller means that its route does not have the layer: in axum a layer covers
//! the routes that were added *before* it.
//!
//! | code | what it means | what to do |
//! |---|---|---|
//! | `token_missing` | No `Authorization` header, or one with another scheme than `Bearer` and, where a base URL is set, `DPoP`. | Nothing, if it is a client that asks first. Otherwise the client sends no token, or a proxy in between takes it away. |
//! | `invalid_request` | A token in the query, two tokens, or `Bearer` with nothing behind it. | Mend the client: one header `Authorization: Bearer …`. |
//! | `insufficient_scope` | The token is good and lacks a scope; the reason names it. The caller gets 403. | The client asks the issuer for that scope; if it is denied, the owner of the audience grants it to the workload. |
//! | `rate_limited` | The workload called more often than the [`RateLimit`](crate::tower::RateLimit) allows. The caller gets 429. | The client waits for `Retry-After`; look for a loop, or allow more. |
//! | `unknown_kid` | The issuer has no such key, or rotated it a moment ago: the follower fetches at once, then every 10 s at most. | Without a follower: load the present key set or bundle. With one, and for longer than a minute: the token is of another issuer. |
//! | `keys_unavailable` | There is no key at all: the issuer was never reached, or not for an hour, or no bundle was loaded. Callers get 503, and the event is a warning. | Look at the connection to the issuer: the log says what fails. Without a follower: load a key set or a bundle. |
//! | `wrong_issuer` | `iss` differs from the builder's issuer in at least one byte, or no verifier of the set is for it; the reason shows it. | Look for a slash at the end, and for an issuer that was renamed. |
//! | `wrong_audience` | The client asked for a token for another API; the reason names the audience that the token has. | The client asks for this API's audience, or the builder gets a second `audience`. |
//! | `expired`, `not_yet_valid` | The client kept a token too long, or a clock is off by more than the leeway. | Compare the moments in the reason with a clock that is right; the client fetches a new token before the old one ends. |
//! | `lifetime_too_long` | The token was issued for longer than `max_lifetime_secs`, or than the issuer publishes. | Issue shorter tokens. Only for an issuer that cannot: raise `max_lifetime_secs`. |
//! | `wrong_type` | An ID token, a feed statement, or a JWT from a library that leaves `typ` at `JWT`. Not an access token. | The client sends the access token; an issuer of another make is set to RFC 9068. |
//! | `alg_mismatch` | Not ES256 or EdDSA, or not the algorithm of the key. | Set the issuer to one of the two. If it is a dayfly issuer, someone tampers. |
//! | `unproven_confirmation` | The token is bound, and the caller did not prove it: no mTLS, another certificate, a proxy in between; a token with `jkt` under `Bearer`, or a proof by another key. | Look at what ends TLS, and at the client's scheme and key. |
//! | `unbound_token` | A token that is bound to no key came under the scheme `DPoP`. | The client sends it under `Bearer`, or asks for a bound one. |
//! | `bad_proof` | The DPoP proof is malformed, absent, or for another request; the cause says what. | Compare `htu` with the base URL and path. If the client's clock is off by more than a minute: mend it, or require nonces. |
//! | `replayed_proof` | The DPoP proof was used before. | A client that repeats a request makes a new proof; look for two verifying layers in a row. If neither, someone replays. |
//! | `proof_nonce_needed` | The DPoP proof has no nonce of this API, or one that is too old. | Nothing: the client repeats the request with the one of `DPoP-Nonce`. |
//! | `too_many_proofs` | More DPoP proofs are within their time than are remembered. Callers get 503, and the event is a warning. | Raise `Policy::capacity`, or find the caller that floods. |
//! | `revoked` | The token, or its task, workload, owner, rule or key, was revoked; the reason names the kind, the event the credential and its workload. | As it should be. The issuer's audit says who revoked it, and why. |
//! | `revocation_stale` | This API has not heard of the issuer for too long, or its clock was set back. Callers get 503, and the event is a warning. | Look at the connection to the issuer, at the bundle's age, and at the clock. |
//! | `missing_claim`, `bad_claim` | The issuer does not follow RFC 9068; the reason or the cause names the claim. | Mend the issuer's configuration. |
//! | `bad_signature` | The token was changed on the way, or another key signed it. | Look for what cuts or rewrites headers. If nothing does, someone forges. |
//! | `malformed`, `bad_base64`, `bad_json`, `forbidden_header`, `too_large` | No token that an honest issuer makes. | Look at what the client sends: an opaque token, quotes around it, a file with a line break. Otherwise a stranger tries his luck. |
//!
//! # Find out why a certificate is refused
//!
//! The peer learns as much as a TLS alert says. The log has one line for each refused handshake
//! (`RUST_LOG=dayfly_verifier=debug`), and a louder one for clients, once a second at most;
//! [`CertificateRejection`](crate::x509::CertificateRejection) gives code and facts to programs.
//!
//! | code | what it means, and who can mend it |
//! |---|---|
//! | `untrusted_domain` | A certificate of another trust domain than the bundle's, or the bundle is empty. |
//! | `untrusted_chain` | No path to the bundle: another CA, an intermediate that was not sent along, or a bundle from before the root changed. |
//! | `bad_leaf` | Not a leaf of a dayfly issuer: a rule of X.509-SVIDs, the serial number, the extended key usage, or a path that is not `owner/workload`. The log names which. |
//! | `missing_extension`, `bad_extension` | Another CA of the trust domain made it, or somebody who imitates an issuer. |
//! | `expired`, `not_yet_valid` | The peer did not renew in time, or a clock is wrong. There is no leeway: `notBefore` lies 30 s before the issuing instant. |
//! | `lifetime_too_long` | Issued for longer than `max_lifetime_secs`, or than the issuer publishes. |
//! | `unexpected_server` | A good certificate of a server that this client did not name. |
//! | `revoked`, `revocation_stale` | As for tokens. Where the state is too old, handshakes fail on this end's account. |
//! | `chain_too_long`, `too_large` | No chain that an honest peer sends. |
