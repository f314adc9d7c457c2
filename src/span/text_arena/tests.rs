use super::*;

fn put(arena: &mut TextArena, text: &str) -> BytesString {
    arena.put(text.as_bytes()).unwrap().0
}

#[test]
fn texts_outlive_their_arena_and_each_other() {
    let mut arena = TextArena::default();
    let words: Vec<String> = (0..5_000)
        .map(|i| format!("{i}é").repeat(i % 300))
        .collect();
    let mut texts: Vec<_> = words.iter().map(|word| put(&mut arena, word)).collect();
    let copies = texts.clone();
    drop(arena);
    texts.retain(|text| text.as_str().len() % 2 == 0);
    for (word, copy) in words.iter().zip(copies) {
        assert_eq!(copy.as_str(), word);
    }
    for text in texts {
        assert!(words.iter().any(|word| word == text.as_str()));
    }
}

#[test]
fn references_dropped_on_other_threads_leave_the_rest_whole() {
    let mut arena = TextArena::default();
    let texts: Vec<_> = (0..20_000)
        .map(|i| put(&mut arena, &i.to_string()))
        .collect();
    std::thread::scope(|scope| {
        for part in texts.chunks(5_000) {
            let part = part.to_vec();
            scope.spawn(move || drop(part));
        }
        for i in 0..20_000 {
            put(&mut arena, &i.to_string());
        }
    });
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(text.as_str(), i.to_string());
    }
}

#[test]
fn broken_bytes_are_replaced_and_leave_the_neighbours_whole() {
    let mut arena = TextArena::default();
    let first = put(&mut arena, "é");
    // The first byte of a character, whose second is the first of what follows.
    let (broken, repaired) = arena.put(b"a\xc3").unwrap();
    let last = put(&mut arena, "z");
    assert!(repaired);
    let all = [&first, &broken, &last].map(BytesString::as_str);
    assert_eq!(all, ["é", "a\u{fffd}", "z"]);
    let long = [b"x".repeat(LONGEST_SHARED), b"\xff".to_vec()].concat();
    let (long, repaired) = arena.put(&long).unwrap();
    assert!(repaired && long.as_str().ends_with("x\u{fffd}"));
}

#[test]
fn a_broken_byte_is_found_wherever_it_stands() {
    let mut arena = TextArena::default();
    for len in 1..=40 {
        let whole = "x".repeat(len);
        assert_eq!(
            arena.put(whole.as_bytes()),
            Ok((whole.clone().into(), false))
        );
        for at in 0..len {
            let mut broken = whole.clone().into_bytes();
            broken[at] = b'\xff';
            let expected = String::from_utf8_lossy(&broken).into_owned();
            assert_eq!(arena.put(&broken), Ok((expected.into(), true)));
        }
    }
}

#[test]
fn a_broken_text_at_the_end_of_a_block_finds_room_elsewhere() {
    let mut arena = TextArena::default();
    while arena.open.as_ref().is_none_or(|open| open.room() > 2) {
        put(&mut arena, "xx");
    }
    let (text, repaired) = arena.put(b"\xff\xff").unwrap();
    assert!(repaired);
    assert_eq!(text.as_str(), "\u{fffd}\u{fffd}");
}

#[test]
fn a_text_is_shared_until_its_block_is_full() {
    let mut arena = TextArena::default();
    let text = put(&mut arena, "shared");
    let place = arena.place_of(&text).unwrap();
    let before = arena.allocated();
    let shared = arena.share(place).unwrap();
    assert_eq!(shared.as_str().as_ptr(), text.as_str().as_ptr());
    assert_eq!(arena.get(place), Some("shared"));
    assert_eq!(arena.allocated(), before);
    for _ in 0..=BLOCK_BYTES / 1_000 {
        put(&mut arena, &"x".repeat(1_000));
    }
    assert_eq!(arena.get(place), None);
    assert_eq!(arena.share(place), None);
    let other = TextArena::default();
    assert_eq!(other.get(place), None);
}

#[test]
fn text_that_no_agent_takes_is_not_copied() {
    let mut arena = TextArena::default();
    let long = vec![b'x'; AGENT_MAX_BYTES + 1];
    assert_eq!(arena.put(&long), Err(TextError::TooLong));
    assert!(arena.put(&long[1..]).is_ok());
}

#[test]
fn what_is_allocated_counts_the_ends_of_blocks() {
    let mut arena = TextArena::default();
    let part = "x".repeat(LONGEST_SHARED - 1);
    for _ in 0..5 {
        put(&mut arena, &part);
    }
    assert_eq!(arena.allocated(), BLOCK_BYTES + part.len());
}
