//! A reader under test.

/// A reader under test. It takes any bytes and returns whether they were what it reads; it panics where something that must hold does
/// not.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name, which is also that of the folder of its seeds.
    pub name: &'static str,
    /// What reads.
    pub read: fn(&[u8]) -> bool,
}
