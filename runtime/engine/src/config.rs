//! The settings of the two wasmtime engines. Called once at start, and once in a compiling process, which must come to
//! the same code-generation settings: whatever changes generated code is in [`Settings::code_key`], and so in cache keys.

use crate::code::Generation;
use crate::pool::PoolSize;
use crate::{features, limits};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails,
};

/// What the operator may choose about the engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How guests get their memory.
    pub pool: PoolSize,
    /// Memory that live guests may hold together, bytes; bounds what the pool keeps resident.
    pub memory_budget_bytes: u64,
    /// Linear memory of the largest guest that is allowed, bytes.
    pub memory_max_bytes: usize,
    /// Whether components of `wasi:http` 0.3 and others with async imports may be loaded.
    pub concurrent: bool,
    /// Whether a fiber's stack is cleared before the next guest uses it.
    pub stack_zeroing: StackZeroing,
    /// Threads for guests that did not yield in time; as many as cores by default.
    pub hog_threads: usize,
}

/// Whether a fiber's stack is cleared between guests.
///
/// Off by default: a guest cannot read its native stack, only code that the compiler generated wrongly could. On costs
/// about 10 microseconds for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackZeroing {
    /// Cleared before each use.
    On,
    /// Left as it is.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pool: PoolSize::Probe,
            memory_budget_bytes: crate::pool::Machine::probe().memory_bytes / 2,
            memory_max_bytes: 4 << 30,
            concurrent: true,
            stack_zeroing: StackZeroing::Off,
            hog_threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// The name of the engine of this build and `generation`, for files of precompiled code: only letters, digits, `-` and `.`.
pub fn precompiled_key(generation: Generation) -> String {
    let wasmtime = env!("RIMWARD_WASMTIME_VERSION");
    format!("wasmtime-{wasmtime}-{}-{}", generation.name(), std::env::consts::ARCH)
}

impl Settings {
    /// Everything that changes generated code, as text: part of a compiled component's cache key.
    pub fn code_key(generation: Generation) -> String {
        format!(
            "wasmtime {}; {}; speed; epochs; features 2",
            env!("RIMWARD_WASMTIME_VERSION"),
            generation.name()
        )
    }

    /// The configuration under which code of `generation` is compiled and run; `slots` says how many guests the pool
    /// holds, `None` that every guest gets memory of its own.
    pub(crate) fn config(&self, generation: Generation, slots: Option<u32>) -> Config {
        let mut config = code_config(generation);
        config
            .async_stack_zeroing(self.stack_zeroing == StackZeroing::On)
            .wasm_backtrace_details(WasmBacktraceDetails::Disable)
            .memory_init_cow(true);
        if let Some(slots) = slots {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(self.pooling(generation, slots)));
        }
        config
    }

    fn pooling(&self, generation: Generation, slots: u32) -> PoolingAllocationConfig {
        let share =
            usize::try_from(self.memory_budget_bytes / 4 / u64::from(slots.max(1))).unwrap_or(usize::MAX);
        let keep_resident = share.min(limits::KEEP_RESIDENT_BYTES);
        let mut pool = PoolingAllocationConfig::new();
        let stacks = match generation {
            Generation::Plain => slots,
            Generation::Concurrent => slots.saturating_mul(limits::SLOT_STACKS) + limits::RESERVED_STACKS,
        };
        pool.total_component_instances(slots)
            // Only counted: every slot may hold the largest component.
            .total_core_instances(slots.saturating_mul(limits::CORE_INSTANCES))
            .total_memories(slots.saturating_mul(limits::SLOT_MEMORIES) + limits::RESERVED_MEMORIES)
            .total_tables(slots.saturating_mul(limits::SLOT_TABLES) + limits::RESERVED_TABLES)
            .max_memories_per_module(1)
            .max_tables_per_module(1)
            .total_stacks(stacks)
            .max_memory_size(self.memory_max_bytes)
            .table_elements(limits::POOLED_TABLE_ELEMENTS)
            .max_core_instance_size(limits::CORE_INSTANCE_BYTES)
            .max_component_instance_size(limits::CORE_INSTANCE_BYTES)
            .max_core_instances_per_component(limits::CORE_INSTANCES)
            .max_memories_per_component(limits::MEMORIES)
            .max_tables_per_component(limits::TABLES)
            .linear_memory_keep_resident(keep_resident)
            .table_keep_resident(limits::TABLE_KEEP_RESIDENT_BYTES)
            .pagemap_scan(Enabled::Auto);
        pool
    }
}

/// What decides about generated code; the same in the serving and in the compiling process.
pub(crate) fn code_config(generation: Generation) -> Config {
    let mut config = Config::new();
    features::switch_off_others(&mut config, generation);
    config
        .epoch_interruption(true)
        .max_wasm_stack(limits::WASM_STACK_BYTES)
        .async_stack_size(limits::FIBER_STACK_BYTES)
        .concurrency_support(generation == Generation::Concurrent);
    if generation == Generation::Concurrent {
        config.wasm_component_model_async(true);
    }
    #[cfg(feature = "compile")]
    config.cranelift_opt_level(OptLevel::Speed);
    #[cfg(not(feature = "compile"))]
    let _ = OptLevel::Speed;
    config
}
