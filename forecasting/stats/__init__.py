"""Statistical tests that know no prices."""
