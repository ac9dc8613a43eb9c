//! What is written reads back, and nothing else reads at all.

use super::{BODY_AT, CodecError, Decoder, HEAD, crc, encode};
use crate::batch::{Batch, Column, RowKey};
use crate::testing::Random;
use crate::value::{Kind, Value};

fn decode(bytes: &[u8]) -> Result<Batch, CodecError> {
    Decoder::open(bytes)?.batch()
}

fn random_cell(random: &mut Random, kind: Option<Kind>) -> Option<Value> {
    let some = match (random.below(4), kind) {
        (0, _) => return None,
        (1, _) | (_, None) => Value::Null,
        (_, Some(Kind::Bool)) => Value::Bool(random.below(2) == 0),
        (_, Some(Kind::String)) => {
            Value::Text("ä∑\0x".chars().cycle().take(random.below(9)).collect::<String>().into())
        }
        (2, Some(Kind::Number)) => Value::Integer(random.next().cast_signed() >> random.below(64)),
        (_, Some(Kind::Number)) => Value::Float(random.unit() * 1e9 - 0.5),
    };
    Some(some)
}

fn random_batch(random: &mut Random) -> Batch {
    let (entities, rows) = (1 + random.below(5), random.below(40));
    let kinds = [None, Some(Kind::Number), Some(Kind::String), Some(Kind::Bool)];
    let columns = (0..random.below(6)).map(|at| {
        let kind = kinds[random.below(4)];
        let cells = (0..rows).map(|_| random_cell(random, kind)).collect();
        Column { name: format!("c{at}").into(), kind, cells }
    });
    let columns = columns.collect();
    let row = |random: &mut Random| RowKey {
        entity: u32::try_from(random.below(entities)).unwrap(),
        event_us: random.next().cast_signed() >> random.below(64),
    };
    Batch {
        created_us: random.next().cast_signed(),
        entities: (0..entities).map(|at| format!("e{at}").into()).collect(),
        rows: (0..rows).map(|_| row(random)).collect(),
        columns,
    }
}

#[test]
fn every_batch_reads_back_as_it_was_written() {
    let mut random = Random::new(1);
    for _ in 0..2_000 {
        let batch = random_batch(&mut random);
        assert_eq!(decode(&encode(&batch)), Ok(batch));
    }
}

#[test]
fn one_wrong_bit_anywhere_is_noticed() {
    let mut random = Random::new(2);
    let bytes = encode(&random_batch(&mut random));
    for at in 0..bytes.len() * 8 {
        let mut wrong = bytes.clone();
        wrong[at / 8] ^= 1 << (at % 8);
        assert!(decode(&wrong).is_err(), "bit {at}");
    }
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "length {length}");
    }
}

/// Bytes that pass the checksum, so that what lies behind it is reached.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    bytes.extend_from_slice(&crc::crc32(body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn no_bytes_at_all_make_the_reader_panic() {
    let mut random = Random::new(3);
    let mut read = 0;
    for round in 0..60_000 {
        let bytes = if round % 2 == 0 {
            let mut body = encode(&random_batch(&mut random)).split_off(BODY_AT);
            for _ in 0..=random.below(3) {
                let at = random.below(body.len());
                body[at] = random.next().to_le_bytes()[0];
            }
            sealed(&body)
        } else {
            let length = random.below(200);
            let body: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
            if round % 4 == 1 { sealed(&body) } else { body }
        };
        read += usize::from(decode(&bytes).is_ok());
    }
    assert!(read > 1_000, "the mutations reach the code behind the checks: {read}");
}

#[test]
fn a_lying_count_reserves_no_memory() {
    // created_us, then 10^6 rows, 10^6 entities, 4096 columns, and nothing more.
    let mut body = 0i64.to_le_bytes().to_vec();
    body.extend_from_slice(&[0xc0, 0x84, 0x3d, 0xc0, 0x84, 0x3d, 0x80, 0x20]);
    assert_eq!(decode(&sealed(&body)), Err(CodecError::Short));
}

#[test]
fn another_version_is_refused_by_name() {
    let mut bytes = encode(&Batch::default());
    bytes[3] = 2;
    assert_eq!(decode(&bytes), Err(CodecError::Version));
}
