//! Which agent gets a conversation, and in which order conversations wait.

use bookworm_kernel::{CustomerId, Timestamp};

use super::agent::{AgentStatus, Skill};

/// An agent at the time of routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Their account.
    pub id: CustomerId,
    /// Whether they take new conversations.
    pub status: AgentStatus,
    /// Whether they have a connection.
    pub connected: bool,
    /// The most conversations at once.
    pub capacity: u32,
    /// Their conversations now.
    pub open: u32,
    /// The skills that they have.
    pub skills: Vec<Skill>,
    /// Languages they write (ISO 639-1).
    pub languages: Vec<String>,
    /// Since when no conversation was given to them.
    pub idle_since: Timestamp,
}

impl Candidate {
    /// Whether they are at work, busy or not.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.connected && self.status != AgentStatus::Offline
    }

    fn has_room(&self) -> bool {
        self.connected && self.status == AgentStatus::Available && self.open < self.capacity
    }

    fn knows(&self, skill: Skill) -> bool {
        skill == Skill::General || self.skills.contains(&skill)
    }

    fn speaks(&self, language: &str) -> bool {
        self.languages.iter().any(|spoken| spoken == language)
    }
}

/// The needs of a conversation in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need<'a> {
    /// The skill that the agent should have.
    pub skill: Skill,
    /// The language that the customer writes.
    pub language: &'a str,
    /// The agent who gave it back; it is not routed to them again.
    pub but: Option<CustomerId>,
}

/// The agent who gets a conversation: of those with room who have the skill and the language, the one with the fewest
/// open conversations, then the one who has been idle longest.
///
/// When nobody at work speaks the language, the language does not count, and then the same for the skill: an answer in
/// another language is better than none. While somebody at work is right but has no room, the conversation waits.
#[must_use]
pub fn route(need: Need<'_>, agents: &[Candidate]) -> Option<CustomerId> {
    let others: Vec<&Candidate> =
        agents.iter().filter(|agent| need.but != Some(agent.id) && agent.is_there()).collect();
    let narrowed = |agents: Vec<&'_ Candidate>, fits: &dyn Fn(&Candidate) -> bool| -> Vec<CustomerId> {
        let fitting: Vec<CustomerId> = agents.iter().filter(|agent| fits(agent)).map(|agent| agent.id).collect();
        if fitting.is_empty() { agents.iter().map(|agent| agent.id).collect() } else { fitting }
    };
    let speaking = narrowed(others.clone(), &|agent| agent.speaks(need.language));
    let speakers: Vec<&Candidate> = others.into_iter().filter(|agent| speaking.contains(&agent.id)).collect();
    let knowing = narrowed(speakers.clone(), &|agent| agent.knows(need.skill));
    speakers
        .into_iter()
        .filter(|agent| knowing.contains(&agent.id) && agent.has_room())
        .min_by_key(|agent| (agent.open, agent.idle_since, agent.id))
        .map(|agent| agent.id)
}

/// Shifts those who were returned to the queue before everybody else: longer than any shop has existed.
const HEAD: i64 = 4_000_000_000_000_000;

