//! What this crate does not support, and why.
//!
//! None of it is forgotten. What is refused has a [code](super::howto::refusals); what is not there has another place.
//!
//! # Tokens
//!
//! | not supported | why, and what instead |
//! |---|---|
//! | RSA (`RS256`, `PS256`) | One key, one algorithm, and few of them. A 2048-bit signature alone is 256 bytes in each request, and the only pure-Rust implementation leaks its timing (RUSTSEC-2023-0071). RFC 9068 section 2.1 wants `RS256` to be supported; here ES256 and Ed25519 take its place, so the issuer has to be set to one of them. |
//! | HMAC (`HS256` …) | Whoever can verify could mint. |
//! | `none`, JWE, nested tokens, compression | An unsigned token proves nothing. Nothing confidential belongs into an access token, and decryption before verification is work for strangers. |
//! | ID tokens, `typ: JWT`, tokens without `typ` | They are addressed to clients, or to whoever guesses. `typ` is `at+jwt` (RFC 9068 section 2.1). |
//! | Opaque tokens, introspection (RFC 7662) | A request for each request, and an outage of the issuer is one of the API. The issuer has `/oauth2/introspect` for those who cannot embed a verifier. |
//! | Keys by `jku`, `x5u`, `x5c`, `jwk` | A token that names its own judge. Keys come from the configured issuer. |
//! | OpenID Connect Discovery alone | An issuer is found by RFC 8414 metadata at its own origin. For one without, fetch its keys and hand them to [`Verifier::builder`](crate::Verifier::builder). |
//! | Token Status List, CRL, OCSP | Revocations come by the signed feed of a dayfly issuer: complete cut-offs, and an age that can be told. For another issuer choose [`RevocationSource::None`](crate::RevocationSource::None) and short lives. |
//!
//! # Sender constraints
//!
//! | not supported | why, and what instead |
//! |---|---|
//! | Certificates in headers of a proxy (`X-Forwarded-Client-Cert`, `Client-Cert` of RFC 9440) | A stranger can send the header too. End TLS in the API ([`tls::Server`](crate::tls::Server)), or bind tokens to a key (`DPoP`), which passes through any proxy. |
//! | `cnf` with `jwk`, `jku`, `kid`, or several members | Only what is proven here is accepted: `x5t#S256`, `spiffe_id`, `jkt`. |
//! | `DPoP` proofs shared between replicas | `verify` does no I/O. See [Several replicas](super::howto::dpop#several-replicas). |
//! | HTTP Message Signatures, Token Binding | Nobody asked yet, and a second way to prove the same is a second way to be wrong. |
//!
//! # The rest
//!
//! | not supported | why, and what instead |
//! |---|---|
//! | A policy language, roles, scope hierarchies and wildcards | What a scope allows is the API's business. Here it is a whole word. |
//! | Sessions, cookies, logins of people, CORS | This is for machines. |
//! | Tokens in the query or the body (RFC 6750 sections 2.2 and 2.3) | They end in logs; the query is answered with 400. |
//! | A rate limit over several replicas | It would need a store on the path of each request. Divide the number. |
//! | A switch to turn a check off | There are two for the issuer itself, and they are called `danger_…`. |
//! | Async verification, `no_std`, WebAssembly | `verify` waits for nothing, so it needs no `async`. The others are not tested; `rustcrypto` without default features comes closest. |
