//! Places that many addresses share, so that none of them can take what the others need.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many places an address may have while twice as many are free: a browser opens six connections at once.
const ALWAYS: usize = 8;
/// Beyond [`ALWAYS`] an address may hold at most one part in this many of the places that are free.
const PART: usize = 4;

/// One household or office: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from. An IPv4 address
/// written as IPv6 is an IPv4 address.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

/// A number of places, shared by addresses (dynamic thresholds, Choudhury and Hahne 1998): an address may hold a
/// quarter of what is free, so one alone gets a fifth of all, six get a tenth each, and something is always left for
/// the next. See ADR 21.
#[derive(Debug)]
pub struct Places {
    all: usize,
    /// The most that one address may hold; `all` or more: whatever there is.
    each: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The address holds its share.
    Address,
    /// Every place is taken.
    All,
}

impl Full {
    /// For metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::All => "all",
        }
    }
}

/// A place. It is given back when this is dropped.
#[derive(Debug)]
#[must_use = "the place is given back at once"]
pub struct Place {
    places: Arc<Places>,
    network: Option<IpAddr>,
}

impl Places {
    /// This many places in all, and at most `each` for one address. With `each` of `all` or more, addresses are not
    /// told apart.
    #[must_use]
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, held: Mutex::default() })
    }

    /// Takes a place for this address; for `None` only the number in all counts, as for the connections of a proxy.
    ///
    /// # Errors
    /// When the address holds its share, or every place is taken.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Full> {
        let network = address.filter(|_| self.each < self.all).map(network);
        let mut held = self.held();
        let free = self.all.saturating_sub(held.all);
        if free == 0 {
            return Err(Full::All);
        }
        if let Some(network) = network {
            let own = held.each.get(&network).copied().unwrap_or(0);
            if own >= self.each.min((free / PART).max(ALWAYS.min(free / 2)).max(1)) {
                return Err(Full::Address);
            }
            held.each.insert(network, own + 1);
        }
        held.all += 1;
        drop(held);
        Ok(Place { places: Arc::clone(self), network })
    }

    /// How many places there are.
    #[must_use]
    pub fn all(&self) -> usize {
        self.all
    }

    /// How many places are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.held().all
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.all -= 1;
        let Some(network) = self.network else { return };
        if let Some(own) = held.each.get_mut(&network) {
            *own -= 1;
            if *own == 0 {
                held.each.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([127, 0, 0, n]))
    }

    fn fill(places: &Arc<Places>, who: Option<IpAddr>) -> (Vec<Place>, Full) {
        let mut taken = Vec::new();
        loop {
            match places.take(who) {
                Ok(place) => taken.push(place),
                Err(full) => return (taken, full),
            }
        }
    }

    #[test]
    fn a_household_is_one_address() {
        let network_of = |text: &str| network(text.parse().unwrap());
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6"), network_of("2001:db8:1:2::1"));
        assert_ne!(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:3::1"));
        assert_ne!(network_of("192.0.2.1"), network_of("192.0.2.2"));
        assert_eq!(network_of("::ffff:192.0.2.1"), network_of("192.0.2.1"));
    }

    #[test]
    fn greedy_addresses_leave_places_for_the_next() {
        for (all, greedy) in [(768, 1), (768, 6), (768, 12), (128, 6), (64, 2)] {
            let places = Places::new(all, 256.min(all - 1));
            let held: Vec<_> = (0..greedy)
                .map(|n| {
                    let (held, full) = fill(&places, address(n));
                    assert_eq!(full, Full::Address, "{n} of {greedy} at {all}");
                    held
                })
                .collect();
            assert!(held.iter().all(|held| held.len() >= ALWAYS), "everybody gets what a browser needs");
            let (next, _) = fill(&places, address(200));
            assert!(next.len() >= ALWAYS, "{greedy} greedy ones at {all} leave {}", next.len());
        }
    }

    #[test]
    fn limits_have_numbers() {
        let places = Places::new(2000, 100);
        assert_eq!(fill(&places, address(1)).0.len(), 100, "never more than the limit of one address");
        let places = Places::new(10, 10);
        let (held, full) = fill(&places, address(1));
        assert_eq!((held.len(), full), (10, Full::All), "addresses are not told apart");
        let places = Places::new(100, 10);
        let (held, full) = fill(&places, None);
        assert_eq!((held.len(), full, places.taken()), (100, Full::All, 100), "a proxy is no visitor");
        assert_eq!(places.take(address(1)).unwrap_err(), Full::All);
        drop(held);
        assert_eq!(places.taken(), 0);
    }

    proptest! {
        /// Whatever comes and goes, each place is given back once, and no address holds more than its limit.
        #[test]
        fn every_place_is_given_back_once(
            (all, each) in (1_usize..40, 1_usize..50),
            steps in prop::collection::vec((prop::option::of(1_u8..6), 0_usize..8), 0..200),
        ) {
            let places = Places::new(all, each);
            let mut held: Vec<(Option<u8>, Place)> = Vec::new();
            for (who, gone) in steps {
                if gone < held.len() {
                    drop(held.swap_remove(gone));
                }
                if let Ok(place) = places.take(who.and_then(address)) {
                    held.push((who, place));
                }
                prop_assert_eq!(places.taken(), held.len());
                prop_assert!(held.len() <= all);
                for n in 1..6 {
                    let own = held.iter().filter(|(who, _)| *who == Some(n)).count();
                    prop_assert!(each >= all || own <= each);
                    let counted = places.held().each.get(&address(n).unwrap()).copied().unwrap_or(0);
                    prop_assert_eq!(counted, if each >= all { 0 } else { own });
                }
            }
            held.clear();
            prop_assert_eq!(places.taken(), 0);
            prop_assert!(places.held().each.is_empty());
        }
    }
}
