//! What `tonic-prost-build` would write from an `orders.proto`, here by hand and with text instead of protobuf, so that
//! the example needs no compiler.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tower::Service;

/// The server side of `service shop.Orders { rpc Place(…) returns (…); }`.
#[derive(Clone)]
pub struct OrdersServer<P> {
    place: P,
}

impl<P> OrdersServer<P> {
    pub const fn new(place: P) -> Self {
        Self { place }
    }
}

impl<P> NamedService for OrdersServer<P> {
    const NAME: &'static str = "shop.Orders";
}

impl<P, F> Service<http::Request<Body>> for OrdersServer<P>
where
    P: Fn(Request<String>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<String>, Status>> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != "/shop.Orders/Place" {
            return Box::pin(async { Ok(Status::unimplemented("").into_http()) });
        }
        let place = tower::service_fn(self.place.clone());
        Box::pin(async move { Ok(tonic::server::Grpc::new(Text).unary(place, request).await) })
    }
}

/// The client side of `Place`.
pub async fn place(
    channel: &Channel,
    request: Request<String>,
) -> Result<Response<String>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    let ready = client.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/shop.Orders/Place");
    client.unary(request, path, Text).await
}

#[derive(Clone, Copy)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let text = String::from_utf8(bytes.into());
        text.map(Some).map_err(|_| Status::internal("not text"))
    }
}
