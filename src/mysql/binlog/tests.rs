use super::*;

#[test]
fn offsets_go_on_behind_four_gibibytes() {
    let lap = WIDTH_OF_OFFSETS;
    let cases = [
        (4, 126, 19, 126),
        (126, 0, 19, 126),
        (200, 126, 27, 200),
        (lap - 10, 50, 31, lap + 50),
        (lap + 50, 90, 16, lap + 90),
        (2 * lap - 1, 7, 16, 2 * lap + 7),
        (500, 480, 15, 500),
    ];
    for (current, low, kind, expected) in cases {
        assert_eq!(end_offset(current, low, kind), expected, "{current} {low}");
    }
}

#[test]
fn a_set_is_sent_in_pieces_of_one_tag() {
    let text = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:one:1-3:two:4,\n\
                4e11fa47-71ca-11e1-9e33-c80aa9429562:x:1";
    let pieces = event::set_pieces(text);
    assert_eq!(
        pieces,
        [
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:one:1-3",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:two:4",
            "4e11fa47-71ca-11e1-9e33-c80aa9429562:x:1",
        ]
    );
    assert!(pieces.iter().all(|piece| piece.parse::<Sid<'static>>().is_ok()));
    assert!(event::set_pieces("").is_empty());
}
