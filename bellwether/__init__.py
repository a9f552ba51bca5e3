"""The bellwether command: every part of the platform behind one name."""
