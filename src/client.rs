//! A client of the HTTP interface.
