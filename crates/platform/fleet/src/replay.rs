//! Which passes of one sender were seen: the sliding window of IPsec (RFC 4303, section 3.4.3).

/// How far requests of one sender may overtake each other. 8 KiB for each sender.
const SIZE: u64 = 65_536;

pub(crate) struct Window {
    highest: u64,
    /// Bit `n % SIZE` is set when `n` was seen; only numbers within `SIZE` of the highest count.
    seen: Box<[u64]>,
}

impl Window {
    pub fn new() -> Self {
        Self { highest: 0, seen: vec![0; (SIZE / 64) as usize].into_boxed_slice() }
    }

    /// Whether this number is new. One that is too far behind to know counts as seen.
    pub fn take(&mut self, number: u64) -> bool {
        if number > self.highest {
            let passed = (number - self.highest).min(SIZE);
            if passed == SIZE {
                self.seen.fill(0);
            } else {
                (self.highest + 1..=number).for_each(|n| self.clear(n));
            }
            self.highest = number;
        } else if self.highest - number >= SIZE || self.is_set(number) {
            return false;
        }
        self.set(number);
        true
    }

    fn is_set(&self, n: u64) -> bool {
        let (word, bit) = place(n);
        self.seen[word] & bit != 0
    }

    fn set(&mut self, n: u64) {
        let (word, bit) = place(n);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, n: u64) {
        let (word, bit) = place(n);
        self.seen[word] &= !bit;
    }
}

fn place(n: u64) -> (usize, u64) {
    let n = n % SIZE;
    ((n / 64) as usize, 1 << (n % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_number_is_taken_once_in_whatever_order() {
        let mut window = Window::new();
        for n in [5, 1, 3, 2, 4, 70_000, 69_999, 4_465] {
            assert!(window.take(n), "{n}");
            assert!(!window.take(n), "{n} again");
        }
        assert!(!window.take(70_000 - SIZE), "too far behind to know");
        assert!(window.take(u64::MAX));
        assert!(!window.take(6));
    }

    #[test]
    fn it_agrees_with_a_set_of_all_numbers() {
        let (mut window, mut seen, mut highest) = (Window::new(), HashSet::new(), 0);
        let mut random: u64 = 42;
        for step in 0..200_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let n = (step * 3).saturating_sub((random >> 33) % 80_000);
            let known = n + SIZE > highest.max(n);
            assert_eq!(window.take(n), known && seen.insert(n), "{n} at {highest}");
            highest = highest.max(n);
        }
    }
}
