//! The replica.

mod input;
pub mod limits;
mod message;
mod request;

pub use input::{Input, Output, Token};
pub use message::{Contact, Entry, HeldRow, Lane, Message, Promise, Vector};
pub use request::*;
