use super::*;

type Numbered = Streams<u8>;

fn who(name: &str) -> PrincipalKey {
    PrincipalKey::of("i", name, "c")
}

fn place_of(stay: &Stay<u8>, event: u64) -> Place {
    Place::parse(stay.id(event).expect("an id").as_str()).expect("a place")
}

#[test]
fn an_id_names_one_place_and_has_one_spelling() {
    let streams = Arc::new(Numbered::default());
    for kind in [Kind::Call, Kind::Session] {
        let stay = streams.enter(who("a"), 1, kind).expect("room");
        let place = place_of(&stay, 7);
        assert_eq!((place.kind, place.event), (kind, 7));
        let id = stay.id(7).expect("an id");
        for wrong in [
            id.as_str().to_uppercase(),
            id.as_str().replace('-', "-0"),
            id.as_str().replace('-', "-+"),
            id.as_str().replace('-', ""),
            format!("{} ", id.as_str()),
            format!("x{}", id.as_str()),
            String::new(),
            "é".to_owned(),
        ] {
            assert_eq!(Place::parse(&wrong), None, "{wrong}");
        }
    }
}

#[test]
fn a_stream_is_found_by_its_own_session_alone_and_as_long_as_it_stays() {
    let streams = Arc::new(Numbered::default());
    let stay = streams.enter(who("a"), 1, Kind::Call).expect("room");
    let place = place_of(&stay, 0);
    assert!(streams.find(who("a"), 1, place).is_some());
    assert!(streams.find(who("a"), 2, place).is_none(), "another session of hers");
    assert!(streams.find(who("b"), 1, place).is_none(), "somebody else");
    let guessed = Place { stream: place.stream.wrapping_add(1), ..place };
    assert!(streams.find(who("a"), 1, guessed).is_none());
    drop(stay);
    assert!(streams.find(who("a"), 1, place).is_none());
    assert!(streams.shard(who("a")).is_empty(), "nothing is left of it");
}

#[test]
fn what_is_kept_is_bounded_for_each_principal_and_what_is_over_makes_room() {
    let streams = Arc::new(Numbered::default());
    let first = streams.enter(who("a"), 1, Kind::Call).expect("room");
    let second = streams.enter(who("a"), 1, Kind::Call).expect("room");
    assert!(first.hold(PRINCIPAL_BYTES_MAX - 10));
    assert!(second.hold(10));
    assert!(!second.hold(1), "all of hers still say something");
    let other = streams.enter(who("b"), 1, Kind::Call).expect("room");
    assert!(other.hold(PRINCIPAL_BYTES_MAX), "another has room");
    first.free(5);
    assert!(second.hold(5) && !second.hold(1));
    first.is_over();
    assert!(second.hold(1), "the one that is over was forgotten");
    assert!(streams.find(who("a"), 1, place_of(&first, 0)).is_none());
    assert!(!first.hold(1), "and keeps nothing any more");
    first.free(1000);
    drop((first, second, other));
    assert_eq!(streams.bytes.load(Ordering::Relaxed), 0, "every byte was given back once");
}

#[test]
fn what_is_kept_is_bounded_in_all() {
    let streams = Arc::new(Numbered::default());
    let many = BYTES_MAX / PRINCIPAL_BYTES_MAX;
    let names = (0..many).map(|n| n.to_string());
    let held: Vec<_> = names.map(|name| streams.enter(who(&name), 1, Kind::Call).expect("room")).collect();
    assert!(held.iter().all(|stay| stay.hold(PRINCIPAL_BYTES_MAX)));
    let next = streams.enter(who("next"), 1, Kind::Call).expect("room");
    assert!(!next.hold(1));
    held[0].free(1);
    assert!(next.hold(1) && !next.hold(1));
}

#[test]
fn streams_are_bounded_in_number_and_what_is_over_makes_room() {
    let streams = Arc::new(Numbered::default());
    let held: Vec<_> = (0..STREAMS_MAX).map(|_| streams.enter(who("a"), 1, Kind::Call).expect("room")).collect();
    assert!(streams.enter(who("a"), 1, Kind::Call).is_none());
    assert!(streams.enter(who("b"), 1, Kind::Call).is_some());
    held[3].is_over();
    assert!(streams.enter(who("a"), 2, Kind::Call).is_some());
    assert!(streams.find(who("a"), 1, place_of(&held[3], 0)).is_none(), "forgotten");
    assert!(streams.find(who("a"), 1, place_of(&held[4], 0)).is_some());
}

#[tokio::test]
async fn a_stream_that_was_forgotten_hears_of_it() {
    let streams = Arc::new(Numbered::default());
    let mut first = streams.enter(who("a"), 1, Kind::Call).expect("room");
    first.is_over();
    let second = streams.enter(who("a"), 1, Kind::Call).expect("room");
    assert!(first.hold(PRINCIPAL_BYTES_MAX));
    assert!(second.hold(1));
    assert!(first.again().await.is_none());
}
