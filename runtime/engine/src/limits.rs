//! The engine's named bounds: unit, default and reason. Each has a test at the limit and just past it, in this crate or in
//! the whole-node tests.

use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How often running guests are interrupted to look at the time. One tick is the longest that a guest can keep the
/// thread that accepted it from its other work.
pub const TICK: Duration = Duration::from_millis(1);

/// Ticks that the ticker goes on after the last guest stopped, so that a busy node does not park and wake it for every
/// request.
pub const TICKS_BEFORE_PARKING: u32 = 20;

/// CPU time that an owner may save up, as time at its own rate: who did nothing for a while answers a burst at once.
pub const CPU_BURST: Duration = Duration::from_millis(100);

/// Stack that wasm code may use, bytes. wasmtime's default; deeper recursion traps.
pub const WASM_STACK_BYTES: usize = 512 * KIB;

/// Stack of the fiber that a guest runs on, bytes: wasm's part and at least 1 MiB for host functions called at its end.
pub const FIBER_STACK_BYTES: usize = 2 * MIB;

/// Bytes that a guest may hand to the host in one call (strings and lists), where nothing else was said. More than a body chunk and a full header
/// block need; small enough that every running guest doing it at once stays affordable.
pub const HOST_CALL_BYTES: usize = 4 * MIB;

/// Live component handles (resources, streams, futures) of one instance, and entries of each of the host's tables for
/// them, where nothing else was said. Programs use tens; a leak traps here.
pub const HANDLES: usize = 5_000;

/// Table elements of one instance, summed over its tables, where nothing else was said. Python and JavaScript components use over 10,000.
pub const TABLE_ELEMENTS: usize = 100_000;

/// Elements that one pooled table can hold. wasmtime's own default, enough for the interpreters in use.
pub const POOLED_TABLE_ELEMENTS: usize = 20_000;

/// Core instances that one component may have. A Python component has about 30, one per shared library.
pub const CORE_INSTANCES: u32 = 200;

/// Linear memories that one component may have, one for each of its modules. A composition has one for each part.
pub const MEMORIES: u32 = 16;

/// Tables that one component may have, one for each of its modules. A program has two or three.
pub const TABLES: u32 = 64;

/// Linear memories that each slot of the pool has: a program's, and one of what it is composed with.
pub const SLOT_MEMORIES: u32 = 2;

/// Tables that each slot of the pool has.
pub const SLOT_TABLES: u32 = 4;

/// Linear memories that components with more than [`SLOT_MEMORIES`] share: one of the largest at a time. Each takes 4 GiB of
/// address space, of which small boards have 512.
pub const RESERVED_MEMORIES: u32 = MEMORIES;

/// Tables that components with more than [`SLOT_TABLES`] share.
pub const RESERVED_TABLES: u32 = 2 * TABLES;

/// Metadata of one core instance, bytes. JavaScript engines have large tables of functions and globals.
pub const CORE_INSTANCE_BYTES: usize = 4 * MIB;

/// Memory of a guest where nothing else was said, bytes.
pub const MEMORY_BYTES: usize = 128 * MIB;

/// CPU time of one invocation where nothing else was said.
pub const CPU: Duration = Duration::from_secs(1);

/// Linear memory that a pooled slot keeps resident between guests at the most, bytes. Only useful together with page-map
/// scanning, which finds the pages that were touched.
pub const KEEP_RESIDENT_BYTES: usize = 10 * MIB;

/// Table bytes that a pooled slot keeps resident.
pub const TABLE_KEEP_RESIDENT_BYTES: usize = MIB;

/// Slots of the pool at the least: below this the pool is not worth its reservation.
pub const SLOTS_MIN: u32 = 4;

/// Slots of the pool at the most: a thousand slots cost 8 ms at start.
pub const SLOTS_MAX: u32 = 1_024;

/// Slots for each core, where nothing else was said: guests that wait for an upstream hold one without using CPU.
pub const SLOTS_PER_CORE: u32 = 64;

/// Memory that one slot is taken to need when slots are derived from the memory of the machine, bytes.
pub const SLOT_MEMORY_BYTES: u64 = 8 << 20;

/// Invocations that a function which overran its tick is started on the shared pool for, until it behaves.
pub const SUSPECT_INVOCATIONS: u8 = 8;

/// Component size that is compiled at the most, bytes. The largest interpreters in use are 20 MB.
pub const COMPONENT_BYTES: usize = 100 * MIB;

/// Instantiations of components that one component with an async ABI may have in it, at all depths: each may wait on a
/// native stack of its own. Tools make one for each export, and one for each part of a composition.
pub const PARTS: usize = 8;

/// Native stacks that an instance with so many [`PARTS`] may wait on at the most. They multiply where they lie in one
/// another: of eight, three that have two each that have two each that have one are 1 + 3 + 6 + 12 + 12.
pub const STACKS_OF_PARTS: [u32; PARTS + 1] = [1, 2, 3, 5, 7, 11, 16, 23, 34];

/// Native stacks that each slot of the pool has: enough for three parts. A program has one for each interface that it
/// exports.
pub const SLOT_STACKS: u32 = 5;

/// Native stacks that components with more than [`SLOT_STACKS`] share: two of the largest at a time.
pub const RESERVED_STACKS: u32 = 64;

/// Components and modules inside of one another. Compositions of a few components have three or four levels; the time that
/// the validator takes grows with the square of the depth, and compiling, loading and dropping go as deep on their stacks.
pub const COMPONENT_NESTING: usize = 64;

/// CPU time that compiling one component may take. A 13 MB JavaScript component takes 20 s here, ten times that on a board.
pub const COMPILE_CPU: Duration = Duration::from_secs(600);

/// Wall time that compiling one component may take.
pub const COMPILE_WALL: Duration = Duration::from_secs(900);

/// Address space of a compiling process, bytes.
pub const COMPILE_MEMORY_BYTES: u64 = 1536 << 20;

/// Code that a compiling process writes at the most, bytes: what is larger could not be cached.
pub const COMPILE_OUTPUT_BYTES: u64 = CACHE_ENTRY_BYTES;

/// Threads of a compiling process: each needs room within [`COMPILE_MEMORY_BYTES`].
pub const COMPILE_THREADS: usize = 4;

/// Niceness of a compiling process. A node that compiles goes on serving, and one that is busy still gets to compile: this
/// is a tenth of a normal process' share, where the lowest priority would be a seventieth, and no component would be
/// ready within [`COMPILE_WALL`].
pub const COMPILE_NICENESS: i32 = 10;

/// Compiled code read from the cache at the most, bytes: larger entries are a miss.
pub const CACHE_ENTRY_BYTES: u64 = 1 << 30;

/// How long a node waits for another process that compiles for the same cache: as long as that one may compile.
pub const CACHE_TURN: Duration = COMPILE_WALL;

/// How often it looks whether the other one is done.
pub const CACHE_TURN_POLL: Duration = Duration::from_millis(20);

/// Age after which a cache entry that is still being written is taken for what a crash has left. Writing takes seconds.
pub const CACHE_HALF_WRITTEN: Duration = Duration::from_secs(60 * 60);
