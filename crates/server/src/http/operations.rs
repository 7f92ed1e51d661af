//! The operations listener: `/livez`, `/readyz`, `/metrics`.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;

/// The content type of the OpenMetrics text format.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the server takes new work.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadyBody {
    ready: bool,
    /// Why not.
    reasons: Vec<String>,
}

/// Says that the process answers
///
/// Never depends on the ledger: a restart would not bring it back.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "operations",
    responses((status = 200, description = "The process answers", body = String)),
)]
pub(crate) async fn livez() -> Response {
    (StatusCode::OK, "ok\n").into_response()
}

/// Says whether new work is welcome
///
/// While it is not, key sets, the feed, introspection and revocation are still served.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    responses(
        (status = 200, description = "Ready", body = ReadyBody),
        (status = 503, description = "Not ready, and why", body = ReadyBody),
    ),
)]
pub(crate) async fn readyz(call: Call) -> Response {
    let reasons = call.app.unready();
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = ReadyBody {
        ready: reasons.is_empty(),
        reasons,
    };
    let mut response = (status, axum::Json(body)).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Metrics in the OpenMetrics text format
///
/// No label comes from a request.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(call: Call) -> Response {
    call.app.refresh_gauges();
    let mut response = (StatusCode::OK, call.app.metrics.text()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
