//! From weights somewhere to images: hubs, folders, prompts.

mod command;
mod dit;
mod flux;
mod hub;
mod tiny;
