//! Agents: who is at work, and with which conversations.

use bookworm_config::OpeningHours;
use bookworm_http::Result;
use bookworm_kernel::{CustomerId, Timestamp};

use super::{
    Chat,
    announce::{DESK, agent_group},
    events::{AgentAtWork, QueueState},
    presence::Entered,
    view,
};
use crate::{
    domain::{
        agent::{AgentStatus, ChatAgent},
        availability::minute_of_week,
        conversation::Conversation,
        routing::Candidate,
    },
    store::{Agent, Filter},
};

/// The most queued conversations that agents are shown.
const SHOWN: usize = 200;

impl Chat {
    /// Changes an agent's document; makes a new one, who is offline, the first time.
    pub(crate) async fn change_agent(
        &self,
        agent: &ChatAgent,
        change: impl FnOnce(&mut Agent, Timestamp) + Send,
    ) -> Result<Agent> {
        let _turn = self.agents.lock().await;
        let now = self.clock.now();
        let known = self.store.agent(agent.id).await?;
        let mut changed = known.clone().unwrap_or_else(|| Agent {
            agent: agent.clone(),
            status: AgentStatus::Offline,
            capacity: 1,
            skills: Vec::new(),
            languages: Vec::new(),
            idle_since: now,
            gone_since: None,
        });
        changed.agent = agent.clone();
        // Read under the lock: an agent who leaves and comes back at once must end up connected.
        changed.gone_since = match (self.presence.agent_is_here(agent.id), changed.gone_since) {
            (true, _) => None,
            (false, since) => since.or(Some(now)),
        };
        change(&mut changed, now);
        if known.as_ref() != Some(&changed) {
            self.store.put_agent(&changed).await?;
        }
        Ok(changed)
    }

    /// Records that a connection is an agent's.
    pub(crate) async fn agent_came(&self, connection: &str, agent: &ChatAgent) -> Result<()> {
        let entered = self.presence.agent_enters(connection, agent.id);
        if entered == Entered::Before {
            return Ok(());
        }
        let stored = self.change_agent(agent, |_, _| {}).await?;
        if let Some(hub) = self.hub() {
            let mut groups = vec![agent_group(agent.id)];
            if stored.status != AgentStatus::Offline {
                groups.push(DESK.to_owned());
            }
            for group in groups {
                if let Err(error) = hub.join(connection, &group).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "an agent's connection joins no group");
                }
            }
        }
        if entered == Entered::First {
            self.show_agents_presence(agent.id).await?;
            self.desk.notify_one();
        }
        Ok(())
    }

    /// An agent's last connection is gone.
    pub(crate) async fn agent_left(&self, id: CustomerId) -> Result<()> {
        if let Some(agent) = self.store.agent(id).await? {
            self.change_agent(&agent.agent, |_, _| {}).await?;
        }
        self.show_agents_presence(id).await?;
        self.desk.notify_one();
        Ok(())
    }

    async fn show_agents_presence(&self, id: CustomerId) -> Result<()> {
        for conversation in self.conversations_with(id).await? {
            self.show_presence(&conversation).await;
        }
        Ok(())
    }

    /// The conversations that an agent has.
    pub(crate) async fn conversations_with(&self, agent: CustomerId) -> Result<Vec<Conversation>> {
        Ok(self.store.list(&Filter { agent: Some(agent), ..Filter::default() }, None, SHOWN).await?)
    }

    /// Records that a conversation was assigned to the agent: they are the last to get the next one.
    pub(crate) async fn was_given(&self, agent: &ChatAgent) -> Result<()> {
        self.change_agent(agent, |agent, now| agent.idle_since = now).await.map(drop)
    }

    /// Notifies an agent that a conversation was assigned to them.
    pub(crate) async fn notify_assigned(&self, agent: &ChatAgent, conversation: &Conversation) {
        self.send(agent_group(agent.id), "assigned", view::conversation(conversation, None)).await;
    }

    /// Every agent, as routing sees them.
    pub(crate) async fn candidates(&self) -> Result<Vec<(ChatAgent, Candidate)>> {
        let loads = self.store.loads().await?;
        let candidate = |agent: Agent| {
            let id = agent.agent.id;
            let candidate = Candidate {
                id,
                status: agent.status,
                connected: self.presence.agent_is_here(id),
                capacity: agent.capacity,
                open: loads.iter().find(|(with, _)| *with == id).map_or(0, |(_, open)| *open),
                skills: agent.skills,
                languages: agent.languages,
                idle_since: agent.idle_since,
            };
            (agent.agent, candidate)
        };
        Ok(self.store.agents().await?.into_iter().map(candidate).collect())
    }

    /// Whether it is a time at which people answer.
    pub(crate) fn is_open(&self) -> bool {
        is_open(&self.settings.hours, minute_of_week(self.settings.utc_offset_minutes, self.clock.now()))
    }

    /// Whether a person could answer now.
    pub(crate) async fn someone_is_there(&self) -> Result<bool> {
        Ok(self.is_open() && self.candidates().await?.iter().any(|(_, candidate)| candidate.is_there()))
    }

    /// Who waits, in order, and who is there.
    pub(crate) async fn queue_state(&self) -> Result<QueueState> {
        let waiting = self.store.waiting(SHOWN).await?;
        let waiting = waiting
            .iter()
            .zip(1..)
            .map(|(conversation, place)| view::conversation(conversation, Some(place)))
            .collect();
        let at_work = self.candidates().await?.into_iter().filter(|(_, candidate)| candidate.is_there());
        let agents = at_work
            .map(|(agent, candidate)| AgentAtWork {
                agent: agent.into(),
                status: candidate.status.into(),
                open: candidate.open,
                capacity: candidate.capacity,
            })
            .collect();
        Ok(QueueState { waiting, agents })
    }
}

/// Whether people answer at this minute of the week. Without hours they always do.
fn is_open(hours: &[OpeningHours], minute_of_week: u32) -> bool {
    hours.is_empty() || hours.iter().any(|hours| hours.include(minute_of_week))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_bound_the_time_at_which_people_answer() {
        let hours: Vec<OpeningHours> = vec!["mon-fri 09:00-18:00".parse().expect("hours")];
        for (minute, open) in [(540, true), (539, false), (1079, true), (1080, false), (5 * 1440 + 600, false)] {
            assert_eq!(is_open(&hours, minute), open, "{minute}");
        }
        assert!(is_open(&[], 539));
    }
}
