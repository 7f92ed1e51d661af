//! Logs: set up once, with a cap that no setting lifts.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, FilterFn, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable with the filter, in the syntax of `RUST_LOG`.
pub const FILTER_VARIABLE: &str = "DAYFLY_LOG";

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people at a terminal.
    Plain,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter in {FILTER_VARIABLE} cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logs were set up before.
    #[error("logs were set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logs to standard error; `filter` is what [`FILTER_VARIABLE`] holds, `info` if nothing.
///
/// # Errors
/// If the filter cannot be read, or logs were set up before.
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter.unwrap_or("info"))?.and(cap());
    let registry = tracing_subscriber::registry();
    match format {
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .with_writer(std::io::stderr);
            registry.with(layer.with_filter(filter)).try_init()?;
        }
        LogFormat::Plain => {
            let layer = tracing_subscriber::fmt::layer()
                .with_target(false)
                .with_writer(std::io::stderr);
            registry.with(layer.with_filter(filter)).try_init()?;
        }
    }
    report_panics_without_payload();
    Ok(())
}

/// Below INFO the libraries underneath print headers, frames and bodies, and so tokens. Only our
/// own code may say more, whatever the filter asks for.
fn cap() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    filter_fn(within_cap)
}

fn within_cap(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || is_ours(metadata.target())
}

fn is_ours(target: &str) -> bool {
    target == "dayfly" || target.starts_with("dayfly_")
}

/// A panic's message can quote what was being handled. The log gets the place alone.
fn report_panics_without_payload() {
    std::panic::set_hook(Box::new(|info| {
        let (file, line) = info
            .location()
            .map_or(("unknown", 0), |at| (at.file(), at.line()));
        tracing::error!(
            file,
            line,
            "a panic: this is a bug, please report it with this line"
        );
    }));
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_stay_at_info_whatever_the_filter_says() {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = EnvFilter::try_new("trace,hyper::proto::h1=trace,h2=trace").unwrap();
        let layer = tracing_subscriber::fmt::layer()
            .json()
            .with_writer(move || writer.clone())
            .with_filter(filter.and(cap()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::trace!(target: "hyper::proto::h1", "authorization: Bearer canary-1");
            tracing::debug!(target: "h2::frame", "canary-2");
            tracing::debug!(target: "dayflyx", "canary-3");
            tracing::info!(target: "hyper", "kept-1");
            tracing::trace!(target: "dayfly_server::http", "kept-2");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("kept-1") && text.contains("kept-2"), "{text}");
    }
}
