//! Components that other people's tools made and that know no Rimward serve unchanged: JavaScript, Python, Rust with
//! plain `wstd`, and `wasi:http` 0.3. What npm and pip would have to provide is made by `cargo xtask setup`; where it
//! could not be had, its tests report themselves as not run.

mod foreign;
mod javascript;
mod python;
mod wasi_http_03;
mod wstd;
