#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    invardiff_campaign::fuzz::listing(input);
});
