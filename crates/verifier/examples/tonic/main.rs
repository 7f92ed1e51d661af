//! A gRPC service with tonic: refusals are gRPC statuses, and each method asks for what it needs.
//!
//! ```text
//! cargo run --example tonic --features tonic,http,testing             # a few calls, and what became of them
//! cargo run --example tonic --features tonic,http,testing -- --serve  # stays
//! cargo run --example tonic --features tonic,http,testing -- https://sts.example.org https://orders.internal
//! ```
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example talks, and knows what time it is"
)]

#[allow(unreachable_pub, reason = "a program exports nothing")]
mod orders;

use std::error::Error;
use std::time::SystemTime;

use dayfly_verifier::testing::TestAuthority;
use dayfly_verifier::{RevocationSource, UnixTime, Verifier, tonic::caller_with_scope};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

const AUDIENCE: &str = "https://orders.internal";

async fn place(request: Request<String>) -> Result<Response<String>, Status> {
    let caller = caller_with_scope(&request, "orders:write")?;
    let answer = format!("{} ordered by {}", request.get_ref(), caller.subject());
    Ok(Response::new(answer))
}

async fn serve(verifier: Verifier, listener: TcpListener) -> Result<(), Box<dyn Error>> {
    println!("listening on {}", listener.local_addr()?);
    Server::builder()
        .layer(verifier.layer().grpc())
        .add_service(orders::OrdersServer::new(place))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [issuer, audience] = arguments.as_slice() {
        let verifier = Verifier::from_issuer(issuer)
            .audience(audience)
            .build()
            .await?;
        return serve(verifier, TcpListener::bind("127.0.0.1:50051").await?).await;
    }

    // Stands for your issuer, here and in your tests.
    let authority = TestAuthority::from_seed("https://sts.example.org", [7; 32])?;
    let verifier = authority
        .verifier(AUDIENCE)
        .revocation(RevocationSource::None)
        .build()?;
    if arguments.iter().any(|argument| argument == "--serve") {
        return serve(verifier, TcpListener::bind("127.0.0.1:50051").await?).await;
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        serve(verifier, listener)
            .await
            .map_err(|error| error.to_string())
    });
    let channel = Channel::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let reader = authority.token(AUDIENCE).scope("orders:read").mint(now())?;
    let writer = authority
        .token(AUDIENCE)
        .scope("orders:write")
        .mint(now())?;
    for (who, token) in [
        ("nobody", None),
        ("a reader", Some(reader)),
        ("a writer", Some(writer)),
    ] {
        let mut request = Request::new("two pens".to_owned());
        if let Some(token) = token {
            request
                .metadata_mut()
                .insert("authorization", format!("Bearer {token}").parse()?);
        }
        match orders::place(&channel, request).await {
            Ok(response) => println!("{who}: {}", response.get_ref()),
            Err(status) => {
                println!("{who}: {:?}", status.code());
                if let Some(challenge) = status.metadata().get("www-authenticate") {
                    println!("    {}", challenge.to_str()?);
                }
            }
        }
    }
    Ok(())
}

/// Only programs read the clock; the verifier is told what time it is.
fn now() -> UnixTime {
    SystemTime::now().into()
}
