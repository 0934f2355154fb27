#![no_main]

#[path = "../src/gate.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::gate(data));
