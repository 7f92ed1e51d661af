#![allow(
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "scratch"
)]
use dayfly_keys::{Algorithm, SigningKey};
use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::*;
fn main() {
    let now = UnixTime::from_secs(1_800_000_000);
    let key = SigningKey::from_seed(Algorithm::EdDsa, &[7; 32].into()).unwrap();
    let a = TestAuthority::with_key("https://sts.example.org", key).unwrap();
    let t = a
        .token("https://payments.internal")
        .subject("spiffe://sts.example.org/payments/deploy")
        .scope("deploy:write deploy:read")
        .task("payments/deploy-4711")
        .mint(now)
        .unwrap();
    let v = a
        .verifier("https://payments.internal")
        .cached_tokens(0)
        .revocation(RevocationSource::Bundle)
        .build()
        .unwrap();
    v.revocations().heard(now);
    let payload = {
        let c = dayfly_token::Compact::split(&t).unwrap();
        c.payload_bytes().unwrap()
    };
    let n = 400_000u32;
    let only = std::env::args().nth(1);
    let time = |name: &str, f: &dyn Fn()| {
        if only.as_deref().is_some_and(|only| only != name) {
            return;
        }
        for _ in 0..1000 {
            f();
        }
        let s = std::time::Instant::now();
        for _ in 0..n {
            f();
        }
        println!(
            "{name}: {:.0} ns",
            s.elapsed().as_nanos() as f64 / f64::from(n)
        );
    };
    let claims = dayfly_token::Claims::parse(&payload).unwrap();
    time("split", &|| {
        std::hint::black_box(dayfly_token::Compact::split(&t).unwrap());
    });
    time("base64", &|| {
        let c = dayfly_token::Compact::split(&t).unwrap();
        std::hint::black_box(c.payload_bytes().unwrap());
    });
    time("claims", &|| {
        std::hint::black_box(dayfly_token::Claims::parse(&payload).unwrap());
    });
    time("serde alone", &|| {
        std::hint::black_box(serde_json::from_slice::<dayfly_token::Claims>(&payload).unwrap());
    });
    time("marks", &|| {
        std::hint::black_box(revocation::Facts::of("kid", &claims).marks());
    });
    time("sha", &|| {
        std::hint::black_box(dayfly_keys::sha256(b"owner/workload and more"));
    });
    let (m, s) = t.rsplit_once('.').unwrap();
    let sig = dayfly_token::base64url::decode(s).unwrap();
    let k = a.token_key().verifying_key().clone();
    time("signature", &|| {
        k.verify(m.as_bytes(), &sig).unwrap();
    });
    time("all", &|| {
        std::hint::black_box(
            v.verify(UnverifiedToken::new(&t), &Presented::NOTHING, now)
                .unwrap(),
        );
    });
}
