//! Agents: who is at work, and with which conversations.

use bookworm_config::OpeningHours;
use bookworm_http::{Problem, Result};
use bookworm_kernel::{CustomerId, ErrorCode, Timestamp};

use super::{
    Chat,
    announce::{DESK, agent_group},
    conversations::ATTEMPTS,
    events::{AgentAtWork, QueueState},
    presence::{Entered, Member},
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
    /// Changes an agent's document, as `change` says, which may be called more than once; makes a new one, who is
    /// offline, the first time.
    ///
    /// # Errors
    /// 409 after too many conflicts.
    pub(crate) async fn change_agent(
        &self,
        agent: &ChatAgent,
        change: impl Fn(&mut Agent, Timestamp) + Send + Sync,
    ) -> Result<Agent> {
        let _turn = self.agents.lock().await;
        for _ in 0..ATTEMPTS {
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
                version: 0,
            });
            changed.agent = agent.clone();
            // Looked at after the document: an agent who leaves and comes back at once must end up connected.
            changed.gone_since = match (self.presence.agent_is_there(agent.id), changed.gone_since) {
                (true, _) => None,
                (false, None) if self.presence.is_known() => Some(now),
                (false, since) => since,
            };
            change(&mut changed, now);
            if known.as_ref() == Some(&changed) {
                return Ok(changed);
            }
            changed.version += 1;
            if self.store.put_agent(&changed).await? {
                return Ok(changed);
            }
        }
        Err(Problem::new(ErrorCode::ConcurrentChange))
    }

    /// Records that a connection is an agent's.
    pub(crate) async fn agent_came(&self, connection: &str, agent: &ChatAgent) -> Result<()> {
        let entered = self.presence.agent_enters(connection, agent.id);
        if entered == Entered::Before {
            return Ok(());
        }
        if entered == Entered::First {
            self.presence.settled().await;
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
            let gone = self.change_agent(&agent.agent, |agent, now| {
                // Whatever is known of other instances: one that has them records that within moments.
                if !self.presence.agent_is_there(id) {
                    agent.gone_since.get_or_insert(now);
                }
            });
            gone.await?;
        }
        self.show_agents_presence(id).await?;
        self.desk.notify_one();
        Ok(())
    }

    /// Whether an agent has a connection, to any instance. While others cannot be heard, their records count.
    pub(crate) fn is_connected(&self, agent: &Agent) -> bool {
        let recorded = !self.presence.is_known() && agent.gone_since.is_none();
        recorded || self.presence.agent_is_there(agent.agent.id)
    }

    /// Records of agents what their connections say: those of this instance, and those who are nowhere.
    pub(crate) async fn record_connections(&self) -> Result<Vec<Agent>> {
        let mut agents = self.store.agents().await?;
        for agent in &mut agents {
            let wrong = match self.presence.agent_is_there(agent.agent.id) {
                true => agent.gone_since.is_some(),
                false => agent.gone_since.is_none() && self.presence.is_known(),
            };
            if wrong {
                *agent = self.change_agent(&agent.agent, |_, _| {}).await?;
            }
        }
        Ok(agents)
    }

    /// Announces to those who are attached here that somebody was lost with another instance.
    pub(crate) async fn show_lost(&self) {
        for member in self.presence.take_lost() {
            let found = match member {
                Member::Customer(id) if !self.presence.is_attached(id) => continue,
                Member::Customer(id) => self.store.find(id).await.map(Vec::from_iter).map_err(Problem::from),
                Member::Agent(id) => self.conversations_with(id).await,
            };
            let conversations = match found {
                Ok(conversations) => conversations,
                // The others are shown all the same.
                Err(problem) => {
                    tracing::warn!(%problem, "that somebody was lost with another instance was not shown");
                    continue;
                }
            };
            for conversation in conversations.iter().filter(|one| self.presence.is_attached(one.id)) {
                self.show_presence(conversation).await;
            }
        }
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
                connected: self.is_connected(&agent),
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
