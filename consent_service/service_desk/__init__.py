"""The service desk's pages: an agent looks after customers, on their word."""
