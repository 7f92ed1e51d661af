//! The one table of routes, and what is built from it: the routers and the OpenAPI document.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::{
    discovery, feed, guard, introspect, operations as ops, records, revocations, revoke, tasks,
    token, x509,
};
use crate::app::App;
use crate::authz::{Listener, Operation, rows_of};

type Build = fn() -> UtoipaMethodRouter<Arc<App>>;

/// Every operation and its handler. Paths and methods stand at the handlers; a test compares them
/// with the authorization table.
const ROUTES: &[(Operation, Build)] = &[
    (Operation::Token, || routes!(token::post)),
    (Operation::Introspect, || routes!(introspect::post)),
    (Operation::Revoke, || routes!(revoke::post)),
    (Operation::Certificate, || routes!(x509::post)),
    (Operation::DeclareTask, || routes!(tasks::declare)),
    (Operation::CompleteTask, || routes!(tasks::complete)),
    (Operation::RevokeTask, || routes!(tasks::revoke)),
    (Operation::ChangeRevocations, || {
        routes!(revocations::change)
    }),
    (Operation::ListHolds, || routes!(revocations::list)),
    (Operation::Decision, || routes!(records::decision)),
    (Operation::Issuance, || routes!(records::issuance)),
    (Operation::Feed, || routes!(feed::snapshot)),
    (Operation::FeedStream, || routes!(feed::stream)),
    (Operation::Trust, || routes!(feed::trust)),
    (Operation::OauthMetadata, || routes!(discovery::oauth)),
    (Operation::OpenidMetadata, || routes!(discovery::openid)),
    (Operation::Jwks, || routes!(discovery::jwks)),
    (Operation::SpiffeBundle, || routes!(discovery::bundle)),
    (Operation::Livez, || routes!(ops::livez)),
    (Operation::Readyz, || routes!(ops::readyz)),
    (Operation::Metrics, || routes!(ops::metrics)),
];

/// Where the metadata of an issuer with a path stand (RFC 8414 section 3.1).
const OAUTH_METADATA: &str = "/.well-known/oauth-authorization-server";

/// The public listener.
pub(crate) fn public(app: &Arc<App>) -> Router {
    let base = app.issuer_url.path();
    let wanted = |listener| matches!(listener, Listener::Public | Listener::PublicAndSocket);
    let (served, _) = select(wanted, |operation| {
        base.is_empty() || operation != Operation::OauthMetadata
    })
    .split_for_parts();
    let router = if base.is_empty() {
        served
    } else {
        let (_, _, metadata) = labelled(Operation::OauthMetadata, routes!(discovery::oauth));
        Router::new()
            .nest(base, served)
            .route(&format!("{OAUTH_METADATA}{base}"), metadata)
    };
    guarded(router, app, true)
}

/// The admin socket: the operations of people, without credentials.
pub(crate) fn socket(app: &Arc<App>) -> Router {
    let (router, _) =
        select(|listener| listener == Listener::PublicAndSocket, |_| true).split_for_parts();
    guarded(router, app, true)
}

/// The operations listener.
pub(crate) fn operations(app: &Arc<App>) -> Router {
    let (router, _) =
        select(|listener| listener == Listener::Operations, |_| true).split_for_parts();
    guarded(router, app, false)
}

/// `api/openapi.json`.
#[must_use]
pub fn openapi() -> String {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn document() -> OpenApi {
    let (_, mut document) = select(|_| true, |_| true).split_for_parts();
    // The router's own paths are complete; what it says about itself is ours.
    document.info = InfoBuilder::new()
        .title("dayfly")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("at+jwt")
        .description(Some(
            "an access token of this issuer whose audience is the issuer",
        ))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token));
    components.add_security_scheme(
        "svid",
        SecurityScheme::MutualTls {
            description: Some("an X.509-SVID of a registered workload".to_owned()),
            deprecated: None,
            extensions: None,
        },
    );
    document
}

const DESCRIPTION: &str = "Security token service for machines. Errors of /oauth2 and /v1/x509 \
    follow RFC 6749 section 5.2, all others RFC 9457. Every answer has the header x-request-id. \
    Client certificates come from the TLS handshake alone. GET /livez, /readyz and /metrics are \
    served on the operations listener.";

