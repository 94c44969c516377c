//! Measuring programs: each prints a table of ratios to something run beside it.
