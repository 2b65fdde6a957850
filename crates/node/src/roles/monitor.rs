use std::sync::Arc;

use bookworm_fleet::HEADER;
use bookworm_monitor::{Dependencies, MonitorService};
use bookworm_rpc::Sign;

use crate::{foundation::Foundation, part::Part};

pub fn build(foundation: &Foundation) -> Part {
    // A registry that is not shared knows this process alone: there is nobody to ask, and nothing to judge.
    let (Some(_), Some(token)) = (&foundation.nats, &foundation.fleet.token) else { return Part::default() };
    let token = token.clone();
    let sign: Sign = Arc::new(move |head| drop(head.headers.insert(HEADER, token.pass(&head.method, &head.uri))));
    let service = MonitorService::new(Dependencies {
        registry: foundation.registry.clone(),
        directory: foundation.directory.clone(),
        sign,
        clock: foundation.clock.clone(),
        process: foundation.fleet.instance.clone(),
    });
    Part { loops: service.loops(), ..Part::default() }
}