fn select(
    wanted: impl Fn(Listener) -> bool,
    and: impl Fn(Operation) -> bool,
) -> OpenApiRouter<Arc<App>> {
    let mut router = OpenApiRouter::with_openapi(OpenApiBuilder::new().build());
    for (operation, build) in ROUTES {
        let served = rows_of(*operation)
            .next()
            .is_some_and(|row| wanted(row.listener));
        if served && and(*operation) {
            router = router.routes(labelled(*operation, build()));
        }
    }
    router
}

fn labelled(
    operation: Operation,
    (schemas, paths, router): UtoipaMethodRouter<Arc<App>>,
) -> UtoipaMethodRouter<Arc<App>> {
    let label = from_fn(move |request, next| guard::label(operation, request, next));
    (schemas, paths, router.route_layer(label))
}

/// What is around every request, from the inside out.
fn guarded(router: Router<Arc<App>>, app: &Arc<App>, strict: bool) -> Router {
    let mut router = router
        .fallback(guard::not_found)
        .method_not_allowed_fallback(guard::method_not_allowed)
        .with_state(Arc::clone(app));
    if strict {
        router = router.layer(from_fn(guard::refuse));
    }
    router.layer(from_fn_with_state(Arc::clone(app), guard::track))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use utoipa::openapi::path::Operation as Documented;

    use super::*;
    use crate::authz::{Access, TABLE};

    fn documented() -> BTreeMap<(String, String), Documented> {
        let mut all = BTreeMap::new();
        for (path, item) in document().paths.paths {
            for (method, operation) in [("GET", item.get), ("POST", item.post)] {
                if let Some(operation) = operation {
                    all.insert((method.to_owned(), path.clone()), operation);
                }
            }
            assert!(item.put.is_none() && item.delete.is_none() && item.patch.is_none());
        }
        all
    }

    #[test]
    fn router_document_and_authorization_table_agree() {
        let documented: BTreeSet<_> = documented().into_keys().collect();
        let authorized: BTreeSet<_> = TABLE
            .iter()
            .map(|row| (row.method.to_owned(), row.path.to_owned()))
            .collect();
        assert_eq!(documented, authorized);
        let routed: BTreeSet<_> = ROUTES.iter().map(|(operation, _)| *operation).collect();
        let rows: BTreeSet<_> = TABLE.iter().map(|row| row.operation).collect();
        assert_eq!(routed, rows);
        for (operation, build) in ROUTES {
            let (_, paths, _) = build();
            let row = rows_of(*operation).next().unwrap();
            assert!(
                paths.paths.contains_key(row.path),
                "{operation:?} is not at {}",
                row.path
            );
        }
    }

    #[test]
    fn the_document_says_which_right_an_operation_takes() {
        for ((method, path), operation) in documented() {
            let access = TABLE
                .iter()
                .find(|row| row.method == method && row.path == path)
                .map(|row| row.access)
                .unwrap();
            let text = serde_json::to_string(&operation.security).unwrap();
            match access {
                Access::Scope(scope)
                | Access::ScopeOverOwn(scope)
                | Access::ScopeOrTask(scope)
                | Access::ScopeOrOperator(scope) => {
                    assert!(text.contains(scope.as_str()), "{method} {path}: {text}");
                }
                Access::Open | Access::Evidence | Access::Possession => {
                    assert_eq!(text, "null", "{method} {path}");
                }
            }
        }
    }

    #[test]
    fn every_operation_is_described() {
        for ((method, path), operation) in documented() {
            let at = format!("{method} {path}");
            assert!(
                operation.summary.as_deref().is_some_and(|s| !s.is_empty()),
                "{at}"
            );
            assert!(
                operation
                    .description
                    .as_deref()
                    .is_some_and(|d| !d.is_empty()),
                "{at}"
            );
            assert!(
                operation.operation_id.is_some() && operation.tags.is_some(),
                "{at}"
            );
            assert!(!operation.responses.responses.is_empty(), "{at}");
        }
    }
}
