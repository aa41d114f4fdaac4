"""Text files: every encoding with a mark is read, and what is no text is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ConfigError
from exod.files.text import decoded, read_text

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff")))


@given(LINES, st.sampled_from(ENCODINGS), st.sampled_from(["\n", "\r\n", "\r"]))
def test_text_is_read_whatever_wrote_it(lines, encoding, ending):
    # A letter first, since text may begin as packed files do.
    content = ending.join(["a", *lines]).encode(encoding)
    assert decoded(content) == "\n".join(["a", *lines])


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"PK\x03\x04...", "a spreadsheet"),
        (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"a\0b", "zero bytes"),
        ("caf\u00e9".encode("latin-1"), r"UTF-8 \(byte 4\)"),
        ("a".encode("utf-16") + b"x", "no text in UTF-8"),
    ],
)
def test_what_is_no_text_is_told(tmp_path, content, cause):
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^The list {path} cannot be read: it is .*{cause}"):
        read_text(path, "The list")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory\."):
        read_text(tmp_path, "The list")
