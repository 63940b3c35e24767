//! From weights somewhere to images: hubs, folders, prompts.

mod command;
mod dit;
mod flux;
mod hostile_files;
mod hub;
mod tiny;
