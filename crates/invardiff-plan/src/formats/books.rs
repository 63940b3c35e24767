//! The plan files of the InvarDiff authors, their "cache books": read and written.

mod book;
mod convert;
mod name;
mod order;
mod read;
mod topology;
mod write;

pub use book::{AuthorBook, BookLayout, BookVersion};
pub use name::BookName;
pub(super) use read::is_book;
