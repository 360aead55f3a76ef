"""Where a study is stored: addresses, SQLite files, databases that go away."""
