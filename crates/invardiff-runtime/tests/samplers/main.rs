//! The samplers: against stored results of the original implementations, and against what must hold of any.

mod behaviour;
mod fixture;
mod stored;
mod unipc;
