//! One suite for both stores, and what each must stand by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod audit;
mod control;
mod draft;
mod embedded;
mod follower;
mod issuing;
mod redis;
mod redis_life;
mod store;
mod tls;

/// Runs each test of a module against both stores.
macro_rules! against_both {
    ($($name:ident),+ $(,)?) => {
        mod on_redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(&crate::store::Store::redis()).await;
                }
            )+
        }
        mod on_embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(&crate::store::Store::embedded()).await;
                }
            )+
        }
    };
}
pub(crate) use against_both;
