"""Names that lead out of a folder, or that no file can have: what a stranger may write as a name."""

from hypothesis import strategies as st

_FIXED = st.sampled_from(
    [
        *("", ".", "..", "../..", "../../etc/passwd", "/", "/etc", "//host/share", "~", "~root"),
        *("a/b", "a\\b", "a/../b", "./a", "a/.", ".hidden", "-rf", "--", "*", "%2e%2e", "%00"),
        *("\x00", "a\x00b", "a\nb", "a\n", " ", "a b", "con:", "C:\\", "s3://bucket/lake"),
        *("a" * 101, "a" * 5_000, "A" * 64 + "/", "٣", "²", "\uff41", "\u202e", "\ud7ff"),
    ]
)
_WITH_A_SEPARATOR = st.tuples(
    st.text(max_size=20), st.sampled_from("/\\\x00"), st.text(max_size=20)
)

HOSTILE_NAMES = _FIXED | _WITH_A_SEPARATOR.map("".join)
"""Strategy: no plain name, no digest and no number among them."""
