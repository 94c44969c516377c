//! What a function may import: one module for each capability, and the state of an instance.
