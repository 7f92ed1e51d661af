use dayfly_verifier::{Freshness, Verified};

fn main() {
    let _ = Verified { freshness: Freshness::Fresh };
    let _ = Verified::default();
}
