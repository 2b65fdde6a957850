use std::sync::Arc;

use bookworm_fleet::HEADER;
use bookworm_monitor::{Dependencies, MonitorService};
use bookworm_rpc::Sign;

use crate::{foundation::Foundation, part::Part};

pub fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    // A registry that is not shared knows this process alone: there is nobody to judge.
    let sign = foundation.nats.as_ref().and(foundation.fleet.token.clone()).map(|token| -> Sign {
        Arc::new(move |head| drop(head.headers.insert(HEADER, token.pass(&head.method, &head.uri))))
    });
    let service = MonitorService::new(Dependencies {
        registry: foundation.registry.clone(),
        directory: foundation.directory.clone(),
        peers: foundation.peers.clone(),
        sign,
        clock: foundation.clock.clone(),
        process: foundation.fleet.instance.clone(),
        history_bytes: foundation.settings.monitor.history_mib as usize * 1024 * 1024,
    })?;
    let (watching, stopped) = (service.clone(), service.clone());
    Ok(Part {
        api: service.api(),
        processes: service.internal(),
        loops: service.loops(),
        on_vitals: vec![Box::new(move |own| watching.watch(own))],
        on_stop: vec![Box::pin(async move { stopped.stop() })],
        ..Part::default()
    })
}
