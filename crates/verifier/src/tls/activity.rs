use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::dispensable::{Dispensable, Place};

/// Whether a connection does anything. HTTP/2 has no timer for a peer that answers pings and asks nothing.
#[derive(Clone)]
pub(super) struct Activity {
    state: Arc<Mutex<State>>,
    idle: Arc<Dispensable>,
    given_up: Arc<Notify>,
}

struct State {
    under_way: usize,
    idle_since: Instant,
    /// Among the idle ones, while nothing is under way.
    place: Option<Place>,
}

/// One request under way, from its head to the end of its answer.
pub(super) struct Busy(Activity);

impl Activity {
    /// A connection that is idle, among all that are.
    pub(super) fn new(idle: Arc<Dispensable>) -> Self {
        let given_up = Arc::new(Notify::new());
        let place = idle.begin_as(Arc::clone(&given_up));
        Self {
            state: Arc::new(Mutex::new(State {
                under_way: 0,
                idle_since: Instant::now(),
                place: Some(place),
            })),
            idle,
            given_up,
        }
    }

    pub(super) fn begin(&self) -> Busy {
        let mut state = self.state();
        state.under_way += 1;
        state.place = None;
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

    /// Comes back when this idle connection has to give way to a newer one.
    pub(super) async fn given_up(&self) {
        loop {
            self.given_up.notified().await;
            // A request may have come in the same moment; then it is another one's turn.
            if self.state().under_way == 0 {
                return;
            }
        }
    }

    fn idle_since(&self) -> Instant {
        let state = self.state();
        if state.under_way > 0 {
            Instant::now()
        } else {
            state.idle_since
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Self(activity) = self;
        let mut state = activity.state();
        state.under_way -= 1;
        state.idle_since = Instant::now();
        if state.under_way == 0 {
            state.place = Some(activity.idle.begin_as(Arc::clone(&activity.given_up)));
        }
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
