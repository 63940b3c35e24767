//! `invardiff parity` on the fixtures that this repository ships, on broken copies and on sizes that none of them has.

mod broken;
mod copy;
mod encoders;
mod shipped;
mod unseen;
