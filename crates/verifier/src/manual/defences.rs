//! Past vulnerabilities of JWT libraries and services, and what stops each of them here.
//!
//! Each line is a test of this crate (`tests/all`), with its positive control.
//!
//! # Parsing
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | `alg: none`, also as `nOnE` (RFC 8725bis section 2.1) | The algorithm is compared with the key's, byte by byte; an empty signature is no compact JWS. |
//! | HMAC with the public key as secret (CVE-2015-9235, CVE-2022-29217, CVE-2024-54150) | No symmetric algorithm verifies anything that comes in, and a key has exactly one algorithm. |
//! | `crit` ignored (CVE-2025-59420, CVE-2026-32597) | Any `crit` is refused, empty or `null` as well. |
//! | `b64: false`, detached payloads | Refused with any value. |
//! | JSON serialisation cut at the dots, and other polyglots | Only `A-Z a-z 0-9 - _ .` in exactly three parts that are not empty. |
//! | JWE taken for JWS (CVE-2023-51774), decompression and PBES2 bombs (CVE-2024-28180) | Five parts are refused before anything is decoded; there is no JWE, no inflation and no key derivation in the crate. |
//! | A member twice, read differently by two readers (also as `\u0073ub`) | Strict JSON: refused at every depth, after escapes are resolved. |
//! | Several spellings of one token (padding, white space, trailing bits) that slip by a denylist | Canonical base64url only; and revocation goes by `jti`, never by the token's text. |
//! | UTF-16, byte order marks, invalid UTF-8, NUL | Refused as JSON. |
//! | Nesting that exhausts the stack, memory for each dot (CVE-2025-30204, CVE-2025-27144) | Size before everything, at most 16 levels, no splitting into lists. |
//! | `exp: 1e400`, `"1700000000"`, `true`, milliseconds (CVE-2026-25537) | Whole seconds as a JSON integer below 2^53, or `bad_claim`. |
//! | Claims read before the signature is verified, or in spite of an error (CVE-2024-51744) | [`UnverifiedToken`](crate::UnverifiedToken) has no accessors; [`Verified`](crate::Verified) is made by `verify` alone. Compile-fail tests hold it. |
//!
//! # Signatures and keys
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | `r = s = 0`, the psychic signature (CVE-2022-21449) | The backends check the range, and are tested with wycheproof. |
//! | The second valid ECDSA signature, the unreduced Ed25519 one | The twin is the same credential: same `jti`, revoked with it. Ed25519 is verified strictly. |
//! | DER instead of r‖s, signatures cut or extended | 64 bytes, or refused. |
//! | A key of another algorithm, `use` or operation | One key, one algorithm; keys for encryption and private members never enter a key set. |
//! | `jwk`, `jku`, `x5u`, `x5c` in the header followed or trusted (CVE-2018-0114, CVE-2026-27962) | Refused; nothing is ever fetched because a token says so. The `jwk` of a DPoP proof is believed only if it is the key that the token is bound to. |
//! | `kid` as path, SQL or log injection | Compared with the ids of known keys, nothing else; escaped and cut in messages. |
//! | No match by `kid`, so the first key is tried | No `kid`, no key. |
//! | Another issuer's key with the same id; a token of one issuer in the name of another | A verifier has one issuer and that issuer's keys. In a set, `iss` chooses the verifier before anything is verified, and the verifier compares it again, by its own keys. |
//! | A removed key that verifies until the restart | Key sets are replaced as a whole, by their `max-age`, and dropped when they cannot be refreshed for an hour. |
//! | A refetch for each unknown `kid` | One per cooldown, by the follower, never by `verify`. |
//!
//! # Claims
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | The issuer matched by prefix, substring or list (CVE-2024-53861, CVE-2026-14336) | Byte by byte, one string. |
//! | Audience checks skipped where `aud` is absent, a list, or not configured (CVE-2020-26160, CVE-2024-5798) | The builder refuses to build without an audience; `aud` is required and compared byte by byte. |
//! | A missing `exp` accepted | All seven claims of RFC 9068 are required. |
//! | ID tokens, logout tokens, DPoP proofs, introspection answers taken for access tokens | `typ` must be `at+jwt`. |
//! | Empty or `null` subjects that match a default (CVE-2026-23990, CVE-2026-41571) | Refused as `bad_claim`. |
//! | `cnf` ignored, unknown confirmations accepted | A bound token needs its proof; unknown and doubled members are refused. |
//! | A proxy's certificate header believed from anyone (CVE-2025-64484, CVE-2024-45410) | No header is read; only the TLS layer of this very connection can prove a certificate. |
//! | Huge lifetimes | Capped by the API, and by the issuer's own publication. |
//! | A nested actor used for access control | Only the outermost is exposed for it, and chains are at most four long. |
//! | The token in the URL, and from there in the logs (CVE-2026-44883) | `?access_token=` is answered with 400. |
//!
//! # Revocation
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | Fails open when the list cannot be had | Unheard is `revocation_stale`; beyond the limit too. |
//! | A list rolled back, frozen, or of another issuer | The state only grows until its entries expire; `as_of` never goes back, and moves only when nothing can be missing; issuer, type and key of a statement are checked. |
//! | A denylist by token text or hash | By credential id and by what the credential belongs to. |
//! | Entries dropped before their tokens expire | Kept for two leeways beyond their time, by this machine's clock and by the issuer's. |
//! | The same credential id at two issuers, revoked at one | Revocations are kept per issuer. |
//! | One recorded heartbeat, repeated for ever; a stream that drips | Only a newer `as_of` of a believed statement is a sign of life. |
//! | A stolen feed key | It can revoke, and claim completeness up to a minute ahead. It adds no key, lifts nothing, and is gone with the next fetch of the feed keys. |
//! | A state on disk that is trusted because it is there | Its statements are verified again; it is refused if others can write it; it only adds revocations; its age counts. |
//! | A clock set back makes an old list look fresh | A state from more than a minute ahead has no age that could be told: `revocation_stale`. |
//!
//! # Proofs of possession
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | `cnf.jkt` ignored, or the proof optional | A token with `jkt` is refused without its proof, and under `Bearer`; a proof with a token without `jkt` is refused as well. |
//! | Claims of the proof left unchecked (`ath`, `htm`, `htu`, `iat`) | All of RFC 9449 section 4.3, in one call, `ath` always: no proof comes here without a token. |
//! | `htu` compared with the `Host` or `X-Forwarded-*` that the attacker sends | Compared with the configured base URL. |
//! | `htu` by prefix, as text, or normalised further than the router does | One normal form of RFC 3986, compared whole; a request whose own path has dot segments is refused, since a router may see more in it. |
//! | A private key, or a symmetric one, in the header | Refused, also when it is the right key. |
//! | A proof used twice, one after the other or at once | Accepted exactly once while it holds, by key and `jti`: the second signature of ECDSA makes no second proof. |
//! | The memory of used proofs flooded until it forgets (CWE-770) | What is in it stays; when it is full, new proofs are refused. Only accepted requests get in, and whoever chooses `jti` gains nothing by it. |
//! | Used proofs forgotten while the clock was ahead | What was forgotten cannot come back when the clock does. |
//! | Nonces that fill a table, or can be guessed | They are authenticated times: nothing is stored. |
//! | A huge proof, or deep JSON in it | 8 KiB and 16 levels, before any work; a proof by another key costs a hash and no signature. |
//!
//! # Connections
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | Idle or stalled connections that keep everybody else out | [`tls::Server`](crate::tls::Server): the oldest handshake, and the connection idle for longest, give way to newcomers. |
//! | Sessions resumed after trust was removed (CVE-2025-68121) | [`tls::server_config`](crate::tls::server_config) has no tickets and no session storage, and a connection ends with its peer's certificate. |
//!
//! # Logs, counters and limits
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | Tokens and claims in logs (CVE-2024-8365, CVE-2025-1296, CVE-2025-4166) | The [event](mod@crate::tower#events) of a call has named fields and no token; of a token that was not accepted it has the code and a reason of bounded length, and, if the signature held, the credential's id and workload. The header is marked as sensitive for every other log. |
//! | Line breaks and terminal codes in logs, by a key id or a subject | What a token said is escaped and cut in a reason, and every field is a value of its own, which the formats for lines and for JSON escape. |
//! | A series of metrics for each value that a stranger makes up (CVE-2026-49835) | [`Metrics`](crate::tower::Metrics) has a fixed number of counters, and no label from a request. |
//! | A rate limit that a flood of new names resets | A bucket of the [`RateLimit`](crate::tower::RateLimit) goes only when it is full again; newcomers without room share one. |
//! | A rate limit that strangers use up for others | It stands behind the verification, and counts proven subjects alone. |
//!
//! # Certificates
//!
//! | what happened elsewhere | what stops it here |
//! |---|---|
//! | Path validation taken for SVID validation | [`svid`](crate::svid): one test for each rule, before any path is built. |
//! | Bundles of several trust domains in one pool, or a root that signs for a domain that is not its own | One bundle, one trust domain; a signing certificate that names another one is refused. |
//! | A leaf pinned as an authority (CVE-2024-2048, CVE-2025-6037) | Authorities must be CAs that may sign certificates, or the bundle is refused. |
//! | An older bundle brings back an authority that was removed | `spiffe_sequence` never goes back, and never disappears. |
//! | mTLS that fails open on an empty or unreadable CA file (CVE-2026-27586, CVE-2026-32305) | An empty bundle trusts nothing, PEM without a certificate and anything malformed is refused, and the roots of the system have no part in it. |
//! | Several URI names, a common name or an e-mail address taken for the identity | Exactly one URI name, a strict SPIFFE ID of the form owner/workload. |
//! | Path building that explodes (RUSTSEC-2023-0053, CVE-2026-32280) | Ten certificates, four intermediates, two of one subject; the budget of webpki besides. |
//! | Revocation lists not loaded, not found or not enforced (CVE-2022-41316, RUSTSEC-2026-0049) | No lists: the same state as for tokens, and the same refusal where it is too old. |
//! | An instant of issue that outruns cut-offs | `iat` has to lie at `notBefore`, within a minute. |
//! | A second form of the serial number that is not among the revoked | 16 bytes with the form of a credential id, or refused. |
//! | A revoked peer that keeps its connection | [`recheck`](crate::x509::CertificateVerifier::recheck) for each request; resumption is off at both ends. |
