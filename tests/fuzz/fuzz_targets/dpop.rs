#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayfly_fuzz::dpop(bytes));
