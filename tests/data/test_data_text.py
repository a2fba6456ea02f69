"""Text becomes tokens and text again; what is no text is refused by line and byte."""

import pytest
import torch
from sentences import lines, write

from vaecli.core.errors import UsageError
from vaecli.data.files.vocabulary import END, PAD, UNKNOWN, Level, Vocabulary, pieces
from vaecli.data.sets.base import Kind
from vaecli.data.sets.digest import digest
from vaecli.data.sets.sequence_set import cut, lost, unknown
from vaecli.data.sets.statistics import pixel_statistics
from vaecli.data.text import Longer, Text


def text(path, **keys):
    return Text(path=str(path), **keys)


def test_words_keep_inner_apostrophes_and_part_from_punctuation():
    assert pieces("The king's well-known son, he?", Level.word) == [
        "The",
        "king's",
        "well-known",
        "son",
        ",",
        "he",
        "?",
    ]


@pytest.mark.parametrize("level", Level)
@pytest.mark.parametrize("line", ["the cat sees him.", "ein süßer Hund, 三毛猫!", "a b c"])
def test_a_line_is_read_back_as_it_was(level, line):
    vocabulary = Vocabulary.of([line], level, min_count=1)
    (tokens,) = vocabulary.numbers([line])
    assert vocabulary.text([*tokens, END, PAD]) == line


def test_what_is_rare_or_unseen_is_one_unknown_token():
    vocabulary = Vocabulary.of(["a a b", "a b c"], Level.word, min_count=2)
    assert vocabulary.words == ("<pad>", "<end>", "<unk>", "a", "b")  # the most frequent first
    assert vocabulary.numbers(["a b c d"]) == [[3, 4, UNKNOWN, UNKNOWN]]


def test_no_byte_is_unknown():
    vocabulary = Vocabulary.of([], Level.byte, min_count=100)
    assert len(vocabulary.words) == 3 + 256
    assert UNKNOWN not in vocabulary.numbers(["né 🐍"])[0]


def test_a_split_is_padded_tokens_their_lengths_and_their_words(tmp_path):
    data = text(write(tmp_path / "t.txt"), min_count=1).load()
    assert data.kind is Kind.TOKENS
    assert data.shape == (len(data.vocabulary.words), 1, data.train.x.shape[-1])
    parts = (data.train, data.val, data.test)
    assert sum(len(part.x) for part in parts) == 400
    seen = []
    for part in parts:
        for row, length in zip(part.x[:, 0, 0], part.length.tolist(), strict=True):
            assert row[length - 1] == END
            assert not row[:length].eq(PAD).any()
            assert row[length:].eq(PAD).all()
            seen.append(data.vocabulary.text(row.tolist()))
    assert sorted(seen) == sorted(lines())


def test_the_vocabulary_is_that_of_the_training_lines(tmp_path):
    path = write(tmp_path / "t.txt", [f"word{n}" for n in range(100)])
    data = text(path, min_count=1).load()
    trained = {data.vocabulary.text(row.flatten().tolist()) for row in data.train.x}
    assert set(data.vocabulary.words[3:]) == trained
    assert (data.test.x[:, 0, 0, 0] == UNKNOWN).all()


def test_a_longer_line_is_cut_or_dropped(tmp_path):
    path = write(tmp_path / "t.txt", ["a b c d e f", "a b"] * 20)
    cut = text(path, max_length=4).load()
    longer = cut.train.x[:, 0, 0, 3] != PAD
    assert longer.any()
    assert not (cut.train.x[longer] == END).any()
    dropped = text(path, max_length=4, longer=Longer.drop).load()
    assert dropped.shape[2] == 3
    assert sum(len(p.x) for p in (dropped.train, dropped.val, dropped.test)) == 20


def test_what_is_lost_of_a_text_is_told(tmp_path):
    path = write(tmp_path / "t.txt", ["a b c d e f", "a b", "a b", "a b"] * 20)
    data = text(path, max_length=4, seed=1).load()
    share = (data.train.length == 4).double().mean().item()  # cut to their first four words
    assert 0.1 < share < 0.4
    assert cut(data.train.x) == pytest.approx(share)
    assert unknown(data.train.x) == 0
    assert lost(data) == f"; {share:.1%} cut to 4 tokens"
    dropped = text(path, max_length=4, longer=Longer.drop).load()
    assert lost(dropped) == "; 20 longer ones of the whole file dropped"
    rare = text(path, max_length=4, min_count=30).load()
    x = rare.train.x
    assert unknown(x) == pytest.approx((x == UNKNOWN).sum().item() / rare.train.length.sum().item())
    assert unknown(x) > 0
    assert "% of tokens unknown" in lost(rare)


