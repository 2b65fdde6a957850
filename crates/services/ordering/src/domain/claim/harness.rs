//! Two windows check one basket out, one of them twice, in every order in which that can happen: each request may be
//! killed at any step, which is to never go on, a call may arrive late or twice, events arrive in any order, and the
//! grace may be over at any time. Whatever happens, no copy is ever in two orders that live, and in the end the basket
//! can be bought.

use std::{collections::HashSet, time::Duration};

use super::{ClaimingOrder, GRACE, Verdict, judge};

type Id = usize;
type Key = u8;
/// Copies in a basket or an order, a bit for each.
type Copies = u8;

const IDS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Order {
    Unplaced,
    Tombstone,
    Pending(Copies),
    Confirmed(Copies),
    Rejected,
}

/// A call whose caller does not wait for it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    Claim { id: Id, key: Key, version: u8 },
    Release(Id),
}

/// Where a request stands: what it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Read,
    Judge(Id),
    WriteTombstone(Id),
    Release(Id),
    Claim {
        version: u8,
        copies: Copies,
    },
    Place {
        id: Id,
        copies: Copies,
    },
    GiveUp(Id),
    ReleaseLast(Id),
    /// Answered.
    Over,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Go {
        request: usize,
        leaves_a_copy: bool,
    },
    /// The claim was sent and is not waited for.
    LoseTheClaim(usize),
    Decide {
        id: Id,
        confirm: bool,
    },
    /// The event that an order was decided reaches the basket.
    Deliver(Id),
    /// The late call arrives.
    Arrive,
    PutIn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    copies: Copies,
    version: u8,
    claim: Option<(Id, Key)>,
    orders: [Order; IDS],
    /// The order that each idempotency key has placed.
    keys: [Option<Id>; 3],
    requests: [(Key, Step); 3],
    /// Orders whose decision has not reached the basket yet.
    undelivered: [bool; IDS],
    late: Option<Call>,
    ids: Id,
    may_put_in: bool,
    may_be_late: bool,
}

impl World {
    fn begin(requests: [(Key, Step); 3], may_put_in: bool, may_be_late: bool) -> Self {
        Self {
            copies: 0b01,
            version: 1,
            claim: None,
            orders: [Order::Unplaced; IDS],
            keys: [None; 3],
            requests,
            undelivered: [false; IDS],
            late: None,
            ids: 0,
            may_put_in,
            may_be_late,
        }
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        for (request, (_, step)) in self.requests.iter().enumerate() {
            if *step == Step::Over {
                continue;
            }
            moves.push(Move::Go { request, leaves_a_copy: false });
            if self.may_be_late && matches!(step, Step::Claim { .. } | Step::Release(_)) {
                moves.push(Move::Go { request, leaves_a_copy: true });
            }
            if self.may_be_late && matches!(step, Step::Claim { .. }) {
                moves.push(Move::LoseTheClaim(request));
            }
        }
        for (id, order) in self.orders.iter().enumerate() {
            if matches!(order, Order::Pending(_)) {
                moves.extend([true, false].map(|confirm| Move::Decide { id, confirm }));
            }
        }
        moves.extend((0..IDS).filter(|id| self.undelivered[*id]).map(Move::Deliver));
        if self.late.is_some() {
            moves.push(Move::Arrive);
        }
        if self.may_put_in {
            moves.push(Move::PutIn);
        }
        moves
    }

    /// `false` when the world has no room for it: so many ids are not tried.
    fn make(&mut self, wanted: Move) -> bool {
        match wanted {
            Move::Go { request, leaves_a_copy } => return self.go(request, leaves_a_copy),
            Move::LoseTheClaim(request) => {
                let (key, step) = self.requests[request];
                let (Step::Claim { version, .. }, Some(id)) = (step, self.draw()) else { return false };
                self.send_late(Call::Claim { id, key, version });
                self.requests[request].1 = Step::Over;
            }
            Move::Decide { id, confirm } => {
                let Order::Pending(copies) = self.orders[id] else { return false };
                self.orders[id] = if confirm { Order::Confirmed(copies) } else { Order::Rejected };
                self.undelivered[id] = true;
            }
            Move::Deliver(id) => self.deliver(id),
            Move::Arrive => match self.late.take() {
                Some(Call::Claim { id, key, version }) => drop(self.grant(id, key, version)),
                Some(Call::Release(id)) => self.release(id),
                None => return false,
            },
            Move::PutIn => {
                self.may_put_in = false;
                self.copies |= 0b10;
                self.version += 1;
            }
        }
        true
    }

    fn send_late(&mut self, call: Call) {
        self.late = Some(call);
        self.may_be_late = false;
    }

    fn draw(&mut self) -> Option<Id> {
        let id = self.ids;
        self.ids += 1;
        (id < IDS).then_some(id)
    }

