"""What every test stands on."""

pytest_plugins = [
    "tests.run_folder",
    "tests.time_limits",
    "tests.clock",
    "tests.failure_artifacts",
    "tests.processes",
    "tests.servers",
    "tests.closing_lines",
]
