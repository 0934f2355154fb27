//! The compiler holds the corridor: no proof can be made outside its room, and no room can be skipped. Each case in `proofs/` is a
//! program that must not compile, with the reason the compiler gives.

#[test]
fn proofs_cannot_be_forged_and_rooms_cannot_be_skipped() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/proofs/*.rs");
}
