//! A small seeded generator (xorshift), so that a failing run can be repeated from its printed seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// The environment variable that fixes the seed.
const SEED: &str = "GHOSTSHIP_TEST_SEED";

/// Numbers that follow from a seed alone.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator for this seed.
    pub(crate) fn new(seed: u64) -> Self {
        // Zero would stay zero for ever, and small seeds would start alike.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, which is at least 1.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.bits() >> 16).unwrap_or(0) % limit.max(1)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(i128::from(high) - i128::from(low) + 1).unwrap_or(1);
        low.saturating_add(i64::try_from((self.bits() >> 8) % span.max(1)).unwrap_or(0))
    }
}

/// The seed of this process: the variable when it is set, else the clock.
#[expect(clippy::disallowed_methods, reason = "a test is repeated by its seed")]
pub(crate) fn seed() -> u64 {
    let fixed = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
    fixed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos())
    })
}
