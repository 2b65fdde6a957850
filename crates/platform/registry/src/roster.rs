use async_trait::async_trait;

/// Who is connected to which instance of a role: each instance says who is here, and has a copy of what the others said.
///
/// The members of an instance that ends without a word are lost [`LIFETIME`](crate::LIFETIME) after it was last heard.
/// While the others cannot be heard, the last copy stays.
#[async_trait]
pub trait Roster: Send + Sync + 'static {
    /// Somebody is here; again changes nothing. The others learn of it soon.
    fn enter(&self, member: &str);
    /// Somebody is no longer here.
    fn leave(&self, member: &str);
    /// Waits until the others have learnt of what was said before, and this instance of what they had said by then. Never
    /// longer than about a second, and not at all for others who cannot be reached.
    async fn settled(&self);
    /// Whether another instance has them, as far as is known.
    fn is_elsewhere(&self, member: &str) -> bool;
    /// Whether the copy is complete and the others are heard: then whoever is not in it is nowhere else.
    fn is_known(&self) -> bool;
    /// Those who were lost with an instance and are nowhere now, since the last call.
    fn take_lost(&self) -> Vec<String>;
}

/// The roster of a role with one instance: nobody is elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

#[async_trait]
impl Roster for Alone {
    fn enter(&self, _: &str) {}

    fn leave(&self, _: &str) {}

    async fn settled(&self) {}

    fn is_elsewhere(&self, _: &str) -> bool {
        false
    }

    fn is_known(&self) -> bool {
        true
    }

    fn take_lost(&self) -> Vec<String> {
        Vec::new()
    }
}
