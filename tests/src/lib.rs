//! The test harness and the end-to-end tests.
