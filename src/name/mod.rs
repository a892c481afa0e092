//! From a name as typed to its canonical form.
