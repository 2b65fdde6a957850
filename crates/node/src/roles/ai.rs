use std::sync::Arc;

use bookworm_ai::AiService;
use bookworm_contracts::grpc::{Transport, ai::ai_client::AiClient};
use bookworm_gateway::Note;

use crate::{clients, foundation::Foundation, part::Part};

pub type Client = AiClient<Transport>;

pub fn build(foundation: &Foundation) -> anyhow::Result<(Client, Part)> {
    let service = AiService::open(&foundation.settings.ai)?;
    let client = AiClient::new(clients::local(service.grpc()));
    let note: Note = Arc::new(move || {
        let status = service.status();
        if status.ready { "ok".to_owned() } else { format!("search goes by words alone: {}", status.problem) }
    });
    Ok((client, Part { notes: vec![("model", note)], ..Part::default() }))
}
