//! What an attacker sends from outside: malformed requests, certificates that are almost SVIDs,
//! tokens that are almost tokens, and the search for secrets afterwards.

mod assertions;
mod drain;
mod floods;
mod forgery;
mod forms;
mod issuers;
mod metrics;
mod reload;
mod routes;
mod secrets;
mod starts;
mod svids;
mod tls;
mod tokens;

use dayfly_lab::Svid;

use crate::harness::{Connection, Form, LEDGER_API, PAYMENTS_API, Reply, Scene};

/// A connection, with a client certificate or without.
async fn connect(scene: &Scene, svid: Option<&Svid>) -> Connection {
    let config = scene.world.tls.client_config(svid).unwrap();
    Connection::open(&scene.server.url, config).await.unwrap()
}

/// One request with these header lines, over a connection of its own.
async fn send(
    scene: &Scene,
    svid: Option<&Svid>,
    first: &str,
    headers: &[&str],
    body: impl AsRef<[u8]>,
) -> std::io::Result<Reply> {
    connect(scene, svid)
        .await
        .request(first, headers, body.as_ref())
        .await
}

/// What `payments/worker` sends.
fn worker_form(svid: &Svid) -> Form {
    Form::client_credentials(&svid.spiffe_id, PAYMENTS_API)
}

/// Asserts that honest callers are still served, and that nothing has panicked meanwhile.
pub async fn still_serves(scene: &Scene) {
    let svid = scene.world.svid("payments/worker");
    scene
        .server
        .token(Some(&svid), &worker_form(&svid))
        .await
        .access_token();
    let metrics = metrics::text(scene).await;
    assert!(
        metrics.contains("dayfly_panics_total 0"),
        "a panic\n{metrics}"
    );
}

/// A bearer token of `books/clerk`.
async fn bearer(scene: &Scene) -> String {
    let svid = scene.world.svid("books/clerk");
    let form = Form::client_credentials(&svid.spiffe_id, LEDGER_API);
    scene
        .server
        .token(Some(&svid), &form)
        .await
        .access_token()
        .to_owned()
}
