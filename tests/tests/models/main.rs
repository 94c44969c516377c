//! Models beside what others make of the same: ONNX Runtime, a real KServe server and its clients.
//!
//! The packages come from PyPI into a virtual environment in the cache folder, which `python3` makes. That takes a minute, so
//! all of it is in the slow tier.

mod kserve;
mod onnxruntime;
mod python;
