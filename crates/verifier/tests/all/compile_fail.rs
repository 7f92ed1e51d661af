//! What must not compile: claims of an unverified token, and a verified token that nothing verified.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
