//! The dayfly server: listeners, handlers, configuration, telemetry
