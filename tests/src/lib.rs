//! End-to-end tests of dayfly by subject
