//! The `rimward` command.

fn main() {}
