//! The state of one instance: one field for each capability, the resource table they share, and the meter.

use crate::function::Grants;
use crate::http::{Invocation, Outgoing};
use crate::{clocks, config, keyvalue, limits, logging};
use rimward_engine::{GuestLimits, Meter, Metered, Share, Usage};
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The state of one instance.
pub struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(crate) outgoing: Outgoing,
    pub(crate) config: config::Config,
    pub(crate) keyvalue: keyvalue::KeyValue,
    pub(crate) logging: logging::Logging,
    pub(crate) table: ResourceTable,
    meter: Meter,
}

impl State {
    pub(crate) fn open(
        grants: &Grants,
        guest_limits: GuestLimits,
        share: Arc<Share>,
        invocation: &Invocation,
        usage: Arc<Usage>,
    ) -> Self {
        let logging = logging::open(&grants.logging, invocation);
        let mut table = ResourceTable::new();
        table.set_max_capacity(guest_limits.handles);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits::HEADER_BYTES);
        Self {
            wasi: WasiCtxBuilder::new()
                .stdout(logging.stdout())
                .stderr(logging.stderr())
                .max_random_size(limits::RANDOM_BYTES)
                .wall_clock(clocks::Wall(grants.clocks))
                .monotonic_clock(clocks::Monotonic::start(grants.clocks))
                .build(),
            http,
            outgoing: Outgoing::open(&grants.http, &grants.logging, invocation),
            config: config::open(&grants.config),
            keyvalue: keyvalue::open(&grants.keyvalue),
            logging,
            table,
            meter: Meter::new(guest_limits, usage, share),
        }
    }

    pub(crate) fn share(&self) -> &Share {
        self.meter.share()
    }

    /// From here on the guest runs.
    pub(crate) fn guest_starts(&mut self) {
        self.outgoing.guest_starts();
    }

    /// Another invocation on the same instance: whatever belongs to one invocation is replaced.
    pub(crate) fn reopen(&mut self, grants: &Grants, invocation: &Invocation, usage: Arc<Usage>) {
        self.logging.reopen(invocation);
        self.outgoing = Outgoing::open(&grants.http, &grants.logging, invocation);
        self.meter.start_invocation(usage);
    }

    /// The invocation ended.
    pub(crate) fn close(&mut self) {
        self.logging.close();
    }
}

impl Metered for State {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}
