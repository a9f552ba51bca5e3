"""Traffic between versions and the judgement of a canary."""
