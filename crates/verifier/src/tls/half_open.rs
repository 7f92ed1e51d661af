use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The handshakes under way. When there are too many the oldest is given up: an honest handshake ends within a
/// round trip or two, so the oldest is the likeliest to be a stalled one, and newcomers always get their turn.
pub(super) struct HalfOpen {
    limit: usize,
    handshakes: Mutex<Handshakes>,
}

#[derive(Default)]
struct Handshakes {
    next: u64,
    /// Oldest first.
    open: BTreeMap<u64, Arc<Notify>>,
}

/// One handshake under way; ends when dropped.
pub(super) struct Handshake {
    of: Arc<HalfOpen>,
    number: u64,
    given_up: Arc<Notify>,
}

impl HalfOpen {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            handshakes: Mutex::default(),
        })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Handshake {
        let given_up = Arc::new(Notify::new());
        let mut handshakes = self
            .handshakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while handshakes.open.len() >= self.limit {
            if let Some((_, oldest)) = handshakes.open.pop_first() {
                oldest.notify_one();
            }
        }
        let number = handshakes.next;
        handshakes.next += 1;
        handshakes.open.insert(number, Arc::clone(&given_up));
        Handshake {
            of: Arc::clone(self),
            number,
            given_up,
        }
    }
}

impl Handshake {
    /// Comes back when the handshake is given up for a newer one.
    pub(super) async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.of
            .handshakes
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
        let half_open = HalfOpen::new(2);
        let (first, second) = (half_open.begin(), half_open.begin());
        let third = half_open.begin();
        first.given_up().await;
        drop(third);
        let _fourth = half_open.begin();
        let waited = tokio::time::timeout(Duration::from_millis(20), second.given_up()).await;
        assert!(waited.is_err(), "a place was free again");
    }
}
