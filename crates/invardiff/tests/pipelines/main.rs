//! From weights somewhere to pictures: hubs, folders, prompts.

mod hub;