/// A place in the queue: lower comes first. Conversations that were with an agent already wait at the head, among
/// themselves in the order in which they came back.
#[must_use]
pub fn rank(since: Timestamp, returned: bool) -> i64 {
    if returned { since.micros() - HEAD } else { since.micros() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agent(n: u128, open: u32, capacity: u32) -> Candidate {
        Candidate {
            id: CustomerId::from_uuid(uuid::Uuid::from_u128(n)),
            status: AgentStatus::Available,
            connected: true,
            capacity,
            open,
            skills: vec![Skill::Orders, Skill::General],
            languages: vec!["en".to_owned()],
            idle_since: Timestamp::from_micros(n as i64),
        }
    }

    const NEED: Need<'static> = Need { skill: Skill::Orders, language: "en", but: None };

    #[test]
    fn fewest_open_then_longest_idle() {
        let agents = [agent(3, 1, 3), agent(2, 0, 3), agent(1, 1, 3)];
        assert_eq!(route(NEED, &agents), Some(agents[1].id));
        let agents = [agent(3, 1, 3), agent(2, 1, 3)];
        assert_eq!(route(NEED, &agents), Some(agents[1].id));
    }

    #[test]
    fn it_waits_for_the_right_agent_who_is_busy_and_takes_another_when_none_is_at_work() {
        let mut knows = agent(1, 3, 3);
        knows.skills = vec![Skill::Payment];
        let general = agent(2, 0, 3);
        let need = Need { skill: Skill::Payment, ..NEED };
        assert_eq!(route(need, &[knows.clone(), general.clone()]), None);
        knows.connected = false;
        assert_eq!(route(need, &[knows, general.clone()]), Some(general.id));
        let french = Need { language: "fr", ..NEED };
        assert_eq!(route(french, std::slice::from_ref(&general)), Some(general.id));
    }

    #[test]
    fn it_does_not_go_back_to_whoever_gave_it_away() {
        let only = agent(1, 0, 3);
        assert_eq!(route(Need { but: Some(only.id), ..NEED }, &[only]), None);
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let status = prop_oneof![Just(AgentStatus::Available), Just(AgentStatus::Away), Just(AgentStatus::Offline)];
        let skills = proptest::sample::subsequence(vec![Skill::Orders, Skill::Payment, Skill::Books], 0..=3);
        let languages = proptest::sample::subsequence(vec!["en", "de", "fr"], 0..=3);
        let one = (status, any::<bool>(), 0..4_u32, 0..5_u32, skills, languages, 0..100_i64).prop_map(
            |(status, connected, capacity, open, skills, languages, idle)| Candidate {
                id: CustomerId::from_uuid(uuid::Uuid::nil()),
                status,
                connected,
                capacity,
                open,
                skills,
                languages: languages.into_iter().map(str::to_owned).collect(),
                idle_since: Timestamp::from_micros(idle),
            },
        );
        proptest::collection::vec(one, 0..8).prop_map(|mut agents| {
            for (n, agent) in agents.iter_mut().enumerate() {
                agent.id = CustomerId::from_uuid(uuid::Uuid::from_u128(n as u128));
            }
            agents
        })
    }

    proptest! {
        #[test]
        fn whoever_gets_it_has_room_and_nobody_better_was_passed_over(agents in candidates()) {
            let fits = |agent: &Candidate| agent.knows(NEED.skill) && agent.speaks(NEED.language);
            let chosen = route(NEED, &agents).and_then(|id| agents.iter().find(|agent| agent.id == id));
            if let Some(chosen) = chosen {
                prop_assert!(chosen.has_room());
                let anybody_right = agents.iter().any(|agent| agent.is_there() && fits(agent));
                prop_assert!(fits(chosen) || !anybody_right);
                for other in agents.iter().filter(|other| other.has_room() && fits(other)) {
                    prop_assert!((chosen.open, chosen.idle_since) <= (other.open, other.idle_since));
                }
            } else {
                prop_assert!(!agents.iter().any(|agent| agent.has_room() && fits(agent)));
            }
        }

        #[test]
        fn the_order_of_the_list_does_not_matter(agents in candidates()) {
            let mut reversed = agents.clone();
            reversed.reverse();
            prop_assert_eq!(route(NEED, &agents), route(NEED, &reversed));
        }

        #[test]
        fn returned_conversations_come_first(a in 0..2_000_000_000_000_000_i64, b in 0..2_000_000_000_000_000_i64) {
            let (a, b) = (Timestamp::from_micros(a), Timestamp::from_micros(b));
            prop_assert!(rank(a, true) < rank(b, false));
            prop_assert_eq!(rank(a, true) < rank(b, true), a < b);
        }
    }
}
