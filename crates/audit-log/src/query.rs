//! Reading a log: the entries of one scope, filtered, page by page.

mod cursor;
mod filter;
mod reader;

pub use cursor::Cursor;
pub use filter::Filter;
pub use reader::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, MAX_SCANNED_RECORDS, Page, Reader};
