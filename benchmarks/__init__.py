"""Speed and memory of Bellwether against its peers, side by side in one run."""
