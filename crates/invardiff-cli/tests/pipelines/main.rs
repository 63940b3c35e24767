//! From weights somewhere to pictures: hubs, folders, prompts.

mod command;
mod dit;
mod flux;
mod hub;
mod tiny;
