//! Typed scopes: one, all of several, one of several.

use axum::body::Body;
use axum::extract::FromRequestParts;
use dayfly_keys::Algorithm;
use dayfly_verifier::axum::{AnyOf, RequiredScope, ScopeRule, Scoped};
use http::Request;

use crate::fixture::{AUDIENCE, Bench, NOW};

struct Read;

impl RequiredScope for Read {
    const SCOPE: &'static str = "read";
}

struct Write;

impl RequiredScope for Write {
    const SCOPE: &'static str = "write";
}

struct Delete;

impl RequiredScope for Delete {
    const SCOPE: &'static str = "delete";
}

fn missing<R: ScopeRule>(bench: &Bench, scopes: &[&str]) -> Option<String> {
    let mut token = bench.authority.token(AUDIENCE);
    for scope in scopes {
        token = token.scope(*scope);
    }
    R::missing(&bench.accepts(&token.mint(NOW).unwrap()))
}

#[test]
fn rules() {
    let bench = Bench::new(Algorithm::EdDsa);
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(missing::<Read>(&bench, &["read"]), None);
    assert_eq!(missing::<Read>(&bench, &[]), told("read"));

    type Both = (Read, Write);
    assert_eq!(missing::<Both>(&bench, &["write", "read"]), None);
    assert_eq!(missing::<Both>(&bench, &["write"]), told("read"));
    assert_eq!(missing::<Both>(&bench, &["read", "delete"]), told("write"));
    assert_eq!(missing::<Both>(&bench, &[]), told("read write"));
    assert_eq!(
        missing::<(Read, Write, Delete)>(&bench, &["read", "write"]),
        told("delete")
    );

    type Either = AnyOf<(Read, Write)>;
    assert_eq!(missing::<Either>(&bench, &["read"]), None);
    assert_eq!(missing::<Either>(&bench, &["write"]), None);
    assert_eq!(
        missing::<Either>(&bench, &["delete", "reader"]),
        told("read")
    );

    type Nested = (AnyOf<(Read, Write)>, Delete);
    assert_eq!(missing::<Nested>(&bench, &["write", "delete"]), None);
    assert_eq!(missing::<Nested>(&bench, &["write"]), told("delete"));
    assert_eq!(missing::<Nested>(&bench, &["delete"]), told("read"));
}

#[tokio::test]
async fn the_extractor_asks_the_rule() {
    let bench = Bench::new(Algorithm::EdDsa);
    let token = bench.authority.token(AUDIENCE).scope("write");
    let request = Request::new(Body::empty());
    let (mut parts, _) = request.into_parts();
    parts
        .extensions
        .insert(bench.accepts(&token.mint(NOW).unwrap()));
    let either = Scoped::<AnyOf<(Read, Write)>>::from_request_parts(&mut parts, &()).await;
    assert!(either.is_ok());
    let both = Scoped::<(Read, Write)>::from_request_parts(&mut parts, &()).await;
    assert!(both.is_err());
}
