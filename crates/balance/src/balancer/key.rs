//! Hashes that are the same in every worker, process and version.
//!
//! It must not know what is hashed. Entry point: [`hash_key`].

// The primes of the specification of xxHash.
const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// The hash of some bytes: XXH64 with seed 0, as <https://github.com/Cyan4973/xxHash> specifies it. It will
/// not change: gateways of different versions send the same key to the same member. It has no secret, so
/// whoever chooses keys can choose a member; what that can do is bounded where it is used.
#[must_use]
pub fn hash_key(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    let mut hash = PRIME_5;
    if bytes.len() >= 32 {
        let mut lanes = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, 0_u64.wrapping_sub(PRIME_1)];
        while let Some((block, after)) = rest.split_first_chunk::<32>() {
            for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
            rest = after;
        }
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        hash = turned.fold(0, u64::wrapping_add);
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
        rest = after;
    }
    if let Some((half, after)) = rest.split_first_chunk::<4>() {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
        rest = after;
    }
    for &byte in rest {
        hash ^= u64::from(byte).wrapping_mul(PRIME_5);
        hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 32)
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

/// Makes every bit of the result depend on every bit of the number: the finalizer of SplitMix64 (Steele, Lea,
/// Flood 2014). For numbers that may be small or alike.
pub(crate) const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation; every way through the function is taken.
    #[test]
    fn hashes_are_those_of_xxh64() {
        let bytes: Vec<u8> = (0..100).collect();
        for (bytes, want) in [
            (&b""[..], 0xEF46_DB37_51D8_E999),
            (b"a", 0xD24E_C4F1_A98C_6E5B),
            (b"abc", 0x44BC_2CF5_AD77_0999),
            (b"10.0.0.1:8080", 0xCB97_2177_068E_B685),
            (b"[2001:db8::1]:443", 0xF75F_72BB_0BE4_EE5E),
            (b"session=0123456789abcdef", 0x7E9F_D696_AA96_9972),
            (b"Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
            (&bytes[..32], 0xCBF5_9C51_16FF_32B4),
            (&bytes, 0x6AC1_E580_3216_6597),
        ] {
            assert_eq!(hash_key(bytes), want, "{bytes:?}");
        }
    }

    /// Tables are made from these too, so they must never change either. The first is the first number that
    /// SplitMix64 gives from seed 0.
    #[test]
    fn mixing_is_fixed() {
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(1), 0x910A_2DEC_8902_5CC1);
    }
}
