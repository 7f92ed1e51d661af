use dayfly_verifier::UnverifiedToken;

fn main() {
    let token = UnverifiedToken::new("a.b.c");
    let _ = token.claims();
    let _ = token.subject();
}
