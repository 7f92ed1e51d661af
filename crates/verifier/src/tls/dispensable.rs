use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Connections that give way to newer ones when there are too many, the oldest first: handshakes under way, and
/// connections that nothing is asked on.
///
/// An honest handshake ends within a round trip or two, so the oldest is the likeliest to be a stalled one; and who
/// was silent for longest loses least. So newcomers always get their turn.
pub(super) struct Dispensable {
    limit: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// Oldest first.
    open: BTreeMap<u64, Arc<Notify>>,
}

/// One that may have to give way; no more so when dropped.
pub(super) struct Place {
    of: Arc<Dispensable>,
    number: u64,
    given_up: Arc<Notify>,
}

impl Dispensable {
    /// At most `limit` at once.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            waiting: Mutex::default(),
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Place {
        self.begin_as(Arc::new(Notify::new()))
    }

    /// Like `begin`, and tells `given_up` if it has to give way.
    pub(super) fn begin_as(self: &Arc<Self>, given_up: Arc<Notify>) -> Place {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.open.len() >= self.limit {
            waiting.give_up_oldest();
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.open.insert(number, Arc::clone(&given_up));
        Place {
            of: Arc::clone(self),
            number,
            given_up,
        }
    }

    /// Makes the oldest give way, if there is any.
    pub(super) fn give_up_oldest(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.give_up_oldest();
    }
}

impl Waiting {
    fn give_up_oldest(&mut self) {
        if let Some((_, oldest)) = self.open.pop_first() {
            oldest.notify_one();
        }
    }
}

impl Place {
    /// Comes back when it has to give way.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open
            .remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way() {
        let handshakes = Dispensable::new(2);
        let (first, second) = (handshakes.begin(), handshakes.begin());
        let third = handshakes.begin();
        first.given_up().await;
        drop(third);
        let _fourth = handshakes.begin();
        let waited = tokio::time::timeout(Duration::from_millis(20), second.given_up()).await;
        assert!(waited.is_err(), "a place was free again");
        handshakes.give_up_oldest();
        second.given_up().await;
    }
}
