//! The topic on one SQLite file.
