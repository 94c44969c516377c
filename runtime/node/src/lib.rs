//! One node: the request path, routes, admission, revisions and telemetry.
