//! Moving an API off static keys.
//!
//! The [README](crate#moving-an-api-off-static-keys) tells it step by step, the module [`migrate`](mod@crate::migrate#who-decides)
//! has the table of who decides, and the example `migration` plays it. What is asked beside that:
//!
//! - *Where are keys looked for?* In `x-api-key`, unless `KeyPlaces` says otherwise: another header, a scheme of
//!   `Authorization` (`Bearer` too: a value with exactly two dots is a token, every other one a key), or, for those who have
//!   such callers, the query. A key in any other place is no key, and two keys in one request are refused.
//! - *Our keys are hashed with bcrypt or Argon2.* Those cannot be looked up, and are made for what people choose. Let the
//!   API's own check write down the SHA-256 of each key that it accepts while the layer watches, and build the registry from
//!   that. Keys under 16 bytes are not looked at: replace them first.
//! - *What is a pepper for?* A registry of `sha256` digests of random keys gives nothing away. If keys are short or their
//!   making is in doubt, or the API has HMAC digests already, use `hmac-sha256` and keep the `Pepper` elsewhere.
//! - *How long is long enough?* `next_step` and `unused_for` take a time in seconds and say no while there are counts for
//!   less than that. Save the report now and then, and hand it to `Migration::resume` after a restart.
//! - *What does the caller learn?* That a token is needed. No credential, an unknown key, one that has ended and one that
//!   comes too late are one answer.
//! - *What does the log say?* What a token decided, or the want of one, the gate records as ever. What a key decided is an
//!   event of the same form under the same targets, with `stage`, and for known keys `api_key_id`, `owner` and `contact`. Its
//!   `code` is `key` if it was let in, and else `key_unknown`, `key_ended`, `key_refused_by_stage`, `key_scope_missing`,
//!   `key_malformed`, or `key_missing` for a token that came alone before its time. Keys are not in the gate's metrics.
//! - *Two identities in one request?* The token decides. If the key belongs to another owner, the log warns and the report
//!   counts it: somebody uses a key that is not theirs, or the registry names the wrong owner.
//! - *Can a stage open the API?* None lets in a request without a valid key or a valid token. Only
//!   `Migration::danger_watch_layer` lets everything pass, and it is no stage.
