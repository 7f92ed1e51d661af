use dayfly_verifier::{UnverifiedToken, Verified};

fn deploy(caller: &Verified) -> &str {
    caller.subject()
}

fn main() {
    let token = UnverifiedToken::new("a.b.c");
    deploy(&token);
}
