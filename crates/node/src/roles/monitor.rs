use bookworm_monitor::{Dependencies, MonitorService};

use crate::{foundation::Foundation, part::Part};

pub fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    let service = MonitorService::new(Dependencies {
        registry: foundation.registry.clone(),
        directory: foundation.directory.clone(),
        peers: foundation.peers.clone(),
        // A registry that is not shared knows this process alone: there is nobody to judge.
        judges: foundation.nats.is_some() && foundation.fleet.token.is_some(),
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
