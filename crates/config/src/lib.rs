//! The configuration language: files to a model of what the user wrote.