def test_words_that_are_always_cut_are_in_no_vocabulary(tmp_path):
    path = write(tmp_path / "t.txt", ["a b c d e f", "a b"] * 20)
    assert set(text(path, max_length=4).load().vocabulary.words[3:]) == set("abcd")


def test_the_unknown_word_is_learned_from_those_that_occur_once(tmp_path):
    with pytest.raises(UsageError, match=r"data\.min_count=2"):
        text(write(tmp_path / "t.txt"), min_count=1).validate()
    path = write(tmp_path / "t.txt", [f"{line} w{n}" for n, line in enumerate(lines())])
    x = text(path, min_count=2).load().train.x
    assert ((x == UNKNOWN).any(-1)).all()


def test_marks_and_joiners_belong_to_their_word():
    for word in ("हिन्दी", "می\u200cخواهم", "cafe\u0301s", "ไทย์", "na\u0308\u0304ive-ly"):
        assert pieces(f"{word}, {word}", Level.word) == [word, ",", word]


def test_letters_are_the_same_however_their_accents_were_typed(tmp_path):
    path = write(tmp_path / "t.txt", ["cafe\u0301 now", "caf\u00e9 now"] * 10)
    assert set(text(path).load().vocabulary.words[3:]) == {"caf\u00e9", "now"}
    assert len(text(path, level=Level.byte).load().train.length.unique()) == 2  # as they are


def test_an_unknown_word_of_the_text_itself_is_the_unknown_token(tmp_path):
    path = write(tmp_path / "t.txt", ["a <unk> b"] * 20)
    for level in (Level.word, Level.space):
        data = text(path, level=level).load()
        assert data.vocabulary.words[3:] == ("a", "b")
        assert data.train.x[0].flatten().tolist() == [3, UNKNOWN, 4, END]


def test_a_text_that_is_tokenised_already_is_divided_at_its_spaces():
    assert pieces("he is n't N.Y. 's", Level.space) == ["he", "is", "n't", "N.Y.", "'s"]


def test_a_batch_is_as_long_as_its_longest_and_of_whole_numbers(tmp_path):
    data = text(write(tmp_path / "t.txt"), min_count=1).load()
    shortest = int(data.train.length.argmin())
    x = data.batch(data.train, torch.tensor([shortest, shortest]))
    assert x.dtype == torch.int64
    assert x.shape == (2, 1, 1, int(data.train.length[shortest]))


def test_the_split_follows_the_seed_alone(tmp_path):
    path = write(tmp_path / "t.txt")
    assert digest(text(path).load()) == digest(text(path).load())
    assert digest(text(path).load()) != digest(text(path, seed=1).load())


def test_statistics_of_tokens_are_their_shares(tmp_path):
    data = text(write(tmp_path / "t.txt"), min_count=1).load()
    mean, variance = pixel_statistics(data)
    assert mean.shape == (data.shape[0], 1, 1)
    assert mean.sum().item() == pytest.approx(1)
    assert mean[PAD] == 0
    tokens = data.train.x[data.train.x != PAD]
    assert mean[END].item() == pytest.approx((tokens == END).double().mean().item())
    torch.testing.assert_close(variance, mean * (1 - mean))


BAD = {
    "empty": (b"\n \n\n", "holds no text"),
    "binary": (b"\x89PNG\r\n\0\0", "zero bytes"),
    "latin-1": ("a\nb\nein s\xfc\xdfer Hund\n".encode("latin-1"), "not UTF-8 in line 3 (byte 9)"),
    "short": (b"one\ntwo\n", "at least 10"),
    "rare": (b"".join(b"w%d\n" % n for n in range(50)), "data.min_count=3"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_text_is_refused_with_its_place(kind, tmp_path):
    content, words = BAD[kind]
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        text(path).load()
    assert words in str(refusal.value)


def test_a_directory_and_no_path_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a file"):
        text(tmp_path).check_files()
    with pytest.raises(UsageError, match=r"data\.path"):
        Text().validate()


def test_the_home_of_nobody_is_refused():
    with pytest.raises(UsageError, match="unknown user"):
        text("~nobody-of-that-name/t.txt").check_files()


def test_windows_line_ends_and_a_byte_order_mark_are_no_part_of_a_line(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines()).encode())
    data = text(path, min_count=1).load()
    assert not [word for word in data.vocabulary.words if "\r" in word or "\ufeff" in word]
