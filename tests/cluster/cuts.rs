//! The line to Redis is cut in the middle of a reply, at one byte after the other.

use dayfly_ledger::testing::{Proxy, RedisServer};

use super::load::Seen;
use super::{Bench, assert_recorded};
use crate::harness::{Store, eventually};

/// The reply to a record has about a dozen bytes; what comes before it on other connections, and
/// what a new connection says at first, some hundred.
fn offsets() -> impl Iterator<Item = usize> {
    (0..40).chain((40..640).step_by(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_breaks_off_is_no_reply() {
    let redis = RedisServer::start();
    let line = Proxy::start(redis.address()).await;
    let bench = Bench::start(&Store::Redis(line.url()), &["load/one"]).await;
    let agent = bench.agent("load/one");
    let mut seen = Seen::default();
    let mut hit = 0;
    for offset in offsets() {
        while !seen.ask(&agent).await {}
        line.cut_after(offset);
        let refused = seen.refusals.len();
        for _ in 0..3 {
            seen.ask(&agent).await;
        }
        hit += usize::from(seen.refusals.len() > refused);
        line.mend();
    }
    assert!(hit > 10, "{hit} cuts hit a request");
    assert!(
        seen.tokens.len() > 10,
        "{} requests were granted",
        seen.tokens.len()
    );
    assert_eq!(seen.broken, 0, "every request was answered");
    seen.assert_bounded("the line is cut");
    assert_recorded(&redis, &seen.tokens);
    bench.server.ready(true).await;
    // What was recorded and then refused is marked as never released, as soon as that is possible.
    eventually(
        "no record stands for a credential that nobody got",
        async || (live_records(&redis) == seen.tokens.len()).then_some(()),
    )
    .await;
    println!(
        "cluster: {hit} cuts hit a request, {} were granted",
        seen.tokens.len()
    );
}

/// How many records say that their credential may have been released.
fn live_records(redis: &RedisServer) -> usize {
    let mut store = super::store_of(redis);
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("{df0}:issuance:*")
        .query(&mut store)
        .unwrap();
    let mut pipe = redis::pipe();
    for key in &keys {
        pipe.cmd("GETRANGE").arg(key).arg(0).arg(0);
    }
    let states: Vec<String> = pipe.query(&mut store).unwrap();
    states.iter().filter(|state| *state == "R").count()
}
