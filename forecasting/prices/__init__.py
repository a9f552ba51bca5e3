"""Price bars: calendars, adjustment and quality checks."""