    /// As `features/checkout.rs` and `claim.rs` do it: one transaction or one call at a time.
    fn go(&mut self, request: usize, leaves_a_copy: bool) -> bool {
        let (key, step) = self.requests[request];
        let placed_before = self.keys[usize::from(key)];
        let next = match step {
            Step::Read if placed_before.is_some() => Step::Over,
            Step::Read => match self.claim {
                Some((id, other)) if other != key => Step::Judge(id),
                _ if self.copies == 0 => Step::Over,
                _ => Step::Claim { version: self.version, copies: self.copies },
            },
            Step::Judge(id) => match judge(self.state_of(id)) {
                Verdict::Refuse => Step::Over,
                Verdict::Release => Step::Release(id),
                Verdict::WriteTombstone => Step::WriteTombstone(id),
                Verdict::Wait => return false,
            },
            Step::WriteTombstone(id) if self.write_tombstone(id) => Step::Release(id),
            Step::WriteTombstone(id) => Step::Judge(id),
            Step::Release(id) => {
                self.release(id);
                if leaves_a_copy {
                    self.send_late(Call::Release(id));
                }
                Step::Read
            }
            Step::Claim { version, copies } => {
                let Some(id) = self.draw() else { return false };
                if leaves_a_copy {
                    self.send_late(Call::Claim { id, key, version });
                }
                match self.grant(id, key, version) {
                    Some(id) => Step::Place { id, copies },
                    None => Step::Read,
                }
            }
            Step::Place { id, copies } => match (placed_before, self.orders[id]) {
                (Some(_), _) => Step::GiveUp(id),
                (None, Order::Unplaced) => {
                    self.orders[id] = Order::Pending(copies);
                    self.keys[usize::from(key)] = Some(id);
                    Step::Over
                }
                (None, Order::Tombstone) => Step::Release(id),
                (None, other) => panic!("{other:?} was placed without its key"),
            },
            Step::GiveUp(id) if self.write_tombstone(id) => Step::ReleaseLast(id),
            Step::GiveUp(_) | Step::Over => Step::Over,
            Step::ReleaseLast(id) => {
                self.release(id);
                Step::Over
            }
        };
        self.requests[request].1 = next;
        true
    }

    fn state_of(&self, id: Id) -> ClaimingOrder {
        match self.orders[id] {
            Order::Unplaced => ClaimingOrder::Unknown { age: GRACE + Duration::from_millis(1) },
            Order::Tombstone => ClaimingOrder::Tombstone,
            Order::Pending(_) => ClaimingOrder::Undecided,
            Order::Confirmed(_) => ClaimingOrder::Bought,
            Order::Rejected => ClaimingOrder::Off,
        }
    }

    /// As `store/order_ids.rs`.
    fn write_tombstone(&mut self, id: Id) -> bool {
        if self.orders[id] == Order::Unplaced {
            self.orders[id] = Order::Tombstone;
        }
        self.orders[id] == Order::Tombstone
    }

    /// As the basket does it.
    fn grant(&mut self, id: Id, key: Key, version: u8) -> Option<Id> {
        if self.version != version || self.copies == 0 {
            return None;
        }
        match self.claim {
            None => {
                self.claim = Some((id, key));
                Some(id)
            }
            Some((own, claimant)) => (claimant == key).then_some(own),
        }
    }

    fn release(&mut self, id: Id) {
        self.claim = self.claim.filter(|(claimed, _)| *claimed != id);
    }

    /// As the basket's reactions do it.
    fn deliver(&mut self, id: Id) {
        self.undelivered[id] = false;
        if let Order::Confirmed(bought) = self.orders[id]
            && self.copies & bought != 0
        {
            self.copies &= !bought;
            self.version += 1;
        }
        self.release(id);
    }

    fn assert_no_copy_is_sold_twice(&self) {
        let mut sold: Copies = 0;
        for order in &self.orders {
            if let Order::Pending(copies) | Order::Confirmed(copies) = order {
                assert_eq!(sold & copies, 0, "a copy is in two orders: {self:#?}");
                sold |= copies;
            }
        }
    }

    /// Everybody is gone, all orders are decided, all messages arrive: then whoever comes next can buy what is there.
    fn run_out(mut self, confirm: bool) {
        for id in 0..IDS {
            self.make(Move::Decide { id, confirm });
        }
        self.make(Move::Arrive);
        for id in 0..IDS {
            if self.undelivered[id] {
                self.make(Move::Deliver(id));
            }
        }
        if self.copies == 0 || self.ids >= IDS {
            return;
        }
        self.requests[0] = (2, Step::Read);
        for _ in 0..20 {
            if self.requests[0].1 == Step::Over {
                break;
            }
            self.go(0, false);
            self.assert_no_copy_is_sold_twice();
        }
        assert!(self.keys[2].is_some(), "the basket can never be bought: {self:#?}");
    }
}

/// Visits every world that can be reached, and returns how many there are.
fn search(begin: World) -> usize {
    let mut seen = HashSet::from([begin]);
    let mut open = vec![begin];
    while let Some(world) = open.pop() {
        world.assert_no_copy_is_sold_twice();
        for confirm in [true, false] {
            world.run_out(confirm);
        }
        for wanted in world.moves() {
            let mut next = world;
            if next.make(wanted) && seen.insert(next) {
                open.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn no_interleaving_sells_a_copy_twice_or_loses_the_basket() {
    let (window, other, nobody) = ((0, Step::Read), (1, Step::Read), (1, Step::Over));
    let states = [
        search(World::begin([window, other, nobody], true, true)),
        search(World::begin([window, window, nobody], true, true)),
        search(World::begin([window, window, other], false, false)),
    ];
    assert!(states.iter().all(|states| *states > 1_000), "the search must not be trivial: {states:?}");
}
