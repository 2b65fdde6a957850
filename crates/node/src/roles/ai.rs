use std::sync::Arc;

use bookworm_ai::{AiService, Dependencies};
use bookworm_gateway::Note;

use crate::{
    foundation::Foundation,
    part::{Grpc, Part},
};

pub fn build(foundation: &Foundation) -> anyhow::Result<Part> {
    let service = AiService::open(Dependencies { settings: foundation.settings.ai.clone() })?;
    let grpc = vec![Grpc::new(service.grpc())];
    let note: Note = Arc::new(move || {
        let status = service.status();
        if status.ready { "ok".to_owned() } else { format!("search goes by words alone: {}", status.problem) }
    });
    Ok(Part { grpc, notes: vec![("model", note)], ..Part::default() })
}
