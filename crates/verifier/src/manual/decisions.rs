//! What the specifications leave open about tokens, decided once. The tests of this crate hold each line.
//!
//! # Header
//!
//! | case | decision |
//! |---|---|
//! | `typ` in other letters (`AT+JWT`), or with `application/` before it | Accepted: it is a media type (RFC 7515 section 4.1.9). With parameters (`at+jwt; v=1`), or absent: refused. |
//! | `alg` is `Ed25519` where the issuer once wrote `EdDSA`, or the other way round | Accepted: two names of one algorithm for such a key (RFC 9864). In other letters: refused. |
//! | no `kid`, and the issuer has one key | Refused: which key it is, the token says, and nobody guesses. |
//! | members that nobody knows, `cty` and `x5t` among them | Ignored. |
//! | `crit`, `b64`, `jwk`, `jku`, `x5u`, `x5c`, `zip`, `enc` with any value, `null` too | Refused. |
//!
//! # Form
//!
//! | case | decision |
//! |---|---|
//! | white space inside the JSON | Accepted: RFC 8259 allows it. Around the token, or in its base64: refused. |
//! | a member twice, at any depth, also in a claim that nobody reads | Refused. |
//! | a claim that is `null` | Refused, where it is one that is read: absent is absent. |
//! | claims that nobody knows | Ignored. |
//!
//! # Identities and audience
//!
//! | case | decision |
//! |---|---|
//! | `iss` with another slash at the end, another case, a default port | Refused: compared byte by byte. |
//! | `aud` as a list with this API in it | Accepted, also with others beside it. An empty list, an empty string in it, or anything but strings: refused. |
//! | `sub`, `client_id`, `jti` or `txn` empty or with control characters | Refused. `txn` and `dfy` may be absent: other issuers do not have them. |
//! | `scope` is the empty string | Accepted: no scope. With two spaces, a scope twice, or as a list: refused. |
//!
//! # Times
//!
//! | case | decision |
//! |---|---|
//! | at `exp` and the leeway, to the second | Refused; one second before it: accepted. |
//! | at `nbf` or `iat` less the leeway, to the second | Accepted; one second before it: refused. |
//! | no `nbf` | Accepted: `iat` has to be there. |
//! | `exp` not after `iat` | Refused, leeway or not. |
//! | an instant with a fraction or an exponent (`1800000000.0`, `18e8`), as a string, or below zero | Refused: whole seconds. |
//!
//! # Binding, delegation, details
//!
//! | case | decision |
//! |---|---|
//! | `cnf` with two methods, with one that is not known, or empty | Refused: a binding that nobody checks is none. |
//! | `act` four deep | Accepted; five deep, or anything but an object: refused. |
//! | `authorization_details` empty | Accepted. An entry without `type`, or anything but a list of objects: refused. |
