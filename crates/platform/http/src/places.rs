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

/// A number of places, shared by addresses (dynamic thresholds, Choudhury and Hahne 1998): an address may take a
/// quarter of what is free, so one alone gets a fifth of all, six get a tenth each, and something is always left for
/// the next. See ADR 21.
#[derive(Debug)]
pub struct Places {
    all: usize,
    /// The most that one address may take; `all` or more: whatever there is.
    each: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The address has its share.
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
    /// distinguished.
    #[must_use]
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, used: Mutex::default() })
    }

    /// Takes a place for this address; for `None` only the number in all counts, as for the connections of a proxy.
    ///
    /// # Errors
    /// When the address has its share, or every place is taken.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Full> {
        let network = address.filter(|_| self.each < self.all).map(network);
        let mut used = self.used();
        let free = self.all.saturating_sub(used.all);
        if free == 0 {
            return Err(Full::All);
        }
        if let Some(network) = network {
            let own = used.each.get(&network).copied().unwrap_or(0);
            if own >= self.each.min((free / PART).max(ALWAYS.min(free / 2)).max(1)) {
                return Err(Full::Address);
            }
            used.each.insert(network, own + 1);
        }
        used.all += 1;
        drop(used);
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
        self.used().all
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.places.used();
        used.all -= 1;
        let Some(network) = self.network else { return };
        if let Some(own) = used.each.get_mut(&network) {
            *own -= 1;
            if *own == 0 {
                used.each.remove(&network);
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
            let used: Vec<_> = (0..greedy)
                .map(|n| {
                    let (used, full) = fill(&places, address(n));
                    assert_eq!(full, Full::Address, "{n} of {greedy} at {all}");
                    used
                })
                .collect();
            assert!(used.iter().all(|used| used.len() >= ALWAYS), "everybody gets what a browser needs");
            let (next, _) = fill(&places, address(200));
            assert!(next.len() >= ALWAYS, "{greedy} greedy ones at {all} leave {}", next.len());
        }
    }

    #[test]
    fn limits_have_numbers() {
        let places = Places::new(2000, 100);
        assert_eq!(fill(&places, address(1)).0.len(), 100, "never more than the limit of one address");
        let places = Places::new(10, 10);
        let (used, full) = fill(&places, address(1));
        assert_eq!((used.len(), full), (10, Full::All), "addresses are not distinguished");
        let places = Places::new(100, 10);
        let (used, full) = fill(&places, None);
        assert_eq!((used.len(), full, places.taken()), (100, Full::All, 100), "a proxy is no visitor");
        assert_eq!(places.take(address(1)).unwrap_err(), Full::All);
        drop(used);
        assert_eq!(places.taken(), 0);
    }

    proptest! {
        /// Whatever comes and goes, each place is given back once, and no address takes more than its limit.
        #[test]
        fn every_place_is_given_back_once(
            (all, each) in (1_usize..40, 1_usize..50),
            steps in prop::collection::vec((prop::option::of(1_u8..6), 0_usize..8), 0..200),
        ) {
            let places = Places::new(all, each);
            let mut used: Vec<(Option<u8>, Place)> = Vec::new();
            for (who, gone) in steps {
                if gone < used.len() {
                    drop(used.swap_remove(gone));
                }
                if let Ok(place) = places.take(who.and_then(address)) {
                    used.push((who, place));
                }
                prop_assert_eq!(places.taken(), used.len());
                prop_assert!(used.len() <= all);
                for n in 1..6 {
                    let own = used.iter().filter(|(who, _)| *who == Some(n)).count();
                    prop_assert!(each >= all || own <= each);
                    let counted = places.used().each.get(&address(n).unwrap()).copied().unwrap_or(0);
                    prop_assert_eq!(counted, if each >= all { 0 } else { own });
                }
            }
            used.clear();
            prop_assert_eq!(places.taken(), 0);
            prop_assert!(places.used().each.is_empty());
        }
    }
}
