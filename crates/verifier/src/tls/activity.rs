use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// Whether a connection does anything. HTTP/2 has no timer for a peer that answers pings and asks nothing.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    under_way: usize,
    idle_since: Instant,
}

/// One request under way, from its head to the end of its answer.
pub(super) struct Busy(Activity);

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            under_way: 0,
            idle_since: Instant::now(),
        })))
    }

    pub(super) fn begin(&self) -> Busy {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .under_way += 1;
        Busy(self.clone())
    }

    /// Comes back once nothing was under way for so long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let until = self.idle_since() + limit;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn idle_since(&self) -> Instant {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.under_way > 0 {
            Instant::now()
        } else {
            state.idle_since
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.under_way -= 1;
        state.idle_since = Instant::now();
    }
}

/// An answer's body that keeps its request under way until it is sent or given up.
pub(super) struct BusyBody<B> {
    body: Pin<Box<B>>,
    _busy: Busy,
}

impl<B> BusyBody<B> {
    pub(super) fn new(body: B, busy: Busy) -> Self {
        Self {
            body: Box::pin(body),
            _busy: busy,
        }
    }
}

impl<B: Body> Body for BusyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
