//! Every number and every choice that you did not make, with its reason.
//!
//! # Numbers
//!
//! | what | default | range | why |
//! |---|---|---|---|
//! | leeway for clocks | 30 s | 0 to 60 s | Machines with NTP differ by milliseconds, without it by seconds. More than a minute would be a way around the expiry of tokens that live minutes. |
//! | longest lifetime | 3600 s, or what the issuer publishes if that is less | from 1 s | The longest that a dayfly issuer can be configured to. It bounds what a stolen token is worth where revocations do not arrive. |
//! | oldest revocation state | the longest lifetime | from 0 s | Nothing that was issued before the line was cut is alive after it, so an older state says nothing about any token. Below it a revoked token may pass for as long as the line is cut; ask for less where that is too long. |
//! | fresh | heard within 15 s | fixed | Three heartbeats of the feed, so that one lost heartbeat is not yet called stale. |
//! | size of a token | 16 KiB | fixed | Eight times what a token of ours has at most; larger ones are refused before any work. |
//! | age of a DPoP proof | 60 s, either way | fixed | Clocks of clients; with nonces, 300 s since the nonce was given out, and the clients' clocks do not matter. |
//! | tokens that are remembered | 8192 | [`cached_tokens`](crate::VerifierBuilder::cached_tokens) | As many as are alive at once at an API that a few thousand workloads call, in 24 MiB. Only what was verified gets in; times, binding and revocation are checked each time. |
//! | used DPoP proofs | 1,048,576 | [`Policy::capacity`](crate::dpop::Policy::capacity) | 17,000 requests a second for a minute, in 40 MB at most. Beyond it new proofs are refused. |
//! | size of a DPoP proof, of its `jti` | 8 KiB, 256 bytes | fixed | Ten times what a proof with a short URI has; a UUID has 36 bytes. |
//! | depth of JSON | 16 levels | fixed | Far more than the claims need, far less than endangers a stack. |
//! | actors, ancestors | 4 | fixed | A delegation over more than four hops is an error in the design of whoever asks for it. |
//! | certificates of a chain | 10, of which 4 intermediates, 2 of them with the same subject | fixed | A nested deployment of three levels needs two intermediates. Path building tries them in every order, so that the number decides what a hostile chain costs. |
//! | size of a certificate | 16 KiB | fixed | One with a post-quantum key and signature has under 8. |
//! | private extension | 4 KiB | fixed | Four ancestors and the longest names have under 1 KiB. |
//! | authorities of a bundle, its size | 64, 1 MiB | fixed | Each is compared in every handshake. |
//! | `iat` of a certificate | up to 60 s after `notBefore` | fixed | The issuer dates `notBefore` back by 30 s. An `iat` far ahead would outlive every cut-off. |
//! | certificates that were proven | 4096 | fixed | About 1 MB; only what an authority signed gets in. |
//! | silence of the stream | 15 s | fixed | As for fresh. Only statements that bring news of the issuer count as a sign of life. |
//! | refetch for an unknown key id | every 10 s at most | [`refresh_cooldown`](crate::follow::FromIssuer::refresh_cooldown) | A flood of made-up key ids must not become a flood at the issuer. |
//! | keys that cannot be refreshed | 1 h | fixed | Whoever keeps this API from its issuer must not keep a withdrawn key alive. |
//! | callers with a bucket of their own in a [`RateLimit`](crate::tower::RateLimit) | 65,536 | [`capacity`](crate::tower::RateLimit::capacity) | More workloads than one API has, in 8 MiB. Beyond it newcomers share one bucket; nobody's is reset. |
//! | feed keys | fetched again after 5 min | fixed | A feed key that was stolen and withdrawn must not be believed until the next restart. |
//! | state file: written | every 30 s at most | fixed | It may have 60 MB; after a crash the state is older by so much. |
//! | state file: begins with a new snapshot | after half the longest lifetime, or with 8 MiB of statements | fixed | A feed key stays known for a lifetime after its last statement, and the file must be verifiable. |
//! | reconnects | after 0.5 s, doubling to 30 s, each shortened by up to half | fixed | A fleet that lost its issuer at one moment must not come back at one moment. |
//! | issuers in one set | 64 | fixed | Each may keep a connection, a task and 130 MB of revocations. |
//! | revocation entries | 4 million | fixed | 130 MB. Beyond it the state ages, and verification stops: the feed can deny, never exhaust. |
//!
//! # Choices
//!
//! **No switch turns a check off.** Most of what went wrong with JWT went wrong where a check was optional and
//! nobody opted in. What you can change is how strict, never whether.
//!
//! **The audience is required.** A verifier without one would accept a token that a client got for any other API,
//! and one API could then act as its callers at all others.
//!
//! **Revocation is chosen in the open.** A library that follows no revocations unless told otherwise lets people
//! believe that it does. [`Freshness`](crate::Freshness) is part of the result, so that it can be logged and decided on.
//!
//! **A stale state is accepted up to the longest lifetime.** An outage of the issuer would otherwise be an outage of
//! every API behind it. What that costs is bounded and written above; an API that cannot bear it asks for less.
//!
//! **503, not 401, when the state is too old or there are no keys.** The token may be good, and another one would fare no better: a 401
//! would send every client to the issuer at the moment when it can be reached least.
//!
//! **Bound tokens need their proof, always.** A token with a `cnf` that is accepted without the proof is a bearer token
//! that someone believes to be bound. A confirmation that this version does not know is refused, and so is one with
//! two members.
//!
//! **No leeway for certificates.** `notBefore` and `notAfter` are compared to the second, both ends included, as every
//! other TLS peer does. The issuer dates `notBefore` back instead.
//!
//! **A certificate without the private extension is refused.** It may be a good X.509-SVID, but nobody could revoke it.
//!
//! **The dialled name is no identity.** DNS finds a server. Who it is, its SPIFFE ID says, and which ones it may be, the
//! client.
//!
//! **What RFC 9449 leaves open.** `typ` is `dpop+jwt` in these very letters. `ath` is required. `exp` and `nbf`, which the RFC
//! does not know, bind a proof that has them; a `nonce` where none is required is ignored, and other claims and header
//! members are too, but for those that are refused in tokens. Methods are compared with their case.
//! URIs are compared in the normal form of RFC 3986 sections 6.2.2 and 6.2.3: case of scheme and host, default port, empty
//! path, percent-encoding of unreserved characters, and in `htu` dot segments; query and fragment do not count. A slash at
//! the end, an encoded slash, a doubled slash and a dot after the host do. A user in `htu`, a host that is not ASCII, and
//! characters that RFC 3986 does not allow are refused. One `jti` of one key is one proof, whatever else it says.
//!
//! **The scheme is a claim about the token.** Under `DPoP` a token must be bound to a key, under `Bearer` it must not be: a
//! bearer token or one bound to a certificate is refused under `DPoP` even with a valid proof, because whoever sends it
//! so believes in a protection that is not there. A `DPoP` header beside a `Bearer` token is ignored; it proves nothing
//! that anybody asked for. A proof by another key than the token's is `invalid_token`, as in RFC 9449 section 7.1; every
//! other fault of a proof is `invalid_dpop_proof`. An API with a base URL names both schemes in its challenges.
//!
//! **The caller learns little.** `invalid_token` for everything from a bad signature to a revocation: whoever probes
//! with stolen or invented tokens learns nothing about the issuer's keys, names or revocations. The operator finds
//! code and reason in the log.
//!
//! **Each call is one event at INFO.** What an issuer issued is worth knowing only together with what was done with it. A
//! busy API that does not want them sets `dayfly::access::accepted=off` and keeps the refusals. They are at INFO too:
//! anyone can cause one, and a level at which people are woken must not be in strangers' hands. Only what the operator
//! can mend is a warning.
//!
//! **No optional caller.** An extractor that is satisfied without a caller would find none where the layer was forgotten,
//! and let everybody in. What anyone may see belongs on a router without the layer.
//!
//! **Trust grows over TLS alone, or from your own file.** Keys come from the issuer's own origin, over TLS, with the
//! system's roots or the CA that you pin, or from a file that nobody else can write. The feed is signed by keys of its
//! own, which stand apart from the token keys, and can only take away. Whoever
//! steals a feed key, or controls a cache between the issuer and this API, can deny or freeze, and can never make it accept
//! anything.
//!
//! **A verifier that comes out is ready.** `build` fails while the issuer is out of reach, so that a deployment with a wrong
//! name, a wrong CA or no route stops at once and visibly. With a state file an outage is told apart from a mistake; and
//! whoever wants to start with nothing says so, and gets a verifier that refuses everything, never one that accepts on
//! guesses.
//!
//! **A file never takes back.** What it revokes counts, and its age. Rolled back, it can make this API deny, not admit.
//!
//! **The crate decides no policy.** It says who calls, on whose behalf, for which task, with which scopes. What that allows
//! is the API's business.
