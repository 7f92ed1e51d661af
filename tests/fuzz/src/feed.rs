use std::sync::{Arc, LazyLock};

use dayfly_token::feed::{Kind, Statement};
use dayfly_verifier::feed::{Bundle, FeedState};
use dayfly_verifier::revocation::prefix;
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{MAX_LEEWAY_SECS, Revocations};

use super::{ISSUER, NOW};

static AUTHORITY: LazyLock<TestAuthority> =
    LazyLock::new(|| TestAuthority::from_seed(ISSUER, [7; 32]).expect("a key"));

/// As a statement, and as the payload of one that is truly signed, bytes can take away and nothing else: what was
/// revoked stays revoked, and the state is not declared fresh for the future.
pub fn feed(bytes: &[u8]) {
    let authority = &*AUTHORITY;
    let _ = Bundle::parse(bytes);
    let revocations = Arc::new(Revocations::new());
    let mut state = FeedState::new(
        ISSUER.to_owned(),
        authority.feed_keys(),
        Arc::clone(&revocations),
    );
    let revoked = prefix(Kind::Credential, "revoked");
    let entry = dayfly_token::feed::Entry {
        prefix: revoked,
        before: NOW,
        until: NOW.saturating_add(3600),
    };
    let snapshot = authority
        .snapshot("1-0", vec![entry], NOW)
        .expect("a statement");
    state.apply(&snapshot, NOW);
    let check = || {
        assert!(
            revocations.is_dead(&revoked, NOW),
            "what is revoked stays revoked"
        );
        let as_of = revocations.as_of().expect("it was heard");
        assert!(as_of >= NOW && as_of <= NOW.saturating_add(MAX_LEEWAY_SECS));
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        state.apply(text, NOW);
        check();
    }
    if let Ok(statement) = Statement::parse(bytes) {
        let text = authority.sign_statement(&statement).expect("a statement");
        state.apply(&text, NOW);
        check();
    }
}
