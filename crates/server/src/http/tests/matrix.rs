//! Every cell of the authorization table, tried on the real router.

use axum::body::Body;
use dayfly_lab::Svid;
use http::{Request, header};
use serde_json::json;

use super::{SocketPeer, World, send, with_peer};
use crate::authz::{Access, CallerKind, Listener, Row, TABLE, Verdict};

/// The request of a row that a caller with every right may make.
fn request(row: &Row, world: &World, bearer: Option<&str>) -> Request<Body> {
    let path = row
        .path
        .replace("{owner}", "payments")
        .replace("{task}", "matrix")
        .replace("{id}", "QAAAAAAAAAAAAAAAAAAAAA");
    let body = match row.path {
        "/v1/tasks" => json!({ "task": "payments/declared" }).to_string(),
        "/v1/revocations" if row.method == "POST" => match row.variant {
            "hold, lift" => json!({ "action": "lift", "kind": "owner", "value": "payments" }),
            "revoke key" => json!({ "action": "revoke", "kind": "key", "value": "no-such-kid" }),
            _ => json!({ "action": "cut_off", "kind": "task", "value": "payments/other" }),
        }
        .to_string(),
        "/oauth2/introspect" => "token=unknown".to_owned(),
        _ => String::new(),
    };
    let kind = if row.path.starts_with("/oauth2") || row.path == "/v1/x509" {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    let base = if row.listener == Listener::Operations {
        ""
    } else {
        &world.base
    };
    let mut request = Request::builder()
        .method(row.method)
        .uri(format!("{base}{path}"))
        .header(header::CONTENT_TYPE, kind);
    if let Some(bearer) = bearer {
        request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
    }
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn every_cell_holds() {
    let world = World::new().await;
    let console = world.svid("platform/console");
    let limited = world.svid("platform/billing-admin");
    let plain = world.svid("payments/worker");
    let operator = world.svid("payments/api");
    for row in TABLE {
        // What proves itself by the request is tried by the tests of the grants.
        let by_itself = matches!(row.access, Access::Evidence | Access::Possession);
        for kind in CallerKind::ALL {
            let peer: Option<&Svid> = match kind {
                CallerKind::Anonymous | CallerKind::Socket => None,
                CallerKind::Workload => Some(&plain),
                CallerKind::OtherOwner => Some(&limited),
                CallerKind::Scope => Some(&console),
                CallerKind::Holder if matches!(row.access, Access::ScopeOrOperator(_)) => {
                    Some(&operator)
                }
                CallerKind::Holder
                    if matches!(row.access, Access::Scope(_) | Access::ScopeOverOwn(_)) =>
                {
                    Some(&plain)
                }
                CallerKind::Holder => None,
            };
            if by_itself && kind != CallerKind::Socket {
                continue;
            }
            check(row, kind, peer, &world).await;
        }
    }
}

async fn check(row: &Row, kind: CallerKind, peer: Option<&Svid>, world: &World) {
    let at = format!("{} {} ({}) {kind:?}", row.method, row.path, row.variant);
    if matches!(
        (kind, row.access),
        (CallerKind::Holder, Access::ScopeOrTask(_))
    ) {
        return check_holder_of_the_task(row, world, &at).await;
    }
    let mut request = with_peer(request(row, world, None), peer);
    let router = match kind {
        CallerKind::Socket => {
            request.extensions_mut().insert(SocketPeer { uid: 0 });
            &world.socket
        }
        _ if row.listener == Listener::Operations => &world.operations,
        _ => &world.public,
    };
    if row.path == "/v1/feed/stream" {
        // The answer never ends.
        let response = tower::ServiceExt::oneshot(router.clone(), request)
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{at}");
        return;
    }
    let answer = send(router, request).await;
    let status = answer.status.as_u16();
    match row.verdict(kind) {
        // A record that is not there is 404 to whoever may see it.
        Verdict::Allow => assert!(matches!(status, 200 | 201 | 404), "{at}: {status}"),
        Verdict::Deny => assert_eq!(status, 403, "{at}"),
        Verdict::Own => assert_eq!(status, 200, "{at}"),
        Verdict::Ignored => assert_eq!((status, answer.body.len()), (200, 0), "{at}"),
        Verdict::Inactive => {
            assert_eq!(
                (status, answer.json()),
                (200, json!({ "active": false })),
                "{at}"
            );
        }
        Verdict::Unauthenticated => {
            assert_eq!(status, 401, "{at}");
            assert!(
                answer.header("www-authenticate").starts_with("Bearer"),
                "{at}"
            );
        }
        Verdict::NotServed => assert_eq!(status, 404, "{at}"),
    }
}

async fn check_holder_of_the_task(row: &Row, world: &World, at: &str) {
    let task = format!(
        "held-{}",
        if row.path.ends_with("revoke") {
            "r"
        } else {
            "c"
        }
    );
    let token = world.ci_access(&task).await.text("access_token");
    let mut request = request(row, world, Some(&token));
    *request.uri_mut() = request
        .uri()
        .path()
        .replace("matrix", &task)
        .parse()
        .unwrap();
    assert_eq!(send(&world.public, request).await.status, 200, "{at}");
}
